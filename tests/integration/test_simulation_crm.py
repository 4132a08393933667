"""The stub CRM against a real server that speaks Redis: the documented streams and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import msgspec
import phonenumbers
import pytest
from redis.asyncio import Redis

from dialer.queues.embedded import EmbeddedServer
from dialer.simulation.crm import BATCH, StubCrm
from dialer.simulation.profiles import FAST
from dialer.simulation.world import World
from tests.patience import PATIENCE_S


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    server = EmbeddedServer(tmp_path, fsync="no", port=None, persistent=False)
    server.start()
    yield server.url
    server.stop()


@pytest.fixture(params=[2, 3], ids=["RESP2", "RESP3"])
async def redis(request: pytest.FixtureRequest, url: str) -> AsyncIterator[Redis]:
    client = Redis.from_url(url, protocol=request.param)
    yield client
    await client.aclose()


def crm(redis: Redis, seed: int = 1) -> StubCrm:
    return StubCrm(redis, World(FAST, seed), "winter", prefix="t:")


async def entries(redis: Redis, stream: str) -> list[Any]:
    found: Any = await redis.xrange(f"t:{stream}")
    return [msgspec.json.decode(fields[b"data"]) for _, fields in found]


async def test_contacts_are_pushed_in_messages_of_a_thousand(redis: Redis) -> None:
    stub = crm(redis)
    await stub.push(2_500)
    messages = await entries(redis, "contacts")
    assert [len(message["contacts"]) for message in messages] == [BATCH, BATCH, 500]
    assert {message["campaign"] for message in messages} == {"winter"}
    contacts = [contact for message in messages for contact in message["contacts"]]
    assert len({contact["id"] for contact in contacts}) == len({contact["phones"][0] for contact in contacts}) == 2_500
    for contact in contacts[::50]:
        number = phonenumbers.parse(contact["phones"][0])
        assert phonenumbers.is_valid_number(number)
        assert phonenumbers.region_code_for_number(number) == "ES"
        assert phonenumbers.number_type(number) == phonenumbers.PhoneNumberType.MOBILE
        assert contact["name"]
        assert contact["fields"]
    await stub.push(10)
    more = (await entries(redis, "contacts"))[-1]["contacts"]
    assert more[0]["id"] == "crm-2500"
    assert stub.pushed == 2_510


async def test_removals_and_blocks(redis: Redis) -> None:
    stub = crm(redis)
    await stub.push(5)
    first = await stub.remove("crm-3")
    second = await stub.block("+34600111222")
    assert await entries(redis, "removals") == [
        {"id": first, "campaign": "winter", "contact": "crm-3", "reason": "paid"}
    ]
    (blocked,) = await entries(redis, "dnc")
    assert (blocked["id"], blocked["op"], blocked["phone"], blocked["scope"]) == (second, "add", "+34600111222", "*")
    assert (stub.removed, stub.blocked) == (["crm-3"], ["+34600111222"])


async def test_results_are_counted_once(redis: Redis) -> None:
    stub = crm(redis)
    assert await stub.read(block_ms=None) == 0
    for result in (
        {"type": "call.started", "call": "c-1"},
        {"type": "call.ended", "call": "c-1", "outcome": "busy"},
        {"type": "call.ended", "call": "c-2", "outcome": "connected"},
    ):
        await redis.xadd("t:results", {"data": msgspec.json.encode(result)})
    await redis.xadd("t:results", {"data": b"no json"})
    assert await stub.read(block_ms=None, count=2) == 2
    assert await stub.read(block_ms=10) == 2
    assert await stub.read(block_ms=10) == 0
    assert stub.results == {"call.started": 1, "call.ended": 2}
    assert stub.outcomes == {"busy": 1, "connected": 1}
    assert stub.unreadable == 1


async def test_a_living_crm_changes_its_mind_now_and_then(redis: Redis) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) > 8:
            await asyncio.Event().wait()

    stub = StubCrm(redis, World(FAST, 1), "winter", prefix="t:", sleep=sleep)
    await stub.push(100)
    task = asyncio.create_task(stub.live(removal_every_s=5.0, block_every_s=15.0))
    async with asyncio.timeout(PATIENCE_S):
        while len(slept) <= 8:  # noqa: ASYNC110  # polling is the point
            await asyncio.sleep(0.005)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert sum(slept[:8]) == pytest.approx(30.0)
    assert (len(stub.removed), len(stub.blocked)) == (6, 2)
    assert len(await entries(redis, "removals")) == 6


async def test_the_list_depends_on_the_seed_alone(redis: Redis) -> None:
    assert crm(redis).contact(7) == crm(redis).contact(7)
    assert crm(redis).contact(7) != crm(redis, seed=2).contact(7)
