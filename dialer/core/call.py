"""The states of a call, and which happening leads where.

A call begins `reserved` (the gate gave a permit) and ends `ended`, always; its record leaves the engine at once. An
answered call is first `answered` (machine detection listens), then `waiting` (a person waits for an agent), and then
`connected`, or `abandoned` (the message is played to them).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from dialer.core.campaign import Campaign
from dialer.core.decision import Decision
from dialer.core.ids import AgentId, CallId, Phone, ServerName, TrunkName
from dialer.core.permit import Permit
from dialer.core.tariff import Rate
from dialer.errors import InvalidTransition


class CallState(StrEnum):
    """Where a call stands."""

    RESERVED = "reserved"
    DIALING = "dialing"
    RINGING = "ringing"
    ANSWERED = "answered"
    MACHINE = "machine"
    WAITING = "waiting"
    CONNECTED = "connected"
    ABANDONED = "abandoned"
    ENDED = "ended"


class CallStep(StrEnum):
    """What can happen to a call."""

    HAND_OVER = "hand_over"
    RING = "ring"
    ANSWER = "answer"
    PERSON = "person"
    MACHINE = "machine"
    JOIN = "join"
    ABANDON = "abandon"
    END = "end"


_S, _X = CallState, CallStep

#: A pair that is missing here cannot happen to that state; the engine reports it as ignored.
TRANSITIONS: Final[Mapping[tuple[CallState, CallStep], CallState]] = {
    (_S.RESERVED, _X.HAND_OVER): _S.DIALING,
    (_S.DIALING, _X.RING): _S.RINGING,
    # Some carriers answer without ever having rung.
    (_S.DIALING, _X.ANSWER): _S.ANSWERED,
    (_S.RINGING, _X.ANSWER): _S.ANSWERED,
    (_S.ANSWERED, _X.PERSON): _S.WAITING,
    (_S.ANSWERED, _X.MACHINE): _S.MACHINE,
    # The deadline made it a person, and then detection said machine before any agent was there.
    (_S.WAITING, _X.MACHINE): _S.MACHINE,
    (_S.WAITING, _X.JOIN): _S.CONNECTED,
    (_S.WAITING, _X.ABANDON): _S.ABANDONED,
    # Not handed over, or refused before a channel existed.
    (_S.RESERVED, _X.END): _S.ENDED,
    (_S.DIALING, _X.END): _S.ENDED,
    (_S.RINGING, _X.END): _S.ENDED,
    (_S.ANSWERED, _X.END): _S.ENDED,
    (_S.MACHINE, _X.END): _S.ENDED,
    (_S.WAITING, _X.END): _S.ENDED,
    (_S.CONNECTED, _X.END): _S.ENDED,
    (_S.ABANDONED, _X.END): _S.ENDED,
}

#: Nobody has picked up yet.
UNANSWERED: Final = frozenset({_S.RESERVED, _S.DIALING, _S.RINGING})


@dataclass(slots=True, kw_only=True)
class Call:
    """A call under way. Only the engine changes it."""

    permit: Permit
    #: The settings as they were when the call began.
    campaign: Campaign
    server: ServerName
    trunk: TrunkName | None
    #: What its trunk's carrier takes, where that is known.
    rate: Rate | None = None
    caller_id: Phone | None = None
    state: CallState = CallState.RESERVED
    started_at: float = 0.0
    #: Since when the phone rings; of a call with early media before that, since then until it does ring.
    ringing_at: float | None = None
    #: It is ringing that was told, and not only early media.
    alerting: bool = False
    answered_at: float | None = None
    waiting_at: float | None = None
    connected_at: float | None = None
    #: Reserved for this call, or talking with it.
    agent: AgentId | None = None
    #: It was started with an agent reserved for it, and who that is now (see `dialer.core.hold_desk`).
    guaranteed: bool = False
    bound_to: AgentId | None = None
    #: Who wanted this very call; None: nobody in person.
    decision: Decision | None = None
    #: Until then the contact is tried again, however often it has been called; None: as its campaign has it.
    promised_until: float | None = None
    #: The contact is called this once.
    lent: bool = False
    #: The time that the contact waited for when it was asked for by name.
    waited_until: float | None = None
    machine_verdict: str | None = None
    machine_verdict_s: float | None = None
    #: Why we asked for its end, where we did.
    hang_up_reason: str = ""
    #: It is our ring time-out that ends it.
    rang_out: bool = False
    #: Its end was asked for because of the time, and is waited for.
    given_up: bool = False
    #: Since when its server has been asked for its end, and could hear it.
    hang_up_asked_at: float | None = None
    #: The CRM withdrew it: it is not to be retried.
    purged: bool = False
    message_played: bool = False
    opted_out: bool = False
    #: Taken for a machine and in the sample that an agent judges.
    machine_sampled: bool = False
    #: Found by recovery: the events before are not known.
    recovered: bool = False
    #: A list of channels lacks it, or where it is is not known: nobody counts on it, and it may ring all the same.
    missing: bool = False

    @property
    def id(self) -> CallId:
        """Its id, which is the permit's."""
        return self.permit.call

    @property
    def unanswered(self) -> bool:
        """Whether nobody has picked up yet."""
        return self.state in UNANSWERED

    def can(self, step: CallStep) -> bool:
        """Whether the table has `step` for the present state."""
        return (self.state, step) in TRANSITIONS

    def take(self, step: CallStep) -> None:
        """Go where `step` leads.

        Raises:
            InvalidTransition: the table does not have it; ask `can` first where it depends on the outside.
        """
        try:
            self.state = TRANSITIONS[self.state, step]
        except KeyError:
            raise InvalidTransition(f"call {self.id} is {self.state}; it cannot {step}") from None
