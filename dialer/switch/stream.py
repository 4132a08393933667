"""The events of all servers on their way to the engine: in order, bounded, nothing dropped.

When the reader lags, reading from the servers is stopped (Asterisk then buffers, and in the end cuts the connection
off, which is noticed and reconciled); it goes on when the reader has caught up.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Final

from dialer.core.events import SwitchEvent

#: Half a minute of events at 200 calls/s; more behind, and decisions are made about a floor that is no more.
HIGH_WATER: Final = 20_000
LOW_WATER: Final = 5_000


class EventStream:
    """A queue with one reader; `flow` is told False when servers should not be read on, True when they may be."""

    def __init__(self, flow: Callable[[bool], None], *, high: int = HIGH_WATER, low: int = LOW_WATER) -> None:
        self._flow = flow
        self._high, self._low = high, low
        self._events: deque[SwitchEvent] = deque()
        self._arrived = asyncio.Event()
        self._closed = False
        self._paused = False

    def put(self, events: Iterable[SwitchEvent]) -> None:
        """Append; never blocks and never drops, but may stop the reading."""
        self._events.extend(events)
        if self._events:
            self._arrived.set()
        if not self._paused and len(self._events) >= self._high:
            self._paused = True
            self._flow(False)

    def close(self) -> None:
        """No more will come; the reader gets what is there, then the end."""
        self._closed = True
        self._arrived.set()

    def __len__(self) -> int:
        return len(self._events)

    async def read(self) -> AsyncIterator[SwitchEvent]:
        """Events in the order in which they were put."""
        while True:
            while self._events:
                event = self._events.popleft()
                if self._paused and len(self._events) <= self._low:
                    self._paused = False
                    self._flow(True)
                yield event
            if self._closed:
                return
            self._arrived.clear()
            await self._arrived.wait()
