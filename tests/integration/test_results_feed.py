"""The results stream on a real server, read back for listeners who come and go."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from dialer.api.broadcast import Broadcast
from dialer.queues.connection import AsyncRedis
from dialer.runtime import results_feed
from tests.patience import PATIENCE_S

STREAM = "test:results"


async def write(valkey: AsyncRedis, number: int) -> str:
    id: Any = await valkey.xadd(STREAM, {"data": json.dumps({"type": "call.ended", "call": f"k{number}"})})
    return str(id.decode())


async def test_who_leaves_and_comes_back_at_once_learns_where_the_stream_is(valkey: AsyncRedis) -> None:
    """As a browser does whose connection was cut: the reading has not noticed that nobody listened for a moment."""
    audience = Broadcast()
    following = asyncio.ensure_future(results_feed.follow(valkey, STREAM, audience))
    try:
        async with asyncio.timeout(PATIENCE_S):
            first = audience.subscribe(10)
            assert first is not None
            assert await audience.position() == "0-0"
            id = await write(valkey, 1)
            heard = await first.next(PATIENCE_S)
            assert heard is not None
            assert heard.id == id
            for _ in range(3):
                first.close()
                first = audience.subscribe(10)
                assert first is not None
                assert await audience.position() == id
    finally:
        following.cancel()


async def test_who_comes_after_a_while_begins_with_what_is_new(valkey: AsyncRedis) -> None:
    audience = Broadcast()
    following = asyncio.ensure_future(results_feed.follow(valkey, STREAM, audience))
    try:
        async with asyncio.timeout(PATIENCE_S):
            listener = audience.subscribe(10)
            assert listener is not None
            await audience.position()
            listener.close()
            await write(valkey, 1)  # ends the reading, which finds nobody
            while audience.following:  # noqa: ASYNC110 - nobody is told of it
                await asyncio.sleep(0.01)
            missed = await write(valkey, 2)
            listener = audience.subscribe(10)
            assert listener is not None
            assert await audience.position() == missed
            id = await write(valkey, 3)
            heard = await listener.next(PATIENCE_S)
            assert heard is not None
            assert (heard.id, heard.result["call"]) == (id, "k3")
    finally:
        following.cancel()
