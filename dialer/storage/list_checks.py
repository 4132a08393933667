"""What looking through the contacts of a list has found: counts, and the warnings themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum

import msgspec
from sqlalchemy import and_, delete, select, tuple_, update

from dialer.core.saying import NOTHING, Saying
from dialer.storage.cursors import Page, decode_cursor, encode_cursor
from dialer.storage.database import Database
from dialer.storage.inserts import upsert
from dialer.storage.sayings import from_record, on_record
from dialer.storage.tables import list_checks, list_warnings


class CheckState(StrEnum):
    """How far it is."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckCounts:
    """What was looked at."""

    #: Contacts whose data came last with this list, and their numbers.
    contacts: int = 0
    numbers: int = 0
    #: Numbers by sort of line.
    types: Mapping[str, int] = field(default_factory=dict)
    #: Numbers by the time zones that they may be in, joined by a comma; by the jurisdictions likewise.
    zones: Mapping[str, int] = field(default_factory=dict)
    jurisdictions: Mapping[str, int] = field(default_factory=dict)
    #: Warnings by kind, all of them.
    warnings: Mapping[str, int] = field(default_factory=dict)
    #: Contacts that have one.
    contacts_with_warnings: int = 0
    #: Warnings that were kept one by one.
    listed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ListCheck:
    """One look through a list."""

    state: CheckState
    started_at: float
    finished_at: float | None
    counts: CheckCounts
    #: Why it failed, and what to do.
    error: Saying


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredWarning:
    """One warning about one number of one contact."""

    contact: str
    phone: str
    kind: str
    message: str


class ListChecks:
    """The latest look through each list of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def start(self, list_id: str, *, now: float) -> None:
        """Begin anew: what was found before is forgotten.

        Raises:
            StorageError: out of reach, or there is no such list.
        """
        values = {
            "list": list_id,
            "state": CheckState.RUNNING.value,
            "started_at": now,
            "finished_at": None,
            "counts": {},
            "error": "",
            "error_told": "",
        }
        async with self._database.write() as connection:
            await connection.execute(upsert(self._database.dialect, list_checks).values(values))
            await connection.execute(delete(list_warnings).where(list_warnings.c.list == list_id))

    async def add(self, list_id: str, warnings: Sequence[StoredWarning]) -> None:
        """Keep warnings; one that is kept twice stands once."""
        rows = [
            {
                "list": list_id,
                "contact": warning.contact,
                "phone": warning.phone,
                "kind": warning.kind,
                "message": warning.message,
            }
            for warning in warnings
        ]
        if rows:
            async with self._database.write() as connection:
                await connection.execute(upsert(self._database.dialect, list_warnings), rows)

    async def finish(
        self, list_id: str, state: CheckState, counts: CheckCounts, *, now: float, error: Saying = NOTHING
    ) -> None:
        """Note how it ended."""
        says, told = on_record(error)
        values = {"state": state.value, "finished_at": now, "counts": asdict(counts), "error": says, "error_told": told}
        async with self._database.write() as connection:
            await connection.execute(update(list_checks).where(list_checks.c.list == list_id).values(values))

    async def get(self, list_id: str) -> ListCheck | None:
        """The latest look, or None: nobody has looked yet."""
        async with self._database.read() as connection:
            row = (await connection.execute(select(list_checks).where(list_checks.c.list == list_id))).one_or_none()
        if row is None:
            return None
        return ListCheck(
            state=CheckState(row.state),
            started_at=row.started_at,
            finished_at=row.finished_at,
            counts=msgspec.convert(row.counts, CheckCounts),
            error=from_record(row.error, row.error_told),
        )

    async def warnings(self, list_id: str, *, cursor: str | None = None, limit: int = 1_000) -> Page[StoredWarning]:
        """Warnings by contact.

        Raises:
            InputError: the cursor is none of ours.
        """
        columns = list_warnings.c
        wanted = [columns.list == list_id]
        if cursor is not None:
            key = tuple_(columns.contact, columns.phone, columns.kind)
            wanted.append(key > decode_cursor(cursor, tuple[str, str, str]))
        statement = (
            select(list_warnings)
            .where(and_(*wanted))
            .order_by(columns.contact, columns.phone, columns.kind)
            .limit(limit + 1)
        )
        async with self._database.read() as connection:
            rows = (await connection.execute(statement)).all()
        items = [
            StoredWarning(contact=row.contact, phone=row.phone, kind=row.kind, message=row.message)
            for row in rows[:limit]
        ]
        last = items[-1] if len(rows) > limit else None
        return Page(items=items, next=None if last is None else encode_cursor((last.contact, last.phone, last.kind)))
