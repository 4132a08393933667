"""When the shifts of agents end, and whose end is near."""

from __future__ import annotations

import math
from collections.abc import Hashable

# Whoever is idle so long after the end of the shift stays on.
_STAYS_AFTER_S = 60.0


class ShiftEnds:
    """The announced end of each agent's shift; looking costs nothing while none is near.

    Args:
        most: Ends kept at a time; further ones are not taken.
    """

    __slots__ = ("_coming", "_most", "_next", "_passing")

    def __init__(self, most: int) -> None:
        self._most = most
        # Ends to come, and those that are near or past, by agent.
        self._coming: dict[Hashable, float] = {}
        self._passing: dict[Hashable, float] = {}
        self._next = math.inf

    def tell(self, agent: Hashable, at: float, now: float) -> bool:
        """The agent's shift ends at this moment; False where it is past, known already, or one too many."""
        known = self._coming.get(agent, self._passing.get(agent))
        if at == known or at <= now or (known is None and len(self._coming) + len(self._passing) >= self._most):
            return False
        self._passing.pop(agent, None)
        self._coming[agent] = at
        self._next = min(self._next, at)
        return True

    def forget(self, agent: Hashable) -> bool:
        """Nothing is known of the agent's shift any more; False where nothing was."""
        coming = self._coming.pop(agent, None)
        return self._passing.pop(agent, coming) is not None

    def over(self, agent: Hashable, now: float) -> bool:
        """Whether the agent's shift is known to have ended."""
        return self._passing.get(agent, math.inf) <= now

    def soon_over(self, by: float) -> list[Hashable]:
        """Agents whose shift ends by this moment; each is named once."""
        if by < self._next:
            return []
        soon = [agent for agent, at in self._coming.items() if at <= by]
        for agent in soon:
            self._passing[agent] = self._coming.pop(agent)
        self._next = min(self._coming.values(), default=math.inf)
        return soon

    def long_over(self, now: float) -> list[Hashable]:
        """Agents whose shift ended a while ago, until they are forgotten."""
        return [agent for agent, at in self._passing.items() if at + _STAYS_AFTER_S <= now]
