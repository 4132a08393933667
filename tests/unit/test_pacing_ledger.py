"""The ledger against what telephony does to events."""

from __future__ import annotations

import math
from collections.abc import Hashable

from pacing.contract import AgentState, Outcome
from pacing.ledger import Ledger
from pacing.rule import Rule
from pacing.shifts import ShiftEnds


class Recorder(Rule):
    """Writes down the clean steps."""

    def __init__(self) -> None:
        self.steps: list[tuple[object, ...]] = []

    def on_agent(self, now: float, before: AgentState, after: AgentState, elapsed_s: float) -> None:
        self.steps.append(("agent", before.value, after.value, elapsed_s))

    def on_started(self, now: float, call: Hashable) -> None:
        self.steps.append(("started", call))

    def on_ended(self, now: float, call: Hashable, ring_s: float, outcome: Outcome) -> None:
        self.steps.append(("ended", call, ring_s, outcome.value))

    def on_lost(self, now: float, call: Hashable) -> None:
        self.steps.append(("lost", call))

    def on_answered(self, now: float, call: Hashable, ring_s: float | None) -> None:
        self.steps.append(("answered", call, ring_s))

    def on_connected(self, now: float, call: Hashable, waited_s: float) -> None:
        self.steps.append(("connected", call, waited_s))

    def on_abandoned(self, now: float, call: Hashable, waited_s: float) -> None:
        self.steps.append(("abandoned", call, waited_s))

    def on_left(self, now: float, call: Hashable) -> None:
        self.steps.append(("left", call))


def _ledger() -> tuple[Ledger, Recorder]:
    recorder = Recorder()
    return Ledger(recorder, ring_timeout_s=30.0, connect_within_s=2.0), recorder


def test_a_call_goes_through_its_steps_once() -> None:
    ledger, recorder = _ledger()
    for _ in range(2):
        ledger.call_started(10.0, "c")
        ledger.call_answered(18.0, "c")
        ledger.call_connected(18.5, "c")
        ledger.call_abandoned(19.0, "c")
        ledger.call_ended(19.0, "c", "failed")
    assert recorder.steps == [("started", "c"), ("answered", "c", 8.0), ("connected", "c", 0.5)]
    assert ledger.ringing == ledger.waiting == 0
    assert ledger.ignored_events == 7


def test_a_connection_heard_of_before_its_answer_counts_as_both() -> None:
    ledger, recorder = _ledger()
    ledger.call_started(0.0, 1)
    ledger.call_connected(5.0, 1)
    ledger.call_answered(5.0, 1)
    assert recorder.steps == [("started", 1), ("answered", 1, 5.0), ("connected", 1, 0.0)]
    assert ledger.waiting == 0


def test_an_abandoned_call_of_unknown_start_still_counts_but_tells_nothing_of_ringing() -> None:
    ledger, recorder = _ledger()
    ledger.call_abandoned(5.0, "after restart")
    assert recorder.steps == [("answered", "after restart", None), ("abandoned", "after restart", 0.0)]


def test_a_late_start_does_not_raise_a_finished_call_from_the_dead() -> None:
    ledger, recorder = _ledger()
    ledger.call_started(0.0, 1)
    ledger.call_ended(3.0, 1, "busy")
    ledger.call_started(4.0, 1)
    assert ledger.ringing == 0
    assert recorder.steps[-1] == ("ended", 1, 3.0, "busy")


def test_an_unheard_of_outcome_counts_as_failed() -> None:
    ledger, recorder = _ledger()
    ledger.call_started(0.0, 1)
    ledger.call_ended(1.0, 1, "struck by lightning")
    assert recorder.steps[-1] == ("ended", 1, 1.0, "failed")


def test_somebody_who_hangs_up_while_allowed_to_wait_is_neither_served_nor_abandoned() -> None:
    ledger, recorder = _ledger()
    ledger.call_started(0.0, 1)
    ledger.call_answered(9.0, 1)
    ledger.call_ended(9.8, 1, "cancelled")
    assert recorder.steps[-1] == ("left", 1)
    assert ledger.waiting == 0


