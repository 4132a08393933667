"""Keeps the pacing journal: notices in, rows in the database out, old rows deleted.

A projection that must never cost a call: `apply` only puts a row into a bounded queue. While the database is away the
queue fills; when it is full the oldest row is dropped and counted, since the latest tell most of what goes on.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from dialer.core.ids import NodeName
from dialer.core.notices import AnyNotice
from dialer.core.pacing_entry import PacingEntry
from dialer.errors import StorageError
from dialer.projections.pacing_entries import PacingEntries
from dialer.storage.database import Database
from dialer.storage.failures import RowRefused
from dialer.storage.pacing_journal import DELETE_AT_ONCE, PacingJournal

_log = structlog.get_logger(__name__)

#: Hours of one busy campaign, minutes of a hundred.
LIMIT: Final = 10_000
_AT_ONCE: Final = 500
#: Rows of all campaigns in one transaction; whoever reads the journal does not mind these seconds.
_LINGER_S: Final = 1.0
_RETRY_S: Final = 1.0
_RETRY_MAX_S: Final = 30.0
_CLEAN_EVERY_S: Final = 900.0
#: Between two deletions: others want to write too.
_CLEAN_PAUSE_S: Final = 0.2
_DAY_S: Final = 86_400.0


class PacingRecorder:
    """Writes the journal of one node.

    Args:
        database: where to.
        node: whose decisions.
        now: the clock.
        keep_days: older rows are deleted.
        dropped: told how many rows were given up.
        limit: rows that may wait.
    """

    def __init__(
        self,
        database: Database,
        *,
        node: NodeName,
        now: Callable[[], float],
        keep_days: float,
        dropped: Callable[[int], None],
        limit: int = LIMIT,
    ) -> None:
        self._journal = PacingJournal(database)
        self._entries = PacingEntries(node)
        self._now = now
        self._keep_s = keep_days * _DAY_S
        self._dropped = dropped
        self._limit = limit
        self._waiting: deque[PacingEntry] = deque()
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._flushing = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    def apply(self, notice: AnyNotice) -> None:
        """Take a notice in; never waits and never fails."""
        entry = self._entries.apply(notice)
        if entry is not None:
            self._put(entry)

    def _put(self, entry: PacingEntry) -> None:
        if len(self._waiting) >= self._limit:
            self._waiting.popleft()
            self._dropped(1)
        self._waiting.append(entry)
        self._idle.clear()
        self._wake.set()

    async def run(self) -> None:
        """Write until cancelled."""
        delay_s = _RETRY_S
        while True:
            await self._wake.wait()
            await self._pause(_LINGER_S)
            batch = [self._waiting.popleft() for _ in range(min(_AT_ONCE, len(self._waiting)))]
            try:
                await self._write(batch)
            except StorageError as error:
                self._put_back(batch)
                _log.warning("pacing journal is not being kept", waiting=len(self), error=str(error))
                await self._pause(delay_s)
                delay_s = min(2 * delay_s, _RETRY_MAX_S)
                continue
            delay_s = _RETRY_S
            if not self._waiting:
                self._wake.clear()
                self._idle.set()

    async def clean(self) -> None:
        """Delete what is too old, a little at a time, until cancelled."""
        while True:
            try:
                deleted = DELETE_AT_ONCE
                while deleted >= DELETE_AT_ONCE:
                    deleted = await self._journal.delete_before(self._now() - self._keep_s)
                    await asyncio.sleep(_CLEAN_PAUSE_S)
            except StorageError as error:
                _log.warning("old rows of the pacing journal are not deleted", error=str(error))
            await asyncio.sleep(_CLEAN_EVERY_S)

    async def flush(self, timeout_s: float) -> bool:
        """Wait until all is written, to the last call started; False when `timeout_s` passed first."""
        for entry in self._entries.close():
            self._put(entry)
        self._flushing.set()
        try:
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()
        except TimeoutError:
            return False
        finally:
            self._flushing.clear()
        return True

    # ---- inside

    async def _write(self, batch: Sequence[PacingEntry]) -> None:
        try:
            await self._journal.append(batch)
        except RowRefused as refused:
            if len(batch) == 1:
                _log.error("a row of the pacing journal cannot be stored", error=str(refused))
                self._dropped(1)
                return
            half = len(batch) // 2
            await self._write(batch[:half])
            await self._write(batch[half:])

    def _put_back(self, batch: Sequence[PacingEntry]) -> None:
        room = max(0, self._limit - len(self._waiting))
        if room < len(batch):
            self._dropped(len(batch) - room)
        self._waiting.extendleft(reversed(batch[len(batch) - room :]))

    async def _pause(self, seconds: float) -> None:
        """Wait, but not while somebody waits for us to finish."""
        try:
            async with asyncio.timeout(seconds):
                await self._flushing.wait()
        except TimeoutError:
            return
        await asyncio.sleep(min(seconds, 0.05))
