"""OMniDialer (OMniLeads, 2026): expected free agents over a fading answer rate, with a brake on abandonment.

Each second, agents free now plus, for each busy agent, 1 - exp(-ring / rest), where the rest of a talk is the mean
less the time elapsed and at least a second; less what rings times the answer rate; over the answer rate; times a boost
that falls as the fading abandonment nears its limit. Answer rate and abandonment fade over about nineteen events.
"""

from __future__ import annotations

import math
from collections.abc import Hashable

import numpy as np

from pacing.contract import AgentState, Outcome
from pacing.ledger import Ledger
from pacing.methods.simple import one_call_per_idle_agent
from pacing.peers.windows import Fading, Mean
from pacing.rule import Proposal, Rule

_CYCLE_S = 1.0
_FADE = 0.1
_WARM_UP_HANDLED = 50
_LEAST_ANSWER_RATE = 0.05
_LEAST_BOOST = 0.2
_TICKS_TO_LATCH = 5
_RELEASE_BELOW = 0.8


class OmniDialer(Rule):
    """OMniDialer's predictive mode.

    Args:
        max_abandonment: Limit on the fading abandonment.
        boost: Factor when there is no abandonment.
    """

    def __init__(self, *, max_abandonment: float, boost: float = 1.0) -> None:
        self._limit = max_abandonment
        self._boost = boost
        self._next_cycle = -math.inf
        self._answer = Fading(_FADE)
        self._drops = Fading(_FADE)
        self._ring = Mean(15.0)
        self._talk = Mean(120.0)
        self._wrapup = Mean(30.0)
        self._handled = 0
        self._ticks_over = 0
        self._latched = False

    def on_agent(self, now: float, before: AgentState, after: AgentState, elapsed_s: float) -> None:
        if before is AgentState.TALKING:
            self._talk.add(elapsed_s)
        elif before is AgentState.WRAPUP:
            self._wrapup.add(elapsed_s)

    def on_ended(self, now: float, call: Hashable, ring_s: float, outcome: Outcome) -> None:
        self._answer.add(0.0)

    def on_answered(self, now: float, call: Hashable, ring_s: float | None) -> None:
        self._answer.add(1.0)
        if ring_s is not None:
            self._ring.add(ring_s)

    def on_connected(self, now: float, call: Hashable, waited_s: float) -> None:
        self._handled += 1
        self._drops.add(0.0)

    def on_abandoned(self, now: float, call: Hashable, waited_s: float) -> None:
        self._drops.add(1.0)

    def propose(self, now: float, floor: Ledger) -> Proposal:
        if self._next_cycle > now >= self._next_cycle - _CYCLE_S:
            return Proposal(dial=0, limit="cycle", reason="waiting for the next second")
        self._next_cycle = now + _CYCLE_S
        drops = self._drops.value or 0.0
        self._latch(drops)
        answer = self._answer.value
        if answer is None or self._handled < _WARM_UP_HANDLED or self._latched:
            return one_call_per_idle_agent(floor)
        answer = max(answer, _LEAST_ANSWER_RATE)
        expected = (
            floor.idle
            + self._soon(floor.agent_ages(now, AgentState.TALKING), self._talk.value)
            + self._soon(floor.agent_ages(now, AgentState.WRAPUP), self._wrapup.value)
        )
        calls = math.floor((expected - floor.ringing * answer) / answer * self._brake(drops))
        return Proposal(
            dial=max(calls, 0),
            limit="level",
            reason=f"{expected:.1f} agents soon free, {100 * answer:.0f} % answered, factor {self._brake(drops):.2g}",
        )

    def _soon(self, elapsed_s: np.ndarray, mean_s: float) -> float:
        rest = np.maximum(mean_s - elapsed_s, 1.0)
        return float(np.sum(1.0 - np.exp(-self._ring.value / rest)))

    def _brake(self, drops: float) -> float:
        half = 0.5 * self._limit
        if drops <= half:
            return self._boost
        if drops >= self._limit:
            return _LEAST_BOOST
        return self._boost + (_LEAST_BOOST - self._boost) * (drops - half) / (self._limit - half)

    def _latch(self, drops: float) -> None:
        self._ticks_over = self._ticks_over + 1 if drops >= self._limit else 0
        if self._ticks_over >= _TICKS_TO_LATCH:
            self._latched = True
        elif drops < _RELEASE_BELOW * self._limit:
            self._latched = False
