"""Callbacks by their time: the calendar, reminders that are told once, and what the pacers hear of those to come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialer.api.callback_ports import CallbackQuery
from dialer.compliance.loader import load_rule_book
from dialer.core import events as ev
from dialer.core.campaign import Campaign, CampaignState
from dialer.core.contact import Contact
from dialer.core.ids import AgentId, CallId, CampaignId, ContactId, Phone
from dialer.core.promise import OVERDUE_AFTER_S, Promise, Standing, overdue, standing
from dialer.errors import QueueError
from dialer.queues.journal import JournalEntry
from dialer.queues.port import Publish, Write
from dialer.runtime.callbacks import CallbackCalendar, CallbackClock
from dialer.simulation import OPEN_RULES
from dialer.storage.attempts import Attempts
from dialer.storage.callbacks import CallbackFilter, Callbacks
from dialer.storage.contacts import Contacts
from dialer.storage.database import Database
from dialer.storage.promises import Promises
from dialer.storage.removals import Removal, Removals
from tests.engine_harness import Harness
from tests.queue_worlds import NOW, WINTER, finish
from tests.runtime_floor import RuntimeFloor

SPRING = CampaignId("spring")
ANA = AgentId("ana")


def promised(number: int, at: float, *, agent: str | None = "ana", campaign: CampaignId = WINTER) -> Promise:
    return Promise(
        campaign=campaign,
        contact=ContactId(f"crm-{number}"),
        at=at,
        agent=None if agent is None else AgentId(agent),
        fallback_at=at + 900,
        until_at=at + 3_600,
    )


async def keep(database: Database, *promises: Promise, made_at: float = NOW - 100) -> None:
    for promise in promises:
        number = int(promise.contact.removeprefix("crm-"))
        contact = Contact(
            campaign=promise.campaign,
            id=promise.contact,
            phones=(Phone(f"+34600{number:06d}"),),
            name=f"Person {number}",
            timezone="Atlantic/Canary" if number % 2 else None,
        )
        await Contacts(database).upsert([contact], NOW - 1_000)
        await Promises(database).keep(promise, made_at)


@pytest.fixture
async def sqlite(sqlite_url: str) -> AsyncIterator[Database]:
    """A database for what is not about databases."""
    opened = Database(sqlite_url)
    yield opened
    await opened.close()


class Published:
    """Takes results, or does not."""

    def __init__(self) -> None:
        self.results: list[dict[str, object]] = []
        self.broken = False

    async def write(self, writes: Sequence[Write]) -> None:
        if self.broken:
            raise QueueError("away")
        for write in writes:
            assert isinstance(write, Publish)
            self.results.append(dict(write.result))


class At:
    """The moment that it is."""

    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def clock_of(
    database: Database, now: At, published: Published, *campaigns: Campaign
) -> tuple[CallbackClock, RuntimeFloor]:
    floor = RuntimeFloor()
    for campaign in campaigns or (Campaign(id=WINTER),):
        floor.dispatcher.feed(ev.CampaignConfigured(at=NOW, campaign=campaign, state=CampaignState.RUNNING))
    return CallbackClock(database, floor.dispatcher, published, now), floor


async def test_the_calendar_is_by_time_and_by_agent_and_campaign(database: Database) -> None:
    await keep(
        database,
        promised(1, NOW + 300),
        promised(2, NOW + 100, agent="bea"),
        promised(3, NOW + 200, agent=None),
        promised(4, NOW + 100, campaign=SPRING),
    )
    callbacks = Callbacks(database)

    async def ids(**wanted: object) -> list[str]:
        return [s.promise.contact for s in await callbacks.page(CallbackFilter(**wanted), None, 10)]  # type: ignore[arg-type]

    assert await ids() == ["crm-4", "crm-2", "crm-3", "crm-1"]
    assert await ids(agent=ANA) == ["crm-4", "crm-1"]
    assert await ids(campaign=WINTER) == ["crm-2", "crm-3", "crm-1"]
    assert await ids(since=NOW + 100, until=NOW + 300) == ["crm-4", "crm-2", "crm-3"]
    seen: list[str] = []
    after: tuple[float, str, str] | None = None
    while found := await callbacks.page(CallbackFilter(), after, 1):
        last = found[-1].promise
        after = (last.at, last.campaign, last.contact)
        seen.append(last.contact)
    assert seen == ["crm-4", "crm-2", "crm-3", "crm-1"]


async def test_who_was_removed_or_is_done_has_no_callback_and_who_was_abandoned_has_not_agreed_one(
    database: Database,
) -> None:
    await keep(database, promised(1, NOW + 60), promised(2, NOW + 60), promised(3, NOW + 60))
    await Removals(database).add([Removal(campaign=WINTER, kind="contact", subject="crm-1", at=NOW)])
    await Promises(database).drop(WINTER, ContactId("crm-3"))
    permit = replace(Harness().permit(1), campaign=WINTER, contact=ContactId("crm-3"), call=CallId("k-3"))
    done = finish(permit, retry_at=NOW + 300)
    entry = JournalEntry(attempt=done.attempt, retry_at=NOW + 300, fencing_token=1, needs_agent=True)
    await Attempts(database).record([(entry.attempt, entry.retry_at)])
    await Promises(database).settle([entry])
    found = await Callbacks(database).page(CallbackFilter(), None, 10)
    assert [(stored.promise.contact, stored.agreed) for stored in found] == [("crm-2", True), ("crm-3", False)]


async def test_the_calendar_knows_the_clocks_of_the_people_called(sqlite: Database) -> None:
    await keep(sqlite, promised(1, NOW), promised(2, NOW + 1))
    book = await asyncio.to_thread(load_rule_book, OPEN_RULES)
    one, two = await CallbackCalendar(sqlite, book, At()).page(CallbackQuery(), None, 10)
    assert (one.name, one.zones[0]) == ("Person 1", "Atlantic/Canary")
    assert two.zones


async def test_each_callback_is_reminded_of_once_however_many_nodes_look(database: Database) -> None:
    await keep(database, promised(1, NOW + 200), promised(2, NOW + 400), promised(3, NOW - 5))
    now, told = At(), Published()
    nodes = [clock_of(database, now, told)[0] for _ in range(3)]
    await asyncio.gather(*(node.look() for node in nodes))
    assert [result["contact"] for result in told.results] == ["crm-1"]
    assert told.results[0]["type"] == "callback.due_soon"
    assert told.results[0]["agent"] == "ana"
    now.now += 150
    await asyncio.gather(*(node.look() for node in nodes))
    await asyncio.gather(*(node.look() for node in nodes))
    assert [result["contact"] for result in told.results] == ["crm-1", "crm-2"]


async def test_another_time_is_reminded_of_anew_and_a_later_try_of_the_same_is_not(sqlite: Database) -> None:
    await keep(sqlite, promised(1, NOW + 200))
    now, told = At(), Published()
    node, _ = clock_of(sqlite, now, told)
    await node.look()
    permit = replace(Harness().permit(1), campaign=WINTER, contact=ContactId("crm-1"), call=CallId("k-1"))
    done = finish(permit, retry_at=NOW + 260, at=NOW + 205)
    entry = JournalEntry(attempt=done.attempt, retry_at=NOW + 260, fencing_token=1)
    await Promises(sqlite).settle([entry])
    now.now = NOW + 210
    await node.look()
    assert len(told.results) == 1
    await keep(sqlite, promised(1, NOW + 400), made_at=NOW + 215)
    await node.look()
    assert [result["due_at"] for result in told.results][1:] == ["2027-01-15T08:06:40.000000Z"]


async def test_a_reminder_that_could_not_be_told_is_told_later(sqlite: Database) -> None:
    await keep(sqlite, promised(1, NOW + 200))
    now, told = At(), Published()
    node, _ = clock_of(sqlite, now, told)
    told.broken = True
    with pytest.raises(QueueError):
        await node.look()
    told.broken = False
    await node.look()
    assert len(told.results) == 1


async def test_a_campaign_may_remind_earlier_or_not_at_all_and_one_that_does_not_run_does_not(
    sqlite: Database,
) -> None:
    await keep(
        sqlite,
        promised(1, NOW + 200),
        promised(2, NOW + 800, campaign=SPRING),
        promised(3, NOW + 5, campaign=CampaignId("autumn")),
    )
    told = Published()
    node, _ = clock_of(
        sqlite,
        At(),
        told,
        Campaign(id=WINTER, callback_reminder_s=0.0),
        Campaign(id=SPRING, callback_reminder_s=900.0),
    )
    await node.look()
    assert [result["contact"] for result in told.results] == ["crm-2"]


async def test_the_engine_hears_of_those_to_come_and_when_there_are_none_any_more(sqlite: Database) -> None:
    await keep(sqlite, promised(1, NOW + 200), promised(2, NOW + 7_200))
    node, floor = clock_of(sqlite, At(), Published())
    floor.work("ana", method="preview")
    await node.look()
    agent = floor.engine.floor.roster.get(ANA)
    assert agent is not None
    assert agent.committed_at is not None
    await Promises(sqlite).drop(WINTER, ContactId("crm-1"))
    await node.look()
    assert agent.committed_at is None
    floor.dispatcher.close()


@given(
    at=st.floats(-5_000, 5_000),
    own_s=st.floats(0, 2_000),
    rest_s=st.floats(0, 2_000),
    agent=st.sampled_from([None, ANA]),
)
def test_where_a_callback_stands(at: float, own_s: float, rest_s: float, agent: AgentId | None) -> None:
    promise = Promise(
        campaign=WINTER,
        contact=ContactId("c"),
        at=at,
        agent=agent,
        fallback_at=at + own_s,
        until_at=at + own_s + rest_s,
    )
    where = standing(promise, 0.0)
    assert (where is Standing.PLANNED) is (at > 0)
    if at <= 0 and where is Standing.DUE:
        assert agent is None or promise.fallback_at > 0
    if where is Standing.OPEN:
        assert agent is not None
        assert promise.fallback_at <= 0 < promise.until_at
    if where is Standing.LAPSED:
        assert promise.until_at <= 0
    assert overdue(promise, 0.0) is (at + OVERDUE_AFTER_S <= 0.0)
    assert not (overdue(promise, 0.0) and where is Standing.PLANNED)
