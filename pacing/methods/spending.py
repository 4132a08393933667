"""How much of the limit to aim at, by what is left of the budget.

Of n answers `limit * n` people may be abandoned. Occupancy is concave in the share that is abandoned: whoever aims at
the limit one hour and at nothing the next does worse than who aims at half of it in both. So what is left is spent the
more gently, the less it is; the curve comes of dynamic programming over a day with a price on every answer that finds
the limit exceeded (`benchmarks.pacing_ceiling`, "planned"), where the exact frontier of the floor is known. It costs up
to five parts in a thousand of the occupancy of five agents, and less on larger floors.

The same is asked of the last half hour, which may see twice the limit: a budget of its own, so that a month's cannot be
spent in one bad half hour.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass

from pacing.budget import AbandonmentBudget, WindowCount
from pacing.legal_window import LegalWindow

# (people left, share of the limit to aim at), with straight lines between.
_CURVE = (
    (0.0, 0.15),
    (0.5, 0.3),
    (1.0, 0.45),
    (2.0, 0.65),
    (3.0, 0.75),
    (4.0, 0.8),
    (6.0, 0.86),
    (10.0, 0.92),
    (14.0, 1.0),
    (18.0, 1.06),
    (24.0, 1.12),
)
_PEOPLE = tuple(people for people, _ in _CURVE)
# People left at which the whole limit is aimed at. Until so many have been earned, one may be abandoned before it was;
# but of so many first answers never more than the limit of them.
_RESERVE = 14.0
_IN_ADVANCE = 1.0
_FIRST_ANSWERS = 200
# The curve is one for so many people allowed in five minutes, and fewer. With more of them it is wider: luck grows with
# the root of what is at stake, and a shortage lasts, so that many meet the same one.
_SMALL_FLOOR_PEOPLE = 12.0
_SPELL_S = 300.0
_SHORTAGE_S = 90.0
_SHORTAGE_PEOPLE = 6.0
# The half hour: how many times the limit, and so many people at least, for of fewer answers a rate says nothing. Where
# hardly more than these are expected, so many more for each that is missing to be sure. The aim falls to nothing over
# the last part of that. Of what is under way, so many standard deviations count as lost too; and of what a big floor
# may see, a part is kept back, for there people are lost several at a time.
_BRAKE_S = 1_800.0
_BRAKE_TIMES = 2.0
_BRAKE_USED = 0.92
_BRAKE_LEAST_PEOPLE = 6.0
_BRAKE_SURE_PEOPLE = 7.8
_BRAKE_FOR_EACH_MISSING = 5.0 / 3.0
_BRAKE_PART = 1.0 / 2.0
_BRAKE_DEVIATIONS = 1.0
# Abandoned people come in bunches, so that their number spreads wider than a Poisson variable; many at once all the
# more, because all of them meet the same shortage.
_BUNCHING = 1.5
_SHARED_LUCK = 0.5


@dataclass(frozen=True, slots=True)
class Aim:
    """Share of the limit to aim at, as the legal windows and as the last half hour have it; 0: risk nothing."""

    windows: float
    half_hour: float

    @property
    def share(self) -> float:
        """What both allow."""
        return min(self.windows, self.half_hour)


class Spending:
    """The budget of the legal windows, and that of the last half hour.

    Args:
        budget: The budget of the legal windows.
    """

    def __init__(self, budget: AbandonmentBudget) -> None:
        self._budget = budget
        self._half_hour = WindowCount(LegalWindow(name="half hour", length_s=_BRAKE_S), budget.limit)
        self._rate = _Rate(kept=0.7)
        self._steady_rate = _Rate(kept=0.9)

    @property
    def reserve(self) -> float:
        """People left with whom the whole limit is aimed at."""
        return _RESERVE * self._width

    @property
    def overdrawn(self) -> bool:
        """Whether nothing may be risked until more people are served, by any of the windows.

        Of a window's first answers one person in advance is no reason: each of them earns but a part of one.
        """
        return any(map(_overdrawn, self._budget.windows, self._budget.left_of_each))

    def aim(self, at_risk: float, waiting: int = 0) -> Aim:
        """How much of the limit to aim at with calls under way.

        Args:
            at_risk: People expected to be abandoned among those whom the ringing calls will reach.
            waiting: People who have answered and have no agent yet; they count as lost until they have.
        """
        allowed = self._half_hour_allowed
        spread = math.sqrt((_BUNCHING + _SHARED_LUCK * at_risk) * at_risk)
        brake = allowed - self._half_hour.abandoned - waiting - at_risk - _BRAKE_DEVIATIONS * spread
        return Aim(
            windows=share_of_limit((self._budget.left - waiting - at_risk) / self._width),
            half_hour=min(max(brake / (_BRAKE_PART * allowed), 0.0), 1.0),
        )

    def answered(self, now: float) -> None:
        """A live person answered."""
        self._half_hour.answered(now)
        self._rate.answered(now)
        self._steady_rate.answered(now)

    def abandoned(self, now: float) -> None:
        """One who answered found nobody."""
        self._half_hour.abandon(now)

    def expire(self, now: float) -> None:
        """Forget what is older than the last half hour."""
        self._half_hour.expire(now)

    @property
    def _half_hour_allowed(self) -> float:
        """People who may be abandoned within half an hour."""
        times = _BRAKE_TIMES * self._budget.limit
        so_far = times * self._half_hour.answers
        expected = max(so_far, times * self._steady_rate.per_s * _BRAKE_S)
        missing = max(_BRAKE_SURE_PEOPLE - expected, 0.0)
        return max(_BRAKE_USED * math.floor(so_far), _BRAKE_LEAST_PEOPLE) + _BRAKE_FOR_EACH_MISSING * missing

    @property
    def _width(self) -> float:
        """How many times wider than a small floor's the curve is."""
        allowed_per_s = self._budget.limit * self._rate.per_s
        luck = math.sqrt(max(allowed_per_s * _SPELL_S / _SMALL_FLOOR_PEOPLE, 1.0))
        return luck + allowed_per_s * _SHORTAGE_S / _SHORTAGE_PEOPLE


class _Rate:
    """Answers per second, minute by minute.

    Args:
        kept: Share of what was known that a new minute leaves.
    """

    __slots__ = ("_answers", "_kept", "_since", "per_s")

    def __init__(self, kept: float) -> None:
        self._kept = kept
        self._since: float | None = None
        self._answers = 0
        self.per_s = 0.0

    def answered(self, now: float) -> None:
        self._answers += 1
        if self._since is None:
            self._since = now
        elif now - self._since >= 60.0:
            rate = self._answers / (now - self._since)
            self.per_s = rate if self.per_s == 0.0 else self._kept * self.per_s + (1.0 - self._kept) * rate
            self._since, self._answers = now, 0


def _overdrawn(window: WindowCount, left: float) -> bool:
    """Whether a window with so many people left allows nobody to be risked."""
    earned = window.limit * window.answers
    if not 0.0 < earned < _RESERVE:
        return left <= 0.0
    first = window.answers < _FIRST_ANSWERS and window.abandoned + 1 > window.limit * _FIRST_ANSWERS
    return left <= -_IN_ADVANCE or first


def share_of_limit(left: float) -> float:
    """The share of the limit to aim at with so many people left, on a small floor."""
    if left <= _PEOPLE[0]:
        return _CURVE[0][1]
    place = bisect_right(_PEOPLE, left)
    if place == len(_CURVE):
        return _CURVE[-1][1]
    (below, low), (above, high) = _CURVE[place - 1], _CURVE[place]
    return low + (high - low) * (left - below) / (above - below)