def test_agents_change_state_once_and_unknown_words_change_nothing() -> None:
    ledger, recorder = _ledger()
    for state in ("idle", "idle", "talking", "talking", "lunch", "wrapup", "away", "away"):
        ledger.agent_changed(float(len(recorder.steps) * 10), "anna", state)
    assert [step[1:3] for step in recorder.steps] == [
        ("away", "idle"),
        ("idle", "talking"),
        ("talking", "wrapup"),
        ("wrapup", "away"),
    ]
    assert ledger.staffed == 0


def test_time_going_backwards_gives_no_negative_durations() -> None:
    ledger, recorder = _ledger()
    ledger.call_started(100.0, 1)
    ledger.call_ended(40.0, 1, "busy")
    ledger.agent_changed(100.0, 1, "idle")
    ledger.agent_changed(10.0, 1, "talking")
    assert recorder.steps[1] == ("ended", 1, 0.0, "busy")
    assert recorder.steps[3] == ("agent", "idle", "talking", 0.0)


def test_a_moment_that_is_not_a_number_is_taken_as_the_last_one() -> None:
    ledger, recorder = _ledger()
    ledger.call_started(7.0, 1)
    ledger.call_answered(float("nan"), 1)
    ledger.call_abandoned(float("inf"), 1)
    ledger.call_answered(9.3e18, 2)
    assert recorder.steps == [("started", 1), ("answered", 1, 0.0), ("abandoned", 1, 0.0), ("answered", 2, None)]


def test_calls_and_waiting_people_whose_end_was_lost_are_forgotten() -> None:
    ledger, recorder = _ledger()
    ledger.call_started(0.0, "ghost")
    ledger.call_answered(0.0, "lost voice")
    ledger.sweep(30.0)
    assert (ledger.ringing, ledger.waiting) == (1, 1)
    ledger.sweep(33.0)
    assert (ledger.ringing, ledger.waiting) == (1, 0)
    ledger.sweep(91.0)
    assert (ledger.ringing, ledger.waiting) == (0, 0)
    assert ("lost", "ghost") in recorder.steps
    assert ("left", "lost voice") in recorder.steps


def test_ages_follow_the_calls_through_removals() -> None:
    ledger, _ = _ledger()
    for call in range(40):
        ledger.call_started(float(call), call)
    for call in range(0, 40, 2):
        ledger.call_ended(40.0, call, "busy")
    assert sorted(ledger.ringing_ages(40.0)) == [40.0 - call for call in range(39, 0, -2)]


def test_an_agent_who_will_leave_is_not_counted_on_but_still_on_the_floor() -> None:
    ledger, recorder = _ledger()
    for agent in ("anna", "ben"):
        ledger.agent_changed(0.0, agent, "idle")
        ledger.agent_changed(10.0, agent, "talking")
    ledger.agent_leaving(20.0, "anna", leaving=True)
    ledger.agent_leaving(21.0, "anna", leaving=True)
    assert (ledger.staffed, ledger.talking, ledger.busy, ledger.leaving) == (1, 1, 2, 1)
    assert ledger.agent_ages(25.0, AgentState.TALKING).tolist() == [15.0]
    assert ledger.all_agent_ages(25.0, AgentState.TALKING).tolist() == [15.0, 15.0]
    ledger.agent_changed(30.0, "anna", "wrapup")
    assert (ledger.wrapping_up, ledger.busy) == (0, 2)
    ledger.agent_changed(40.0, "anna", "away")
    assert recorder.steps[-2:] == [("agent", "talking", "wrapup", 20.0), ("agent", "wrapup", "away", 10.0)]
    assert ledger.leaving == 0
    ledger.agent_changed(50.0, "anna", "idle")  # back from the break, and counted on again
    assert (ledger.staffed, ledger.idle) == (2, 1)


def test_leaving_can_be_taken_back_and_means_nothing_for_agents_who_are_away() -> None:
    ledger, _ = _ledger()
    ledger.agent_leaving(0.0, "nobody", leaving=True)
    assert (ledger.leaving, ledger.ignored_events) == (0, 1)
    ledger.agent_changed(0.0, "anna", "idle")
    ledger.agent_changed(5.0, "anna", "talking")
    ledger.agent_leaving(6.0, "anna", leaving=True)
    ledger.agent_leaving(7.0, "anna", leaving=False)
    assert (ledger.leaving, ledger.talking) == (0, 1)
    assert ledger.agent_ages(10.0, AgentState.TALKING).tolist() == [5.0]


