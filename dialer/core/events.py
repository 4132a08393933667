"""What the engine is told. Past tense: all of it has happened.

Every event has `at`, when it happened (Asterisk's timestamp where it gives one, else when it was read), in unix
seconds. Events may come late, twice and in any order; the engine's tables say what each means in each state.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from dialer.core.campaign import Campaign, CampaignState
from dialer.core.commitment import Ahead
from dialer.core.disposition import DispositionCode
from dialer.core.ids import AgentId, CallId, CampaignId, ContactId, MessageId, MonitorId, Phone, RecordingId, ServerName
from dialer.core.monitor import MonitorMode
from dialer.core.offer import Offer
from dialer.core.permit import Permit
from dialer.core.promise import Due
from dialer.core.recording import RecordingOrder
from pacing.legal_window import LegalWindow


class Verdict(StrEnum):
    """What answering-machine detection said."""

    HUMAN = "human"
    MACHINE = "machine"
    UNSURE = "unsure"


class HungUpBy(StrEnum):
    """Who ended a call."""

    CUSTOMER = "customer"
    AGENT = "agent"
    DIALER = "dialer"
    #: The carrier or the network, before an answer.
    NETWORK = "network"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Root of all events."""

    at: float


# ---- from the switch


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConnected(Event):
    """An Asterisk server is ready, and these are all the channels of ours that it has, at `at`."""

    server: ServerName
    #: Ids of customers' channels (our call ids), with whether each is up, that exist now.
    calls: frozenset[CallId]
    #: Agents whose phone is up in its room.
    agents: frozenset[AgentId]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerLost(Event):
    """The connection to an Asterisk server is gone; its calls go on without us until it is back."""

    server: ServerName
    #: For people, and the same for a catalogue.
    reason: str
    code: str = ""
    arguments: Mapping[str, object] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerTakesCalls(Event):
    """Whether an Asterisk server takes new calls: one that is about to stop does not, and those that it has go on."""

    server: ServerName
    takes: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class OriginateHandedOver(Event):
    """An originate is with the AMI connection since `at`; from now on the call counts as started."""

    call: CallId


@dataclass(frozen=True, slots=True, kw_only=True)
class OriginateNotSent(Event):
    """An originate was not handed over; not a byte was sent."""

    call: CallId
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRinging(Event):
    """The callee's phone rings, or early media came; may come twice, once for each."""

    call: CallId
    #: False: early media, in which a ringing tone may be heard, or an announcement before any phone rings.
    alerting: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class CallAnswered(Event):
    """The callee's side picked up: a person or a machine."""

    call: CallId


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineDetected(Event):
    """Answering-machine detection came to a verdict, which may be HUMAN."""

    call: CallId
    verdict: Verdict
    #: AMD's own words, such as ``LONGGREETING-1500-1500``.
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallJoined(Event):
    """The customer is in the agent's room: they can talk."""

    call: CallId
    agent: AgentId


@dataclass(frozen=True, slots=True, kw_only=True)
class MessagePlayed(Event):
    """The abandonment message was played to its end, or could not be."""

    call: CallId
    complete: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerOptedOut(Event):
    """Somebody pressed the key that the abandonment message offers, and waits to hear that it is done."""

    call: CallId
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallHungUp(Event):
    """The customer's channel is gone. Comes once, after everything else that the switch says of this call."""

    call: CallId
    #: Q.850 cause, 0 where unknown.
    cause: int
    sip_code: int | None
    #: Ended by the outer limit that we gave Asterisk.
    timed_out: bool
    by: HungUpBy


@dataclass(frozen=True, slots=True, kw_only=True)
class OriginateFailed(Event):
    """The request was refused before any channel existed: nobody's phone can have rung."""

    call: CallId
    reason: str
    #: By a server that is about to stop, and so nobody's fault: as if the contact had not been tried.
    stopping: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentPhoneUp(Event):
    """An agent's phone answered and waits in its room."""

    agent: AgentId


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentPhoneGone(Event):
    """An agent's phone hung up, or could not be reached."""

    agent: AgentId
    #: For people, and the same for a catalogue.
    reason: str
    code: str = ""
    arguments: Mapping[str, object] = field(default_factory=dict, hash=False)
    #: Whether it was there, or was called; it was not where its server had no room for one more request.
    called: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingAnswered(Event):
    """What became of an order about a recording."""

    call: CallId
    recording: RecordingId
    order: RecordingOrder
    #: Why it was not done; empty: it was.
    problem: str = ""
    #: False: no answer came, so nobody knows.
    certain: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingAnnounced(Event):
    """What became of an announcement before a recording."""

    call: CallId
    recording: RecordingId
    #: Why they have not heard all of it; empty: they have.
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingStopped(Event):
    """The switch says that a call is not recorded any more, whoever wanted it so."""

    call: CallId


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorPhoneUp(Event):
    """A supervisor's phone answered, and hears the agent."""

    monitor: MonitorId


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorPhoneGone(Event):
    """A supervisor's phone hung up, or could not be reached."""

    monitor: MonitorId
    reason: str


