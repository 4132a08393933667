"""When, and whether, a ringing call is answered: competing risks in one-second bins.

A call ends by a live answer or by anything else; both hazards are estimated by age, `events / at risk`, with the calls
that still ring counted at risk for as long as they have rung (censored). Leaving them out would make fast failures look
like the whole truth. Source of the estimator: Aalen and Johansen (1978).
"""

from __future__ import annotations

import math

import numpy as np

from pacing.estimators.memory import keep, smooth
from pacing.estimators.pace import Pace
from pacing.intervals import FloatArray

# What is believed before the first call: generous answers, so that the first guesses dial too little, not too much.
_PRIOR_CALLS = 8.0
_PRIOR_ANSWER = 0.5
_PRIOR_ANSWER_AFTER_S = 8.0
_PRIOR_END_AFTER_S = 15.0
# Calls' worth of the same belief that is never forgotten: ages that no call has reached keep it.
_BELIEF = 1.0
_TIME_CONSTANT_S = 3_600.0
_LEAST_ANSWERS = 150.0


class RingingModel:
    """Learns the cumulative incidence of live answers by seconds of ringing.

    Args:
        longest_s: Calls are told apart by age up to this many seconds; older ones share the last bin.
    """

    def __init__(self, longest_s: float) -> None:
        self.bins = max(int(np.ceil(longest_s)), 2)
        middle = np.arange(self.bins) + 0.5
        answered = np.exp(-middle / _PRIOR_ANSWER_AFTER_S)
        ended = np.exp(-middle / _PRIOR_END_AFTER_S)
        self._answered: FloatArray = _PRIOR_CALLS * _PRIOR_ANSWER * answered / answered.sum()
        self._ended: FloatArray = _PRIOR_CALLS * (1.0 - _PRIOR_ANSWER) * ended / ended.sum()
        self._censored: FloatArray = np.zeros(self.bins)
        at_risk = np.cumsum((self._answered + self._ended)[::-1])[::-1]
        self._believed_answers: FloatArray = _BELIEF * self._answered / at_risk
        self._believed_ends: FloatArray = _BELIEF * self._ended / at_risk
        self._answers_pace = Pace(prior=12.0, memory=50.0, memory_s=120.0, alert=True)
        self._ends_pace = Pace(prior=20.0, memory=80.0, memory_s=120.0)
        self._refitted_at: float | None = None
        self._cumulative_answers: FloatArray = np.zeros(self.bins + 1)
        self._cumulative_ends: FloatArray = np.zeros(self.bins + 1)
        # The same as lists: single calls are looked up faster.
        self._cumulative_answers_list: list[float] = []
        self._cumulative_ends_list: list[float] = []
        self.resolved = 0
        self._answers_seen = 0
        # Survival to the start of each second and live answers within it, for a fresh call; set by refit.
        self.survival: FloatArray = np.ones(self.bins + 1)
        self.incidence: FloatArray = np.zeros(self.bins)
        self._derive(np.zeros(self.bins))

    def answered(self, now: float, ring_s: float) -> None:
        """A call was answered by a live person after `ring_s`."""
        self._answered[self._bin(ring_s)] += 1.0
        self.resolved += 1
        self._answers_seen += 1
        self._answers_pace.saw()
        self._left(now, ring_s)

    def ended(self, now: float, ring_s: float) -> None:
        """A call ended in any other way after `ring_s`."""
        self._ended[self._bin(ring_s)] += 1.0
        self.resolved += 1
        self._ends_pace.saw()
        self._left(now, ring_s)

    def withdrawn(self, now: float, ring_s: float) -> None:
        """We gave up the call ourselves after `ring_s`: it was at risk until then."""
        self._censored[self._bin(ring_s)] += 1.0
        self._left(now, ring_s)

    def refit(self, now: float, ages: FloatArray) -> None:
        """Derive `survival` and `incidence` from everything known, given the ages of the calls that ring now."""
        elapsed_s = 0.0 if self._refitted_at is None else max(now - self._refitted_at, 0.0)
        if len(ages):
            before = np.zeros_like(ages) if self._refitted_at is None else np.maximum(ages - elapsed_s, 0.0)
            self._expect(ages, before)
        self._answers_pace.fade(elapsed_s)
        self._ends_pace.fade(elapsed_s)
        # Answers are the rarer kind; where one call in ten is answered, hundreds of calls still say little.
        kept = keep(elapsed_s, _TIME_CONSTANT_S, float(self._answered.sum()), _LEAST_ANSWERS)
        if kept < 1.0:
            self._answered *= kept
            self._ended *= kept
            self._censored *= kept
        self._refitted_at = now
        bins = np.minimum(ages, self.bins - 1.0).astype(np.int64)
        self._derive(np.bincount(bins, minlength=self.bins).astype(np.float64))

    @property
    def answer_rate(self) -> float:
        """Chance that a fresh call reaches a live person."""
        return float(self.incidence.sum())

    def _derive(self, open_by_bin: FloatArray) -> None:
        gone = self._answered + self._ended
        # A call that leaves the books within a bin was at risk for about half of it.
        part = self._censored + open_by_bin
        at_risk = np.cumsum((gone + part)[::-1])[::-1] - 0.5 * part
        answers = (smooth(self._answered) + self._believed_answers) / (smooth(at_risk) + _BELIEF)
        ends = (smooth(self._ended) + self._believed_ends) / (smooth(at_risk) + _BELIEF)
        self._answers_pace.rebase(_ratio(at_risk, answers, self._cumulative_answers))
        self._ends_pace.rebase(_ratio(at_risk, ends, self._cumulative_ends))
        self._cumulative_answers = np.concatenate(([0.0], np.cumsum(answers)))
        self._cumulative_ends = np.concatenate(([0.0], np.cumsum(ends)))
        self._cumulative_answers_list = self._cumulative_answers.tolist()
        self._cumulative_ends_list = self._cumulative_ends.tolist()
        live = np.minimum(answers * self._answers_pace.factor * self._caution, 0.98)
        other = np.minimum(ends * self._ends_pace.factor, 1.0 - live)
        self.survival = np.concatenate(([1.0], np.cumprod(1.0 - live - other)))
        self.incidence = self.survival[:-1] * live

    @property
    def _caution(self) -> float:
        """Answers are taken to come this much faster than seen, for the first few say little: one standard error."""
        return 1.0 + 1.0 / math.sqrt(self._answers_seen + 4.0)

    def _left(self, now: float, ring_s: float) -> None:
        since = 0.0 if self._refitted_at is None else max(ring_s - max(now - self._refitted_at, 0.0), 0.0)
        reached = self._bin(ring_s) + 1
        counted = self._bin(since) + 1 if since > 0.0 else 0
        answers, ends = self._cumulative_answers_list, self._cumulative_ends_list
        self._answers_pace.expected(answers[reached] - answers[counted])
        self._ends_pace.expected(ends[reached] - ends[counted])

    def _expect(self, ages: FloatArray, before: FloatArray) -> None:
        """Count what the slow hazards expect of calls that went from ages `before` to `ages`; 0: not counted before.

        A call that enters a second of ringing counts for the whole of it, as it does in the hazards.
        """
        last = self.bins - 1.0
        reached = np.minimum(ages, last).astype(np.int64) + 1
        counted = np.where(before > 0.0, np.minimum(before, last).astype(np.int64) + 1, 0)
        for pace, cumulative in (
            (self._answers_pace, self._cumulative_answers),
            (self._ends_pace, self._cumulative_ends),
        ):
            pace.expected(float(np.sum(cumulative[reached] - cumulative[counted])))

    def _bin(self, ring_s: float) -> int:
        return int(ring_s) if ring_s < self.bins else self.bins - 1


def _ratio(at_risk: FloatArray, hazard: FloatArray, old_cumulative: FloatArray) -> float:
    """Events that a hazard expects of those at risk, over what the one before it did."""
    before = float(at_risk @ np.diff(old_cumulative))
    return float(at_risk @ hazard) / before if before > 0.0 else 1.0
