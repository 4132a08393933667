"""The port to the shared state of waiting contacts: hopper, gate, results.

Redis (`dialer.queues.redis_queues`) for real, memory (`dialer.queues.memory`) for tests and simulation, one contract
suite for both. All times are unix seconds of the caller's clock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol

import msgspec

from dialer.compliance.caps import Facts
from dialer.core.attempt import Attempt
from dialer.core.contact import Contact
from dialer.core.events import CallPurged, CallRecovered, PermitsGranted
from dialer.core.ids import AgentId, CallId, CampaignId, ContactId, Phone, ServerName
from dialer.core.outcome import Outcome
from dialer.core.permit import Permit
from dialer.core.promise import Due, Promise
from dialer.queues.cap_law import CapLaw


class LiveState(StrEnum):
    """How far a reserved contact has come; what recovery needs to know."""

    RESERVED = "reserved"
    DIALING = "dialing"
    ANSWERED = "answered"
    TALKING = "talking"


@dataclass(frozen=True, slots=True, kw_only=True)
class Publish:
    """Put one result on the results stream (see `dialer.queues.results` for their making)."""

    result: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkLive:
    """Note how far a call has come."""

    call: CallId
    state: LiveState
    at: float
    server: ServerName | None = None
    agent: AgentId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finish:
    """End an attempt: free contact and number, journal it, publish `call.ended`, requeue or drop the contact."""

    attempt: Attempt
    fencing_token: int
    retry_at: float | None
    #: The next attempt is made with an agent reserved for it, whichever.
    needs_agent: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """Give a reserved contact back as it was: no attempt was made.

    With `evidence`, which says why it may not be called now, the refusal goes on record.
    """

    permit: Permit
    not_before_at: float | None = None
    evidence: Mapping[str, object] | None = None
    #: In a word, for the record: hours, consent, ….
    reason: str = "put_off"
    #: Of its numbers those that are not called before a moment: the next one in turn is another. `NEVER` or later: not
    #: unless the CRM says other things of the contact.
    waits: Mapping[Phone, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refuse:
    """The number of a permit must not be called: no attempt was made, and the contact goes on without that number.

    It goes back with its next one. Had it no other, it leaves the hopper, and `contact.rejected` with `reason` is
    published. The refusal goes on record, as JSON values.
    """

    permit: Permit
    reason: str
    evidence: Mapping[str, object]


#: A number that waits until then is called no more, as things are; and so is what waits for longer.
NEVER: Final = 1e11
#: Moments from here on are none: see `FilterInForce.aside_at`. No calendar goes so far.
ASIDE: Final = 1e12

Write = Publish | MarkLive | Finish | Release | Refuse


class Offered(StrEnum):
    """What became of one contact offered to the hopper."""

    ADDED = "added"
    UPDATED = "updated"
    #: Removed earlier by the CRM: a removal is final for this campaign and contact.
    REMOVED = "removed"
    #: Its attempts are used up or it ended for good; its data was updated, it is not called again.
    FINISHED = "finished"
    #: Every one of its numbers is on a do-not-call list.
    DO_NOT_CALL = "do_not_call"


class PackedOffer(msgspec.Struct, frozen=True, kw_only=True):
    """Some contacts of one campaign, none twice, made ready elsewhere (`dialer.queues.wire.pack`)."""

    campaign: CampaignId
    count: int
    columns: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class HopperDepth:
    """How many contacts of a campaign wait."""

    ready: int
    later: int
    live: int
    #: Due, and called only with an agent reserved.
    reserved: int = 0
    #: Left out by the campaign's filter, as far as they have been looked at.
    aside: int = 0


@dataclass(frozen=True, slots=True)
class FilterInForce:
    """By which contacts of a campaign are chosen (`dialer.core.contact_filter`)."""

    #: Empty: all of them are called.
    text: str
    #: Each change of it has the next one.
    number: int

    @property
    def aside_at(self) -> float:
        """`Release.not_before_at` of whoever it leaves out: never, or rather until another is in force."""
        return ASIDE + self.number


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """The gate's answer. Its permits are valid while the context that gave it is open, and not after `expires_at`."""

    granted: PermitsGranted
    #: Removals and do-not-call entries that were found meanwhile and name calls of this node.
    purged: tuple[CallPurged, ...] = ()
    #: Of a contact asked for by name and refused: when to ask again; None: not while things are as they are.
    retry_at: float | None = None
    #: Of a contact asked for by name: it was lent for this call, and is done with it (see `Queues.lend`).
    lent: bool = False
    #: Of a contact asked for by name: the time that it waited for, where it did.
    waited_until: float | None = None
    #: None: the campaign never had one.
    filter: FilterInForce | None = None


