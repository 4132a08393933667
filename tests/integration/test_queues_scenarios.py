"""What happens to the gate when Redis or a node does not behave: one named scenario each, on a real server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis import exceptions

from dialer.core.ids import NodeName
from dialer.errors import ConfigError, GateNotReady, QueueError
from dialer.queues.connection import AsyncRedis, connect
from dialer.queues.embedded import EmbeddedServer
from dialer.queues.port import LiveState, MarkLive, Record
from dialer.queues.redis_queues import RedisQueues
from tests.patience import PATIENCE_S
from tests.queue_worlds import NOW, WINTER, Caller, Pages, RedisWorld, contact, finish, granted, kinds


async def opened(server: EmbeddedServer, name: str = "n1") -> RedisQueues:
    node = RedisQueues(connect(server.url), node=NodeName(name))
    if not await node.prepare():
        await node.rebuild(Pages())
    return node


async def dumped(client: AsyncRedis) -> dict[Any, Any]:
    """Everything that the server knows."""
    return {key: await client.dump(key) for key in await client.keys("cadencia:*")}


async def set_back(client: AsyncRedis, old: dict[Any, Any]) -> None:
    """The server comes back as it was when `old` was dumped, and without scripts."""
    await client.flushall()
    for key, value in old.items():
        await client.restore(key, 0, value)
    await client.script_flush()


async def test_redis_restarts_with_aof(own_valkey: EmbeddedServer) -> None:
    node = await opened(own_valkey)
    await node.offer([contact(1), contact(2), contact(3)])
    (permit,) = (await Caller(node)(1)).granted.permits
    client = connect(own_valkey.url)
    await client.xadd("cadencia:removals", {"data": b'{"id":"m1","campaign":"winter","contact":"c2"}'})
    await client.aclose()
    own_valkey.kill()
    with pytest.raises(QueueError, match="out of reach"):
        await node.write([finish(permit)])
    own_valkey.start()
    call = Caller(node, "after")
    with pytest.raises(QueueError):
        await call()
    with pytest.raises(GateNotReady, match="must be loaded"):
        await call()
    assert await node.prepare(), "everything acknowledged is in the append-only file"
    assert granted(await call()) == ["c3"], "c1 is live, c2 was removed before the crash"
    await node.write([finish(permit)])
    assert (await node.depth(WINTER)).live == 1
    await node.close()


async def test_redis_restarts_empty(own_valkey: EmbeddedServer) -> None:
    one, two = await opened(own_valkey, "n1"), await opened(own_valkey, "n2")
    await one.offer([contact(n) for n in range(1, 6)])
    (first,) = (await Caller(one, "one")(1)).granted.permits
    (second,) = (await Caller(two, "two")(1)).granted.permits
    await one.write([MarkLive(call=first.call, state=LiveState.DIALING, at=NOW)])
    client = connect(own_valkey.url)
    await client.flushall()
    for node in (one, two):
        with pytest.raises(GateNotReady):
            await Caller(node, "x")()
        with pytest.raises(GateNotReady):
            await node.offer([contact(9)])
        assert not await node.prepare()
    await one.rebuild(Pages(Record(contacts=[(contact(n), 0, None) for n in range(1, 6)], removed=[("*", "c3")])))
    # The other node was loaded under another generation: its calls under way must be told first.
    with pytest.raises(GateNotReady):
        await Caller(two, "y")()
    assert await two.prepare()
    assert granted(await Caller(two, "z")()) == ["c4", "c5"], "c1 and c2 are live still, c3 was removed"
    await one.write([finish(first, retry_at=NOW + 1)])
    await two.write([finish(second)])
    assert await client.xlen("cadencia:attempts") == 2
    fresh = (await Caller(one, "w")(1, now=NOW + 1)).granted.permits
    assert fresh[0].fencing_token > max(first.fencing_token, second.fencing_token)
    for closing in (one, two):
        await closing.close()
    await client.aclose()


async def test_stale_server_is_not_believed(valkey: AsyncRedis, valkey_server: EmbeddedServer) -> None:
    node = await opened(valkey_server)
    assert await node.prepare()
    knows_more = RedisQueues(connect(valkey_server.url), node=NodeName("n2"), highest_token=10**12)
    assert not await knows_more.prepare()
    # A restart without an append-only file: what it holds may be an old snapshot.
    await valkey.hset("cadencia:gate", "run_id", "another life")
    assert not await node.prepare()
    for closing in (node, knows_more):
        await closing.close()


async def test_redis_goes_away_mid_reserve(own_valkey: EmbeddedServer) -> None:
    node = await opened(own_valkey)
    await node.offer([contact(1), contact(2)])
    client = connect(own_valkey.url)
    # The reservation happens, its answer is lost with the connection.
    gate = node._gate.connection
    send = gate._send

    async def cut(commands: list[tuple[object, ...]]) -> list[object]:
        await send(commands)
        await gate.close()
        raise ConnectionResetError("cut")

    gate._send = cut  # type: ignore[method-assign, assignment]
    call = Caller(node)
    with pytest.raises(QueueError):
        await call(1)
    gate._send = send  # type: ignore[method-assign]
    assert (await node.depth(WINTER)).live == 1
    assert granted(await call()) == ["c1", "c2"], "given back before anything else is reserved"
    assert (await node.depth(WINTER)).live == 2
    await node.close()
    await client.aclose()


async def test_cancelled_mid_reserve_leaves_the_connection_usable(
    valkey_server: EmbeddedServer, valkey: AsyncRedis
) -> None:
    node = await opened(valkey_server)
    await node.offer([contact(n) for n in range(20)])
    call = Caller(node)

    async def reserve_for_ever() -> None:
        while True:
            async with node.reserve(WINTER, call.calls(1), NOW):
                await asyncio.sleep(0.001)

    for wait_s in (0.0, 0.0001, 0.0003, 0.0006):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reserve_for_ever(), wait_s)
    found = granted(await call(20))
    depth = await node.depth(WINTER)
    assert len(found) == len(set(found))
    assert depth.ready + depth.later + depth.live == 20, "nobody is lost"
    assert depth.live <= 20
    assert await valkey.hlen("cadencia:live") == depth.live
    await node.close()


async def test_node_that_dies_in_the_pause_holds_nobody_for_long(
    valkey: AsyncRedis, valkey_server: EmbeddedServer
) -> None:
    node = await opened(valkey_server)
    await node.offer([contact(1)])
    began = time.monotonic()
    context = node.reserve(WINTER, Caller(node).calls(1), time.time(), lease_s=0.2)
    reservation = await context.__aenter__()
    (permit,) = reservation.granted.permits
    async with asyncio.timeout(PATIENCE_S):
        await valkey.xadd("cadencia:removals", {"data": b'{"id":"m1","campaign":"winter","contact":"c1"}'})
    # The pause has begun after `began`, and ends by itself.
    assert time.monotonic() - began >= 0.19, "acknowledged when the pause had run out by itself"
    assert not permit.valid(time.time()), "and by then the permit was worth nothing"
    await context.__aexit__(None, None, None)
    await node.close()


async def test_late_unpause_does_not_end_the_pause_of_another_node(
    valkey: AsyncRedis, valkey_server: EmbeddedServer
) -> None:
    one, two = await opened(valkey_server, "n1"), await opened(valkey_server, "n2")
    lease_s = 1.0
    for turn in range(20):
        await one.offer([contact(2 * turn), contact(2 * turn + 1)])
        slow = one.reserve(WINTER, Caller(one, f"a{turn}").calls(1), time.time(), lease_s=0.02)
        await slow.__aenter__()
        began = time.monotonic()
        async with two.reserve(WINTER, Caller(two, f"b{turn}").calls(1), time.time(), lease_s=lease_s) as reservation:
            await slow.__aexit__(None, None, None)  # after its own pause ran out, into that of the other
            writing = asyncio.ensure_future(valkey.xadd("cadencia:removals", {"data": b"{}"}))
            done, _ = await asyncio.wait([writing], timeout=0.05)
            assert reservation.granted.permits
        await writing
        if time.monotonic() - began < lease_s:
            assert not done, "the pause of the second node still holds"
            break
        # The machine stood still for longer than a pause lasts, and so it ran out.
    else:
        pytest.fail("ended by running out each time, and not by its owner")
    for node in (one, two):
        await node.close()


async def test_server_that_forbids_the_pause_says_what_to_do(valkey: AsyncRedis, valkey_server: EmbeddedServer) -> None:
    await valkey.acl_setuser(
        "managed", enabled=True, passwords=["+pw"], keys=["*"], categories=["+@all"], commands=["-client|pause"]
    )
    url = valkey_server.url.replace("unix://", "unix://managed@").split("?", maxsplit=1)[0] + "?password=pw"
    strict = RedisQueues(connect(url), node=NodeName("n1"))
    with pytest.raises(QueueError, match=r"redis\.strict_gate = false") as caught:
        await strict.prepare()
    assert not caught.value.retryable
    plain = RedisQueues(connect(url), node=NodeName("n1"), strict_gate=False)
    assert not plain.strict_gate
    await plain.rebuild(Pages())
    await plain.offer([contact(1)])
    assert granted(await Caller(plain)()) == ["c1"]
    for node in (strict, plain):
        await node.close()


async def test_backlog_of_removals_is_drained_before_anybody_is_dialed(
    valkey: AsyncRedis, valkey_server: EmbeddedServer
) -> None:
    world = RedisWorld(valkey, valkey_server.url)
    node = await world.node("n1")
    await node.offer([contact(n) for n in range(1_000)])
    pipeline = valkey.pipeline(transaction=False)
    for n in range(5_000):
        pipeline.xadd("cadencia:removals", {"data": f'{{"campaign":"winter","contact":"c{4_999 - n}"}}'})
    await pipeline.execute()
    assert granted(await Caller(node)()) == []
    assert kinds(await world.results()).count("removal.applied") == 1_000
    await world.close()


async def test_wrong_urls_say_what_to_do(valkey_server: EmbeddedServer) -> None:
    with pytest.raises(ConfigError, match="redis://"):
        connect("http://127.0.0.1")
    closed = RedisQueues(connect("redis://127.0.0.1:1/0"), node=NodeName("n1"))
    with pytest.raises(QueueError, match="start it, or correct"):
        await closed.prepare()
    address = valkey_server.tcp_url.split("@", maxsplit=1)[1]
    wrong = RedisQueues(connect(f"redis://:wrong@{address}"), node=NodeName("n1"))
    with pytest.raises(QueueError, match="password") as caught:
        await wrong.prepare()
    assert not caught.value.retryable
    for node in (closed, wrong):
        await node.close()


async def test_data_of_another_version_is_refused_and_says_what_to_do(own_valkey: EmbeddedServer) -> None:
    node = await opened(own_valkey)
    client = connect(own_valkey.url)
    await client.hset("cadencia:gate", "layout", "0")
    with pytest.raises(QueueError, match="FLUSHDB") as refused:
        await node.prepare()
    assert not refused.value.retryable
    await client.flushdb()
    assert not await node.prepare(), "an empty one is loaded from the record"
    await client.aclose()
    await node.close()


async def test_a_redis_that_was_set_back_forgets_calls_that_have_ended(own_valkey: EmbeddedServer) -> None:
    """It comes back as it was while a call was under way that has ended since: nobody else would ever end it."""
    node = await opened(own_valkey)
    await node.offer([contact(1), contact(2)])
    first, second = (await Caller(node)(2)).granted.permits
    await node.write([MarkLive(call=first.call, state=LiveState.DIALING, at=NOW)])
    client = connect(own_valkey.url)
    old = await dumped(client)
    await node.write([finish(first, retry_at=NOW + 1), finish(second)])
    assert await client.hlen("cadencia:live") == 0
    await set_back(client, old)
    await client.hset("cadencia:gate", "generation", "")
    assert not await node.prepare()
    record = Record(contacts=[(contact(1), 1, NOW + 1)], finished=[(WINTER, contact(2).id)])
    await node.rebuild(Pages(record))
    depth = await node.depth(WINTER)
    assert (depth.live, depth.ready + depth.later) == (0, 1)
    assert await client.hlen("cadencia:live:batches") == 0
    assert granted(await Caller(node, "again")(now=NOW + 2)) == ["c1"]
    await client.aclose()
    await node.close()


async def test_another_node_of_a_redis_that_was_set_back_loads_the_record_too(own_valkey: EmbeddedServer) -> None:
    one, two = await opened(own_valkey, "n1"), await opened(own_valkey, "n2")
    await one.offer([contact(1), contact(2)])
    (permit,) = (await Caller(two, "two")(1)).granted.permits
    client = connect(own_valkey.url)
    old = await dumped(client)
    await two.write([finish(permit)])
    await set_back(client, old)
    await one.rebuild(Pages(Record(finished=[(WINTER, permit.contact)])))
    assert not await two.prepare(), "it remembers a call of ours that is over"
    await two.rebuild(Pages(Record(finished=[(WINTER, permit.contact)])))
    assert (await two.depth(WINTER)).live == 0
    assert await two.prepare()
    await client.aclose()
    for closing in (one, two):
        await closing.close()


@pytest.mark.parametrize("forgets_the_node", [False, True])
async def test_whoever_asks_first_after_a_redis_was_set_back_may_not_know_what_it_has_forgotten(
    own_valkey: EmbeddedServer, forgets_the_node: bool
) -> None:
    """All that is lacking are calls of the other node, which has not looked yet: they must not be made again."""
    first, second = await opened(own_valkey, "n1"), await opened(own_valkey, "n2")
    client = connect(own_valkey.url)
    people = [contact(n) for n in range(1, 5)]
    await first.offer(people)
    await second.heartbeat(NOW, 5.0)
    if forgets_the_node:
        old = await dumped(client)
        await first.heartbeat(NOW, 5.0)
    else:
        await first.heartbeat(NOW, 5.0)
        old = await dumped(client)
    await second.heartbeat(NOW + 1.0, 5.0)
    called = (await Caller(first, "n1-0a-")(3)).granted.permits
    await first.write([finish(permit) for permit in called])
    await set_back(client, old)
    await client.hset("cadencia:gate", "run_id", "of the life before")
    # Beats need no gate, and what is heard then is what the server has been set back to.
    for beat in range(5):
        await second.heartbeat(NOW + 2.0 + beat, 5.0)
    assert not await second.prepare()
    over = [(WINTER, permit.contact) for permit in called]
    await second.rebuild(Pages(Record(contacts=[(people[3], 0, None)], finished=over)))
    with pytest.raises(GateNotReady):
        await Caller(first, "n1-0b-")()
    assert granted(await Caller(second, "n2-0a-")(10)) == ["c4"]
    assert await first.prepare()
    assert granted(await Caller(first, "n1-0c-")(10)) == []
    for node in (first, second):
        await node.close()
    await client.aclose()


async def test_a_node_that_is_alone_believes_a_redis_that_was_restarted(own_valkey: EmbeddedServer) -> None:
    """Its own former process counts as itself; another node of late does not, until it has been gone for a day."""
    before = await opened(own_valkey)
    await before.heartbeat(NOW, 5.0)
    await before.close()
    node, client = await opened(own_valkey), connect(own_valkey.url)
    await node.heartbeat(NOW + 1.0, 5.0)
    await client.hset("cadencia:gate", "run_id", "of the life before")
    assert await node.prepare()
    await client.zadd("cadencia:nodes", {"n2#0a0b0c0d": NOW - 80_000.0})
    await client.hset("cadencia:gate", "run_id", "of the life before")
    assert not await node.prepare()
    await node.heartbeat(NOW + 10_000.0, 5.0)
    assert await node.prepare()
    await node.close()
    await client.aclose()


async def test_calls_that_end_while_a_redis_that_was_set_back_is_loaded_are_not_lost(
    own_valkey: EmbeddedServer,
) -> None:
    """It has forgotten when they began, and takes their ends for repeated ones: they are kept until it is loaded."""
    one, two = await opened(own_valkey, "n1"), await opened(own_valkey, "n2")
    await one.offer([contact(1), contact(2), contact(3)])
    client = connect(own_valkey.url)
    old = await dumped(client)
    (first,) = (await Caller(one, "one-k")(1)).granted.permits
    (second,) = (await Caller(two, "two-k")(1)).granted.permits
    await two.write([MarkLive(call=second.call, state=LiveState.DIALING, at=NOW)])
    two.heard_of(second.fencing_token)
    one.heard_of(second.fencing_token)
    await set_back(client, old)
    assert not await one.prepare()
    waiting = Record(contacts=[(contact(n), 0, None) for n in (1, 2, 3)])

    async def page_by_page() -> AsyncIterator[Record]:
        # The other node has not noticed anything, and scripts are there again.
        with pytest.raises(GateNotReady):
            await Caller(two, "two-m")(1)
        with pytest.raises(GateNotReady):
            await two.write([finish(second, retry_at=NOW + 60)])
        with pytest.raises(GateNotReady):
            await one.write([finish(first)])
        assert not await two.prepare()
        await two.rebuild(Pages(waiting))
        yield waiting

    await one.rebuild(page_by_page())
    assert (await one.depth(WINTER)).live == 2
    assert await two.prepare()
    assert granted(await Caller(two, "two-n")(3)) == ["c3"], "the others are under way for all that Redis knows"
    await one.write([finish(first)])
    await two.write([finish(second, retry_at=NOW + 60)])
    assert await client.xlen("cadencia:attempts") == 2
    assert granted(await Caller(one, "one-n")(3, now=NOW + 61)) == ["c2"]
    await client.aclose()
    for closing in (one, two):
        await closing.close()


async def test_calls_whose_taking_over_was_not_heard_of_are_taken_over_again(own_valkey: EmbeddedServer) -> None:
    one, two = await opened(own_valkey, "n1"), await opened(own_valkey, "n2")
    await one.offer([contact(1), contact(2)])
    (lost,) = (await Caller(one, "n1-a")(1)).granted.permits
    (own,) = (await Caller(two, "n2-a")(1)).granted.permits
    run = two._link.run

    async def deaf(script: str, *args: object) -> object:
        answer = await run(script, *args)
        if script == "recover":
            raise QueueError("the answer never came")
        return answer

    two._link.run = deaf  # type: ignore[method-assign]
    with pytest.raises(QueueError):
        await two.recover(NOW + 60)
    two._link.run = run  # type: ignore[method-assign]
    assert [call.call for call in await two.recover(NOW + 61)] == [lost.call]
    assert await two.recover(NOW + 62) == []
    await two.write([finish(own)])
    for closing in (one, two):
        await closing.close()


async def test_an_end_that_was_written_and_not_heard_before_redis_died_is_told_once(own_valkey: EmbeddedServer) -> None:
    node = await opened(own_valkey)
    await node.offer([contact(1), contact(2)])
    first, second = (await Caller(node)(2)).granted.permits
    await node.write([MarkLive(call=first.call, state=LiveState.DIALING, at=NOW)])
    run_all = node._writes.connection.run_all

    async def deaf(commands: object) -> object:
        await run_all(commands)  # type: ignore[arg-type]
        raise exceptions.ConnectionError("the answer never came")

    node._writes.connection.run_all = deaf  # type: ignore[method-assign, assignment]
    with pytest.raises(QueueError):
        await node.write([finish(first)])
    node._writes.connection.run_all = run_all  # type: ignore[method-assign]
    own_valkey.kill()
    own_valkey.start()
    assert await node.prepare()
    assert (await node.depth(WINTER)).live == 1
    with pytest.raises(QueueError, match="out of reach"):  # by the connection that died
        await node.write([finish(first), finish(second)])
    await node.write([finish(first), finish(second)])
    client = connect(own_valkey.url)
    assert await client.xlen("cadencia:attempts") == 2
    assert await client.hlen("cadencia:live") == 0
    await client.aclose()
    await node.close()
