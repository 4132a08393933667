"""Which agents the table shows: as the address says, by name, state and campaign."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Self
from urllib.parse import urlencode

from dialer.api.errors import ApiError
from dialer.console.answers import MAX_FIELD
from dialer.console.pages import AGENT_STATES
from dialer.projections.live_rows import AgentRow


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentFilter:
    """What is asked for; empty: anything. Equal ones show the same."""

    #: A part of the name, in letters of either case.
    name: str = ""
    state: str = ""
    campaign: str = ""

    @classmethod
    def typed(cls, name: str, status: str, campaign: str) -> Self:
        """As it stands in an address.

        Raises:
            ApiError: there is no such state.
        """
        if status and status not in AGENT_STATES:
            raise ApiError(422, f"status: must be one of {', '.join(AGENT_STATES)}")
        return cls(name=name.strip()[:MAX_FIELD].casefold(), state=status, campaign=campaign.strip()[:MAX_FIELD])

    def __bool__(self) -> bool:
        return self != EVERYBODY

    @property
    def query(self) -> str:
        """What stands behind the question mark of an address; empty where nothing is asked for."""
        given = {"name": self.name, "status": self.state, "campaign": self.campaign}
        return urlencode({key: value for key, value in given.items() if value})

    def at(self, state: str) -> str:
        """The address of the same in another state; empty: in all of them."""
        query = replace(self, state=state).query
        return f"/console/agents?{query}" if query else "/console/agents"

    def crew(self, agents: Sequence[AgentRow]) -> tuple[AgentRow, ...]:
        """Those of the name and the campaign, in whatever state."""
        return tuple(
            agent
            for agent in agents
            if self.name in agent.id.casefold() and (not self.campaign or self.campaign in agent.campaigns)
        )

    def of(self, agents: Sequence[AgentRow]) -> tuple[AgentRow, ...]:
        """Those that are asked for."""
        return tuple(agent for agent in self.crew(agents) if self.state in ("", agent.state))


EVERYBODY: Final = AgentFilter()
