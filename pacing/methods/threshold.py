"""The threshold: how large a chance that the next call is lost may be, moved by what happens.

Each call is started because its chance P of finding nobody was at most the threshold. The mean of P over answered
calls is
the forecast abandonment, exact if the forecast is: adding one call to m others raises the expected number of abandoned
people by q * P (q: the chance that it is answered), so the sum over calls telescopes to the whole. The threshold is
moved so that this mean, corrected by what really happened, equals the rate that the budget can bear. That uses every
call and not only the rare abandoned ones, so it settles soon and trembles little.
"""

from __future__ import annotations

import math

from pacing.budget import AbandonmentBudget, WindowCount
from pacing.legal_window import LegalWindow

_START = 0.018
_LOWEST = 1e-4
_HIGHEST = 0.4
# Per answer expected; the step of the stochastic approximation.
_GAIN = 0.03
_LARGEST_STEP = 0.05
# The correction is observed over forecast abandonment, starting with a little distrust of the forecast.
_CORRECTION_PRIOR = 4.0
_CORRECTION_START = 1.8
_CORRECTION_MEMORY = 30.0
# The budget is steered back to its reserve over about this many answers.
_HORIZON_ANSWERS = 400.0
_HORIZON_S = 300.0
_RESERVE_DEVIATIONS = 2.0
_MOST_OVER_LIMIT = 1.12
_LEAST_OF_LIMIT = 0.4
# Abandoned people come in bunches, so the budget wanders more than a coin would make it.
_BUNCHING = 1.5
_SHARED_LUCK = 0.5
# On a big floor a shortage lasts, and many answer while it does: the reserve bears the answers of so long a time.
_BURST_S = 90.0
# Below this many people left, beyond those at risk, the threshold fades; of many at risk, below this share of them.
_FADE_BELOW = 2.0
_FADE_SHARE = 0.3
# No half hour may be worse than this many times the limit, however much of the legal windows is left; a half hour with
# fewer answers than this counts as one with so many.
_BRAKE_S = 1_800.0
_BRAKE_TIMES = 2.0
_BRAKE_LEAST_ANSWERS = 100.0
_BRAKE = LegalWindow(name="half hour", length_s=_BRAKE_S)
# The bound of 99 % on people at risk keeps nearly one person in hand even where next to nothing is at risk.
_ONE_IN_HAND = 0.9
# Standard deviations of a one-sided bound of 99 %.
_NORMAL_99 = 2.326


def upper_bound(expected: float) -> float:
    """So many people at most, with 99 % confidence, are abandoned where `expected` are on average.

    Above the 99 % quantile of a Poisson variable of that mean (tested), whose spread is taken wider because abandoned
    people come in bunches, and of many at once because all of them meet the same shortage.
    """
    return expected + _ONE_IN_HAND + _NORMAL_99 * math.sqrt((_BUNCHING + _SHARED_LUCK * expected) * expected)


class Threshold:
    """Steers the threshold by forecast, outcomes and budget.

    Args:
        budget: The budget of the legal windows.
        guard: Hold the threshold down by what is left.
    """

    def __init__(self, budget: AbandonmentBudget, *, guard: bool = True) -> None:
        self._budget = budget
        self._guard = guard
        self._recent = WindowCount(_BRAKE, budget.limit)
        self._log = math.log(_START)
        self._forecast = _CORRECTION_PRIOR / _CORRECTION_START
        self._observed = _CORRECTION_PRIOR
        self._answers_per_s = 0.0
        self._rate_at: float | None = None
        self._answers_since = 0

    @property
    def value(self) -> float:
        """The threshold before the guard."""
        return math.exp(self._log)

    @property
    def correction(self) -> float:
        """By how much real abandonment exceeds the forecast."""
        return min(max(self._observed / self._forecast, 0.4), 4.0)

    @property
    def _horizon(self) -> float:
        return max(_HORIZON_ANSWERS, self._answers_per_s * _HORIZON_S)

    @property
    def reserve(self) -> float:
        """People kept in hand so that bad luck does not exceed the limit."""
        spread = math.sqrt(0.5 * self._budget.limit * self._horizon * _BUNCHING)
        return _RESERVE_DEVIATIONS * spread + self._budget.limit * self._answers_per_s * _BURST_S

    @property
    def target(self) -> float:
        """The abandonment to aim at now, so that the budget returns to its reserve."""
        limit = self._budget.limit
        if not self._guard:
            return limit
        aim = limit + (self._budget.left - 1.0 - self.reserve) / self._horizon
        return min(max(aim, _LEAST_OF_LIMIT * limit), _MOST_OVER_LIMIT * limit)

    def expire(self, now: float) -> None:
        """Forget what is older than the last half hour."""
        self._recent.expire(now)

    def held(self, at_risk: float, waiting: int = 0) -> tuple[float, float]:
        """The threshold to use with calls under way.

        Args:
            at_risk: People expected to be abandoned among those whom the ringing calls will reach.
            waiting: People who have answered and have no agent yet; they count as lost until they have.

        Returns:
            The threshold held down by the legal windows, and that by the last half hour.
        """
        value = self.value
        if not self._guard:
            return value, value
        left = self._budget.left - waiting
        recent = self._recent
        counted = max(float(recent.answers), _BRAKE_LEAST_ANSWERS)
        brake = _BRAKE_TIMES * self._budget.limit * counted - recent.abandoned - waiting
        surely = upper_bound(at_risk)
        over = max(_FADE_BELOW, _FADE_SHARE * surely)
        return _faded(value, left - surely, over), _faded(value, brake - surely, over)

    def started(self, calls: int, mean_chance: float, answer_rate: float, *, bound: bool) -> None:
        """Calls were started.

        Args:
            calls: How many.
            mean_chance: Mean chance that one of them is lost if answered.
            answer_rate: Chance that one is answered.
            bound: The threshold is what stopped further calls. Where something else did (lines, an empty list) the
                forecast abandonment is low for that reason, and raising the threshold would only wind it up.
        """
        limit = self._budget.limit
        if limit <= 0.0 or self._budget.left <= 1.0:
            return
        step = _GAIN * calls * answer_rate * (self.target - self.correction * mean_chance) / limit
        if step > 0.0 and not bound:
            return
        self._log += min(max(step, -_LARGEST_STEP), _LARGEST_STEP)
        self._log = min(max(self._log, math.log(_LOWEST)), math.log(_HIGHEST))

    def answered(self, now: float, chance: float) -> None:
        """Such a call was answered."""
        self._recent.answered(now)
        self._forecast += chance
        fade = math.exp(-chance / _CORRECTION_MEMORY)
        self._forecast *= fade
        self._observed *= fade
        self._answers_since += 1
        if self._rate_at is None:
            self._rate_at = now
        elif now - self._rate_at >= 60.0:
            rate = self._answers_since / (now - self._rate_at)
            self._answers_per_s = rate if self._answers_per_s == 0.0 else 0.7 * self._answers_per_s + 0.3 * rate
            self._rate_at, self._answers_since = now, 0

    def abandoned(self, now: float) -> None:
        """Such a call found nobody."""
        self._recent.abandon(now)
        self._observed += 1.0


def _faded(threshold: float, left: float, over: float) -> float:
    return threshold * min(max(left / over, 0.0), 1.0)
