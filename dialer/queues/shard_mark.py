"""Which shard a Redis is, and by which table it was loaded: kept there, and compared before its gate opens."""

from __future__ import annotations

from typing import Any, Final

from dialer.core.shards import Shards
from dialer.errors import GateNotReady, QueueError
from dialer.queues.connection import AsyncRedis, redis_errors
from dialer.queues.keys import Keys
from dialer.queues.server_check import shut


class ShardMark:
    """That of the own Redis.

    Args:
        client: of it.
        keys: there.
        shards: by which it must have been loaded.
    """

    def __init__(self, client: AsyncRedis, keys: Keys, shards: Shards) -> None:
        self._client: Final = client
        self._keys: Final = keys
        self._shards: Final = shards

    async def set(self) -> None:
        """Before the record is loaded: it is by this table.

        Raises:
            QueueError: the server is another shard's, or out of reach.
        """
        with redis_errors():
            await self._found()
            await self._client.set(self._keys["shard"], self._shards.fingerprint)

    async def check(self) -> None:
        """Before the gate opens.

        Raises:
            GateNotReady: it was loaded by another table, or as the only Redis; its gate is shut now.
            QueueError: the server is another shard's, or out of reach.
        """
        with redis_errors():
            if await self._found() == self._shards.fingerprint:
                return
            generation: Any = await self._client.hget(self._keys["gate"], "generation")
            if generation is not None:
                await shut(self._client, self._keys, generation.decode())
        raise GateNotReady("this Redis was loaded by another table of shards: the record is loaded anew")

    async def _found(self) -> str:
        found: Any = await self._client.get(self._keys["shard"])
        mark = "" if found is None else found.decode()
        if mark and mark.partition(" ")[0] != self._shards.own:
            raise QueueError(
                f"this Redis is that of shard {mark.partition(' ')[0]}, and the settings have it for "
                f"{self._shards.own}: correct redis.shards; or, if it was emptied of all that it had, delete its key "
                f"{self._keys['shard']}",
                retryable=False,
                code="shard_of_another",
                found=mark.partition(" ")[0],
                shard=self._shards.own,
            )
        return mark
