"""How long ago a removal or do-not-call entry was written, told to whoever counts: by its id in the stream."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from dialer.core.ids import NodeName
from dialer.queues.connection import AsyncRedis, connect
from dialer.queues.embedded import EmbeddedServer
from dialer.queues.redis_queues import RedisQueues
from tests.queue_worlds import Caller, Pages, contact, finish, phone

#: How long before now the messages of these tests were written, by the server's clock.
AGO_S = 5


class Node:
    """A node, and what it was told."""

    def __init__(self, url: str, name: str) -> None:
        self.told: list[tuple[str, str, float]] = []
        self.queues = RedisQueues(
            connect(url), node=NodeName(name), purge_applied=lambda *effect: self.told.append(effect)
        )

    def effects(self) -> list[tuple[str, str]]:
        """What it was told, without the moments, which must be right."""
        assert all(AGO_S <= waited_s < AGO_S + 60 for _, _, waited_s in self.told), self.told
        return [(kind, effect) for kind, effect, _ in self.told]


@pytest.fixture
async def nodes(valkey: AsyncRedis, valkey_server: EmbeddedServer) -> AsyncIterator[list[Node]]:
    made = [Node(valkey_server.url, name) for name in ("n1", "n2")]
    await made[0].queues.rebuild(Pages())
    assert await made[1].queues.prepare()
    await made[0].queues.offer([contact(1), contact(2), contact(3)])
    yield made
    for node in made:
        await node.queues.close()


async def write(client: AsyncRedis, stream: str, message: bytes) -> None:
    """As a CRM, some seconds ago."""
    seconds, microseconds = await client.time()
    at_ms = seconds * 1_000 + microseconds // 1_000 - AGO_S * 1_000
    entry: Any = {"data": message}
    await client.xadd(f"cadencia:{stream}", entry, id=f"{at_ms}-*")


async def test_whoever_drains_is_told_what_became_of_those_who_wait(valkey: AsyncRedis, nodes: list[Node]) -> None:
    await write(valkey, "removals", b'{"id":"r1","campaign":"winter","contact":"c1"}')
    await write(valkey, "removals", b'{"id":"r2","campaign":"winter","contact":"nobody"}')
    await write(valkey, "removals", b"no message")
    await write(valkey, "dnc", f'{{"op":"add","phone":"{phone(2)}"}}'.encode())
    await write(valkey, "dnc", f'{{"op":"remove","phone":"{phone(7)}"}}'.encode())
    await nodes[0].queues.drain()
    expected = [("removal", "applied"), ("removal", "not_found"), ("dnc", "applied"), ("dnc", "removed")]
    assert sorted(nodes[0].effects()) == sorted(expected)
    await nodes[1].queues.drain()
    assert nodes[1].told == []


async def test_a_reservation_drains_and_tells_as_well(valkey: AsyncRedis, nodes: list[Node]) -> None:
    await write(valkey, "removals", b'{"id":"r1","campaign":"*","contact":"c1"}')
    reservation = await Caller(nodes[0].queues)(5)
    assert [permit.contact for permit in reservation.granted.permits] == ["c2", "c3"]
    assert nodes[0].effects() == [("removal", "applied")]


async def test_a_backlog_that_is_drained_before_anybody_is_reserved_is_told(
    valkey: AsyncRedis, nodes: list[Node]
) -> None:
    for n in range(700):
        await write(valkey, "removals", f'{{"id":"r{n}","campaign":"winter","contact":"gone{n}"}}'.encode())
    assert len((await Caller(nodes[0].queues)(5)).granted.permits) == 3
    assert nodes[0].effects() == [("removal", "not_found")] * 700


async def test_the_node_that_has_the_call_learns_when_it_was_written(valkey: AsyncRedis, nodes: list[Node]) -> None:
    reservation = await Caller(nodes[0].queues)(5)
    await write(valkey, "removals", b'{"id":"r1","campaign":"winter","contact":"c1"}')
    await write(valkey, "dnc", f'{{"id":"d1","op":"add","phone":"{phone(2)}"}}'.encode())
    # Another node drains: what became of the calls is for the first to say.
    assert await nodes[1].queues.drain() == ()
    assert nodes[1].effects() == [("dnc", "applied")]
    purged = await nodes[0].queues.drain()
    assert sorted((purge.kind, purge.ref) for purge in purged) == [("dnc", "d1"), ("removal", "r1")]
    assert all(purge.waited_s is not None and AGO_S <= purge.waited_s < AGO_S + 60 for purge in purged)
    assert nodes[0].told == []
    await nodes[0].queues.write([finish(permit) for permit in reservation.granted.permits])
    assert await nodes[0].queues.drain() == ()
