"""What a connection tells its owner. Past tense: all of it has happened."""

from __future__ import annotations

from dataclasses import dataclass

from dialer.ami.messages import Message
from dialer.errors import RemoteProtocolError


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedIn:
    """The connection is ready for actions."""

    #: Version of the manager interface, such as (11, 0, 0).
    version: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginRefused:
    """Wrong name or secret, or an address that Asterisk does not let in. `Closed` follows at once."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseReceived:
    """The answer to an action; to an action that lists something, with the list."""

    action_id: str
    message: Message
    events: tuple[Message, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether Asterisk did, or began to do, what was asked for."""
        return self.message.response in {"Success", "Follows", "Goodbye"}


@dataclass(frozen=True, slots=True, kw_only=True)
class EventReceived:
    """Something happened on the switch."""

    message: Message


@dataclass(frozen=True, slots=True, kw_only=True)
class UnmatchedResponse:
    """A response to nothing that waits for one: it came after its time-out, twice, or was never asked for."""

    message: Message


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionTimedOut:
    """No response came in time. Whether the action was done is not known; it is not sent again."""

    action_id: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PongReceived:
    """The answer to a keep-alive ping."""

    round_trip_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """The connection is over."""

    reason: str
    #: Set where the peer broke the protocol.
    error: RemoteProtocolError | None = None
    #: Ids of the actions that were still without an answer.
    unanswered: tuple[str, ...] = ()


AmiEvent = (
    LoggedIn
    | LoginRefused
    | ResponseReceived
    | EventReceived
    | UnmatchedResponse
    | ActionTimedOut
    | PongReceived
    | Closed
)
