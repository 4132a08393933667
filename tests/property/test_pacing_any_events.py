"""Pacers under events in any order: the promises that hold whatever telephony delivers."""

from __future__ import annotations

import dataclasses
import math
import pickle

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pacing import Decision, Pacer, build, method_names
from pacing.floor import Floor, Shift, Steps
from pacing.simulate import simulate

SMALL_IDS = st.integers(0, 6)
STATES = st.sampled_from(["idle", "talking", "wrapup", "away", "on the moon"])
OUTCOMES = st.sampled_from(["busy", "no_answer", "invalid", "machine", "congestion", "cancelled", "failed", "?"])
MOMENTS = st.one_of(st.floats(0.0, 4_000.0), st.floats(allow_nan=True, allow_infinity=True), st.just(-1e12))
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("agent_changed"), MOMENTS, SMALL_IDS, STATES),
        st.tuples(st.just("agent_leaving"), MOMENTS, SMALL_IDS, st.booleans()),
        st.tuples(st.just("agent_leaving"), MOMENTS, SMALL_IDS, st.booleans(), MOMENTS),
        st.tuples(st.just("call_started"), MOMENTS, SMALL_IDS),
        st.tuples(st.just("call_started"), MOMENTS, SMALL_IDS, st.sampled_from([None, "cold", ("hour", 9), 3])),
        st.tuples(st.just("call_ended"), MOMENTS, SMALL_IDS, OUTCOMES),
        st.tuples(st.just("call_answered"), MOMENTS, SMALL_IDS),
        st.tuples(st.just("call_connected"), MOMENTS, SMALL_IDS, SMALL_IDS),
        st.tuples(st.just("call_abandoned"), MOMENTS, SMALL_IDS),
        st.tuples(st.just("decide"), MOMENTS),
    ),
    max_size=120,
)


def _play(pacer: Pacer, events: list[tuple[object, ...]]) -> list[Decision]:
    decisions = []
    for name, *arguments in events:
        result = getattr(pacer, str(name))(*arguments)
        if isinstance(result, Decision):
            decisions.append(result)
    decisions.append(pacer.decide(4_001.0))
    return decisions


def _check(decision: Decision, max_lines: int) -> None:
    assert decision.dial >= 0
    if decision.dial:
        assert decision.dial + decision.in_flight + decision.waiting <= max_lines
        assert decision.idle + decision.busy > 0
    for chance in (decision.expected_abandonment, decision.threshold):
        assert 0.0 <= chance <= 1.0
    if decision.answer_rate is not None:
        assert 0.0 <= decision.answer_rate <= 1.0
    for mean in (decision.mean_talk_s, decision.mean_wrapup_s):
        assert mean is None or (math.isfinite(mean) and mean > 0.0)
    assert decision.limit
    assert decision.explanation


@pytest.mark.parametrize("method", [name for name in method_names() if name != "predictive"])
@settings(max_examples=30, deadline=None)
@given(events=EVENTS)
def test_simple_methods_and_peers_keep_their_promises(method: str, events: list[tuple[object, ...]]) -> None:
    for decision in _play(build(method, max_lines=9), events):
        _check(decision, 9)


@settings(max_examples=100, deadline=None)
@given(events=EVENTS, warm=st.booleans())
@example(events=[("call_started", -1e12, 0), ("call_answered", 9.223371036854776e18, 0)], warm=False)
def test_predictive_keeps_its_promises_and_repeats_itself(events: list[tuple[object, ...]], warm: bool) -> None:
    first, second = build("predictive", max_lines=9), build("predictive", max_lines=9)
    if warm:
        for pacer in (first, second):
            _warm_up(pacer)
    decisions = _play(first, events)
    for decision in decisions:
        _check(decision, 9)
    assert decisions == _play(second, events)


@settings(max_examples=12, deadline=None)
@given(
    answer=st.sampled_from([0.0, 0.02, 0.5, 1.0]),
    talk_s=st.sampled_from([0.0, 1.0, 60.0, 7_000.0]),
    ring_s=st.sampled_from([0.0, 0.4, 12.0, 29.9]),
    agents=st.integers(1, 12),
)
def test_extremes_give_sane_decisions(answer: float, talk_s: float, ring_s: float, agents: int) -> None:
    pacer = build("predictive", max_lines_per_agent=50)
    now, answered = 0.0, 0.0
    for agent in range(agents):
        pacer.agent_changed(now, agent, "idle")
    for call in range(120):
        pacer.call_started(now, call)
        answered += answer
        if answered >= 1.0:
            answered -= 1.0
            pacer.call_answered(now + ring_s, call)
            pacer.agent_changed(now + ring_s, call % agents, "talking")
            pacer.call_connected(now + ring_s, call, call % agents)
            pacer.agent_changed(now + ring_s + talk_s, call % agents, "idle")
        else:
            pacer.call_ended(now + ring_s, call, "no_answer")
        now += max(ring_s, talk_s) + 1.0
        _check(pacer.decide(now), 50 * agents)
    _check(pacer.decide(now + 7 * 86_400.0), 50 * agents)


