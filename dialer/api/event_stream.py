"""Server-sent events over ASGI, with what a framework's streaming lacks: a limit on how long a client may not read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Final

import msgspec
from litestar.types import Receive, Scope, Send

_HEADERS: Final = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    # Proxies must pass events on as they come.
    (b"x-accel-buffering", b"no"),
]


def event(name: str, data: object, id: str = "") -> bytes:
    """One event. JSON has no line ends outside strings, and inside they are escaped: one data line is enough."""
    number = b"id: %s\n" % id.encode() if id else b""
    return b"%sevent: %s\ndata: %s\n\n" % (number, name.encode(), msgspec.json.encode(data))


COMMENT: Final = b": still here\n\n"


class EventStream:
    """A response that ends when its source does, when the client goes, or when the client stops reading.

    Args:
        source: The bytes to send; closed in every case.
        write_timeout_s: A client that does not take what was sent for so long is hung up on.
    """

    def __init__(self, source: AsyncGenerator[bytes, None], write_timeout_s: float) -> None:
        self._source: Final = source
        self._write_timeout_s: Final = write_timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the end."""
        try:
            async with asyncio.TaskGroup() as tasks:
                writing = tasks.create_task(self._write(send))
                watching = tasks.create_task(_watch(receive, writing))
                writing.add_done_callback(lambda _: watching.cancel())
        finally:
            await self._source.aclose()

    async def _write(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        async for chunk in self._source:
            try:
                async with asyncio.timeout(self._write_timeout_s):
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
            except TimeoutError:
                # Not ended properly, so that the server closes the connection.
                return
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _watch(receive: Receive, writing: asyncio.Task[None]) -> None:
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            writing.cancel()
            return
