"""A list from a file into the record and the hopper: parse, store, offer, each while the others go on.

    reading process ──pipe──► storing (SQL, up to 5,000 rows a transaction) ──queue──► offering (hopper, 1,000 at once)

The reading process makes of each contact what the database and the hopper take, so that nothing here handles rows one
by one: reading, the database's thread and Redis are what shares the processors. What is offered has been stored; what
has been stored is offered at once, so that the first contact of a list can be dialed long before its last row has been
read. Every step can be repeated: the same list again changes nothing.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final, Protocol

from dialer.core.ids import CampaignId
from dialer.core.saying import NOTHING, Saying, of_error, say, unforeseen
from dialer.errors import DialerError, InputError, RetryableError
from dialer.intake.reading import ReadBatch, ReadOrder, read_apart, reasons_of
from dialer.intake.rows import ListFormat
from dialer.intake.rows import RejectedRow as Refused
from dialer.queues.port import Offered, PackedOffer
from dialer.storage.contact_rows import ContactRow
from dialer.storage.lists import ContactList, ListCounts, ListState, RejectedRow

if TYPE_CHECKING:
    from dialer.intake.known_numbers import NumberStore  # numpy, which hardly any list needs

#: Rows in one transaction: the database is waited for once a transaction, and other writers wait as long as it lasts.
_STORE_AT_ONCE: Final = 5_000
#: At once: one is copied while the one before it is committed. Each has its rows in one order, so that they never wait
#: for those of another import crosswise.
_TRANSACTIONS: Final = 2
#: Seconds between two notes of how far the list is.
_PROGRESS_EVERY_S: Final = 0.5


class ContactStore(Protocol):
    """Where contacts are kept (`dialer.storage.contacts.Contacts`)."""

    async def upsert_rows(self, rows: Sequence[ContactRow], *, fresh: bool = False) -> bool:
        """Add or update contacts that are most likely all new (`fresh`) or not; whether to expect it of the next."""


class ListStore(Protocol):
    """Where imports are kept (`dialer.storage.lists.Lists`)."""

    async def start(self, list_id: str, campaign: CampaignId, *, name: str, source: str, now: float) -> bool:
        """Note that an import has begun; False where its id is known."""

    async def get(self, list_id: str) -> ContactList | None:
        """One import."""

    async def progress(self, list_id: str, counts: ListCounts, rejected: Sequence[RejectedRow] = ()) -> None:
        """Note how far it is, and further rejected rows."""

    async def finish(
        self, list_id: str, state: ListState, counts: ListCounts, *, now: float, error: Saying = NOTHING
    ) -> None:
        """Note how it ended."""


class Hopper(Protocol):
    """Where contacts wait to be called (`dialer.queues.port.Queues`)."""

    async def offer_packed(self, offers: Sequence[PackedOffer]) -> Counter[Offered]:
        """Upsert contacts; how many of them became what."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportOrder:
    """Which file becomes which list."""

    list_id: str
    campaign: CampaignId
    path: Path
    #: For people; the file's name where empty.
    name: str = ""
    #: Region of numbers without country code.
    region: str = "ES"
    #: None: found out.
    form: ListFormat | None = None
    #: Whether the same order is run again where Redis or the database fails: the list has not failed then.
    tried_again: bool = False
    #: Whether a row is rejected all of whose numbers other contacts of the campaign have; by default it is taken.
    refuse_duplicates: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportProgress:
    """How far an import is."""

    counts: ListCounts
    #: Contacts that the hopper has taken, or knows; less than accepted while the import runs.
    offered: int
    #: Of what the hopper was offered: added, updated, removed, finished, do_not_call.
    answers: dict[str, int] = field(default_factory=dict)
    #: Rows of which some number was left out.
    partial: int = 0
    bytes_read: int = 0
    bytes_total: int = 0
    seconds: float = 0.0


OnProgress = Callable[[ImportProgress], None]
Read = Callable[[ReadOrder], AsyncIterator[ReadBatch]]


