"""What a node has told in the last minutes: a server that was set back does not have it any more."""

from __future__ import annotations

from collections import deque
from typing import Final

#: A replica is behind by seconds, and so is a file that is written every second.
KEEP_S: Final = 120.0
#: Some 7 MB: half a minute at 600 results a second.
MOST: Final = 20_000


class RecentResults:
    """Results that a server has acknowledged, with the moments of that by the loop's clock; the oldest go first."""

    def __init__(self, keep_s: float = KEEP_S, most: int = MOST) -> None:
        self._keep_s = keep_s
        self._told: deque[tuple[float, bytes]] = deque(maxlen=most)

    def __len__(self) -> int:
        return len(self._told)

    def note(self, data: bytes, at: float) -> None:
        """The server has it."""
        self._told.append((at, data))
        self.forget(at)

    def forget(self, at: float) -> None:
        """Drop what is too old at that moment."""
        while self._told and self._told[0][0] < at - self._keep_s:
            self._told.popleft()

    def all(self, at: float) -> list[tuple[float, bytes]]:
        """What is kept at that moment, the oldest first."""
        self.forget(at)
        return list(self._told)
