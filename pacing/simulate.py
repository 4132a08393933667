"""Discrete-event simulation of a floor under any pacer, faster than real time.

The pacer is driven through the same contract as in the dialer. Agents take the person who has waited longest; among
free agents the one free for longest. Somebody who answers and has no agent within `connect_within_s` is abandoned.
"""

from __future__ import annotations

import heapq
import math
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pacing.callees import Callee, source
from pacing.contacts import ContactBook
from pacing.contract import Outcome, Pacer
from pacing.floor import Floor
from pacing.intervals import FloatArray

SLICE_S = 1_800.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """What a simulated day came to, from `measure_from_s` on.

    Attributes:
        occupancy: Time talking or in wrap-up over time on duty.
        dialed, answered, abandoned, connected: Calls by what happened to them.
        slice_answered, slice_abandoned: The same by half hour from the beginning of the day, shape (half hours,).
        first_answers_abandoned: Of the first 200 answers of the day, how many were abandoned.
        busy_s, staffed_s: Agent seconds.
        most_in_flight: Most calls ringing at once.
        decisions: How often the pacer was asked.
        hung_up: People who answered and hung up before an agent came, within the time allowed. They are neither
            connected nor abandoned.
        ended_s: When the day ended: earlier than planned where a list was through.
    """

    occupancy: float
    dialed: int
    answered: int
    abandoned: int
    connected: int
    slice_answered: FloatArray
    slice_abandoned: FloatArray
    slice_busy_s: FloatArray
    slice_staffed_s: FloatArray
    first_answers_abandoned: int
    busy_s: float
    staffed_s: float
    most_in_flight: int
    decisions: int
    hung_up: int = 0
    ended_s: float = 0.0

    @property
    def abandonment(self) -> float:
        """Abandoned over answered; 0 with no answers."""
        return self.abandoned / self.answered if self.answered else 0.0

    @property
    def worst_slice(self) -> float:
        """Largest abandonment of a half hour with 100 answers or more; 0 if there is none."""
        enough = self.slice_answered >= 100
        return float((self.slice_abandoned[enough] / self.slice_answered[enough]).max()) if enough.any() else 0.0


_RESOLVE, _GIVE_UP, _TALK_END, _WRAP_END, _ARRIVE, _LEAVE, _BREAK, _BACK, _DECIDE = range(9)
_IDLE, _BUSY, _AWAY = range(3)


class _Agent:
    __slots__ = ("break_due", "leaving", "name", "since", "state", "wrapup_s")

    def __init__(self, name: int) -> None:
        self.name = name
        self.state = _AWAY
        self.since = 0.0
        self.leaving = False
        self.break_due = False
        self.wrapup_s = 0.0


