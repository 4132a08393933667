"""How far a queue of writes has come, for those who must not go on before theirs are written."""

from __future__ import annotations

import asyncio
from collections import deque


class Written:
    """Counts what was put into a queue that is written in its order, and what of it is written."""

    def __init__(self) -> None:
        self._put = 0
        self._written = 0
        #: How much must be written, and who waits for it; in order.
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    def put(self, count: int) -> None:
        """So many more wait to be written."""
        self._put += count

    def wrote(self, count: int) -> None:
        """So many are written, the oldest."""
        self._written += count
        while self._waiting and self._waiting[0][0] <= self._written:
            done = self._waiting.popleft()[1]
            if not done.done():
                done.set_result(None)

    async def wait(self) -> None:
        """Until all that has been put so far is written."""
        if self._written < self._put:
            done = asyncio.get_running_loop().create_future()
            self._waiting.append((self._put, done))
            await done
