"""How often each number of a contact was called, from the record: what a rebuilt gate is told."""

from __future__ import annotations

from dataclasses import replace

import msgspec

from dialer.core.contact_phone import PhoneTerms
from dialer.core.ids import CampaignId, ContactId, Phone
from dialer.core.list_terms import ListTerms
from dialer.storage.attempts import Attempts
from dialer.storage.contacts import Contacts
from dialer.storage.database import Database
from dialer.storage.lists import Lists
from dialer.storage.phone_attempts import attempts_by_number
from dialer.storage.record import RecordPages
from tests.record_values import CAMPAIGN, attempt, contact

HOME, WORK = Phone("+34910000001"), Phone("+34910000002")
TERMS = {HOME: PhoneTerms(max_attempts=3)}
NOW = 1_800_000_000.0


async def called(database: Database, number: int, *phones: Phone, terms: bool = True) -> None:
    """A contact whose numbers were called in this order."""
    made = contact(number, phones=(HOME, WORK))
    made = msgspec.structs.replace(made, phone_terms=TERMS if terms else {})
    await Contacts(database).upsert([made], NOW)
    for place, phone in enumerate(phones, start=1):
        one = attempt(1_000 * number + place, contact=made.id, phone=phone, attempt_number=place, ended_at=NOW + place)
        await Attempts(database).record([(one, NOW + 100.0)])


async def test_contacts_that_say_something_of_their_numbers_are_counted(database: Database) -> None:
    await called(database, 1, HOME, WORK, HOME)
    await called(database, 2, HOME, terms=False)
    await called(database, 3)
    pages = [page async for page in RecordPages(database, NOW)]
    numbers = [row for page in pages for row in page.numbers]
    assert numbers == [(CAMPAIGN, "crm-1", {HOME: 2, WORK: 1})]
    waiting = {known.id: known for page in pages for known, _, _ in page.contacts}
    assert waiting[ContactId("crm-1")].phone_terms == TERMS


async def test_a_list_that_was_reset_counts_anew(database: Database) -> None:
    await called(database, 1, HOME, HOME, WORK)
    stored = await Contacts(database).get(CAMPAIGN, ContactId("crm-1"))
    assert stored is not None
    assert await attempts_by_number(database, [stored]) == {(CAMPAIGN, "crm-1"): {HOME: 2, WORK: 1}}
    # As many as it was called since, and those are the latest.
    for made, expected in ((1, {WORK: 1}), (2, {WORK: 1, HOME: 1}), (0, None)):
        found = await attempts_by_number(database, [replace(stored, attempts=made)])
        assert found.get((CAMPAIGN, ContactId("crm-1"))) == expected


async def test_what_lists_have_of_their_own_is_on_record(database: Database) -> None:
    lists = Lists(database)
    for name, campaign in (("may", CAMPAIGN), ("june", CAMPAIGN), ("july", CampaignId("summer"))):
        await lists.start(name, campaign, name=name, source="test", now=NOW)
    assert await lists.terms() == {}
    debtors = ListTerms(filter="debt > 3", priority=-5)
    await lists.set_terms("may", debtors)
    await lists.set_terms("july", ListTerms(priority=1))
    assert await lists.terms(CAMPAIGN) == {CAMPAIGN: {"may": debtors}}
    assert await lists.terms() == {CAMPAIGN: {"may": debtors}, "summer": {"july": ListTerms(priority=1)}}
    found = await lists.get("may")
    assert found is not None
    assert found.terms == debtors
    await lists.set_terms("may", ListTerms())
    assert await lists.terms(CAMPAIGN) == {}
