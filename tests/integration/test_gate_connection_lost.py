"""A connection to Redis that ends while nobody looks: the next request finds Redis out of reach, on any loop.

Run on the loop that nodes run on: there a write to a connection that was lost raises RuntimeError.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from redis import exceptions

from dialer.queues.connection import AsyncRedis, connect
from dialer.queues.embedded import EmbeddedServer
from dialer.queues.pausing import PausingConnection
from dialer.runtime.event_loop import run
from tests.runtime_floor import eventually

TURN = "cadencia:gate:turn"
RESERVE = f"return {{0, redis.call('INCR', '{TURN}')}}"
OVERTAKEN = f"return {{0, redis.call('INCR', '{TURN}') - 1}}"

Lose = Callable[[], Awaitable[None]]


@asynccontextmanager
async def _clients(server: EmbeddedServer) -> AsyncIterator[tuple[AsyncRedis, AsyncRedis, Lose]]:
    """The client that is cut off, another one, and what cuts it off."""
    ours, other = connect(server.url, name="ours"), connect(server.url, name="other")

    async def lose() -> None:
        for row in await other.client_list():
            if row["name"] == "ours":
                await other.client_kill_filter(_id=row["id"])
        writers = [one._writer for one in ours.connection_pool._in_use_connections if one._writer is not None]
        for writer in writers:
            # As one that ended a pause and did not wait for the answer: what comes after the end breaks it.
            writer.write(b"*1\r\n$4\r\nPING\r\n")
        await eventually(lambda: all(writer.is_closing() for writer in writers), "the loss")
        await asyncio.sleep(0.01)  # what follows in the loop: a transport that is closing is closed

    try:
        yield ours, other, lose
    finally:
        await ours.aclose()
        await other.aclose()


def test_the_gate_finds_redis_out_of_reach_and_connects_again(valkey_server: EmbeddedServer) -> None:
    async def scene() -> None:
        async with _clients(valkey_server) as (ours, other, lose):
            reserve, overtaken = [await other.script_load(text) for text in (RESERVE, OVERTAKEN)]
            gate = PausingConnection(ours, TURN)
            try:
                first = (await gate.run_and_pause(reserve, (), 10))[1]
                await gate.unpause()
                await lose()
                with pytest.raises(OSError, match="closed by the server"):
                    await gate.run_and_pause(reserve, (), 10)
                # Nothing had reached the server.
                assert (await gate.run_and_pause(reserve, (), 10))[1] == first + 1
                await lose()
                await gate.unpause()  # never raises
                assert (await gate.run_and_pause(overtaken, (), 10))[1] == first + 1
                await lose()
                with pytest.raises(OSError, match="closed by the server"):
                    await gate.run(reserve, ())
                assert (await gate.run(reserve, ()))[1] == first + 3
            finally:
                await gate.close()

    run(scene())


def test_another_request_finds_it_out_of_reach(valkey_server: EmbeddedServer) -> None:
    async def scene() -> None:
        async with _clients(valkey_server) as (ours, _, lose):
            # As a request holds it between its look at the connection and its first byte.
            connection = await ours.connection_pool.get_connection()  # type: ignore[no-untyped-call]  # redis-py
            try:
                await connection.send_command("PING")
                assert await connection.read_response() == b"PONG"
                await lose()
                with pytest.raises(exceptions.ConnectionError, match="closed by the server"):
                    await connection.send_command("PING")
            finally:
                await ours.connection_pool.release(connection)
            assert await ours.ping()

    run(scene())
