"""Who did what, on record: rows are added and read, and taken out when they are older than the log is kept.

The database refuses everything else: it lets go what is older than the latest cut on record (`audit_cuts`), and takes
no cut that is not a year old.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Row, delete, func, insert, select

from dialer.core.audit_note import AuditNote, AuditQuery, AuditRow
from dialer.storage.database import Database
from dialer.storage.tables import audit_cuts, audit_log

#: Deeds in one transaction; fewer than a statement of SQLite takes values.
CUT_AT_ONCE: Final = 1_000


class AuditLog:
    """The audit log of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def append(self, notes: Sequence[AuditNote]) -> None:
        """Add some, in their order."""
        rows = [
            {
                "at": note.at,
                "who": note.who,
                "role": note.role,
                "address": note.address,
                "action": note.action,
                "object": note.object,
                "outcome": note.outcome,
                "details": dict(note.details),
            }
            for note in notes
        ]
        if rows:
            async with self._database.write() as connection:
                await connection.execute(insert(audit_log), rows)

    async def cut(self, before: float, now: float, *, limit: int = CUT_AT_ONCE) -> int:
        """Take out deeds before unix second `before`, up to `limit`; how many: call again where that is `limit`.

        Raises:
            StorageError: the database is out of reach, or refuses since `before` is not a year ago.
        """
        mine = audit_log.c
        async with self._database.write() as connection:
            oldest = select(mine.id).where(mine.at < before).order_by(mine.at, mine.id).limit(limit)
            ids = (await connection.execute(oldest)).scalars().all()
            if not ids:
                return 0
            latest = (await connection.execute(select(func.max(audit_cuts.c.before)))).scalar_one()
            if latest is None or latest < before:
                await connection.execute(insert(audit_cuts), {"at": now, "before": before})
            return (await connection.execute(delete(audit_log).where(mine.id.in_(ids)))).rowcount

    async def page(self, query: AuditQuery, before: int | None, limit: int) -> Sequence[AuditRow]:
        """Up to `limit` deeds, the latest added first, those with a number below `before`."""
        columns = audit_log.c
        statement = select(audit_log).order_by(columns.id.desc()).limit(limit)
        if before is not None:
            statement = statement.where(columns.id < before)
        for wanted, column in (
            (query.who, columns.who),
            (query.object, columns.object),
            (query.outcome, columns.outcome),
        ):
            if wanted is not None:
                statement = statement.where(column == wanted)
        if query.action is not None:
            statement = statement.where(columns.action.startswith(query.action, autoescape=True))
        if query.since is not None:
            statement = statement.where(columns.at >= query.since)
        if query.until is not None:
            statement = statement.where(columns.at < query.until)
        async with self._database.read() as connection:
            return [_row(row) for row in (await connection.execute(statement)).all()]


def _row(row: Row[Any]) -> AuditRow:
    note = AuditNote(
        at=row.at,
        who=row.who,
        role=row.role,
        address=row.address,
        action=row.action,
        object=row.object,
        outcome=row.outcome,
        details=row.details,
    )
    return AuditRow(number=row.id, note=note)