def _at_the_end_of_a_shift() -> Ledger:
    """Anna's shift ends after 100 s, Ben's does not."""
    ledger, _ = _ledger()
    ledger.agent_leaving(0.0, "anna", leaving=True, at=100.0)  # before she is there
    for agent in ("anna", "ben"):
        ledger.agent_changed(0.0, agent, "idle")
    return ledger


def test_an_agent_is_not_counted_on_shortly_before_the_end_of_the_shift() -> None:
    ledger = _at_the_end_of_a_shift()
    ledger.agent_changed(10.0, "anna", "away")  # a break moves nothing
    ledger.agent_changed(40.0, "anna", "idle")
    ledger.sweep(80.0)
    assert (ledger.idle, ledger.leaving) == (2, 0)
    ledger.sweep(90.0)
    assert (ledger.idle, ledger.staffed, ledger.leaving) == (1, 1, 1)
    ledger.agent_changed(101.0, "anna", "away")
    assert ledger.leaving == 0
    ledger.sweep(200.0)
    ledger.agent_changed(300.0, "anna", "idle")  # another shift
    ledger.sweep(400.0)
    assert (ledger.idle, ledger.leaving) == (2, 0)


def test_whoever_stays_after_the_shift_is_counted_on_again() -> None:
    ledger = _at_the_end_of_a_shift()
    ledger.sweep(90.0)
    ledger.sweep(150.0)
    assert ledger.leaving == 1
    ledger.sweep(161.0)  # idle for a minute since the end
    assert (ledger.idle, ledger.leaving) == (2, 0)

    ledger = _at_the_end_of_a_shift()
    ledger.agent_changed(50.0, "anna", "talking")
    for now in (90.0, 200.0, 300.0):
        ledger.sweep(now)
    assert (ledger.talking, ledger.leaving) == (0, 1)  # that talk is taken to be the last
    ledger.agent_changed(310.0, "anna", "idle")
    assert (ledger.idle, ledger.leaving) == (2, 0)


def test_the_end_of_a_shift_can_be_moved_and_taken_back() -> None:
    ledger = _at_the_end_of_a_shift()
    ledger.agent_leaving(50.0, "anna", leaving=True, at=500.0)
    ledger.sweep(95.0)
    assert ledger.leaving == 0
    ledger.sweep(495.0)
    assert ledger.leaving == 1
    ledger.agent_leaving(496.0, "anna", leaving=False)
    assert (ledger.leaving, ledger.ignored_events) == (0, 0)
    ledger.agent_leaving(497.0, "ben", leaving=True, at=600.0)
    ledger.agent_leaving(498.0, "ben", leaving=False)
    ledger.sweep(595.0)
    assert (ledger.leaving, ledger.ignored_events) == (0, 0)


def test_an_end_that_cannot_be_changes_nothing() -> None:
    ledger = _at_the_end_of_a_shift()
    ledger.sweep(10.0)
    for at in (math.nan, math.inf, -math.inf, 5.0, 10.0, 100.0):  # no moment, past, known
        ledger.agent_leaving(10.0, "anna", leaving=True, at=at)
    ledger.agent_leaving(10.0, "ben", leaving=False, at=20.0)  # says nothing
    assert ledger.ignored_events == 7
    ledger.sweep(60.0)
    assert ledger.leaving == 0


def test_ends_of_shifts_are_bounded() -> None:
    ends = ShiftEnds(3)
    assert [ends.tell(agent, 100.0 + agent, 0.0) for agent in range(4)] == [True, True, True, False]
    assert ends.tell(2, 50.0, 0.0)  # a known agent's may be moved all the same
    assert ends.soon_over(100.0) == [0, 2]
    assert ends.soon_over(100.0) == []
    assert ends.over(2, 60.0)
    assert not ends.over(1, 60.0)
    assert not ends.tell(9, 200.0, 60.0)
    assert ends.forget(0)
    assert not ends.forget(0)
    assert ends.tell(9, 200.0, 60.0)


def test_each_ringing_call_keeps_its_segment() -> None:
    ledger, _ = _ledger()
    for call, segment in enumerate(["cold", None, "warm", "cold"]):
        ledger.call_started(0.0, call, segment)
    assert ledger.ringing_segments().tolist() == [1, 0, 2, 1]
    ledger.call_ended(1.0, 0, "busy")
    assert ledger.ringing_segments().tolist() == [1, 0, 2]
