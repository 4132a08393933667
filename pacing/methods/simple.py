"""Methods that need no forecast: preview, progressive and a fixed ratio."""

from __future__ import annotations

import math

from pacing.ledger import Ledger
from pacing.rule import Proposal, Rule


class Preview(Rule):
    """Never dials by itself: the agent looks at the contact first and asks for the call."""

    def propose(self, now: float, floor: Ledger) -> Proposal:
        return Proposal(dial=0, limit="preview", reason="agents start their own calls")


class Progressive(Rule):
    """One call per idle agent, so that nobody who answers can be left without one."""

    def propose(self, now: float, floor: Ledger) -> Proposal:
        return one_call_per_idle_agent(floor)


class FixedRatio(Rule):
    """A fixed number of lines per idle agent.

    Args:
        ratio: Lines per idle agent; 1 is progressive.
    """

    def __init__(self, ratio: float) -> None:
        self._ratio = ratio

    def propose(self, now: float, floor: Ledger) -> Proposal:
        free = max(floor.idle - floor.waiting, 0)
        dial = max(math.floor(self._ratio * free + 1e-9) - floor.ringing, 0)
        return Proposal(
            dial=dial,
            limit="ratio",
            reason=f"{self._ratio:g} lines for each of {count(free, 'idle agent')}, {floor.ringing} in use",
        )


def one_call_per_idle_agent(floor: Ledger) -> Proposal:
    """As many calls as there are idle agents with no call of theirs ringing yet."""
    dial = max(floor.idle - floor.waiting - floor.ringing, 0)
    if floor.idle == 0:
        reason = "no agent is free"
    else:
        reason = f"one call for each of {count(floor.idle, 'idle agent')}, {floor.ringing + floor.waiting} under way"
    return Proposal(dial=dial, limit="idle", reason=reason)


def count(number: int, noun: str) -> str:
    """The number with its noun: "1 idle agent", "3 idle agents"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
