"""The attempt writer, through everything that may happen to it: no attempt is lost, none is doubled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from dialer.core.ids import ContactId
from dialer.storage.attempt_writer import AttemptWriter
from dialer.storage.attempts import AttemptFilter, Attempts
from dialer.storage.contacts import Contacts, ContactState
from dialer.storage.database import Database
from dialer.storage.gate_marks import GateMarks
from dialer.storage.set_aside import SetAsides
from tests.databases import count, outage
from tests.patience import PATIENCE_S
from tests.record_values import CAMPAIGN, Stream, attempt, contact, eventually, journal_entry


def _writer(database: Database, stream: Stream, **options: Any) -> AttemptWriter:
    options = {"linger_s": 0.02, "backoff_min_s": 0.01, "backoff_max_s": 0.05, **options}
    return AttemptWriter(database, stream.consumer(), lambda: 1_700_000_100.0, **options)


@asynccontextmanager
async def _running(writer: AttemptWriter) -> AsyncIterator[asyncio.Event]:
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(writer.run(stop))
        yield stop
        stop.set()


async def test_attempts_and_their_contacts_are_written(database: Database) -> None:
    await Contacts(database).upsert([contact(1), contact(2)], at=1.0)
    stream = Stream()
    stream.add(journal_entry(attempt(1), 5_000.0, token=7), journal_entry(attempt(2), None, token=9))
    async with _running(_writer(database, stream)):
        await eventually(lambda: stream.unacked == 0)
    assert await Attempts(database).get(attempt(1).call) == attempt(1)
    first = await Contacts(database).get(CAMPAIGN, ContactId("crm-1"))
    second = await Contacts(database).get(CAMPAIGN, ContactId("crm-2"))
    assert first is not None
    assert second is not None
    assert (first.state, first.attempts, first.next_at) == (ContactState.WAITING, 1, 5_000.0)
    assert (second.state, second.attempts, second.next_at) == (ContactState.FINISHED, 1, None)
    mark = await GateMarks(database).get("cadencia:")
    assert mark is not None
    assert mark.fencing_token == 9


async def test_clean_stop_flushes_everything(database: Database) -> None:
    """Also what came after the last batch, and although nobody waits for it."""
    stream = Stream()
    stream.add(*(journal_entry(attempt(i)) for i in range(250)))
    writer = _writer(database, stream, batch=100)
    stop = asyncio.Event()
    stop.set()
    await writer.run(stop)
    assert stream.unacked == 0
    assert await count(database, "attempts") == 250
    assert writer.status.written == 250


async def test_database_down_then_back(database: Database, request: pytest.FixtureRequest) -> None:
    """Nothing is acknowledged and nothing more is read while it is away; then all is written, once."""
    stream = Stream()
    stream.add(*(journal_entry(attempt(i)) for i in range(30)))
    writer = _writer(database, stream, batch=10)
    async with outage(database, request), _running(writer) as stop:
        await eventually(lambda: writer.status.trouble is not None)
        reads = stream.reads
        stream.add(journal_entry(attempt(30)))
        await asyncio.sleep(0.1)
        assert (stream.acked, stream.reads) == ([], reads)
        assert (writer.status.waiting, writer.status.trouble_since) == (10, 1_700_000_100.0)
        stop.set()
    # It was stopped meanwhile; the next start finds all of it.
    again = _writer(database, stream, batch=10)
    async with _running(again):
        await eventually(lambda: stream.unacked == 0)
    assert again.status.trouble is None
    assert await count(database, "attempts") == 31


async def test_goes_on_by_itself_when_the_database_is_back(database: Database, request: pytest.FixtureRequest) -> None:
    stream = Stream()
    stream.add(journal_entry(attempt(1)))
    writer = _writer(database, stream)
    async with _running(writer):
        async with outage(database, request):
            await eventually(lambda: writer.status.trouble is not None or stream.unacked == 0)
            assert stream.unacked == 1
        await eventually(lambda: stream.unacked == 0)
        assert writer.status.trouble is None
    assert await count(database, "attempts") == 1


async def test_kill_between_commit_and_ack(database: Database) -> None:
    """The rows are there, the stream does not know it: read again, they are not doubled."""
    await Contacts(database).upsert([contact(i) for i in range(20)], at=1.0)
    stream = Stream()
    stream.add(*(journal_entry(attempt(i), 5_000.0) for i in range(20)))
    stream.may_ack.clear()
    stop = asyncio.Event()
    task = asyncio.ensure_future(_writer(database, stream).run(stop))
    await asyncio.wait_for(stream.acking.wait(), PATIENCE_S)
    assert await count(database, "attempts") == 20
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert stream.unacked == 20
    stream.may_ack.set()
    # Before the restart a later attempt at one of them is on record already.
    later = attempt(3, call="call-3b", attempt_number=2)
    await Attempts(database).record([(later, 9_000.0)])
    async with _running(_writer(database, stream)):
        await eventually(lambda: stream.unacked == 0)
    assert await count(database, "attempts") == 21
    third = await Contacts(database).get(CAMPAIGN, ContactId("crm-3"))
    assert third is not None
    assert (third.attempts, third.next_at) == (2, 9_000.0)


async def test_redis_down_while_acknowledging(database: Database) -> None:
    stream = Stream()
    stream.add(journal_entry(attempt(1)))
    stream.may_ack.clear()
    writer = _writer(database, stream)
    async with _running(writer):
        await asyncio.wait_for(stream.acking.wait(), PATIENCE_S)
        stream.down = True
        stream.may_ack.set()
        await eventually(lambda: writer.status.trouble is not None)
        stream.down = False
        await eventually(lambda: stream.unacked == 0)
    assert await count(database, "attempts") == 1


@pytest.mark.parametrize(
    "poison", [b"", b"not json", b"[]", b'{"attempt": {}}', b"\xff\xfe\x00", b"[" * 100_000, b'{"attempt": "\\u0000"}']
)
async def test_entry_that_makes_no_sense_is_set_aside(database: Database, poison: bytes) -> None:
    stream = Stream()
    stream.add(journal_entry(attempt(1)), poison, journal_entry(attempt(2)))
    writer = _writer(database, stream)
    async with _running(writer):
        await eventually(lambda: stream.unacked == 0)
    assert await count(database, "attempts") == 2
    (aside,) = await SetAsides(database).latest()
    assert (aside.stream, aside.entry) == ("attempts", "1700000000000-1")
    assert writer.status.set_aside == 1


async def test_row_that_the_database_refuses_is_set_aside_alone(database: Database) -> None:
    stream = Stream()
    refused = attempt(7, attempt_number=2**62 * 8)
    stream.add(*(journal_entry(attempt(i) if i != 7 else refused) for i in range(20)))
    async with _running(_writer(database, stream)):
        await eventually(lambda: stream.unacked == 0)
    assert await count(database, "attempts") == 19
    (aside,) = await SetAsides(database).latest()
    assert aside.entry == "1700000000000-7"
    assert "outside of what" in aside.reason or "refuses the row" in aside.reason


async def test_batch_waits_no_longer_than_the_linger(sqlite_url: str) -> None:
    """One entry alone is written though the batch is far from full."""
    database = Database(sqlite_url)
    stream = Stream()
    stream.add(journal_entry(attempt(1)))
    async with _running(_writer(database, stream, linger_s=0.05)):
        await eventually(lambda: stream.unacked == 0)
    assert (await Attempts(database).page(AttemptFilter())).items == [attempt(1)]
    await database.close()
