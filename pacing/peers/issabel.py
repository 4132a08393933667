"""Issabel's `dialerd`: free agents plus those judged about to be free, over the answer rate of the last half hour.

An agent counts as about to be free when the exponential distribution function at (elapsed + mean ring time) passes
0.97, that
is after three and a half times the mean call: in effect hardly ever. Over-dialing by the answer-seizure ratio is an
option, on here, as without it the rule is progressive. Nothing is fed back from abandoned calls.
"""

from __future__ import annotations

import math
from collections.abc import Hashable

import numpy as np

from pacing.contract import AgentState, Outcome
from pacing.ledger import Ledger
from pacing.peers.windows import Mean, RecentCount
from pacing.rule import Proposal, Rule

_CYCLE_S = 5.0
_QUALITY = 0.97
_LEAST_COMPLETED = 10
_LEAST_ASR = 0.20
_ASR_WINDOW_S = 1_800.0


class Issabel(Rule):
    """Issabel with over-commitment."""

    def __init__(self) -> None:
        self._next_cycle = -math.inf
        self._talk = Mean(0.0)
        self._ring = Mean(8.0)
        self._placed = RecentCount(_ASR_WINDOW_S)
        self._reached = RecentCount(_ASR_WINDOW_S)

    def on_agent(self, now: float, before: AgentState, after: AgentState, elapsed_s: float) -> None:
        if before is AgentState.TALKING:
            self._talk.add(elapsed_s)

    def on_ended(self, now: float, call: Hashable, ring_s: float, outcome: Outcome) -> None:
        self._placed.add(now)
        # Only failures and ring-outs lower the ratio; a machine is a success to the exchange.
        if outcome is Outcome.MACHINE:
            self._reached.add(now)

    def on_answered(self, now: float, call: Hashable, ring_s: float | None) -> None:
        self._placed.add(now)
        self._reached.add(now)
        if ring_s is not None:
            self._ring.add(ring_s)

    def propose(self, now: float, floor: Ledger) -> Proposal:
        if self._next_cycle > now >= self._next_cycle - _CYCLE_S:
            return Proposal(dial=0, limit="cycle", reason="waiting for the next cycle of five seconds")
        self._next_cycle = now + _CYCLE_S
        soon = 0
        if self._talk.seen >= _LEAST_COMPLETED and self._talk.value > 0.0:
            reached = floor.agent_ages(now, AgentState.TALKING) + self._ring.value
            soon = int(np.count_nonzero(1.0 - np.exp(-reached / self._talk.value) >= _QUALITY))
        calls = max(floor.idle + soon - floor.waiting, 0)
        calls = max(calls - floor.ringing, 0)
        placed = self._placed.count(now)
        ratio = 1.0
        if placed >= _LEAST_COMPLETED:
            ratio = max(self._reached.count(now) / placed, _LEAST_ASR)
            calls = round(calls / ratio)
        return Proposal(
            dial=calls, limit="ratio", reason=f"{floor.idle} free and {soon} soon free, {100 * ratio:.0f} % answered"
        )
