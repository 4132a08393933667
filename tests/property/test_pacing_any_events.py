"""Pacers under events in any order: the promises that hold whatever telephony delivers."""

from __future__ import annotations

import math

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pacing import Decision, Pacer, build, method_names

SMALL_IDS = st.integers(0, 6)
STATES = st.sampled_from(["idle", "talking", "wrapup", "away", "on the moon"])
OUTCOMES = st.sampled_from(["busy", "no_answer", "invalid", "machine", "congestion", "cancelled", "failed", "?"])
MOMENTS = st.one_of(st.floats(0.0, 4_000.0), st.floats(allow_nan=True, allow_infinity=True), st.just(-1e12))
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("agent_changed"), MOMENTS, SMALL_IDS, STATES),
        st.tuples(st.just("call_started"), MOMENTS, SMALL_IDS),
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


@settings(max_examples=25, deadline=None)
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


def test_a_flood_of_ids_that_never_end_does_not_take_the_memory() -> None:
    pacer = build("predictive")
    pacer.agent_changed(0.0, "anna", "idle")
    for call in range(20_000):
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
