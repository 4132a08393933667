"""Start times of things that are going on, by id, as one contiguous array."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


class OpenIntervals:
    """Ids with the moment each began and a mark; constant time per change, and all moments as one array for numpy.

    The last entry moves into the place of a removed one, so the arrays never have holes.
    """

    __slots__ = ("_ids", "_marks", "_places", "_since")

    def __init__(self) -> None:
        self._since: FloatArray = np.empty(16, dtype=np.float64)
        self._marks: IntArray = np.zeros(16, dtype=np.int64)
        self._ids: list[Hashable] = []
        self._places: dict[Hashable, int] = {}

    def __len__(self) -> int:
        return len(self._ids)

    def __contains__(self, key: Hashable) -> bool:
        return key in self._places

    def begin(self, key: Hashable, since: float, mark: int = 0) -> None:
        """Add an id that is not there yet."""
        place = len(self._ids)
        if place == len(self._since):
            self._since = np.concatenate([self._since, np.empty(place, dtype=np.float64)])
            self._marks = np.concatenate([self._marks, np.zeros(place, dtype=np.int64)])
        self._since[place] = since
        self._marks[place] = mark
        self._ids.append(key)
        self._places[key] = place

    def end(self, key: Hashable) -> float | None:
        """Remove an id; the moment it began, or None if it is not there."""
        place = self._places.pop(key, None)
        if place is None:
            return None
        since = float(self._since[place])
        last = self._ids.pop()
        if last is not key and place < len(self._ids):
            self._ids[place] = last
            self._since[place] = self._since[len(self._ids)]
            self._marks[place] = self._marks[len(self._ids)]
            self._places[last] = place
        return since

    def ages(self, now: float) -> FloatArray:
        """Seconds since each began, never negative."""
        return np.maximum(now - self._since[: len(self._ids)], 0.0)

    def marks(self) -> IntArray:
        """The mark of each, in the order of `ages`; valid until the next change."""
        return self._marks[: len(self._ids)]

    def older_than(self, now: float, age_s: float) -> list[Hashable]:
        """Ids that began more than `age_s` ago."""
        if not self._ids:
            return []
        late = np.flatnonzero(now - self._since[: len(self._ids)] > age_s)
        return [self._ids[place] for place in late]

    def oldest(self) -> Hashable:
        """The id that began first; there must be one."""
        return self._ids[int(np.argmin(self._since[: len(self._ids)]))]
