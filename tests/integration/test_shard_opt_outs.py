"""Who objects by key is barred in the own shard at once, and promised it when every shard has it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from dialer.core.commands import AddDoNotCall
from dialer.core.events import DoNotCallWritten
from dialer.core.ids import CallId, CampaignId, MessageId, Phone
from dialer.queues.embedded import EmbeddedServer
from dialer.runtime import opt_outs
from dialer.runtime.opt_outs import OptOutWriter
from dialer.runtime.sharding import Promised
from dialer.runtime.tasks import cancel_all
from dialer.storage.database import Database
from tests.patience import PATIENCE_S
from tests.two_shards import Shard, carried, two_shards

NUMBER = Phone("+34600000001")


def objection(scope: str) -> AddDoNotCall:
    return AddDoNotCall(
        call=CallId("c-1"), campaign=CampaignId("north-winter"), phone=NUMBER, scope=scope,
        reason="opt-out by key", ref=MessageId("opt-out:c-1"),
    )  # fmt: skip


class Desk:
    """The engine's side of the writer in one shard."""

    def __init__(self, shard: Shard) -> None:
        self.commands: asyncio.Queue[AddDoNotCall] = asyncio.Queue()
        self.promised: asyncio.Queue[DoNotCallWritten] = asyncio.Queue()
        self.writer = OptOutWriter(Promised(shard.links), self.commands, self.promised.put_nowait, shard.now)

    async def told(self) -> CallId:
        """The call whose objection is written, as soon as one is."""
        async with asyncio.timeout(PATIENCE_S):
            return (await self.promised.get()).call


@asynccontextmanager
async def at_work(shard: Shard) -> AsyncIterator[Desk]:
    desk = Desk(shard)
    working = asyncio.ensure_future(desk.writer.run())
    try:
        yield desk
    finally:
        await cancel_all([working])


@pytest.fixture
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opt_outs, "_RETRY_S", 0.02)
    monkeypatch.setattr(opt_outs, "_RETRY_MAX_S", 0.02)


async def barred(shard: Shard) -> bool:
    await shard.queues.drain()
    return await shard.bars(NUMBER, shard.now())


async def test_what_is_promised_holds_in_both(
    valkey_server: EmbeddedServer, own_valkey: EmbeddedServer, database: Database
) -> None:
    async with two_shards(valkey_server, own_valkey, database) as (north, rest), at_work(north) as desk:
        desk.commands.put_nowait(objection("*"))
        assert await desk.told() == "c-1"
        assert await barred(north)
        assert await barred(rest)
        await carried(*rest.carriers())
        assert len(await rest.entries("dnc")) == len(await north.entries("dnc")) == 1


@pytest.mark.usefixtures("quickly")
async def test_with_a_shard_away_it_holds_here_and_nothing_is_promised(
    valkey_server: EmbeddedServer, own_valkey: EmbeddedServer, database: Database
) -> None:
    async with two_shards(valkey_server, own_valkey, database) as (north, rest), at_work(north) as desk:
        own_valkey.kill()
        desk.commands.put_nowait(objection("*"))
        async with asyncio.timeout(PATIENCE_S):
            while not await barred(north):  # noqa: ASYNC110 - no event for it
                await asyncio.sleep(0.01)
        known = len(await north.entries("dnc"))
        assert not await desk.writer.flush(0.3)
        assert desk.promised.empty()
        assert len(await north.entries("dnc")) == known  # the tries since have told nobody twice
        own_valkey.start()
        assert await desk.told() == "c-1"
        assert [entry["phone"] for entry in await rest.entries("dnc")] == [NUMBER]


async def test_what_concerns_the_own_shard_alone_asks_no_other(
    valkey_server: EmbeddedServer, own_valkey: EmbeddedServer, database: Database
) -> None:
    async with two_shards(valkey_server, own_valkey, database) as (north, _), at_work(north) as desk:
        own_valkey.kill()
        desk.commands.put_nowait(objection("north-winter"))
        assert await desk.told() == "c-1"
        (entry,) = await north.entries("dnc")
        assert (entry["scope"], entry["id"], entry["source"]) == ("north-winter", "opt-out:c-1", "key")
