"""UNICOM (IBM) Interviewer's `Predict1PI`: over-dial by the connect rate times a factor held by a PI controller.

Calls = idle agents / answer rate x adjustment / 1000 - ringing. Every hundred answers the adjustment moves by the
error of abandonment against a set-point of 2.8 %; it starts at 150 and stays in 0 to 1000; while the day is over 3 %
there is no over-dialing. The gains are not published; these keep the loop stable over the scenarios here.
"""

from __future__ import annotations

import math
from collections.abc import Hashable

from pacing.contract import Outcome
from pacing.ledger import Ledger
from pacing.methods.simple import one_call_per_idle_agent
from pacing.peers.windows import Fading
from pacing.rule import Proposal, Rule

_BELOW_LIMIT = 0.002
_START = 150.0
_HIGHEST = 1_000.0
_EVERY_ANSWERS = 100
_PROPORTIONAL = 2_000.0
_INTEGRAL = 2_000.0
_RATE_WEIGHT = 0.01


class ProportionalIntegral(Rule):
    """A PI controller on abandonment.

    Args:
        max_abandonment: The hard limit of the day; the set-point is 0.2 points below it.
    """

    def __init__(self, *, max_abandonment: float) -> None:
        self._limit = max_abandonment
        self._set_point = max(max_abandonment - _BELOW_LIMIT, 0.0)
        self._adjustment = _START
        self._last_error = 0.0
        self._answer = Fading(_RATE_WEIGHT)
        self._answers = self._abandoned = 0
        self._block_answers = self._block_abandoned = 0

    def on_ended(self, now: float, call: Hashable, ring_s: float, outcome: Outcome) -> None:
        self._answer.add(0.0)

    def on_answered(self, now: float, call: Hashable, ring_s: float | None) -> None:
        self._answer.add(1.0)
        self._answers += 1
        self._block_answers += 1
        if self._block_answers >= _EVERY_ANSWERS:
            error = self._set_point - self._block_abandoned / self._block_answers
            change = _INTEGRAL * error + _PROPORTIONAL * (error - self._last_error)
            self._adjustment = min(max(self._adjustment + change, 0.0), _HIGHEST)
            self._last_error = error
            self._block_answers = self._block_abandoned = 0

    def on_abandoned(self, now: float, call: Hashable, waited_s: float) -> None:
        self._abandoned += 1
        self._block_abandoned += 1

    def propose(self, now: float, floor: Ledger) -> Proposal:
        safe = one_call_per_idle_agent(floor)
        rate = self._answer.value
        if not rate or self._abandoned > self._limit * max(self._answers, 1):
            return safe
        lines = floor.idle / max(rate, 0.02) * self._adjustment / _HIGHEST
        dial = max(math.floor(lines) - floor.ringing - floor.waiting, safe.dial)
        return Proposal(dial=dial, limit="ratio", reason=f"adjustment {self._adjustment:.0f} of 1000")

    def snapshot(self) -> dict[str, object]:
        return {"adjustment": self._adjustment}
