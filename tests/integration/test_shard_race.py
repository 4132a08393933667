"""The promise over two shards, raced: a node of each dials the same numbers while entries are acknowledged for both.

As in test_gate_race: every acknowledgement and every hand-over of an originate is timed on one monotonic clock, and no
contact may be handed over, in either shard, after the acknowledgement of what forbids it.
``CADENCIA_RACE_SHARDS=20000`` is the long form.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dialer.core.contact import Contact
from dialer.core.ids import CallId, CampaignId, ContactId, Phone
from dialer.queues.embedded import EmbeddedServer
from dialer.storage.database import Database
from tests.two_shards import Shard, two_shards

COUNT = int(os.environ.get("CADENCIA_RACE_SHARDS", "3000"))
CAMPAIGNS = {"north": CampaignId("north-race"), "rest": CampaignId("race")}
#: How far a node runs ahead of the entries in one stretch of the list and stays behind them in the next, in contacts.
AHEAD = 200
STRETCH = 500
BATCH = 20


def phone(n: int) -> Phone:
    return Phone(f"+34{600_000_000 + n}")


@pytest.fixture
def second_server(tmp_path: Path) -> Iterator[EmbeddedServer]:
    with EmbeddedServer(tmp_path / "redis", fsync="no", persistent=False) as server:
        yield server


class Race:
    """What has been acknowledged, and what was handed over, when."""

    def __init__(self) -> None:
        self.acknowledged: dict[int, float] = {}
        self.handed: dict[str, dict[int, float]] = {"north": {}, "rest": {}}
        self.written = 0

    async def write(self, shards: tuple[Shard, Shard]) -> None:
        """The API of either node: by contact, by number, by do-not-call entry, each for everybody."""
        rng = random.Random(7)
        while self.written < COUNT:
            batch = range(self.written, min(COUNT, self.written + rng.choice((1, 4, 16, 64))))
            links = rng.choice(shards).links
            listed = [{"op": "add", "phone": phone(n), "scope": "*"} for n in batch if n % 3 == 0]
            removed = [
                {"campaign": "*", "contact": f"c{n}"} if n % 3 == 1 else {"campaign": "*", "phone": phone(n)}
                for n in batch
                if n % 3
            ]
            for stream, messages in (("dnc", listed), ("removals", removed)):
                if messages:
                    await links.write(stream, messages)
            now = time.monotonic()
            self.acknowledged |= dict.fromkeys(batch, now)
            self.written = batch.stop

    async def dial(self, shard: Shard, hold_s: float) -> None:
        """Hand over as fast as it goes, by turns before and behind the place that the entries have reached."""
        campaign, handed, calls, idle = CAMPAIGNS[shard.name], self.handed[shard.name], 0, 0
        while idle < 3:
            at = max(handed, default=0)
            lead = AHEAD if at // STRETCH % 2 == 0 else -AHEAD
            if at > self.written + lead and self.written < COUNT:
                await asyncio.sleep(0.0002)
                continue
            ids = [CallId(f"{shard.name}-{calls + k}") for k in range(BATCH)]
            calls += BATCH
            async with shard.queues.reserve(campaign, ids, time.time()) as reservation:
                await asyncio.sleep(hold_s)
                for permit in reservation.granted.permits:
                    if permit.valid(time.time()):
                        handed[int(permit.contact[1:])] = time.monotonic()
            idle = idle + 1 if reservation.granted.ready == 0 and not reservation.granted.permits else 0


async def race(shards: tuple[Shard, Shard], hold_s: float) -> Race:
    for shard in shards:
        campaign = CAMPAIGNS[shard.name]
        for start in range(0, COUNT, 1_000):
            await shard.queues.offer(
                [Contact(campaign=campaign, id=ContactId(f"c{n}"), phones=(phone(n),)) for n in range(COUNT)][
                    start : start + 1_000
                ]
            )
    run = Race()
    stop = asyncio.Event()
    carriers = [asyncio.ensure_future(each.run(stop)) for shard in shards for each in shard.carriers()]
    async with asyncio.TaskGroup() as group:
        group.create_task(run.write(shards))
        for shard in shards:
            group.create_task(run.dial(shard, hold_s))
    stop.set()
    await asyncio.gather(*carriers)
    return run


async def test_nobody_is_dialed_in_either_shard_after_the_acknowledgement(
    valkey_server: EmbeddedServer, second_server: EmbeddedServer, database: Database
) -> None:
    async with two_shards(valkey_server, second_server, database) as shards:
        run = await race(shards, hold_s=0.001)
    assert len(run.acknowledged) == COUNT
    for name, handed in run.handed.items():
        late = [n for n, at in handed.items() if at > run.acknowledged[n]]
        assert late == [], name
        # It was a race: some came in time, some did not.
        assert 0.02 * COUNT < len(handed) < 0.98 * COUNT, (name, len(handed))
