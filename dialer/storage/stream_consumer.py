"""From a stream into SQL: read a batch, commit it, then acknowledge it; never the other way round.

What has been read and not yet acknowledged is in one place only as far as the stream is concerned: it is read again
after a kill, and every write is idempotent. So nothing is lost and nothing is doubled, whenever the process dies.

While the database is away nothing more is read: one batch waits here, everything else in the stream.

A batch that has been read is nowhere else once Redis has lost its memory. So whoever rebuilds Redis from SQL waits for
`recorded` first, and what keeps somebody from being called goes into the stream once more where it was committed
after such a loss: another node may have rebuilt without it.
"""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

import structlog

from dialer.core.saying import NOTHING, of_error
from dialer.errors import QueueError, StorageError
from dialer.storage.database import Database
from dialer.storage.failures import RowRefused
from dialer.storage.journal import JournalReader
from dialer.storage.set_aside import SetAside, SetAsides

T = TypeVar("T")
Entry = tuple[str, bytes]
Pause = Callable[[float, asyncio.Event], Awaitable[None]]

_log: Final = structlog.get_logger(__name__)
#: Batches written after the stop, at most: another node may go on filling the stream.
_FLUSH_BATCHES: Final = 200
#: Never 0, which for Redis means without end.
_NO_WAIT_S: Final = 0.001


def never_lost() -> int:
    """Where nobody counts."""
    return 0


async def pause_or_stop(delay_s: float, stop: asyncio.Event) -> None:
    """Wait for `delay_s`, or less where `stop` is set meanwhile."""
    try:
        async with asyncio.timeout(delay_s):
            await stop.wait()
    except TimeoutError:
        return


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumerStatus:
    """How a consumer fares; for metrics and health."""

    #: Entries committed and acknowledged since the start.
    written: int
    #: Of these, entries that made no sense and were set aside.
    set_aside: int
    #: Entries read and not yet acknowledged.
    waiting: int
    #: What stands in the way since when (unix seconds); None where all is well.
    trouble: str | None
    trouble_since: float | None
    #: The trouble for a catalogue.
    code: str = ""
    arguments: Mapping[str, object] = field(default_factory=dict, hash=False)


