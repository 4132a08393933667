"""How fast a rise is followed, and how quiet it is while nothing changes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacing.estimators.pace import Pace

# A refit every so many seconds, as with few events.
REFIT_S = 15.0


def steady(pace: Pace, *, refits: int, expected: float, times: float = 1.0, seed: int = 1) -> list[float]:
    """So many refits with so many events expected in each, and `times` as many seen; the factor after each."""
    chance = np.random.default_rng(seed)
    factors = []
    for _ in range(refits):
        for _ in range(int(chance.poisson(times * expected))):
            pace.saw()
        pace.expected(expected)
        pace.fade(REFIT_S)
        factors.append(pace.factor)
    return factors


def answers(*, alert: bool = True) -> Pace:
    """As it is used for answers."""
    return Pace(prior=12.0, memory=50.0, memory_s=120.0, alert=alert)


def test_the_pace_is_one_without_evidence_and_bounded_with_any() -> None:
    pace = Pace(prior=10.0, memory=30.0, memory_s=60.0)
    assert pace.factor == 1.0
    for _ in range(1_000):
        pace.saw()
    assert pace.factor == 5.0
    pace.expected(1e9)
    assert pace.factor == 0.2
    pace.fade(1e9)
    assert pace.factor == pytest.approx(1.0)  # everything old has faded


def test_the_pace_is_quiet_while_nothing_but_chance_is_seen() -> None:
    pace = Pace(prior=10.0, memory=30.0, memory_s=60.0)
    pace.expected(90.0)
    for _ in range(99):
        pace.saw()
    assert pace.factor == 1.0
    for _ in range(91):
        pace.saw()
    assert pace.factor == pytest.approx(2.0 * math.exp(-1.0 / math.sqrt(200.0)))


def test_the_pace_remembers_by_events_or_by_time_whichever_is_longer() -> None:
    by_time, by_events = (Pace(prior=10.0, memory=30.0, memory_s=60.0) for _ in range(2))
    for pace in (by_time, by_events):
        for _ in range(100):
            pace.saw()
    by_time.expected(100.0)
    by_time.fade(0.0)
    by_time.expected(100.0)
    # One standard error of the logarithm is put down to chance.
    assert by_time.factor == pytest.approx(110.0 / 210.0 * math.exp(1.0 / math.sqrt(210.0)))
    by_events.fade(1e9)
    assert by_events.factor == 5.0


@pytest.mark.parametrize("seed", range(1, 9))
def test_three_times_as_many_answers_are_believed_within_twenty_expected_ones(seed: int) -> None:
    quick, slow = answers(), answers(alert=False)
    for pace in (quick, slow):
        steady(pace, refits=400, expected=0.8, seed=seed)
    told = steady(quick, refits=25, expected=0.8, times=3.0, seed=seed + 100)
    assert told[-1] > 1.7
    # The steady estimate is not half way there by then.
    assert steady(slow, refits=25, expected=0.8, times=3.0, seed=seed + 100)[-1] < 1.6


@pytest.mark.parametrize("seed", range(1, 5))
def test_the_harmless_direction_is_not_followed_in_a_hurry(seed: int) -> None:
    quick, slow = answers(), answers(alert=False)
    for pace in (quick, slow):
        steady(pace, refits=400, expected=0.8, seed=seed)
    fallen = steady(quick, refits=20, expected=0.8, times=0.2, seed=seed)
    assert fallen[-1] >= steady(slow, refits=20, expected=0.8, times=0.2, seed=seed)[-1]
    assert fallen[-1] > 0.6


def test_while_nothing_changes_alarms_are_rare_and_small() -> None:
    factors = np.array([steady(answers(), refits=2_000, expected=0.8, seed=seed)[200:] for seed in range(1, 11)])
    assert 0.99 < factors.mean() < 1.02
    assert (factors > 1.5).mean() < 0.001


def test_a_moment_is_not_given_up_before_it_could_speak() -> None:
    """With a fixed number of moments, the many old ones that say the same must not crowd out the young."""
    pace = answers()
    steady(pace, refits=3_000, expected=0.1)
    assert steady(pace, refits=160, expected=0.1, times=4.0)[-1] > 2.0


@given(
    st.lists(
        st.tuples(st.integers(0, 300), st.floats(-1.0, 1e6), st.floats(-10.0, 1e7), st.floats(0.0, 50.0)), max_size=60
    ),
    st.booleans(),
)
def test_whatever_is_told_the_factor_is_within_its_bounds(
    told: list[tuple[int, float, float, float]], alert: bool
) -> None:
    pace = Pace(prior=12.0, memory=50.0, memory_s=120.0, alert=alert)
    for seen, expected, elapsed_s, ratio in told:
        for _ in range(seen):
            pace.saw()
        pace.expected(expected)
        pace.fade(elapsed_s)
        pace.rebase(ratio)
        assert 0.2 <= pace.factor <= 5.0
        assert math.isfinite(pace.factor)
