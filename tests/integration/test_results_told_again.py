"""Results that Redis forgot are told again: each reaches a webhook's receiver once by its key, whoever remembers it."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from dialer.core.attempt import Attempt
from dialer.core.campaign import Campaign
from dialer.core.ids import AgentId, CallId, ContactId, NodeName, Phone
from dialer.core.outcome import Outcome
from dialer.core.permit import Permit
from dialer.crm.webhooks import WebhookFeed
from dialer.errors import QueueError
from dialer.queues.connection import AsyncRedis, connect
from dialer.queues.embedded import EmbeddedServer
from dialer.queues.keys import Keys
from dialer.queues.port import Finish, Publish, Record
from dialer.queues.redis_queues import RedisQueues
from dialer.queues.result_stream import unread_s
from dialer.queues.results import told_of
from dialer.queues.streams import StreamReader
from dialer.runtime.outbox import Outbox
from dialer.runtime.results_again import ResultsAgain
from dialer.settings import Webhook
from dialer.storage.attempts import Attempts
from dialer.storage.campaigns import Campaigns
from dialer.storage.contacts import Contacts
from dialer.storage.database import Database
from dialer.storage.dispositions import Disposition, Dispositions
from dialer.storage.record import RecordPages
from dialer.storage.result_marks import ResultMark, ResultMarks
from dialer.storage.webhooks import Webhooks
from tests.integration.test_webhook_deliveries import Receiver, configure, deliver, receiver
from tests.queue_worlds import NOW, WINTER, Caller, Pages, contact

__all__ = ["configure", "receiver"]


@pytest.fixture
async def record(sqlite_template: Path, tmp_path: Path) -> AsyncIterator[Database]:
    """The record where `configure` has it."""
    shutil.copy(sqlite_template, tmp_path / "record.db")
    database = Database(f"sqlite:///{tmp_path}/record.db")
    yield database
    await database.close()


class Bench:
    """A node's queues with what looks after results, and a webhook that is fed from the stream."""

    def __init__(self, url: str, database: Database, name: str = "n1") -> None:
        self.queues = RedisQueues.from_url(url, node=NodeName(name))
        self.client = connect(url)
        self.database = database
        self.losses = 0
        self.again = ResultsAgain(
            queues=self.queues,
            redis=self.client,
            database=database,
            outbox=Outbox(self.queues),
            losses=lambda: self.losses,
            now=lambda: NOW + 30.0,
        )

    async def close(self) -> None:
        await self.queues.close()
        await self.client.aclose()

    async def record(self) -> AsyncIterator[Record]:
        async for page in RecordPages(self.database, NOW):
            yield page

    async def tell(self, attempt: Attempt, token: int, *, to_the_end: bool = True) -> None:
        """A call happens; its end goes the way of all ends."""
        *moments, _ = told_of(attempt)
        await self.queues.write([Publish(result=result) for result in moments])
        if to_the_end:
            await self.queues.write([Finish(attempt=attempt, fencing_token=token, retry_at=None)])
            await Attempts(self.database).record([(attempt, None)])

    async def feed(self, receiver: Receiver, most: int = 1_000) -> None:
        """Note what is to be delivered, of as many results as are handed out at once."""
        feed = WebhookFeed([Webhook(url=receiver.url)], Webhooks(self.database), lambda: None, lambda: 1_000.0)
        reader = StreamReader(
            self.client,
            self.queues.keys,
            stream="results",
            group="webhooks",
            consumer="n1",
            now=lambda: NOW,
            batch=most,
            trim=False,
        )
        await reader.step(feed.handle_results, timeout_s=0.01)

    async def told(self) -> list[tuple[str, str]]:
        """The stream, as types and calls."""
        rows: Any = await self.client.xrange(self.queues.keys["results"])
        results = [json.loads(fields[b"data"]) for _, fields in rows]
        return [(result["type"], result.get("call", "")) for result in results]


def talk(permit: Permit, at: float = 0.0) -> Attempt:
    """A call that was talked on."""
    return Attempt(
        call=permit.call,
        campaign=permit.campaign,
        contact=permit.contact,
        phone=permit.phone,
        attempt_number=1,
        outcome=Outcome.CONNECTED,
        reason="",
        started_at=NOW + at,
        answered_at=NOW + at + 2,
        connected_at=NOW + at + 2.5,
        agent=AgentId("ana"),
        ended_at=NOW + at + 9,
    )


MOMENTS = ("call.started", "call.answered", "call.connected", "call.ended")


