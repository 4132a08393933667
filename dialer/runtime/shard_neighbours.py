"""Nodes of another shard, as they say there (docs/adr/0020): heard every second, by the clock of that shard's Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

import msgspec
import structlog

from dialer.errors import QueueError
from dialer.queues.connection import AsyncRedis, redis_errors
from dialer.queues.keys import Keys
from dialer.runtime.node_seals import Seal
from dialer.runtime.pictures import Neighbour, Picture, keep_latest, said_by

_log: Final = structlog.get_logger(__name__)

_EVERY_S: Final = 1.0


class ShardNeighbours:
    """Those of one other shard.

    Args:
        shard: its name.
        redis: a client of it.
        keys: there.
        seal: of what nodes say of themselves.
        now: the clock.
    """

    def __init__(self, shard: str, redis: AsyncRedis, keys: Keys, seal: Seal, now: Callable[[], float]) -> None:
        self.shard: Final = shard
        self._redis: Final = redis
        self._keys: Final = keys
        self._seal: Final = seal
        self._now: Final = now
        self._ahead_s = 0.0
        self._known: dict[str, Neighbour] = {}
        self._trouble = ""
        #: What goes on at them, by name.
        self.pictures: dict[str, Picture] = {}

    def shared_now(self) -> float:
        """Unix seconds by the clock of that Redis, as of the last time that it was heard."""
        return self._now() + self._ahead_s

    def others(self) -> dict[str, Neighbour]:
        """Those that live, by name."""
        now = self.shared_now()
        return {name: one for name, one in self._known.items() if one.until > now}

    async def run(self) -> None:
        """Listen, for ever."""
        while True:
            await self.listen()
            await asyncio.sleep(_EVERY_S)

    async def listen(self) -> None:
        """Hear once; one that is away says nothing until it is back."""
        try:
            with redis_errors():
                await self._listen()
        except QueueError as error:
            if str(error) != self._trouble:
                _log.warning("the nodes of another shard are not heard", shard=self.shard, error=str(error))
            self._trouble = str(error)
        else:
            self._trouble = ""

    async def meet(self, run: str) -> None:
        """Look whether a run of a node of which nothing was heard has said by now that it lives.

        Not while this shard is not heard: a code for a call of long ago need not wait for it.
        """
        if self._trouble:
            return
        try:
            with redis_errors():
                sealed: Any = await self._redis.hget(self._keys["neighbours"], run)
        except QueueError:
            return  # as `listen` says
        one = None if sealed is None else said_by(self._seal, sealed)
        if one is not None and one.run == run and one.until > self.shared_now():
            keep_latest(self._known, one)

    async def _listen(self) -> None:
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.time()
        pipeline.hgetall(self._keys["neighbours"])
        answers: Any = await pipeline.execute()
        (seconds, microseconds), said = answers
        self._ahead_s = float(seconds) + microseconds / 1e6 - self._now()
        now = self.shared_now()
        known: dict[str, Neighbour] = {}
        for sealed in said.values():
            one = said_by(self._seal, sealed)
            if one is not None and one.until > now:
                keep_latest(known, one)
        pictures: dict[str, Picture] = {}
        if known:
            shown: Any = await self._redis.mget([self._keys.of("picture", one.run) for one in known.values()])
            for one, sealed in zip(known.values(), shown, strict=True):
                content = None if sealed is None else self._seal.open(sealed)
                try:
                    if content is not None:
                        pictures[one.node] = msgspec.msgpack.decode(content, type=Picture)
                except msgspec.DecodeError:
                    continue  # of a node of another version
        self._known, self.pictures = known, pictures
