"""The way out for spans: they wait in a bounded queue, and a thread sends them, so that no collector holds a call up.

What finds the queue full, or cannot be sent, is counted and gone: a trace is worth less than what it is of.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import structlog

from dialer.tracing.spans import Span

_log = structlog.get_logger(__name__)

#: Spans that wait at most, about a kilobyte each: ten seconds of a node that makes 200 traced calls a second.
LIMIT: Final = 20_000
_AT_ONCE: Final = 512
#: What is sent together has gathered for so long.
_LINGER_S: Final = 1.0
_RETRY_S: Final = 1.0
_RETRY_MAX_S: Final = 30.0

#: What became of spans, as in the metric's label.
EXPORTED: Final = "exported"
#: The queue was full.
OVERFLOW: Final = "overflow"
#: The collector did not take them.
FAILED: Final = "failed"


class Sender(Protocol):
    """Speaks to a collector (`dialer.tracing.otlp.OtlpSender`)."""

    def send(self, spans: Sequence[Span]) -> bool:
        """Send spans, within the time that the settings allow; whether the collector took them."""

    def close(self) -> None:
        """Send no more, and end what is being sent as soon as may be."""


class Outlet:
    """Sends spans.

    Args:
        sender: speaks to the collector, in the outlet's thread alone but for `close`.
        count: told what became of how many spans, from any thread.
        limit: of spans that wait.
        linger_s: for so long spans gather.
    """

    def __init__(
        self, sender: Sender, count: Callable[[str, int], None], *, limit: int = LIMIT, linger_s: float = _LINGER_S
    ) -> None:
        self._sender: Final = sender
        self._count: Final = count
        self._limit: Final = limit
        self._linger_s: Final = linger_s
        self._waiting: Final[deque[Span]] = deque()
        self._some: Final = threading.Event()
        self._closing: Final = threading.Event()
        # A daemon: a collector that hangs must not hold up the end of the process.
        self._thread: Final = threading.Thread(target=self._run, name="traces", daemon=True)
        self._thread.start()

    def __len__(self) -> int:
        """How many spans wait."""
        return len(self._waiting)

    def put(self, span: Span) -> None:
        """Take a span; never waits and never fails."""
        if len(self._waiting) >= self._limit or self._closing.is_set():
            self._count(OVERFLOW, 1)
            return
        self._waiting.append(span)
        if not self._some.is_set():
            self._some.set()

    def close(self, timeout_s: float) -> None:
        """Send what waits, for at most so long; blocks."""
        self._closing.set()
        self._some.set()
        self._thread.join(timeout_s)
        self._sender.close()

    # ---- in the thread

    def _run(self) -> None:
        delay_s = 0.0
        while True:
            self._some.wait()
            # Nothing is gained by waiting for more than is sent together.
            self._closing.wait(delay_s or (self._linger_s if len(self._waiting) < _AT_ONCE else 0.0))
            batch = self._next()
            if batch and self._sent(batch):
                if delay_s:
                    _log.info("traces are taken again")
                delay_s = 0.0
            elif batch:
                if not delay_s:
                    _log.warning("the collector of traces does not take them; what it misses is counted and lost")
                delay_s = min(max(_RETRY_S, 2 * delay_s), _RETRY_MAX_S)
                if self._closing.is_set():
                    self._lose()
            if not self._waiting:
                self._some.clear()
                if self._closing.is_set():
                    return
                if self._waiting:  # came in between
                    self._some.set()

    def _next(self) -> list[Span]:
        # Nobody else takes any out.
        return [self._waiting.popleft() for _ in range(min(_AT_ONCE, len(self._waiting)))]

    def _sent(self, batch: Sequence[Span]) -> bool:
        try:
            taken = self._sender.send(batch)
        except Exception:
            # Whatever it is, the next batch may be without it, and the calls go on.
            _log.exception("traces could not be sent")
            taken = False
        self._count(EXPORTED if taken else FAILED, len(batch))
        return taken

    def _lose(self) -> None:
        """The process ends, and the collector is not there."""
        if self._waiting:
            self._count(FAILED, len(self._waiting))
            self._waiting.clear()
