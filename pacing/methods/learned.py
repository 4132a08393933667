"""What the predictive rule has learned of a campaign, and when it learns it anew.

Learning anew costs more than deciding, so it is done in stages, at most one of them in a decision: the ringing of
calls, then the talks, then the wrap-ups with the tables of both, and the forecast after whichever of them changed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable

import numpy as np

from pacing.contract import AgentState, Outcome
from pacing.estimators.durations import DurationModel, Fork
from pacing.estimators.ringing import RingingModel
from pacing.intervals import FloatArray
from pacing.ledger import Ledger
from pacing.methods.forecast import Forecast
from pacing.methods.handling import Handling, whole_seconds
from pacing.methods.parts import Parts
from pacing.segments import SegmentRates

# Ringing changes with the hour and the list, talks and wrap-ups slowly. With few events there is nothing new to learn
# for a while.
_REFIT_RINGING_S = 5.0
_REFIT_RINGING_AT_LATEST_S = 15.0
_REFIT_RINGING_EVENTS = 6
_REFIT_HANDLING_S = 15.0
_REFIT_HANDLING_AT_LATEST_S = 60.0
_REFIT_HANDLING_ENDS = 5
# Evidence needed before a forecast may risk anybody.
_LEAST_CALLS = 40
_LEAST_TALKS = 8
# How much more likely a shortage is at some time than at its worst moment: to begin with, and how fast it is learned.
_PASSAGE = 1.3
_PASSAGE_WEIGHT = 0.1
# Decisions further apart than this are rare.
_RARE_S = 2.0
_NONE: FloatArray = np.zeros(0)


class Learned:
    """Estimators and the forecast made of them.

    Args:
        ring_timeout_s: When unanswered calls are given up.
        grace_s: Seconds that a person who answered may wait for an agent.
        parts: Parts in use.
    """

    def __init__(self, *, ring_timeout_s: float, grace_s: float, parts: Parts) -> None:
        self._grace_s = grace_s
        self._parts = parts
        # Calls are cut at the time-out, but the carrier may take some seconds to say so.
        self._ringing = RingingModel(ring_timeout_s * 1.2 + 5.0)
        self._talk = DurationModel(prior_mean_s=180.0, prior_ends=3.0)
        self._wrapup = DurationModel(prior_mean_s=60.0, prior_ends=3.0)
        self._after_talk = Fork(idle=1.0, wrapup=1.0, away=0.2)
        self._after_wrapup = Fork(idle=2.0, away=0.1)
        self._segments = SegmentRates()
        self._hinted: dict[Hashable, int] = {}
        self._ever_hinted = False
        self._horizon_s = self._ringing.bins + grace_s
        self._seconds = whole_seconds(self._horizon_s)
        self._log_passage = math.log(_PASSAGE)
        self._handling = self._tables()
        self.forecast = self._forecast()
        self._ringing_at = self._handling_at = -math.inf
        self._events = _REFIT_RINGING_EVENTS
        self._ends = _REFIT_HANDLING_ENDS
        self._refreshed_at = -math.inf
        self._stages: list[Callable[[float, Ledger], None]] = []

    # What happens ------------------------------------------------------------------------------------------------

    def agent(self, now: float, before: AgentState, after: AgentState, elapsed_s: float, *, foreseen: bool) -> None:
        """An agent's state ended; `foreseen` says that it was known who would go away."""
        self._ends += 1
        if before is AgentState.TALKING:
            self._talk.ended(now, elapsed_s)
            if not foreseen:
                self._after_talk.saw(after.value)
        elif before is AgentState.WRAPUP:
            if after is AgentState.TALKING:
                self._wrapup.cut_short(now, elapsed_s)
                return
            self._wrapup.ended(now, elapsed_s)
            if not foreseen:
                self._after_wrapup.saw(after.value)

    def hint(self, call: Hashable, segment: int, *, new: bool) -> None:
        """The call just started belongs to this segment."""
        if new:
            self._segments.forget(segment)
        self._ever_hinted = True
        self._hinted[call] = segment
        self._segments.started(segment)

    def ended(self, now: float, call: Hashable, ring_s: float, outcome: Outcome) -> None:
        """A call ended without a live person."""
        self._events += 1
        if outcome is Outcome.CANCELLED:
            self._hinted.pop(call, None)
            if self._parts.censoring:
                self._ringing.withdrawn(now, ring_s)
            return
        self._ringing.ended(now, ring_s)
        self._resolve(call, answered=False)

    def answered(self, now: float, call: Hashable, ring_s: float | None) -> None:
        """A live person answered."""
        self._events += 1
        if ring_s is not None:
            self._ringing.answered(now, ring_s)
            self._resolve(call, answered=True)

    def lost(self, call: Hashable) -> None:
        """Nothing more will be heard of the call."""
        self._hinted.pop(call, None)

    def _resolve(self, call: Hashable, *, answered: bool) -> None:
        if self._hinted:
            segment = self._hinted.pop(call, 0)
            self._segments.resolved(segment, self._ringing.answer_rate, answered=answered)

    # What is known -----------------------------------------------------------------------------------------------

    @property
    def enough(self) -> bool:
        """Whether a forecast may be trusted at all."""
        return self._ringing.resolved >= _LEAST_CALLS and self._talk.ended_count >= _LEAST_TALKS

    @property
    def answer_rate(self) -> float:
        """Chance that a fresh call reaches a live person."""
        return self._ringing.answer_rate

    @property
    def mean_talk_s(self) -> float:
        """Mean length of a talk."""
        return self._talk.mean_s

    @property
    def mean_wrapup_s(self) -> float:
        """Mean length of a wrap-up."""
        return self._wrapup.mean_s

    def ratios(self, floor: Ledger) -> FloatArray | None:
        """How much more often than the campaign's each ringing call is answered; None while no list gives hints."""
        return self._segments.of(floor.ringing_segments()) if self._ever_hinted else None

    def snapshot(self) -> dict[str, object]:
        """What has been learned, as plain values."""
        return {
            "answer_rate": self.answer_rate,
            "mean_talk_s": self.mean_talk_s,
            "mean_wrapup_s": self.mean_wrapup_s,
            "passage": math.exp(self._log_passage),
            "calls_learned_from": self._ringing.resolved,
            "talks_learned_from": self._talk.ended_count,
        }

    # Learning anew -----------------------------------------------------------------------------------------------

    def refresh(self, now: float, floor: Ledger) -> None:
        """Do one stage of what is due, or all of them where decisions are so rare that it would take too long."""
        if not self._stages:
            self._schedule(now)
        rare = not 0.0 <= now - self._refreshed_at <= _RARE_S
        self._refreshed_at = now
        while self._stages:
            self._stages.pop(0)(now, floor)
            if not rare:
                return

    def _schedule(self, now: float) -> None:
        since_s = now - self._ringing_at
        if since_s < 0.0 or since_s >= (
            _REFIT_RINGING_S if self._events >= _REFIT_RINGING_EVENTS else _REFIT_RINGING_AT_LATEST_S
        ):
            self._ringing_at, self._events = now, 0
            self._stages = [self._learn_ringing, self._learn_passage, self._make_forecast]
            return
        since_s = now - self._handling_at
        if since_s < 0.0 or since_s >= (
            _REFIT_HANDLING_S if self._ends >= _REFIT_HANDLING_ENDS else _REFIT_HANDLING_AT_LATEST_S
        ):
            self._handling_at, self._ends = now, 0
            self._stages = [self._learn_talks, self._learn_wrapups, self._make_tables, self._make_forecast]

    def _learn_ringing(self, now: float, floor: Ledger) -> None:
        self._ringing.refit(now, floor.ringing_ages(now) if self._parts.censoring else _NONE)

    def _learn_passage(self, now: float, floor: Ledger) -> None:
        passage = self.forecast.passage
        if passage is not None:
            self._log_passage += _PASSAGE_WEIGHT * (math.log(passage) - self._log_passage)

    def _learn_talks(self, now: float, floor: Ledger) -> None:
        self._talk.refit(now, self._running(now, floor, AgentState.TALKING))
        self._talk.remaining(self._seconds)  # kept for the tables: each stage does its own part

    def _learn_wrapups(self, now: float, floor: Ledger) -> None:
        self._wrapup.refit(now, self._running(now, floor, AgentState.WRAPUP))
        self._wrapup.remaining(self._seconds)

    def _make_tables(self, now: float, floor: Ledger) -> None:
        self._handling = self._tables()

    def _make_forecast(self, now: float, floor: Ledger) -> None:
        self.forecast = self._forecast()

    def _running(self, now: float, floor: Ledger, state: AgentState) -> FloatArray:
        return floor.all_agent_ages(now, state) if self._parts.censoring else _NONE

    def _tables(self) -> Handling:
        return Handling(
            talk=self._talk,
            wrapup=self._wrapup,
            after_talk=self._after_talk,
            after_wrapup=self._after_wrapup,
            horizon_s=self._horizon_s,
            parts=self._parts,
        )

    def _forecast(self) -> Forecast:
        return Forecast(
            ringing=self._ringing,
            handling=self._handling,
            grace_s=self._grace_s,
            mix=self._segments.mix,
            elapsed_times=self._parts.elapsed_times,
            passage=math.exp(self._log_passage),
        )