# ---- from the gate


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusals:
    """Why the gate did not hand out what was asked for: how many contacts for each reason."""

    counts: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PermitsGranted(Event):
    """The gate's answer to `RequestPermits`: at most as many as were asked for. They must be used at once."""

    campaign: CampaignId
    requested: int
    permits: tuple[Permit, ...]
    refusals: Refusals
    #: Contacts that are ready to be called now, and those waiting for their time.
    ready: int
    later: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactGranted(Event):
    """The gate's answer to `RequestContact`. A permit must be used at once."""

    campaign: CampaignId
    contact: ContactId
    agent: AgentId
    permit: Permit | None
    #: Why there is none, and when to ask again; None: not while things are as they are.
    reason: str = ""
    retry_at: float | None = None
    #: The contact is called this once, whatever comes of it.
    lent: bool = False
    #: The time that it waited for.
    waited_until: float | None = None
    #: As in `PermitsGranted`.
    ready: int = 0
    later: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactsOffered(Event):
    """The gate's answer to `RequestOffers`: contacts that agents may be shown, at most as many as were asked for."""

    campaign: CampaignId
    requested: int
    offers: tuple[Offer, ...]
    refusals: Refusals
    #: As in `PermitsGranted`.
    ready: int
    later: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactsDue(Event):
    """Contacts of a campaign that may be called now with an agent reserved for them, the oldest first."""

    campaign: CampaignId
    due: tuple[Due, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbacksAhead(Event):
    """All callbacks of the next minutes, in all campaigns."""

    ahead: tuple[Ahead, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CallPurged(Event):
    """A removal or do-not-call entry names the contact or number of a call of ours that is under way."""

    call: CallId
    kind: str  # "removal" or "dnc"
    ref: MessageId
    reason: str
    #: Seconds from its write until we learned of it, by the clock of the shared state; None where that does not tell.
    waited_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DoNotCallWritten(Event):
    """The write of `AddDoNotCall` has returned: from `at` on nobody calls that number."""

    call: CallId


@dataclass(frozen=True, slots=True, kw_only=True)
class HopperSeen(Event):
    """How many contacts of a campaign could be called now: told regularly where the gate found none."""

    campaign: CampaignId
    ready: int


# ---- from people


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignConfigured(Event):
    """A campaign was made or changed. Calls under way keep the settings with which they began."""

    campaign: Campaign
    #: Where it stands, if the engine does not know it yet (a start, a restart).
    state: CampaignState = CampaignState.DRAFT
    #: Live answers of the legal window so far, and how many of them were abandoned: the budget goes on from there.
    answers_before: int = 0
    abandoned_before: int = 0
    #: The same for each of the campaign's windows; where they are given, the two figures above are not looked at.
    windows: tuple[LegalWindow, ...] = ()
    #: Of the live answers on record, how many each Asterisk server had (see `dialer.core.pacers`).
    answered: tuple[tuple[ServerName, int], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignOrdered(Event):
    """Somebody starts, pauses, drains or stops a campaign."""

    campaign: CampaignId
    state: CampaignState
    #: Another node has carried it out: here it comes to that too, wherever the campaign was.
    elsewhere: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSignedIn(Event):
    """An agent asks to work: their phone is called and kept."""

    agent: AgentId
    #: Endpoint or number as the dialplan knows it, such as ``agent01``.
    phone: str
    campaigns: tuple[CampaignId, ...]
    #: None: the engine chooses (`dialer.core.placement`).
    server: ServerName | None = None
    #: Agents of other nodes, by server.
    elsewhere: Mapping[ServerName, int] = field(default_factory=dict)
    #: Begins idle as soon as the phone is up (else paused with code "sign-in").
    ready: bool = True
    #: Higher is chosen first among idle agents of a campaign.
    priority: int = 0
    skills: frozenset[str] = frozenset()
    #: When their shift ends, unix seconds; no call is started for them whose talk would begin later. None: not known.
    shift_ends_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentReassigned(Event):
    """A signed-in agent takes calls of these campaigns from now on; where they stand does not change."""

    agent: AgentId
    campaigns: tuple[CampaignId, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentReadied(Event):
    """An agent wants calls (from wrap-up or from a pause)."""

    agent: AgentId


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentPauseAsked(Event):
    """An agent wants no more calls; takes effect after the present call and its wrap-up."""

    agent: AgentId
    code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSignedOut(Event):
    """An agent goes home; takes effect after the present call."""

    agent: AgentId


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentHungUp(Event):
    """An agent ends the present talk without laying down their phone."""

    agent: AgentId


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentPageLeft(Event):
    """The page that is an agent's phone goes in a talk, closed or loaded anew: its leg is left, without sound."""

    agent: AgentId


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentPageCame(Event):
    """The page that is an agent's phone has been loaded anew, and has no leg: it wants to be called into their room."""

    agent: AgentId


@dataclass(frozen=True, slots=True, kw_only=True)
class CallAsked(Event):
    """An agent, or somebody with the right to, wants a contact called now, for that agent."""

    agent: AgentId
    campaign: CampaignId
    contact: ContactId
    #: `CallRequestAnswered` carries it.
    ref: MessageId
    #: The number that it must be; None: whichever is its turn.
    phone: Phone | None = None
    #: Who asked, as records name them: ``agent:ana``, ``user:marta`` or ``key:4f2a…``.
    by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferAnswered(Event):
    """An agent has decided about the contact that they are shown."""

    agent: AgentId
    #: The one that they have looked at: another may have taken its place.
    contact: ContactId
    #: Call it; False: skip it.
    consent: bool
    #: `CallRequestAnswered` carries it.
    ref: MessageId
    #: Why it is skipped, in the agent's words.
    reason: str = ""
    #: Who said so, as in `CallAsked`.
    by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HangupAsked(Event):
    """Somebody with the right to do so ends a call."""

    call: CallId
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackWish:
    """The appointment that a disposition brings."""

    at: float
    #: None: the number of the call.
    phone: Phone | None = None
    #: Who is to call; None: anybody.
    agent: AgentId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallDisposed(Event):
    """A call was closed with a code, by the agent or the CRM; ends the agent's wrap-up."""

    call: CallId
    code: str
    agent: AgentId | None = None
    amount: str | None = None
    #: None: that of the campaign.
    currency: str | None = None
    notes: str = ""
    ref: MessageId | None = None
    callback: CallbackWish | None = None
    #: Who said so: an agent, the name of a key, or "crm".
    by: str = ""
    #: What the code means in the call's campaign; filled in before the engine hears of it.
    meaning: DispositionCode | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OptOutTold(Event):
    """Somebody told an agent that they want no more calls; their do-not-call entry has been written."""

    call: CallId
    #: "*" or a campaign.
    scope: str
    #: The agent, or the key of whoever noted it.
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingAsked(Event):
    """Somebody wants the recording of a call started, paused, resumed or stopped."""

    call: CallId
    order: RecordingOrder
    by: str
    #: They say that the person has agreed to be recorded.
    consented: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorAsked(Event):
    """Somebody with the right to do so wants to attend an agent's talks from their own phone."""

    monitor: MonitorId
    agent: AgentId
    extension: str
    mode: MonitorMode
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorChangeAsked(Event):
    """They want to attend in another way, or another agent."""

    monitor: MonitorId
    agent: AgentId
    mode: MonitorMode
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorEndAsked(Event):
    """A session is to end."""

    monitor: MonitorId
    by: str


# ---- from a crash


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRecovered(Event):
    """A call that an earlier process had under way: finish it as lost, or go on with it if its channel still exists."""

    call: CallId
    campaign: CampaignId
    contact: ContactId
    phone: Phone
    server: ServerName | None
    agent: AgentId | None
    started_at: float
    attempt_number: int
    fencing_token: int
    answered_at: float | None = None
    connected_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingFound(Event):
    """A recording that an earlier process began and that was under way when it was last heard of."""

    call: CallId
    recording: RecordingId
    started_at: float
    paused: bool
    by: str
    #: Pauses that are over, in unix seconds.
    pauses: tuple[tuple[float, float], ...] = ()
    #: Since when it is paused, where it is.
    paused_at: float | None = None


SwitchEvent = (
    ServerConnected
    | ServerLost
    | ServerTakesCalls
    | OriginateHandedOver
    | OriginateNotSent
    | CallRinging
    | CallAnswered
    | MachineDetected
    | CallJoined
    | MessagePlayed
    | CustomerOptedOut
    | CallHungUp
    | OriginateFailed
    | AgentPhoneUp
    | AgentPhoneGone
    | RecordingAnswered
    | RecordingAnnounced
    | RecordingStopped
    | MonitorPhoneUp
    | MonitorPhoneGone
)
GateEvent = (
    PermitsGranted
    | ContactGranted
    | ContactsOffered
    | ContactsDue
    | CallbacksAhead
    | CallPurged
    | CallRecovered
    | HopperSeen
    | DoNotCallWritten
    | RecordingFound
)
PeopleEvent = (
    CampaignConfigured
    | CampaignOrdered
    | AgentSignedIn
    | AgentReassigned
    | AgentReadied
    | AgentPauseAsked
    | AgentSignedOut
    | AgentHungUp
    | AgentPageLeft
    | AgentPageCame
    | CallAsked
    | OfferAnswered
    | HangupAsked
    | CallDisposed
    | OptOutTold
    | RecordingAsked
    | MonitorAsked
    | MonitorChangeAsked
    | MonitorEndAsked
)
#: Everything that `Engine.handle` accepts.
AnyEvent = SwitchEvent | GateEvent | PeopleEvent
