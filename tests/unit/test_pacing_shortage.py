"""The chance of a shortage against direct convolution and published-by-hand values."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

from pacing import shortage
from pacing.intervals import FloatArray
from pacing.shortage import ShortageTable, normal_tail


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
    return ShortageTable(calls[:, None], agents[:, None], np.array([fresh]))


def test_the_marginal_chances_of_the_worked_example() -> None:
    # One idle agent, three busy ones free within 15 s with 1 - exp(-1/4), two calls ringing with 0.2, fresh ones 0.3.
    table = _table(np.full(1, 0.2), np.full(1, 1.0 - math.exp(-0.25)), 0.3)
    state = table.given(np.array([2.0, 3.0]), 1)
    expected = [0.1861516518, 0.3168571093, 0.4348658102, 0.5381012445, 0.6263109450]
    assert [float(state.probabilities(extra)[0]) for extra in range(5)] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("seed", range(12))
def test_exact_where_the_variance_is_small(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(seed)
    groups, agents_groups = (int(n) for n in rng.integers(1, 25, size=2))
    calls, agents = rng.random(groups) * 0.3, rng.random(agents_groups) * 0.3
    counts = rng.integers(0, 4, size=groups + agents_groups).astype(float)
    need, extra, fresh = int(rng.integers(-4, 8)), int(rng.integers(0, 5)), float(rng.random())
    state = _table(calls, agents, fresh).given(counts, need)
    monkeypatch.setattr(shortage, "EXACT_UP_TO_VARIANCE", 20.0)
    every_call = np.concatenate([np.repeat(calls, counts[:groups].astype(int)), np.full(extra, fresh)])
    every_agent = np.repeat(agents, counts[groups:].astype(int))
    assert float(state.probabilities(extra)[0]) == pytest.approx(_directly(every_call, every_agent, need), abs=1e-6)


def test_many_small_chances_are_summed_by_their_powers() -> None:
    calls, agents = np.linspace(0.001, 0.09, 40), np.linspace(0.001, 0.08, 30)
    counts = np.concatenate([np.full(40, 4.0), np.full(30, 3.0)])
    assert counts.sum() > 200
    state = _table(calls, agents, 0.2).given(counts, 3)
    expected = _directly(np.repeat(calls, 4), np.repeat(agents, 3), 3)
    assert float(state.probabilities(0)[0]) == pytest.approx(expected, abs=2e-4)


def test_normal_and_exact_meet_where_one_takes_over(monkeypatch: pytest.MonkeyPatch) -> None:
    calls, agents = np.array([0.1, 0.3, 0.6]), np.array([0.05, 0.2])
    counts = np.array([18.0, 20.0, 8.0, 60.0, 20.0])
    for need in range(16):
        state = _table(calls, agents, 0.2).given(counts, need)
        variance = float(state._cumulants[1][0])
        assert 10.0 < variance < 16.0
        monkeypatch.setattr(shortage, "EXACT_UP_TO_VARIANCE", variance + 1.0)
        exact = float(state.probabilities(0)[0])
        monkeypatch.setattr(shortage, "EXACT_UP_TO_VARIANCE", variance - 1.0)
        assert float(state.probabilities(0)[0]) == pytest.approx(exact, abs=5e-4)


def test_the_normal_is_right_for_a_large_floor() -> None:
    calls, agents = np.linspace(0.01, 0.4, 50), np.linspace(0.02, 0.3, 50)
    state = _table(calls, agents, 0.2).given(np.full(100, 6.0), 12)
    expected = _directly(np.repeat(calls, 6), np.repeat(agents, 6), 12)
    assert float(state.probabilities(0)[0]) == pytest.approx(expected, abs=2e-5)


def test_nobody_anywhere_is_certain_either_way() -> None:
    state = _table(np.zeros(1), np.zeros(1), 0.0)
    counts = np.zeros(2)
    assert float(state.given(counts, 1).probabilities(0)[0]) == pytest.approx(0.0, abs=1e-12)
    assert float(state.given(counts, 0).probabilities(0)[0]) == pytest.approx(1.0, abs=1e-12)
    assert float(state.given(counts, 500).probabilities(0)[0]) == pytest.approx(0.0, abs=1e-12)
    assert float(state.given(counts, -500).probabilities(0)[0]) == pytest.approx(1.0, abs=1e-12)


def test_each_further_call_makes_a_shortage_more_likely() -> None:
    state = _table(np.array([0.2]), np.array([0.1]), 0.25).given(np.array([30.0, 40.0]), 6)
    chances = [float(state.probabilities(extra)[0]) for extra in range(120)]
    # Across the switch to the normal a step may lose a little of the approximation's error, no more.
    assert all(later > earlier - 5e-4 for earlier, later in pairwise(chances))
    assert chances[-1] > 0.99


def test_normal_tail_is_a_probability_far_out() -> None:
    assert normal_tail(10_000, 5.0, 30.0, 10.0, 1.0) == 0.0
    assert normal_tail(-10_000, 5.0, 30.0, 10.0, 1.0) == 1.0