async def test_a_server_that_was_set_back_lacks_no_result_and_the_crm_has_each_once(
    own_valkey: EmbeddedServer, record: Database, receiver: Receiver, configure: Callable[..., None]
) -> None:
    configure(Webhook(url=receiver.url))
    bench, again = Bench(own_valkey.url, record), None
    try:
        people = [contact(n) for n in range(1, 5)]
        await Campaigns(record).create(Campaign(id=WINTER), NOW)
        await Contacts(record).upsert(people, at=NOW)
        await bench.queues.rebuild(Pages())
        await bench.queues.offer(people)
        first, second, third, fourth = (await Caller(bench.queues, "n1-0a-")(4)).granted.permits
        await bench.again.look()
        await bench.tell(talk(first), first.fencing_token)
        await bench.feed(receiver)
        kept = own_valkey.directory / "appendonlydir"
        await asyncio.to_thread(shutil.copytree, kept, own_valkey.directory / "old")

        # All of this the server forgets: some has been delivered, some only handed out, most not read by anybody.
        await bench.tell(talk(second, 3.0), second.fencing_token)
        await bench.feed(receiver, most=2)
        assert await deliver() == {"delivered": 6}
        await bench.tell(talk(third, 6.0), third.fencing_token)
        await bench.tell(talk(fourth, 9.0), fourth.fencing_token, to_the_end=False)
        note = {"type": "action.requested", "at": "2027-01-15T08:00:00.000000Z", "id": "a-1", "contact": "c1"}
        await bench.queues.write([Publish(result=note)])

        def set_back() -> None:
            own_valkey.kill()
            shutil.rmtree(kept)
            shutil.move(own_valkey.directory / "old", kept)

        await asyncio.to_thread(set_back)
        own_valkey.start()
        assert not await bench.queues.prepare()
        await bench.queues.rebuild(bench.record())
        bench.losses = 1
        with pytest.raises(QueueError):
            await bench.again.look()  # finds that its connection for writing was to the server that has died
        await bench.again.look()
        # Another node has been away all the time, and finds nothing left to do.
        again = Bench(own_valkey.url, record, "n2")
        await again.queues.prepare()
        told = await bench.told()
        await again.again.look()
        assert await bench.told() == told
        assert Counter(told) == Counter(
            [(kind, permit.call) for permit in (first, second, third) for kind in MOMENTS]
            + [(kind, fourth.call) for kind in MOMENTS[:3]]
            + [("action.requested", "")]
        )

        # The call that went on ends, and everything is read.
        await bench.queues.write([Finish(attempt=talk(fourth, 9.0), fencing_token=fourth.fencing_token, retry_at=None)])
        await bench.feed(receiver)
        await bench.feed(receiver)
        assert await deliver() == {"delivered": 11}
        keys = Counter(headers["idempotency-key"] for headers, _ in receiver.requests)
        assert set(keys.values()) == {1}
        bodies = [json.loads(body) for _, body in receiver.requests]
        ended = [kind for permit in (first, second, third, fourth) for kind in MOMENTS]
        assert Counter(body["type"] for body in bodies) == Counter([*ended, "action.requested"])
        for permit in (first, second, third, fourth):
            assert tuple(body["type"] for body in bodies if body.get("call") == permit.call) == MOMENTS
    finally:
        await bench.close()
        if again is not None:
            await again.close()


