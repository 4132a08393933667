"""Impact Dialing: every minute, try six ratios on what happened lately in a small simulation and keep the best.

Each simulated call draws a recorded attempt: it rings 10 s if it was answered and 15 s if not, an answered one then
talks for its recorded time and wraps up for 5 s; with nobody free it is lost. The ratio with the highest utilisation
whose loss stays under the limit is used for the next minute, times 0.75 while the campaign as a whole is over the
limit. The recordings are drawn by a generator of the rule's own with a fixed seed, so the same events give the same
decisions.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Hashable, Iterator

import numpy as np
from numpy.typing import NDArray

from pacing.contract import AgentState, Outcome
from pacing.ledger import Ledger
from pacing.rule import Proposal, Rule

_EVERY_S = 60.0
_STEPS = 240
_CANDIDATES = 6
_LEAST_BUSY = 5
_LEAST_ATTEMPTS = 50
_ATTEMPTS = 100
_RECENT_S = 1_800.0
_RING_ANSWERED_S, _RING_FAILED_S, _WRAPUP_S = 10, 15, 5
_HIGHEST = 4.0
_SEED = 1


class Impact(Rule):
    """Impact Dialing's simulated ratio.

    Args:
        max_abandonment: Limit on abandonment.
    """

    def __init__(self, *, max_abandonment: float) -> None:
        self._limit = max_abandonment
        self._best = 1.0
        self._next_search = -math.inf
        self._attempts: deque[tuple[float, bool]] = deque(maxlen=_ATTEMPTS)
        self._talks: deque[float] = deque(maxlen=_ATTEMPTS)
        self._answers = self._abandoned = 0
        self._last_started = -math.inf
        self._searches = 0

    def on_agent(self, now: float, before: AgentState, after: AgentState, elapsed_s: float) -> None:
        if before is AgentState.TALKING:
            self._talks.append(elapsed_s)

    def on_started(self, now: float, call: Hashable) -> None:
        self._last_started = now

    def on_ended(self, now: float, call: Hashable, ring_s: float, outcome: Outcome) -> None:
        self._attempts.append((now, False))

    def on_answered(self, now: float, call: Hashable, ring_s: float | None) -> None:
        self._attempts.append((now, True))
        self._answers += 1

    def on_abandoned(self, now: float, call: Hashable, waited_s: float) -> None:
        self._abandoned += 1

    def propose(self, now: float, floor: Ledger) -> Proposal:
        if not self._next_search > now >= self._next_search - _EVERY_S:
            self._next_search = now + _EVERY_S
            self._search(now, floor)
        factor = self._best
        if now - self._last_started > 600.0:
            factor = 1.0
        elif self._abandoned > self._limit * max(self._answers, 1):
            factor = max(0.75 * factor, 1.0)
        under_way = floor.ringing + floor.waiting
        calls = int(factor * floor.idle - under_way)
        if calls > _HIGHEST * floor.idle:
            calls = floor.idle - under_way
        return Proposal(dial=max(calls, 0), limit="ratio", reason=f"{factor:.2g} lines for each idle agent")

    def snapshot(self) -> dict[str, object]:
        return {"ratio": self._best}

    def _search(self, now: float, floor: Ledger) -> None:
        recent = [answered for at, answered in self._attempts if now - at <= _RECENT_S]
        answered = sum(recent)
        if floor.talking < _LEAST_BUSY or len(recent) < _LEAST_ATTEMPTS or not answered or not self._talks:
            return
        self._searches += 1
        rng = np.random.default_rng((_SEED, self._searches))
        best, best_busy = 1.0, -1.0
        for step in range(1, _CANDIDATES + 1):
            ratio = min(max(len(recent) / answered * step / _CANDIDATES, 1.0), _HIGHEST)
            busy, lost = self._try(ratio, floor.staffed, recent, rng)
            if lost < self._limit and busy > best_busy:
                best, best_busy = ratio, busy
        self._best = best

    def _try(self, ratio: float, agents: int, recent: list[bool], rng: np.random.Generator) -> tuple[float, float]:
        """Utilisation and loss of a ratio over four simulated minutes, in steps of a second."""
        free, answered, lost, busy_s = agents, 0, 0, 0
        back: dict[int, int] = {}
        resolves: dict[int, int] = {}  # answers due at each second
        fails: dict[int, int] = {}
        ringing = 0
        # Drawn in blocks: a generator is slow one value at a time.
        talks = _endless(np.array([max(int(talk), 1) for talk in self._talks]), rng)
        outcomes = _endless(np.array(recent, dtype=np.int64), rng)
        for second in range(_STEPS):
            free += back.pop(second, 0)
            due = resolves.pop(second, 0)
            ringing -= due + fails.pop(second, 0)
            for _ in range(due):
                answered += 1
                if free == 0:
                    lost += 1
                    continue
                free -= 1
                until = second + next(talks) + _WRAPUP_S
                back[until] = back.get(until, 0) + 1
            for _ in range(max(int(ratio * free) - ringing, 0)):
                ringing += 1
                if next(outcomes):
                    resolves[second + _RING_ANSWERED_S] = resolves.get(second + _RING_ANSWERED_S, 0) + 1
                else:
                    fails[second + _RING_FAILED_S] = fails.get(second + _RING_FAILED_S, 0) + 1
            busy_s += agents - free
        return busy_s / (_STEPS * agents), lost / answered if answered else 0.0


def _endless(values: NDArray[np.int64], rng: np.random.Generator) -> Iterator[int]:
    """Values drawn with replacement, without end."""
    while True:
        yield from values[rng.integers(len(values), size=512)].tolist()
