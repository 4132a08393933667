"""A pacer: a ledger that makes sense of events, a rule that proposes, and the limits."""

from __future__ import annotations

from collections.abc import Hashable

from pacing.decision import Decision
from pacing.ledger import Ledger
from pacing.limits import clamp
from pacing.rule import Proposal, Rule
from pacing.settings import PacingSettings


class RulePacer:
    """Implements `pacing.contract.Pacer` around a `Rule`."""

    def __init__(self, method: str, rule: Rule, settings: PacingSettings) -> None:
        self.method = method
        self.settings = settings
        self._rule = rule
        self._floor = Ledger(rule, ring_timeout_s=settings.ring_timeout_s, connect_within_s=settings.connect_within_s)
        self._last_proposal: Proposal | None = None
        self._last_state = (-1, -1)
        self._last = Decision(dial=0, limit="no_agents", explanation="")

    def agent_changed(self, now: float, agent: Hashable, state: str) -> None:
        self._floor.agent_changed(now, agent, state)

    def agent_leaving(self, now: float, agent: Hashable, leaving: bool = True, at: float | None = None) -> None:
        self._floor.agent_leaving(now, agent, leaving=leaving, at=at)

    def call_started(self, now: float, call: Hashable, segment: Hashable = None) -> None:
        self._floor.call_started(now, call, segment)

    def call_ended(self, now: float, call: Hashable, outcome: str) -> None:
        self._floor.call_ended(now, call, outcome)

    def call_answered(self, now: float, call: Hashable) -> None:
        self._floor.call_answered(now, call)

    def call_connected(self, now: float, call: Hashable, agent: Hashable) -> None:
        # Which agent does not matter: the agent's own change to "talking" says that somebody is busy.
        self._floor.call_connected(now, call)

    def call_abandoned(self, now: float, call: Hashable) -> None:
        self._floor.call_abandoned(now, call)

    def decide(self, now: float) -> Decision:
        floor = self._floor
        now = floor.moment(now)
        floor.sweep(now)
        proposed = self._rule.propose(now, floor)
        state = (floor.version, floor.ringing)
        if proposed is self._last_proposal and state == self._last_state and self._last.dial == 0:
            return self._last
        proposal = clamp(proposed, self.settings, floor)
        self._last_proposal, self._last_state = proposed, state
        self._last = Decision(
            dial=proposal.dial,
            expected_abandonment=proposal.expected_abandonment if proposal.dial else 0.0,
            threshold=proposal.threshold,
            budget_left=proposal.budget_left,
            limit=proposal.limit,
            explanation=_sentence(proposal.dial, proposal.reason),
            idle=floor.idle,
            busy=floor.busy,
            waiting=floor.waiting,
            in_flight=floor.ringing,
            answer_rate=proposal.answer_rate,
            mean_talk_s=proposal.mean_talk_s,
            mean_wrapup_s=proposal.mean_wrapup_s,
        )
        return self._last

    def snapshot(self) -> dict[str, object]:
        return {"method": self.method, **self._floor.snapshot(), **self._rule.snapshot()}


def _sentence(dial: int, reason: str) -> str:
    calls = "no call now" if dial == 0 else "1 more call" if dial == 1 else f"{dial} more calls"
    return f"{calls}: {reason}"
