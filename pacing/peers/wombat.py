"""WombatDialer: a boost factor, set by hand, times the agents available."""

from __future__ import annotations

import math

from pacing.ledger import Ledger
from pacing.rule import Proposal, Rule


class Wombat(Rule):
    """Calls in progress up to floor(available agents x boost), none while too many people wait.

    Args:
        boost: The factor; the comparison uses 2.5, set by hand.
        most_waiting: People waiting at which nothing more is dialed.
    """

    def __init__(self, *, boost: float = 2.5, most_waiting: int = 1) -> None:
        self._boost = boost
        self._most_waiting = most_waiting

    def propose(self, now: float, floor: Ledger) -> Proposal:
        if floor.waiting >= self._most_waiting:
            return Proposal(dial=0, limit="waiting", reason=f"{floor.waiting} people wait")
        dial = max(math.floor(self._boost * floor.idle) - floor.ringing, 0)
        return Proposal(dial=dial, limit="ratio", reason=f"{self._boost:g} lines for each available agent")
