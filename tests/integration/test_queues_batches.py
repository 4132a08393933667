"""Calls that were reserved together are written down once, together, until more is known of each: on a real server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from dialer.core.ids import NodeName
from dialer.core.permit import Permit
from dialer.errors import QueueError
from dialer.queues.connection import AsyncRedis, connect
from dialer.queues.embedded import EmbeddedServer
from dialer.queues.port import LiveState, MarkLive, Record, Release
from dialer.queues.redis_queues import RedisQueues
from tests.queue_worlds import NOW, WINTER, Caller, Pages, RedisWorld, contact, finish, granted, phone


@pytest.fixture
async def world(valkey: AsyncRedis, valkey_server: EmbeddedServer) -> AsyncIterator[RedisWorld]:
    world = RedisWorld(valkey, valkey_server.url)
    yield world
    await world.close()


async def live(world: RedisWorld) -> dict[str, str]:
    """Number -> token of those that stand in their batch, record of the others."""
    found: Any = await world.client.hgetall("cadencia:live")
    return {key.decode(): value.decode() for key, value in found.items()}


async def batches(world: RedisWorld) -> tuple[int, list[int]]:
    """How many batches are written down, and of how many calls each still speaks."""
    left = await world.client.hvals("cadencia:live:left")
    return int(await world.client.hlen("cadencia:live:batches")), sorted(int(n) for n in left)


def dialing(permit: Permit) -> MarkLive:
    return MarkLive(call=permit.call, state=LiveState.DIALING, at=NOW + 1)


async def test_a_batch_goes_with_the_last_of_its_calls(world: RedisWorld) -> None:
    node = await world.node("n1")
    await node.offer([contact(n) for n in range(4)])
    permits = (await Caller(node)(4)).granted.permits
    assert await live(world) == {p.phone[1:]: str(p.fencing_token) for p in permits}
    assert await batches(world) == (1, [4])
    await node.write([dialing(permits[0]), dialing(permits[0])])
    record = (await live(world))[permits[0].phone[1:]].split("\t")
    assert (record[0], record[2], record[4], record[13]) == (
        permits[0].call,
        str(permits[0].fencing_token),
        "dialing",
        "c0",
    )
    assert await batches(world) == (1, [3])
    await node.write([finish(permits[1]), finish(permits[1]), Release(permit=permits[2]), Release(permit=permits[2])])
    assert await batches(world) == (1, [1])
    await node.write([finish(permits[0]), dialing(permits[3]), finish(permits[3])])
    assert await live(world) == {}
    assert await batches(world) == (0, [])
    assert len(await world.journal()) == 3


async def test_each_reservation_is_a_batch_with_tokens_of_its_own(world: RedisWorld) -> None:
    node = await world.node("n1")
    await node.offer([contact(n) for n in range(6)])
    call = Caller(node)
    found = [permit for _ in range(3) for permit in (await call(2)).granted.permits]
    tokens = [permit.fencing_token for permit in found]
    assert tokens == sorted(set(tokens))
    assert await batches(world) == (3, [2, 2, 2])
    assert node.highest_token == tokens[-1]


async def test_a_call_is_not_ended_under_the_number_of_another_of_its_batch(world: RedisWorld) -> None:
    node = await world.node("n1")
    await node.offer([contact(1), contact(2)])
    first, second = (await Caller(node)(2)).granted.permits
    await node.write([finish(replace(first, phone=second.phone))])
    assert await live(world) == {p.phone[1:]: str(p.fencing_token) for p in (first, second)}
    await node.write([Release(permit=replace(second, phone=first.phone))])
    assert await batches(world) == (1, [2])


async def test_whom_the_gate_passed_over_is_not_in_the_batch(world: RedisWorld) -> None:
    node = await world.node("n1")
    await node.offer([contact(0, 50), contact(1, 1), contact(2, 1, 2), contact(3, 1), contact(4, 50, 4), contact(5)])
    await Caller(node, "busy")(1)
    permits = (await Caller(node, "next")(5)).granted.permits
    assert [(p.contact, p.phone) for p in permits] == [
        ("c1", phone(1)),
        ("c2", phone(2)),
        ("c4", phone(4)),
        ("c5", phone(5)),
    ]
    assert len(await live(world)) == 5
    assert await batches(world) == (2, [1, 4])
    await world.push("removals", {"id": "m1", "campaign": "winter", "phone": phone(4)})
    assert [purge.call for purge in await node.drain()] == [permits[2].call]
    await world.push("dnc", {"id": "m2", "op": "add", "phone": phone(5)})
    assert [purge.call for purge in await node.drain()] == [permits[3].call]
    await world.push("removals", {"id": "m3", "campaign": "*", "contact": "c2"})
    assert [purge.call for purge in await node.drain()] == [permits[1].call]


async def test_nodes_whose_clocks_are_apart_let_each_other_live(world: RedisWorld) -> None:
    one, two = await world.node("n1"), await world.node("n2")
    await one.offer([contact(1)])
    assert granted(await Caller(one)(1)) == ["c1"]
    await one.heartbeat(await one.shared_now(NOW), 5.0)
    of_two = await two.shared_now(NOW + 3_600)
    assert of_two == pytest.approx(await one.shared_now(NOW), abs=2.0)
    assert await two.recover(of_two) == []
    assert len(await two.recover(of_two + 10)) == 1


async def test_a_batch_outlives_its_node(world: RedisWorld) -> None:
    one, two = await world.node("n1"), await world.node("n2")
    await one.offer([contact(n) for n in range(3)])
    first, second, third = (await Caller(one)(3)).granted.permits
    await one.write([dialing(second), finish(third, retry_at=NOW + 3)])
    again = (await Caller(one, "again")(1, now=NOW + 4)).granted.permits
    assert [(p.contact, p.attempt_number) for p in again] == [("c2", 2)]
    found = {call.call: call for call in await two.recover(NOW + 60)}
    told = [(found[p.call].contact, found[p.call].phone, found[p.call].attempt_number) for p in (first, second, *again)]
    assert told == [("c0", phone(0), 1), ("c1", phone(1), 1), ("c2", phone(2), 2)]
    assert [found[p.call].started_at for p in (first, second)] == pytest.approx([NOW, NOW + 1], abs=0.5)
    assert min(call.fencing_token for call in found.values()) > again[0].fencing_token
    assert await batches(world) == (0, [])
    await one.write([finish(first), dialing(first), Release(permit=again[0])])
    assert len(await live(world)) == 3, "theirs no longer"
    assert (await Caller(two, "new")()).granted.permits == ()


async def test_a_lost_answer_gives_the_whole_batch_back(world: RedisWorld) -> None:
    node = await world.node("n1")
    await node.offer([contact(n) for n in range(3)])
    await Caller(node)(3)
    node._calls.doubtful.extend(call for call in node._calls.reserved)
    # More calls were asked for than there are contacts.
    assert granted(await Caller(node, "x")(5)) == ["c0", "c1", "c2"]
    node._calls.doubtful.extend([*node._calls.reserved, *Caller(node, "unknown").calls(2)])
    assert granted(await Caller(node, "y")(5)) == ["c0", "c1", "c2"]
    assert await batches(world) == (1, [3])


async def test_a_batch_is_told_to_a_server_that_has_forgotten_it(own_valkey: EmbeddedServer) -> None:
    node = RedisQueues(connect(own_valkey.url), node=NodeName("n1"))
    await node.rebuild(Pages())
    await node.offer([contact(1), contact(2)])
    first, second = (await Caller(node)(2)).granted.permits
    client = connect(own_valkey.url)
    await client.flushall()
    await node.rebuild(Pages(Record(contacts=[(contact(n), 0, None) for n in (1, 2, 3)])))
    fresh = (await Caller(node, "x")()).granted.permits
    assert [(p.contact, p.fencing_token > second.fencing_token) for p in fresh] == [("c3", True)]
    await node.write([dialing(first), finish(first), finish(second), finish(fresh[0])])
    assert [await client.hlen(f"cadencia:{key}") for key in ("live", "live:batches", "live:left")] == [0, 0, 0]
    assert await client.xlen("cadencia:attempts") == 3
    await client.aclose()
    await node.close()


async def test_calls_in_the_layout_before_are_refused(own_valkey: EmbeddedServer) -> None:
    node = RedisQueues(connect(own_valkey.url), node=NodeName("n1"))
    await node.rebuild(Pages())
    client = connect(own_valkey.url)
    await client.hset("cadencia:gate", "layout", "1")
    with pytest.raises(QueueError, match="FLUSHDB"):
        await node.prepare()
    await client.aclose()
    await node.close()


async def test_fields_are_read_when_somebody_looks(world: RedisWorld) -> None:
    node = await world.node("n1")
    said = {"a": 1, "b": [None, "ñ"]}
    await node.offer([contact(1, name='Ana "la\nalta"', fields=said), contact(2), contact(3, name="Li")])
    first, second, third = (await Caller(node)(3)).granted.permits
    assert (first.name, second.name, third.name) == ('Ana "la\nalta"', "", "Li")
    assert first.fields == said
    assert (len(first.fields), list(first.fields), first.fields["a"]) == (2, ["a", "b"], 1)
    assert repr(first.fields) == repr(said)
    assert (second.fields, third.fields) == ({}, {})
    assert first.campaign == WINTER
