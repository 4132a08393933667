"""Which agents have a callback to make soon, so that nobody is called for them in the meantime. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from dialer.core.campaign import Campaign
from dialer.core.ids import AgentId, CampaignId, ContactId
from dialer.core.roster import STAFFED, Agent


@dataclass(frozen=True, slots=True, kw_only=True)
class Ahead:
    """A callback whose time has not come; moments in unix seconds."""

    campaign: CampaignId
    contact: ContactId
    due_at: float
    #: Whose it is; None: anybody's.
    agent: AgentId | None = None
    #: From then on it is anybody's.
    fallback_at: float


def commitments(
    ahead: Sequence[Ahead],
    agents: Collection[Agent],
    campaigns: Mapping[CampaignId, Campaign],
    before: Mapping[AgentId, float],
) -> dict[AgentId, float]:
    """When each agent who has a callback to make is to make their first.

    A callback of an agent who is here is theirs. Any other takes one agent of its campaign who has none; that of
    somebody who is not here does so from the moment at which it is anybody's.

    Args:
        ahead: what is to come.
        agents: who is here.
        campaigns: of the callbacks.
        before: what was answered last; anybody's callbacks stay with the same agents as far as they can.
    """
    here = {agent.id: agent for agent in agents if agent.state in STAFFED}
    first: dict[AgentId, float] = {}
    anybodys: list[tuple[float, Campaign]] = []
    for one in ahead:
        campaign = campaigns.get(one.campaign)
        if campaign is None:
            continue
        owner = here.get(one.agent) if one.agent is not None else None
        if owner is not None and owner.serves(campaign):
            first[owner.id] = min(one.due_at, first.get(owner.id, one.due_at))
        else:
            anybodys.append((one.due_at if one.agent is None else max(one.due_at, one.fallback_at), campaign))
    for due_at, campaign in sorted(anybodys, key=lambda item: (item[0], item[1].id)):
        free = [agent for agent in here.values() if agent.id not in first and agent.serves(campaign)]
        # Of those whom its own pacer counts on, whoever was to make one anyway.
        chosen = min(
            free,
            key=lambda agent: (agent.focus != campaign.id, agent.id not in before, before.get(agent.id, 0.0), agent.id),
            default=None,
        )
        if chosen is not None:
            first[chosen.id] = due_at
    return first
