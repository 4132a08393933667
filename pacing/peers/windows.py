"""Counts over the last seconds, and averages that fade, as the known rules use them."""

from __future__ import annotations

from collections import deque


class RecentCount:
    """How many events lie within the last `window_s`.

    Args:
        window_s: Length of the window.
        most: Events kept at most; the oldest go first.
    """

    def __init__(self, window_s: float, most: int = 100_000) -> None:
        self._window_s = window_s
        self._times: deque[float] = deque(maxlen=most)

    def add(self, now: float) -> None:
        """One event now."""
        self._times.append(now)

    def count(self, now: float) -> int:
        """Events within the window."""
        while self._times and now - self._times[0] > self._window_s:
            self._times.popleft()
        return len(self._times)


class Fading:
    """Exponentially weighted mean.

    Args:
        weight: Weight of each new value.
    """

    def __init__(self, weight: float) -> None:
        self._weight = weight
        self.value: float | None = None

    def add(self, value: float) -> None:
        """A new value; the first is taken as it is."""
        self.value = value if self.value is None else (1.0 - self._weight) * self.value + self._weight * value


class Mean:
    """Running mean of everything seen.

    Args:
        initial: The mean before anything is seen.
    """

    def __init__(self, initial: float) -> None:
        self.value = initial
        self.seen = 0

    def add(self, value: float) -> None:
        """A new value."""
        self.seen += 1
        self.value = value if self.seen == 1 else self.value + (value - self.value) / self.seen
