"""Keeps the time of agents: notices in, spells in the database out, old ones deleted.

A projection that must never cost a call: `apply` only puts spells into a bounded queue. While the database is away the
queue fills; when it is full the oldest spell is dropped, with a word in the log.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from dialer.core.agent_spell import AgentSpell
from dialer.core.notices import AnyNotice
from dialer.errors import StorageError
from dialer.projections.agent_time import AgentTime
from dialer.storage.agent_time import DELETE_AT_ONCE, AgentTimes
from dialer.storage.database import Database
from dialer.storage.failures import RowRefused

_log = structlog.get_logger(__name__)

#: A quarter of an hour of a thousand agents.
LIMIT: Final = 50_000
_AT_ONCE: Final = 1_000
#: A crash loses no more than this of what was under way.
_EVERY_S: Final = 15.0
_CLEAN_EVERY_S: Final = 3_600.0
#: Between two deletions: others want to write too.
_CLEAN_PAUSE_S: Final = 0.2
_DAY_S: Final = 86_400.0


class AgentTimeRecorder:
    """Writes the spells of one node's agents.

    Args:
        database: where to.
        now: the clock.
        keep_days: older spells are deleted.
        limit: spells that may wait.
    """

    def __init__(self, database: Database, *, now: Callable[[], float], keep_days: float, limit: int = LIMIT) -> None:
        self._times = AgentTimes(database)
        self._spells = AgentTime()
        self._now = now
        self._keep_s = keep_days * _DAY_S
        self._limit = limit
        self._waiting: deque[AgentSpell] = deque()
        self._writing = asyncio.Lock()

    def __len__(self) -> int:
        return len(self._waiting)

    def apply(self, notice: AnyNotice) -> None:
        """Take a notice in; never waits and never fails."""
        self._put(self._spells.apply(notice))

    async def run(self) -> None:
        """Write what has ended, and what is under way as far as it has come, until cancelled."""
        while True:
            await asyncio.sleep(_EVERY_S)
            await self.write()

    async def write(self) -> bool:
        """Write now; False where the database is away: what was not written waits."""
        self._put(self._spells.open(self._now()))
        async with self._writing:
            while self._waiting:
                batch = [self._waiting.popleft() for _ in range(min(_AT_ONCE, len(self._waiting)))]
                try:
                    await self._store(batch)
                except StorageError as error:
                    self._waiting.extendleft(reversed(batch))
                    _log.warning("time of agents is not being kept", waiting=len(self), error=str(error))
                    return False
        return True

    async def flush(self, timeout_s: float) -> bool:
        """Write everything to the last moment; False when `timeout_s` passed first."""
        try:
            async with asyncio.timeout(timeout_s):
                return await self.write()
        except TimeoutError:
            return False

    async def clean(self) -> None:
        """Delete what is too old, a little at a time, until cancelled."""
        while True:
            try:
                deleted = DELETE_AT_ONCE
                while deleted >= DELETE_AT_ONCE:
                    deleted = await self._times.delete_before(self._now() - self._keep_s)
                    await asyncio.sleep(_CLEAN_PAUSE_S)
            except StorageError as error:
                _log.warning("old times of agents are not deleted", error=str(error))
            await asyncio.sleep(_CLEAN_EVERY_S)

    # ---- inside

    def _put(self, spells: Sequence[AgentSpell]) -> None:
        for spell in spells:
            if len(self._waiting) >= self._limit:
                lost = self._waiting.popleft()
                _log.error("database is behind: time of an agent is lost", agent=lost.agent, ms=lost.ms)
            self._waiting.append(spell)

    async def _store(self, batch: Sequence[AgentSpell]) -> None:
        # An open spell and its end may wait together; of the same spell only the last counts.
        latest = {(spell.agent, spell.began_at, spell.campaign): spell for spell in batch}
        try:
            await self._times.append(list(latest.values()))
        except RowRefused as refused:
            if len(batch) == 1:
                _log.error("time of an agent cannot be stored", error=str(refused))
                return
            half = len(batch) // 2
            await self._store(batch[:half])
            await self._store(batch[half:])
