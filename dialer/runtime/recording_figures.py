"""How recordings fare on their way into the store, for the metrics; workers move them, the record knows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from dialer.core.kept_recording import Keeping
from dialer.errors import StorageError
from dialer.projections.metrics import Metrics
from dialer.storage.database import Database
from dialer.storage.recordings import Recordings

_log: Final = structlog.get_logger(__name__)

_COUNT_EVERY_S: Final = 15.0
#: A worker that noted the moment of a move may still be about to commit it.
_LATE_S: Final = 30.0


class RecordingCounts:
    """Tells the metrics what the record says; what was settled before it was made is not counted."""

    def __init__(self, database: Database, metrics: Metrics, now: Callable[[], float]) -> None:
        self._record = Recordings(database)
        self._metrics = metrics
        self._now = now
        self._counted_until = now()

    async def run(self) -> None:
        """Look every quarter of a minute, until cancelled."""
        while True:
            await asyncio.sleep(_COUNT_EVERY_S)
            try:
                await self.look()
            except StorageError as error:
                _log.warning("recordings are not counted", error=str(error))

    async def look(self) -> None:
        """Look once.

        Raises:
            StorageError: the database is out of reach; nothing is lost to the next look.
        """
        now = self._now()
        backlog = await self._record.backlog()
        self._metrics.recordings_waiting(
            backlog.waiting,
            put_off=backlog.put_off,
            oldest_s=0.0 if backlog.oldest_at is None else max(0.0, now - backlog.oldest_at),
        )
        until = now - _LATE_S
        if until <= self._counted_until:
            return
        settled = await self._record.settled(self._counted_until, until)
        self._counted_until = until
        for state in (Keeping.STORED, Keeping.MISSING):
            count, size = settled.get(state, (0, 0))
            self._metrics.recordings_settled(state.value, count, size)
