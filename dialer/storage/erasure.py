"""A person is erased from every table that knows them: by their numbers, and by the contacts that have these.

What happened stays (that there was a call, when, by which rules, what became of it), and to whom goes. Each table is
one transaction, and contacts come last: an erasure that was broken off finds the same people when it is repeated.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import phonenumbers
from sqlalchemy import ColumnElement, Table, Text, and_, cast, delete, false, or_, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dialer.compliance.evidence import suppression_key
from dialer.core.ids import Phone
from dialer.storage import tables
from dialer.storage.database import Database
from dialer.storage.evidence import EvidenceStore
from dialer.storage.suppressions import SuppressionStore

_AT_ONCE: Final = 400
_NUMBERS_AT_ONCE: Final = 50
_PAGE: Final = 2_000
_T = TypeVar("_T")
_NO_DIGIT: Final = re.compile(r"[^0-9]+")


@dataclass(frozen=True, slots=True)
class Person:
    """Who is erased."""

    phones: tuple[Phone, ...]
    #: Campaign and id.
    contacts: tuple[tuple[str, str], ...]
    #: Numbers that the contacts have besides.
    others: tuple[Phone, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Erased:
    """What an erasure came to."""

    #: Rows changed or deleted, by table; those of which none was are left out.
    rows: Mapping[str, int] = field(default_factory=dict)
    #: Numbers that the erased contacts had besides; these stay.
    others: tuple[Phone, ...] = ()


class Erasure:
    """Erases people from one database.

    Args:
        database: the record.
        key: `compliance.suppression_key` of the settings.
    """

    def __init__(self, database: Database, key: str) -> None:
        self._database = database
        self._key = key.encode()

    async def find(self, phones: Sequence[Phone], *, all_numbers: bool = False) -> Person:
        """Who has these numbers.

        Args:
            phones: E.164.
            all_numbers: their other numbers are erased as well, and so on for whoever shares those.

        Raises:
            StorageError: the database refused or is out of reach.
        """
        wanted = dict.fromkeys(phones)
        while True:
            found: dict[tuple[str, str], None] = {}
            others: dict[Phone, None] = {}
            async with self._database.read() as connection:
                for some in _some(list(wanted), _NUMBERS_AT_ONCE):
                    for row in (await connection.execute(_with_numbers(some))).all():
                        found[row.campaign, row.id] = None
                        others |= dict.fromkeys(Phone(phone) for phone in row.phones if phone not in wanted)
            if not (all_numbers and others):
                return Person(tuple(wanted), tuple(found), tuple(others))
            wanted |= others

    async def suppress(self, person: Person, at: float) -> None:
        """Remember the numbers by their keyed hashes alone: from then on nobody takes them in or calls them.

        Raises:
            StorageError: the database refused or is out of reach.
        """
        await SuppressionStore(self._database).add([self._hash(phone) for phone in person.phones], at)

    async def erase(self, person: Person, *, at: float, who: str) -> Erased:
        """Erase, and put on record that it was done. Repeated it changes nothing more.

        Args:
            person: as `find` gave it.
            at: unix seconds.
            who: by whose order.

        Raises:
            StorageError: the database refused or is out of reach; repeat.
        """
        await self.suppress(person, at)
        rows = {
            "dispositions": await self._dispositions(person),
            "recordings": await self._recordings(person, at),
            "action_firings": await self._delete(tables.action_firings, _of_contacts(tables.action_firings, person)),
            "promises": await self._delete(tables.promises, _of_contacts(tables.promises, person)),
            "crm_contacts": await self._delete(tables.crm_contacts, tables.crm_contacts.c.contact.in_(_ids(person))),
            "crm_updates": await self._delete(
                tables.crm_updates,
                or_(tables.crm_updates.c.contact.in_(_ids(person)), _mentions(tables.crm_updates.c.result, person)),
            ),
            "webhook_deliveries": await self._delete(tables.webhook_deliveries, _deliveries(person)),
            "list_warnings": await self._delete(tables.list_warnings, _warnings(person)),
            "rejected_rows": await self._blank(tables.rejected_rows, "raw", {"raw": "", "message": ""}, person),
            "set_aside": await self._blank(tables.set_aside, "data", {"data": ""}, person),
            "audit": await self._change(tables.audit, _mentions(tables.audit.c.details, person), {"details": {}}),
            "calls_elsewhere": await self._delete(
                tables.calls_elsewhere, tables.calls_elsewhere.c.phone.in_(person.phones)
            ),
            "removals": await self._delete(tables.removals, _removals(person)),
            "do_not_call": await self._delete(tables.do_not_call, tables.do_not_call.c.phone.in_(person.phones)),
            "fields of contacts": await self._fields(person),
            "attempts": await self._change(tables.attempts, _attempts(person), {"phone": "", "contact": ""}),
        }
        gone = {name: count for name, count in rows.items() if count}
        hashes = [self._hash(phone) for phone in person.phones]
        evidence = EvidenceStore(self._database)
        gone |= await evidence.erase_person(
            person.phones, person.contacts, at=at, who=who, suppressions=hashes, rows=gone
        )
        if deleted := await self._delete(tables.contacts, _of_contacts(tables.contacts, person, "id")):
            gone["contacts"] = deleted
        return Erased(rows=gone, others=person.others)

    def _hash(self, phone: Phone) -> str:
        return suppression_key(phone, self._key)

    async def _dispositions(self, person: Person) -> int:
        """Notes of their calls, and notes of others that have a number in them."""
        of_calls = tables.dispositions.c.call.in_(select(tables.attempts.c.call).where(_attempts(person)))
        wanted = and_(tables.dispositions.c.notes != "", or_(of_calls, _mentions(tables.dispositions.c.notes, person)))
        return await self._change(tables.dispositions, wanted, {"notes": ""})

    async def _recordings(self, person: Person, at: float) -> int:
        """A talk is theirs as much as their number: it is kept no longer, and whose it was goes at once."""
        mine = tables.recordings.c
        of_calls = mine.call.in_(select(tables.attempts.c.call).where(_attempts(person)))
        wanted = and_(mine.contact != "", or_(of_calls, _of_contacts(tables.recordings, person)))
        return await self._change(tables.recordings, wanted, {"contact": "", "retain_until": at})

    async def _fields(self, person: Person) -> int:
        """What is said of other contacts may name one of the numbers: such a field goes."""
        mine, count = tables.contacts.c, 0
        wanted = select(mine.campaign, mine.id, mine.fields).where(_mentions(mine.fields, person))
        async with self._database.write() as connection:
            for row in (await connection.execute(wanted)).all():
                fields = {name: value for name, value in row.fields.items() if not _named(f"{name} {value}", person)}
                if fields != row.fields:
                    count += 1
                    change = update(tables.contacts).where(mine.campaign == row.campaign, mine.id == row.id)
                    await connection.execute(change.values(fields=fields))
        return count

    async def _delete(self, table: Table, wanted: ColumnElement[bool]) -> int:
        async with self._database.write() as connection:
            return int((await connection.execute(delete(table).where(wanted))).rowcount)

    async def _change(self, table: Table, wanted: ColumnElement[bool], values: Mapping[str, object]) -> int:
        async with self._database.write() as connection:
            return int((await connection.execute(update(table).where(wanted).values(**values))).rowcount)

    async def _blank(self, table: Table, column: str, values: Mapping[str, object], person: Person) -> int:
        """Rows of raw text, where a number may stand in any form."""
        async with self._database.write() as connection:
            keys = [key async for key in _naming(connection, table, column, person)]
            key = tuple_(*table.primary_key)
            for some in _some(keys, _AT_ONCE):
                await connection.execute(update(table).where(key.in_(some)).values(**values))
        return len(keys)


def _some(items: Sequence[_T], size: int) -> Iterator[Sequence[_T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


async def _naming(
    connection: AsyncConnection, table: Table, column: str, person: Person
) -> AsyncIterator[tuple[Any, ...]]:
    key = tuple_(*table.primary_key)
    statement = select(*table.primary_key, table.c[column]).order_by(*table.primary_key).limit(_PAGE)
    after: tuple[Any, ...] | None = None
    while True:
        page = (await connection.execute(statement if after is None else statement.where(key > after))).all()
        for row in page:
            if _named(row[-1], person):
                yield tuple(row[:-1])
        if len(page) < _PAGE:
            return
        after = tuple(page[-1][:-1])


def _named(text: str, person: Person) -> bool:
    """Whether a number of theirs stands in a text: with its country code or without, however it is written."""
    digits = _NO_DIGIT.sub("", text)
    return any(national in digits for national in _nationals(person.phones))


def _nationals(phones: Sequence[Phone]) -> Iterator[str]:
    for phone in phones:
        try:
            yield phonenumbers.national_significant_number(phonenumbers.parse(phone))
        except phonenumbers.NumberParseException:  # a country code that is none; nobody was called there
            yield phone[1:]


def _mentions(column: ColumnElement[Any], person: Person) -> ColumnElement[bool]:
    """Whether the digits of a number of theirs stand in a column."""
    return or_(false(), *(cast(column, Text).contains(phone[1:], autoescape=True) for phone in person.phones))


def _with_numbers(phones: Sequence[Phone]) -> Any:
    mine = tables.contacts.c
    # Contacts have no index by number: this reads all of them. A number stands in quotes, so none is part of another.
    has = or_(*(cast(mine.phones, Text).contains(f'"{phone}"', autoescape=True) for phone in phones))
    return select(mine.campaign, mine.id, mine.phones).where(or_(has, mine.id.in_([f"tel:{p}" for p in phones])))


def _ids(person: Person) -> list[str]:
    return [*dict.fromkeys(id for _, id in person.contacts), *(f"tel:{phone}" for phone in person.phones)]


def _of_contacts(table: Table, person: Person, id: str = "contact") -> ColumnElement[bool]:
    """Rows about one of their contacts. A list without ids makes them of numbers: such an id is theirs anywhere."""
    made = table.c[id].in_([f"tel:{phone}" for phone in person.phones])
    if not person.contacts:
        return made
    return or_(made, tuple_(table.c.campaign, table.c[id]).in_(person.contacts))


def _attempts(person: Person) -> ColumnElement[bool]:
    return or_(tables.attempts.c.phone.in_(person.phones), _of_contacts(tables.attempts, person))


def _deliveries(person: Person) -> ColumnElement[bool]:
    mine = tables.webhook_deliveries.c
    subjects = [f"{campaign}/{id}" for campaign, id in person.contacts]
    return or_(mine.subject.in_(subjects), _mentions(mine.payload, person))


def _warnings(person: Person) -> ColumnElement[bool]:
    mine = tables.list_warnings.c
    lists = select(tables.lists.c.id).where(tables.lists.c.campaign.in_([campaign for campaign, _ in person.contacts]))
    theirs = and_(mine.list.in_(lists), mine.contact.in_(_ids(person)))
    return or_(mine.phone.in_(person.phones), theirs, _mentions(mine.message, person))


def _removals(person: Person) -> ColumnElement[bool]:
    mine = tables.removals.c
    campaigns = ["*", *(campaign for campaign, _ in person.contacts)]
    theirs = and_(mine.kind == "contact", mine.campaign.in_(campaigns), mine.subject.in_(_ids(person)))
    return or_(mine.subject.in_(person.phones), theirs, mine.subject.in_([f"tel:{phone}" for phone in person.phones]))
