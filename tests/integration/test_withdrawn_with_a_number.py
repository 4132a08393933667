"""Who was withdrawn with a number stays so when Redis has lost its memory, also if they have another number by then."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialer.core.campaign import Campaign
from dialer.core.commands import ReportPurge
from dialer.core.ids import CallId, ContactId, MessageId, Phone
from dialer.crm.contract import EXAMPLES, RESULTS
from dialer.errors import QueueError
from dialer.queues.connection import AsyncRedis
from dialer.queues.embedded import EmbeddedServer
from dialer.queues.keys import Keys
from dialer.queues.results import purge_result
from dialer.queues.streams import StreamReader
from dialer.storage.campaigns import Campaigns
from dialer.storage.contacts import Contacts
from dialer.storage.database import Database
from dialer.storage.record import RecordPages
from dialer.storage.recorder import RemovalRecorder
from dialer.storage.removals import Removals
from dialer.storage.withdrawn_recorder import WithdrawnRecorder, withdrawn_by
from tests.queue_worlds import NOW, WINTER, Caller, RedisWorld, contact, phone
from tests.record_values import Stream, eventually

ENTRY = "1800000000000-0"


def reader(client: AsyncRedis, stream: str) -> StreamReader:
    """As a node has it, here for a node that is started again and again."""
    return StreamReader(
        client, Keys(), stream=stream, group="record", consumer="n1", now=lambda: NOW, trim=stream != "results"
    )


async def record(client: AsyncRedis, database: Database) -> None:
    """Whatever is in the streams, as a node does it that stops then."""
    stop = asyncio.Event()
    stop.set()
    await RemovalRecorder(database, reader(client, "removals"), lambda: NOW).run(stop)
    again = reader(client, "removals").put_back
    await WithdrawnRecorder(database, reader(client, "results"), lambda: NOW, again=again).run(stop)


async def reserved(world: RedisWorld, node: str) -> list[str]:
    """Who may be called."""
    reservation = await Caller(world.nodes[-1], node)(10)
    return [permit.contact for permit in reservation.granted.permits]


@pytest.mark.parametrize("scope", ["winter", "*"])
async def test_a_rebuild_after_the_number_was_changed(
    valkey: AsyncRedis, valkey_server: EmbeddedServer, database: Database, scope: str
) -> None:
    world = RedisWorld(valkey, valkey_server.url)
    try:
        await Campaigns(database).create(Campaign(id=WINTER), NOW)
        people = [contact(1), contact(2), contact(3, 1, 30)]
        await Contacts(database).upsert(people, at=NOW)
        node = await world.node("n1")
        await node.offer(people)
        await world.push("removals", {"id": "r1", "campaign": scope, "phone": phone(1), "reason": "paid"})
        await node.drain()
        # Killed between the gate and the record: what was read is read again.
        killed = reader(valkey, "results")
        assert [json.loads(data)["contact"] for _, data in await killed.read(10, 0.1)] == ["c1", "c3"]
        await record(valkey, database)
        changed = [contact(1, 10), contact(3, 30)]
        await Contacts(database).upsert(changed, at=NOW)
        assert [offered.value for offered in await node.offer(changed)] == ["removed", "removed"]
        await valkey.flushall()
        again = await world.node("n2", opened=False)
        await again.rebuild(RecordPages(database, NOW))
        assert [offered.value for offered in await again.offer(changed)] == ["removed", "removed"]
        assert await reserved(world, "k2") == ["c2"]
        kept = {(one.campaign, one.kind, one.subject, one.ref) for one in await Removals(database).after(None, 10)}
        assert kept == {
            (scope, "phone", phone(1), "r1"),
            ("winter", "contact", "c1", "r1"),
            ("winter", "contact", "c3", "r1"),
        }
    finally:
        await world.close()


async def test_of_an_erased_number_nobody_is_put_on_record_again(sqlite_url: str) -> None:
    database, stream = Database(sqlite_url), Stream()

    async def nothing(data: Sequence[bytes]) -> None:
        raise AssertionError

    for n in (1, 2):
        said = {"type": "removal.applied", "campaign": "winter", "contact": f"c{n}", "phone": phone(n)}
        stream.add(json.dumps(said).encode())
    stop = asyncio.Event()
    stop.set()
    recorder = WithdrawnRecorder(database, stream.consumer(), lambda: NOW, again=nothing)
    recorder.erased = lambda number: number == phone(1)
    await recorder.run(stop)
    assert stream.unacked == 0
    assert [one.subject for one in await Removals(database).after(None, 10)] == ["c2"]
    await database.close()


async def test_what_another_node_has_rebuilt_without_is_withdrawn_once_more(sqlite_url: str) -> None:
    database, stream, stop = Database(sqlite_url), Stream(), asyncio.Event()
    told: list[bytes] = []
    failures = 1

    async def again(data: Sequence[bytes]) -> None:
        nonlocal failures
        if failures:
            failures -= 1
            raise QueueError("away")
        told.extend(data)

    recorder = WithdrawnRecorder(database, stream.consumer(), lambda: NOW, again=again, linger_s=0.001)
    losses = iter([0])
    recorder.losses = lambda: next(losses, 1)  # lost between the reading and the commit
    said = {"type": "removal.applied", "campaign": "winter", "contact": "c1", "phone": phone(1), "reason": "paid"}
    stream.add(json.dumps(said).encode(), b'{"type":"call.started"}')
    running = asyncio.ensure_future(recorder.run(stop))
    await eventually(lambda: stream.unacked == 0)
    stop.set()
    await running
    assert [json.loads(one) for one in told] == [{"campaign": "winter", "contact": "c1", "reason": "paid"}]
    assert len(stream.entries) == 2, "the CRM has its results"
    await database.close()


@pytest.mark.parametrize("effect", ["cancelled", "too_late"])
@pytest.mark.parametrize(("kind", "kept"), [("removal", True), ("dnc", False)])
def test_of_a_call_under_way_a_removal_counts_and_an_entry_of_a_list_does_not(
    effect: str, kind: str, kept: bool
) -> None:
    """Who is taken off the list again may be called."""
    told = purge_result(
        ReportPurge(
            call=CallId("call-1"),
            ref=MessageId("r1"),
            kind=kind,
            effect=effect,
            campaign=WINTER,
            contact=ContactId("c1"),
            phone=Phone("+34600111222"),
            reason="paid",
        ),
        NOW,
    )
    found = withdrawn_by(ENTRY, json.dumps(told).encode())
    assert (found is not None) is kept
    if found is not None:
        removal, number = found
        assert (removal.campaign, removal.kind, removal.subject, number) == ("winter", "contact", "c1", "+34600111222")


@pytest.mark.parametrize("kind", sorted(RESULTS))
def test_no_other_result_withdraws_anybody(kind: str) -> None:
    found = withdrawn_by(ENTRY, json.dumps(EXAMPLES[kind]).encode())
    assert (found is not None) is (kind in {"removal.cancelled", "removal.too_late"})


@given(st.binary(max_size=40) | st.dictionaries(st.sampled_from(["type", "contact", "phone"]), st.integers()).map(str))
def test_whatever_else_is_on_the_stream_is_passed_over(data: bytes | str) -> None:
    content = data if isinstance(data, bytes) else data.encode()
    assert withdrawn_by(ENTRY, content) is None
    assert withdrawn_by(ENTRY, b'{"type":"removal.applied"' + content) is None
    assert withdrawn_by("no id", json.dumps(EXAMPLES["removal.cancelled"]).encode()) is None
