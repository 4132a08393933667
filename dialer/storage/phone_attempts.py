"""How often each number of a contact was called: of those that say something of their numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from sqlalchemy import select, tuple_

from dialer.core.ids import CampaignId, ContactId, Phone
from dialer.storage.contacts import StoredContact
from dialer.storage.database import Database
from dialer.storage.tables import attempts


async def attempts_by_number(
    database: Database, known: Sequence[StoredContact]
) -> dict[tuple[CampaignId, ContactId], Mapping[Phone, int]]:
    """By campaign and contact, of those of `known` that have been called and say something of their numbers.

    Counts as many of a contact's latest attempts as it has been called: a list that was reset counts anew.

    Raises:
        StorageError: the database refused or is out of reach.
    """
    called = {
        (stored.contact.campaign, stored.contact.id): stored.attempts
        for stored in known
        if stored.contact.phone_terms and stored.attempts
    }
    if not called:
        return {}
    column = attempts.c
    statement = (
        select(column.campaign, column.contact, column.phone)
        .where(tuple_(column.campaign, column.contact).in_(called), column.attempt_number > 0)
        # The latest first. A sum, so that the campaign's attempts are not read by time (`dialer.storage.recycling`).
        .order_by((column.ended_at + 0.0).desc())
    )
    found: dict[tuple[CampaignId, ContactId], Counter[Phone]] = {}
    async with database.read() as connection:
        for campaign, contact, phone in (await connection.execute(statement)).all():
            key = (CampaignId(campaign), ContactId(contact))
            counts = found.setdefault(key, Counter())
            if counts.total() < called[key]:
                counts[Phone(phone)] += 1
    return {key: dict(counts) for key, counts in found.items()}
