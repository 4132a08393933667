"""In-memory doubles for every port, for tests of Cadencia and of programs that are built on it.

Each keeps what it was given, so that a test can look at it; none is a mock. Sections follow the ports.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from dialer.api.attempt_ports import AttemptQuery, GivenDisposition
from dialer.api.broadcast import Broadcast
from dialer.api.campaign_ports import StoredCampaign
from dialer.api.desk_ports import Account, CallingTimes, NotThen, Seat
from dialer.api.explanation_ports import Explanation
from dialer.api.health_ports import HealthCheck
from dialer.api.idempotency import MemoryIdempotency
from dialer.api.intake_ports import ContactVerdict, ContactWarning, ListCheck, ListImport, RejectedRow
from dialer.api.key_ports import ApiKey, Role
from dialer.api.phone_ports import IceServer, PhoneAccess
from dialer.api.ports import ApiPorts
from dialer.api.purge_ports import DoNotCallEntry
from dialer.compliance.machine_error import AnswerCounts, says_machine
from dialer.core.attempt import Attempt
from dialer.core.audit_note import AuditNote, AuditQuery, AuditRow
from dialer.core.campaign import Campaign, CampaignState
from dialer.core.contact import Contact
from dialer.core.events import (
    CampaignConfigured,
    CampaignOrdered,
    PeopleEvent,
)
from dialer.core.ids import AgentId, CallId, CampaignId, ContactId, Phone, ServerName
from dialer.core.list_terms import NO_TERMS, ListTerms
from dialer.core.outcome import LIVE, Outcome
from dialer.core.pacing_entry import PacingEntry
from dialer.core.recycling import Penetration, Reopened
from dialer.core.saying import NOTHING, say
from dialer.core.tenants import owns
from dialer.errors import DialerError
from dialer.projections.live import LiveView
from dialer.projections.metrics import Metrics
from dialer.queues.removals import forms_listed

# ---- clock


class ManualClock:
    """A clock that stands still until it is moved."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self._now = now

    def now(self) -> float:
        """Unix seconds."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._now += seconds


# ---- API: keys, campaigns, contacts, purges, calls, engine, health


class FakeKeyStore:
    """Keys made by `issue`. `lookups` counts the questions asked."""

    def __init__(self) -> None:
        self.keys: dict[str, ApiKey] = {}
        self.lookups = 0

    def issue(
        self, secret: str, role: Role, *, agent: AgentId | None = None, expires_at: float | None = None
    ) -> ApiKey:
        """Make `secret` a key."""
        digest = hashlib.sha256(secret.encode()).hexdigest()
        key = ApiKey(id=f"key-{len(self.keys)}", role=role, digest=digest, agent=agent, expires_at=expires_at)
        self.keys[digest] = key
        return key

    async def find(self, digest: str) -> ApiKey | None:
        """See `dialer.api.key_ports.KeyStore`."""
        self.lookups += 1
        return self.keys.get(digest)


class FakeControl:
    """Takes events down; `fail_with` makes it refuse them. Campaigns show in the live view at once."""

    def __init__(self) -> None:
        self.view = LiveView()
        self.events: list[PeopleEvent] = []
        self.fail_with: DialerError | None = None

    async def submit(self, event: PeopleEvent) -> None:
        """See `dialer.api.ports.Control`."""
        if self.fail_with is not None:
            raise self.fail_with
        self.events.append(event)
        if isinstance(event, CampaignConfigured):
            self.view.configure(event.campaign)
        elif isinstance(event, CampaignOrdered):
            self.view.configure(Campaign(id=event.campaign), event.state)

    def live(self) -> LiveView:
        """See `dialer.api.ports.Control`."""
        return self.view


class FakeCampaigns:
    """Campaigns in a dictionary."""

    def __init__(self) -> None:
        self.rows: dict[CampaignId, StoredCampaign] = {}

    async def get(self, campaign: CampaignId) -> StoredCampaign | None:
        """See `dialer.api.campaign_ports.Campaigns`."""
        return self.rows.get(campaign)

    async def page(self, after: CampaignId | None, limit: int, *, tenant: str = "") -> Sequence[StoredCampaign]:
        """See `dialer.api.campaign_ports.Campaigns`."""
        ids = sorted(id for id in self.rows if owns(tenant, id) and (after is None or id > after))
        return [self.rows[id] for id in ids[:limit]]

    async def create(self, campaign: Campaign, now: float) -> bool:
        """See `dialer.api.campaign_ports.Campaigns`."""
        if campaign.id in self.rows:
            return False
        self.rows[campaign.id] = StoredCampaign(campaign=campaign, state=CampaignState.DRAFT, updated_at=now)
        return True

    async def replace(self, before: StoredCampaign, campaign: Campaign, now: float) -> bool:
        """See `dialer.api.campaign_ports.Campaigns`."""
        if self.rows.get(campaign.id) != before:
            return False
        self.rows[campaign.id] = StoredCampaign(campaign=campaign, state=before.state, updated_at=now)
        return True


class FakeIntake:
    """Contacts in a dictionary by (campaign, id); rows without `id` or `phones` are rejected. Lists are not read."""

    def __init__(self, folder: Path, clock: ManualClock) -> None:
        self.contacts: dict[tuple[CampaignId, ContactId], Mapping[str, object]] = {}
        self.batches: list[int] = []
        self.imports: dict[str, ListImport] = {}
        self.files: dict[str, Path] = {}
        self.refusing_duplicates: set[str] = set()
        self.rejected_rows: dict[str, list[RejectedRow]] = {}
        self.checks: dict[str, ListCheck] = {}
        self.contact_warnings: dict[str, list[ContactWarning]] = {}
        self.fail_with: DialerError | None = None
        self._folder = folder
        self._clock = clock

    async def offer(self, campaign: CampaignId, rows: Sequence[bytes]) -> Sequence[ContactVerdict]:
        """See `dialer.api.intake_ports.ContactIntake`."""
        if self.fail_with is not None:
            raise self.fail_with
        self.batches.append(len(rows))
        return [self._take(campaign, row) for row in rows]

    def _take(self, campaign: CampaignId, row: bytes) -> ContactVerdict:
        try:
            contact = msgspec.json.decode(row, type=dict[str, object])
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            return ContactVerdict(status="rejected", id=None, reason="not_json", problem=str(error))
        id = contact.get("id")
        if not isinstance(id, str) or not contact.get("phones"):
            return ContactVerdict(status="rejected", id=None, reason="wrong_value", problem="id and phones are needed")
        key = (campaign, ContactId(id))
        reason = "updated" if key in self.contacts else "added"
        self.contacts[key] = contact
        return ContactVerdict(status="accepted", id=key[1], reason=reason)

    def upload_folder(self) -> Path:
        """See `dialer.api.intake_ports.ContactIntake`."""
        return self._folder

    async def start_list(
        self,
        campaign: CampaignId,
        path: Path,
        name: str,
        *,
        refuse_duplicates: bool = False,
        terms: ListTerms = NO_TERMS,
    ) -> ListImport:
        """See `dialer.api.intake_ports.ContactIntake`."""
        if self.fail_with is not None:
            raise self.fail_with
        id = f"list-{len(self.imports) + 1}"
        self.files[id] = path
        if refuse_duplicates:
            self.refusing_duplicates.add(id)
        self.imports[id] = ListImport(
            id=id,
            campaign=campaign,
            name=name or id,
            state="waiting",
            read=0,
            accepted=0,
            rejected=0,
            reasons={},
            error=NOTHING,
            started_at=self._clock.now(),
            finished_at=None,
            terms=terms,
        )
        return self.imports[id]

    async def note_broken_upload(self, campaign: CampaignId, name: str, size: int) -> None:
        """See `dialer.api.intake_ports.ContactIntake`."""
        row = await self.start_list(campaign, Path(), name)
        error = say(f"the upload broke off after {size:,} bytes", code="list_broke_off", size=size)
        self.imports[row.id] = replace(row, state="failed", error=error, finished_at=self._clock.now())

    async def list_import(self, id: str) -> ListImport | None:
        """See `dialer.api.intake_ports.ContactIntake`."""
        return self.imports.get(id)

    async def list_imports(
        self, campaign: CampaignId | None, before: tuple[float, str] | None, limit: int, *, tenant: str = ""
    ) -> Sequence[ListImport]:
        """See `dialer.api.intake_ports.ContactIntake`."""
        rows = [row for row in self.imports.values() if campaign in {None, row.campaign} and owns(tenant, row.campaign)]
        rows.sort(key=lambda row: (row.started_at, row.id), reverse=True)
        return [row for row in rows if before is None or (row.started_at, row.id) < before][:limit]

    async def rejected(self, id: str) -> AsyncIterator[RejectedRow]:
        """See `dialer.api.intake_ports.ContactIntake`."""
        for row in self.rejected_rows.get(id, ()):
            yield row

    async def check_list(self, id: str) -> None:
        """See `dialer.api.intake_ports.ContactIntake`."""
        if self.fail_with is not None:
            raise self.fail_with
        self.checks[id] = ListCheck(state="running", started_at=self._clock.now(), finished_at=None)

    async def list_check(self, id: str) -> ListCheck | None:
        """See `dialer.api.intake_ports.ContactIntake`."""
        return self.checks.get(id)

    async def warnings(self, id: str) -> AsyncIterator[ContactWarning]:
        """See `dialer.api.intake_ports.ContactIntake`."""
        for row in self.contact_warnings.get(id, ()):
            yield row


class FakeRecycling:
    """Notes resets; `steps` are the answers to come, `lists` what is known of penetration."""

    def __init__(self) -> None:
        self.asked: list[tuple[CampaignId, str | None, frozenset[Outcome], ContactId | None]] = []
        self.steps: list[Reopened] = []
        self.lists: list[Penetration] = []

    async def reset(
        self, campaign: CampaignId, list_id: str | None, outcomes: Collection[Outcome], after: ContactId | None
    ) -> Reopened:
        """See `dialer.api.list_ports.Recycling`."""
        self.asked.append((campaign, list_id, frozenset(outcomes), after))
        return self.steps.pop(0) if self.steps else Reopened()

    async def penetration(self, campaign: CampaignId, list_id: str | None) -> Sequence[Penetration]:
        """See `dialer.api.list_ports.Recycling`."""
        return [found for found in self.lists if list_id is None or found.list == list_id]


class FakePurges:
    """Keeps the messages that would go to Redis."""

    def __init__(self) -> None:
        self.removals: list[Mapping[str, object]] = []
        self.do_not_calls: list[Mapping[str, object]] = []
        self.callbacks: list[Mapping[str, object]] = []
        self.fail_with: DialerError | None = None

    async def remove(self, messages: Sequence[Mapping[str, object]]) -> None:
        """See `dialer.api.purge_ports.Purges`."""
        if self.fail_with is not None:
            raise self.fail_with
        self.removals.extend(messages)

    async def do_not_call(self, messages: Sequence[Mapping[str, object]]) -> None:
        """See `dialer.api.purge_ports.Purges`."""
        if self.fail_with is not None:
            raise self.fail_with
        self.do_not_calls.extend(messages)

    async def call_back(self, messages: Sequence[Mapping[str, object]]) -> None:
        """See `dialer.runtime.disposing.CrmStreams`."""
        if self.fail_with is not None:
            raise self.fail_with
        self.callbacks.extend(messages)

    async def listed(self, phone: Phone) -> Sequence[DoNotCallEntry]:
        """See `dialer.api.purge_ports.Purges`."""
        forms = forms_listed(phone)
        return [entry for entry in self._held().values() if entry.phone in forms]

    async def entries(
        self, scope: str | None, after: tuple[str, str] | None, limit: int, *, tenant: str = ""
    ) -> Sequence[DoNotCallEntry]:
        """See `dialer.api.purge_ports.Purges`."""
        held = [(key, entry) for key, entry in sorted(self._held().items()) if owns(tenant, entry.scope)]
        wanted = [entry for key, entry in held if scope in {None, entry.scope} and (after is None or key > after)]
        return wanted[:limit]

    def _held(self) -> dict[tuple[str, str], DoNotCallEntry]:
        held: dict[tuple[str, str], DoNotCallEntry] = {}
        for message in self.do_not_calls:
            key = (str(message["scope"]), str(message["phone"]))
            if message["op"] == "remove":
                held.pop(key, None)
                continue
            held[key] = DoNotCallEntry(
                scope=key[0],
                phone=key[1],
                reason=str(message.get("reason", "")),
                expires_at=None,
                source=str(message.get("source", "")),
                who=str(message.get("by", "")),
            )
        return held


class FakeAttempts:
    """Ended calls in a list."""

    def __init__(self) -> None:
        self.rows: list[Attempt] = []
        self.codes: dict[CallId, str] = {}
        self.given: dict[CallId, list[GivenDisposition]] = {}

    async def answer_counts(self, since: float, until: float) -> Mapping[CampaignId, AnswerCounts]:
        """See `dialer.api.attempt_ports.Attempts`; sampled calls without a code are not judged."""
        found: dict[CampaignId, AnswerCounts] = {}
        for row in self.rows:
            if not since <= row.ended_at < until or row.answered_at is None:
                continue
            code = self.codes.get(row.call) if row.machine_sampled and row.connected_at is not None else None
            machine = code is not None and says_machine(code)
            live = row.outcome in LIVE and not machine
            found[row.campaign] = found.get(row.campaign, AnswerCounts()) + AnswerCounts(
                live_answers=int(live),
                abandoned=int(live and (row.outcome is Outcome.ABANDONED or row.late)),
                hung_up_as_machine=int(row.outcome is Outcome.MACHINE),
                judged=int(code is not None),
                judged_people=int(code is not None and not machine),
            )
        return found

    async def dispositions(self, calls: Sequence[CallId]) -> Mapping[CallId, str]:
        """See `dialer.api.attempt_ports.Attempts`."""
        return {call: self.codes[call] for call in calls if call in self.codes}

    async def disposition_history(self, call: CallId) -> Sequence[GivenDisposition]:
        """See `dialer.api.attempt_ports.Attempts`."""
        return self.given.get(call, [])

    async def get(self, call: CallId) -> Attempt | None:
        """See `dialer.api.attempt_ports.Attempts`."""
        return next((row for row in self.rows if row.call == call), None)

    async def page(self, query: AttemptQuery, before: tuple[float, CallId] | None, limit: int) -> Sequence[Attempt]:
        """See `dialer.api.attempt_ports.Attempts`."""
        rows = sorted(self.rows, key=lambda row: (row.ended_at, row.call), reverse=True)
        return [row for row in rows if _matches(row, query) and (before is None or (row.ended_at, row.call) < before)][
            :limit
        ]


def _matches(row: Attempt, query: AttemptQuery) -> bool:
    wanted = (
        (query.campaign, row.campaign),
        (query.contact, row.contact),
        (query.agent, row.agent),
        (query.outcome, row.outcome),
    )
    return (
        all(value is None or value == actual for value, actual in wanted)
        and (query.ended_from is None or row.ended_at >= query.ended_from)
        and (query.ended_before is None or row.ended_at < query.ended_before)
        and owns(query.tenant, row.campaign)
    )


class FakePacing:
    """The pacing journal, in memory."""

    def __init__(self) -> None:
        self.rows: list[PacingEntry] = []

    async def between(
        self, campaign: CampaignId, since: float, until: float | None, after: tuple[float, str] | None, limit: int
    ) -> Sequence[PacingEntry]:
        """See `dialer.api.attempt_ports.Pacing`."""
        found = [
            row
            for row in sorted(self.rows, key=lambda row: (row.at, row.node))
            if row.campaign == campaign
            and row.at >= since
            and (until is None or row.at < until)
            and (after is None or (row.at, row.node) > after)
        ]
        return found[:limit]


class FakeExplanations:
    """Explains what it was told to."""

    def __init__(self) -> None:
        self.known: dict[ContactId, Explanation] = {}

    async def explain(self, campaign: Campaign, state: CampaignState, contact: ContactId) -> Explanation | None:
        """See `dialer.api.explanation_ports.Explanations`."""
        return self.known.get(contact)


class FakeHealth:
    """Says what `rows` says."""

    def __init__(self) -> None:
        self.rows: list[HealthCheck] = [HealthCheck(name="redis", ok=True)]

    async def checks(self) -> Sequence[HealthCheck]:
        """See `dialer.api.health_ports.Health`."""
        return self.rows


class FakeAuditTrail:
    """The audit log in a list."""

    def __init__(self) -> None:
        self.notes: list[AuditNote] = []

    def note(self, note: AuditNote) -> None:
        """See `dialer.api.audit_ports.AuditTrail`."""
        self.notes.append(note)

    async def page(self, query: AuditQuery, before: int | None, limit: int) -> Sequence[AuditRow]:
        """See `dialer.api.audit_ports.AuditTrail`."""
        rows = [AuditRow(number=number, note=note) for number, note in enumerate(self.notes, 1)]
        return [row for row in reversed(rows) if (before is None or row.number < before) and query.wants(row.note)][
            :limit
        ]


class FakeDesks:
    """Agents' desks: seats, accounts and people that it was told of; the law allows what is not in `against`."""

    def __init__(self) -> None:
        self.seats: dict[AgentId, Seat] = {}
        self.accounts: dict[AgentId, Account] = {}
        self.people: dict[tuple[CampaignId, ContactId], Contact] = {}
        self.times = CallingTimes(zone="Europe/Madrid", spans=())
        self.against: NotThen | None = None

    def seat(self, agent: AgentId) -> Seat | None:
        """See `dialer.api.desk_ports.Desks`."""
        return self.seats.get(agent)

    async def account(self, agent: AgentId) -> Account:
        """See `dialer.api.desk_ports.Desks`."""
        return self.accounts.get(agent, Account())

    async def person(self, campaign: CampaignId, contact: ContactId) -> Contact | None:
        """See `dialer.api.desk_ports.Desks`."""
        return self.people.get((campaign, contact))

    def calling_times(self, campaign: Campaign, contact: Contact, phone: Phone, days: int) -> CallingTimes:
        """See `dialer.api.desk_ports.Desks`."""
        return self.times

    def not_then(self, campaign: Campaign, contact: Contact, phone: Phone, at: float) -> NotThen | None:
        """See `dialer.api.desk_ports.Desks`."""
        return self.against


