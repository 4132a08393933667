"""Distributions: what they say of themselves holds for their draws."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dialer.simulation.distributions import (
    Constant,
    Distribution,
    Empirical,
    Exponential,
    LogNormal,
    Mixture,
    Uniform,
    check_shares,
)
from dialer.simulation.profiles import PROFILES

ALL: list[Distribution] = [
    Constant(3.0),
    Uniform(1.0, 5.0),
    Exponential(7.0),
    LogNormal(60.0, 0.8),
    Mixture(((0.7, Uniform(18.0, 24.0)), (0.3, Exponential(2.0)))),
    Mixture(((0.5, Mixture(((0.5, Constant(1.0)), (0.5, Constant(2.0))))), (0.5, Uniform(0.0, 1.0)))),
    Empirical((1.0, 9.0, 4.0, 4.0, 2.5, 30.0)),
]


@pytest.mark.parametrize("distribution", ALL, ids=repr)
def test_mean_and_variance_hold_for_the_draws(distribution: Distribution) -> None:
    # 5 standard errors: one false alarm in two million, and the seed is fixed.
    uniform = np.random.default_rng(20260101).random(60_000)
    draws = np.array([distribution.at(float(u)) for u in uniform if u > 0.0])
    error = draws.std() / math.sqrt(draws.size)
    assert draws.mean() == pytest.approx(distribution.mean, abs=5 * error + 1e-9)
    squares = (draws - distribution.mean) ** 2
    squares_error = squares.std() / math.sqrt(squares.size)
    assert squares.mean() == pytest.approx(distribution.variance, abs=5 * squares_error + 1e-9)


@pytest.mark.parametrize("distribution", ALL, ids=repr)
@pytest.mark.parametrize("u", [2.0**-33, 0.5, 1.0 - 2.0**-33])
def test_no_draw_is_negative_or_infinite(distribution: Distribution, u: float) -> None:
    assert 0.0 <= distribution.at(u) < math.inf


@pytest.mark.parametrize("distribution", [Uniform(1.0, 5.0), Exponential(7.0), LogNormal(60.0, 0.8)], ids=repr)
def test_draws_follow_the_uniform_number(distribution: Distribution) -> None:
    draws = [distribution.at(u / 100) for u in range(1, 100)]
    assert draws == sorted(draws)


def test_median_of_the_exponential() -> None:
    assert Exponential(10.0).at(0.5) == pytest.approx(10.0 * math.log(2.0))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Constant(-1.0),
        lambda: Uniform(2.0, 1.0),
        lambda: Exponential(0.0),
        lambda: Exponential(math.inf),
        lambda: LogNormal(1.0, 0.0),
        lambda: LogNormal(math.nan, 1.0),
        lambda: Mixture(()),
        lambda: Mixture(((0.5, Constant(1.0)),)),
        lambda: Mixture(((1.5, Constant(1.0)), (-0.5, Constant(1.0)))),
        lambda: Empirical((1.0,)),
        lambda: Empirical((1.0, -1.0)),
    ],
)
def test_nonsense_is_refused(make: object) -> None:
    assert callable(make)
    with pytest.raises(ValueError, match=r"must|needs"):
        make()


def test_shares_that_miss_1_by_rounding_are_shares() -> None:
    check_shares([0.1] * 10)


def test_every_named_profile_is_sound() -> None:
    for name, profile in PROFILES.items():
        assert profile.name == name
        assert profile.talk.mean > 0
    assert PROFILES["demo"].answer_rate == pytest.approx(0.28)
    # Two minutes must show a campaign past its warm-up: some talks for each of twenty agents.
    assert 10 <= PROFILES["demo"].talk.mean <= 30
