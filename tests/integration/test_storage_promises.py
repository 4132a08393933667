"""Promises on record: kept as they are made, settled by the attempts that end."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dialer.core.contact import Contact
from dialer.core.ids import AgentId, CallId, ContactId, Phone
from dialer.core.outcome import Outcome
from dialer.core.promise import Promise
from dialer.queues.journal import JournalEntry
from dialer.queues.port import Finish
from dialer.storage.attempts import Attempts
from dialer.storage.contacts import Contacts, ContactState
from dialer.storage.database import Database
from dialer.storage.promises import Promises
from dialer.storage.record import RecordPages
from dialer.storage.removals import Removal, Removals
from tests.engine_harness import Harness
from tests.queue_worlds import NOW, WINTER, finish

ONE = ContactId("crm-1")
PROMISE = Promise(
    campaign=WINTER, contact=ONE, at=NOW + 60, agent=AgentId("ana"), fallback_at=NOW + 90, until_at=NOW + 600
)


def ended(number: int, *, retry_at: float | None, at: float = NOW, needs_agent: bool = False) -> JournalEntry:
    """The n-th attempt at the contact."""
    call = CallId(f"k-{number}")
    permit = replace(Harness().permit(1), campaign=WINTER, contact=ONE, attempt_number=number, call=call)
    done: Finish = finish(permit, retry_at=retry_at, outcome=Outcome.BUSY, at=at)
    return JournalEntry(attempt=done.attempt, retry_at=retry_at, fencing_token=1, needs_agent=needs_agent)


async def waiting(database: Database) -> Contact:
    contact = Contact(campaign=WINTER, id=ONE, phones=(Phone("+34600000001"),))
    await Contacts(database).upsert([contact], NOW - 1_000)
    return contact


async def record(database: Database, *entries: JournalEntry) -> list[Promise]:
    """What is promised once these attempts are on record, twice, as after a crash."""
    for _ in range(2):
        await Attempts(database).record([(entry.attempt, entry.retry_at) for entry in entries])
        await Promises(database).settle(entries)
    return await Promises(database).after(None, 10)


async def state(database: Database) -> ContactState:
    stored = await Contacts(database).get(WINTER, ONE)
    assert stored is not None
    return stored.state


async def test_a_promise_waits_with_its_contact_and_goes_with_it(database: Database) -> None:
    await waiting(database)
    await Promises(database).keep(PROMISE, NOW - 100)
    assert await record(database, ended(1, retry_at=NOW + 300)) == [replace(PROMISE, at=NOW + 300)]
    assert await record(database, ended(2, retry_at=None, at=NOW + 400)) == []
    assert await state(database) is ContactState.FINISHED


async def test_a_promise_made_in_the_call_stands_though_the_call_ends_the_contact(database: Database) -> None:
    await waiting(database)
    await Promises(database).keep(PROMISE, NOW + 1)
    assert await record(database, ended(1, retry_at=None)) == [PROMISE]
    assert await state(database) is ContactState.WAITING


async def test_a_promise_to_somebody_who_is_done_opens_the_contact(database: Database) -> None:
    await waiting(database)
    assert await record(database, ended(1, retry_at=None)) == []
    await Promises(database).keep(PROMISE, NOW + 100)
    assert await state(database) is ContactState.WAITING
    later = replace(PROMISE, at=NOW + 7_200, agent=None)
    await Promises(database).keep(later, NOW + 200)
    await Promises(database).keep(PROMISE, NOW + 100)
    assert await Promises(database).after(None, 10) == [later]
    pages = [page async for page in RecordPages(database, NOW)]
    assert [promise for page in pages for promise in page.promises] == [later]
    await Promises(database).drop(WINTER, ONE)
    assert await Promises(database).after(None, 10) == []


async def test_whoever_was_abandoned_is_owed_a_call(database: Database) -> None:
    await waiting(database)
    (owed,) = await record(database, ended(1, retry_at=NOW + 300, needs_agent=True))
    assert (owed.at, owed.agent) == (NOW + 300, None)
    assert await record(database, ended(2, retry_at=None, at=NOW + 400)) == []


async def test_a_removed_contact_is_promised_nothing(database: Database) -> None:
    await waiting(database)
    removal = Removal(campaign=WINTER, kind="contact", subject=ONE, reason="", ref=None, at=NOW)
    await Removals(database).add([removal])
    await Promises(database).keep(PROMISE, NOW)
    assert await state(database) is ContactState.REMOVED
    assert await Promises(database).after(None, 10) == []


@pytest.mark.parametrize("known", [True, False])
async def test_a_contact_that_no_campaign_calls_is_done(database: Database, known: bool) -> None:
    if known:
        await waiting(database)
        await Contacts(database).finish(WINTER, ONE)
        assert await state(database) is ContactState.FINISHED
    else:
        await Contacts(database).finish(WINTER, ONE)
        assert await Contacts(database).get(WINTER, ONE) is None
