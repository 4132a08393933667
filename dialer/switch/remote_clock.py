"""Asterisk's timestamps in our own time.

Events carry the time at which Asterisk saw them, which is better than when we read them (a burst can wait), but by
another machine's clock. The smallest delay seen of late is taken for the difference between the clocks, as NTP does, so
that what is reported is never later than now and never more than a burst's delay off.
"""

from __future__ import annotations

from typing import Final

#: A difference is believed for this long; two windows overlap, so that clocks that drift apart are followed.
_WINDOW_S: Final = 60.0


class RemoteClock:
    """Learns one server's clock from its events."""

    def __init__(self) -> None:
        self._began_at: float | None = None
        self._now = float("inf")
        self._before = float("inf")

    def local(self, timestamp: str | None, now: float) -> float:
        """When it happened in our time, given the event's ``Timestamp`` header and when it was read."""
        if not timestamp:
            return now
        try:
            remote = float(timestamp)
        except ValueError:
            return now
        delay = now - remote
        # Neither nan nor infinity: those make every comparison below lie.
        if not -1e10 < delay < 1e10:
            return now
        if self._began_at is None or now - self._began_at >= _WINDOW_S:
            self._began_at, self._before, self._now = now, self._now, delay
        self._now = min(self._now, delay)
        return remote + min(self._now, self._before)
