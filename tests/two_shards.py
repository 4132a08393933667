"""Two servers that are shards of one installation, without nodes: their queues, and what joins them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from dialer.core.ids import NodeName, Phone
from dialer.core.shards import Shards, shards_of
from dialer.queues.carrying import Entrance
from dialer.queues.connection import AsyncRedis, connect
from dialer.queues.embedded import EmbeddedServer
from dialer.queues.keys import Keys
from dialer.queues.redis_queues import RedisQueues
from dialer.queues.shard_links import ShardLinks
from dialer.queues.streams import StreamReader
from dialer.runtime.carrier import Carrier, group_of
from dialer.runtime.clock import Clock
from dialer.storage.database import Database
from tests.queue_worlds import Pages

TABLE = [("north", ["north-*"]), ("rest", ["*"])]
KEYS = Keys("cadencia:")


def shards(own: str) -> Shards:
    """The table as one of them sees it."""
    return shards_of(own, TABLE)


class Shard:
    """One of them: its server, its queues, and the way to both from here."""

    def __init__(self, name: str, servers: dict[str, EmbeddedServer], database: Database) -> None:
        self.name = name
        self.database = database
        self.now = Clock().now
        self.client: AsyncRedis = connect(servers[name].url)
        self.queues = RedisQueues(connect(servers[name].url), node=NodeName(f"n-{name}"), prefix="cadencia:")
        urls = {other: server.url for other, server in servers.items()}
        self.links = ShardLinks(shards(name), urls, self.client, self.queues, node=f"n-{name}", prefix="cadencia:")

    def carriers(self, node: str = "n1", claim_after_s: float = 5.0) -> list[Carrier]:
        """Those of one of its nodes."""
        (source,) = self.links.shards.others
        there = self.links.clients[source]
        found = []
        for stream in ("removals", "dnc"):
            reader = StreamReader(
                there, KEYS, stream=stream, group=group_of(self.name), consumer=node, now=self.now,
                claim_after_s=claim_after_s, trim=False, written_here=True,
            )  # fmt: skip
            found.append(
                Carrier(
                    self.database, reader, self.now, source=source, stream=stream, shards=self.links.shards,
                    entrance=Entrance(self.client, KEYS), there=there, key=KEYS[stream],
                )
            )  # fmt: skip
        return found

    async def write(self, stream: str, **message: object) -> None:
        """One message of a CRM, into this shard alone."""
        await self.client.xadd(KEYS[stream], {"data": json.dumps(message)})

    async def bars(self, phone: Phone, at: float) -> bool:
        """Whether the gate's list for everybody has a number that is drained, and for as long."""
        digits = phone[1:]
        if not await self.client.sismember(KEYS.of("dnc_set", f"*:{digits[:-5]}"), str(int(digits[-5:]))):
            return False
        until = await self.client.zscore(KEYS["dnc_expiries"], f"*\t{digits}")
        return until is None or until > at

    async def entries(self, stream: str) -> list[dict[str, Any]]:
        """What stands in one of its streams."""
        rows: Any = await self.client.xrange(KEYS[stream])
        return [json.loads(fields[b"data"]) for _, fields in rows]

    async def close(self) -> None:
        await self.links.close()
        await self.queues.close()
        await self.client.aclose()


@asynccontextmanager
async def two_shards(
    north: EmbeddedServer, rest: EmbeddedServer, database: Database
) -> AsyncIterator[tuple[Shard, Shard]]:
    """Both, empty, with their gates open."""
    servers = {"north": north, "rest": rest}
    found = [Shard(name, servers, database) for name in servers]
    for shard in found:
        await shard.client.flushall()
        await shard.queues.rebuild(Pages())
    try:
        yield found[0], found[1]
    finally:
        for shard in found:
            await shard.close()


async def carried(*carriers: Carrier, within_s: float = 30.0) -> None:
    """Let carriers work until nothing waits any more."""
    stop, clock = asyncio.Event(), asyncio.get_running_loop().time
    until = clock() + within_s
    working = [asyncio.ensure_future(carrier.run(stop)) for carrier in carriers]
    while behind := any([await carrier.is_behind() for carrier in carriers]):
        if clock() > until:
            break
        await asyncio.sleep(0.01)
    stop.set()
    await asyncio.gather(*working)
    if behind:
        raise TimeoutError
