"""Writes the audit log: notes in at any rate, rows out once a second, none lost by a node that is stopped.

While the database is away notes wait, so many; when there is no more room a note goes to the node's own log instead.
What somebody does again and again within one second, such as a CRM that sends contacts, is one row with a count.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import structlog

from dialer.core.audit_note import AuditNote, AuditQuery, AuditRow
from dialer.errors import StorageError
from dialer.storage.audit_log import AuditLog
from dialer.storage.database import Database
from dialer.storage.failures import RowRefused

_log = structlog.get_logger(__name__)

#: Different deeds that may wait.
LIMIT: Final = 20_000
_AT_ONCE: Final = 500
_EVERY_S: Final = 1.0
_DAY_S: Final = 86_400.0
#: Others write meanwhile.
_CUT_PAUSE_S: Final = 0.1

#: Deeds with the same of these are one row.
_Key = tuple[str, str, str, str, str, str]


class AuditWriter:
    """`dialer.api.audit_ports.AuditTrail` of one node. `run` it in a task; `flush` it at the end.

    Args:
        database: where to.
        limit: different deeds that may wait.
    """

    def __init__(self, database: Database, *, limit: int = LIMIT) -> None:
        self._record: Final = AuditLog(database)
        self._limit: Final = limit
        self._waiting: list[AuditNote] = []
        #: Place in `_waiting` of what may happen again, and how often it did.
        self._same: Final[dict[_Key, tuple[int, int]]] = {}
        self._writing: Final = asyncio.Lock()

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def waiting(self) -> Sequence[AuditNote]:
        """What has not been written yet."""
        return tuple(self._waiting)

    def note(self, note: AuditNote) -> None:
        """See `AuditTrail`."""
        key = (note.who, note.role, note.address, note.action, note.object, note.outcome)
        if not note.details and key in self._same:
            place, count = self._same[key]
            self._same[key] = (place, count + 1)
            self._waiting[place] = replace(self._waiting[place], details={"count": count + 1})
            return
        if len(self._waiting) >= self._limit:
            _log.error(
                "database is behind: a deed is in this log alone",
                who=note.who,
                action=note.action,
                object=note.object,
                outcome=note.outcome,
            )
            return
        if not note.details:
            self._same[key] = (len(self._waiting), 1)
        self._waiting.append(note)

    async def page(self, query: AuditQuery, before: int | None, limit: int) -> Sequence[AuditRow]:
        """See `AuditTrail`; what this node has not written yet is written first."""
        await self.write()
        return await self._record.page(query, before, limit)

    async def run(self) -> None:
        """Write once a second until cancelled."""
        while True:
            await asyncio.sleep(_EVERY_S)
            await self.write()

    async def clean(self, keep_days: float, *, by: str, now: Callable[[], float]) -> None:
        """Take out what is older than `keep_days`, once a day, until cancelled; the log itself says so.

        Args:
            keep_days: 365 at least.
            by: the node that does it.
            now: the clock.
        """
        while True:
            # The same for all nodes on one day, so that one cut is on record.
            before = (now() // _DAY_S - keep_days) * _DAY_S
            taken = 0
            try:
                while rows := await self._record.cut(before, now()):
                    taken += rows
                    await asyncio.sleep(_CUT_PAUSE_S)
            except StorageError as error:
                _log.warning("old deeds are not taken out of the audit log", error=str(error))
            if taken:
                details = {"rows": taken, "before": before}
                self.note(AuditNote(at=now(), who=f"node:{by}", action="audit_log.cut", details=details))
            await asyncio.sleep(_DAY_S)

    async def write(self) -> bool:
        """Write what waits; False where the database is away: it waits on."""
        async with self._writing:
            while self._waiting:
                batch, self._waiting = self._waiting[:_AT_ONCE], self._waiting[_AT_ONCE:]
                self._same.clear()
                try:
                    await self._store(batch)
                except StorageError as error:
                    self._waiting = batch + self._waiting
                    self._same.clear()
                    _log.warning("audit log is not being written", waiting=len(self), error=str(error))
                    return False
                except asyncio.CancelledError:
                    # Whether it was committed is not known: twice is better than not at all.
                    self._waiting = batch + self._waiting
                    self._same.clear()
                    raise
        return True

    async def flush(self, timeout_s: float) -> bool:
        """Write everything; False when `timeout_s` passed first, or the database is away."""
        try:
            async with asyncio.timeout(timeout_s):
                return await self.write()
        except TimeoutError:
            return False

    async def _store(self, batch: Sequence[AuditNote]) -> None:
        try:
            await self._record.append(batch)
        except RowRefused as refused:
            if len(batch) == 1:
                _log.error("a deed cannot be stored", action=batch[0].action, who=batch[0].who, error=str(refused))
                return
            half = len(batch) // 2
            await self._store(batch[:half])
            await self._store(batch[half:])
