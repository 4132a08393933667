"""Which rows of each table are about a person: by their numbers, and by the contacts that have these.

One classification for all who need it: what an erasure takes out (`dialer.storage.erasure`) an export hands over
(`dialer.storage.person_export`), but for what is about other people as well.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import phonenumbers
from sqlalchemy import ColumnElement, Table, Text, and_, cast, false, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from dialer.core.ids import Phone
from dialer.storage import tables
from dialer.storage.database import Database

_NUMBERS_AT_ONCE: Final = 50
_PAGE: Final = 2_000
_T = TypeVar("_T")
_NO_DIGIT: Final = re.compile(r"[^0-9]+")


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who is called."""

    phones: tuple[Phone, ...]
    #: Campaign and id.
    contacts: tuple[tuple[str, str], ...]
    #: Numbers that the contacts have besides.
    others: tuple[Phone, ...] = ()


async def find(database: Database, phones: Sequence[Phone], *, all_numbers: bool = False) -> Person:
    """Who has these numbers.

    Args:
        database: the record.
        phones: E.164.
        all_numbers: their other numbers are theirs as well, and so on for whoever shares those.

    Raises:
        StorageError: the database refused or is out of reach.
    """
    wanted = dict.fromkeys(phones)
    while True:
        found: dict[tuple[str, str], None] = {}
        others: dict[Phone, None] = {}
        async with database.read() as connection:
            for some in some_of(list(wanted), _NUMBERS_AT_ONCE):
                for row in (await connection.execute(_with_numbers(some))).all():
                    found[row.campaign, row.id] = None
                    others |= dict.fromkeys(Phone(phone) for phone in row.phones if phone not in wanted)
        if not (all_numbers and others):
            return Person(tuple(wanted), tuple(found), tuple(others))
        wanted |= others


def some_of(items: Sequence[_T], size: int) -> Iterator[Sequence[_T]]:
    """`items` in parts of `size`."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


async def naming(
    connection: AsyncConnection, table: Table, column: str, person: Person
) -> AsyncIterator[tuple[Any, ...]]:
    """Keys of the rows of a table in one of whose columns, raw text, a number of theirs stands in any form."""
    key = tuple_(*table.primary_key)
    statement = select(*table.primary_key, table.c[column]).order_by(*table.primary_key).limit(_PAGE)
    after: tuple[Any, ...] | None = None
    while True:
        page = (await connection.execute(statement if after is None else statement.where(key > after))).all()
        for row in page:
            if named(row[-1], person):
                yield tuple(row[:-1])
        if len(page) < _PAGE:
            return
        after = tuple(page[-1][:-1])


def named(text: str, person: Person) -> bool:
    """Whether a number of theirs stands in a text: with its country code or without, however it is written."""
    digits = _NO_DIGIT.sub("", text)
    return any(national in digits for national in _nationals(person.phones))


def _nationals(phones: Sequence[Phone]) -> Iterator[str]:
    for phone in phones:
        try:
            yield phonenumbers.national_significant_number(phonenumbers.parse(phone))
        except phonenumbers.NumberParseException:  # a country code that is none; nobody was called there
            yield phone[1:]


def mentions(column: ColumnElement[Any], person: Person) -> ColumnElement[bool]:
    """Whether the digits of a number of theirs stand in a column."""
    return or_(false(), *(cast(column, Text).contains(phone[1:], autoescape=True) for phone in person.phones))


def _with_numbers(phones: Sequence[Phone]) -> Any:
    mine = tables.contacts.c
    # Contacts have no index by number: this reads all of them. A number stands in quotes, so none is part of another.
    has = or_(*(cast(mine.phones, Text).contains(f'"{phone}"', autoescape=True) for phone in phones))
    return select(mine.campaign, mine.id, mine.phones).where(or_(has, mine.id.in_([f"tel:{p}" for p in phones])))


def ids_of(person: Person) -> list[str]:
    """Ids of their contacts. A list without ids makes them of numbers: such an id is theirs anywhere."""
    return [*dict.fromkeys(id for _, id in person.contacts), *(f"tel:{phone}" for phone in person.phones)]


def of_contacts(table: Table, person: Person, id: str = "contact") -> ColumnElement[bool]:
    """Rows about one of their contacts. A list without ids makes them of numbers: such an id is theirs anywhere."""
    made = table.c[id].in_([f"tel:{phone}" for phone in person.phones])
    if not person.contacts:
        return made
    return or_(made, tuple_(table.c.campaign, table.c[id]).in_(person.contacts))


def attempts_of(person: Person) -> ColumnElement[bool]:
    """Their calls."""
    return or_(tables.attempts.c.phone.in_(person.phones), of_contacts(tables.attempts, person))


def deliveries_of(person: Person) -> ColumnElement[bool]:
    """Results about them on their way to webhooks."""
    mine = tables.webhook_deliveries.c
    subjects = [f"{campaign}/{id}" for campaign, id in person.contacts]
    return or_(mine.subject.in_(subjects), mentions(mine.payload, person))


def warnings_of(person: Person) -> ColumnElement[bool]:
    """What was found wrong with their rows of lists."""
    mine = tables.list_warnings.c
    lists = select(tables.lists.c.id).where(tables.lists.c.campaign.in_([campaign for campaign, _ in person.contacts]))
    theirs = and_(mine.list.in_(lists), mine.contact.in_(ids_of(person)))
    return or_(mine.phone.in_(person.phones), theirs, mentions(mine.message, person))


def removals_of(person: Person) -> ColumnElement[bool]:
    """Their removals."""
    mine = tables.removals.c
    campaigns = ["*", *(campaign for campaign, _ in person.contacts)]
    theirs = and_(mine.kind == "contact", mine.campaign.in_(campaigns), mine.subject.in_(ids_of(person)))
    return or_(mine.subject.in_(person.phones), theirs, mine.subject.in_([f"tel:{phone}" for phone in person.phones]))
