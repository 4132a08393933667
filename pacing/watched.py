"""A pacer that is looked at: what the floor was like through the day, whatever the method.

Stands between a simulation and its pacer, lets everything through, and keeps one row for each span of time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass

from pacing.contract import Pacer
from pacing.decision import Decision


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A floor over one span of time.

    Attributes:
        at_s: End of the span.
        idle, busy, waiting, in_flight: Mean number, over the decisions in the span, of free agents, of agents talking
            or in wrap-up, of people waiting for an agent, and of calls ringing.
        answered, abandoned: Live answers and abandoned people since the beginning.
        threshold: Mean chance that the last call was held to; 0 where the method holds it to none.
    """

    at_s: float
    idle: float
    busy: float
    waiting: float
    in_flight: float
    answered: int
    abandoned: int
    threshold: float


class Watched:
    """A pacer and a record of what it was told and said.

    Args:
        pacer: Decides.
        every_s: Length of a span.
    """

    def __init__(self, pacer: Pacer, every_s: float = 60.0) -> None:
        self._pacer = pacer
        self._every_s = every_s
        self._states: dict[Hashable, str] = {}
        self._agents: Counter[str] = Counter()
        self._ringing: set[Hashable] = set()
        self._waiting: set[Hashable] = set()
        self._answered = self._abandoned = 0
        self._until = every_s
        self._looks = 0
        self._idle = self._busy = self._waited = self._rang = 0
        self._threshold = 0.0
        self.moments: list[Moment] = []
        #: What stopped a decision, by how often.
        self.limits: Counter[str] = Counter()

    def agent_changed(self, now: float, agent: Hashable, state: str) -> None:
        """As in `Pacer`."""
        before = self._states.get(agent)
        if before is not None:
            self._agents[before] -= 1
        self._states[agent] = state
        self._agents[state] += 1
        self._pacer.agent_changed(now, agent, state)

    def agent_leaving(self, now: float, agent: Hashable, leaving: bool = True, at: float | None = None) -> None:
        """As in `Pacer`."""
        self._pacer.agent_leaving(now, agent, leaving, at)

    def call_started(self, now: float, call: Hashable, segment: Hashable = None) -> None:
        """As in `Pacer`."""
        self._ringing.add(call)
        self._pacer.call_started(now, call, segment)

    def call_ended(self, now: float, call: Hashable, outcome: str) -> None:
        """As in `Pacer`."""
        self._ringing.discard(call)
        self._waiting.discard(call)
        self._pacer.call_ended(now, call, outcome)

    def call_answered(self, now: float, call: Hashable) -> None:
        """As in `Pacer`."""
        self._ringing.discard(call)
        self._waiting.add(call)
        self._answered += 1
        self._pacer.call_answered(now, call)

    def call_connected(self, now: float, call: Hashable, agent: Hashable) -> None:
        """As in `Pacer`."""
        self._waiting.discard(call)
        self._pacer.call_connected(now, call, agent)

    def call_abandoned(self, now: float, call: Hashable) -> None:
        """As in `Pacer`."""
        self._waiting.discard(call)
        self._abandoned += 1
        self._pacer.call_abandoned(now, call)

    def decide(self, now: float) -> Decision:
        """As in `Pacer`."""
        while now >= self._until:
            self._close()
        decision = self._pacer.decide(now)
        agents = self._agents
        self._looks += 1
        self._idle += agents["idle"]
        self._busy += agents["talking"] + agents["wrapup"]
        self._waited += len(self._waiting)
        self._rang += len(self._ringing)
        self._threshold += decision.threshold
        self.limits[decision.limit] += 1
        return decision

    def snapshot(self) -> dict[str, object]:
        """As in `Pacer`."""
        return self._pacer.snapshot()

    def _close(self) -> None:
        looks = max(self._looks, 1)
        self.moments.append(
            Moment(
                at_s=self._until,
                idle=self._idle / looks,
                busy=self._busy / looks,
                waiting=self._waited / looks,
                in_flight=self._rang / looks,
                answered=self._answered,
                abandoned=self._abandoned,
                threshold=self._threshold / looks,
            )
        )
        self._until += self._every_s
        self._looks = self._idle = self._busy = self._waited = self._rang = 0
        self._threshold = 0.0
