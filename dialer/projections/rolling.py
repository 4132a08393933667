"""Sums over a sliding window, in constant memory."""

from __future__ import annotations

from typing import Final


class RollingSums:
    """Integer sums of a few columns over the last ``bucket_s * buckets`` seconds.

    Exact to one bucket: the window begins at the start of the oldest bucket. Values may arrive late (they go where they
    belong while that bucket is in the window) and `now` may step back (the window then stays where it is).
    Integers, so that what is added and later taken off leaves exactly nothing.
    """

    __slots__ = ("_bucket_s", "_latest", "_rows", "_totals")

    def __init__(self, *, bucket_s: float, buckets: int, columns: int) -> None:
        if bucket_s <= 0 or buckets < 1 or columns < 1:
            raise ValueError("a window needs a positive bucket length, at least one bucket and one column")
        self._bucket_s: Final = bucket_s
        self._rows: Final = [[0] * columns for _ in range(buckets)]
        self._totals: Final = [0] * columns
        self._latest: int | None = None

    @property
    def bucket_s(self) -> float:
        """Length of one bucket in seconds."""
        return self._bucket_s

    def add(self, at: float, *values: int) -> None:
        """Add `values`, one for each column, at the time `at`; what is older than the window is left out."""
        bucket = int(at // self._bucket_s)
        self._advance(bucket)
        assert self._latest is not None
        if bucket <= self._latest - len(self._rows):
            return
        row = self._rows[bucket % len(self._rows)]
        for i, value in enumerate(values):
            row[i] += value
            self._totals[i] += value

    def totals(self, now: float) -> tuple[int, ...]:
        """The sums over the window that ends at `now`."""
        self._advance(int(now // self._bucket_s))
        return tuple(self._totals)

    def rows(self, now: float) -> list[tuple[float, tuple[int, ...]]]:
        """Every bucket of the window that ends at `now` which holds something, oldest first: its end, its sums."""
        self._advance(int(now // self._bucket_s))
        assert self._latest is not None
        oldest = self._latest - len(self._rows) + 1
        return [
            ((bucket + 1) * self._bucket_s, tuple(row))
            for bucket in range(oldest, self._latest + 1)
            if any(row := self._rows[bucket % len(self._rows)])
        ]

    def _advance(self, bucket: int) -> None:
        if self._latest is None:
            self._latest = bucket
            return
        for passed in range(min(bucket - self._latest, len(self._rows))):
            row = self._rows[(bucket - passed) % len(self._rows)]
            for i, value in enumerate(row):
                self._totals[i] -= value
                row[i] = 0
        self._latest = max(self._latest, bucket)
