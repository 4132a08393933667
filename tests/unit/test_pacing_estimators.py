"""What the estimators learn, against distributions that are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacing.distributions import Fixed, LogNormal
from pacing.estimators.durations import BINS, EDGES_S, MIDDLES_S, DurationModel, Fork, bin_of
from pacing.estimators.memory import keep
from pacing.estimators.ringing import RingingModel
from pacing.intervals import FloatArray

NONE: FloatArray = np.zeros(0)


def _ring_a_list(model: RingingModel, *, answer: float, calls: int, seed: int = 1) -> float:
    """Steady calling, one call a second for ever, answers after 8 to 12 s, failures after 1 to 2 s; the last second."""
    rng = np.random.default_rng(seed)
    live = rng.random(calls) < answer
    lasts = np.where(live, rng.uniform(8.0, 12.0, calls), rng.uniform(1.0, 2.0, calls))
    ends = np.argsort(np.arange(calls) + lasts)
    for call in ends:
        now = float(call + lasts[call])
        if live[call]:
            model.answered(now, float(lasts[call]))
        else:
            model.ended(now, float(lasts[call]))
        if call % 5 == 0:
            started = np.arange(calls)
            ringing = (started <= now) & (started + lasts > now)
            model.refit(now, (now - started[ringing]).astype(np.float64))
    return float(calls)


def test_answer_rate_and_moment_are_learned() -> None:
    model = RingingModel(30.0)
    _ring_a_list(model, answer=0.3, calls=2_000)
    assert model.answer_rate == pytest.approx(0.3, rel=0.15)
    assert float(model.incidence[7:13].sum()) == pytest.approx(model.answer_rate, rel=0.1)
    assert float(model.survival[-1]) < 0.05


def test_calls_that_still_ring_keep_fast_failures_from_looking_like_the_truth() -> None:
    # 200 calls started at once; after 3 s all the failures are in, and none of the answers.
    model = RingingModel(30.0)
    for _ in range(100):
        model.ended(1.5, 1.5)
    model.refit(3.0, np.full(100, 3.0))
    assert model.answer_rate > 0.2  # the prior's answers still stand for those that ring
    blind = RingingModel(30.0)
    for _ in range(100):
        blind.ended(1.5, 1.5)
    blind.refit(3.0, NONE)
    assert blind.answer_rate < 0.5 * model.answer_rate


def test_withdrawn_calls_are_at_risk_until_they_are_withdrawn() -> None:
    model, other = RingingModel(30.0), RingingModel(30.0)
    for step in range(400):
        for one in (model, other):
            one.answered(float(step), 5.5)
        model.withdrawn(float(step), 3.0)
        other.ended(float(step), 3.0)
    model.refit(400.0, NONE)
    other.refit(400.0, NONE)
    assert other.answer_rate == pytest.approx(0.5, abs=0.06)
    assert model.answer_rate > 0.9


def test_a_change_of_the_answer_rate_is_followed_within_some_dozens_of_answers() -> None:
    model = RingingModel(30.0)
    _ring_a_list(model, answer=0.4, calls=3_000)
    before = model.answer_rate
    rng = np.random.default_rng(2)
    for call in range(250):
        now = 3_020.0 + call
        live = rng.random() < 0.1
        if live:
            model.answered(now, 10.0)
        else:
            model.ended(now, 1.5)
        model.refit(now, NONE)
    assert before > 0.34
    assert model.answer_rate < 0.22


def _finish(model: DurationModel, values: FloatArray) -> None:
    now = 0.0
    for step, value in enumerate(values.tolist()):
        now += value
        model.ended(now, value)
        if step % 50 == 0:
            model.refit(now, NONE)
    model.refit(now, NONE)


def test_the_rest_of_a_lognormal_talk_depends_on_the_time_elapsed() -> None:
    # Mean 120, cv 0.8: published chances to end within 12 s after 20, 60, 150, 300 s.
    model = DurationModel(prior_mean_s=180.0, prior_ends=3.0)
    _finish(model, LogNormal(120.0, 0.8).sample(np.random.default_rng(3), 20_000))
    ends = 1.0 - model.remaining(np.array([12.0]))[:, 0]
    for elapsed, expected in ((20.0, 0.0499593471), (60.0, 0.1233264886), (150.0, 0.1334119407), (300.0, 0.1102608684)):
        assert float(np.interp(elapsed, MIDDLES_S, ends)) == pytest.approx(expected, rel=0.35)
    assert model.mean_s == pytest.approx(120.0, rel=0.12)


@given(
    durations=st.lists(st.floats(0.1, 20_000.0), min_size=1, max_size=40),
    horizons=st.lists(st.floats(0.0, 200.0), min_size=1, max_size=8),
)
def test_what_remains_is_what_the_chances_to_last_say(durations: list[float], horizons: list[float]) -> None:
    model = DurationModel(prior_mean_s=100.0, prior_ends=3.0)
    for seconds in durations:
        model.ended(0.0, seconds)
    model.refit(1.0, np.array([30.0, 14_300.0]))
    for more in (np.array(horizons), np.array([*horizons, 5.0])):
        whole = model.survival(MIDDLES_S[:, None] + more[None, :])
        np.testing.assert_allclose(model.remaining(more) * model.survival(MIDDLES_S)[:, None], whole, rtol=1e-9)


def test_a_fixed_wrapup_is_known_to_end_when_it_ends() -> None:
    model = DurationModel(prior_mean_s=60.0, prior_ends=3.0)
    _finish(model, Fixed(20.5).sample(np.random.default_rng(1), 500))
    survival = model.survival(np.array([19.0, 22.0]))
    assert survival[0] > 0.75
    assert survival[1] < 0.25


def test_running_talks_count_so_that_the_first_short_ones_do_not_mislead() -> None:
    # Twenty talks begun together, mean 300: after 30 s two have ended.
    seeing, blind = (DurationModel(prior_mean_s=180.0, prior_ends=3.0) for _ in range(2))
    for model, running in ((seeing, np.full(18, 30.0)), (blind, NONE)):
        model.ended(10.0, 10.0)
        model.ended(20.0, 20.0)
        model.refit(30.0, running)
    assert seeing.mean_s > 1.7 * blind.mean_s
    assert seeing.mean_s > 150.0


def test_talks_cut_off_by_a_sign_out_are_not_taken_for_ends() -> None:
    cut, ended = (DurationModel(prior_mean_s=100.0, prior_ends=3.0) for _ in range(2))
    for step in range(200):
        cut.cut_short(float(step), 50.0)
        ended.ended(float(step), 50.0)
    cut.refit(200.0, NONE)
    ended.refit(200.0, NONE)
    assert cut.mean_s > 5.0 * ended.mean_s


def test_no_duration_falls_outside_the_bins() -> None:
    ages = np.array([0.0, 0.5, 39.9, 40.0, 100.0, 1e6])
    assert np.all((bin_of(ages) >= 0) & (bin_of(ages) < BINS))
    assert len(EDGES_S) == BINS + 1
    model = DurationModel(prior_mean_s=100.0, prior_ends=3.0)
    model.ended(1e6, 1e6)
    model.refit(1e6, np.array([1e9]))
    assert math.isfinite(model.mean_s)


def test_a_quiet_night_forgets_nothing() -> None:
    assert keep(100_000.0, 600.0, weight=300.0, least_weight=400.0) == 1.0
    assert keep(100_000.0, 600.0, weight=800.0, least_weight=400.0) == 0.5
    assert keep(600.0, 600.0, weight=8_000.0, least_weight=400.0) == pytest.approx(math.exp(-1.0))
    assert keep(-5.0, 600.0, weight=8_000.0, least_weight=400.0) == 1.0


def test_shares_follow_what_agents_do() -> None:
    fork = Fork(idle=1.0, away=0.1)
    for step in range(1_000):
        fork.saw("away" if step % 4 == 0 else "idle")
    assert fork.share("away") == pytest.approx(0.25, abs=0.02)
    assert fork.share("idle") + fork.share("away") == pytest.approx(1.0)
