"""The one place that reads a clock.

Wall time anchored once, plus monotonic time since: it never goes back, whatever somebody does to the system's clock.
A jump of the system's clock is noticed by `drift_s`, and reported, not followed: calling hours and evidence must not
move in the middle of a call.
"""

from __future__ import annotations

import time


class Clock:
    """Unix seconds, never decreasing."""

    def __init__(self) -> None:
        self._wall = time.time()
        self._mono = time.monotonic()

    def now(self) -> float:
        """Unix seconds."""
        return self._wall + (time.monotonic() - self._mono)

    def drift_s(self) -> float:
        """How far the system's clock has moved away from ours: positive where it is ahead."""
        return time.time() - self.now()
