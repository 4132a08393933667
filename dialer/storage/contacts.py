"""Contacts: loaded in bulk, counted, listed, and moved on by attempts and removals."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import msgspec
from sqlalchemy import Row, and_, func, select, tuple_, update

from dialer.core.contact import Contact
from dialer.core.contact_phone import PhoneTerms
from dialer.core.ids import CampaignId, ContactId, Phone
from dialer.errors import InputError
from dialer.storage import contact_load
from dialer.storage.contact_rows import ContactRow
from dialer.storage.cursors import Page, decode_cursor, encode_cursor
from dialer.storage.database import Database
from dialer.storage.tables import contacts

#: Values of one question; no database takes any number of them.
_IDS_AT_ONCE: Final = 1_000


class ContactState(StrEnum):
    """Where a contact stands on record."""

    WAITING = "waiting"
    #: Its attempts are used up, or one of them settled the matter.
    FINISHED = "finished"
    #: Withdrawn by the CRM, for good.
    REMOVED = "removed"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredContact:
    """A contact as it is on record."""

    contact: Contact
    state: ContactState
    attempts: int
    #: Unix seconds of the next attempt, where the last one asked for a pause.
    next_at: float | None
    #: Id of the list it came with; None: pushed one by one.
    list: str | None
    updated_at: float


class Contacts:
    """All contacts of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def upsert(self, batch: Sequence[Contact], at: float, *, list_id: str | None = None) -> int:
        """Add contacts, or update their data by (campaign, id); best 1,000 to 20,000 at once.

        State, attempts and next attempt of a contact that exists stay as they are. Of two pushes the later one counts,
        in whichever order they come: `at` decides, and within a batch the place. A contact that has been removed
        is removed from the start.

        Args:
            batch: checked contacts.
            at: unix seconds of the push (of the stream entry, or of the start of the import).
            list_id: of the list they came with; None: each as it says itself.

        Returns:
            How many different contacts the batch held.

        Raises:
            StorageError: nothing of the batch was written.
        """
        rows = contact_load.rows_of(batch, at, list_id)
        await contact_load.load(self._database, rows)
        return len(rows)

    async def newer(self, batch: Sequence[Contact], at: float) -> dict[tuple[CampaignId, ContactId], Contact]:
        """Of contacts that were pushed at `at`, those of which the record has later data, with that.

        Raises:
            StorageError: the database refused or is out of reach.
        """
        found: dict[tuple[CampaignId, ContactId], Contact] = {}
        column = contacts.c
        async with self._database.read() as connection:
            for campaign in dict.fromkeys(contact.campaign for contact in batch):
                ids = [contact.id for contact in batch if contact.campaign == campaign]
                for start in range(0, len(ids), _IDS_AT_ONCE):
                    some = ids[start : start + _IDS_AT_ONCE]
                    later = and_(column.campaign == campaign, column.id.in_(some), column.updated_at > at)
                    for row in (await connection.execute(select(contacts).where(later))).all():
                        contact = stored_contact(row).contact
                        found[campaign, contact.id] = contact
        return found

    async def upsert_rows(self, rows: Sequence[ContactRow], *, fresh: bool = False) -> bool:
        """As `upsert`, of rows that `dialer.storage.contact_rows.row_of` made, each of another contact.

        Args:
            rows: of a list, best 1,000 to 20,000 at once.
            fresh: their contacts are most likely not on record yet, which makes it cheaper on PostgreSQL where it is
                so, and dearer where it is not. What is on record in the end is the same.

        Returns:
            `fresh`, or False where some contact was found on record: so do not expect it of the rows to come.

        Raises:
            StorageError: nothing of them was written.
        """
        return await contact_load.load(self._database, rows, fresh=fresh)

    async def get(self, campaign: CampaignId, contact: ContactId) -> StoredContact | None:
        """One contact, or None."""
        statement = select(contacts).where(contacts.c.campaign == campaign, contacts.c.id == contact)
        async with self._database.read() as connection:
            row = (await connection.execute(statement)).one_or_none()
        return None if row is None else stored_contact(row)

    async def finish(self, campaign: CampaignId, contact: ContactId) -> None:
        """A contact that waits is done: no campaign calls it by itself.

        Raises:
            StorageError: nothing was written.
        """
        statement = (
            update(contacts)
            .where(
                contacts.c.campaign == campaign,
                contacts.c.id == contact,
                contacts.c.state == ContactState.WAITING.value,
            )
            .values(state=ContactState.FINISHED.value)
        )
        async with self._database.write() as connection:
            await connection.execute(statement)

    async def page(
        self,
        campaign: CampaignId,
        *,
        state: ContactState | None = None,
        list_id: str | None = None,
        cursor: str | None = None,
        limit: int = 100,
    ) -> Page[StoredContact]:
        """Contacts of a campaign by id.

        Raises:
            InputError: the cursor is none of ours.
        """
        wanted = [contacts.c.campaign == campaign]
        if state is not None:
            wanted.append(contacts.c.state == state.value)
        if list_id is not None:
            wanted.append(contacts.c.list == list_id)
        if cursor is not None:
            wanted.append(contacts.c.id > decode_cursor(cursor, tuple[str])[0])
        statement = select(contacts).where(and_(*wanted)).order_by(contacts.c.id).limit(limit + 1)
        async with self._database.read() as connection:
            rows = (await connection.execute(statement)).all()
        items = [stored_contact(row) for row in rows[:limit]]
        return Page(items=items, next=encode_cursor((items[-1].contact.id,)) if len(rows) > limit else None)

    async def after(
        self, key: tuple[str, str] | None, limit: int, *, states: Collection[ContactState]
    ) -> list[StoredContact]:
        """Up to `limit` contacts in `states` of all campaigns, in the order of (campaign, id), behind `key`."""
        statement = (
            select(contacts)
            .where(contacts.c.state.in_([state.value for state in states]))
            .order_by(contacts.c.campaign, contacts.c.id)
            .limit(limit)
        )
        if key is not None:
            statement = statement.where(tuple_(contacts.c.campaign, contacts.c.id) > key)
        async with self._database.read() as connection:
            return [stored_contact(row) for row in (await connection.execute(statement)).all()]

    async def counts(self, campaign: CampaignId) -> Mapping[ContactState, int]:
        """How many contacts of a campaign stand where; reads the whole campaign."""
        statement = (
            select(contacts.c.state, func.count()).where(contacts.c.campaign == campaign).group_by(contacts.c.state)
        )
        async with self._database.read() as connection:
            found = {str(state): int(count) for state, count in (await connection.execute(statement)).all()}
        return {state: found.get(state.value, 0) for state in ContactState}


