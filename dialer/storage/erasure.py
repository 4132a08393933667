"""A person is erased from every table that knows them: by their numbers, and by the contacts that have these.

What happened stays (that there was a call, when, by which rules, what became of it), and to whom goes. Each table is
one transaction, and contacts come last: an erasure that was broken off finds the same people when it is repeated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import ColumnElement, Table, and_, delete, or_, select, tuple_, update

from dialer.compliance.evidence import suppression_key
from dialer.core.ids import Phone
from dialer.storage import tables
from dialer.storage.database import Database
from dialer.storage.evidence import EvidenceStore
from dialer.storage.person import (
    Person,
    attempts_of,
    deliveries_of,
    find,
    ids_of,
    mentions,
    named,
    naming,
    of_contacts,
    removals_of,
    some_of,
    warnings_of,
)
from dialer.storage.suppressions import SuppressionStore

_AT_ONCE: Final = 400


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
        """Who has these numbers (`dialer.storage.person.find`)."""
        return await find(self._database, phones, all_numbers=all_numbers)

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
            "action_firings": await self._delete(tables.action_firings, of_contacts(tables.action_firings, person)),
            "promises": await self._delete(tables.promises, of_contacts(tables.promises, person)),
            "crm_contacts": await self._delete(tables.crm_contacts, tables.crm_contacts.c.contact.in_(ids_of(person))),
            "crm_updates": await self._delete(
                tables.crm_updates,
                or_(tables.crm_updates.c.contact.in_(ids_of(person)), mentions(tables.crm_updates.c.result, person)),
            ),
            "webhook_deliveries": await self._delete(tables.webhook_deliveries, deliveries_of(person)),
            "list_warnings": await self._delete(tables.list_warnings, warnings_of(person)),
            "rejected_rows": await self._blank(tables.rejected_rows, "raw", {"raw": "", "message": ""}, person),
            "set_aside": await self._blank(tables.set_aside, "data", {"data": ""}, person),
            "audit": await self._change(tables.audit, mentions(tables.audit.c.details, person), {"details": {}}),
            "calls_elsewhere": await self._delete(
                tables.calls_elsewhere, tables.calls_elsewhere.c.phone.in_(person.phones)
            ),
            "removals": await self._delete(tables.removals, removals_of(person)),
            "do_not_call": await self._delete(tables.do_not_call, tables.do_not_call.c.phone.in_(person.phones)),
            "fields of contacts": await self._fields(person),
            "attempts": await self._change(tables.attempts, attempts_of(person), {"phone": "", "contact": ""}),
        }
        gone = {name: count for name, count in rows.items() if count}
        hashes = [self._hash(phone) for phone in person.phones]
        evidence = EvidenceStore(self._database)
        gone |= await evidence.erase_person(
            person.phones, person.contacts, at=at, who=who, suppressions=hashes, rows=gone
        )
        if deleted := await self._delete(tables.contacts, of_contacts(tables.contacts, person, "id")):
            gone["contacts"] = deleted
        return Erased(rows=gone, others=person.others)

    def _hash(self, phone: Phone) -> str:
        return suppression_key(phone, self._key)

    async def _dispositions(self, person: Person) -> int:
        """Notes of their calls, and notes of others that have a number in them."""
        of_calls = tables.dispositions.c.call.in_(select(tables.attempts.c.call).where(attempts_of(person)))
        wanted = and_(tables.dispositions.c.notes != "", or_(of_calls, mentions(tables.dispositions.c.notes, person)))
        return await self._change(tables.dispositions, wanted, {"notes": ""})

    async def _recordings(self, person: Person, at: float) -> int:
        """A talk is theirs as much as their number: it is kept no longer, and whose it was goes at once."""
        mine = tables.recordings.c
        of_calls = mine.call.in_(select(tables.attempts.c.call).where(attempts_of(person)))
        wanted = and_(mine.contact != "", or_(of_calls, of_contacts(tables.recordings, person)))
        return await self._change(tables.recordings, wanted, {"contact": "", "retain_until": at})

    async def _fields(self, person: Person) -> int:
        """What is said of other contacts may name one of the numbers: such a field goes."""
        mine, count = tables.contacts.c, 0
        wanted = select(mine.campaign, mine.id, mine.fields).where(mentions(mine.fields, person))
        async with self._database.write() as connection:
            for row in (await connection.execute(wanted)).all():
                fields = {name: value for name, value in row.fields.items() if not named(f"{name} {value}", person)}
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
            keys = [key async for key in naming(connection, table, column, person)]
            key = tuple_(*table.primary_key)
            for some in some_of(keys, _AT_ONCE):
                await connection.execute(update(table).where(key.in_(some)).values(**values))
        return len(keys)
