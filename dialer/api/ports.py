"""What the API needs of the rest: protocols, and the values that go through them.

The runtime implements them; `dialer.testing` has in-memory ones. Every method that may have to wait for a database, for
Redis or for room in the engine's queue is a coroutine and raises `StorageError` or `QueueError` when it cannot be done;
the API answers those with 503 and the client repeats the request.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from dialer.api.allowance import GuessLimits
from dialer.api.audit_ports import AuditTrail
from dialer.api.broadcast import Told
from dialer.api.callback_ports import CallbackCalendars
from dialer.api.compliance_ports import Compliance
from dialer.api.delivery_ports import Deliveries
from dialer.api.desk_ports import Desks
from dialer.api.filter_ports import FilterTrials
from dialer.api.key_ports import KeyBook
from dialer.api.list_ports import ListSettings
from dialer.api.live_ports import Live
from dialer.api.phone_ports import BrowserPhones
from dialer.api.recording_ports import CallRecordings
from dialer.api.report_ports import Actions, Histories, People, Reports
from dialer.api.snippet_tokens import SnippetTokens
from dialer.api.supervision_ports import Supervision
from dialer.api.system_ports import System
from dialer.api.webhook_ports import WebhookBook
from dialer.api.what_if_ports import WhatIf
from dialer.compliance.machine_error import AnswerCounts
from dialer.core.attempt import Attempt
from dialer.core.campaign import Campaign, CampaignState
from dialer.core.events import PeopleEvent
from dialer.core.ids import AgentId, CallId, CampaignId, ContactId, Phone
from dialer.core.list_terms import NO_TERMS, ListTerms
from dialer.core.outcome import Outcome
from dialer.core.pacing_entry import PacingEntry
from dialer.core.recycling import Penetration, Reopened
from dialer.core.saying import NOTHING, Saying
from dialer.intake.segments import Segment, Taken
from dialer.projections.live_rows import LiveSnapshot

if TYPE_CHECKING:
    from dialer.api.user_ports import UserBook, Users  # it needs `Role` from here


class Clock(Protocol):
    """The one clock (`dialer.runtime.clock.Clock`)."""

    def now(self) -> float:
        """Unix seconds, never decreasing."""


# ---- keys


class Role(StrEnum):
    """What the holder of a key may do."""

    MANAGER = "manager"
    SUPERVISOR = "supervisor"
    AGENT = "agent"
    CRM = "crm"
    METRICS = "metrics"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A bearer key as it is stored: its SHA-256 in hexadecimal, never itself."""

    id: str
    role: Role
    digest: str
    #: Whom an agent's key belongs to; such a key may act for nobody else.
    agent: AgentId | None = None
    #: Unix seconds; None: valid until it is revoked.
    expires_at: float | None = None
    #: Who signed in to the console with a password: there is no key then, and this stands for one. Empty: a key.
    user: str = ""
    #: Whose it is, and whose things alone it may see; empty: the installation's, which sees everything.
    tenant: str = ""

    @property
    def who(self) -> str:
        """The holder as records name them: ``user:marta`` or ``key:4f2a…``."""
        return f"user:{self.user}" if self.user else f"key:{self.id}"


class KeyStore(Protocol):
    """Where keys are looked up."""

    async def find(self, digest: str) -> ApiKey | None:
        """The key whose SHA-256 is `digest`; None where there is none or it was revoked."""


# ---- idempotency


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredReply:
    """The answer to a request that was carried out."""

    fingerprint: str
    status: int
    content_type: str
    body: bytes


class IdempotencyStore(Protocol):
    """Remembers which requests were carried out, bounded in number and in time."""

    async def begin(self, key: str, fingerprint: str, now: float) -> StoredReply | bool:
        """True: carry it out, then `finish` or `forget`. False: somebody is at it. Else: it was done, as this says."""

    async def finish(self, key: str, reply: StoredReply, now: float) -> None:
        """Keep the reply."""

    async def forget(self, key: str) -> None:
        """It was not carried out; the same key may be used again."""