_NONE: Final = Facts(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptMade:
    """One attempt of the past, as caps count it; moments in unix seconds."""

    campaign: CampaignId
    contact: ContactId
    phone: Phone
    started_at: float
    ended_at: float
    outcome: Outcome
    #: Of the contact: `person`, `account` and `subject`, where the CRM gave them.
    fields: Mapping[str, object] = field(default_factory=dict)
    #: Facts besides the outcome: that they called us, or want no more calls.
    more: Facts = _NONE


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """Something of a person that caps count and the gate has not seen itself; moments in unix seconds."""

    campaign: CampaignId
    phone: Phone
    started_at: float
    ended_at: float
    #: What it was; with `Facts.REFUSED` alone: that the person of a call does not want to be called.
    facts: Facts
    #: Of the contact: `person`, `account` and `subject`, where the CRM gave them.
    fields: Mapping[str, object] = field(default_factory=dict)
    seller: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What SQL remembers and the gate must know before anybody is dialed (see `Queues.rebuild`)."""

    contacts: Sequence[tuple[Contact, int, float | None]] = ()  # contact, attempts made, next attempt at
    #: Of contacts that say something of their numbers, and are on this page or a later one: attempts by number.
    numbers: Sequence[tuple[CampaignId, ContactId, Mapping[Phone, int]]] = ()
    finished: Sequence[tuple[CampaignId, ContactId]] = ()
    removed: Sequence[tuple[str, str]] = ()  # campaign or "*", contact id or phone
    promises: Sequence[Promise] = ()  # of contacts on this page or a later one
    do_not_call: Sequence[tuple[str, str, float | None]] = ()  # scope, phone or beginning with *, expiry
    listed: Sequence[tuple[str, str]] = ()  # scope, and phones listed for good, joined by commas
    #: Each of them on one page alone.
    attempts_made: Sequence[AttemptMade] = ()
    #: By which caps other than those by number count the attempts of this page.
    laws: Mapping[CampaignId, CapLaw] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)


#: Pages of the record, from SQL.
AsyncRecords = AsyncIterator[Record]


class Queues(Protocol):
    """What intake, engine and API need of the shared state."""

    async def prepare(self) -> bool:
        """Load the scripts. False where this server is not known to hold the whole record: `rebuild` first."""

    async def rebuild(self, pages: AsyncRecords) -> None:
        """Load the record into an empty or stale server: a union with what is there, idempotent, then open the gate."""

    async def offer(self, contacts: Sequence[Contact]) -> list[Offered]:
        """Upsert contacts into the hopper by (campaign, id); at most 1,000 at once."""

    async def offer_packed(self, offers: Sequence[PackedOffer]) -> Counter[Offered]:
        """As `offer`, for many contacts that have been checked and packed; how many of them became what."""

    def reserve(
        self,
        campaign: CampaignId,
        calls: Sequence[CallId],
        now: float,
        lease_s: float = 0.05,
        caps: CapLaw | None = None,
    ) -> AbstractAsyncContextManager[Reservation]:
        """The gate: drain removals and do-not-call entries, check, and reserve up to ``len(calls)`` contacts.

        With `caps` (`dialer.queues.cap_law.cap_law`, not older than a minute) nobody is reserved whom they forbid to
        call: such a contact waits until one of its numbers may be called, or leaves the hopper where that is never.

        One atomic step. While the context is open no other client can write (so no removal can be acknowledged);
        originates must be handed over inside it. Permits not used must be given back with `Release`.

        Raises:
            GateNotReady: this server has restarted or was emptied since `prepare`; rebuild first.
            QueueError: out of reach; nothing was reserved, or it will be found by `recover`.
        """

    def reserve_contact(
        self,
        campaign: CampaignId,
        contact: ContactId,
        call: CallId,
        now: float,
        lease_s: float = 0.05,
        caps: CapLaw | None = None,
        phone: Phone | None = None,
    ) -> AbstractAsyncContextManager[Reservation]:
        """The gate for one contact by name: every check of `reserve` in the same step, and one permit or none.

        With `phone` it is that number or none. Takes it out of wherever it waits. One that is being called ("live"),
        removed, finished or not known is refused and left alone; one that is refused for now waits until then, or
        longer where it was to wait longer anyway.

        Raises:
            GateNotReady, QueueError: as `reserve`.
        """

    async def promise(self, contact: Contact, promise: Promise, attempts: int = 0) -> Offered:
        """Offer a contact that is to be called with an agent reserved; one that is done is opened again.

        It waits for the time of the promise, whatever later offers say, until it is done. While it is being called the
        promise waits for the end of that call, and then counts whatever its outcome. `attempts`: made so far.
        """

    async def due_for_agents(self, campaign: CampaignId, now: float, limit: int = 100) -> Sequence[Due]:
        """Contacts that may be called now with an agent reserved, the oldest promise first."""

    async def holders(self, phone: Phone) -> Sequence[tuple[CampaignId, ContactId]]:
        """The contacts of all campaigns that have the number and are not done, in the order of campaigns and ids."""

    async def lend(self, contact: Contact, attempts: int = 0) -> Offered:
        """Make a contact that is done, or that no campaign calls by itself, known for one call by `reserve_contact`.

        Answers ADDED, UPDATED where it waits or is being called anyway (which changes nothing), or REMOVED.
        """

    async def set_filter(self, campaign: CampaignId, text: str) -> bool:
        """Choose a campaign's contacts by another filter from the next reservation on; whether it is another.

        It is handed out with each reservation, and whoever reserves judges by it, and gives those whom it leaves out
        back until `FilterInForce.aside_at`; they wait again once another is in force, or their data has come anew.

        Raises:
            GateNotReady: the record has not been loaded.
            QueueError: out of reach; do it again.
        """

    async def set_list_priority(self, campaign: CampaignId, list_id: str, priority: int) -> None:
        """Add another priority to those of a list's contacts; all that wait stand by it when this returns.

        A campaign of a million takes seconds, in steps between which everybody else has their turn.

        Raises:
            GateNotReady: the record has not been loaded.
            QueueError: out of reach; do it again.
        """

    async def list_priorities(self, campaign: CampaignId) -> Mapping[str, int]:
        """What was set, or is being set, of lists that have another than 0.

        Raises:
            QueueError: out of reach.
        """

    async def count(self, counted: Counted, now: float) -> None:
        """Enter it wherever any known rule counts; the same twice is once.

        Raises:
            GateNotReady: the record has not been loaded.
            QueueError: out of reach; do it again.
        """

    async def write(self, writes: Sequence[Write]) -> None:
        """Carry out writes in their order, in one round trip; each is idempotent.

        Raises:
            QueueError: out of reach; try the whole batch again.
        """

    async def drain(self) -> tuple[CallPurged, ...]:
        """Apply waiting removals and do-not-call entries now; answers with those that name calls of this node."""

    async def wait_for_purges(self, timeout_s: float) -> bool:
        """Wait until there is something to drain; False when `timeout_s` passed."""

    async def shared_now(self, now: float) -> float:
        """The moment by the one clock of all nodes, `now` by the caller's: for `recover` and `heartbeat`."""

    async def recover(self, now: float) -> list[CallRecovered]:
        """Calls that an earlier process of this node, or a node without heartbeat, left behind; now ours."""

    async def heartbeat(self, now: float, ttl_s: float) -> None:
        """Say that this node lives."""

    async def depth(self, campaign: CampaignId) -> HopperDepth:
        """How many contacts wait."""

    async def close(self) -> None:
        """Close the connections."""
