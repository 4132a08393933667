"""From what was learned to chances: who answers, and who is free, by when.

One call started now is answered, if it is, at a random moment. A handful of moments stand for that distribution. For each,
tables give the chance that a call of a given age has been answered by then and still keeps an agent busy, and the chance
that an agent who has talked (or wrapped up) for so long is free by then, the seconds that a caller may wait included.
"""

from __future__ import annotations

import numpy as np

from pacing.estimators.durations import DurationModel, Fork, bin_counts
from pacing.estimators.ringing import RingingModel
from pacing.intervals import FloatArray
from pacing.shortage import Shortage

# Moments that stand for the time of the answer, each for an equal share of the answers.
_MOMENTS = 8


class Forecast:
    """Tables for one state of knowledge; cheap to ask, rebuilt every few seconds.

    Args:
        ringing: When calls are answered.
        talk, wrapup: How long agents are busy.
        after_talk: Shares "idle", "wrapup", "away" of the agents whose talk ends.
        after_wrapup: Shares "idle", "away" of the agents whose wrap-up ends.
        grace_s: Seconds that a person who answered may wait for an agent.
    """

    def __init__(
        self,
        *,
        ringing: RingingModel,
        talk: DurationModel,
        wrapup: DurationModel,
        after_talk: Fork,
        after_wrapup: Fork,
        grace_s: float,
    ) -> None:
        self.answer_rate = ringing.answer_rate
        self._bins = ringing.bins
        moments, self._weights = _answer_moments(ringing.incidence)
        longest_s = float(moments[-1]) + 1.0 + grace_s
        seconds = np.arange(int(np.ceil(longest_s)) + 1, dtype=np.float64)
        frees_after_talk, frees_after_wrapup, handled = _frees(talk, wrapup, after_talk, after_wrapup, seconds)
        by = moments + 0.5 + grace_s
        self._talking = _columns(frees_after_talk, seconds, by)
        self._wrapping = _columns(frees_after_wrapup, seconds, by)
        self._ringing, self._fresh = _answered_by(ringing, moments, grace_s, seconds, handled)

    def shortage(self, ages: FloatArray, talking: FloatArray, wrapping: FloatArray, need: int) -> Shortage:
        """The chance of a shortage, given ages of ringing calls, of talks and of wrap-ups, and the agents left over."""
        calls = np.bincount(np.minimum(ages.astype(np.int64), self._bins - 1), minlength=self._bins)
        ring = np.flatnonzero(calls)
        talk_counts, wrap_counts = bin_counts(talking), bin_counts(wrapping)
        talk, wrap = np.flatnonzero(talk_counts), np.flatnonzero(wrap_counts)
        return Shortage(
            calls=self._ringing[ring],
            call_counts=calls[ring].astype(np.float64),
            agents=np.concatenate([self._talking[talk], self._wrapping[wrap]]),
            agent_counts=np.concatenate([talk_counts[talk], wrap_counts[wrap]]),
            fresh=self._fresh,
            need=need,
        )

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


def _frees(
    talk: DurationModel, wrapup: DurationModel, after_talk: Fork, after_wrapup: Fork, seconds: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Chances to be free within each of `seconds`: by bin of talk, by bin of wrap-up, and for a talk just begun."""
    back = after_wrapup.share("idle")
    wrapped_fresh = back * (1.0 - wrapup.survival(seconds))
    wrapped = back * (1.0 - wrapup.remaining(seconds))
    # A talk that ends between s and s+1 seconds from now leaves x - s - 1/2 for the wrap-up.
    lag = seconds[None, :] - seconds[:-1, None] - 0.5
    through_wrapup = np.interp(lag, seconds, wrapped_fresh)
    free_if_ended = np.where(lag > 0.0, after_talk.share("idle") + after_talk.share("wrapup") * through_wrapup, 0.0)
    remaining = talk.remaining(seconds)
    ends = remaining[:, :-1] - remaining[:, 1:]
    fresh = talk.survival(seconds)
    return ends @ free_if_ended, wrapped, (fresh[:-1] - fresh[1:]) @ free_if_ended


def _columns(table: FloatArray, seconds: FloatArray, by: FloatArray) -> FloatArray:
    """The columns of a table by whole seconds at moments between them, linearly."""
    left = np.minimum(by.astype(np.int64), len(seconds) - 2)
    part = by - left
    return table[:, left] * (1.0 - part) + table[:, left + 1] * part


def _answered_by(
    ringing: RingingModel, moments: FloatArray, grace_s: float, seconds: FloatArray, handled: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Chance to be answered by each moment and still occupy an agent then: by age of the call, and for a fresh one."""
    bins = ringing.bins
    longest = int(moments[-1]) + 1
    mass = np.concatenate([ringing.incidence, np.zeros(longest + 1)])
    alive = 0.5 * (ringing.survival[:-1] + ringing.survival[1:])

    def occupies(after_s: FloatArray) -> FloatArray:
        return 1.0 - np.interp(after_s, seconds, handled)

    table = np.empty((bins, len(moments)))
    fresh = np.empty(len(moments))
    for column, moment in enumerate(int(value) for value in moments):
        # A call of age l + 1/2 is answered within the rest of its own second, or within one of the next ones.
        later = np.arange(1, moment + 1)
        own = 0.5 * mass[:bins] * occupies(np.array([moment + 0.25 + grace_s]))
        following = np.zeros(bins)
        if moment:
            following = np.correlate(mass[1 : bins + moment], occupies(moment + 0.5 + grace_s - later), "valid")
        table[:, column] = own + following
        whole = np.arange(moment)
        fresh[column] = mass[:moment] @ occupies(moment + grace_s - whole)
        # Of two answers in the same second, either may come first.
        fresh[column] += 0.5 * mass[moment] * float(occupies(np.array([0.25 + grace_s]))[0])
    chances = np.divide(table, alive[:, None], out=np.zeros_like(table), where=alive[:, None] > 1e-9)
    return np.clip(chances, 0.0, 1.0), np.clip(fresh, 0.0, 1.0)