class Simulation:
    """One day of one floor under one pacer.

    Args:
        floor: The call centre.
        pacer: Told what happens and asked what to do.
        seed: Fixes callees and breaks; the same seed gives every method the same people.
        decide_every_s: How often the pacer is asked.
        decide_on_events: Ask it after every event too, as a dialer that never waits for its clock would.
        measure_from_s: Totals leave out what happened before (learning); half-hour slices do not.
        book: The list of a floor that has one, as the day before left it; None: all of it.
    """

    def __init__(
        self,
        floor: Floor,
        pacer: Pacer,
        *,
        seed: int,
        decide_every_s: float = 0.5,
        decide_on_events: bool = False,
        measure_from_s: float = 0.0,
        book: ContactBook | None = None,
    ) -> None:
        root = np.random.SeedSequence(seed)
        callees_seed, agents_seed = root.spawn(2)
        self._floor = floor
        self._pacer = pacer
        self._book = ContactBook(floor.contacts) if book is None and floor.contacts is not None else book
        self._callees = source(floor, callees_seed, self._book)
        self._decide_every_s = decide_every_s
        self._decide_on_events = decide_on_events
        self._measure_from_s = measure_from_s
        self._end_s = floor.hours * 3_600.0
        slices = math.ceil(self._end_s / SLICE_S)
        self._slice_answered = np.zeros(slices)
        self._slice_abandoned = np.zeros(slices)
        self._slice_busy_s = np.zeros(slices)
        self._slice_staffed_s = np.zeros(slices)
        self._busy_s = self._staffed_s = 0.0
        self._answered = self._abandoned = self._connected = self._dialed = self._hung_up = 0
        self._answers_ever = self._early_abandoned = 0
        self._early: set[int] = set()
        self._decisions = self._most_in_flight = 0
        self._heap: list[tuple[float, int, int, int]] = []
        self._sequence = 0
        self._calls: dict[int, Callee] = {}
        self._waiting: OrderedDict[int, Callee] = OrderedDict()
        self._free: deque[_Agent] = deque()
        self._agents: list[_Agent] = []
        self._break_rngs: list[np.random.Generator] = []
        for shift in floor.shifts:
            for _ in range(shift.agents):
                name = len(self._agents)
                self._agents.append(_Agent(name))
                self._at(shift.begins_s, _ARRIVE, name)
                if shift.ends_s < self._end_s:
                    self._at(shift.ends_s, _LEAVE, name)
                    if shift.announced:
                        pacer.agent_leaving(0.0, name, at=shift.ends_s)
        if floor.breaks is not None:
            self._break_rngs = [np.random.default_rng(child) for child in agents_seed.spawn(len(self._agents))]
            for agent in self._agents:
                self._plan_break(0.0, agent)
        self._handlers: tuple[Callable[[float, int], None], ...] = (
            self._resolve,
            self._give_up,
            self._talk_end,
            self._wrap_end,
            self._arrive,
            self._leave,
            self._take_break,
            self._back,
        )

    def run(self) -> Day:
        """Simulate to the end of the day."""
        heap, handlers, end_s = self._heap, self._handlers, self._end_s
        next_decision = 0.0
        while True:
            due = heap[0][0] if heap else math.inf
            if min(due, next_decision) >= end_s:
                break
            if next_decision < due:
                self._decide(next_decision)
                if self._book is not None and self._through(self._book):
                    end_s = next_decision
                    break
                next_decision += self._decide_every_s
                continue
            now, _, kind, subject = heapq.heappop(heap)
            handlers[kind](now, subject)
            if self._decide_on_events:
                self._decide(now)
        for agent in self._agents:
            self._account(end_s, agent)
        return self._day(end_s)

    def _through(self, book: ContactBook) -> bool:
        """Whether the day ends because nobody is left to be called today, and the last talk is over."""
        contacts = self._floor.contacts
        if contacts is None or not contacts.ends_day or book.next_at() < self._end_s:
            return False
        return not self._calls and not self._waiting and all(agent.state != _BUSY for agent in self._agents)

    def _day(self, ended_s: float) -> Day:
        return Day(
            occupancy=self._busy_s / self._staffed_s if self._staffed_s else 0.0,
            dialed=self._dialed,
            answered=self._answered,
            abandoned=self._abandoned,
            connected=self._connected,
            slice_answered=self._slice_answered,
            slice_abandoned=self._slice_abandoned,
            slice_busy_s=self._slice_busy_s,
            slice_staffed_s=self._slice_staffed_s,
            first_answers_abandoned=self._early_abandoned,
            busy_s=self._busy_s,
            staffed_s=self._staffed_s,
            most_in_flight=self._most_in_flight,
            decisions=self._decisions,
            hung_up=self._hung_up,
            ended_s=ended_s,
        )

    # Calls -----------------------------------------------------------------------------------------------------------

    def _decide(self, now: float) -> None:
        self._decisions += 1
        for _ in range(self._pacer.decide(now).dial):
            call = self._sequence
            callee = self._callees.call(now)
            if callee is None:
                break
            self._calls[call] = callee
            self._pacer.call_started(now, call, callee.segment)
            self._at(now + callee.after_s, _RESOLVE, call)
            if now >= self._measure_from_s:
                self._dialed += 1
        self._most_in_flight = max(self._most_in_flight, len(self._calls))

    def _resolve(self, now: float, call: int) -> None:
        callee = self._calls.pop(call)
        if callee.outcome is not None:
            self._pacer.call_ended(now, call, callee.outcome)
            return
        self._answers_ever += 1
        if self._answers_ever <= 200:
            self._early.add(call)
        if now >= self._measure_from_s:
            self._answered += 1
        self._slice_answered[int(now // SLICE_S)] += 1
        self._pacer.call_answered(now, call)
        if self._free:
            self._connect(now, call, callee, self._free.popleft())
        elif self._floor.connect_within_s > 0.0:
            self._waiting[call] = callee
            self._at(now + min(self._floor.connect_within_s, callee.patience_s), _GIVE_UP, call)
        else:
            self._abandon(now, call)

    def _connect(self, now: float, call: int, callee: Callee, agent: _Agent) -> None:
        self._connected += now >= self._measure_from_s
        self._change(now, agent, _BUSY, "talking")
        self._pacer.call_connected(now, call, agent.name)
        agent.wrapup_s = callee.wrapup_s
        self._at(now + callee.talk_s, _TALK_END, agent.name)

    def _give_up(self, now: float, call: int) -> None:
        callee = self._waiting.pop(call, None)
        if callee is None:
            return
        if callee.patience_s < self._floor.connect_within_s:
            # Hung up within the time allowed: counted neither as served nor as abandoned, as in the dialer.
            self._hung_up += now >= self._measure_from_s
            self._pacer.call_ended(now, call, Outcome.CANCELLED)
        else:
            self._abandon(now, call)

    def _abandon(self, now: float, call: int) -> None:
        self._abandoned += now >= self._measure_from_s
        self._early_abandoned += call in self._early
        self._slice_abandoned[int(now // SLICE_S)] += 1
        self._pacer.call_abandoned(now, call)

    # Agents ----------------------------------------------------------------------------------------------------------

    def _talk_end(self, now: float, name: int) -> None:
        agent = self._agents[name]
        if agent.wrapup_s > 0.0:
            self._pacer.agent_changed(now, name, "wrapup")
            self._at(now + agent.wrapup_s, _WRAP_END, name)
        else:
            self._wrap_end(now, name)

    def _wrap_end(self, now: float, name: int) -> None:
        agent = self._agents[name]
        if agent.leaving or agent.break_due:
            self._go_away(now, agent)
            return
        self._change(now, agent, _IDLE, "idle")
        self._offer(now, agent)

    def _offer(self, now: float, agent: _Agent) -> None:
        if self._waiting:
            call, callee = self._waiting.popitem(last=False)
            self._connect(now, call, callee, agent)
        else:
            self._free.append(agent)

    def _arrive(self, now: float, name: int) -> None:
        agent = self._agents[name]
        self._change(now, agent, _IDLE, "idle")
        self._offer(now, agent)

    def _leave(self, now: float, name: int) -> None:
        agent = self._agents[name]
        agent.leaving = True
        if agent.state == _IDLE:
            self._free.remove(agent)
            self._go_away(now, agent)
        elif agent.state == _BUSY:
            self._pacer.agent_leaving(now, agent.name)

    def _take_break(self, now: float, name: int) -> None:
        agent = self._agents[name]
        if agent.state == _AWAY:
            self._plan_break(now, agent)
            return
        agent.break_due = True
        if agent.state == _IDLE:
            self._free.remove(agent)
            self._go_away(now, agent)
        else:
            self._pacer.agent_leaving(now, agent.name)

    def _go_away(self, now: float, agent: _Agent) -> None:
        self._change(now, agent, _AWAY, "away")
        if agent.leaving:
            return
        agent.break_due = False
        breaks = self._floor.breaks
        assert breaks is not None
        length_s = float(breaks.length.sample(self._break_rngs[agent.name], 1)[0])
        self._at(now + length_s, _BACK, agent.name)

    def _back(self, now: float, name: int) -> None:
        agent = self._agents[name]
        if not agent.leaving:
            self._plan_break(now, agent)
            self._arrive(now, name)

    def _plan_break(self, now: float, agent: _Agent) -> None:
        breaks = self._floor.breaks
        assert breaks is not None
        self._at(now + float(breaks.every.sample(self._break_rngs[agent.name], 1)[0]), _BREAK, agent.name)

    def _change(self, now: float, agent: _Agent, state: int, told: str) -> None:
        self._account(now, agent)
        agent.state = state
        self._pacer.agent_changed(now, agent.name, told)

    def _account(self, now: float, agent: _Agent) -> None:
        """Book the time since the agent's last change."""
        since, agent.since = agent.since, now
        if agent.state == _AWAY:
            return
        busy = agent.state == _BUSY
        measured_s = max(now - max(since, self._measure_from_s), 0.0)
        self._staffed_s += measured_s
        self._busy_s += busy * measured_s
        while since < now:
            place = int(since // SLICE_S)
            until = min(now, (place + 1) * SLICE_S)
            self._slice_staffed_s[place] += until - since
            self._slice_busy_s[place] += busy * (until - since)
            since = until

    def _at(self, time: float, kind: int, subject: int) -> None:
        self._sequence += 1
        heapq.heappush(self._heap, (time, self._sequence, kind, subject))


def simulate(
    floor: Floor,
    pacer: Pacer,
    *,
    seed: int,
    decide_every_s: float = 0.5,
    decide_on_events: bool = False,
    measure_from_s: float = 0.0,
    book: ContactBook | None = None,
) -> Day:
    """Simulate one day; see `Simulation`."""
    return Simulation(
        floor,
        pacer,
        seed=seed,
        decide_every_s=decide_every_s,
        decide_on_events=decide_on_events,
        measure_from_s=measure_from_s,
        book=book,
    ).run()
