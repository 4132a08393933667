"""How much each of many may still do: a bucket for each, that fills again by itself; of one node, or shared by all."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, Protocol

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


class Guesses(Protocol):
    """Wrong keys or passwords that one owner, such as an address, may still try. Times are the caller's, in seconds."""

    async def wait_s(self, owner: str, now: float) -> float:
        """Seconds until there is something to take; 0: now."""

    async def take(self, owner: str, now: float) -> None:
        """Take one; what was taken too much is waited for."""

    async def take_unless_empty(self, owner: str, now: float) -> float:
        """Take one if there is one: 0; else nothing is taken, and these are the seconds until there is one."""

    async def give_back(self, owner: str, now: float) -> None:
        """One was taken that need not have been."""


class GuessLimits(Protocol):
    """Where guesses of all kinds are counted."""

    def of(self, kind: str, in_a_row: float, per_s: float) -> Guesses:
        """Those of one kind: so many at once, and so many more each second."""


class OwnGuesses:
    """`Guesses` of this node alone."""

    def __init__(self, in_a_row: float, per_s: float) -> None:
        self._allowance: Final = Allowance(in_a_row, per_s)

    async def wait_s(self, owner: str, now: float) -> float:
        """See `Guesses`."""
        return self._allowance.wait_s(owner, now)

    async def take(self, owner: str, now: float) -> None:
        """See `Guesses`."""
        self._allowance.take(owner, now)

    async def take_unless_empty(self, owner: str, now: float) -> float:
        """See `Guesses`."""
        wait_s = self._allowance.wait_s(owner, now)
        if wait_s == 0.0:
            self._allowance.take(owner, now)
        return wait_s

    async def give_back(self, owner: str, now: float) -> None:
        """See `Guesses`."""
        self._allowance.give_back(owner, now)


class OwnLimits:
    """`GuessLimits` of this node alone."""

    def of(self, kind: str, in_a_row: float, per_s: float) -> OwnGuesses:
        """See `GuessLimits`."""
        return OwnGuesses(in_a_row, per_s)
