"""What the engine lets everybody know: facts for results to the CRM, metrics, console and journal.

Nothing in the engine depends on whether anybody listens. A notice is published once, in the order in which it came
to be; `CallEnded` comes exactly once for each `CallStarted`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dialer.core.agent import AgentState
from dialer.core.attempt import Attempt
from dialer.core.campaign import CampaignState
from dialer.core.disposition import DispositionCode
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
from dialer.core.monitor import MonitorMode, MonitorState
from dialer.core.offer import Offer, OfferEnd
from dialer.core.recording import RecordingState
from pacing import Decision


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Root of all notices."""

    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CallStarted(Notice):
    """The originate was handed to the AMI connection at `at`."""

    call: CallId
    campaign: CampaignId
    contact: ContactId
    phone: Phone
    server: ServerName
    trunk: TrunkName | None
    attempt_number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRang(Notice):
    """The callee's phone rings."""

    call: CallId
    campaign: CampaignId


@dataclass(frozen=True, slots=True, kw_only=True)
class CallWasAnswered(Notice):
    """Somebody or something picked up, `ring_s` after the start."""

    call: CallId
    campaign: CampaignId
    contact: ContactId
    phone: Phone
    ring_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CallConnected(Notice):
    """A live person has an agent, `wait_s` after the answer."""

    call: CallId
    campaign: CampaignId
    contact: ContactId
    phone: Phone
    agent: AgentId
    wait_s: float
    screen_pop: str
    #: Later than the campaign allows: counts as abandoned, though they talk.
    late: bool = False
    #: Taken for a machine; the agent is to say whether it was one.
    machine_sampled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CallWasAbandoned(Notice):
    """A live person found nobody within the limit."""

    call: CallId
    campaign: CampaignId
    contact: ContactId
    phone: Phone
    wait_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CallOptedOut(Notice):
    """Somebody objected to further calls."""

    call: CallId
    campaign: CampaignId
    contact: ContactId
    phone: Phone
    #: "*" or a campaign.
    scope: str
    #: "key", or who noted it.
    by: str
    agent: AgentId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallEnded(Notice):
    """An attempt is over."""

    attempt: Attempt
    retry_at: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallWasDisposed(Notice):
    """A call was closed with a code."""

    call: CallId
    campaign: CampaignId
    contact: ContactId
    phone: Phone
    code: str
    agent: AgentId | None
    amount: str | None
    notes: str
    ref: MessageId | None
    currency: str | None = None
    by: str = ""
    #: What the code meant in the campaign when it was given.
    meaning: DispositionCode | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingChanged(Notice):
    """The recording of a call went from one state to another, or could not (then both are the same)."""

    recording: RecordingId
    call: CallId
    campaign: CampaignId
    contact: ContactId
    phone: Phone
    agent: AgentId | None
    server: ServerName
    state: RecordingState
    previous: RecordingState
    #: Who asked for it last: an agent, the name of a key, or "campaign".
    by: str
    #: Since when it is recorded, or was asked for.
    started_at: float
    #: In unix seconds; None at the end of the last: it is paused now.
    pauses: tuple[tuple[float, float | None], ...] = ()
    #: Why it is not as it was to be; empty: it is.
    problem: str = ""
    #: It is over and there may be sound to keep.
    complete: bool = False
    #: They are being told of it, and nothing is recorded yet.
    announcing: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentChanged(Notice):
    """An agent went from one state to another, having been `previous_s` in the former."""

    agent: AgentId
    state: AgentState
    previous: AgentState
    previous_s: float
    campaigns: tuple[CampaignId, ...]
    #: Pause code, or why the phone was lost: that also for a catalogue.
    reason: str = ""
    code: str = ""
    arguments: Mapping[str, object] = field(default_factory=dict, hash=False)
    call: CallId | None = None
    server: ServerName | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentAssigned(Notice):
    """A signed-in agent takes calls of other campaigns now."""

    agent: AgentId
    campaigns: tuple[CampaignId, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorChanged(Notice):
    """A supervisor's session began, changed or ended, or the agent whom it is about has a new talk."""

    monitor: MonitorId
    agent: AgentId
    extension: str
    state: MonitorState
    mode: MonitorMode
    #: Who asked for it last.
    by: str
    #: The talk that is attended now; None: there is none.
    call: CallId | None = None
    #: Why it is as it is, where nobody asked for that.
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRequestAnswered(Notice):
    """What became of the wish for a call: it has started, or why it has not and when to try again."""

    ref: MessageId
    call: CallId | None = None
    #: In a word; empty where the call has started.
    reason: str = ""
    #: None: not while things are as they are.
    retry_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactWasOffered(Notice):
    """An agent is shown a contact, and decides by `answer_by_at` whether it is called."""

    agent: AgentId
    offer: Offer
    answer_by_at: float
    #: The page of the CRM.
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferClosed(Notice):
    """What became of a contact that an agent was shown."""

    agent: AgentId
    campaign: CampaignId
    contact: ContactId
    phone: Phone
    end: OfferEnd
    #: Why it was skipped, refused or withdrawn.
    reason: str = ""
    #: Of one that was refused: when to ask again; None: not while things are as they are.
    retry_at: float | None = None
    call: CallId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignChanged(Notice):
    """A campaign went from one state to another."""

    campaign: CampaignId
    state: CampaignState
    previous: CampaignState


@dataclass(frozen=True, slots=True, kw_only=True)
class PaceDecided(Notice):
    """How many calls are started now, and why not one more.

    Published when calls are started, when the reason changes, and at least each second while the campaign runs. What
    the pacer wished and could not have is in the words of `decision`, whose `limit` may then also be "no_contacts" (the
    hopper has nobody to call now), "caller_ids" (no number is left to show), "trunks" (no line is free) or "batch" (the
    rest follows in a moment). Of a campaign on several Asterisk servers it is what their pacers come to together
    (`dialer.core.whole_pace`).
    """

    campaign: CampaignId
    decision: Decision
    #: The pacing method in force.
    method: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateAnswered(Notice):
    """What the gate gave and refused."""

    campaign: CampaignId
    requested: int
    granted: int
    refused: tuple[tuple[str, int], ...]
    ready: int
    later: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerChanged(Notice):
    """An Asterisk server came or went."""

    server: ServerName
    connected: bool
    #: For people, and the same for a catalogue.
    reason: str = ""
    code: str = ""
    arguments: Mapping[str, object] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventIgnored(Notice):
    """An event made no sense in the state it met (late, repeated, unknown id); counted, never fatal."""

    event: str
    reason: str


AnyNotice = (
    CallStarted
    | CallRang
    | CallWasAnswered
    | CallConnected
    | CallWasAbandoned
    | CallOptedOut
    | CallEnded
    | CallWasDisposed
    | RecordingChanged
    | AgentChanged
    | AgentAssigned
    | MonitorChanged
    | CallRequestAnswered
    | ContactWasOffered
    | OfferClosed
    | CampaignChanged
    | PaceDecided
    | GateAnswered
    | ServerChanged
    | EventIgnored
)