class StreamConsumer(ABC):
    """One consumer of one stream. `run` it in a task; set its stop event to end it."""

    #: The stream's name, for logs and what is set aside.
    stream: str
    #: How often this node has lost Redis.
    losses: Callable[[], int] = staticmethod(never_lost)
    #: The shard whose stream it is: ids of entries are its own. Empty: there is one Redis.
    shard: str = ""

    def __init__(
        self,
        database: Database,
        reader: JournalReader,
        now: Callable[[], float],
        *,
        batch: int = 500,
        linger_s: float = 0.25,
        backoff_min_s: float = 0.1,
        backoff_max_s: float = 5.0,
        pause: Pause = pause_or_stop,
    ) -> None:
        """Prepare; nothing is read yet.

        Args:
            database: where the entries go.
            reader: the stream.
            now: the clock.
            batch: entries a transaction, at most.
            linger_s: how long the first entry of a batch waits for more.
            backoff_min_s: first pause after a failure; each next one is twice as long,
            backoff_max_s: up to this.
            pause: how a pause is made.
        """
        self._database = database
        self._reader = reader
        self._now = now
        self._batch = batch
        self._linger_s = linger_s
        self._backoff_min_s = backoff_min_s
        self._backoff_max_s = backoff_max_s
        self._pause = pause
        self._asides = SetAsides(database)
        self._written = 0
        self._set_aside = 0
        self._waiting = 0
        self._trouble = NOTHING
        self._trouble_since: float | None = None
        self._losses_at_read = 0
        self._recorded = asyncio.Event()
        self._recorded.set()

    async def recorded(self) -> None:
        """Wait until nothing that was read is missing in the database."""
        await self._recorded.wait()

    @property
    def status(self) -> ConsumerStatus:
        """How it fares."""
        return ConsumerStatus(
            written=self._written,
            set_aside=self._set_aside,
            waiting=self._waiting,
            trouble=self._trouble.says or None,
            trouble_since=self._trouble_since,
            code=self._trouble.code,
            arguments=self._trouble.arguments,
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Consume until `stop`; then write what is still in the stream, and return.

        Database or Redis may be away at any time: it waits for them. Where one is still away after the stop, what is
        not written stays in the stream for the next start.
        """
        while not stop.is_set():
            entries = await self._persist(lambda: self._gather(stop), stop)
            if entries:
                await self._take(entries, stop)
        for _ in range(_FLUSH_BATCHES):
            entries = await self._persist(lambda: self._reader.read(self._batch, _NO_WAIT_S), stop)
            if not entries or not await self._take(entries, stop):
                return

    @abstractmethod
    async def _store(self, entries: Sequence[Entry]) -> Sequence[SetAside]:
        """Commit entries; what makes no sense is given back, to be set aside.

        Raises:
            RowRefused: one of them cannot be stored, and so none was.
            StorageError: nothing was written.
        """

    async def _gather(self, stop: asyncio.Event) -> Sequence[Entry]:
        # A read is never cancelled: entries handed over at that very moment would wait for the next start.
        losses = self.losses()
        entries = list(await self._reader.read(self._batch, self._linger_s))
        if entries:
            self._losses_at_read = losses
            self._recorded.clear()
        if entries and len(entries) < self._batch:
            await pause_or_stop(self._linger_s, stop)  # one read for all that come meanwhile, not one for each
            with contextlib.suppress(QueueError):  # what we have comes first
                entries += await self._reader.read(self._batch - len(entries), _NO_WAIT_S)
        return entries

    async def _take(self, entries: Sequence[Entry], stop: asyncio.Event) -> bool:
        """Commit, then acknowledge. False: stopped before both were done."""
        self._waiting = len(entries)
        aside = await self._persist(lambda: self._commit(entries), stop)
        if aside is None:
            return False
        if self.losses() != self._losses_at_read and await self._persist(lambda: self._repeat(entries), stop) is None:
            return False
        self._recorded.set()
        acknowledged = await self._persist(lambda: self._acknowledge(entries), stop)
        if acknowledged is None:
            return False
        self._waiting = 0
        self._written += len(entries)
        self._set_aside += aside
        return True

    def _bars(self, entry: str, data: bytes) -> bool:
        """Whether the gate, which reads the stream as well, keeps somebody from being called by it."""
        return False

    async def _repeat(self, entries: Sequence[Entry]) -> bool:
        barring = [data for entry, data in entries if self._bars(entry, data)]
        if barring:
            _log.warning("Redis was lost meanwhile: told once more", stream=self.stream, entries=len(barring))
            await self._reader.put_back(barring)
        return True

    async def _acknowledge(self, entries: Sequence[Entry]) -> bool:
        await self._reader.ack([entry for entry, _ in entries])
        return True

    async def _commit(self, entries: Sequence[Entry]) -> int:
        try:
            aside = list(await self._store(entries))
        except RowRefused as refusal:
            # Halve until the one that is refused stands alone; the others are not concerned.
            if len(entries) > 1:
                middle = len(entries) // 2
                return await self._commit(entries[:middle]) + await self._commit(entries[middle:])
            entry, data = entries[0]
            aside = [self._aside(entry, data, str(refusal))]
        if aside:
            await self._asides.add(aside)
            _log.warning("stream entries set aside", stream=self.stream, entries=[item.entry for item in aside][:10])
        return len(aside)

    def _aside(self, entry: str, data: bytes, reason: str) -> SetAside:
        stream = f"{self.stream}@{self.shard}" if self.shard else self.stream
        return SetAside(stream=stream, entry=entry, reason=reason, data=data, at=self._now())

    async def _persist(self, step: Callable[[], Awaitable[T]], stop: asyncio.Event) -> T | None:
        """Do `step`, again and again while database or Redis are away; None where it was stopped before it worked."""
        delay_s = self._backoff_min_s
        while True:
            try:
                result = await step()
            except (StorageError, QueueError) as error:
                # Also those that waiting does not mend: an operator does, and until then the stream keeps everything.
                if not self._trouble:
                    self._trouble_since = self._now()
                    _log.error("stream is not being recorded", stream=self.stream, reason=str(error))
                self._trouble = of_error(error)
                if stop.is_set():
                    return None
                await self._pause(delay_s, stop)
                delay_s = min(self._backoff_max_s, 2 * delay_s)
            else:
                if self._trouble:
                    _log.info("stream is being recorded again", stream=self.stream)
                    self._trouble, self._trouble_since = NOTHING, None
                return result
