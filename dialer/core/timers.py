"""Deadlines of the engine: a heap with lazy deletion, so that setting one again or cancelling it costs nothing."""

from __future__ import annotations

import heapq
from collections.abc import Iterator

#: What is due, and of which call, agent or campaign.
Deadline = tuple[str, str]


class Timers:
    """At most one deadline for each key; setting a key again moves it."""

    def __init__(self) -> None:
        self._at: dict[Deadline, float] = {}
        self._heap: list[tuple[float, int, Deadline]] = []
        self._sequence = 0

    def __len__(self) -> int:
        return len(self._at)

    def at(self, key: Deadline) -> float | None:
        """When `key` is due; None where it is not set."""
        return self._at.get(key)

    def set(self, key: Deadline, at: float) -> None:
        """Let `key` be due at `at`, and no more at any earlier setting of it."""
        self._at[key] = at
        self._sequence += 1
        heapq.heappush(self._heap, (at, self._sequence, key))
        if len(self._heap) > 64 and len(self._heap) > 4 * len(self._at):
            self._rebuild()

    def cancel(self, key: Deadline) -> None:
        """Forget `key`; an unknown one is no error."""
        self._at.pop(key, None)

    def next_at(self) -> float | None:
        """When the next key is due."""
        while self._heap:
            at, _, key = self._heap[0]
            if self._at.get(key) == at:
                return at
            heapq.heappop(self._heap)
        return None

    def due(self, now: float) -> Iterator[Deadline]:
        """Take out every key that is due by `now`, earliest first, with those that become due meanwhile."""
        while (at := self.next_at()) is not None and at <= now:
            _, _, key = heapq.heappop(self._heap)
            del self._at[key]
            yield key

    def _rebuild(self) -> None:
        kept = sorted((at, number, key) for at, number, key in self._heap if self._at.get(key) == at)
        self._heap = kept