@settings(max_examples=60, deadline=None)
@given(
    events=EVENTS,
    leaving=st.lists(st.integers(0, 6), min_size=7, max_size=7, unique=True),
    method=st.sampled_from(method_names()),
)
def test_nobody_is_dialed_on_the_strength_of_agents_who_are_all_leaving(
    events: list[tuple[object, ...]], leaving: list[int], method: str
) -> None:
    pacer = build(method)
    _play(pacer, events)
    for agent in leaving:
        pacer.agent_leaving(4_002.0, agent)
    decision = pacer.decide(4_002.0)
    assert (decision.dial, decision.limit) == (0, "no_agents")


@settings(max_examples=40, deadline=None)
@given(events=EVENTS, agent=SMALL_IDS)
def test_a_leave_that_is_taken_back_changes_nothing(events: list[tuple[object, ...]], agent: int) -> None:
    plain, wavering = build("progressive", max_lines=9), build("progressive", max_lines=9)
    _play(plain, events)
    _play(wavering, events)
    for pacer in (plain, wavering):
        pacer.agent_leaving(4_001.0, agent, leaving=False)
    wavering.agent_leaving(4_001.0, agent)
    wavering.agent_leaving(4_001.0, agent, leaving=False)
    assert plain.decide(4_002.0) == wavering.decide(4_002.0)


@pytest.mark.slow
def test_a_simulated_week_takes_no_more_memory_than_a_day() -> None:
    floor = Floor(
        shifts=tuple(Shift(agents=2, begins_s=86_400.0 * day, ends_s=86_400.0 * day + 1_800.0) for day in range(7)),
        answer=Steps(0.3),
        hours=7 * 24.0,
    )
    pacer = build("predictive", ring_timeout_s=26.0)
    sizes: list[int] = []
    for hours in (24.0, 7 * 24.0):
        pacer = build("predictive", ring_timeout_s=26.0)
        simulate(dataclasses.replace(floor, hours=hours), pacer, seed=1, decide_every_s=20.0)
        sizes.append(len(pickle.dumps(pacer)))
    assert sizes[1] < 1.5 * sizes[0] + 20_000


def test_segments_without_end_do_not_take_the_memory() -> None:
    pacer = build("predictive")
    pacer.agent_changed(0.0, "anna", "idle")
    for call in range(5_000):
        pacer.call_started(0.1 * call, call, ("segment", call))
        pacer.call_ended(0.1 * call + 0.05, call, "busy")
    assert len(pickle.dumps(pacer)) < 400_000
    assert pacer.decide(501.0).dial >= 0


def test_a_flood_of_ids_that_never_end_does_not_take_the_memory() -> None:
    pacer = build("predictive")
    pacer.agent_changed(0.0, "anna", "idle")
    for call in range(5_000):
        now = float(call)
        pacer.call_started(now, ("ghost", call))
        pacer.call_answered(now, ("voice", call))
        if call % 10 == 0:
            pacer.decide(now)
    snapshot = pacer.snapshot()
    in_flight, waiting = snapshot["in_flight"], snapshot["waiting"]
    assert isinstance(in_flight, int)
    assert isinstance(waiting, int)
    assert in_flight <= 110  # a minute and a half of calls started once a second
    assert waiting <= 50


def _warm_up(pacer: Pacer) -> None:
    for call in range(240):
        now = 3.0 * call
        pacer.call_started(now, ("early", call))
        if call % 3:
            pacer.call_ended(now + 2.0, ("early", call), "busy")
            continue
        pacer.agent_changed(now, "early", "idle")
        pacer.call_answered(now + 2.0, ("early", call))
        pacer.agent_changed(now + 2.0, "early", "talking")
        pacer.call_connected(now + 2.0, ("early", call), "early")
        pacer.agent_changed(now + 2.5, "early", "wrapup")