def _terms(row: Row[tuple[object, ...]]) -> dict[Phone, PhoneTerms]:
    try:
        return msgspec.convert(row.phone_terms, dict[Phone, PhoneTerms])
    except msgspec.ValidationError as error:
        raise InputError(
            f"contact {row.id!r} of campaign {row.campaign!r} has no terms of its phones in the database"
        ) from error


def stored_contact(row: Row[tuple[object, ...]]) -> StoredContact:
    """A row of the table, as a value."""
    try:
        phones = tuple(Phone(phone) for phone in msgspec.convert(row.phones, list[str]))
    except msgspec.ValidationError as error:
        raise InputError(
            f"contact {row.id!r} of campaign {row.campaign!r} has no list of phones in the database"
        ) from error
    return StoredContact(
        contact=Contact(
            campaign=CampaignId(row.campaign),
            id=ContactId(row.id),
            phones=phones,
            name=row.name,
            priority=row.priority,
            timezone=row.timezone,
            not_before_at=row.not_before_at,
            expires_at=row.expires_at,
            consent=row.consent,
            fields=row.fields,
            phone_terms={} if row.phone_terms is None else _terms(row),
            list=row.list,
        ),
        state=ContactState(row.state),
        attempts=row.attempts,
        next_at=row.next_at,
        list=row.list,
        updated_at=row.updated_at,
    )
