"""A proxy for TCP that can be slow, silent, deaf, or cut off in the middle of a message.

It stands between the nodes and what they talk to, on an event loop of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import threading
from dataclasses import dataclass
from typing import Final, Self

_CHUNK: Final = 65_536
_BLANK_LINE: Final = b"\r\n\r\n"
_EVENT: Final = b"Event: "
#: An event with the id of an action is a row of the list that was asked for, which comes in order; but for this one.
_ANSWERS: Final = b"\r\nActionID: "
_RESULT: Final = b"Event: OriginateResponse\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Disturbance:
    """What becomes of the events that Asterisk sends, while its answers come as they are."""

    #: Every n-th event comes twice; 0: none.
    duplicate_every: int
    #: Each comes up to so much late, so that their order is lost.
    late_s: float
    random: random.Random


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
        self._disturbance: Disturbance | None = None
        #: Events that have been disturbed so far.
        self.disturbed = 0
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

    def disturb(self, disturbance: Disturbance | None) -> None:
        """Disturb the events of AMI from now on; None: no more."""
        self._disturbance = disturbance

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
            # Cancelled at the end, which asyncio's streams would report as an error of theirs.
            with contextlib.suppress(OSError, asyncio.CancelledError):
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
        begun = b""
        while data := await reader.read(_CHUNK):
            if self._delay_s:
                await asyncio.sleep(self._delay_s)
            await self._passing.wait()
            if heard and (self._disturbance is not None or begun):
                data, begun = self._disturb(begun + data, writer)
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

    def _disturb(self, data: bytes, writer: asyncio.StreamWriter) -> tuple[bytes, bytes]:
        """Let events take their way; what passes on at once, and a message of which the end has not come."""
        disturbance = self._disturbance
        if disturbance is None:
            return data, b""
        *whole, begun = data.split(_BLANK_LINE)
        at_once = []
        for block in whole:
            message = block + _BLANK_LINE
            if not message.startswith(_EVENT) or (_ANSWERS in message and not message.startswith(_RESULT)):
                at_once.append(message)
                continue
            self.disturbed += 1
            every = disturbance.duplicate_every
            for _ in range(2 if every and self.disturbed % every == 0 else 1):
                self._loop.call_later(disturbance.random.uniform(0.0, disturbance.late_s), _write, writer, message)
        if begun[: len(_EVENT)] != _EVENT[: len(begun)]:
            # a greeting, which has no blank line behind it, or the half of an answer
            at_once.append(begun)
            begun = b""
        return b"".join(at_once), begun


def _write(writer: asyncio.StreamWriter, message: bytes) -> None:
    if not writer.is_closing():
        writer.write(message)
