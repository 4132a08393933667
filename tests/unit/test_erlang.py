"""Erlang formulas against published and high-precision values."""

from __future__ import annotations

import math

import pytest

from pacing import erlang


@pytest.mark.parametrize(
    ("agents", "load", "blocked", "waits"),
    [
        (1, 1.0, 0.5, None),
        (2, 1.0, 0.2, 0.3333333333),
        (4, 2.0, 0.09523809524, 0.1739130435),
        (5, 3.0, 0.1100543478, 0.2361516035),
        (6, 2.0, 0.01208459215, 0.01801801802),
        (10, 5.0, 0.01838457034, 0.03610535916),
        (15, 8.108, 0.009999631943, 0.0215105152),
        (20, 12.0, 0.00979563942, 0.02413447956),
        (30, 25.0, 0.05260317223, 0.2498931669),
        (50, 40.0, 0.01869067111, 0.08695254953),
        (55, 48.0, 0.03837428069, 0.2387009364),
        (100, 90.0, 0.02695738046, 0.2169404809),
        (200, 180.0, 0.0103249952, 0.09447121818),
        (1000, 1000.0, 0.02481191765, None),
    ],
)
def test_erlang_b_and_c(agents: int, load: float, blocked: float, waits: float | None) -> None:
    assert erlang.erlang_b(agents, load) == pytest.approx(blocked, rel=1e-9)
    if waits is not None:
        assert erlang.erlang_c(agents, load) == pytest.approx(waits, rel=1e-9)


@pytest.mark.parametrize(
    ("agents", "arrivals", "service", "patience", "waits", "abandons"),
    [
        (50, 48.0, 1.0, 0.5, 0.4677740686, 0.03091224916),
        (10, 9.0, 1.0, 1.0, 0.412591756, 0.0859121116),
        (10, 10.0, 1.0, 2.0, 0.465574641, 0.146009253),
        (20, 18.0, 1.0, 0.5, 0.397795152, 0.0378359795),
        (50, 50.0, 1.0, 1.0, 0.518808315, 0.0563250063),
        (5, 6.0, 1.0, 30.0, 0.401047823, 0.348088413),
    ],
)
def test_erlang_a(agents: int, arrivals: float, service: float, patience: float, waits: float, abandons: float) -> None:
    result = erlang.erlang_a(agents, arrivals, service, patience)
    assert result.waits == pytest.approx(waits, rel=5e-9)
    assert result.abandons == pytest.approx(abandons, rel=5e-9)


def test_erlang_a_mean_wait_and_occupancy() -> None:
    result = erlang.erlang_a(50, 48.0, 1.0, 0.5)
    assert result.mean_wait_s == pytest.approx(0.06182449832, rel=1e-9)
    assert result.occupancy == pytest.approx(0.9303242408, rel=1e-9)


def test_waiting_without_limit() -> None:
    assert erlang.erlang_c(50, 48.0) == pytest.approx(0.6944556112, rel=1e-9)
    assert erlang.erlang_c_wait(50, 48.0, 60.0) == pytest.approx(20.83366834, rel=1e-9)
    assert erlang.erlang_c_service_level(55, 48.0, 240.0, 15.0) == pytest.approx(0.8458830922, rel=1e-9)
    assert erlang.erlang_c_wait(55, 48.0, 240.0) == pytest.approx(8.184032104, rel=1e-9)
    assert erlang.erlang_c(10, 10.0) == 1.0
    assert erlang.erlang_c_wait(10, 12.0, 60.0) == math.inf
    assert erlang.erlang_c_service_level(10, 12.0, 60.0, 20.0) == 0.0


@pytest.mark.parametrize(
    ("sources", "agents", "load", "time", "call"),
    [
        (10, 5, 0.5, 0.1478873239, 0.1069609508),
        (20, 10, 0.8, 0.2030078915, 0.1689849879),
        (40, 10, 0.3, 0.2002310974, 0.1868091928),
        (100, 20, 0.2, 0.08001535527, 0.07584375466),
    ],
)
def test_engset(sources: int, agents: int, load: float, time: float, call: float) -> None:
    assert erlang.engset(sources, agents, load) == pytest.approx(time, rel=1e-9)
    assert erlang.engset_call_congestion(sources, agents, load) == pytest.approx(call, rel=1e-9)


