"""Turns what telephony delivers into a consistent picture of the floor.

Events arrive late, twice, out of order, or never. The ledger keeps who is idle, talking or in wrap-up, which calls
ring and who waits, and passes on to the rule only clean steps: a call rings once, then is answered or ends, then is
connected or abandoned, each at most once. What it cannot make sense of changes nothing.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Hashable

import numpy as np

from pacing.contract import AgentState, Outcome
from pacing.intervals import FloatArray, IntArray, OpenIntervals
from pacing.rule import Rule
from pacing.segments import SegmentSlots
from pacing.shifts import ShiftEnds

# Ids of finished calls are remembered so that a repeated or late event does not bring a call back to life.
_REMEMBERED_ENDS = 4_096
# No real campaign has so many calls or agents at once; a flood of ids must not take the memory.
_MAX_CALLS = 100_000
_MAX_AGENTS = 50_000
# A call whose end was lost is given up this long after it must have ended; a person cannot wait for longer than this.
_LOST_AFTER_S = 30.0

# Seconds; a moment further out is a broken clock (and would not fit into the integers that bins are counted with).
_LATEST = 1e15

_STATES = {state.value: state for state in AgentState}
_OUTCOMES = {outcome.value: outcome for outcome in Outcome}


class Ledger:
    """The floor as the pacer knows it.

    Args:
        rule: Told each clean step.
        ring_timeout_s: After this and some patience, a call that nothing was heard of is forgotten.
        connect_within_s: After this and some patience, a waiting person nothing was heard of is forgotten.
    """

    def __init__(self, rule: Rule, *, ring_timeout_s: float, connect_within_s: float) -> None:
        self._rule = rule
        self._ring_lost_s = 2.0 * ring_timeout_s + _LOST_AFTER_S
        self._wait_lost_s = connect_within_s + _LOST_AFTER_S
        self._agents: dict[Hashable, AgentState] = {}
        self._by_state = {
            AgentState.IDLE: OpenIntervals(),
            AgentState.TALKING: OpenIntervals(),
            AgentState.WRAPUP: OpenIntervals(),
        }
        # Agents who will be away after what they are doing: on the floor, but not to be counted on.
        self._leaving: set[Hashable] = set()
        self._leaving_by_state = {state: OpenIntervals() for state in self._by_state}
        self._shifts = ShiftEnds(_MAX_AGENTS)
        self._segments = SegmentSlots()
        self._ringing = OpenIntervals()
        self._waiting = OpenIntervals()
        self._ended: OrderedDict[Hashable, None] = OrderedDict()
        self._last = 0.0
        self._next_sweep = -math.inf
        self.ignored_events = 0
        # Counts the steps that may change a decision.
        self.version = 0

    # What is known -----------------------------------------------------------------------------------------------

    @property
    def idle(self) -> int:
        """Agents free now who can be counted on."""
        return len(self._by_state[AgentState.IDLE])

    @property
    def talking(self) -> int:
        """Agents talking now who can be counted on."""
        return len(self._by_state[AgentState.TALKING])

    @property
    def wrapping_up(self) -> int:
        """Agents in wrap-up now who can be counted on."""
        return len(self._by_state[AgentState.WRAPUP])

    @property
    def busy(self) -> int:
        """Agents talking or in wrap-up now, those about to leave too."""
        leaving = self._leaving_by_state
        announced = len(leaving[AgentState.TALKING]) + len(leaving[AgentState.WRAPUP])
        return self.talking + self.wrapping_up + announced

    @property
    def staffed(self) -> int:
        """Agents on duty who can be counted on: idle, talking or in wrap-up, and not about to leave."""
        return len(self._agents) - len(self._leaving)

    @property
    def leaving(self) -> int:
        """Agents who will be away after what they are doing."""
        return len(self._leaving)

    @property
    def ringing(self) -> int:
        """Calls started and neither answered nor ended."""
        return len(self._ringing)

    @property
    def waiting(self) -> int:
        """Live people waiting for an agent."""
        return len(self._waiting)

    def ringing_ages(self, now: float) -> FloatArray:
        """Seconds since each ringing call was started."""
        return self._ringing.ages(now)

    def agent_ages(self, now: float, state: AgentState) -> FloatArray:
        """Seconds that each agent in `state` has been in it; without those about to leave."""
        return self._by_state[state].ages(now)

    def all_agent_ages(self, now: float, state: AgentState) -> FloatArray:
        """Seconds that each agent in `state` has been in it; those about to leave too."""
        leaving = self._leaving_by_state[state]
        ages = self._by_state[state].ages(now)
        return np.concatenate([ages, leaving.ages(now)]) if len(leaving) else ages

    def ringing_segments(self) -> IntArray:
        """The segment of each ringing call, 0 for none, in the order of `ringing_ages`."""
        return self._ringing.marks()

    # What happens --------------------------------------------------------------------------------------------------

    def moment(self, now: float) -> float:
        """`now` if it is a moment that can be, else the last one that was."""
        if abs(now) < _LATEST:  # false for a value that is not a number
            self._last = float(now)
        return self._last

    def agent_changed(self, now: float, agent: Hashable, state: str) -> None:
        now = self.moment(now)
        after = _STATES.get(state)
        before = self._agents.get(agent, AgentState.AWAY)
        if after is None or after is before:
            self.ignored_events += 1
            return
        leaving = agent in self._leaving
        by_state = self._leaving_by_state if leaving else self._by_state
        since: float | None = None
        if before is not AgentState.AWAY:
            since = by_state[before].end(agent)
        elapsed_s = 0.0 if since is None else max(now - since, 0.0)
        if after is AgentState.AWAY:
            del self._agents[agent]
            self._leaving.discard(agent)
        else:
            if before is AgentState.AWAY and len(self._agents) >= _MAX_AGENTS:
                self.ignored_events += 1
                return
            self._agents[agent] = after
            by_state[after].begin(agent, now)
        self.version += 1
        if after is AgentState.IDLE and self._shifts.over(agent, now):
            self._shifts.forget(agent)
            self._leave(now, agent, leaving=False)
        if leaving and after is AgentState.AWAY:
            self._rule.on_foreseen_leave(now, before, elapsed_s)
        else:
            self._rule.on_agent(now, before, after, elapsed_s)

    def agent_leaving(self, now: float, agent: Hashable, *, leaving: bool, at: float | None = None) -> None:
        now = self.moment(now)
        if at is not None:
            # Also of agents who are not there: a break in between does not move the end of a shift.
            known = leaving and abs(at) < _LATEST and self._shifts.tell(agent, at, now)
            self.ignored_events += not known
            return
        forgotten = not leaving and self._shifts.forget(agent)
        moved = self._leave(now, agent, leaving=leaving)
        self.ignored_events += not (forgotten or moved)

    def _leave(self, now: float, agent: Hashable, *, leaving: bool) -> bool:
        """Move an agent to those who are counted on or to those who are not; False where there is nobody to move."""
        state = self._agents.get(agent)
        if state is None or leaving is (agent in self._leaving):
            return False
        before, after = self._by_state[state], self._leaving_by_state[state]
        if leaving:
            self._leaving.add(agent)
        else:
            self._leaving.remove(agent)
            before, after = after, before
        since = before.end(agent)
        after.begin(agent, now if since is None else since)
        self.version += 1
        return True

    def call_started(self, now: float, call: Hashable, segment: Hashable = None) -> None:
        now = self.moment(now)
        if call in self._ringing or call in self._waiting or call in self._ended:
            self.ignored_events += 1
            return
        if len(self._ringing) >= _MAX_CALLS:
            self._lose(now, self._ringing.oldest())
        slot, new = self._segments.slot(segment)
        self._ringing.begin(call, now, slot)
        self._rule.on_started(now, call)
        if slot:
            self._rule.on_hint(now, call, slot, new=new)

    def call_ended(self, now: float, call: Hashable, outcome: str) -> None:
        now = self.moment(now)
        self.version += 1
        since = self._ringing.end(call)
        if since is not None:
            self._remember(call)
            self._rule.on_ended(now, call, max(now - since, 0.0), _OUTCOMES.get(outcome, Outcome.FAILED))
        elif self._waiting.end(call) is not None:
            # Hung up within the time allowed, or lost: neither served nor abandoned.
            self._remember(call)
            self._rule.on_left(now, call)
        else:
            self.ignored_events += 1

    def call_answered(self, now: float, call: Hashable) -> None:
        now = self.moment(now)
        if call in self._waiting or call in self._ended:
            self.ignored_events += 1
            return
        self.version += 1
        self._answer(now, call)
        if len(self._waiting) >= _MAX_CALLS:
            oldest = self._waiting.oldest()
            self._waiting.end(oldest)
            self._rule.on_left(now, oldest)
        self._waiting.begin(call, now)

    def call_connected(self, now: float, call: Hashable) -> None:
        now = self.moment(now)
        since = self._resolve_answered(now, call)
        if since is not None:
            self._rule.on_connected(now, call, max(now - since, 0.0))

    def call_abandoned(self, now: float, call: Hashable) -> None:
        now = self.moment(now)
        since = self._resolve_answered(now, call)
        if since is not None:
            self._rule.on_abandoned(now, call, max(now - since, 0.0))

    def sweep(self, now: float) -> None:
        """Forget calls and waiting people whose end must have been lost, and see whose shift ends.

        Looks at most once a second.
        """
        if self._next_sweep > now >= self._next_sweep - 1.0:
            return
        self._next_sweep = now + 1.0
        for call in self._ringing.older_than(now, self._ring_lost_s):
            self._lose(now, call)
        for call in self._waiting.older_than(now, self._wait_lost_s):
            self._waiting.end(call)
            self._remember(call)
            self.version += 1
            self._rule.on_left(now, call)
        for agent in self._shifts.soon_over(now + self._rule.ahead_s):
            self._leave(now, agent, leaving=True)
        for agent in self._shifts.long_over(now):
            state = self._agents.get(agent, AgentState.AWAY)
            if state is AgentState.IDLE:
                # They sit there all the same, and will be given calls.
                self._leave(now, agent, leaving=False)
            if state in {AgentState.IDLE, AgentState.AWAY}:
                self._shifts.forget(agent)

    def snapshot(self) -> dict[str, object]:
        return {
            "idle": self.idle,
            "talking": self.talking,
            "wrapup": self.wrapping_up,
            "leaving": self.leaving,
            "in_flight": self.ringing,
            "waiting": self.waiting,
            "ignored_events": self.ignored_events,
        }

    def _answer(self, now: float, call: Hashable) -> None:
        since = self._ringing.end(call)
        # A call whose start was never heard of (a restart) is a live person all the same, but tells nothing of ringing.
        self._rule.on_answered(now, call, None if since is None else max(now - since, 0.0))

    def _resolve_answered(self, now: float, call: Hashable) -> float | None:
        """The moment of the answer, or None if this call has been dealt with already."""
        if call in self._ended:
            self.ignored_events += 1
            return None
        self.version += 1
        since = self._waiting.end(call)
        if since is None:
            self._answer(now, call)
            since = now
        self._remember(call)
        return since

    def _lose(self, now: float, call: Hashable) -> None:
        self.version += 1
        self._ringing.end(call)
        self._remember(call)
        self._rule.on_lost(now, call)

    def _remember(self, call: Hashable) -> None:
        self._ended[call] = None
        if len(self._ended) > _REMEMBERED_ENDS:
            self._ended.popitem(last=False)
