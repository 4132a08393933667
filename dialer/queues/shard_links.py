"""The way to every Redis of an installation with shards (docs/adr/0020).

Whatever is acknowledged holds wherever it concerns anybody: it is written to each shard before the writer is told. What
a CRM writes into one shard's stream is entered into the others by their own nodes (`dialer.queues.carrying`).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Mapping, Sequence
from typing import Final

from dialer.core.ids import NodeName, Phone
from dialer.core.shards import Shards
from dialer.errors import QueueError, ShardAway
from dialer.queues.connection import AsyncRedis, connect, redis_errors
from dialer.queues.keys import Keys
from dialer.queues.port import Counted
from dialer.queues.redis_queues import RedisQueues

Message = Mapping[str, object]

#: Somebody waits for the answer, and a Redis that lives answers in a millisecond.
_REACH_S: Final = 2.0
#: In what is written into several shards at once: who finds it in one need not take it to the others.
EVERYWHERE: Final = "everywhere"
#: By what a message of a stream says whom it concerns.
_SCOPE: Final = {"removals": "campaign", "dnc": "scope", "callbacks": "campaign"}


class ShardLinks:
    """Connections to all shards.

    Args:
        shards: the table.
        urls: of the other shards, by name.
        own: a client of the own one; not closed here.
        queues: of the own one.
        node: whose they are.
        prefix: of all keys, in every shard.
    """

    def __init__(
        self,
        shards: Shards,
        urls: Mapping[str, str],
        own: AsyncRedis,
        queues: RedisQueues,
        *,
        node: str,
        prefix: str,
    ) -> None:
        self.shards: Final = shards
        self.keys: Final = Keys(prefix)
        self.clients: Final[dict[str, AsyncRedis]] = {shards.own: own}
        self._queues: Final = {shards.own: queues}
        for name in shards.others:
            self.clients[name] = connect(urls[name], name=f"cadencia-{node}")
            client = connect(urls[name], name=f"cadencia-{node}")
            self._queues[name] = RedisQueues(client, node=NodeName(node), prefix=prefix, strict_gate=False)

    async def close(self) -> None:
        """Close the connections to the others."""
        for name in self.shards.others:
            await self.clients[name].aclose()
            await self._queues[name].close()

    async def write(self, stream: str, messages: Sequence[Message]) -> None:
        """Write messages to the stream of every shard that each concerns.

        Raises:
            ShardAway: one of these is out of reach; says whether anything was written.
            QueueError: the own one alone is concerned, and out of reach.
        """
        wanted: dict[str, list[Message]] = {}
        for message in messages:
            names = self.concerned(stream, message)
            for name in names:
                wanted.setdefault(name, []).append({**message, EVERYWHERE: True} if len(names) > 1 else message)
        await self.reach(list(wanted))
        await self._of_all({name: self._append(name, stream, its) for name, its in wanted.items()}, "unknown")

    async def reach(self, names: Sequence[str]) -> None:
        """Make sure that these shards answer, before anything is written to any of them.

        Raises:
            ShardAway: one does not.
        """
        if any(name != self.shards.own for name in names):
            await self._of_all({name: self._ping(name) for name in names}, "no")

    async def erase(self, phones: Sequence[Phone]) -> int:
        """`RedisQueues.erase` in every shard.

        Raises:
            ShardAway: one is out of reach.
            GateNotReady: one has not loaded the record.
        """
        await self.reach(self.shards.names)
        return sum([await queues.erase(phones) for queues in self._queues.values()])

    async def count(self, counted: Counted, now: float) -> None:
        """`dialer.queues.port.Queues.count` in the shard of the campaign: where its caps count.

        Raises:
            GateNotReady, QueueError: as there.
        """
        await self._queues[self.shards.of(counted.campaign)].count(counted, now)

    def concerned(self, stream: str, message: Message) -> tuple[str, ...]:
        """The shards that a message concerns; one that says nothing is told in the own one what is wrong with it."""
        scope = message.get(_SCOPE[stream], "*" if stream == "dnc" else None)
        return self.shards.concerned(scope) if isinstance(scope, str) and scope else (self.shards.own,)

    async def _append(self, name: str, stream: str, messages: Sequence[Message]) -> None:
        with redis_errors():
            pipeline = self.clients[name].pipeline(transaction=False)
            for message in messages:
                pipeline.xadd(self.keys[stream], {"data": json.dumps(message, ensure_ascii=False)})
            await pipeline.execute()

    async def _ping(self, name: str) -> None:
        try:
            async with asyncio.timeout(_REACH_S):
                with redis_errors():
                    await self.clients[name].ping()
        except TimeoutError as error:
            raise QueueError("Redis did not answer in time", code="redis_slow") from error

    async def _of_all(self, work: Mapping[str, Awaitable[None]], carried_out: str) -> None:
        answers = await asyncio.gather(*work.values(), return_exceptions=True)
        for name, answer in zip(work, answers, strict=True):
            if isinstance(answer, QueueError):
                raise ShardAway(name, answer, carried_out) from answer
            if answer is not None:
                raise answer
