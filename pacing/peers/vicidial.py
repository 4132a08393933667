"""VICIdial: a number of lines per agent, free or in a call, corrected every fifteen seconds.

Behaviour as in `AST_VDauto_dial` (calls out of the level) and `AST_VDadapt` (the level), 2024: the level multiplies
agents that are ready or in a call, calls in progress count against it, connected ones included, so level 1 is
progressive. The adaptive methods raise or lower the level by the agents waiting less the calls waiting, averaged over
fifteen samples, and
cut it when the abandonment of the day passes the limit: to 1, to half, or by the hours left.

Differences: one server, trunks without limit, no agent list thresholds; an answered call counts at once, where the
original counts it when the agent has closed it; abandoned means here what the law means, not five seconds of waiting.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Hashable
from enum import StrEnum

from pacing.ledger import Ledger
from pacing.peers.windows import RecentCount
from pacing.rule import Proposal, Rule

_CYCLE_S = 2.5
_ADAPT_EVERY_S = 15.0
_SAMPLES = 15
_SECONDS_OF_DAY = 86_400.0


class Limiter(StrEnum):
    """What happens when the day's abandonment passes the limit; `RATIO` never adapts."""

    RATIO = "ratio"
    HARD_LIMIT = "hard_limit"
    AVERAGE = "average"
    TAPERED = "tapered"


class Vicidial(Rule):
    """VICIdial's level.

    Args:
        limiter: The dial method.
        max_abandonment: Limit on abandonment of the day.
        level: First level; the level for good with `Limiter.RATIO`.
        highest: Largest level that the adaptive methods may reach.
        opens_hour: Time of day at second 0 of the pacer's clock, for `Limiter.TAPERED`.
        closes_hour: Hour at which calling ends, for `Limiter.TAPERED`.
    """

    def __init__(
        self,
        limiter: Limiter,
        *,
        max_abandonment: float,
        level: float = 1.0,
        highest: float = 3.0,
        opens_hour: float = 9.0,
        closes_hour: float = 21.0,
    ) -> None:
        self._limiter = limiter
        self._limit = max_abandonment
        self._level = level
        self._highest = highest
        self._opens_hour = opens_hour
        self._closes_hour = closes_hour
        self._samples: deque[tuple[int, int, int]] = deque(maxlen=_SAMPLES)
        self._next_cycle = self._next_sample = self._next_adapt = -math.inf
        self._day = 0
        self._answers = self._abandoned = self._calls = 0
        self._calls_1m = RecentCount(60.0)
        self._abandoned_1m = RecentCount(60.0)

    def on_started(self, now: float, call: Hashable) -> None:
        self._calls += 1
        self._calls_1m.add(now)

    def on_answered(self, now: float, call: Hashable, ring_s: float | None) -> None:
        self._answers += 1

    def on_abandoned(self, now: float, call: Hashable, waited_s: float) -> None:
        self._abandoned += 1
        self._abandoned_1m.add(now)

    def propose(self, now: float, floor: Ledger) -> Proposal:
        self._turn_day(now)
        if self._limiter is not Limiter.RATIO:
            self._adapt(now, floor)
        if self._next_cycle > now >= self._next_cycle - _CYCLE_S:
            return self._proposal(0)
        self._next_cycle = now + _CYCLE_S
        agents = floor.idle + floor.talking  # wrap-up is a pause to VICIdial
        goal = round(self._level * agents)
        existing = floor.ringing + floor.waiting + floor.talking
        return self._proposal(max(goal - existing, 0))

    def snapshot(self) -> dict[str, object]:
        return {"level": self._level, "answers_today": self._answers, "abandoned_today": self._abandoned}

    def _proposal(self, dial: int) -> Proposal:
        return Proposal(dial=dial, limit="level", reason=f"{self._level:.3g} lines for each agent free or in a call")

    def _adapt(self, now: float, floor: Ledger) -> None:
        if self._next_sample > now >= self._next_sample - 1.0:
            return
        self._next_sample = now + 1.0
        self._samples.append((floor.idle, floor.waiting, floor.staffed))
        if len(self._samples) < _SAMPLES or self._next_adapt > now >= self._next_adapt - _ADAPT_EVERY_S:
            return
        self._next_adapt = now + _ADAPT_EVERY_S
        ready, waiting, agents = (sum(column) / len(self._samples) for column in zip(*self._samples, strict=True))
        if agents == 0.0:
            return
        level = round(self._level * (1.0 + (ready - waiting) / agents), 3)
        level = max(min(level, self._highest), 1.0)
        calls_1m = self._calls_1m.count(now)
        if calls_1m > 20 and self._abandoned_1m.count(now) > 0.5 * calls_1m:
            level /= 2.0
        if self._calls > 50 and self._abandoned > self._limit * max(self._answers, 1):
            level = self._limited(level, now)
        self._level = max(level, 1.0)

    def _limited(self, level: float, now: float) -> float:
        if self._limiter is Limiter.HARD_LIMIT:
            return 1.0
        if self._limiter is Limiter.AVERAGE:
            return level / 2.0
        # Hours are compared as written on a clock: 15:30 to 21:00 are 570, and nothing is cut above 1,000.
        left = _as_written(self._closes_hour) - _as_written(self._opens_hour + now % _SECONDS_OF_DAY / 3_600.0)
        return 1.0 if left < 0 else level * min(1.0, left / 1_000.0)

    def _turn_day(self, now: float) -> None:
        day = int(now // _SECONDS_OF_DAY)
        if day != self._day:
            self._day = day
            self._answers = self._abandoned = self._calls = 0


def _as_written(hour: float) -> int:
    minutes = int(hour * 60.0 + 1e-6)
    return minutes // 60 * 100 + minutes % 60
