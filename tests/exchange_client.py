"""A plain client of the manager interface for tests of the exchange: no retries, no cleverness."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from types import TracebackType
from typing import Self

from dialer.ami import Action, Decoder, Message, encode_action
from dialer.ami.actions import originate
from tests.patience import PATIENCE_S


class RawClient:
    """One connection. Everything received is kept in `messages`, in order."""

    def __init__(self, port: int, *, username: str = "cadencia", secret: str = "s3cret", events: str = "on") -> None:
        self._port = port
        self._credentials = (username, secret, events)
        self._ids = itertools.count(1)
        self._decoder = Decoder()
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._task: asyncio.Task[None] | None = None
        self._news = asyncio.Event()
        self.messages: list[Message] = []
        self.received = bytearray()
        self.closed = asyncio.Event()

    async def connect(self) -> Self:
        """Open the connection, without logging in."""
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._task = asyncio.create_task(self._read())
        return self

    async def __aenter__(self) -> Self:
        await self.connect()
        username, secret, events = self._credentials
        fields = (("Username", username), ("Secret", secret), ("Events", events))
        response = await self.action(Action("Login", fields))
        assert response.response == "Success", response.pairs
        return self

    async def __aexit__(self, kind: type[BaseException] | None, _: object, __: TracebackType | None) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._writer is not None:
            self._writer.transport.abort()

    async def _read(self) -> None:
        assert self._reader is not None
        try:
            while data := await self._reader.read(65536):
                self.received += data
                self.messages += self._decoder.receive_data(data)
                self._news.set()
        except ConnectionError:
            pass
        finally:
            self.closed.set()
            self._news.set()

    def send(self, action: Action, action_id: str | None = None) -> str:
        """Send an action and do not wait."""
        chosen = action_id or f"t-{next(self._ids)}"
        self.send_bytes(encode_action(action, chosen))
        return chosen

    def send_bytes(self, data: bytes) -> None:
        """Send anything."""
        assert self._writer is not None
        self._writer.write(data)

    async def action(self, action: Action, action_id: str | None = None) -> Message:
        """Send an action; its response."""
        chosen = self.send(action, action_id)
        return await self.wait(lambda m: m.response is not None and m.action_id == chosen)

    async def call(self, number: str, call: str, **options: object) -> Message:
        """Originate a customer's call; the response."""
        timeout_s = options.get("timeout_s", 30.0)
        assert isinstance(timeout_s, float)
        action = originate(
            f"PJSIP/{number}@carrier",
            context=str(options.get("context", "cadencia-wait")),
            exten="s",
            channel_id=call,
            timeout_s=timeout_s,
            caller='"Lab" <5550100>',
            variables={"CADENCIA_CALL": call},
        )
        return await self.action(action, action_id=f"o-{call}")

    async def phone(self, phone: str, room: str) -> Message:
        """Originate an agent's leg and wait until it is in its room."""
        leg = f"agent-{room}"
        action = originate(f"PJSIP/{phone}", context="cadencia-agent", exten=room, channel_id=leg, timeout_s=10.0)
        await self.action(action, action_id=f"o-{leg}")
        return await self.event("ConfbridgeJoin", Uniqueid=leg)

    async def wait(self, wanted: Callable[[Message], bool], timeout_s: float = PATIENCE_S) -> Message:
        """The first message, received already or to come, for which `wanted` is true."""
        seen = 0
        async with asyncio.timeout(timeout_s):
            while True:
                for message in self.messages[seen:]:
                    if wanted(message):
                        return message
                seen = len(self.messages)
                assert not self.closed.is_set(), "the connection was closed"
                self._news.clear()
                await self._news.wait()

    async def event(self, name: str, timeout_s: float = PATIENCE_S, **headers: str) -> Message:
        """The first event of this name with these headers (underscores stand for hyphens)."""
        wanted = {key.replace("_", "-"): value for key, value in headers.items()}
        return await self.wait(
            lambda m: m.event == name and all(m.get(key) == value for key, value in wanted.items()), timeout_s
        )

    def events(self, *names: str) -> list[Message]:
        """Events with one of these names received so far."""
        return [m for m in self.messages if m.event in names]
