"""How much more likely a shortage is at some time than at its worst moment: against play and against the exact cost."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.pacing_known import exact, shortages, worst
from benchmarks.pacing_optimum import RING_S, Model
from pacing import build
from pacing.floor import markov
from pacing.intervals import FloatArray
from pacing.passage import any_over_worst
from pacing.shortage import ShortageTable
from pacing.simulate import simulate

MOMENTS = 8
WEIGHTS: FloatArray = np.full(MOMENTS, 1.0 / MOMENTS)


def _floor(row: Model, busy: int, ringing: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Calls answered and agents free by each moment, and who still talks, with exponential clocks."""
    _, handle_s, answer = row
    moments = -RING_S * np.log1p(-(np.arange(MOMENTS) + 0.5) / MOMENTS)
    talk, ring = np.exp(-moments / handle_s), np.exp(-moments / RING_S)
    later_s = moments[None, :] - moments[:, None]
    still = np.where(later_s >= 0.0, np.exp(-np.maximum(later_s, 0.0) / handle_s), 0.0)
    answered = ringing * answer * handle_s / (handle_s - RING_S) * (talk - ring)
    return answered, busy * (1.0 - talk), still


def _played(answered: FloatArray, freed: FloatArray, need: int, still: FloatArray, walks: int) -> tuple[float, float]:
    """The same walks played: the ratio, and half its 95 % interval."""
    rng = np.random.default_rng(7)
    kept = np.diagonal(still, offset=1)
    done = np.concatenate(([0.0], (answered[:-1] * (1.0 - kept))))
    up, down = np.diff(answered, prepend=0.0) + done, np.diff(freed, prepend=0.0) + done
    # Two looks from each moment to the next, as in what is tested; the call keeps its agent from look to look.
    looks = np.repeat(np.stack([up, down]) / 2.0, 2, axis=1)
    steps = rng.poisson(looks[0], (walks, 2 * MOMENTS)) - rng.poisson(looks[1], (walks, 2 * MOMENTS))
    over = np.cumsum(steps, axis=1) >= need
    at_moment = over[:, 1::2].mean(axis=0)
    least = float((still * at_moment).max(axis=1) @ WEIGHTS)
    begins = rng.integers(0, MOMENTS, walks)
    keeps = rng.random((walks, 2 * MOMENTS)) < np.sqrt(np.repeat(np.append(1.0, kept), 2))[None, :]
    columns = np.arange(2 * MOMENTS)[None, :]
    first = (2 * begins + 1)[:, None]
    held = np.cumprod(np.where(columns > first, keeps, 1), axis=1)
    met = (over & (columns >= first) & (held > 0)).any(axis=1)
    return met.mean() / least, 1.96 * met.std() / walks**0.5 / least


@pytest.mark.parametrize(
    ("row", "busy", "ringing"),
    [((5, 60.0, 0.1), 4, 2), ((5, 60.0, 0.1), 3, 6), ((20, 60.0, 0.3), 18, 3), ((8, 300.0, 0.1), 7, 2)],
)
def test_it_is_what_walks_come_to(row: Model, busy: int, ringing: int) -> None:
    answered, freed, still = _floor(row, busy, ringing)
    need = row[0] - busy
    ratio, half = _played(answered, freed, need, still, 200_000)
    assert any_over_worst(answered, freed, need, WEIGHTS, still) == pytest.approx(ratio, abs=2.0 * half + 0.01)


@pytest.mark.parametrize("row", [(5, 60.0, 0.1), (5, 300.0, 0.1), (15, 120.0, 0.05), (20, 60.0, 0.3)])
def test_with_it_the_worst_moment_comes_near_what_a_call_costs_on_a_full_floor(row: Model) -> None:
    agents, _, answer = row
    most = int(3 * agents / answer) + 60
    cost, moment = exact(row, most)[1], worst(row, most)
    for busy in (agents - 1, agents - 2):
        ringing = int((cost[busy] < 0.06).sum())
        answered, freed, still = _floor(row, busy, ringing)
        ratio = any_over_worst(answered, freed, agents - busy, WEIGHTS, still)
        assert ratio is not None
        alone = moment[busy, ringing] / cost[busy, ringing]
        with_it = ratio * alone
        assert 0.55 < with_it < 1.1
        assert abs(with_it - 1.0) < abs(alone - 1.0)


