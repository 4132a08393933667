"""Results to everybody who listens, without waiting for anybody: who is too slow is cut off."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Final, NamedTuple


class Told(NamedTuple):
    """One result, and its id in the stream of results; empty where it came another way."""

    id: str
    result: Mapping[str, object]


class Listener:
    """One listener's bounded queue. When it is full its content is dropped, and nothing comes any more."""

    def __init__(self, broadcast: Broadcast, capacity: int) -> None:
        self._broadcast: Final = broadcast
        self._capacity: Final = capacity
        self._waiting: Final[deque[Told]] = deque()
        self._wake: Final = asyncio.Event()
        self._dropped = False
        self._closed = False

    @property
    def dropped(self) -> bool:
        """Whether it was cut off."""
        return self._dropped

    def put(self, told: Told) -> None:
        """Add a result, or cut the listener off."""
        if len(self._waiting) >= self._capacity:
            self._dropped = True
            self._waiting.clear()
            self.close()
            return
        self._waiting.append(told)
        self._wake.set()

    async def next(self, timeout_s: float) -> Told | None:
        """The next result; None where none came in time, or where there are none any more."""
        if not self._waiting and not self._closed:
            self._wake.clear()
            try:
                async with asyncio.timeout(timeout_s):
                    await self._wake.wait()
            except TimeoutError:
                return None
        return self._waiting.popleft() if self._waiting else None

    def close(self) -> None:
        """Listen no more."""
        self._closed = True
        self._broadcast.remove(self)
        self._wake.set()


class Broadcast:
    """Hands each published result to every listener, in order. Publishing never waits."""

    def __init__(self, max_listeners: int = 200) -> None:
        self._max_listeners: Final = max_listeners
        self._listeners: Final[dict[Listener, None]] = {}
        self._listened: Final = asyncio.Event()
        self._begun: Final = asyncio.Event()
        self._position = ""

    def __len__(self) -> int:
        return len(self._listeners)

    def publish(self, result: Mapping[str, object], id: str = "") -> None:
        """Give a result to everybody who listens now."""
        told = Told(id, result)
        self._position = id or self._position
        for listener in tuple(self._listeners):
            listener.put(told)

    def begin(self, position: str) -> None:
        """From now on everything behind this place of the stream is published."""
        self._position = position
        self._begun.set()

    @property
    def following(self) -> bool:
        """Whether the stream is being read."""
        return self._begun.is_set()

    def end(self) -> None:
        """Nothing is read any more, since nobody listens: whoever comes now waits for the next `begin`."""
        self._begun.clear()

    async def position(self) -> str:
        """The place of the stream up to which results have been published to whoever listens; waits for the first."""
        await self._begun.wait()
        return self._position

    def subscribe(self, capacity: int) -> Listener | None:
        """Listen from now on; None where too many do."""
        if len(self._listeners) >= self._max_listeners:
            return None
        listener = Listener(self, capacity)
        self._listeners[listener] = None
        self._listened.set()
        return listener

    def remove(self, listener: Listener) -> None:
        """Forget a listener."""
        self._listeners.pop(listener, None)
        if not self._listeners:
            self._listened.clear()

    async def listened(self) -> None:
        """Wait until somebody listens."""
        await self._listened.wait()
