"""A proxy for TCP that can be slow, silent, deaf, or cut off in the middle of a message.

It stands between the nodes and what they talk to, on an event loop of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from typing import Final, Self

_CHUNK: Final = 65_536


class FaultyProxy:
    """Passes bytes on between whoever connects and one server; use as a context.

    Args:
        host: of the server; a path is that of a folder with its unix socket, as PostgreSQL has it.
        port: of the server.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._passing = asyncio.Event()
        self._delay_s = 0.0
        self._cut_after: int | None = None
        self._refusing = False
        self.port = 0
        #: Connections accepted so far.
        self.accepted = 0

    def __enter__(self) -> Self:
        self._thread.start()
        self._run(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    # ---- faults

    def delay(self, seconds: float) -> None:
        """Every piece, either way, comes this much later, in order; 0: at once."""
        self._delay_s = seconds

    def stall(self) -> None:
        """Pass nothing on, either way, from now on; connections are accepted."""
        self._loop.call_soon_threadsafe(self._passing.clear)

    def resume(self) -> None:
        """Pass on what was held back, and all that comes."""
        self._loop.call_soon_threadsafe(self._passing.set)

    def cut(self) -> None:
        """Reset every connection now."""
        self._loop.call_soon_threadsafe(self._abort_all)

    def cut_in(self, size: int) -> None:
        """Reset every connection after so many more bytes of the server: in the middle of what it says."""
        self._cut_after = size

    def refuse(self) -> None:
        """Reset every connection now and each that comes, until `accept`."""
        self._refusing = True
        self.cut()

    def accept(self) -> None:
        """Take connections again."""
        self._refusing = False

    # ---- inside

    def _run(self, work: object) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)  # type: ignore[arg-type]

    async def _start(self) -> None:
        self._passing.set()
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _stop(self) -> None:
        assert self._server is not None
        self._server.close()
        self._abort_all()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _abort_all(self) -> None:
        for writer in [*self._open]:
            writer.transport.abort()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._open.add(writer)
        try:
            if self._refusing:
                return
            with contextlib.suppress(OSError):
                await self._both_ways(reader, writer)
        finally:
            self._open.discard(writer)
            self._tasks.discard(task)
            writer.transport.abort()

    async def _both_ways(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, port = self._target
        if host.startswith("/"):
            upstream = await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
        else:
            upstream = await asyncio.open_connection(host, port)
        self._open.add(upstream[1])
        for end in (writer, upstream[1]):
            raw = end.get_extra_info("socket")
            if raw.family != socket.AF_UNIX:
                raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        ways = [
            asyncio.ensure_future(self._pass_on(reader, upstream[1], heard=False)),
            asyncio.ensure_future(self._pass_on(upstream[0], writer, heard=True)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            self._open.discard(upstream[1])
            upstream[1].transport.abort()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, heard: bool) -> None:
        """One way; `heard`: from the server."""
        while data := await reader.read(_CHUNK):
            if self._delay_s:
                await asyncio.sleep(self._delay_s)
            await self._passing.wait()
            if heard and self._cut_after is not None:
                self._cut_after -= len(data)
                if self._cut_after <= 0:
                    writer.write(data[: len(data) + self._cut_after])
                    self._cut_after = None
                    await writer.drain()
                    # What was written leaves before the connection does.
                    await asyncio.sleep(0.01)
                    self._abort_all()
                    return
            writer.write(data)
            await writer.drain()
