"""A real Redis-compatible server for tests: one a module, emptied before each test."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from dialer.queues.connection import AsyncRedis, connect
from dialer.queues.embedded import EmbeddedServer


@pytest.fixture(scope="module")
def valkey_server() -> Iterator[EmbeddedServer]:
    """A server that is shared by the tests of a module; do not kill it."""
    home = Path(tempfile.mkdtemp(prefix="cadencia-redis-"))
    try:
        with EmbeddedServer(home, fsync="no", persistent=False) as server:
            yield server
    finally:
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def own_valkey() -> Iterator[EmbeddedServer]:
    """A server of the test's own, with an append-only file: it may be killed and started again."""
    home = Path(tempfile.mkdtemp(prefix="cadencia-redis-"))
    server = EmbeddedServer(home, fsync="always")
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
async def valkey(valkey_server: EmbeddedServer) -> AsyncIterator[AsyncRedis]:
    """A client of the shared server, empty."""
    client = connect(valkey_server.url, name="test")
    await client.execute_command("CLIENT", "UNPAUSE")  # type: ignore[no-untyped-call]  # redis-py
    await client.flushall()
    yield client
    await client.aclose()
