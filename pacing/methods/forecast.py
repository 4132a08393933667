"""From what was learned to chances: who answers, and who is free, by when.

One call started now is answered, if it is, at a random moment. A handful of moments stand for that distribution. For
each, tables give the chance that a call of a given age has been answered by then and still keeps an agent busy, and
the chance that an agent who has talked (or wrapped up) for so long is free by then, the seconds that a caller may wait
included.
"""

from __future__ import annotations

import numpy as np

from pacing.estimators.durations import BINS, bin_of
from pacing.estimators.ringing import RingingModel
from pacing.intervals import FloatArray, IntArray
from pacing.methods.handling import Handling
from pacing.shortage import Shortage, ShortageTable

# Moments that stand for the time of the answer, each for an equal share of the answers.
_MOMENTS = 8
# No segment is taken to be answered more surely than this.
_SUREST = 0.95


class Forecast:
    """Tables for one state of knowledge; cheap to ask, rebuilt every few seconds.

    Args:
        ringing: When calls are answered.
        handling: When agents come free.
        grace_s: Seconds that a person who answered may wait for an agent.
        mix: How much more often than the campaign's the calls started lately are answered.
        elapsed_times: Tell calls and agents apart by age.
    """

    def __init__(
        self,
        *,
        ringing: RingingModel,
        handling: Handling,
        grace_s: float,
        mix: float = 1.0,
        elapsed_times: bool = True,
        passage: float = 1.0,
    ) -> None:
        self.answer_rate = ringing.answer_rate
        bins = ringing.bins
        moments, weights = _answer_moments(ringing.incidence)
        by = moments + 0.5 + grace_s
        # By then all but a few of the answers to calls started now have come.
        self.ahead_s = float(moments[-1]) + 1.0
        calls, fresh = _answered_by(ringing, moments, grace_s, handling)
        talking, wrapping = handling.talking_by(by), handling.wrapping_by(by)
        if not elapsed_times:
            calls = _alike(calls, ringing.survival[:-1])
            talking, wrapping = _alike(talking, handling.talking_ages), _alike(wrapping, handling.wrapping_ages)
        fresh = np.minimum(fresh * mix, 1.0)
        later_s = moments[None, :] - moments[:, None]
        still = np.where(later_s >= 0.0, handling.occupied_after(later_s), 0.0)
        self._table = ShortageTable(calls, np.concatenate([talking, wrapping]), fresh, weights, still, passage)
        self._last: Shortage | None = None
        self._seconds: IntArray = np.arange(bins)
        # Chance that a call of each age is answered at all.
        later = np.cumsum(ringing.incidence[::-1])[::-1]
        alive = np.maximum(ringing.survival[:-1], 1e-9)
        self._answered_at_all: FloatArray = np.minimum(later / alive, 1.0)

    def shortage(
        self, ages: FloatArray, talking: FloatArray, wrapping: FloatArray, need: int, ratios: FloatArray | None = None
    ) -> Shortage:
        """The chance of a shortage.

        Args:
            ages: Of the ringing calls.
            talking, wrapping: Of the talks and of the wrap-ups.
            need: Agents left over.
            ratios: How much more often than the campaign's each ringing call is answered; None: like the campaign's.
        """
        seconds = self._seconds.take(ages.astype(np.int64), mode="clip")
        bins = len(self._seconds)
        groups = np.concatenate([seconds, bin_of(talking) + bins, bin_of(wrapping) + (bins + BINS)])
        if ratios is not None:
            # Answers are that much more frequent among fresh calls; who still rings has passed the same sieve.
            at_all = self._answered_at_all[seconds]
            ratios = np.minimum(ratios, _SUREST / max(self.answer_rate, 1e-9))
            others = (1.0 - ratios * self.answer_rate) / max(1.0 - self.answer_rate, 1.0 - _SUREST)
            ratios = ratios / (ratios * at_all + others * (1.0 - at_all))
        self._last = self._table.given(groups, need, ratios)
        return self._last

    @property
    def passage(self) -> float | None:
        """`pacing.passage` as it was when a shortage was last asked for."""
        return None if self._last is None else self._last.passage()


def _answer_moments(incidence: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Seconds (whole, the answer falls within them) that stand for the moment of the answer, and their weights."""
    cumulative = np.cumsum(incidence)
    total = float(cumulative[-1])
    if total <= 0.0:
        return np.array([float(len(incidence) - 1)]), np.ones(1)
    shares = (np.arange(_MOMENTS) + 0.5) / _MOMENTS * total
    seconds = np.minimum(np.searchsorted(cumulative, shares), len(incidence) - 1)
    moments, counts = np.unique(seconds, return_counts=True)
    return moments.astype(np.float64), counts / _MOMENTS


def _alike(table: FloatArray, ages: FloatArray) -> FloatArray:
    """Every age with the chances of the average one, given how frequent each age is."""
    mean: FloatArray = (ages / ages.sum()) @ table
    return np.tile(mean, (len(table), 1))


def _answered_by(
    ringing: RingingModel, moments: FloatArray, grace_s: float, handling: Handling
) -> tuple[FloatArray, FloatArray]:
    """Chance to be answered by each moment and still occupy an agent then: by age of the call, and for a fresh one."""
    bins = ringing.bins
    longest = int(moments[-1]) + 1
    mass: FloatArray = np.concatenate([ringing.incidence, np.zeros(longest + 1)])
    alive = 0.5 * (ringing.survival[:-1] + ringing.survival[1:])
    # Chance that whoever was answered so long ago still has the agent: after whole seconds, and after half a second
    # more.
    lags: FloatArray = np.arange(longest + 1, dtype=np.float64) + grace_s
    whole = handling.occupied_after(lags)
    half = handling.occupied_after(lags + 0.5)
    own = float(handling.occupied_after(np.array([grace_s + 0.25]))[0])
    table = np.empty((bins, len(moments)))
    fresh = np.empty(len(moments))
    for column, moment in enumerate(int(value) for value in moments):
        # A call of age l + 1/2 is answered within the rest of its own second, or within one of the next ones.
        table[:, column] = 0.5 * own * mass[:bins]
        fresh[column] = 0.5 * own * mass[moment]  # of two answers in the same second, either may come first
        if moment:
            table[:, column] += np.convolve(mass[1 : bins + moment], half[:moment], "valid")
            fresh[column] += mass[:moment] @ whole[moment:0:-1]
    chances = np.divide(table, alive[:, None], out=np.zeros_like(table), where=alive[:, None] > 1e-9)
    return np.minimum(np.maximum(chances, 0.0), 1.0), np.minimum(fresh, 1.0)
