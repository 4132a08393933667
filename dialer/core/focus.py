"""Which campaign counts on which agent: never two on one, and none on agents whom it has nobody to call for."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from dialer.core.agent import AgentState
from dialer.core.campaign import CampaignState
from dialer.core.floor import CampaignRun
from dialer.core.ids import AgentId, CampaignId
from dialer.core.roster import Agent


def assign_focus(
    agents: Iterable[Agent], campaigns: Mapping[CampaignId, CampaignRun]
) -> dict[AgentId, CampaignId | None]:
    """The campaign whose pacer counts on each agent: the first of theirs that runs and has use for them.

    A campaign whose hopper has run empty has use for one agent for each call under way that may still be answered, and
    for each contact that has come in since; the others are counted on by the next campaign of theirs. Where no
    campaign has use for an agent, the first that runs counts on them all the same. None: none of theirs runs.
    """
    room = {name: agents_wanted(run) for name, run in campaigns.items() if run.state is CampaignState.RUNNING}
    focus: dict[AgentId, CampaignId | None] = {}
    choosers: list[tuple[Agent, list[CampaignId]]] = []
    for agent in agents:
        mine = [name for name in agent.campaigns if name in room]
        if len(mine) > 1:
            choosers.append((agent, mine))
            continue
        focus[agent.id] = mine[0] if mine else None
        if mine:
            room[mine[0]] -= 1
    # What little an empty campaign still needs, it needs at once: those who are free come first.
    choosers.sort(key=lambda chooser: chooser[0].state is not AgentState.IDLE)
    for agent, mine in choosers:
        chosen = next((name for name in mine if room[name] > 0), mine[0])
        room[chosen] -= 1
        focus[agent.id] = chosen
    return focus


def agents_wanted(run: CampaignRun) -> float:
    """How many agents the campaign has use for; infinity while its hopper is not known to be empty."""
    if not run.dry:
        return math.inf
    return run.ready + run.requested + run.unanswered.total() + len(run.waiting)
