"""TLS before a server that speaks none: for whoever begins with it, or asks for it as PostgreSQL's clients do.

Servers among themselves pass as they are.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from typing import Final

#: How a TLS connection begins (RFC 8446, 5.1: a record of the type handshake).
_HANDSHAKE: Final = b"\x16"
#: What a client of PostgreSQL asks before (SSLRequest), and the answer that it may begin.
_ASKED: Final = bytes.fromhex("0000000804d2162f")
_BEGIN: Final = b"S"


class TlsFront:
    """Listens on a port of this machine, and passes everything on to another or to a unix socket. An async context."""

    def __init__(self, port: int, behind: int | str, chain: str, key: str) -> None:
        self._port = port
        self._behind = behind
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(chain, key)
        self._listener = socket.socket()
        self._tasks: set[asyncio.Task[None]] = set()
        #: Connections by whether they came with TLS.
        self.with_tls = 0
        self.without = 0

    async def __aenter__(self) -> TlsFront:
        self._listener.setblocking(False)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("127.0.0.1", self._port))
        self._listener.listen()
        self._start(self._accept())
        return self

    async def __aexit__(self, *_: object) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._listener.close()

    def _start(self, work: object) -> None:
        task = asyncio.ensure_future(work)  # type: ignore[call-overload]
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            accepted, _ = await loop.sock_accept(self._listener)
            self._start(self._serve(accepted))

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if isinstance(self._behind, str):
            return await asyncio.open_unix_connection(self._behind)
        return await asyncio.open_connection("127.0.0.1", self._behind)

    async def _serve(self, accepted: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        readable = asyncio.Event()
        loop.add_reader(accepted, readable.set)
        try:
            await readable.wait()
        except asyncio.CancelledError:
            accepted.close()
            raise
        finally:
            loop.remove_reader(accepted)
        secure = accepted.recv(1, socket.MSG_PEEK) == _HANDSHAKE
        if accepted.recv(len(_ASKED), socket.MSG_PEEK) == _ASKED:
            accepted.recv(len(_ASKED))
            accepted.send(_BEGIN)
            secure = True
        self.with_tls += secure
        self.without += not secure
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        writers: list[asyncio.StreamWriter] = []
        try:
            # Whoever does not trust us hangs up, and a server that was killed takes nobody.
            with contextlib.suppress(OSError):
                transport, _ = await loop.connect_accepted_socket(
                    lambda: protocol, accepted, ssl=self._context if secure else None
                )
                writers.append(asyncio.StreamWriter(transport, protocol, reader, loop))
                behind, on = await self._open()
                writers.append(on)
                ways = [asyncio.ensure_future(_pass(reader, on)), asyncio.ensure_future(_pass(behind, writers[0]))]
                try:
                    await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for way in ways:
                        way.cancel()
                    await asyncio.gather(*ways, return_exceptions=True)
        finally:
            for writer in writers:
                writer.close()
            for writer in writers:
                with contextlib.suppress(OSError):
                    await writer.wait_closed()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while content := await reader.read(65_536):
        writer.write(content)
        await writer.drain()
