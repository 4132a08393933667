"""The reader of streams: at least once, nothing lost, nothing stops it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from dialer.errors import InputError, StorageError
from dialer.queues.connection import AsyncRedis
from dialer.queues.keys import Keys
from dialer.queues.streams import Message, Poison, StreamReader
from tests.queue_worlds import NOW

KEYS = Keys("t:")


def reader(client: AsyncRedis, consumer: str = "n1", *, claim_after_s: float = 30.0, **more: Any) -> StreamReader:
    return StreamReader(
        client,
        KEYS,
        stream="contacts",
        group="intake",
        consumer=consumer,
        now=lambda: NOW,
        claim_after_s=claim_after_s,
        **more,
    )


@pytest.fixture
async def filled(valkey: AsyncRedis) -> AsyncRedis:
    for n in range(10):
        await valkey.xadd("t:contacts", {"data": str(n)})
    return valkey


async def left(client: AsyncRedis) -> int:
    return int(await client.xlen("t:contacts"))


async def reports(client: AsyncRedis) -> list[dict[str, Any]]:
    rows: Any = await client.xrange("t:results")
    return [json.loads(fields[b"data"]) for _, fields in rows]


async def test_batches_in_order_acknowledged_and_trimmed(filled: AsyncRedis) -> None:
    seen: list[bytes] = []

    async def handle(messages: Sequence[Message]) -> None:
        assert len(messages) <= 4
        seen.extend(message.data for message in messages)

    work = reader(filled, batch=4)
    assert [await work.step(handle, timeout_s=0.01) for _ in range(4)] == [4, 4, 2, 0]
    assert seen == [str(n).encode() for n in range(10)]
    # The first round only loads the script that trims.
    assert await left(filled) == 0


async def test_handler_in_trouble_gets_the_same_batch_again(filled: AsyncRedis) -> None:
    async def fail(messages: Sequence[Message]) -> None:
        raise StorageError("the disk is full")

    work = reader(filled)
    with pytest.raises(StorageError):
        await work.step(fail, timeout_s=0.01)
    assert await left(filled) == 10
    seen: list[bytes] = []

    async def handle(messages: Sequence[Message]) -> None:
        seen.extend(message.data for message in messages)

    # The process is started again under its old name.
    assert await reader(filled).step(handle, timeout_s=0.01) == 10
    assert len(seen) == 10


async def test_poison_is_kept_aside_and_reported(filled: AsyncRedis) -> None:
    async def handle(messages: Sequence[Message]) -> None:
        bad = {message.id: "odd" for message in messages if int(message.data) % 2}
        if bad:
            raise Poison(bad, dict.fromkeys(bad, "ref-1"))

    assert await reader(filled).step(handle, timeout_s=0.01) == 10
    aside: Any = await filled.xrange("t:rejected")
    assert [fields[b"data"] for _, fields in aside] == [b"1", b"3", b"5", b"7", b"9"]
    answers = await reports(filled)
    assert [(a["type"], a["ref"]) for a in answers] == [("message.rejected", "ref-1")] * 5
    assert all(a["reason"].endswith(": odd") for a in answers)


async def test_input_error_of_a_batch_is_narrowed_down(filled: AsyncRedis) -> None:
    done: list[bytes] = []

    async def handle(messages: Sequence[Message]) -> None:
        if any(message.data == b"3" for message in messages):
            raise InputError("three is not allowed")
        done.extend(message.data for message in messages)

    assert await reader(filled).step(handle, timeout_s=0.01) == 10
    assert len(done) == 9
    assert len(await reports(filled)) == 1


async def test_dead_readers_messages_are_claimed(filled: AsyncRedis) -> None:
    async def die(messages: Sequence[Message]) -> None:
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        await reader(filled, "dead").step(die, timeout_s=0.01)
    seen: list[Message] = []

    async def handle(messages: Sequence[Message]) -> None:
        seen.extend(messages)

    assert await reader(filled, "alive").step(handle, timeout_s=0.01) == 0
    assert await reader(filled, "alive", claim_after_s=0.0).step(handle, timeout_s=0.01) == 10
    assert {message.deliveries for message in seen} == {2}


async def test_message_that_kills_its_readers_is_kept_aside(valkey: AsyncRedis) -> None:
    await valkey.xadd("t:contacts", {"data": "boom"})

    async def die(messages: Sequence[Message]) -> None:
        raise RuntimeError("killed")

    for n in range(5):
        with pytest.raises(RuntimeError):
            await reader(valkey, f"r{n}", claim_after_s=0.0).step(die, timeout_s=0.01)
    assert await reader(valkey, "last", claim_after_s=0.0).step(die, timeout_s=0.01) == 1
    assert "too often" in (await reports(valkey))[0]["reason"]


async def test_messages_do_not_wear_out_while_the_database_is_away(valkey: AsyncRedis) -> None:
    await valkey.xadd("t:contacts", {"data": "one"})
    tries: list[int] = []

    async def away(messages: Sequence[Message]) -> None:
        tries.extend(message.deliveries for message in messages)
        if len(tries) < 20:
            raise StorageError("out of reach")

    for n in range(20):  # each time as another process would, in turn
        work = reader(valkey, f"r{n // 10}", claim_after_s=0.0)
        if n < 19:
            with pytest.raises(StorageError):
                await work.step(away, timeout_s=0.01)
        else:
            assert await work.step(away, timeout_s=0.01) == 1
    assert max(tries) <= 2
    assert await reports(valkey) == []


async def test_a_message_that_the_database_refuses_each_time_is_kept_aside(valkey: AsyncRedis) -> None:
    await valkey.xadd("t:contacts", {"data": "one"})

    class Refused(StorageError):
        about_input = True

    async def refuse(messages: Sequence[Message]) -> None:
        raise Refused("no such value")

    for _ in range(5):
        with pytest.raises(Refused):
            await reader(valkey).step(refuse, timeout_s=0.01)
    assert await reader(valkey).step(refuse, timeout_s=0.01) == 1
    assert len(await reports(valkey)) == 1


async def test_emptied_server_is_survived(filled: AsyncRedis) -> None:
    seen: list[bytes] = []

    async def handle(messages: Sequence[Message]) -> None:
        seen.extend(message.data for message in messages)

    work = reader(filled)
    await work.step(handle, timeout_s=0.01)
    await filled.flushall()
    await filled.xadd("t:contacts", {"data": "new"})
    with pytest.raises(Exception, match="made anew"):
        await work.step(handle, timeout_s=0.01)
    assert await work.step(handle, timeout_s=0.01) == 1
    assert seen[-1] == b"new"


async def test_removals_are_not_trimmed_before_the_gate_has_drained_them(valkey: AsyncRedis) -> None:
    async def handle(messages: Sequence[Message]) -> None:
        pass

    ids = [await valkey.xadd("t:removals", {"data": str(n)}) for n in range(3)]
    work = StreamReader(valkey, KEYS, stream="removals", group="record", consumer="n1", now=lambda: NOW, batch=1)
    for _ in range(3):
        await work.step(handle, timeout_s=0.01)
    assert await valkey.xlen("t:removals") == 3
    await valkey.hset("t:gate", "removals", ids[1])
    await valkey.xadd("t:removals", {"data": "3"})
    await work.step(handle, timeout_s=0.01)
    assert await valkey.xlen("t:removals") == 2


async def test_what_is_put_back_is_read_by_every_group_after_all_else(filled: AsyncRedis) -> None:
    work = reader(filled)
    taken = await work.read(3, 0.01)
    await work.put_back([data for _, data in taken[:2]])
    rest = await work.read(100, 0.01)
    assert [data for _, data in rest] == [*(str(n).encode() for n in range(3, 10)), b"0", b"1"]
    assert len(await reader(filled, "n2").read(100, 0.01)) == 0  # the same group
    other = StreamReader(filled, KEYS, stream="contacts", group="another", consumer="n1", now=lambda: NOW)
    assert len(await other.read(100, 0.01)) == 12
