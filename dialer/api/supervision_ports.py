"""What the API needs of the rest for supervision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from dialer.core.ids import AgentId, MonitorId
from dialer.core.monitor import MonitorMode


class AgentMessage(Struct, frozen=True, kw_only=True):
    """A few words to an agent."""

    id: str
    agent: str
    text: str
    #: Who says it.
    by: str
    #: Unix seconds.
    at: float


class Supervision(Protocol):
    """Supervisors and agents (`dialer.runtime.supervision.NodeSupervision`)."""

    def attend(self, agent: AgentId, extension: str, mode: MonitorMode, by: str) -> str:
        """Call a phone into an agent's talks, or change what it does there; why that cannot be, or nothing.

        One phone is in one session: given for another agent of the same Asterisk server, it moves on to that one.
        """

    def leave(self, monitor: MonitorId, by: str) -> None:
        """End a session; one that is over is left alone."""

    def tell(self, agent: AgentId, text: str, by: str) -> AgentMessage:
        """Send an agent a message: to their page, and as the result ``agent.message`` to whoever listens."""

    def told(self, agent: AgentId) -> Sequence[AgentMessage]:
        """The latest messages that an agent was sent through this node, the oldest first."""
