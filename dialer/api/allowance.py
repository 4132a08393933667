"""How much each of many may still do: a bucket for each, that fills again by itself."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

_MOST_OWNERS: Final = 10_000


class Allowance:
    """A bucket for each address, name or key, for those that came last.

    Args:
        in_a_row: what may be taken at once.
        per_s: how much comes back each second.
    """

    def __init__(self, in_a_row: float, per_s: float) -> None:
        self._most: Final = in_a_row
        self._per_s: Final = per_s
        self._left: Final[OrderedDict[str, tuple[float, float]]] = OrderedDict()

    def wait_s(self, owner: str, now: float) -> float:
        """Seconds until there is something to take; 0: now."""
        left = self._now(owner, now)
        return 0.0 if left >= 1.0 else (1.0 - left) / self._per_s

    def take(self, owner: str, now: float) -> None:
        """Take one; what was taken too much is waited for."""
        self._left[owner] = (self._now(owner, now) - 1.0, now)
        self._left.move_to_end(owner)
        while len(self._left) > _MOST_OWNERS:
            self._left.popitem(last=False)

    def give_back(self, owner: str, now: float) -> None:
        """One was taken that need not have been."""
        if owner in self._left:
            self._left[owner] = (min(self._most, self._now(owner, now) + 1.0), now)

    def _now(self, owner: str, now: float) -> float:
        left, at = self._left.get(owner, (self._most, now))
        return min(self._most, left + max(0.0, now - at) * self._per_s)
