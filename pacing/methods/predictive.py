"""The product: start a call while the chance that its answer finds nobody is small enough.

For the next call, if started now: it is answered at a random moment tau; by then A of the ringing calls have been
answered and F of the busy agents have come free; it is lost with chance P = E[P(A >= idle + F)]. Calls are started one
by one while P is at most the threshold. Everything that P needs is learned while dialing (`pacing.estimators`), the
threshold is moved by what happens (`pacing.methods.threshold`), and the budget of the legal window stands above it
(`pacing.budget`).
"""

from __future__ import annotations

import math
from collections.abc import Hashable

from pacing.budget import AbandonmentBudget
from pacing.contract import AgentState, Outcome
from pacing.estimators.durations import DurationModel, Fork
from pacing.estimators.ringing import RingingModel
from pacing.ledger import Ledger
from pacing.methods.forecast import Forecast
from pacing.methods.handling import Handling
from pacing.methods.simple import count, one_call_per_idle_agent
from pacing.methods.threshold import Threshold
from pacing.rule import Proposal, Rule
from pacing.settings import PacingSettings
from pacing.shortage import Shortage

# Hazards of ringing change with the hour and the list, those of talk and wrap-up slowly.
_REFIT_RINGING_S = 5.0
_REFIT_HANDLING_S = 15.0
# Evidence needed before a forecast may risk anybody.
_LEAST_CALLS = 40
_LEAST_TALKS = 8
# While the budget is spent but not overdrawn, chances this small (as a share of the limit) are still taken.
_SHUT_SHARE = 0.05
# At this many people left, and below, only calls with an idle agent to themselves are made.
_OVERDRAWN = 0.0
# Whatever the estimates say, no floor needs more lines than this for each agent on duty.
_SANE_LINES_PER_AGENT = 120