# ---- engine


class Control(Protocol):
    """The way into the engine, and the view of what goes on in it."""

    async def submit(self, event: PeopleEvent) -> None:
        """Hand an event to the engine; returns when it is in the engine's queue."""

    def live(self) -> Live:
        """What goes on now; read it in the event loop only."""


# ---- campaigns


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredCampaign:
    """A campaign of the record."""

    campaign: Campaign
    state: CampaignState
    updated_at: float


class Campaigns(Protocol):
    """The record of campaigns."""

    async def get(self, campaign: CampaignId) -> StoredCampaign | None:
        """One campaign."""

    async def page(self, after: CampaignId | None, limit: int, *, tenant: str = "") -> Sequence[StoredCampaign]:
        """Up to `limit` campaigns by id, those behind `after`, of one tenant or of all."""

    async def create(self, campaign: Campaign, now: float) -> bool:
        """Add a campaign as a draft; False where its id is taken."""

    async def replace(self, before: StoredCampaign, campaign: Campaign, now: float) -> bool:
        """Replace the settings of a campaign; its state stays. False where it is not as `before` any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokenRule:
    """A setting of a campaign that breaks a rule."""

    setting: str
    #: Id of the rule, its version, and what it says about the setting.
    rule: str
    version: str
    says: str
    #: A rule of law or of a code is broken, and not only our own policy.
    of_law: bool
    #: What it says, for a catalogue; empty: in these words alone.
    code: str = ""
    arguments: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleOverride:
    """A named person sets a rule aside."""

    by: str
    why: str
    #: Of the API key that it came with.
    key: str


class CampaignRules(Protocol):
    """What the rule book says about campaigns (`dialer.runtime.campaign_rules.BookedRules`)."""

    def broken(self, campaign: Campaign, now: float) -> Sequence[BrokenRule]:
        """The rules that its settings break.

        Raises:
            InputError: it names a jurisdiction that is not on file.
        """

    def missing(self, campaign: Campaign, now: float) -> Sequence[Saying]:
        """What the registries lack that the law demands, nobody having set it aside; empty: nothing."""

    async def set_aside(self, campaign: CampaignId, broken: BrokenRule, override: RuleOverride, now: float) -> None:
        """Put on record that somebody has set a rule aside; done when it returns."""


# ---- contacts and lists


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactVerdict:
    """What became of one contact."""

    #: accepted or rejected.
    status: str
    id: ContactId | None
    #: For machines: added, updated, removed, finished, do_not_call, invalid_phone, ….
    reason: str
    #: For people, where there is something to correct.
    problem: str = ""

    @property
    def accepted(self) -> bool:
        """Whether the contact was taken."""
        return self.status == "accepted"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListImport:
    """An uploaded list and how far its import has come."""

    id: str
    campaign: CampaignId
    name: str
    #: waiting, running, done or failed.
    state: str
    read: int
    accepted: int
    rejected: int
    #: Rejected rows by reason.
    reasons: Mapping[str, int]
    #: Why it failed, in words that say what to do; nothing otherwise.
    error: Saying
    started_at: float
    finished_at: float | None
    terms: ListTerms = NO_TERMS


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectedRow:
    """One row of a list that cannot be used."""

    #: As a person counts them in the file, the header being row 1.
    row: int
    code: str
    message: str
    #: The row as it stood in the file.
    raw: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ListCheck:
    """The latest look through the contacts of a list."""

    #: running, done or failed.
    state: str
    started_at: float
    finished_at: float | None
    #: Contacts whose data came last with the list, and their numbers.
    contacts: int = 0
    numbers: int = 0
    #: Numbers by sort of line, by the time zones that they may be in, and by the jurisdictions that count.
    types: Mapping[str, int] = field(default_factory=dict)
    zones: Mapping[str, int] = field(default_factory=dict)
    jurisdictions: Mapping[str, int] = field(default_factory=dict)
    #: Warnings by kind.
    warnings: Mapping[str, int] = field(default_factory=dict)
    contacts_with_warnings: int = 0
    #: Warnings that can be downloaded one by one.
    listed: int = 0
    #: Why it failed, in words that say what to do; nothing otherwise.
    error: Saying = NOTHING


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactWarning:
    """What there is to know about one number of one contact that was accepted."""

    contact: str
    phone: str
    kind: str
    message: str


class ContactIntake(Protocol):
    """The way in for contacts."""

    async def offer(self, campaign: CampaignId, rows: Sequence[bytes]) -> Sequence[ContactVerdict]:
        """Take contacts, each the JSON of one contact of ``cadencia:contacts``; one verdict each, in their order.

        At most 1,000 at once. What was accepted is in the record and in the hopper when this returns.
        """

    def upload_folder(self) -> Path:
        """Where an upload is written; a folder that exists, and which workers can read."""

    async def start_list(
        self,
        campaign: CampaignId,
        path: Path,
        name: str,
        *,
        refuse_duplicates: bool = False,
        terms: ListTerms = NO_TERMS,
    ) -> ListImport:
        """Begin to import an uploaded CSV file, which is the importer's from now on; its contacts have `terms`.

        With `refuse_duplicates` rows are rejected all of whose numbers other contacts of the campaign have.
        """

    async def note_broken_upload(self, campaign: CampaignId, name: str, size: int) -> None:
        """Put on record that an upload broke off after `size` bytes, and that nothing of it was loaded."""

    async def list_import(self, id: str) -> ListImport | None:
        """One list."""

    async def list_imports(
        self, campaign: CampaignId | None, before: tuple[float, str] | None, limit: int, *, tenant: str = ""
    ) -> Sequence[ListImport]:
        """Lists, newest first by (started_at, id), those older than `before`; of one tenant or of all."""

    def rejected(self, id: str) -> AsyncIterator[RejectedRow]:
        """The rejected rows of a list, in their order."""

    async def check_list(self, id: str) -> None:
        """Have the contacts of a list looked through anew, in the background."""

    async def list_check(self, id: str) -> ListCheck | None:
        """The latest look through a list; None: nobody has looked yet."""

    def warnings(self, id: str) -> AsyncIterator[ContactWarning]:
        """What it found, by contact."""


class Recycling(Protocol):
    """Lists that are called once more, and how far they have been called."""

    async def reset(
        self, campaign: CampaignId, list_id: str | None, outcomes: Collection[Outcome], after: ContactId | None
    ) -> Reopened:
        """Open finished contacts again whose last call had one of `outcomes`: up to 1,000, those behind `after`.

        Of one list, or of the whole campaign. Can be repeated.
        """

    async def penetration(self, campaign: CampaignId, list_id: str | None) -> Sequence[Penetration]:
        """How far each list of a campaign has been called, or one of them."""


class Segments(Protocol):
    """The way in for segments (`dialer.intake.segments.SegmentDesk`)."""

    async def take(self, segment: Segment) -> Taken:
        """Make the campaign, load its contacts, start it. Can be repeated.

        Raises:
            InputError: the segment cannot be used.
        """


# ---- removals and do-not-call


@dataclass(frozen=True, slots=True, kw_only=True)
class DoNotCallEntry:
    """A number, or all that begin alike, on a do-not-call list."""

    scope: str
    #: E.164, or the beginning of numbers and a *.
    phone: str
    reason: str
    expires_at: float | None
    source: str = ""
    who: str = ""
    #: Unix seconds since which it holds.
    at: float | None = None


class Purges(Protocol):
    """Removals and do-not-call entries: written to the same streams that a CRM writes to."""

    async def remove(self, messages: Sequence[Mapping[str, object]]) -> None:
        """Write to ``cadencia:removals``; from the return on, no later originate calls what they name."""

    async def do_not_call(self, messages: Sequence[Mapping[str, object]]) -> None:
        """Write to ``cadencia:dnc``, with the same promise."""

    async def call_back(self, messages: Sequence[Mapping[str, object]]) -> None:
        """Write to ``cadencia:callbacks``; what becomes of each is told on the results stream."""

    async def listed(self, phone: Phone) -> Sequence[DoNotCallEntry]:
        """The do-not-call entries of a number, in every scope, also by one of its beginnings."""

    async def entries(
        self, scope: str | None, after: tuple[str, str] | None, limit: int, *, tenant: str = ""
    ) -> Sequence[DoNotCallEntry]:
        """Up to `limit` entries of a scope, a tenant or all, by (scope, phone), those behind `after`."""


# ---- calls


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptQuery:
    """Which ended calls are wanted; None does not restrict."""

    campaign: CampaignId | None = None
    contact: ContactId | None = None
    agent: AgentId | None = None
    outcome: str | None = None
    ended_from: float | None = None
    ended_before: float | None = None
    #: Of this tenant's campaigns; empty: of all.
    tenant: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenDisposition:
    """One code that a call was given."""

    code: str
    at: float
    by: str
    agent: str | None = None
    amount: str | None = None
    currency: str | None = None
    #: What the code meant then; None where its campaign did not say.
    category: str | None = None
    is_sale: bool | None = None
    is_contact: bool | None = None
    notes: str = ""
    ref: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedCall:
    """What came of the wish for a call."""

    contact: ContactId
    #: None: it was refused.
    call: CallId | None = None
    #: In a word, and when to try again; None: not while things are as they are.
    reason: str = ""
    retry_at: float | None = None


class Previews(Protocol):
    """What agents decide about contacts that they are shown (`dialer.runtime.previews.NodePreviews`)."""

    async def answer(self, agent: AgentId, contact: ContactId, *, consent: bool, reason: str, by: str) -> AskedCall:
        """Call the contact, or skip it; a reason in the answer: it is not called, and why (empty for one skipped).

        `by` says for the evidence who decided.
        """


class CallRequests(Protocol):
    """Calls that somebody asks for (`dialer.runtime.click_to_call.ClickToCall`)."""

    async def call(
        self, agent: AgentId, campaign: CampaignId, contact: ContactId | None, phone: str | None, *, by: str
    ) -> AskedCall | None:
        """Call a contact, at one of its numbers where that is given too, or a number; None: no such contact.

        Returns when the originate has been handed over, or it is known why there is none. `by` says for the evidence
        who asked.

        Raises:
            InputError: the number cannot be dialed.
        """


class Attempts(Protocol):
    """The record of ended calls."""

    async def get(self, call: CallId) -> Attempt | None:
        """One ended call."""

    async def page(self, query: AttemptQuery, before: tuple[float, CallId] | None, limit: int) -> Sequence[Attempt]:
        """Up to `limit` ended calls, newest first by (ended_at, call), those older than `before`."""

    async def dispositions(self, calls: Sequence[CallId]) -> Mapping[CallId, str]:
        """The latest code that each of these calls was closed with, where it was."""

    async def disposition_history(self, call: CallId) -> Sequence[GivenDisposition]:
        """All codes that a call was given, the latest first."""

    async def answer_counts(self, since: float, until: float) -> Mapping[CampaignId, AnswerCounts]:
        """What became of answered calls that ended in ``since <= at < until``, of each campaign that had any."""


class Pacing(Protocol):
    """The pacing journal."""

    async def between(
        self, campaign: CampaignId, since: float, until: float | None, after: tuple[float, str] | None, limit: int
    ) -> Sequence[PacingEntry]:
        """Up to `limit` rows of ``since <= at < until``, oldest first by (at, node), those behind `after`."""


# ---- results, health, metrics


class Subscription(Protocol):
    """One listener's results, in order."""

    @property
    def dropped(self) -> bool:
        """Whether results were lost because the listener was too slow; none come any more."""

    async def next(self, timeout_s: float) -> Told | None:
        """The next result with its id; None where none came in time, or where there are none any more."""

    def close(self) -> None:
        """No more results are wanted."""


