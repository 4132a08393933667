"""Contacts in SQL: bulk loads are idempotent, the later push wins in any order, removals stay in force."""

from __future__ import annotations

from typing import Any

import pytest

from dialer.core.contact_phone import PhoneTerms, PhoneType
from dialer.core.ids import CampaignId, ContactId, Phone
from dialer.errors import InputError
from dialer.storage.attempts import Attempts
from dialer.storage.contacts import Contacts, ContactState
from dialer.storage.database import Database
from dialer.storage.removals import Removal, Removals
from tests.databases import count
from tests.record_values import CAMPAIGN, attempt, contact


async def test_every_field_comes_back(database: Database) -> None:
    full = contact(
        1,
        phones=(Phone("+34600111222"), Phone("+34600111333")),
        name='Zoë "Müller" 📞 O\'Neill',
        priority=-7,
        timezone="Atlantic/Canary",
        not_before_at=1_700_000_000.123456,
        expires_at=1_900_000_000.5,
        consent={"source": "web", "at": "2026-01-01T00:00:00Z"},
        fields={"debt": 12.5, "big": 2**63 - 1, "nested": {"z": [1, None, True], "a": "ñ"}},
        phone_terms={
            Phone("+34600111333"): PhoneTerms(type=PhoneType.WORK, hours=("mon-fri 09:00-17:00",), max_attempts=2)
        },
        list="l1",
    )
    assert await Contacts(database).upsert([full], at=5.0, list_id="l1") == 1
    stored = await Contacts(database).get(full.campaign, full.id)
    assert stored is not None
    assert stored.contact == full
    assert list(stored.contact.fields) == ["debt", "big", "nested"]
    assert list(stored.contact.fields["nested"]) == ["z", "a"]  # type: ignore[call-overload]
    assert (stored.state, stored.attempts, stored.next_at, stored.list) == (ContactState.WAITING, 0, None, "l1")


async def test_repeated_upsert_changes_nothing(database: Database) -> None:
    batch = [contact(i) for i in range(50)]
    for _ in range(2):
        assert await Contacts(database).upsert(batch, at=5.0) == 50
    assert await count(database, "contacts") == 50


async def test_of_two_in_one_batch_the_last_counts(database: Database) -> None:
    assert await Contacts(database).upsert([contact(1, name="old"), contact(1, name="new")], at=5.0) == 1
    stored = await Contacts(database).get(CAMPAIGN, ContactId("crm-1"))
    assert stored is not None
    assert stored.contact.name == "new"


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
async def test_later_push_wins_in_any_order(database: Database, order: tuple[int, int]) -> None:
    pushes = [([contact(1, name="old")], 5.0), ([contact(1, name="new")], 6.0)]
    for i in order:
        await Contacts(database).upsert(pushes[i][0], at=pushes[i][1])
    stored = await Contacts(database).get(CAMPAIGN, ContactId("crm-1"))
    assert stored is not None
    assert (stored.contact.name, stored.updated_at) == ("new", 6.0)


@pytest.mark.parametrize("removal_first", [True, False])
@pytest.mark.parametrize("scope", [CAMPAIGN, "*"])
async def test_removed_contact_stays_removed_in_any_order(database: Database, removal_first: bool, scope: str) -> None:
    from dialer.core.campaign import Campaign
    from dialer.storage.campaigns import Campaigns

    await Campaigns(database).create(Campaign(id=CAMPAIGN), now=1.0)
    removal = Removal(campaign=scope, kind="contact", subject="crm-1", at=5.0)
    both = [contact(1), contact(2)]
    if removal_first:
        await Removals(database).add([removal])
        await Contacts(database).upsert(both, at=6.0)
    else:
        await Contacts(database).upsert(both, at=4.0)
        await Removals(database).add([removal])
    await Contacts(database).upsert(both, at=7.0)
    # Nor does the end of a call that was under way bring it back.
    await Attempts(database).record([(attempt(1), 9_999.0)])
    counts = await Contacts(database).counts(CAMPAIGN)
    assert counts == {ContactState.WAITING: 1, ContactState.FINISHED: 0, ContactState.REMOVED: 1}
    stored = await Contacts(database).get(CAMPAIGN, ContactId("crm-1"))
    assert stored is not None
    assert stored.state is ContactState.REMOVED


async def test_upsert_leaves_progress_alone(database: Database) -> None:
    await Contacts(database).upsert([contact(1), contact(2)], at=5.0)
    await Attempts(database).record([(attempt(1), 8_000.0), (attempt(2), None)])
    await Contacts(database).upsert([contact(1, name="again"), contact(2)], at=6.0)
    waiting = await Contacts(database).get(CAMPAIGN, ContactId("crm-1"))
    finished = await Contacts(database).get(CAMPAIGN, ContactId("crm-2"))
    assert waiting is not None
    assert finished is not None
    assert (waiting.contact.name, waiting.attempts, waiting.next_at) == ("again", 1, 8_000.0)
    assert finished.state is ContactState.FINISHED


async def test_characters_that_postgresql_refuses_are_replaced(database: Database) -> None:
    hostile = contact(1, name="a\x00b\ud800c", fields={"k\x00": "v\x00\ud83d", "path": "\\u0000"})
    await Contacts(database).upsert([hostile, contact(2)], at=5.0)
    stored = await Contacts(database).get(CAMPAIGN, hostile.id)
    assert stored is not None
    assert stored.contact.name == "a\ufffdb\ufffdc"
    assert stored.contact.fields == {"k\ufffd": "v\ufffd\ufffd", "path": "\\u0000"}


async def test_refused_row_refuses_its_batch_and_nothing_is_half_written(database: Database) -> None:
    from dialer.errors import StorageError

    rows: list[Any] = [contact(1), contact(2, phones=None)]
    with pytest.raises((StorageError, TypeError)):
        await Contacts(database).upsert(rows, at=5.0)
    assert await count(database, "contacts") == 0
    assert await Contacts(database).upsert([contact(1)], at=5.0) == 1


async def test_pages_cover_everything_once(database: Database) -> None:
    contacts = Contacts(database)
    await contacts.upsert([contact(i) for i in range(25)] + [contact(1, campaign=CampaignId("other"))], at=5.0)
    seen: list[str] = []
    cursor = None
    while True:
        page = await contacts.page(CAMPAIGN, cursor=cursor, limit=10)
        seen += [item.contact.id for item in page.items]
        cursor = page.next
        if cursor is None:
            break
    assert seen == sorted(seen)
    assert len(seen) == len(set(seen)) == 25


async def test_pages_by_list_and_state(database: Database) -> None:
    contacts = Contacts(database)
    await contacts.upsert([contact(1), contact(2)], at=5.0, list_id="a")
    await contacts.upsert([contact(3)], at=5.0, list_id="b")
    await Attempts(database).record([(attempt(2), None)])
    page = await contacts.page(CAMPAIGN, list_id="a", state=ContactState.WAITING)
    assert [item.contact.id for item in page.items] == ["crm-1"]


@pytest.mark.parametrize("cursor", ["", "!", "AAAA", "WzEsMl0", "é"])
async def test_foreign_cursor_is_refused(database: Database, cursor: str) -> None:
    with pytest.raises(InputError, match="start again without it"):
        await Contacts(database).page(CAMPAIGN, cursor=cursor)


async def test_empty_batch_needs_no_database(database: Database) -> None:
    assert await Contacts(database).upsert([], at=5.0) == 0
