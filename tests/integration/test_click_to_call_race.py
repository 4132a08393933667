"""Removals against calls that are asked for by name: no originate after the acknowledgement of a removal."""

from __future__ import annotations

import asyncio
import random
import time

from dialer.core.ids import CallId, ContactId, NodeName
from dialer.core.promise import Promise
from dialer.queues.connection import AsyncRedis, connect
from dialer.queues.embedded import EmbeddedServer
from dialer.queues.redis_queues import RedisQueues
from tests.queue_worlds import WINTER, Pages, RedisWorld, contact, phone

CONTACTS = 300


async def test_nobody_is_called_for_an_agent_after_the_acknowledgement_of_a_removal(
    valkey_server: EmbeddedServer, valkey: AsyncRedis
) -> None:
    node = RedisQueues(connect(valkey_server.url), node=NodeName("n1"))
    crm = RedisWorld(valkey, valkey_server.url)
    await node.rebuild(Pages())
    now = time.time()
    kinds = random.Random(3).choices(range(3), k=CONTACTS)
    for n in range(CONTACTS):
        # Asked for while it waits, lent for the call, or promised.
        match kinds[n]:
            case 0:
                await node.offer([contact(n)])
            case 1:
                await node.lend(contact(n))
            case _:
                promise = Promise(
                    campaign=WINTER, contact=ContactId(f"c{n}"), at=now - 1, fallback_at=now, until_at=now
                )
                await node.promise(contact(n), promise)
    acknowledged: dict[int, float] = {}
    handed: dict[int, float] = {}
    position = 0

    async def remove() -> None:
        rng = random.Random(5)
        for n in range(CONTACTS):
            # Now ahead of the asking, now behind it, and as close to each other as can be.
            behind = rng.random() < 0.5
            while n > position + (0 if behind else 3):  # noqa: ASYNC110
                await asyncio.sleep(0)
            for _ in range(rng.randrange(40 if behind else 4)):
                await asyncio.sleep(0)
            named = {"contact": f"c{n}"} if n % 2 else {"phone": phone(n)}
            await crm.push("removals", {"id": f"m{n}", "campaign": WINTER, **named})
            acknowledged[n] = time.monotonic()

    async def ask() -> None:
        nonlocal position
        rng = random.Random(7)
        for n in range(CONTACTS):
            position = n
            for _ in range(rng.randrange(30)):
                await asyncio.sleep(0)
            # Neither of the two runs away from the other.
            while len(acknowledged) < n - 1:  # noqa: ASYNC110
                await asyncio.sleep(0)
            call = CallId(f"k{n:06d}")
            async with node.reserve_contact(WINTER, ContactId(f"c{n}"), call, time.time()) as reservation:
                # Between check and hand-over time passes, on purpose.
                await asyncio.sleep(0.0005)
                for permit in reservation.granted.permits:
                    if permit.valid(time.time()):
                        handed[n] = time.monotonic()

    async with asyncio.TaskGroup() as group:
        group.create_task(remove())
        group.create_task(ask())
    assert [n for n, at in handed.items() if at > acknowledged[n]] == []
    # It was a race, of all three kinds.
    for kind in range(3):
        won = sum(kinds[n] == kind for n in handed)
        assert 0 < won < kinds.count(kind), (kind, won)
    await node.close()
