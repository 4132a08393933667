"""`predictive` on simulated floors: within the limit, and busier than what it replaces."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pacing import build
from pacing.distributions import LogNormal
from pacing.floor import Floor, Shift, Steps
from pacing.simulate import Day, simulate

FLOORS = {
    "20 agents, a quarter answer": Floor(shifts=(Shift(agents=20),), answer=Steps(0.25), hours=1.0),
}
LONGER_FLOORS = {
    "8 agents, a fifth answer": Floor(shifts=(Shift(agents=8),), answer=Steps(0.20), hours=3.0),
    "12 agents, most answer, short talks": Floor(
        shifts=(Shift(agents=12),), answer=Steps(0.62), talk=LogNormal(60.0, 0.9), hours=2.0
    ),
    "50 agents, a tenth answer": Floor(shifts=(Shift(agents=50),), answer=Steps(0.10), hours=1.5),
}
SEEDS = (1, 2, 3)


def _days(floor: Floor, method: str, **settings: object) -> list[Day]:
    return [
        simulate(floor, build(method, ring_timeout_s=26.0, **settings), seed=seed, decide_every_s=1.0) for seed in SEEDS
    ]


def _pooled(days: list[Day]) -> tuple[float, float]:
    """Occupancy and abandonment over all days."""
    occupancy = sum(day.busy_s for day in days) / sum(day.staffed_s for day in days)
    return occupancy, sum(day.abandoned for day in days) / sum(day.answered for day in days)


@pytest.mark.parametrize("name", FLOORS)
def test_within_the_limit_and_busier_than_progressive_and_safe_ratios(name: str) -> None:
    _compare(FLOORS[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", LONGER_FLOORS)
def test_the_same_on_other_floors(name: str) -> None:
    _compare(LONGER_FLOORS[name])


def _compare(floor: Floor) -> None:
    days = _days(floor, "predictive")
    occupancy, abandonment = _pooled(days)
    assert abandonment <= 0.03
    assert all(day.first_answers_abandoned <= 6 for day in days)
    assert all(day.worst_slice <= 0.06 for day in days)
    progressive = _days(floor, "progressive")
    gains = [ours.occupancy - theirs.occupancy for ours, theirs in zip(days, progressive, strict=True)]
    # The same people called: the difference day by day is the method's. Student's t for three days, 99 % one-sided.
    assert float(np.mean(gains)) - 6.96 * float(np.std(gains, ddof=1)) / math.sqrt(len(gains)) > 0.02
    for ratio in (1.25, 1.5, 2.0):
        fixed, lost = _pooled(_days(floor, "ratio", ratio=ratio))
        assert occupancy > fixed or lost > 0.03, f"a ratio of {ratio} reaches {fixed:.3f} at {lost:.3%}"


@pytest.mark.slow
def test_a_falling_answer_rate_is_followed_both_ways() -> None:
    floor = Floor(shifts=(Shift(agents=15),), answer=Steps(0.30, ((3_600.0, 0.12), (7_200.0, 0.38))), hours=3.0)
    days = _days(floor, "predictive")
    assert _pooled(days)[1] <= 0.03
    for day in days:
        occupancy = day.slice_busy_s / day.slice_staffed_s
        assert occupancy[3] > 0.8  # half an hour after the rate has fallen agents are busy again
        assert occupancy[5] > 0.8


@pytest.mark.slow
def test_a_whole_day_of_few_agents_stays_within_the_limit() -> None:
    floor = Floor(shifts=(Shift(agents=3),), answer=Steps(0.25), talk=LogNormal(180.0, 0.9), hours=6.0)
    days = _days(floor, "predictive")
    assert all(day.abandonment <= 0.03 for day in days)
    assert _pooled(days)[0] > _pooled(_days(floor, "progressive"))[0]


def test_a_carrier_that_suddenly_answers_everything_with_machines_abandons_nobody() -> None:
    floor = Floor(shifts=(Shift(agents=10),), answer=Steps(0.3, ((2_400.0, 0.0),)), hours=1.0)
    day = simulate(floor, build("predictive", max_lines_per_agent=8), seed=1, decide_every_s=1.0)
    assert day.answered > 80
    assert day.abandonment <= 0.03
    assert day.most_in_flight <= 80
