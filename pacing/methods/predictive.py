"""The product: start a call while the chance that it leaves somebody without an agent is small enough.

For the next call, if started now: it is answered at a random moment tau; by a moment t, A(t) of the ringing calls have
been answered and F(t) of the busy agents have come free. It finds nobody if A(tau) >= idle + F(tau). Or it takes an
agent whom somebody else misses later; so P = E[max over t >= tau of P(A(t) >= idle + F(t)) * P(it still has its agent
at t)] (`pacing.shortage`), times the ratio of all moments to the worst (`pacing.passage`). Calls are started one by one
while P is at most the threshold. Everything that P needs is learned while dialing (`pacing.methods.learned`), the
threshold is moved by what happens (`pacing.methods.threshold`), and the budget of the legal windows stands above it
(`pacing.methods.spending`).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Hashable

from pacing.budget import AbandonmentBudget
from pacing.contract import AgentState, Outcome
from pacing.ledger import Ledger
from pacing.methods.learned import Learned
from pacing.methods.parts import ALL_PARTS, Parts
from pacing.methods.simple import count, one_call_per_idle_agent
from pacing.methods.spending import Aim, Spending
from pacing.methods.threshold import Threshold
from pacing.rule import Proposal, Rule
from pacing.settings import PacingSettings
from pacing.shortage import Shortage

# Before there were answers enough to allow for anybody, and after a bad half hour, chances this small (as a share of
# the limit) are still taken.
_CAREFUL_SHARE = 0.05
# Below this share of the limit, what is left of the budget is what holds calls back, and is said to.
_FREE_SHARE = 0.75
_ALL_OF_IT = Aim(windows=1.0, half_hour=1.0)
# Whatever the estimates say, no floor needs more lines than this for each agent on duty.
_SANE_LINES_PER_AGENT = 120
# While nothing happens, an answer stands for so long: by then calls and talks have aged enough to ask again.
_STANDS_S = 0.9


class Predictive(Rule):
    """The one-call rule with learned hazards, a steered threshold and a budget.

    Args:
        settings: What the campaign has set.
        parts: What the rule is made of; all but in an ablation.
    """

    def __init__(self, settings: PacingSettings, parts: Parts = ALL_PARTS) -> None:
        self._parts = parts
        self._budget = AbandonmentBudget(settings.legal_windows, settings.max_abandonment)
        self._spending = Spending(self._budget)
        self._threshold = Threshold()
        self._learned = Learned(ring_timeout_s=settings.ring_timeout_s, grace_s=settings.connect_within_s, parts=parts)
        self._chances: dict[Hashable, float] = {}
        self._chances_sum = 0.0
        self._planned = (0.0, 0.0, 1)
        self._planned_dial = 0
        self._planned_used = 0
        self._planned_aim = 0.0
        self._started_chance = 0.0
        # The last answer: what it was given for, when, how many calls it started, and what holds once they are started.
        self._standing_version = -1
        self._standing_at = 0.0
        self._standing_dial = 0
        self._standing: Proposal | None = None

    @property
    def ahead_s(self) -> float:
        return self._learned.forecast.ahead_s

    # What happens ------------------------------------------------------------------------------------------------

    def on_agent(self, now: float, before: AgentState, after: AgentState, elapsed_s: float) -> None:
        self._learned.agent(now, before, after, elapsed_s, foreseen=False)

    def on_foreseen_leave(self, now: float, before: AgentState, elapsed_s: float) -> None:
        self._learned.agent(now, before, AgentState.AWAY, elapsed_s, foreseen=True)

    def on_started(self, now: float, call: Hashable) -> None:
        first, last, planned = self._planned
        step = min(self._planned_used, planned - 1)
        chance = first + (last - first) * (step / (planned - 1) if planned > 1 else 0.0)
        self._planned_used += 1
        self._chances[call] = chance
        self._chances_sum += chance
        self._started_chance += chance

    def on_hint(self, now: float, call: Hashable, segment: int, *, new: bool) -> None:
        self._learned.hint(call, segment, new=new)

    def on_ended(self, now: float, call: Hashable, ring_s: float, outcome: Outcome) -> None:
        self._learned.ended(now, call, ring_s, outcome)
        self._drop(call)

    def on_lost(self, now: float, call: Hashable) -> None:
        self._learned.lost(call)
        self._drop(call)

    def on_answered(self, now: float, call: Hashable, ring_s: float | None) -> None:
        self._learned.answered(now, call, ring_s)
        self._budget.answered(now)
        self._spending.answered(now)
        self._threshold.answered(self._drop(call))

    def on_abandoned(self, now: float, call: Hashable, waited_s: float) -> None:
        self._budget.abandon(now)
        self._spending.abandoned(now)
        self._threshold.abandoned()

    # What to do --------------------------------------------------------------------------------------------------

    def propose(self, now: float, floor: Ledger) -> Proposal:
        standing = self._standing
        if (
            standing is not None
            and floor.version == self._standing_version
            and self._planned_used == self._standing_dial
            and 0.0 <= now - self._standing_at < _STANDS_S
        ):
            return standing
        self._budget.expire(now)
        self._spending.expire(now)
        self._learn_from_started()
        if floor.staffed:
            self._learned.refresh(now, floor)
        proposal, beyond = self._weigh(now, floor)
        self._standing_version, self._standing_at = floor.version, now
        self._standing_dial = proposal.dial
        self._standing = proposal if proposal.dial == 0 else dataclasses.replace(proposal, dial=0, reason=beyond)
        return proposal

    def snapshot(self) -> dict[str, object]:
        window = self._budget.tightest
        return {
            "threshold": self._threshold.value,
            "target": self._budget.limit * self._aim(0.0).windows,
            "correction": self._threshold.correction,
            "window": window.name,
            "answers": window.answers,
            "abandoned": window.abandoned,
            "abandonment": window.rate,
            "budget_left": self._budget.left,
            "reserve": self._spending.reserve,
            **self._learned.snapshot(),
        }

    def _weigh(self, now: float, floor: Ledger) -> tuple[Proposal, str]:
        """What to propose, and why no more once that is done."""
        if floor.staffed == 0:
            words = "no agent is on duty"
            return self._proposal(0, "no_agents", words), words
        safe = one_call_per_idle_agent(floor)
        if not self._learned.enough:
            return self._safely(safe, "warming_up", "getting to know the list and the agents first")
        if self._parts.budget and self._spending.overdrawn:
            return self._safely(safe, "budget", f"{self._spent()}, so nothing is risked until more people are served")
        return self._by_threshold(now, floor, safe)

    def _safely(self, safe: Proposal, limit: str, why: str) -> tuple[Proposal, str]:
        """One call per idle agent, for this reason."""
        self._plan(0.0, 0.0, safe.dial)
        words = f"{safe.reason}; {why}"
        return self._proposal(safe.dial, limit, words), words

    def _by_threshold(self, now: float, floor: Ledger, safe: Proposal) -> tuple[Proposal, str]:
        """As many calls as the threshold, held down by the budget, lets pass."""
        learned, steering = self._learned, self._threshold
        forecast = learned.forecast
        at_risk = steering.correction * self._chances_sum * forecast.answer_rate
        aim = self._aim(at_risk, floor.waiting)
        window = self._budget.tightest
        first = self._parts.budget and self._budget_left() is None
        threshold = max(steering.value * aim.share, self._budget.limit * _CAREFUL_SHARE)
        shortage = forecast.shortage(
            floor.ringing_ages(now),
            floor.agent_ages(now, AgentState.TALKING),
            floor.agent_ages(now, AgentState.WRAPUP),
            floor.idle - floor.waiting,
            learned.ratios(floor),
        )
        room = max(_SANE_LINES_PER_AGENT * floor.staffed - floor.ringing, 0)
        dial, nearest, last, beyond = _most_calls(shortage, threshold, room)
        if dial < safe.dial:
            # Nobody can be lost by a call that has an idle agent to itself, whatever the forecast thinks.
            dial, last = safe.dial, max(nearest, last)
        self._plan(nearest, last, dial, aim=max(aim.share, _CAREFUL_SHARE))
        if aim.share >= _FREE_SHARE:
            limit, why = "threshold", f", budget left {max(self._budget.left - 1.0, 0.0):.0f}"
        elif first:
            so_far = f"{count(window.answers, 'answer')} so far ({window.name})"
            limit, why = "warming_up", f", held back: {so_far}, too few to risk much"
        elif aim.half_hour < aim.windows:
            limit, why = "budget", ", held back: too many were abandoned in the last half hour"
        else:
            limit, why = "budget", f", held back: {self._spent()}"
        chance_that = "the chance that the {} leaves somebody without an agent is {}, limit {}".format
        next_costs = chance_that("next", _percent(beyond), _percent(threshold))
        if dial == 0:
            words = next_costs + why
            return self._proposal(0, limit, words, 0.0, threshold), words
        words = chance_that("last", _percent(last), _percent(threshold)) + why
        return self._proposal(dial, limit, words, last, threshold), next_costs + why

    def _aim(self, at_risk: float, waiting: int = 0) -> Aim:
        return self._spending.aim(at_risk, waiting) if self._parts.budget else _ALL_OF_IT

    def _plan(self, first: float, last: float, dial: int, *, aim: float | None = None) -> None:
        """Remember the chances of the calls about to be started, and the share of the limit that they were meant for.

        Only those that a threshold held steer it; the others have no aim.
        """
        self._planned = (first, last, max(dial, 1))
        self._planned_used = 0
        self._planned_dial = 0 if aim is None else dial
        self._planned_aim = aim or 0.0
        self._started_chance = 0.0

    def _learn_from_started(self) -> None:
        """Move the threshold by the calls started since the last decision."""
        calls = self._planned_used
        if calls and self._planned_dial:
            bound = calls >= self._planned_dial
            self._threshold.started(
                calls,
                self._started_chance / calls,
                self._learned.answer_rate,
                aim=self._planned_aim,
                limit=self._budget.limit,
                bound=bound,
            )
        self._planned_used = 0
        self._started_chance = 0.0

    def _drop(self, call: Hashable) -> float:
        chance = self._chances.pop(call, 0.0)
        self._chances_sum = max(self._chances_sum - chance, 0.0) if self._chances else 0.0
        return chance

    def _spent(self) -> str:
        window = self._budget.tightest
        lost = f"{window.abandoned} of {count(window.answers, 'answered call')}"
        return f"{lost} abandoned ({window.name}), {_percent(window.limit)} allowed"

    def _budget_left(self) -> float | None:
        """People who may still be abandoned; None before there were answers enough to allow for one."""
        window = self._budget.tightest
        earned = window.abandoned > 0 or window.limit * window.answers >= 1.0
        return self._budget.left - 1.0 if earned else None

    def _proposal(self, dial: int, limit: str, reason: str, chance: float = 0.0, threshold: float = 0.0) -> Proposal:
        return Proposal(
            dial=dial,
            limit=limit,
            reason=reason,
            expected_abandonment=chance if dial else 0.0,
            threshold=threshold,
            budget_left=self._budget_left(),
            answer_rate=self._learned.answer_rate,
            mean_talk_s=self._learned.mean_talk_s,
            mean_wrapup_s=self._learned.mean_wrapup_s,
        )


def _most_calls(shortage: Shortage, threshold: float, room: int) -> tuple[int, float, float, float]:
    """The most calls whose last one is lost with a chance of at most `threshold`.

    Returns:
        The number; the chances of its first and of its last call (0 if none); and that of one call more (of the last
        one if there is no room for more).
    """
    first = shortage.chance(0)
    if first > threshold or room == 0:
        return 0, 0.0, 0.0, first
    # The chance grows with every call: go up fast until it is too large, then look where its logarithm, which is nearly
    # straight, should cross the threshold; every third time halve the gap, whatever the curve.
    allowed, allowed_chance, refused, refused_chance = 1, first, room + 1, first
    while allowed < room:
        trial = min(2 * allowed + 1, room)
        chance = shortage.chance(trial - 1)
        if chance > threshold:
            refused, refused_chance = trial, chance
            break
        allowed, allowed_chance = trial, chance
    tries = 0
    while refused - allowed > 1 and allowed < room:
        tries += 1
        trial = (allowed + refused) // 2
        if tries % 3 and refused_chance > allowed_chance > 0.0:
            share = math.log(threshold / allowed_chance) / math.log(refused_chance / allowed_chance)
            trial = min(max(allowed + round(share * (refused - allowed)), allowed + 1), refused - 1)
        chance = shortage.chance(trial - 1)
        if chance > threshold:
            refused, refused_chance = trial, chance
        else:
            allowed, allowed_chance = trial, chance
    return allowed, first, allowed_chance, refused_chance


def _percent(share: float) -> str:
    return f"{100.0 * share:.1f} %"
