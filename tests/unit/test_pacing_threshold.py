"""The threshold is moved until what is lost is what is aimed at, and by nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacing.methods.threshold import Threshold

LIMIT = 0.03


def moved(threshold: Threshold, mean_chance: float, *, aim: float = 1.0, times: int = 200, bound: bool = True) -> float:
    """By how much the threshold changes while calls of such a chance are started."""
    before = threshold.value
    for _ in range(times):
        threshold.started(4, mean_chance, 0.25, aim=aim, limit=LIMIT, bound=bound)
    return threshold.value / before


@pytest.mark.parametrize("aim", [0.05, 0.3, 1.0, 1.12])
def test_it_stands_still_where_the_forecast_is_what_is_aimed_at(aim: float) -> None:
    threshold = Threshold()
    assert moved(threshold, aim * LIMIT / threshold.correction, aim=aim) == pytest.approx(1.0)


@given(st.floats(0.0, 1.12), st.floats(0.01, 0.9))
def test_being_held_down_does_not_raise_it(aim: float, part: float) -> None:
    """Calls held to a share of the limit have that share of its chances; that is no reason to allow more."""
    threshold = Threshold()
    assert moved(threshold, aim * LIMIT / threshold.correction, aim=aim) == pytest.approx(1.0)
    # Only where less is lost than the share that was aimed at does it rise.
    assert moved(threshold, part * aim * LIMIT / threshold.correction, aim=aim) >= 1.0


def test_what_the_lines_or_the_list_hold_back_does_not_raise_it() -> None:
    assert moved(Threshold(), 0.0, bound=False) == 1.0
    assert moved(Threshold(), 0.0) > 1.5
    assert moved(Threshold(), 0.1, bound=False) < 1.0


def test_it_corrects_forecasts_by_what_is_seen() -> None:
    low, high = Threshold(), Threshold()
    for answer in range(3_000):
        for threshold in (low, high):
            threshold.answered(0.02)
        if answer % 25 == 0:  # two of fifty, where one was forecast
            high.abandoned()
        if answer % 100 == 0:
            low.abandoned()
    assert high.correction == pytest.approx(2.0, rel=0.1)
    assert low.correction == pytest.approx(0.5, rel=0.2)


@given(st.lists(st.tuples(st.integers(0, 5_000), st.floats(0.0, 1.0), st.floats(0.0, 1.0), st.floats(0.0, 2.0))))
def test_whatever_happens_it_stays_within_bounds(told: list[tuple[int, float, float, float]]) -> None:
    threshold = Threshold()
    for calls, chance, rate, aim in told:
        threshold.started(calls, chance, rate, aim=aim, limit=LIMIT, bound=True)
        threshold.answered(chance)
        threshold.abandoned()
        assert 1e-4 * 0.999 <= threshold.value <= 0.4 * 1.001
        assert 0.4 <= threshold.correction <= 4.0