@given(
    st.floats(0.0, 2_000.0), st.floats(0.0, 2_000.0), st.integers(1, 2_000), st.floats(5.0, 900.0), st.integers(1, 9)
)
def test_it_is_a_ratio_whatever_the_floor(
    calls: float, agents: float, need: int, handle_s: float, moments: int
) -> None:
    moments_s = np.linspace(2.0, 30.0, moments)
    later_s = moments_s[None, :] - moments_s[:, None]
    still = np.where(later_s >= 0.0, np.exp(-np.maximum(later_s, 0.0) / handle_s), 0.0)
    answered = calls * (1.0 - np.exp(-moments_s / 12.0)) * np.exp(-moments_s / handle_s)
    freed = agents * (1.0 - np.exp(-moments_s / handle_s))
    found = any_over_worst(answered, freed, need, np.full(moments, 1.0 / moments), still)
    assert found is None or 1.0 <= found <= 4.0


def test_it_does_not_jump_where_larger_steps_are_taken() -> None:
    found = []
    for agents in range(40, 90):
        answered, freed, still = _floor((agents, 120.0, 0.3), agents - 2, 0)
        surge = 0.9 * float(freed[-1]) * (1.0 - np.exp(-np.arange(1, MOMENTS + 1) / 3.0))
        ratio = any_over_worst(answered + surge, freed, 2, WEIGHTS, still)
        assert ratio is not None
        found.append(ratio)
    assert max(abs(after / before - 1.0) for before, after in pairwise(found)) < 0.05


def test_where_nobody_can_be_short_it_says_nothing() -> None:
    answered, freed, still = _floor((50, 120.0, 0.1), 10, 1)
    assert any_over_worst(answered, freed, 40, WEIGHTS, still) is None


@pytest.mark.parametrize(("row", "busy", "ringing"), [((5, 60.0, 0.1), 4, 2), ((20, 60.0, 0.3), 18, 5)])
def test_a_shortage_asks_it_of_the_calls_and_agents_that_it_was_given(row: Model, busy: int, ringing: int) -> None:
    answered, freed, still = _floor(row, busy, ringing)
    need = row[0] - busy
    expected = any_over_worst(answered, freed, need, WEIGHTS, still)
    assert expected is not None
    fresh = shortages(row)[busy]
    fresh.chance(ringing)
    assert fresh.passage() == pytest.approx(expected)
    # The same calls as ringing ones; and as one that is so many times as likely to be answered.
    table = ShortageTable((answered / ringing)[None, :], (freed / busy)[None, :], answered / ringing, WEIGHTS, still)
    agents = np.ones(busy, dtype=np.int64)
    for calls, ratios in ((ringing, None), (ringing, np.ones(ringing)), (1, np.array([float(ringing)]))):
        begun = table.given(np.concatenate([np.zeros(calls, dtype=np.int64), agents]), need, ratios)
        assert begun.passage() == pytest.approx(expected)


def test_nobody_asks_it_where_agents_are_short_already() -> None:
    full = shortages((5, 60.0, 0.1))[5]
    full.chance(0)
    assert full.passage() is None


def test_chances_are_multiplied_by_it() -> None:
    answered, freed, still = _floor((8, 60.0, 0.1), 6, 1)
    table = (answered[None, :], (freed / 6)[None, :], answered, WEIGHTS, still)
    agents = np.ones(6, dtype=np.int64)
    alone, multiplied = (ShortageTable(*table, passage).given(agents, 2) for passage in (1.0, 1.4))
    assert multiplied.chance(9) == pytest.approx(1.4 * alone.chance(9))
    assert alone.chance(9) > 0.01
    assert multiplied.chance(2_000) == 1.0


def test_it_is_learned_while_dialing() -> None:
    learned = []
    for handle_s in (60.0, 300.0):
        pacer = build("predictive", ring_timeout_s=60.0, connect_within_s=0.0)
        floor = markov(agents=8, handle_s=handle_s, ring_s=RING_S, answer=0.1, hours=2.0)
        simulate(floor, pacer, seed=3, decide_every_s=1.0)
        learned.append(pacer.snapshot()["passage"])
    short, long = learned
    assert isinstance(short, float)
    assert isinstance(long, float)
    assert 1.05 < long < 1.28  # it began at 1.3
    assert 1.4 < short < 1.7
