"""Who did what, and when: append only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import insert, select

from dialer.storage.cursors import Page, decode_cursor, encode_cursor
from dialer.storage.database import Database
from dialer.storage.tables import audit


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One deed."""

    at: float
    #: A key's name and id, a user of the command line, or the part of the dialer that acted by itself.
    who: str
    #: In the form noun.verb, such as campaign.started.
    what: str
    details: Mapping[str, object] = field(default_factory=dict)


class Audit:
    """The trail of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def append(self, entry: AuditEntry) -> None:
        """Add one."""
        values = {"at": entry.at, "who": entry.who, "what": entry.what, "details": dict(entry.details)}
        async with self._database.write() as connection:
            await connection.execute(insert(audit), values)

    async def of_kind(self, what: str) -> list[AuditEntry]:
        """All entries of one kind, the first added first.

        Raises:
            StorageError: the database refused or is out of reach.
        """
        statement = select(audit).where(audit.c.what == what).order_by(audit.c.id)
        async with self._database.read() as connection:
            rows = (await connection.execute(statement)).all()
        return [AuditEntry(at=row.at, who=row.who, what=row.what, details=row.details) for row in rows]

    async def page(self, *, cursor: str | None = None, limit: int = 100) -> Page[AuditEntry]:
        """Entries, the latest added first.

        Raises:
            InputError: the cursor is none of ours.
        """
        statement = select(audit).order_by(audit.c.id.desc()).limit(limit + 1)
        if cursor is not None:
            statement = statement.where(audit.c.id < decode_cursor(cursor, tuple[int])[0])
        async with self._database.read() as connection:
            rows = (await connection.execute(statement)).all()
        items = [AuditEntry(at=row.at, who=row.who, what=row.what, details=row.details) for row in rows[:limit]]
        return Page(items=items, next=encode_cursor((rows[limit - 1].id,)) if len(rows) > limit else None)