class Predictive(Rule):
    """The one-call rule with learned hazards, a steered threshold and a budget."""

    def __init__(self, settings: PacingSettings) -> None:
        self._grace_s = settings.connect_within_s
        self._budget = AbandonmentBudget(
            limit=settings.max_abandonment,
            window_s=settings.window_s,
            answers=settings.answers_before,
            abandoned=settings.abandoned_before,
        )
        self._threshold = Threshold(self._budget)
        # Calls are cut at the time-out, but the carrier may take some seconds to say so.
        self._ringing = RingingModel(settings.ring_timeout_s * 1.2 + 5.0)
        self._talk = DurationModel(prior_mean_s=180.0, prior_ends=3.0)
        self._wrapup = DurationModel(prior_mean_s=60.0, prior_ends=3.0)
        self._after_talk = Fork(idle=1.0, wrapup=1.0, away=0.2)
        self._after_wrapup = Fork(idle=2.0, away=0.1)
        self._forecast: Forecast | None = None
        self._forecast_at = -math.inf
        self._handling: Handling | None = None
        self._handling_at = -math.inf
        self._chances: dict[Hashable, float] = {}
        self._chances_sum = 0.0
        self._planned = (0.0, 0.0, 1)
        self._planned_dial = 0
        self._planned_used = 0
        self._started_chance = 0.0

    # What happens ------------------------------------------------------------------------------------------------

    def on_agent(self, now: float, before: AgentState, after: AgentState, elapsed_s: float) -> None:
        if before is AgentState.TALKING:
            self._talk.ended(now, elapsed_s)
            self._after_talk.saw(after.value)
        elif before is AgentState.WRAPUP:
            if after is AgentState.TALKING:
                self._wrapup.cut_short(now, elapsed_s)
            else:
                self._wrapup.ended(now, elapsed_s)
                self._after_wrapup.saw(after.value)

    def on_started(self, now: float, call: Hashable) -> None:
        first, last, planned = self._planned
        step = min(self._planned_used, planned - 1)
        chance = first + (last - first) * (step / (planned - 1) if planned > 1 else 0.0)
        self._planned_used += 1
        self._chances[call] = chance
        self._chances_sum += chance
        self._started_chance += chance

    def on_ended(self, now: float, call: Hashable, ring_s: float, outcome: Outcome) -> None:
        if outcome is Outcome.CANCELLED:
            self._ringing.withdrawn(now, ring_s)
        else:
            self._ringing.ended(now, ring_s)
        self._drop(call)

    def on_lost(self, now: float, call: Hashable) -> None:
        self._drop(call)

    def on_answered(self, now: float, call: Hashable, ring_s: float | None) -> None:
        if ring_s is not None:
            self._ringing.answered(now, ring_s)
        self._budget.answered(now)
        self._threshold.answered(now, self._drop(call))

    def on_abandoned(self, now: float, call: Hashable, waited_s: float) -> None:
        self._budget.abandon(now)
        self._threshold.abandoned()

    # What to do --------------------------------------------------------------------------------------------------

    def propose(self, now: float, floor: Ledger) -> Proposal:
        self._budget.expire(now)
        self._learn_from_started()
        forecast = self._refreshed(now, floor)
        safe = one_call_per_idle_agent(floor)
        learning = (
            self._ringing.resolved < _LEAST_CALLS
            or self._talk.ended_count < _LEAST_TALKS
            or self._budget.limit * self._budget.answers < 1.0
        )
        left = self._budget.left
        if floor.staffed == 0:
            return self._proposal(0, "no_agents", "no agent is on duty")
        if learning:
            self._plan(0.0, 0.0, safe.dial, steers=False)
            return self._proposal(
                safe.dial, "warming_up", f"{safe.reason}; getting to know the list and the agents first"
            )
        if left <= _OVERDRAWN:
            self._plan(0.0, 0.0, safe.dial, steers=False)
            return self._proposal(
                safe.dial,
                "budget",
                f"{safe.reason}; {self._spent()}, so nothing is risked until more people are served",
            )
        at_risk = self._threshold.correction * self._chances_sum * forecast.answer_rate
        shut = self._budget.limit * _SHUT_SHARE
        threshold = max(self._threshold.guarded(at_risk), shut)
        shortage = forecast.shortage(
            floor.ringing_ages(now),
            floor.agent_ages(now, AgentState.TALKING),
            floor.agent_ages(now, AgentState.WRAPUP),
            floor.idle - floor.waiting,
        )
        room = max(_SANE_LINES_PER_AGENT * floor.staffed - floor.ringing, 0)
        dial, first, last, beyond = _most_calls(forecast, shortage, threshold, room)
        if dial < safe.dial:
            # Nobody can be lost by a call that has an idle agent to itself, whatever the forecast thinks.
            dial, last = safe.dial, max(first, last)
        self._plan(first, last, dial)
        words = (
            f"the chance that the next finds nobody is {_percent(beyond)}, limit {_percent(threshold)}"
            if dial == 0
            else f"the chance that the last finds nobody is {_percent(last)}, limit {_percent(threshold)}"
        )
        if threshold < self._threshold.value:
            return self._proposal(dial, "budget", f"{words}, held back: {self._spent()}", last, threshold)
        return self._proposal(dial, "threshold", f"{words}, budget left {max(left - 1.0, 0.0):.0f}", last, threshold)

    def snapshot(self) -> dict[str, object]:
        return {
            "threshold": self._threshold.value,
            "target": self._threshold.target,
            "correction": self._threshold.correction,
            "answers": self._budget.answers,
            "abandoned": self._budget.abandoned,
            "abandonment": self._budget.rate,
            "budget_left": self._budget.left,
            "reserve": self._threshold.reserve,
            "answer_rate": self._ringing.answer_rate,
            "mean_talk_s": self._talk.mean_s,
            "mean_wrapup_s": self._wrapup.mean_s,
            "calls_learned_from": self._ringing.resolved,
            "talks_learned_from": self._talk.ended_count,
        }

    def _refreshed(self, now: float, floor: Ledger) -> Forecast:
        handling = self._handling
        if handling is None or not self._handling_at <= now < self._handling_at + _REFIT_HANDLING_S:
            self._talk.refit(now, floor.agent_ages(now, AgentState.TALKING))
            self._wrapup.refit(now, floor.agent_ages(now, AgentState.WRAPUP))
            handling = Handling(
                talk=self._talk,
                wrapup=self._wrapup,
                after_talk=self._after_talk,
                after_wrapup=self._after_wrapup,
                horizon_s=self._ringing.bins + self._grace_s,
            )
            self._handling, self._handling_at = handling, now
            if self._forecast is not None:
                return self._forecast  # the tables are rebuilt at their own time, so that no decision pays for both
        forecast = self._forecast
        if forecast is None or not self._forecast_at <= now < self._forecast_at + _REFIT_RINGING_S:
            self._ringing.refit(now, floor.ringing_ages(now))
            forecast = Forecast(ringing=self._ringing, handling=handling, grace_s=self._grace_s)
            self._forecast, self._forecast_at = forecast, now
        return forecast

    def _plan(self, first: float, last: float, dial: int, *, steers: bool = True) -> None:
        """Remember the chances of the calls about to be started; only those that a threshold held steer it."""
        self._planned = (first, last, max(dial, 1))
        self._planned_used = 0
        self._planned_dial = dial if steers else 0
        self._started_chance = 0.0

    def _learn_from_started(self) -> None:
        """Move the threshold by the calls started since the last decision."""
        calls = self._planned_used
        if calls and self._planned_dial:
            bound = calls >= self._planned_dial
            self._threshold.started(calls, self._started_chance / calls, self._ringing.answer_rate, bound=bound)
        self._planned_used = 0
        self._started_chance = 0.0

    def _drop(self, call: Hashable) -> float:
        chance = self._chances.pop(call, 0.0)
        self._chances_sum = max(self._chances_sum - chance, 0.0) if self._chances else 0.0
        return chance

    def _spent(self) -> str:
        budget = self._budget
        lost = f"{budget.abandoned} of {count(budget.answers, 'answered call')}"
        return f"{lost} abandoned, {_percent(budget.limit)} allowed"

    def _proposal(self, dial: int, limit: str, reason: str, chance: float = 0.0, threshold: float = 0.0) -> Proposal:
        return Proposal(
            dial=dial,
            limit=limit,
            reason=reason,
            expected_abandonment=chance if dial else 0.0,
            threshold=threshold,
            budget_left=self._budget.left - 1.0,
            answer_rate=self._ringing.answer_rate,
            mean_talk_s=self._talk.mean_s,
            mean_wrapup_s=self._wrapup.mean_s,
        )


def _most_calls(forecast: Forecast, shortage: Shortage, threshold: float, room: int) -> tuple[int, float, float, float]:
    """The most calls whose last one is lost with a chance of at most `threshold`.

    Returns:
        The number; the chances of its first and of its last call (0 if none); and that of one call more (of the last
        one if there is no room for more).
    """
    first = forecast.chance(shortage, 0)
    if first > threshold or room == 0:
        return 0, 0.0, 0.0, first
    # The chance grows with every call: double until it is too large, then halve the gap.
    allowed, allowed_chance, refused, refused_chance = 1, first, room + 1, first
    while allowed < room:
        trial = min(2 * allowed, room)
        chance = forecast.chance(shortage, trial - 1)
        if chance > threshold:
            refused, refused_chance = trial, chance
            break
        allowed, allowed_chance = trial, chance
    while refused - allowed > 1 and allowed < room:
        trial = (allowed + refused) // 2
        chance = forecast.chance(shortage, trial - 1)
        if chance > threshold:
            refused, refused_chance = trial, chance
        else:
            allowed, allowed_chance = trial, chance
    return allowed, first, allowed_chance, refused_chance


def _percent(share: float) -> str:
    return f"{100.0 * share:.1f} %"