class Results(Protocol):
    """Results as they go to the CRM (`dialer.api.broadcast.Broadcast`)."""

    def subscribe(self, capacity: int) -> Subscription | None:
        """Listen from now on, with room for `capacity` results; None where too many listen already."""

    async def position(self) -> str:
        """The id up to which results have been handed out; whoever listens now hears all that is behind it."""


class ResultHistory(Protocol):
    """Results that have been told already (`dialer.runtime.results_feed.ResultHistory`)."""

    async def between(self, after: str, until: str, count: int) -> Sequence[tuple[str, Mapping[str, object]]]:
        """Up to `count` results behind the id `after` and up to `until`, the oldest first."""

    async def oldest(self) -> str | None:
        """The id of the oldest result that is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthCheck:
    """How one part is doing."""

    name: str
    ok: bool
    #: In words that say what to do; empty where all is well. The same for a catalogue.
    problem: str = ""
    code: str = ""
    arguments: Mapping[str, object] = field(default_factory=dict)


class Health(Protocol):
    """How the parts are doing."""

    async def checks(self) -> Sequence[HealthCheck]:
        """Redis, database, Asterisk servers, gate. Answers within a second or two, whatever is down."""


class Exposition(Protocol):
    """The metrics (`dialer.projections.metrics.Metrics`)."""

    def refresh(self, view: LiveSnapshot) -> None:
        """Set the gauges; called in the event loop."""

    def render(self) -> bytes:
        """The text; called in a thread."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneExplanation:
    """One number of a contact: may it be called, and by which rules."""

    phone: Phone
    #: Scopes of the do-not-call entries that hold it back.
    do_not_call: tuple[str, ...]
    permitted: bool
    #: Unix seconds from which the law allows it; None: not before something changes.
    next_at: float | None
    #: The verdict of the rules (`dialer.compliance.verdict_record`).
    law: Mapping[str, object]
    #: What the contact says of it: mobile, home, work or other; its own hours; how often it may be called.
    type: str | None = None
    hours: tuple[str, ...] = ()
    max_attempts: int | None = None
    #: Of the present pass through its list.
    attempts: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Why a contact is not being called, and when it will be."""

    #: waiting, finished or removed.
    status: str
    #: One sentence for people, and the same for a catalogue.
    says: str
    code: str
    arguments: Mapping[str, object]
    #: Unix seconds from which it may be called; None: not, as things are.
    next_at: float | None
    attempts: int
    phones: tuple[PhoneExplanation, ...]


class Explanations(Protocol):
    """Tells why a contact is not called."""

    async def explain(self, campaign: Campaign, state: CampaignState, contact: ContactId) -> Explanation | None:
        """What stands in the way of a contact; None where it is not on record."""


class RegistryStates(Protocol):
    """The do-not-call registries that this node asks (`dialer.runtime.node_registries.NodeRegistries`)."""

    def states(self, now: float) -> Sequence[RegistryState]:
        """Every registry of the settings, in their order."""

    def demands(self, now: float) -> Sequence[RegistryDemand]:
        """What the law of campaigns that name their jurisdictions demands, and whether it is met."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryState:
    """One registry as it is now; None where no version of it is in force."""

    name: str
    version: str | None
    source: str | None
    source_date: str | None
    entries: int | None
    prefix_rules: int | None
    age_days: float | None
    max_age_days: float | None
    #: Why campaigns that must ask it may not dial; nothing: they may.
    refuses: Saying
    problem: Saying
    #: Rules of law that it answers, by id.
    answers: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryDemand:
    """A registry that the law of a campaign demands."""

    campaign: CampaignId
    #: Version of the rule, and its mark.
    rule: str
    mark: str
    registry: str
    #: What is missing and what to do; nothing: it is there, and young enough.
    problem: Saying


