"""A supervisor who attends an agent's talks by their own phone: the states, and which happening leads where.

A session belongs to an agent, not to one call: it begins with the supervisor's phone being called and ends with the
agent's own leg, or when somebody ends it. Whom the supervisor hears and who hears them is the session's mode.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from dialer.core.ids import AgentId, MonitorId, ServerName
from dialer.errors import InvalidTransition


class MonitorMode(StrEnum):
    """What a supervisor does beside hearing both sides."""

    LISTEN = "listen"
    #: The agent hears them, the customer does not.
    WHISPER = "whisper"
    #: Agent and customer hear them.
    BARGE = "barge"


class MonitorState(StrEnum):
    """Where a session stands."""

    #: The supervisor's phone is being called.
    CALLING = "calling"
    ON = "on"
    OVER = "over"


class MonitorStep(StrEnum):
    """What can happen to a session."""

    PHONE_UP = "phone_up"
    PHONE_GONE = "phone_gone"
    #: Somebody ends it, or the agent's own leg has ended.
    END = "end"


_S, _X = MonitorState, MonitorStep

#: A pair that is missing here cannot happen to that state; the engine reports it as ignored.
TRANSITIONS: Final[Mapping[tuple[MonitorState, MonitorStep], MonitorState]] = {
    (_S.CALLING, _X.PHONE_UP): _S.ON,
    (_S.CALLING, _X.PHONE_GONE): _S.OVER,
    (_S.CALLING, _X.END): _S.OVER,
    (_S.ON, _X.PHONE_GONE): _S.OVER,
    (_S.ON, _X.END): _S.OVER,
}


@dataclass(slots=True, kw_only=True)
class Monitor:
    """A session as the engine sees it. Only the engine changes it."""

    id: MonitorId
    agent: AgentId
    #: Whose phone it is, as the dialplan knows it.
    extension: str
    server: ServerName
    mode: MonitorMode
    #: Who asked for it: the name of a key or of a person.
    by: str
    state: MonitorState = MonitorState.CALLING

    def can(self, step: MonitorStep) -> bool:
        """Whether the table has `step` for the present state."""
        return (self.state, step) in TRANSITIONS

    def take(self, step: MonitorStep) -> MonitorState:
        """Go where `step` leads; answers with the state before.

        Raises:
            InvalidTransition: the table does not have it; ask `can` first where it depends on the outside.
        """
        previous = self.state
        try:
            self.state = TRANSITIONS[previous, step]
        except KeyError:
            raise InvalidTransition(f"the session {self.id} is {previous}; it cannot {step}") from None
        return previous
