"""How long talks and wrap-ups last: hazards by elapsed time, running ones counted.

The hazard of each bin of elapsed time is `ends / time at risk`. Talks that still run are at risk too; counting only
finished ones would take the short ones, which finish first, for all. Piecewise-exponential, so any shape is learned:
heavy tails, fixed wrap-up times, a third of the talks over in five seconds.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from pacing.estimators.memory import keep, smooth
from pacing.estimators.pace import Pace
from pacing.intervals import FloatArray, IntArray

_FINE_S = 12  # one-second bins up to here, then each wider than the last
_GROWTH = 1.07
_LONGEST_S = 4 * 3_600.0
_TIME_CONSTANT_S = 3_600.0
_LEAST_ENDS = 400.0
# Ends by which each bin leans towards the average hazard.
_LEAN = 0.5


def _edges() -> FloatArray:
    edges = [float(second) for second in range(_FINE_S + 1)]
    while edges[-1] < _LONGEST_S:
        edges.append(edges[-1] * _GROWTH)
    return np.array(edges)


EDGES_S: FloatArray = _edges()
BINS = len(EDGES_S) - 1
_WIDTHS = np.diff(EDGES_S)
# The elapsed time that stands for each bin.
MIDDLES_S: FloatArray = EDGES_S[:-1] + 0.5 * _WIDTHS
# Bin of every whole second, so that thousands of agents are sorted into bins by one look-up.
_BIN_OF_SECOND: IntArray = np.searchsorted(EDGES_S, np.arange(int(_LONGEST_S)) + 0.5, side="right") - 1


_BINS_LIST: list[int] = _BIN_OF_SECOND.tolist()
_EDGES_LIST: list[float] = EDGES_S.tolist()


def bin_of(ages: FloatArray) -> IntArray:
    """The bin of each of these elapsed times (seconds)."""
    places: IntArray = _BIN_OF_SECOND.take(ages.astype(np.int64), mode="clip")
    return places


class _Ahead:
    """Where the middle of each bin and some seconds more lies among the edges; the same at every refit.

    Args:
        horizons_s: The seconds more.
    """

    def __init__(self, horizons_s: FloatArray) -> None:
        later = (MIDDLES_S[:, None] + horizons_s[None, :]).ravel()
        self._places: IntArray = np.minimum(np.searchsorted(EDGES_S, later, side="right") - 1, BINS - 1)
        # Beyond the last edge the hazard goes on as in the last bin, counted from its end.
        self._since: FloatArray = np.minimum(later, EDGES_S[-1]) - EDGES_S[self._places]
        self._beyond: FloatArray = np.maximum(later - EDGES_S[-1], 0.0)

    def hazards(self, cumulative: FloatArray) -> FloatArray:
        """The cumulative hazard there, shape (bins, horizons)."""
        slopes = np.diff(cumulative) / _WIDTHS
        found = slopes.take(self._places) * self._since + cumulative.take(self._places)
        found += self._beyond * slopes[-1]
        return found.reshape(BINS, -1)


@lru_cache(maxsize=8)
def _ahead(horizons_s: bytes) -> _Ahead:
    """One for all models that ask the same: the horizons are those of a ring time-out and a grace."""
    return _Ahead(np.frombuffer(horizons_s))


class DurationModel:
    """Learns the distribution of a duration from finished and running ones.

    Args:
        prior_mean_s: What is believed before the first end.
        prior_ends: Ends' worth of that belief.
    """

    def __init__(self, *, prior_mean_s: float, prior_ends: float) -> None:
        self._prior_ends = prior_ends
        self._prior_exposure_s = prior_ends * prior_mean_s
        self._ends: FloatArray = np.zeros(BINS)
        self._exposure_s: FloatArray = np.zeros(BINS)
        self._pace = Pace(prior=25.0, memory=80.0, memory_s=400.0)
        self._refitted_at: float | None = None
        self._base: FloatArray = np.zeros(BINS + 1)
        self._base_list: list[float] = self._base.tolist()
        self._cumulative: FloatArray = np.zeros(BINS + 1)
        # The horizons asked last since the last refit, and the answer.
        self._remaining: tuple[bytes, FloatArray] | None = None
        self.ended_count = 0
        # Mean duration; the tail beyond the longest bin is taken as exponential.
        self.mean_s = prior_mean_s
        self._derive(np.zeros(BINS))

    def ended(self, now: float, elapsed_s: float) -> None:
        """One ended after `elapsed_s`."""
        self.ended_count += 1
        place = self._add_exposure(elapsed_s)
        self._ends[place] += 1.0
        self._pace.saw()
        self._left(now, elapsed_s)

    def cut_short(self, now: float, elapsed_s: float) -> None:
        """One was cut off after `elapsed_s` by something else (the agent signed out): it was at risk until then."""
        self._add_exposure(elapsed_s)
        self._left(now, elapsed_s)

    def refit(self, now: float, ages: FloatArray) -> None:
        """Derive the distribution from everything known, given the ages of those running now."""
        elapsed_s = 0.0 if self._refitted_at is None else max(now - self._refitted_at, 0.0)
        places = bin_of(ages)
        since = np.minimum(ages, _LONGEST_S - 1.0) - EDGES_S[places]
        if len(ages):
            before = np.zeros_like(ages) if self._refitted_at is None else np.maximum(ages - elapsed_s, 0.0)
            self._pace.expected(self._base_sum(places, since) - self._base_sum_to(before))
        self._pace.fade(elapsed_s)
        kept = keep(elapsed_s, _TIME_CONSTANT_S, float(self._ends.sum()), _LEAST_ENDS)
        if kept < 1.0:
            self._ends *= kept
            self._exposure_s *= kept
        self._refitted_at = now
        self._derive(_exposure_of(places, since))

    def survival(self, elapsed_s: FloatArray) -> FloatArray:
        """Chance to last longer than each of these."""
        chances: FloatArray = np.exp(-self._hazard_to(elapsed_s))
        return chances

    def remaining(self, horizons_s: FloatArray) -> FloatArray:
        """Chance that one at the middle of each bin lasts each horizon more: shape (bins, horizons)."""
        asked = horizons_s.astype(np.float64).tobytes()
        if self._remaining is not None and self._remaining[0] == asked:
            return self._remaining[1]
        now = self._hazard_to(MIDDLES_S)
        chances: FloatArray = np.exp(now[:, None] - _ahead(asked).hazards(self._cumulative))
        self._remaining = (asked, chances)
        return chances

    def _hazard_to(self, elapsed_s: FloatArray) -> FloatArray:
        inside = np.interp(elapsed_s, EDGES_S, self._cumulative)
        beyond = np.maximum(elapsed_s - EDGES_S[-1], 0.0)
        last = float(self._cumulative[-1] - self._cumulative[-2]) / float(_WIDTHS[-1])
        hazard: FloatArray = inside + beyond * last
        return hazard

    def _derive(self, running_exposure_s: FloatArray) -> None:
        exposure_s = self._exposure_s + running_exposure_s
        average = (float(self._ends.sum()) + self._prior_ends) / (float(exposure_s.sum()) + self._prior_exposure_s)
        lean_s = _LEAN / average
        hazard = (smooth(self._ends) + _LEAN) / (smooth(exposure_s) + lean_s)
        before = float(exposure_s @ (np.diff(self._base) / _WIDTHS))
        if before > 0.0:
            self._pace.rebase(float(exposure_s @ hazard) / before)
        self._base = np.concatenate(([0.0], np.cumsum(hazard * _WIDTHS)))
        self._base_list = self._base.tolist()
        # Ends are taken to come one standard error later than seen, for the first few say little.
        factor = self._pace.factor * (1.0 - 1.0 / math.sqrt(self.ended_count + 4.0))
        self._cumulative = self._base * factor
        self._remaining = None
        survival = np.exp(-self._cumulative)
        hazard = hazard * factor
        self.mean_s = float(((survival[:-1] - survival[1:]) / hazard).sum() + survival[-1] / hazard[-1])

    def _add_exposure(self, elapsed_s: float) -> int:
        """Count the time spent in each bin; the bin reached."""
        elapsed_s = min(elapsed_s, _LONGEST_S - 1.0)
        place = int(_BIN_OF_SECOND[int(elapsed_s)])
        self._exposure_s[:place] += _WIDTHS[:place]
        self._exposure_s[place] += max(elapsed_s - EDGES_S[place], 0.0)
        return place

    def _left(self, now: float, elapsed_s: float) -> None:
        since = 0.0 if self._refitted_at is None else max(elapsed_s - max(now - self._refitted_at, 0.0), 0.0)
        self._pace.expected(self._base_to(elapsed_s) - self._base_to(since))

    def _base_sum_to(self, elapsed_s: FloatArray) -> float:
        """The sum of the slow cumulative hazard to each elapsed time."""
        places = bin_of(elapsed_s)
        return self._base_sum(places, np.minimum(elapsed_s, _LONGEST_S - 1.0) - EDGES_S[places])

    def _base_sum(self, places: IntArray, since_s: FloatArray) -> float:
        """The same by the bin of each and the seconds since it began."""
        hazards = np.diff(self._base) / _WIDTHS
        return float(self._base.take(places).sum() + since_s @ hazards.take(places))

    def _base_to(self, elapsed_s: float) -> float:
        """The slow cumulative hazard at one elapsed time."""
        elapsed_s = min(elapsed_s, _LONGEST_S - 1.0)
        place = _BINS_LIST[int(elapsed_s)]
        base = self._base_list
        start = _EDGES_LIST[place]
        share = (elapsed_s - start) / (_EDGES_LIST[place + 1] - start)
        return base[place] + share * (base[place + 1] - base[place])


def _exposure_of(places: IntArray, since_s: FloatArray) -> FloatArray:
    """Seconds that running intervals, so long after the beginning of these bins, have spent in each bin."""
    if not len(places):
        return np.zeros(BINS)
    counts = np.bincount(places, minlength=BINS).astype(np.float64)
    reached = np.cumsum(counts[::-1])[::-1]
    exposure: FloatArray = (reached - counts) * _WIDTHS
    exposure += np.bincount(places, weights=np.maximum(since_s, 0.0), minlength=BINS)
    return exposure


class Fork:
    """Where agents go from a state: shares of several ways, fading.

    Args:
        **prior: Ways with the weight each has before anything is seen.
    """

    __slots__ = ("_weights",)
    _LEAST = 200.0

    def __init__(self, **prior: float) -> None:
        self._weights = dict(prior)

    def saw(self, way: str) -> None:
        """One went this way."""
        total = math.fsum(self._weights.values())
        if total > self._LEAST:
            for known in self._weights:
                self._weights[known] *= self._LEAST / total
        self._weights[way] += 1.0

    def share(self, way: str) -> float:
        """Share (0 to 1) of those who go this way."""
        return self._weights[way] / math.fsum(self._weights.values())
