"""At which node an agent who signs in is at home. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

#: Of the settings, see `dialer.settings.Cluster`.
Policy = Literal["here", "together"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A node that takes agents."""

    node: str
    #: Asterisk servers that it is connected to.
    servers: frozenset[str]
    #: Agents at home there, and of them those of each campaign.
    agents: int
    of_campaigns: Mapping[str, int] = field(default_factory=dict)
    #: More than these go elsewhere, where there is room.
    room_for: int


def choose_home(
    candidates: Sequence[Candidate], here: str, campaigns: Collection[str], server: str | None, policy: Policy
) -> str:
    """The node that an agent signs in at; `here` where no other is better.

    An agent who names an Asterisk server must be where it is connected, and anybody where one is. Of those nodes it is
    ``here``, the one that was asked, or (``together``) the one where most of the agents of their campaigns are: one
    pacer with many agents needs fewer calls in flight for each than two with half as many.

    Args:
        candidates: the nodes that live, this one among them.
        here: the node that was asked.
        campaigns: that the agent is to work for.
        server: Asterisk server that they asked for; None: any.
        policy: see `Policy`.
    """
    fit = [one for one in candidates if (server in one.servers if server is not None else one.servers)]
    roomy = [one for one in fit if one.agents < one.room_for] or fit
    if not roomy:
        return here
    if policy == "here" and any(one.node == here for one in roomy):
        return here

    def rank(one: Candidate) -> tuple[int, int, str]:
        colleagues = sum(one.of_campaigns.get(campaign, 0) for campaign in set(campaigns))
        # The same for all who choose at the same moment: not whoever is asked.
        return (-colleagues if policy == "together" else 0, one.agents, one.node)

    return min(roomy, key=rank).node