async def test_what_no_node_remembers_is_told_from_the_record_as_far_back_as_it_was_read(
    valkey: AsyncRedis, valkey_server: EmbeddedServer, database: Database
) -> None:
    bench = Bench(valkey_server.url, database)
    try:
        await Campaigns(database).create(Campaign(id=WINTER), NOW)
        await bench.queues.rebuild(Pages())
        await bench.again.look()
        mark = await ResultMarks(database).get("cadencia:")
        assert mark == ResultMark(generation=bench.queues.generation, read_until=NOW + 30.0)
        assert await bench.told() == [], "of what was before the first mark nobody knows whether it was read"
    finally:
        await bench.close()

    def made(name: str, at: float, **changes: Any) -> Attempt:
        permit = Permit(
            call=CallId(name),
            campaign=WINTER,
            contact=ContactId(f"of-{name}"),
            phone=Phone("+34600000001"),
            fencing_token=1,
            attempt_number=1,
            expires_at=0.0,
        )
        attempt = talk(permit, at)
        return Attempt(**{**{name: getattr(attempt, name) for name in Attempt.__slots__}, **changes})

    gone = {"contact": ContactId(""), "phone": Phone("")}
    calls = [made("read", -900.0), made("late", 1.0), made("erased", 2.0, **gone), made("later", 3.0)]
    await Attempts(database).record([(attempt, None) for attempt in calls])
    given = Disposition(call=CallId("late"), code="SALE", at=NOW + 12.0, amount="9.90", currency="EUR", is_sale=True)
    for disposition in (Disposition(call=CallId("read"), code="X", at=NOW - 890.0), given):
        await Dispositions(database).add(disposition)
    await valkey.flushall()

    bench = Bench(valkey_server.url, database, "n2")
    try:
        await bench.queues.rebuild(bench.record())
        await bench.again.look()
        told = [(kind, call) for call in ("late", "later") for kind in MOMENTS]
        assert await bench.told() == [*told, ("call.disposed", "late")]
        rows: Any = await valkey.xrevrange("cadencia:results", count=1)
        assert json.loads(rows[0][1][b"data"]) == {
            "type": "call.disposed",
            "at": "2027-01-15T08:00:12.000000Z",
            "campaign": "winter",
            "contact": "of-late",
            "phone": "+34600000001",
            "call": "late",
            "code": "SALE",
            "is_sale": True,
            "amount": "9.90",
            "currency": "EUR",
        }
        mark = await ResultMarks(database).get("cadencia:")
        assert mark is not None
        assert mark.generation == bench.queues.generation
        await bench.again.look()
        # Who breaks off in the middle begins anew, and tells what is missing still.
        assert await ResultMarks(database).put("cadencia:", ResultMark(generation="x", read_until=NOW), NOW, after=mark)
        await valkey.xdel("cadencia:results", rows[0][0])
        await bench.again.look()
        assert await bench.told() == [*told, ("call.disposed", "late")]
    finally:
        await bench.close()


async def test_a_server_that_was_set_back_without_a_sign_is_found_out(
    valkey: AsyncRedis, valkey_server: EmbeddedServer, record: Database
) -> None:
    """Restarted on a file that lacks the last second, in which nobody was reserved: it is believed to have all."""
    bench = Bench(valkey_server.url, record)
    try:
        await bench.queues.rebuild(Pages())
        note = {"type": "callback.due_soon", "at": "2027-01-15T08:00:00.000000Z"}
        results = [Publish(result=note | {"contact": f"c{n}"}) for n in range(4)]
        stream = bench.queues.keys["results"]

        async def contacts() -> list[str]:
            rows: Any = await valkey.xrange(stream)
            return [json.loads(fields[b"data"])["contact"] for _, fields in rows]

        await bench.queues.write(results[:1])
        earlier = await valkey.dump(stream)
        assert earlier is not None
        await bench.queues.write(results[1:3])
        await bench.again.look()
        await valkey.restore(stream, 0, earlier, replace=True)
        await bench.queues.write(results[3:])
        await bench.again.look()
        assert await contacts() == ["c0", "c3", "c1", "c2"]
        # What a reader takes out is not put back.
        for cut in ("the newest", "all"):
            rows: Any = await valkey.xrange(stream)
            await valkey.xdel(stream, *[entry for entry, _ in rows][-1 if cut == "the newest" else 0 :])
            await bench.again.look()
        await bench.queues.write(results[:2])
        await valkey.xtrim(stream, maxlen=1, approximate=False)
        await bench.again.look()
        assert await contacts() == ["c1"]
    finally:
        await bench.close()


async def test_it_is_known_how_far_every_group_has_read(valkey: AsyncRedis) -> None:
    stream = Keys()["results"]
    assert await unread_s(valkey, stream) == 0.0
    await valkey.xadd(stream, {"data": "{}"}, id="1000-0")
    assert await unread_s(valkey, stream) == 0.0, "nobody reads in a group"
    await valkey.xgroup_create(stream, "crm", id="0")
    await valkey.xgroup_create(stream, "webhooks", id="$")
    long_ago_s = await unread_s(valkey, stream)
    assert long_ago_s > 1_000_000_000.0
    await valkey.xreadgroup("crm", "a", {stream: ">"})
    assert await unread_s(valkey, stream) >= long_ago_s, "handed out, and nobody knows what became of it"
    await valkey.xack(stream, "crm", "1000-0")
    assert await unread_s(valkey, stream) == 0.0


async def test_a_mark_is_moved_by_whoever_knows_the_one_that_is_there(database: Database) -> None:
    marks = ResultMarks(database)
    one, other = (ResultMark(generation=name, read_until=at) for name, at in (("a", 1.0), ("b", 2.0)))
    assert await marks.get("p:") is None
    assert await marks.put("p:", one, 1.0, after=None)
    assert not await marks.put("p:", other, 1.0, after=None)
    assert not await marks.put("p:", one, 1.0, after=other)
    assert await marks.put("p:", other, 1.0, after=one)
    assert await marks.get("p:") == other
