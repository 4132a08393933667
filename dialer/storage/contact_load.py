"""The fast way of contacts into SQL: ``executemany`` on SQLite; COPY on PostgreSQL.

Both go below SQLAlchemy's statements to the driver, inside a transaction that `Database` opened: a million rows
spend more time in parameter processing than in the database otherwise (``benchmarks/storage.py``).

PostgreSQL's COPY knows no conflicts. Rows of contacts that may be known go by COPY into a table of the session, and
from there by one ``INSERT … SELECT`` that merges them, at twice the server's time of a COPY. Rows that are most likely
all new, as those of a list, are therefore first copied to where they belong, behind a savepoint: where one of them is
known the server says so, nothing has happened, and the batch is merged after all.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import Any, Final

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from dialer.core.contact import Contact
from dialer.storage.contact_rows import COLUMNS, ContactRow, row_of
from dialer.storage.database import Database
from dialer.storage.field_seal import FieldSeal
from dialer.storage.tables import removals

_NAMES: Final = ", ".join(COLUMNS)
_UPDATE: Final = (
    "ON CONFLICT (campaign, id) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in COLUMNS[2:])
    + " WHERE excluded.updated_at >= contacts.updated_at"
)
#: Whether a removal names the contact. Kept out of the statement while there is no removal at all.
_STATE: Final = (
    "CASE WHEN EXISTS (SELECT 1 FROM removals WHERE removals.campaign IN ({campaign}, '*')"
    " AND removals.kind = 'contact' AND removals.subject = {id}) THEN 'removed' ELSE 'waiting' END"
)
_MARKS: Final = ", ".join(f"?{i}" for i in range(1, len(COLUMNS) + 1))
# What follows is put together from the names above alone; every value is a parameter.
SQLITE: Final = f"INSERT INTO contacts ({_NAMES}) VALUES ({_MARKS}) {_UPDATE}"  # noqa: S608
_SQLITE_CHECKED: Final = (
    f"INSERT INTO contacts ({_NAMES}, state) VALUES ({_MARKS}, {_STATE.format(campaign='?1', id='?2')}) {_UPDATE}"  # noqa: S608
)
_INCOMING: Final = "incoming_contacts"
#: Text for JSON: the cast below checks it, and COPY needs no codec.
_STAGE: Final = (
    f"CREATE TEMPORARY TABLE IF NOT EXISTS {_INCOMING} (campaign text, id text, phones text, name text, priority int4,"
    " timezone text, not_before_at float8, expires_at float8, consent text, fields text, list text, updated_at float8,"
    " phone_terms text) ON COMMIT DELETE ROWS"
)
_JSON: Final = frozenset({"phones", "consent", "fields", "phone_terms"})
_VALUES: Final = ", ".join(f"{name}::json" if name in _JSON else name for name in COLUMNS)
#: In one order everywhere, so that two transactions never wait for each other's rows crosswise.
_ORDER: Final = 'ORDER BY campaign COLLATE "C", id COLLATE "C"'
_MERGE: Final = f"INSERT INTO contacts ({_NAMES}) SELECT {_VALUES} FROM {_INCOMING} {_ORDER} {_UPDATE}"  # noqa: S608
_MERGE_CHECKED: Final = (
    f"INSERT INTO contacts ({_NAMES}, state) SELECT {_VALUES},"  # noqa: S608
    f" {_STATE.format(campaign=f'{_INCOMING}.campaign', id=f'{_INCOMING}.id')} FROM {_INCOMING} {_ORDER} {_UPDATE}"
)
#: SQLSTATE.
_UNIQUE_VIOLATION: Final = "23505"
_MARK_REMOVED: Final = (
    "UPDATE contacts SET state = 'removed' WHERE campaign = :campaign AND id = ANY (ARRAY("
    "SELECT subject FROM removals WHERE campaign IN (:campaign, '*') AND kind = 'contact'"
    " AND subject = ANY (CAST(:ids AS text[]))))"
)


def rows_of(batch: Sequence[Contact], at: float, list_id: str | None) -> list[ContactRow]:
    """One row for each different contact, in the order of (campaign, id); of repeated ones the last."""
    unique = {(contact.campaign, contact.id): contact for contact in batch}
    return [row_of(contact, at, list_id) for _, contact in sorted(unique.items())]


async def load(database: Database, rows: Sequence[ContactRow], *, fresh: bool = False) -> bool:
    """Add or update rows, each of another contact; see `dialer.storage.contacts.Contacts.upsert_rows`."""
    if not rows:
        return fresh
    if (seal := database.seal) is not None and seal.fields:
        rows = [_sealed(row, seal) for row in rows]
    async with database.write() as connection:
        checked = await _any_removal(connection)
        driver = await _driver(connection)
        if database.dialect == "sqlite":
            cursor = await driver.executemany(_SQLITE_CHECKED if checked else SQLITE, rows)
            await cursor.close()
            return fresh
        fresh = fresh and await _copied(connection, rows, checked)
        if not fresh:
            await connection.execute(text(_STAGE))
            await driver.copy_records_to_table(_INCOMING, records=rows, columns=COLUMNS)
            await connection.execute(text(_MERGE_CHECKED if checked else _MERGE))
        return fresh


def _sealed(row: ContactRow, seal: FieldSeal) -> ContactRow:
    *before, fields, listed, updated_at, terms = row
    return (*before, seal.seal_text(fields), listed, updated_at, terms)  # type: ignore[return-value]  # of a tuple's parts


async def _copied(connection: AsyncConnection, rows: Sequence[ContactRow], checked: bool) -> bool:
    """Copy rows to where they belong, in the order in which a merge takes them; False, and nothing done, where one is
    known. A row that another transaction is adding is waited for, as a merge would."""
    driver = await _driver(connection)
    # Code points sort as their UTF-8 does, which is what the collation "C" compares.
    ordered = sorted(rows, key=itemgetter(0, 1))
    try:
        async with connection.begin_nested():
            await driver.copy_records_to_table("contacts", records=ordered, columns=COLUMNS)
    except Exception as error:
        if getattr(error, "sqlstate", None) != _UNIQUE_VIOLATION:
            raise
        return False
    if checked:
        # Behind the copy: a removal of this moment is seen rather than missed.
        for campaign in {row[0] for row in rows}:
            ids = [row[1] for row in rows if row[0] == campaign]
            await connection.execute(text(_MARK_REMOVED), {"campaign": campaign, "ids": ids})
    return True


async def _any_removal(connection: AsyncConnection) -> bool:
    return (await connection.execute(select(removals.c.kind).limit(1))).first() is not None


async def _driver(connection: AsyncConnection) -> Any:
    """The connection of aiosqlite or asyncpg itself, whose transaction SQLAlchemy has begun."""
    driver = (await connection.get_raw_connection()).driver_connection
    assert driver is not None, "a connection from the pool has a driver"
    return driver
