"""Attempts in SQL: once each, whatever comes twice, and found again by every filter."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from dialer.core.attempt import Attempt
from dialer.core.campaign import Campaign
from dialer.core.ids import AgentId, CallId, CampaignId, ContactId, Phone
from dialer.core.outcome import Outcome
from dialer.errors import InputError
from dialer.storage.attempts import AttemptFilter, Attempts
from dialer.storage.attempts_made import attempts_made
from dialer.storage.campaigns import Campaigns
from dialer.storage.contacts import Contacts, ContactState
from dialer.storage.database import Database
from tests.databases import count
from tests.record_values import CAMPAIGN, attempt, contact


async def test_first_record_of_a_call_stays(database: Database) -> None:
    await Attempts(database).record([(attempt(1), None)])
    await Attempts(database).record([(attempt(1, outcome=Outcome.LOST), None), (attempt(2), None)])
    stored = await Attempts(database).get(CallId("call-1"))
    assert stored is not None
    assert stored.outcome is Outcome.NO_ANSWER
    assert await count(database, "attempts") == 2


@pytest.mark.parametrize("seed", range(4))
async def test_any_order_and_repetition_leads_to_the_same_contact(database: Database, seed: int) -> None:
    await Contacts(database).upsert([contact(1)], at=1.0)
    batch = [(attempt(1, call=f"c{n}", attempt_number=n), None if n == 5 else 1_000.0 * n) for n in range(1, 6)]
    shuffled = [*batch, *batch]
    random.Random(seed).shuffle(shuffled)
    for at in range(0, len(shuffled), 3):
        await Attempts(database).record(shuffled[at : at + 3])
    stored = await Contacts(database).get(CAMPAIGN, ContactId("crm-1"))
    assert stored is not None
    assert (stored.attempts, stored.state, stored.next_at) == (5, ContactState.FINISHED, None)
    assert await count(database, "attempts") == 5


@pytest.mark.parametrize("together", [True, False])
async def test_what_does_not_count_as_an_attempt_is_on_record_and_takes_none_away(
    database: Database, *, together: bool
) -> None:
    await Contacts(database).upsert([contact(1)], at=1.0)
    refused = attempt(1, call="refused", attempt_number=0, outcome=Outcome.FAILED, caller_id=Phone("+34911222333"))
    made = [(refused, 50.0), (attempt(1), 900.0), (replace(refused, call=CallId("again")), 60.0)]
    for batch in [made] if together else [[each] for each in made]:
        await Attempts(database).record(batch)
    stored = await Contacts(database).get(CAMPAIGN, ContactId("crm-1"))
    assert stored is not None
    assert (stored.attempts, stored.state) == (1, ContactState.WAITING)
    assert await count(database, "attempts") == 3
    assert [row.key[2] for row in await attempts_made(database, 0.0, None, 10)] == ["call-1"]
    assert await Attempts(database).calls_by_caller_id(0.0) == {}


async def test_attempt_of_an_unknown_contact_is_kept(database: Database) -> None:
    await Attempts(database).record([(attempt(404), 5.0)])
    assert await count(database, "attempts") == 1
    assert await count(database, "contacts") == 0


async def test_pages_are_in_order_and_whole(database: Database) -> None:
    # Many end at the same moment: the cursor must not lose or repeat any of them.
    made = [attempt(i, ended_at=1_700_000_100.0 + i // 7) for i in range(40)]
    await Attempts(database).record([(each, None) for each in made])
    seen: list[Attempt] = []
    cursor = None
    while True:
        page = await Attempts(database).page(AttemptFilter(), cursor=cursor, limit=9)
        seen += page.items
        cursor = page.next
        if cursor is None:
            break
    assert seen == sorted(made, key=lambda each: (each.ended_at, each.call), reverse=True)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (AttemptFilter(), {1, 2, 3, 4}),
        (AttemptFilter(campaign=CampaignId("other")), {4}),
        (AttemptFilter(contact=ContactId("crm-2")), {2}),
        (AttemptFilter(phone=attempt(3).phone), {3}),
        (AttemptFilter(agent=AgentId("ana")), {2}),
        (AttemptFilter(outcome=Outcome.CONNECTED), {2}),
        (AttemptFilter(since=attempt(3).ended_at), {3, 4}),
        (AttemptFilter(until=attempt(3).ended_at), {1, 2}),
        (AttemptFilter(campaign=CAMPAIGN, since=attempt(2).ended_at, until=attempt(3).ended_at), {2}),
    ],
)
async def test_filters(database: Database, wanted: AttemptFilter, expected: set[int]) -> None:
    made = [
        attempt(1),
        attempt(2, outcome=Outcome.CONNECTED, agent=AgentId("ana"), connected_at=1_700_000_010.0),
        attempt(3),
        attempt(4, campaign=CampaignId("other")),
    ]
    await Attempts(database).record([(each, None) for each in made])
    page = await Attempts(database).page(wanted)
    assert {int(each.call.removeprefix("call-")) for each in page.items} == expected


async def test_foreign_cursor_is_refused(database: Database) -> None:
    with pytest.raises(InputError, match="start again without it"):
        await Attempts(database).page(AttemptFilter(), cursor="WyJhIiwiYiJd")


async def test_unknown_call_is_none(database: Database) -> None:
    assert await Attempts(database).get(CallId("never")) is None


async def test_calls_of_a_day_are_counted_by_the_number_that_they_showed(database: Database) -> None:
    await Campaigns(database).create(Campaign(id=CAMPAIGN), 1.0)
    near, far = Phone("+34910000001"), Phone("+34910000002")
    shown = [near, near, far, None, near]
    await Attempts(database).record(
        [(attempt(n, caller_id=number, ended_at=1_700_000_100.0 + n), None) for n, number in enumerate(shown)]
    )
    assert await Attempts(database).calls_by_caller_id(1_700_000_101.0) == {near: 2, far: 1}
    assert await Attempts(database).calls_by_caller_id(1_800_000_000.0) == {}