@dataclass(frozen=True, slots=True, kw_only=True)
class ErasedPerson:
    """What an erasure came to."""

    #: Numbers that nobody calls any more, and numbers that the erased contacts had besides, which stay.
    numbers: int
    others: int
    #: Rows changed or deleted, by table.
    rows: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class CrmCall:
    """A call that a CRM made itself; moments in unix seconds."""

    id: str
    campaign: CampaignId
    phone: Phone
    started_at: float
    ended_at: float
    outcome: Outcome
    #: They called us; they want no more calls about it.
    inbound: bool
    refused: bool
    #: person, account and subject, where the CRM gave them.
    fields: Mapping[str, object]


class CallsElsewhere(Protocol):
    """Calls that caps count although the dialer did not make them (`dialer.runtime.counting.Counting`)."""

    async def made(self, calls: Sequence[CrmCall]) -> None:
        """Put them on record; from the return on the gate counts them. Can be repeated: an id counts once."""


class Erasures(Protocol):
    """People who are to be forgotten (`dialer.runtime.erasing.NodeErasures`)."""

    async def erase(self, phones: Sequence[Phone], *, who: str, all_numbers: bool) -> ErasedPerson:
        """Erase whoever has these numbers. From the return on nobody calls or takes them in; can be repeated.

        Raises:
            InputError: the settings have no key under which they would be remembered.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiPorts:
    """Everything that the API is connected to."""

    #: Whose things alone can be reached (`dialer.api.tenant_ports.narrowed`); empty: everything.
    tenant: str = ""
    clock: Clock
    keys: KeyStore
    idempotency: IdempotencyStore
    control: Control
    campaigns: Campaigns
    intake: ContactIntake
    recycling: Recycling
    purges: Purges
    attempts: Attempts
    explanations: Explanations
    pacing: Pacing
    results: Results
    health: Health
    metrics: Exposition
    #: None: settings are held to no rule book.
    campaign_rules: CampaignRules | None = None
    #: None: what has been told cannot be told again.
    history: ResultHistory | None = None
    #: None: segments are not taken.
    segments: Segments | None = None
    #: None: nobody can ask for a call.
    call_requests: CallRequests | None = None
    #: None: no pages of other origins ask for calls.
    snippet: SnippetTokens | None = None
    #: None: there is no record of callbacks.
    callbacks: CallbackCalendars | None = None
    #: None: nobody is shown whom they are to call.
    previews: Previews | None = None
    #: None: nothing is recorded.
    recordings: CallRecordings | None = None
    #: None: there is no record that reports could be made of.
    reports: Reports | None = None
    histories: Histories | None = None
    actions: Actions | None = None
    #: None: this node asks no registries.
    registries: RegistryStates | None = None
    #: None: calls of a CRM are not counted.
    calls_elsewhere: CallsElsewhere | None = None
    #: None: there is no record of whose people anything could be said.
    people: People | None = None
    #: None: nobody can be erased.
    erasures: Erasures | None = None
    #: None: filters cannot be tried out.
    filter_trials: FilterTrials | None = None
    list_settings: ListSettings | None = None
    #: None: nothing is told to other systems.
    deliveries: Deliveries | None = None
    #: None: webhooks stand in the settings alone.
    webhook_book: WebhookBook | None = None
    #: None: campaigns are not simulated.
    what_if: WhatIf | None = None
    #: None: agents have no page.
    desks: Desks | None = None
    #: None: no browser is a phone.
    phones: BrowserPhones | None = None
    #: None: nobody signs in with a password.
    users: Users | None = None
    #: None: nobody makes users.
    user_book: UserBook | None = None
    #: None: nobody makes keys.
    key_book: KeyBook | None = None
    #: None: there are no system pages.
    system: System | None = None
    #: None: there is no record of the law.
    compliance: Compliance | None = None
    #: None: nobody can attend talks.
    supervision: Supervision | None = None
    #: None: nobody keeps the audit log.
    audit: AuditTrail | None = None
    #: None: wrong keys and passwords are counted at this node alone.
    guesses: GuessLimits | None = None
