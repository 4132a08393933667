"""What is written into one shard and concerns another holds there, whoever dies, and never makes anything hold less."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from dialer.core.ids import Phone
from dialer.errors import ShardAway
from dialer.queues.embedded import EmbeddedServer
from dialer.queues.results import rfc3339
from dialer.queues.shard_links import EVERYWHERE
from dialer.queues.streams import CARRIED
from dialer.runtime import carrier as carrying
from dialer.storage.database import Database
from dialer.storage.do_not_call import DoNotCall, DoNotCallList
from tests.two_shards import KEYS, Shard, carried, two_shards

pytestmark = pytest.mark.usefixtures("quickly")
LATER_S = 3_600.0


def phone(n: int) -> Phone:
    return Phone(f"+34{600_000_000 + n}")


@pytest.fixture
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody records here what is to be waited for."""
    monkeypatch.setattr(carrying, "_RECORDED_S", 0.01)


@pytest.fixture(scope="module")
def second_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    home: Path = tmp_path_factory.mktemp("redis")
    with EmbeddedServer(home, fsync="no", persistent=False) as server:
        yield server


@pytest.fixture
async def both(
    valkey_server: EmbeddedServer, second_server: EmbeddedServer, database: Database
) -> AsyncIterator[tuple[Shard, Shard]]:
    async with two_shards(valkey_server, second_server, database) as found:
        yield found


async def test_what_bars_is_carried_and_nothing_else(both: tuple[Shard, Shard]) -> None:
    north, rest = both
    await north.write("dnc", op="add", phone=phone(1), scope="*")
    await north.write("dnc", op="add", phone=phone(2), scope="spring")
    await north.write("dnc", op="add", phone=phone(3), scope="north-winter")
    await north.write("dnc", op="add", phone=phone(4), scope="account:A-1")
    await north.write("dnc", op="add", phone="+34 91*", scope="acme--*")
    await north.write("dnc", op="remove", phone=phone(5), scope="*")
    await north.client.xadd(KEYS["dnc"], {"data": "{no"})
    await north.write("removals", campaign="*", contact="c1", phone=phone(6))
    await north.write("removals", campaign="north-winter", contact="c2")
    await north.write("removals", campaign="spring", contact="c3")
    await carried(*rest.carriers())
    scopes = [(each["scope"], each["phone"]) for each in await rest.entries("dnc")]
    assert scopes == [("*", phone(1)), ("spring", phone(2)), ("account:A-1", phone(4)), ("acme--*", "+34 91*")]
    assert [each["contact"] for each in await rest.entries("removals")] == ["c1", "c3"]
    # What was carried is not carried back, or entered again once it holds.
    await rest.queues.drain()
    await carried(*north.carriers())
    assert await north.client.xlen(KEYS["dnc"]) == 7
    for each in rest.carriers():
        assert await each.begin_again(0.0) is False
    again = rest.carriers()
    waiting = [asyncio.ensure_future(each.begin_again(5.0)) for each in again]
    await carried(*again)
    assert all(await asyncio.gather(*waiting))
    assert len(await rest.entries("dnc")) == 4
    assert len(await rest.entries("removals")) == 2


async def test_an_entry_for_a_time_never_shortens_one_for_longer(both: tuple[Shard, Shard]) -> None:
    north, rest = both
    now = north.now()
    soon, late = rfc3339(now + LATER_S), rfc3339(now + 2 * LATER_S)
    await north.write("dnc", op="add", phone=phone(1), scope="*", expires=soon)
    await north.write("dnc", op="add", phone=phone(2), scope="*", expires=soon)
    await north.write("dnc", op="add", phone=phone(3), scope="*", expires=late)
    await rest.write("dnc", op="add", phone=phone(1), scope="*")
    await rest.write("dnc", op="add", phone=phone(3), scope="*", expires=soon)

    working = rest.carriers()
    with pytest.raises(TimeoutError):
        await carried(*working, within_s=0.5)
    assert len(await rest.entries("dnc")) == 2, "they wait for what was written before them"
    await rest.queues.drain()
    await carried(*rest.carriers())
    await rest.queues.drain()
    assert len(await rest.entries("dnc")) == 4
    assert await rest.bars(phone(1), now + 100 * LATER_S)
    assert await rest.bars(phone(2), now)
    assert not await rest.bars(phone(2), now + 1.5 * LATER_S)
    assert await rest.bars(phone(3), now + 1.5 * LATER_S)


async def test_what_was_taken_off_meanwhile_does_not_come_back(both: tuple[Shard, Shard]) -> None:
    north, rest = both
    held = DoNotCallList(north.database)
    await north.write("dnc", op="add", phone=phone(1), scope="*")
    await north.write("dnc", op="add", phone=phone(2), scope="*")
    at = north.now()
    # Long after, and in doubt: two servers' clocks may differ.
    await held.put([DoNotCall(scope="*", phone=phone(1), at=at + 60.0, active=False)])
    await held.put([DoNotCall(scope="*", phone=phone(2), at=at + 1.0, active=False)])
    await carried(*rest.carriers())
    assert [each["phone"] for each in await rest.entries("dnc")] == [phone(2)]


async def test_who_was_erased_is_not_entered_again(both: tuple[Shard, Shard]) -> None:
    north, rest = both
    await north.write("dnc", op="add", phone=phone(1), scope="*")
    await north.write("dnc", op="add", phone=phone(2), scope="*")
    working = rest.carriers()
    for each in working:
        each.erased = lambda number: number == phone(1)
    await carried(*working)
    assert [each["phone"] for each in await rest.entries("dnc")] == [phone(2)]