class Importer:
    """Loads lists; one importer may load several, one after another or at once.

    Args:
        contacts: record of contacts.
        lists: record of imports.
        hopper: None where contacts are only stored, and `dialer.queues.port.Queues.rebuild` loads them later.
        now: the clock.
        read: how a file is read; another process by default.
        numbers: who has which number; needed for lists that refuse numbers of others.
    """

    def __init__(
        self,
        contacts: ContactStore,
        lists: ListStore,
        hopper: Hopper | None,
        now: Callable[[], float],
        read: Read = read_apart,
        numbers: NumberStore | None = None,
    ) -> None:
        self._contacts = contacts
        self._lists = lists
        self._hopper = hopper
        self._now = now
        self._read = read
        self._numbers = numbers

    async def run(self, order: ImportOrder, on_progress: OnProgress | None = None) -> ImportProgress:
        """Load one list; a list that was interrupted is loaded whole by running the same order again.

        Raises:
            InputError: the file cannot be used; nothing, or what came before the fault, was stored.
            QueueError: the hopper is out of reach; run the order again.
            StorageError: the database is; run the order again.
        """
        try:
            size = (await asyncio.to_thread(order.path.stat)).st_size
        except OSError as error:
            raise InputError(f"cannot read {order.path}: {error.strerror}") from error
        started_at = pushed_at = self._now()
        fresh = True
        name = order.name or order.path.name
        if not await self._lists.start(
            order.list_id, order.campaign, name=name, source=order.path.name, now=started_at
        ):
            known = await self._lists.get(order.list_id)
            if known is not None and known.campaign != order.campaign:
                raise InputError(
                    f"list {order.list_id!r} belongs to campaign {known.campaign!r}; "
                    f"take another list id for {order.campaign!r}"
                )
            fresh = False
            if known is not None:
                # What came for these contacts since the first run began is newer than the file, and stays.
                pushed_at = known.started_at
        run = _Run(
            self._contacts,
            self._lists,
            self._hopper,
            self._now,
            order,
            on_progress,
            started_at,
            pushed_at,
            size,
            fresh,
        )
        try:
            with ExitStack() as stack:
                numbers = await self._known(order, stack) if order.refuse_duplicates else None
                await run.all(self._read, numbers)
        except BaseException as error:
            if isinstance(error, asyncio.CancelledError):
                says = "stopped before its end; load the same list again to go on"
                state, problem = ListState.CANCELLED, say(says, code="list_stopped")
            elif isinstance(error, RetryableError) and order.tried_again:
                raise
            elif isinstance(error, DialerError):
                state, problem = ListState.FAILED, of_error(error)
            else:
                state, problem = ListState.FAILED, unforeseen(error)
            await self._note_failure(order.list_id, state, run.counts(), problem)
            raise
        await self._lists.finish(order.list_id, ListState.LOADED, run.counts(), now=self._now())
        progress = run.progress()
        if on_progress is not None:
            on_progress(progress)
        return progress

    async def _known(self, order: ImportOrder, stack: ExitStack) -> Path:
        """A file of the numbers that contacts of the campaign have, until `stack` ends."""
        if self._numbers is None:
            raise InputError("this importer cannot refuse numbers of others: it was not told who has which")
        from dialer.intake.known_numbers import gather  # noqa: PLC0415  # as above

        path = Path(stack.enter_context(TemporaryDirectory(prefix="cadencia-numbers-"))) / "known.npy"
        await gather(self._numbers, order.campaign, path)
        return path

    async def _note_failure(self, list_id: str, state: ListState, counts: ListCounts, problem: Saying) -> None:
        try:
            await self._lists.finish(list_id, state, counts, now=self._now(), error=problem)
        except DialerError:
            # Most likely the reason of the failure itself, which is the one to be raised.
            return


@dataclass(frozen=True, slots=True, kw_only=True)
class _Portion:
    """What goes into one transaction, and becomes known and offered when that has ended."""

    storing: asyncio.Task[None]
    rows: int
    offers: list[list[PackedOffer]]
    rejected: list[Refused]


