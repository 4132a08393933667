"""What a pacing method is: it watches clean steps and proposes a number, which the limits then cut."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pacing.contract import AgentState, Outcome

if TYPE_CHECKING:
    from pacing.ledger import Ledger


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What a method would dial, before the hard limits; the fields mean what they mean in `Decision`."""

    dial: int
    limit: str
    reason: str
    expected_abandonment: float = 0.0
    threshold: float = 0.0
    budget_left: float | None = None
    answer_rate: float | None = None
    mean_talk_s: float | None = None
    mean_wrapup_s: float | None = None


class Rule:
    """A pacing method. Steps arrive in order and once each; the default is to learn nothing from them.

    A call goes on_started, then one of on_ended, on_lost, on_answered; an answered one then goes to one of
    on_connected, on_abandoned, on_left. Only on_answered may come without on_started.
    """

    @property
    def ahead_s(self) -> float:
        """Calls started now are answered within about so many seconds, if at all: who leaves sooner is no help."""
        return 15.0

    def propose(self, now: float, floor: Ledger) -> Proposal:
        """How many calls this method would start now."""
        raise NotImplementedError

    def on_agent(self, now: float, before: AgentState, after: AgentState, elapsed_s: float) -> None:
        """An agent went from one state to another after `elapsed_s` in the first."""

    def on_foreseen_leave(self, now: float, before: AgentState, elapsed_s: float) -> None:
        """An agent whose leaving was announced went away after `elapsed_s` in a state; by default like any other."""
        self.on_agent(now, before, AgentState.AWAY, elapsed_s)

    def on_started(self, now: float, call: Hashable) -> None:
        """A call was started."""

    def on_hint(self, now: float, call: Hashable, segment: int, *, new: bool) -> None:
        """The call just started belongs to this segment (a number from 1; see `pacing.segments`).

        `new` says that the number stands for something else than before.
        """

    def on_ended(self, now: float, call: Hashable, ring_s: float, outcome: Outcome) -> None:
        """A call ended without a live person, `ring_s` after it was started."""

    def on_lost(self, now: float, call: Hashable) -> None:
        """Nothing was heard of a started call for so long that it is forgotten."""

    def on_answered(self, now: float, call: Hashable, ring_s: float | None) -> None:
        """A live person answered `ring_s` after the start (None: the start was never heard of)."""

    def on_connected(self, now: float, call: Hashable, waited_s: float) -> None:
        """That person has an agent."""

    def on_abandoned(self, now: float, call: Hashable, waited_s: float) -> None:
        """That person found nobody in time."""

    def on_left(self, now: float, call: Hashable) -> None:
        """That person is gone, neither served nor abandoned."""

    def snapshot(self) -> dict[str, object]:
        """What the method has learned, as plain values."""
        return {}
