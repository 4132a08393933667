"""Calls of today from each caller id, also those of an earlier process and of other nodes: from the record."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from zoneinfo import ZoneInfo

import structlog

from dialer.core.floor import Floor
from dialer.errors import StorageError
from dialer.storage.attempts import Attempts

_log = structlog.get_logger(__name__)

#: What other nodes have called from a number is on record some seconds later anyway.
_EVERY_S = 60.0


class CallerIdCounts:
    """Keeps the floor's ledger of caller ids in step with the record; a day is one of `zone`."""

    def __init__(self, attempts: Attempts, floor: Floor, zone: ZoneInfo, now: Callable[[], float]) -> None:
        self._attempts = attempts
        self._floor = floor
        self._zone = zone
        self._now = now

    async def restore(self) -> None:
        """Count today's calls.

        Raises:
            StorageError: the database is out of reach.
        """
        ledger, now = self._floor.caller_ids, self._now()
        self.set_day()
        for number, calls in (await self._attempts.calls_by_caller_id(ledger.day_began(now))).items():
            ledger.restore(number, calls, now)

    def set_day(self) -> None:
        """Let the ledger's day begin at the zone's midnight, whatever the season."""
        offset = datetime.fromtimestamp(self._now(), self._zone).utcoffset()
        self._floor.caller_ids.utc_offset_s = 0.0 if offset is None else offset.total_seconds()

    async def run(self) -> None:
        """Count again and again, as long as some number has a cap, until cancelled."""
        while True:
            await asyncio.sleep(_EVERY_S)
            pools = [run.campaign.pool for run in self._floor.campaigns.values()]
            if any(one.max_calls_per_day is not None for pool in pools for one in pool):
                try:
                    await self.restore()
                except StorageError as error:
                    _log.warning("calls of other nodes are not counted", error=str(error))
