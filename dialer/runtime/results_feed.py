"""The results stream, read back for everybody who listens at this node by server-sent events.

Results come from the gate's scripts and from other nodes too, so the stream is the one place that has them all.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any, Protocol

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

_log = structlog.get_logger(__name__)

_BLOCK_MS = 1_000
_COUNT = 500
_RETRY_S = 1.0
#: Between two reads: listeners are people's screens, and one read for many results costs what one for each would.
EVERY_S = 0.05


class Audience(Protocol):
    """Those who want to hear results."""

    def __len__(self) -> int:
        """How many they are."""

    async def listened(self) -> None:
        """Wait until there is somebody."""

    def publish(self, result: Mapping[str, object]) -> None:
        """Hand them a result."""


async def follow(client: Redis, stream: str, audience: Audience) -> None:
    """Hand results to `audience`, until cancelled; what comes while Redis is away is missed here.

    Nothing is read while nobody listens; who comes then hears what is written from that moment on.
    """
    last: bytes | str | None = None
    while True:
        if not len(audience):
            await audience.listened()
            last = None
        try:
            if last is None:
                newest: Any = await client.xrevrange(stream, count=1)
                last = newest[0][0] if newest else "0-0"
            answer: Any = await client.xread({stream: last}, count=_COUNT, block=_BLOCK_MS)
        except (RedisError, OSError) as error:
            _log.warning("results are not being followed", error=str(error))
            await asyncio.sleep(_RETRY_S)
            continue
        for _, entries in answer or ():
            for entry_id, fields in entries:
                last = entry_id
                try:
                    result = json.loads((fields or {})[b"data"])
                except (KeyError, ValueError):
                    continue  # somebody else wrote to our stream
                if isinstance(result, dict):
                    audience.publish(result)
        await asyncio.sleep(EVERY_S)
