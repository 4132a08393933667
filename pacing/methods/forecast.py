"""From what was learned to chances: who answers, and who is free, by when.

One call started now is answered, if it is, at a random moment. A handful of moments stand for that distribution. For
each, tables give the chance that a call of a given age has been answered by then and still keeps an agent busy, and
the chance that an agent who has talked (or wrapped up) for so long is free by then, the seconds that a caller may wait
included.
"""

from __future__ import annotations

import numpy as np

from pacing.estimators.durations import bin_counts
from pacing.estimators.ringing import RingingModel
from pacing.intervals import FloatArray
from pacing.methods.handling import Handling
from pacing.shortage import Shortage, ShortageTable

# Moments that stand for the time of the answer, each for an equal share of the answers.
_MOMENTS = 8


class Forecast:
    """Tables for one state of knowledge; cheap to ask, rebuilt every few seconds.

    Args:
        ringing: When calls are answered.
        handling: When agents come free.
        grace_s: Seconds that a person who answered may wait for an agent.
    """

    def __init__(self, *, ringing: RingingModel, handling: Handling, grace_s: float) -> None:
        self.answer_rate = ringing.answer_rate
        self._bins = ringing.bins
        moments, self._weights = _answer_moments(ringing.incidence)
        by = moments + 0.5 + grace_s
        calls, fresh = _answered_by(ringing, moments, grace_s, handling)
        agents = np.concatenate([handling.talking_by(by), handling.wrapping_by(by)])
        self._table = ShortageTable(calls, agents, fresh)

    def shortage(self, ages: FloatArray, talking: FloatArray, wrapping: FloatArray, need: int) -> Shortage:
        """The chance of a shortage, given ages of ringing calls, of talks and of wrap-ups, and the agents left over."""
        seconds = np.minimum(ages, self._bins - 1.0).astype(np.int64)
        calls = np.bincount(seconds, minlength=self._bins).astype(np.float64)
        return self._table.given(np.concatenate([calls, bin_counts(talking), bin_counts(wrapping)]), need)

    def chance(self, shortage: Shortage, extra: int) -> float:
        """Chance that one more call, if answered, finds no agent, after `extra` others started in the same moment."""
        return float(self._weights @ shortage.probabilities(extra))


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
