"""What the engine wants done. Imperative: the shells do it, and tell what came of it as events."""

from __future__ import annotations

from dataclasses import dataclass

from dialer.core.attempt import Attempt
from dialer.core.ids import (
    AgentId,
    CallId,
    CampaignId,
    ContactId,
    MessageId,
    MonitorId,
    Phone,
    RecordingId,
    ServerName,
    TrunkName,
)
from dialer.core.monitor import MonitorMode
from dialer.core.permit import Permit
from dialer.core.recording import RecordingOrder


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestPermits:
    """Ask the gate for up to `count` contacts of a campaign, and hand the answer in as `PermitsGranted`."""

    campaign: CampaignId
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestContact:
    """Ask the gate for this very contact, for an agent who is held for it; `ContactGranted` is the answer."""

    campaign: CampaignId
    contact: ContactId
    agent: AgentId
    #: The number that it must be; None: whichever is its turn.
    phone: Phone | None = None
    #: It was offered to the agent and kept until then; one that waits for longer by now waits for something else.
    kept_until: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestOffers:
    """Ask the gate for up to `count` contacts that agents may be shown; `ContactsOffered` is the answer.

    Nobody may call them, or be shown them, for `keep_s`; no attempt is made.
    """

    campaign: CampaignId
    count: int
    keep_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnOffer:
    """Let a contact that was offered, and is not called, be called again; it is no harm if that is not done."""

    campaign: CampaignId
    contact: ContactId
    #: Until when it was kept; one that waits for longer by now is left alone.
    kept_until: float
    #: Unix seconds before which it is not offered again; None: at once.
    not_before_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Originate:
    """Call the number of a permit. Never sent twice; refused by the switch once the permit has expired."""

    permit: Permit
    server: ServerName
    trunk: TrunkName
    #: After so long Asterisk ends an unanswered call by itself (`dialer.core.ringing`).
    outer_limit_s: float
    caller_id: Phone | None
    #: Options for AMD(), or None for no machine detection.
    machine_detection: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HangUp:
    """End a customer's channel, whatever its state."""

    call: CallId
    server: ServerName


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowCall:
    """Look after a customer's channel that another process began; its end, or that there is none, is told as any."""

    call: CallId
    server: ServerName


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectCall:
    """Move an answered customer into the agent's room."""

    call: CallId
    agent: AgentId
    server: ServerName
    #: What they say there is recorded from the first word on, as this; None: it is not.
    recording: RecordingId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlayMessage:
    """Play the abandonment message to a waiting customer, then hang up."""

    call: CallId
    message: str
    server: ServerName
    #: Digit by which they object to further calls while it plays and shortly after; empty: none.
    opt_out_key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AddDoNotCall:
    """Write a do-not-call entry, and hand in `DoNotCallWritten` when the write has returned."""

    call: CallId
    campaign: CampaignId
    phone: Phone
    #: "*" or a campaign.
    scope: str
    reason: str
    ref: MessageId


@dataclass(frozen=True, slots=True, kw_only=True)
class SayGoodbye:
    """Tell somebody who has objected that it is done, then hang up."""

    call: CallId
    server: ServerName


@dataclass(frozen=True, slots=True, kw_only=True)
class CallAgent:
    """Call an agent's phone and keep it in the agent's room."""

    agent: AgentId
    phone: str
    server: ServerName


@dataclass(frozen=True, slots=True, kw_only=True)
class HangUpAgent:
    """End an agent's nailed-up leg."""

    agent: AgentId
    server: ServerName


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnPermit:
    """Give a contact back untouched: it was not dialed."""

    permit: Permit
    reason: str
    #: Unix seconds before which it is not offered again; None: at once.
    not_before_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishCall:
    """Record an ended attempt, free its contact and number, and put the contact back where it is to be retried."""

    attempt: Attempt
    fencing_token: int
    #: Unix seconds of the next attempt; None: this contact is done.
    retry_at: float | None
    #: It is made with an agent reserved for it.
    needs_agent: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportPurge:
    """Tell the CRM what a removal or do-not-call entry did to a call under way."""

    call: CallId
    ref: MessageId
    kind: str
    #: "cancelled" (was ringing, hung up) or "too_late" (was already talking).
    effect: str
    campaign: CampaignId
    contact: ContactId
    phone: Phone
    reason: str
    #: Unix seconds by our clock when the CRM wrote it; None where that is not known.
    written_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Start, pause, resume or stop the recording of a call; `RecordingAnswered` says what became of it."""

    call: CallId
    recording: RecordingId
    order: RecordingOrder
    server: ServerName
    #: Whose room the customer is in.
    room: AgentId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Announce:
    """Let everybody in an agent's room hear that they are about to be recorded; `RecordingAnnounced` follows."""

    call: CallId
    recording: RecordingId
    sound: str
    server: ServerName
    room: AgentId


@dataclass(frozen=True, slots=True, kw_only=True)
class StopAnnouncement:
    """Break an announcement off, where it is still going on."""

    recording: RecordingId
    server: ServerName


@dataclass(frozen=True, slots=True, kw_only=True)
class Comfort:
    """Let a customer, and nobody else, hear that they are not forgotten; it ends by itself with their call, or soon."""

    call: CallId
    server: ServerName


@dataclass(frozen=True, slots=True, kw_only=True)
class EndComfort:
    """They are talked with again."""

    call: CallId
    server: ServerName


@dataclass(frozen=True, slots=True, kw_only=True)
class CallMonitor:
    """Call a supervisor's phone and let it hear an agent's leg, unheard; `MonitorPhoneUp` says that it does."""

    monitor: MonitorId
    agent: AgentId
    extension: str
    server: ServerName


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeMonitor:
    """Let a supervisor attend this agent in this way from now on."""

    monitor: MonitorId
    agent: AgentId
    mode: MonitorMode
    server: ServerName


@dataclass(frozen=True, slots=True, kw_only=True)
class HangUpMonitor:
    """End a supervisor's leg."""

    monitor: MonitorId
    server: ServerName


#: What the gate is asked for.
PermitRequest = RequestPermits | RequestContact | RequestOffers | ReturnOffer
AnyCommand = (
    RequestPermits
    | RequestContact
    | RequestOffers
    | ReturnOffer
    | Originate
    | HangUp
    | FollowCall
    | ConnectCall
    | PlayMessage
    | AddDoNotCall
    | SayGoodbye
    | CallAgent
    | HangUpAgent
    | ReturnPermit
    | FinishCall
    | ReportPurge
    | Record
    | Announce
    | StopAnnouncement
    | Comfort
    | EndComfort
    | CallMonitor
    | ChangeMonitor
    | HangUpMonitor
)
