"""What the Erlang formulas must satisfy whatever the numbers."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pacing import erlang

agents_counts = st.integers(1, 400)
loads = st.floats(0.01, 500.0)


@given(agents_counts, loads)
def test_blocking_falls_with_agents_and_rises_with_load(agents: int, load: float) -> None:
    blocked = erlang.erlang_b(agents, load)
    assert 0.0 <= blocked <= 1.0
    assert erlang.erlang_b(agents + 1, load) <= blocked
    assert erlang.erlang_b(agents, load * 1.01) >= blocked


@given(st.integers(1, 60), st.floats(0.01, 60.0))
def test_the_recursion_gives_the_closed_form(agents: int, load: float) -> None:
    logarithms = [n * math.log(load) - math.lgamma(n + 1) for n in range(agents + 1)]
    largest = max(logarithms)
    expected = math.exp(logarithms[-1] - largest) / math.fsum(math.exp(value - largest) for value in logarithms)
    assert erlang.erlang_b(agents, load) == pytest.approx(expected, rel=1e-9)


@given(st.integers(1, 200), st.floats(0.01, 0.999))
def test_waiting_is_likelier_than_blocking(agents: int, utilisation: float) -> None:
    load = agents * utilisation
    assert erlang.erlang_c(agents, load) >= erlang.erlang_b(agents, load)


@given(st.integers(1, 100), st.floats(0.2, 1.5))
def test_erlang_a_lies_between_b_and_c(agents: int, utilisation: float) -> None:
    load = agents * utilisation
    # 1 / patience so small or large that the queue is (nearly) that of C or B.
    impatient = erlang.erlang_a(agents, load, 1.0, 1e7)
    assert impatient.abandons == pytest.approx(erlang.erlang_b(agents, load), rel=1e-3, abs=1e-9)
    if utilisation < 0.95:
        patient = erlang.erlang_a(agents, load, 1.0, 1e-6)
        assert patient.waits == pytest.approx(erlang.erlang_c(agents, load), rel=1e-2, abs=1e-9)
    middle = erlang.erlang_a(agents, load, 1.0, 1.0)
    assert 0.0 <= middle.abandons <= impatient.abandons + 1e-12
    assert 0.0 <= middle.occupancy <= 1.0


@given(st.integers(1, 200), st.floats(0.1, 1.5), st.floats(0.0, 30.0), st.floats(5.0, 600.0))
def test_grace_saves_people(agents: int, utilisation: float, within_s: float, handle_s: float) -> None:
    load = agents * utilisation
    strict = erlang.deadline_queue(agents, load, handle_s, 0.0)
    lenient = erlang.deadline_queue(agents, load, handle_s, within_s)
    assert strict.abandons == pytest.approx(erlang.erlang_b(agents, load), rel=1e-9)
    assert 0.0 <= lenient.abandons <= strict.abandons + 1e-12
    assert lenient.abandons <= lenient.waits + 1e-12
    assert lenient.occupancy <= 1.0 + 1e-12


@given(st.integers(1, 60), st.integers(0, 120), st.floats(0.001, 5.0))
def test_few_sources_block_less_than_many(agents: int, sources: int, load: float) -> None:
    time = erlang.engset(sources, agents, load)
    call = erlang.engset_call_congestion(sources, agents, load)
    assert 0.0 <= call <= time + 1e-12 <= 1.0 + 2e-12
    assert erlang.engset(sources + 1, agents, load) >= time


@given(st.integers(1, 300), st.floats(0.001, 0.9))
def test_inverses_undo(agents: int, blocking: float) -> None:
    load = erlang.load_for_blocking(agents, blocking)
    assert erlang.erlang_b(agents, load) == pytest.approx(blocking, rel=1e-9)
    enough = erlang.agents_for_blocking(load * 0.999999, blocking)
    assert enough == agents


@given(st.integers(1, 200), st.floats(0.005, 0.5), st.floats(0.0, 10.0))
def test_the_load_for_an_abandonment_gives_it(agents: int, abandonment: float, within_s: float) -> None:
    load = erlang.load_for_abandonment(agents, 120.0, within_s, abandonment)
    assert erlang.deadline_queue(agents, load, 120.0, within_s).abandons == pytest.approx(abandonment, rel=1e-6)


@given(st.integers(2_000, 50_000), st.floats(0.5, 1.2))
def test_large_centres_stay_finite(agents: int, utilisation: float) -> None:
    load = agents * utilisation
    assume(load > 0.0)
    values = (
        erlang.erlang_b(agents, load),
        erlang.erlang_c(agents, load),
        erlang.deadline_queue(agents, load, 120.0, 2.0).abandons,
    )
    assert all(0.0 <= value <= 1.0 for value in values)
