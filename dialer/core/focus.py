"""Which campaign counts on which agent: never two on one, and none on agents whom it has nobody to call for."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from dialer.core.agent import AgentState
from dialer.core.call import Call
from dialer.core.campaign import CampaignState
from dialer.core.floor import CampaignRun
from dialer.core.ids import AgentId, CallId, CampaignId
from dialer.core.roster import Agent


def assign_focus(
    agents: Iterable[Agent], campaigns: Mapping[CampaignId, CampaignRun], calls: Mapping[CallId, Call]
) -> dict[AgentId, CampaignId | None]:
    """The campaign whose pacer counts on each agent: the first of theirs that runs and has use for them.

    A campaign whose hopper has run empty has use for one agent for each call under way that may still be answered, on
    the server of that call, and for each contact that has come in since; the others are counted on by the next campaign
    of theirs. Where no campaign has use for an agent, the first that runs counts on them all the same. None: none of
    theirs runs.
    """
    room = {name: _Room(run, calls) for name, run in campaigns.items() if run.state is CampaignState.RUNNING}
    focus: dict[AgentId, CampaignId | None] = {}
    choosers: list[tuple[Agent, list[CampaignId]]] = []
    for agent in agents:
        mine = [name for name in agent.campaigns if name in room]
        if len(mine) > 1:
            choosers.append((agent, mine))
            continue
        focus[agent.id] = mine[0] if mine else None
        if mine:
            room[mine[0]].take(agent)
    # What little an empty campaign still needs, it needs at once: those who are free come first.
    choosers.sort(key=lambda chooser: chooser[0].state is not AgentState.IDLE)
    for agent, mine in choosers:
        chosen = next((name for name in mine if room[name].has_use_for(agent)), mine[0])
        room[chosen].take(agent)
        focus[agent.id] = chosen
    return focus


def first_choice(mine: Sequence[CampaignId], campaigns: Mapping[CampaignId, CampaignRun]) -> CampaignId | None:
    """The campaign that one agent alone would be counted on by: the first of theirs that runs and is not empty.

    Where all that run are empty it is the first of these; None: none runs.
    """
    running = [name for name in mine if name in campaigns and campaigns[name].state is CampaignState.RUNNING]
    return next((name for name in running if not campaigns[name].dry), next(iter(running), None))


class _Room:
    """How many agents a campaign has use for; any number while its hopper is not known to be empty."""

    def __init__(self, run: CampaignRun, calls: Mapping[CallId, Call]) -> None:
        #: For contacts that can still be called on any server, and for calls that are on one.
        self._anywhere = math.inf if not run.dry else run.ready + run.requested
        self._on = Counter(run.unanswered)
        self._on.update(calls[call].server for call in run.waiting)

    def has_use_for(self, agent: Agent) -> bool:
        """Whether one more agent can be of use."""
        return self._anywhere > 0 or self._on[agent.server] > 0

    def take(self, agent: Agent) -> None:
        """Count on an agent."""
        if self._on[agent.server] > 0:
            self._on[agent.server] -= 1
        else:
            self._anywhere -= 1
