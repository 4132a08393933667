"""Writes to the queues on their way: in order, in batches, kept and tried again while Redis is out of reach.

Bounded: over `soft_limit` the node starts no more calls (`full`), so that what is under way can still be recorded; the
calls under way are bounded themselves, and so is what they add.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Sequence

import structlog

from dialer.errors import QueueError
from dialer.queues.port import Queues, Write
from dialer.runtime.written import Written

_log = structlog.get_logger(__name__)

_BATCH = 500
#: How long the first write waits for company: one round trip for some, not one for each. Nobody waits for these: what
#: keeps a call from being made twice is written by the gate itself.
_LINGER_S = 0.05
_RETRY_S = 0.25
_RETRY_MAX_S = 5.0


class Outbox:
    """A queue of writes with one writer."""

    def __init__(self, queues: Queues, soft_limit: int = 20_000) -> None:
        self._queues = queues
        self._soft_limit = soft_limit
        self._waiting: deque[Write] = deque()
        self._wake = asyncio.Event()
        self._hurry = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._flushing = False
        self._progress = Written()

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def full(self) -> bool:
        """Whether no call may be started until some of this is written."""
        return len(self._waiting) >= self._soft_limit

    def put(self, writes: Sequence[Write], *, urgent: bool = False) -> None:
        """Add writes behind those that wait; with `urgent` all of them are written at once."""
        if writes:
            self._waiting.extend(writes)
            self._progress.put(len(writes))
            self._idle.clear()
            self._wake.set()
            if urgent:
                self._hurry.set()

    async def run(self) -> None:
        """Write until cancelled."""
        delay_s = _RETRY_S
        while True:
            await self._wake.wait()
            if len(self._waiting) < _BATCH and not self._flushing:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_LINGER_S):
                        await self._hurry.wait()
            self._hurry.clear()
            batch = [self._waiting[i] for i in range(min(_BATCH, len(self._waiting)))]
            if not batch:
                self._wake.clear()
                self._idle.set()
                continue
            try:
                await self._queues.write(batch)
            except QueueError as error:
                _log.warning("queue write failed, kept and tried again", waiting=len(self._waiting), error=str(error))
                await asyncio.sleep(delay_s)
                delay_s = min(delay_s * 2, _RETRY_MAX_S)
                continue
            delay_s = _RETRY_S
            for _ in batch:
                self._waiting.popleft()
            self._progress.wrote(len(batch))

    async def written(self) -> None:
        """Wait until what has been put so far is written, which is done at once."""
        self._hurry.set()
        await self._progress.wait()

    async def flush(self, timeout_s: float) -> bool:
        """Wait until all is written; False when `timeout_s` passed first."""
        self._flushing = True
        try:
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()
        except TimeoutError:
            return False
        finally:
            self._flushing = False
        return True
