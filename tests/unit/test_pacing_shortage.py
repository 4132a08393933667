"""The chance of a shortage against direct convolution and published-by-hand values."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.pacing_known import exact, worst
from pacing import shortage
from pacing.intervals import FloatArray
from pacing.shortage import Shortage, ShortageTable, normal_tail


def _directly(calls: FloatArray, agents: FloatArray, need: int) -> float:
    """P(A - F >= need) by plain convolution of every variable."""
    answered = freed = np.ones(1)
    for chance in calls:
        answered = np.convolve(answered, [1.0 - chance, chance])
    for chance in agents:
        freed = np.convolve(freed, [1.0 - chance, chance])
    difference = np.convolve(answered, freed[::-1])
    values = np.arange(len(difference)) - (len(freed) - 1)
    return float(difference[values >= need].sum())


def _table(calls: FloatArray, agents: FloatArray, fresh: float) -> ShortageTable:
    return ShortageTable(calls[:, None], agents[:, None], np.array([fresh]), np.ones(1), np.ones((1, 1)))


def _given(table: ShortageTable, counts: FloatArray, need: int) -> Shortage:
    """So many calls and agents in each group."""
    return table.given(np.repeat(np.arange(len(counts)), counts.astype(int)), need)


def test_the_marginal_chances_of_the_worked_example() -> None:
    # One idle agent, three busy ones free within 15 s with 1 - exp(-1/4), two calls ringing with 0.2, fresh ones 0.3.
    table = _table(np.full(1, 0.2), np.full(1, 1.0 - math.exp(-0.25)), 0.3)
    state = _given(table, np.array([2.0, 3.0]), 1)
    expected = [0.1861516518, 0.3168571093, 0.4348658102, 0.5381012445, 0.6263109450]
    assert [state.chance(extra) for extra in range(5)] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("seed", range(12))
def test_exact_where_the_variance_is_small(seed: int) -> None:
    rng = np.random.default_rng(seed)
    groups, agents_groups = (int(n) for n in rng.integers(1, 10, size=2))
    calls, agents = rng.random(groups) * 0.2, rng.random(agents_groups) * 0.2
    counts = rng.integers(0, 4, size=groups + agents_groups).astype(float)
    need, extra, fresh = int(rng.integers(-4, 8)), int(rng.integers(0, 5)), float(rng.random())
    state = _given(_table(calls, agents, fresh), counts, need)
    assert float(state.cumulants[1][0]) + 0.25 * extra <= shortage.EXACT_UP_TO_VARIANCE
    every_call = np.concatenate([np.repeat(calls, counts[:groups].astype(int)), np.full(extra, fresh)])
    every_agent = np.repeat(agents, counts[groups:].astype(int))
    assert state.chance(extra) == pytest.approx(_directly(every_call, every_agent, need), abs=1e-9)


def test_several_horizons_are_weighted_and_later_ones_may_need_the_normal() -> None:
    chances = np.array([[0.02, 0.1, 0.3]])
    weights = np.array([0.2, 0.5, 0.3])
    counts = np.array([60.0, 30.0])
    table = ShortageTable(chances, 0.5 * chances, np.array([0.01, 0.1, 0.2]), weights, np.eye(3))
    state = _given(table, counts, 4)
    variances = state.cumulants[1]
    assert variances[0] < shortage.EXACT_UP_TO_VARIANCE < variances[2]
    expected = sum(
        weight * _directly(np.full(60, chance), np.full(30, 0.5 * chance), 4)
        for weight, chance in zip(weights, chances[0], strict=True)
    )
    assert state.chance(0) == pytest.approx(float(expected), abs=3e-4)


def test_the_worst_moment_while_the_call_keeps_its_agent_counts() -> None:
    chances = np.array([[0.1, 0.3, 0.5]])
    agents = np.array([[0.05, 0.4, 0.9]])
    weights = np.array([0.5, 0.3, 0.2])
    still = np.array([[1.0, 0.9, 0.5], [0.0, 1.0, 0.8], [0.0, 0.0, 1.0]])
    table = ShortageTable(chances, agents, np.array([0.1, 0.2, 0.3]), weights, still)
    state = _given(table, np.array([6.0, 3.0]), 2)
    by = [_directly(np.full(6, call), np.full(3, agent), 2) for call, agent in zip(chances[0], agents[0], strict=True)]
    assert state.by_horizon(0) == pytest.approx(by, abs=1e-9)
    assert by[1] > by[0] > 0.5 * by[2]
    expected = 0.5 * max(by[0], 0.9 * by[1], 0.5 * by[2]) + 0.3 * max(by[1], 0.8 * by[2]) + 0.2 * by[2]
    assert state.chance(0) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    "row",
    [(5, 60.0, 0.1), (5, 300.0, 0.1), (8, 120.0, 0.3), (5, 300.0, 0.6), (15, 120.0, 0.05), (8, 20.0, 0.3)],
    ids=str,
)
def test_what_is_asked_lies_between_being_lost_oneself_and_what_the_call_costs_in_all(
    row: tuple[int, float, float],
) -> None:
    most_ringing = int(2 * row[0] / row[2])
    itself, cost = exact(row, most_ringing)
    asked = worst(row, most_ringing)
    near = (itself > 1e-4) & (itself < 0.1)  # where a threshold may lie
    assert near.sum() >= 7
    assert np.all(itself[near] < asked[near])
    assert np.all(asked[near] < cost[near])
    # A threshold on it treats floors nearly alike by what a call costs; one on being lost oneself does not.
    assert np.ptp(np.log(cost[near] / asked[near])) < 0.75 * np.ptp(np.log(cost[near] / itself[near]))


def test_calls_of_other_segments_count_by_their_own_chance() -> None:
    table = _table(np.array([0.1, 0.2]), np.array([0.3]), 0.1)
    groups = np.array([0, 0, 1, 2, 2, 2])
    ratios = np.array([2.0, 0.5, 1.5])
    state = table.given(groups, 1, ratios)
    expected = _directly(np.array([0.2, 0.05, 0.3]), np.full(3, 0.3), 1)
    assert state.chance(0) == pytest.approx(expected, abs=1e-12)
    alike = table.given(groups, 1, np.ones(3))
    assert alike.chance(0) == pytest.approx(table.given(groups, 1).chance(0), abs=1e-12)


def test_many_calls_of_other_segments_count_by_the_mean_of_their_chances() -> None:
    table = _table(np.array([0.1]), np.array([0.3]), 0.1)
    groups = np.concatenate([np.zeros(200, dtype=int), np.ones(60, dtype=int)])
    ratios = np.tile([0.5, 1.5], 100)
    expected = _directly(np.tile([0.05, 0.15], 100), np.full(60, 0.3), 6)
    assert table.given(groups, 6, ratios).chance(0) == pytest.approx(expected, abs=3e-3)


def test_normal_and_exact_meet_where_one_takes_over(monkeypatch: pytest.MonkeyPatch) -> None:
    calls, agents = np.array([0.1, 0.3, 0.6]), np.array([0.05, 0.2])
    counts = np.array([9.0, 9.0, 4.0, 26.0, 8.0])
    for need in range(-8, 16):
        state = _given(_table(calls, agents, 0.2), counts, need)
        variance = float(state.cumulants[1][0])
        assert 5.0 < variance < 7.0
        monkeypatch.setattr(shortage, "EXACT_UP_TO_VARIANCE", variance + 1.0)
        exact = state.chance(0)
        monkeypatch.setattr(shortage, "EXACT_UP_TO_VARIANCE", variance - 1.0)
        assert state.chance(0) == pytest.approx(exact, abs=5e-4)


def test_the_normal_is_right_for_a_large_floor() -> None:
    calls, agents = np.linspace(0.01, 0.4, 50), np.linspace(0.02, 0.3, 50)
    state = _given(_table(calls, agents, 0.2), np.full(100, 6.0), 12)
    expected = _directly(np.repeat(calls, 6), np.repeat(agents, 6), 12)
    assert state.chance(0) == pytest.approx(expected, abs=2e-5)


def test_nobody_anywhere_is_certain_either_way() -> None:
    state = _table(np.zeros(1), np.zeros(1), 0.0)
    nobody: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
    assert state.given(nobody, 1).chance(0) == pytest.approx(0.0, abs=1e-12)
    assert state.given(nobody, 0).chance(0) == pytest.approx(1.0, abs=1e-12)
    assert state.given(nobody, 500).chance(0) == pytest.approx(0.0, abs=1e-12)
    assert state.given(nobody, -500).chance(0) == pytest.approx(1.0, abs=1e-12)


def test_each_further_call_makes_a_shortage_more_likely() -> None:
    state = _given(_table(np.array([0.2]), np.array([0.1]), 0.25), np.array([30.0, 40.0]), 6)
    chances = [state.chance(extra) for extra in range(120)]
    # Across the switch to the normal a step may lose a little of the approximation's error, no more.
    assert all(later > earlier - 5e-4 for earlier, later in pairwise(chances))
    assert chances[-1] > 0.99


def test_normal_tail_is_a_probability_far_out() -> None:
    assert normal_tail(10_000, 5.0, 30.0, 10.0, 1.0) == 0.0
    assert normal_tail(-10_000, 5.0, 30.0, 10.0, 1.0) == 1.0