def test_no_more_lines_than_agents_never_lose_anybody() -> None:
    assert erlang.engset_call_congestion(5, 5, 2.0) == 0.0
    assert erlang.engset_call_congestion(0, 5, 2.0) == 0.0


def test_two_seconds_of_grace() -> None:
    assert erlang.deadline_queue(10, 8.0, 60.0, 2.0).abandons == pytest.approx(0.1103513802, rel=1e-9)
    assert erlang.deadline_queue(10, 8.0, 60.0, 0.0).abandons == pytest.approx(0.1216610643, rel=1e-9)


@pytest.mark.parametrize(
    ("agents", "occupancy_60", "occupancy_180"),
    [(5, 37.60, 36.78), (10, 55.42, 54.23), (20, 70.11, 68.64), (50, 83.90, 82.24), (100, 90.69, 89.01)],
)
def test_what_open_loop_dialing_reaches_at_three_percent(
    agents: int, occupancy_60: float, occupancy_180: float
) -> None:
    for handle_s, expected in ((60.0, occupancy_60), (180.0, occupancy_180)):
        load = erlang.load_for_abandonment(agents, handle_s, 2.0, 0.03)
        occupancy = 100.0 * erlang.deadline_queue(agents, load, handle_s, 2.0).occupancy
        assert occupancy == pytest.approx(expected, abs=0.006)


@pytest.mark.parametrize(
    ("agents", "load"),
    [(1, 0.03092784), (2, 0.2815515), (5, 1.875206), (10, 5.529418), (50, 41.93275), (200, 190.8859)],
)
def test_the_load_for_three_percent(agents: int, load: float) -> None:
    assert erlang.load_for_blocking(agents, 0.03) == pytest.approx(load, rel=3e-7)


def test_printed_tables() -> None:
    assert erlang.load_for_blocking(15, 0.01) == pytest.approx(8.108043, abs=1e-6)
    for blocking, load in ((0.01, 12.0), (0.02, 13.2), (0.05, 15.2)):
        assert erlang.load_for_blocking(20, blocking) == pytest.approx(load, abs=0.06)


def test_agents_for_a_target() -> None:
    assert erlang.agents_for_blocking(8.108, 0.01) == 15
    assert erlang.agents_for_blocking(8.109, 0.01) == 16
    assert erlang.agents_for_blocking(0.0, 0.01) == 1
    assert erlang.agents_for_service_level(48.0, 240.0, 15.0, 0.84) == 55
    assert erlang.agents_for_service_level(48.0, 240.0, 15.0, 0.85) == 56


def test_one_line_per_idle_agent() -> None:
    assert erlang.progressive_occupancy(60.0, 15.0, 0.3) == pytest.approx(0.5454545, abs=1e-6)
    assert erlang.progressive_occupancy(180.0, 15.0, 0.3) == pytest.approx(0.7826087, abs=1e-6)


def test_the_derivative_is_the_slope() -> None:
    step = 1e-5
    slope = (erlang.erlang_b(20, 12.0 + step) - erlang.erlang_b(20, 12.0 - step)) / (2 * step)
    assert erlang.erlang_b_derivative(20, 12.0) == pytest.approx(slope, rel=1e-6)


def test_nonsense_is_refused_in_words() -> None:
    with pytest.raises(ValueError, match="agents must not be negative"):
        erlang.erlang_b(-1, 1.0)
    with pytest.raises(ValueError, match="number of erlangs"):
        erlang.erlang_c(1, math.nan)
    with pytest.raises(ValueError, match="at least one agent"):
        erlang.erlang_a(0, 1.0, 1.0, 1.0)
    with pytest.raises(ValueError, match="patience_rate must be positive"):
        erlang.erlang_a(1, 1.0, 1.0, 0.0)
    with pytest.raises(ValueError, match="within_s must not be negative"):
        erlang.deadline_queue(1, 1.0, 1.0, -1.0)
    with pytest.raises(ValueError, match="sources must not be negative"):
        erlang.engset(-1, 1, 1.0)
    with pytest.raises(ValueError, match="blocking must lie between 0 and 1"):
        erlang.load_for_blocking(1, 1.0)
