"""How long to wait before the next try to connect: longer after each failure, and never in step with other nodes."""

from __future__ import annotations

from random import Random


class Backoff:
    """Exponential with full jitter: after n failures, anything up to ``min(longest, shortest * 2**n)``."""

    def __init__(self, *, shortest_s: float, longest_s: float, random: Random) -> None:
        self._shortest_s = shortest_s
        self._longest_s = max(shortest_s, longest_s)
        self._random = random
        self._failures = 0

    def reset(self) -> None:
        """A connection has held: begin anew."""
        self._failures = 0

    def failed(self, *, hopeless: bool = False) -> float:
        """Seconds to wait after one more failure; `hopeless`: waiting will not mend it (a wrong secret), so ask seldom.

        Never less than the shortest wait, so that no luck of the draw makes a tight loop. A hopeless failure waits
        two to four times the longest: a server that locks out addresses after failed log-ins must not lock us out.
        """
        if hopeless:
            return self._random.uniform(2.0, 4.0) * self._longest_s
        # Beyond 2**30 of anything the longest wait has been reached.
        reach = min(self._longest_s, self._shortest_s * 2.0 ** min(self._failures, 30))
        self._failures += 1
        return max(self._shortest_s, self._random.uniform(0.0, reach))
