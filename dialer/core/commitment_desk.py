"""Tells the pacers from when on agents are not to be counted on: their shift ends, or they have a callback to make."""

from __future__ import annotations

from typing import Final

from dialer.core.agent_desk import RENEWED_S, AgentDesk
from dialer.core.campaign import CampaignState
from dialer.core.commitment import commitments
from dialer.core.events import CallbacksAhead
from dialer.core.floor import CampaignRun, Floor
from dialer.core.ids import AgentId

#: Longest time before a callback in which nobody new is called for its agent, however long talks are.
MOST_AHEAD_S: Final = 600.0
#: A moment that has come is told as one that is about to, which pacers take as "after what they are doing".
_AT_ONCE_S: Final = RENEWED_S / 2


class CommitmentDesk:
    """Keeps agents for the callbacks that are to come."""

    def __init__(self, floor: Floor, agents: AgentDesk) -> None:
        self._floor = floor
        self._agents = agents
        self._first: dict[AgentId, float] = {}

    def ahead(self, event: CallbacksAhead) -> None:
        """The callbacks of the next minutes have been looked up."""
        floor = self._floor
        runs = {name: run for name, run in floor.campaigns.items() if run.state is CampaignState.RUNNING}
        agents = list(floor.roster)
        self._first = commitments(
            [one for one in event.ahead if one.due_at > floor.now],
            agents,
            {name: run.campaign for name, run in runs.items()},
            self._first,
        )
        for agent in agents:
            due_at = self._first.get(agent.id)
            run = None if agent.focus is None else runs.get(agent.focus)
            if due_at is not None:
                due_at = max(due_at - _handling_s(run), floor.now + _AT_ONCE_S)
            self._agents.commit(agent, due_at)


def _handling_s(run: CampaignRun | None) -> float:
    """How long a call that is started for the agent now keeps them, once it is answered, as far as that is known."""
    decision = None if run is None else run.last_decision
    if decision is None:
        return 0.0
    return min((decision.mean_talk_s or 0.0) + (decision.mean_wrapup_s or 0.0), MOST_AHEAD_S)
