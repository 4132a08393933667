"""The results stream, read back for everybody who listens at this node by server-sent events.

Results come from the gate's scripts and from other nodes too, so the stream is the one place that has them all.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from dialer.queues.connection import redis_errors

_log = structlog.get_logger(__name__)

_BLOCK_MS = 1_000
_COUNT = 500
_RETRY_S = 1.0
#: Between two reads: listeners are people's screens, and one read for many results costs what one for each would.
EVERY_S = 0.02


class Audience(Protocol):
    """Those who want to hear results."""

    def __len__(self) -> int:
        """How many they are."""

    async def listened(self) -> None:
        """Wait until there is somebody."""

    def begin(self, position: str) -> None:
        """Tell them where in the stream it begins: they hear all that is behind it."""

    def end(self) -> None:
        """Tell them that nothing is read until somebody listens."""

    def publish(self, result: Mapping[str, object], id: str) -> None:
        """Hand them a result, with its id in the stream."""


class ResultHistory:
    """What the stream of results holds (`dialer.api.result_ports.ResultHistory`)."""

    def __init__(self, client: Redis, stream: str) -> None:
        self._client = client
        self._stream = stream

    async def between(self, after: str, until: str, count: int) -> Sequence[tuple[str, Mapping[str, object]]]:
        """Up to `count` results behind the id `after` and up to `until`, the oldest first.

        Raises:
            QueueError: Redis is out of reach.
        """
        with redis_errors():
            entries: Any = await self._client.xrange(self._stream, min=f"({after}", max=until, count=count)
        # What is no result of ours has an id all the same, from which the next page goes on.
        return [(_text(entry_id), _result(fields) or {}) for entry_id, fields in entries]

    async def oldest(self) -> str | None:
        """The id of the oldest result that is kept.

        Raises:
            QueueError: Redis is out of reach.
        """
        with redis_errors():
            entries: Any = await self._client.xrange(self._stream, count=1)
        return _text(entries[0][0]) if entries else None


async def follow(client: Redis, stream: str, audience: Audience) -> None:
    """Hand results to `audience`, until cancelled; what comes while Redis is away is missed here.

    Nothing is read while nobody listens; who comes then hears what is written from that moment on.
    """
    last: bytes | str | None = None
    while True:
        if not len(audience):
            # Only here: somebody who leaves and comes back during a read finds that it goes on.
            audience.end()
            await audience.listened()
            last = None
        try:
            if last is None:
                newest: Any = await client.xrevrange(stream, count=1)
                last = newest[0][0] if newest else "0-0"
                audience.begin(_text(last))
            answer: Any = await client.xread({stream: last}, count=_COUNT, block=_BLOCK_MS)
        except (RedisError, OSError) as error:
            _log.warning("results are not being followed", error=str(error))
            await asyncio.sleep(_RETRY_S)
            continue
        for _, entries in answer or ():
            for entry_id, fields in entries:
                last = entry_id
                result = _result(fields)
                if result is not None:
                    audience.publish(result, _text(entry_id))
        await asyncio.sleep(EVERY_S)


def _result(fields: Any) -> dict[str, Any] | None:
    """The result that an entry holds; None where somebody else wrote to our stream."""
    try:
        result = json.loads((fields or {})[b"data"])
    except (KeyError, ValueError):
        return None
    return result if isinstance(result, dict) else None


def _text(entry_id: bytes | str) -> str:
    return entry_id.decode() if isinstance(entry_id, bytes) else entry_id