class FakePhones:
    """Browsers' phones at the servers that have an address; passwords are counted, and nobody keeps them."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        #: Address of the WebSocket, by server; empty: no browser is a phone.
        self.urls: dict[ServerName, str] = {}
        self.problem = ""
        #: Whether another password was asked for, of each request.
        self.asked: list[tuple[AgentId, bool]] = []
        #: Campaigns of the last one.
        self.wished: tuple[CampaignId, ...] = ()

    def phone(self, agent: AgentId, server: ServerName) -> str:
        """See `dialer.api.phone_ports.BrowserPhones`."""
        return f"web-{agent}" if server in self.urls else ""

    def offered(self, agent: AgentId) -> bool:
        """See `dialer.api.phone_ports.BrowserPhones`."""
        return bool(self.urls) and agent != ""

    async def access(self, agent: AgentId, *, anew: bool, campaigns: Sequence[CampaignId]) -> PhoneAccess | str:
        """See `dialer.api.phone_ports.BrowserPhones`."""
        self.asked.append((agent, anew))
        self.wished = tuple(campaigns)
        if self.problem:
            return self.problem
        server, url = next(iter(self.urls.items()))
        return PhoneAccess(
            server=server,
            url=url,
            phone=self.phone(agent, server),
            realm="cadencia",
            password=f"password-{len(self.asked)}",
            ice=(IceServer(urls=("turn:turn.example",), username="u", credential=f"credential-{len(self.asked)}"),),
            expires_at=self._now() + 600.0,
        )


class FakeNode:
    """All ports of the API, connected to nothing but memory; `ports` is what `create_app` wants."""

    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock()
        self.keys = FakeKeyStore()
        self.control = FakeControl()
        self.campaigns = FakeCampaigns()
        self.intake = FakeIntake(folder, self.clock)
        self.recycling = FakeRecycling()
        self.purges = FakePurges()
        self.attempts = FakeAttempts()
        self.explanations = FakeExplanations()
        self.pacing = FakePacing()
        self.results = Broadcast()
        self.health = FakeHealth()
        self.metrics = Metrics("test")
        self.desks = FakeDesks()
        self.phones = FakePhones(self.clock.now)
        self.audit = FakeAuditTrail()
        self.ports = ApiPorts(
            clock=self.clock,
            keys=self.keys,
            idempotency=MemoryIdempotency(),
            control=self.control,
            campaigns=self.campaigns,
            intake=self.intake,
            recycling=self.recycling,
            purges=self.purges,
            attempts=self.attempts,
            explanations=self.explanations,
            pacing=self.pacing,
            results=self.results,
            health=self.health,
            metrics=self.metrics,
            desks=self.desks,
            phones=self.phones,
            audit=self.audit,
        )