class _Run:
    """One import under way."""

    def __init__(
        self,
        contacts: ContactStore,
        lists: ListStore,
        hopper: Hopper | None,
        now: Callable[[], float],
        order: ImportOrder,
        on_progress: OnProgress | None,
        started_at: float,
        pushed_at: float,
        size: int,
        fresh: bool,
    ) -> None:
        self._contacts = contacts
        self._lists = lists
        self._hopper = hopper
        self._now = now
        self._order = order
        self._on_progress = on_progress
        self._started_at = started_at
        self._pushed_at = pushed_at
        self._size = size
        self._accepted = 0
        self._rejected = 0
        self._partial = 0
        #: Whether its contacts seem to be new all of them; an earlier run of this list may have stored some.
        self._fresh = fresh
        self._offered = 0
        self._bytes = 0
        self._reasons: Counter[str] = Counter()
        self._answers: Counter[str] = Counter()
        self._noted_at = started_at
        self._read: asyncio.Queue[ReadBatch | None] = asyncio.Queue(maxsize=8)
        self._transactions = asyncio.Semaphore(_TRANSACTIONS)
        self._storing_now: asyncio.Queue[_Portion | None] = asyncio.Queue(maxsize=_TRANSACTIONS)
        self._stored: asyncio.Queue[list[PackedOffer] | None] = asyncio.Queue(maxsize=8)

    def counts(self) -> ListCounts:
        """Rows so far."""
        return ListCounts(
            read=self._accepted + self._rejected,
            accepted=self._accepted,
            rejected=self._rejected,
            reasons=dict(self._reasons),
        )

    def progress(self) -> ImportProgress:
        """How far it is."""
        return ImportProgress(
            counts=self.counts(),
            offered=self._offered,
            answers=dict(self._answers),
            partial=self._partial,
            bytes_read=self._bytes,
            bytes_total=self._size,
            seconds=self._now() - self._started_at,
        )

    async def all(self, read: Read, known: Path | None) -> None:
        """Read, store and offer until the end of the file."""
        order = ReadOrder(
            path=str(self._order.path),
            campaign=self._order.campaign,
            region=self._order.region,
            list_id=self._order.list_id,
            form=self._order.form,
            known="" if known is None else str(known),
        )
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._reading(read(order)), name="import: read")
                tasks.create_task(self._storing(tasks), name="import: store")
                tasks.create_task(self._noting(), name="import: note")
                tasks.create_task(self._offering(), name="import: offer")
        except BaseExceptionGroup as group:
            # The first failure cancelled the others; it alone tells what happened.
            raise group.exceptions[0] from group

    async def _reading(self, batches: AsyncIterator[ReadBatch]) -> None:
        async for batch in batches:
            await self._read.put(batch)
        await self._read.put(None)

    async def _storing(self, tasks: asyncio.TaskGroup) -> None:
        ended = False
        first = True
        while not ended:
            batch = await self._read.get()
            rows: list[ContactRow] = []
            offers: list[list[PackedOffer]] = []
            rejected: list[Refused] = []
            while batch is not None:
                rows += batch.contacts.rows(self._order.campaign, self._pushed_at, self._order.list_id)
                offers.append(batch.offers)
                rejected += batch.rejected
                self._bytes = batch.bytes_read
                # The first rows of a list do not wait for more: somebody may be called already.
                if first or len(rows) + len(rejected) >= _STORE_AT_ONCE:
                    first = False
                    break
                batch = await self._read.get()
            ended = batch is None
            await self._transactions.acquire()
            storing = tasks.create_task(self._upsert(rows), name="import: upsert")
            await self._storing_now.put(_Portion(storing=storing, rows=len(rows), offers=offers, rejected=rejected))
        await self._storing_now.put(None)

    async def _upsert(self, rows: list[ContactRow]) -> None:
        if rows and not await self._contacts.upsert_rows(rows, fresh=self._fresh):
            self._fresh = False

    async def _noting(self) -> None:
        while (portion := await self._storing_now.get()) is not None:
            await portion.storing
            self._transactions.release()
            await self._note(portion.rows, portion.rejected)
            for offered in portion.offers:
                await self._stored.put(offered)
        await self._stored.put(None)

    async def _note(self, rows: int, rejected: list[Refused]) -> None:
        self._accepted += rows
        reasons = reasons_of(rejected)
        self._reasons += reasons
        self._rejected += reasons.total()
        self._partial += len(rejected) - reasons.total()
        now = self._now()
        if rejected or now - self._noted_at >= _PROGRESS_EVERY_S:
            self._noted_at = now
            problems = [
                RejectedRow(row=row.row, code=str(row.reason), message=row.message, raw=row.raw) for row in rejected
            ]
            await self._lists.progress(self._order.list_id, self.counts(), problems)
        if self._on_progress is not None:
            self._on_progress(self.progress())

    async def _offering(self) -> None:
        while (offers := await self._stored.get()) is not None:
            if self._hopper is not None:
                answers = await self._hopper.offer_packed(offers)
                self._answers.update({str(answer): count for answer, count in answers.items()})
            self._offered += sum(offer.count for offer in offers)
            if self._on_progress is not None:
                self._on_progress(self.progress())
