"""Whose a number is, as far as the record of calls tells: contacts that are done are in no index of numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import and_, select

from dialer.core.ids import Phone
from dialer.storage.contacts import StoredContact, stored_contact
from dialer.storage.database import Database
from dialer.storage.tables import attempts, contacts

#: Of the latest calls to the number so many are looked at.
_LOOKED_AT: Final = 50


async def called_at(database: Database, phone: Phone) -> Sequence[StoredContact]:
    """Contacts of any campaign who have been called at a number and still have it, the latest called first.

    Raises:
        StorageError: the database refused or is out of reach.
    """
    statement = (
        select(contacts)
        .select_from(
            attempts.join(
                contacts, and_(contacts.c.campaign == attempts.c.campaign, contacts.c.id == attempts.c.contact)
            )
        )
        .where(attempts.c.phone == phone)
        .order_by(attempts.c.ended_at.desc(), attempts.c.call.desc())
        .limit(_LOOKED_AT)
    )
    async with database.read() as connection:
        found = [stored_contact(row) for row in (await connection.execute(statement)).all()]
    latest = {(stored.contact.campaign, stored.contact.id): stored for stored in reversed(found)}
    return [stored for stored in reversed(latest.values()) if phone in stored.contact.phones]