async def test_nodes_that_die_while_they_carry_lose_nothing(both: tuple[Shard, Shard]) -> None:
    """Each dies once it has read, or in the middle of entering, or before it could say that it has entered."""
    north, rest = both
    count, rng = 1_500, random.Random(3)
    for start in range(0, count, 50):
        pipeline = north.client.pipeline(transaction=False)
        for n in range(start, start + 50):
            if n % 3:
                pipeline.xadd(KEYS["dnc"], {"data": f'{{"op": "add", "scope": "*", "phone": "{phone(n)}"}}'})
            else:
                pipeline.xadd(KEYS["removals"], {"data": f'{{"campaign": "*", "contact": "c{n}"}}'})
        await pipeline.execute()
        for carrier in rest.carriers(f"n{start % 4}", claim_after_s=0.02):
            entries = list(await carrier._reader.read(40, 0.001))
            await carrier._store(entries[: rng.choice((0, len(entries) // 2, len(entries)))])
    await carried(*rest.carriers("survivor", claim_after_s=0.02))
    assert {each["phone"] for each in await rest.entries("dnc")} == {phone(n) for n in range(count) if n % 3}
    assert {each["contact"] for each in await rest.entries("removals")} == {f"c{n}" for n in range(0, count, 3)}


@pytest.mark.parametrize("seed", range(4))
async def test_what_was_acknowledged_everywhere_holds_whatever_is_carried(both: tuple[Shard, Shard], seed: int) -> None:
    """Any mixture of writers: a number that the API listed for good is barred in both until somebody takes it off."""
    rng, numbers = random.Random(seed), [phone(n) for n in range(6)]
    stop, sites = asyncio.Event(), both
    #: Numbers that must be barred for good, by shard; and whether the last word about one was to bar it.
    listed: dict[str, set[Phone]] = {"north": set(), "rest": set()}
    last: dict[Phone, bool] = {}
    carriers = [each for site in sites for each in site.carriers()]
    working = [asyncio.ensure_future(each.run(stop)) for each in carriers]
    checked = 0
    for _ in range(120):
        number, site = rng.choice(numbers), rng.choice(sites)
        entry: dict[str, object] = {"op": "add", "phone": number, "scope": "*"}
        what = rng.randrange(7)
        match what:
            case 0 | 1:
                await site.links.write("dnc", [entry])
                for its in listed.values():
                    its.add(number)
            case 2:
                for its in listed.values():
                    its.discard(number)
                await site.links.write("dnc", [entry | {"op": "remove"}])
            case 3:
                # A later word of their own, for a time: that is what holds there.
                listed[site.name].discard(number)
                await site.write("dnc", **entry | {"expires": rfc3339(site.now() + LATER_S)})
            case 4:
                await site.write("dnc", **entry)
                listed[site.name].add(number)
            case 5:
                listed[site.name].discard(number)
                await site.write("dnc", **entry | {"op": "remove"})
            case _:
                await asyncio.sleep(rng.uniform(0.0, 0.05))
        if what < 6:
            last[number] = what not in {2, 5}
        for each in sites:
            await each.queues.drain()
            for held in listed[each.name]:
                checked += 1
                assert await each.bars(held, each.now() + 100 * LATER_S), (each.name, held)
    await carried_up(sites)
    stop.set()
    await asyncio.gather(*working)
    for each in sites:
        await each.queues.drain()
        for held in [number for number, barred in last.items() if barred]:
            assert await each.bars(held, each.now() + LATER_S / 2), (each.name, held)
    assert checked > 50
    assert any(last.values())


async def carried_up(sites: tuple[Shard, Shard]) -> None:
    for site in sites:
        for each in site.carriers():
            while await each.is_behind():
                for one in sites:
                    await one.queues.drain()
                await asyncio.sleep(0.01)


async def test_what_a_node_wrote_into_all_is_not_entered_twice(both: tuple[Shard, Shard]) -> None:
    north, rest = both
    await north.links.write("dnc", [{"op": "add", "phone": phone(n), "scope": "*"} for n in range(200)])
    for site in both:
        await site.queues.drain()
    await carried(*north.carriers(), *rest.carriers())
    assert all(EVERYWHERE in each for each in await rest.entries("dnc"))
    assert len(await rest.entries("dnc")) == len(await north.entries("dnc")) == 200


async def test_a_writer_that_died_half_way_is_made_up_for(both: tuple[Shard, Shard]) -> None:
    north, rest = both
    await north.write("dnc", **{"op": "add", "phone": phone(1), "scope": "*", EVERYWHERE: True})
    await carried(*rest.carriers())
    await rest.queues.drain()
    assert await rest.bars(phone(1), rest.now())
    rows: Any = await rest.client.xrange(KEYS["dnc"])
    assert rows[0][1][CARRIED.encode()] == b"north"


async def test_a_shard_that_is_away_refuses_what_concerns_it(
    valkey_server: EmbeddedServer, own_valkey: EmbeddedServer, database: Database
) -> None:
    async with two_shards(valkey_server, own_valkey, database) as (north, rest):
        own_valkey.kill()
        entry = {"op": "add", "phone": phone(1), "scope": "*"}
        with pytest.raises(ShardAway, match=r"shard rest: .*nothing was done") as refused:
            await north.links.write("dnc", [entry])
        assert refused.value.carried_out == "no"
        assert await north.entries("dnc") == []
        await north.links.write("dnc", [entry | {"scope": "north-winter"}])
        assert len(await north.entries("dnc")) == 1
        own_valkey.start()
        with suppress(ShardAway):  # connections of before
            await north.links.write("dnc", [entry])
        await north.links.write("dnc", [entry])
        assert len(await rest.entries("dnc")) >= 1
