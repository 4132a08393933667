"""Everything that is held about a person, as they may have it: one document with the rows of each table.

What names the people who work with the dialer is left out, and so is what is about others as well: of a message with a
thousand contacts in which their number stands, that there is such a message and not what is in it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Table, and_, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from dialer.core.ids import Phone
from dialer.queues.results import rfc3339
from dialer.storage import tables
from dialer.storage.database import Database
from dialer.storage.person import (
    Person,
    attempts_of,
    deliveries_of,
    find,
    ids_of,
    mentions,
    naming,
    of_contacts,
    removals_of,
    some_of,
    warnings_of,
)

FORMAT: Final = "cadencia-person/1"
_AT_ONCE: Final = 400

#: Columns about those who work with the dialer, or about other people as well.
LEFT_OUT: Final[Mapping[str, frozenset[str]]] = {
    "attempts": frozenset({"agent"}),
    "audit": frozenset({"who"}),
    "dispositions": frozenset({"agent", "by"}),
    "do_not_call": frozenset({"who"}),
    "promises": frozenset({"agent"}),
    "recordings": frozenset({"agent", "by"}),
    "set_aside": frozenset({"data"}),
}


async def export_person(
    database: Database, phones: Sequence[Phone], *, at: float, all_numbers: bool = False
) -> dict[str, Any]:
    """What is on record of whoever has these numbers, as JSON values.

    Args:
        database: the record.
        phones: E.164.
        at: unix seconds of now.
        all_numbers: their other numbers are theirs as well, and so on for whoever shares those.

    Returns:
        `format`, `made_at`, `numbers`, `other_numbers` (of their contacts, not asked for) and `tables`: by table its
        rows, each with its columns; moments as RFC 3339. Tables without a row are left out.

    Raises:
        StorageError: the database refused or is out of reach.
    """
    person = await find(database, phones, all_numbers=all_numbers)
    found: dict[str, list[dict[str, Any]]] = {}
    async with database.read() as connection:
        for table, about in _ABOUT.items():
            rows = await _rows(connection, table, about(person))
            check = _CHECKED.get(table)
            found[table.name] = [row for row in rows if check is None or check(row, person)]
        for table, column in _RAW.items():
            found[table.name] = await _naming(connection, table, column, person)
    return {
        "format": FORMAT,
        "made_at": rfc3339(at),
        "numbers": list(person.phones),
        "other_numbers": list(person.others),
        "tables": {name: [_told(name, row) for row in rows] for name, rows in sorted(found.items()) if rows},
    }


async def _rows(connection: AsyncConnection, table: Table, wanted: ColumnElement[bool]) -> list[dict[str, Any]]:
    statement = select(table).where(wanted).order_by(*table.primary_key)
    return [dict(row) for row in (await connection.execute(statement)).mappings()]


async def _naming(connection: AsyncConnection, table: Table, column: str, person: Person) -> list[dict[str, Any]]:
    keys = [key async for key in naming(connection, table, column, person)]
    found: list[dict[str, Any]] = []
    for some in some_of(keys, _AT_ONCE):
        found += await _rows(connection, table, tuple_(*table.primary_key).in_(some))
    return found


def _told(name: str, row: Mapping[str, Any]) -> dict[str, Any]:
    left_out = LEFT_OUT.get(name, frozenset())
    return {
        column: rfc3339(value) if isinstance(value, float) and (column == "at" or column.endswith("_at")) else value
        for column, value in row.items()
        if column not in left_out
    }


def _of_calls(table: Table, person: Person) -> ColumnElement[bool]:
    return table.c.call.in_(select(tables.attempts.c.call).where(attempts_of(person)))


def _evidence(person: Person) -> ColumnElement[bool]:
    mine = tables.evidence.c
    theirs = mine.phone.in_(person.phones)
    return or_(theirs, tuple_(mine.campaign, mine.contact).in_(person.contacts)) if person.contacts else theirs


#: By table, which rows are about a person.
_ABOUT: Final[Mapping[Table, Callable[[Person], ColumnElement[bool]]]] = {
    tables.contacts: lambda person: of_contacts(tables.contacts, person, "id"),
    tables.attempts: attempts_of,
    tables.evidence: _evidence,
    tables.dispositions: lambda person: _of_calls(tables.dispositions, person),
    tables.recordings: lambda person: and_(
        tables.recordings.c.contact != "",
        or_(_of_calls(tables.recordings, person), of_contacts(tables.recordings, person)),
    ),
    tables.promises: lambda person: of_contacts(tables.promises, person),
    tables.action_firings: lambda person: of_contacts(tables.action_firings, person),
    tables.removals: removals_of,
    tables.do_not_call: lambda person: tables.do_not_call.c.phone.in_(person.phones),
    tables.calls_elsewhere: lambda person: tables.calls_elsewhere.c.phone.in_(person.phones),
    tables.list_warnings: warnings_of,
    tables.crm_contacts: lambda person: tables.crm_contacts.c.contact.in_(ids_of(person)),
    tables.crm_updates: lambda person: tables.crm_updates.c.contact.in_(ids_of(person)),
    tables.webhook_deliveries: deliveries_of,
    tables.audit: lambda person: mentions(tables.audit.c.details, person),
}
#: By table, the column of raw text in which a number may stand in any form.
_RAW: Final[Mapping[Table, str]] = {tables.rejected_rows: "raw", tables.set_aside: "data"}


def _result_is_theirs(column: str) -> Callable[[Mapping[str, Any], Person], bool]:
    """A CRM's ids are its own: of another campaign the same one is another person's."""

    def check(row: Mapping[str, Any], person: Person) -> bool:
        try:
            result = json.loads(row[column])
        except ValueError:
            return False
        if not isinstance(result, dict):
            return False
        return result.get("phone") in person.phones or (
            (result.get("campaign"), result.get("contact")) in person.contacts
        )

    return check


def _warning_is_theirs(row: Mapping[str, Any], person: Person) -> bool:
    return row["phone"] in person.phones or row["contact"] in ids_of(person)


#: What the database cannot tell of a row.
_CHECKED: Final[Mapping[Table, Callable[[Mapping[str, Any], Person], bool]]] = {
    tables.crm_updates: _result_is_theirs("result"),
    tables.webhook_deliveries: _result_is_theirs("payload"),
    tables.list_warnings: _warning_is_theirs,
}
