"""Distributions of times and amounts, as frozen values that turn a uniform number into a draw.

They hold no generator: `at(u)` maps one uniform number between 0 and 1 to one value, so whoever owns the randomness
decides what a draw depends on. Two worlds that differ in one distribution face the same people in everything else.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from statistics import NormalDist
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

_NORMAL: Final = NormalDist()


class Distribution(Protocol):
    """A distribution of numbers that are not negative."""

    @property
    def mean(self) -> float:
        """Expected value."""

    @property
    def variance(self) -> float:
        """Expected squared distance from the mean."""

    def at(self, u: float) -> float:
        """The draw that belongs to the uniform number `u`, 0 < u < 1."""


@dataclass(frozen=True, slots=True)
class Constant:
    """Always `value`."""

    value: float

    def __post_init__(self) -> None:
        _not_negative("value", self.value)

    @property
    def mean(self) -> float:
        """The value."""
        return self.value

    @property
    def variance(self) -> float:
        """None."""
        return 0.0

    def at(self, u: float) -> float:
        """The value, whatever `u` is."""
        return self.value


@dataclass(frozen=True, slots=True)
class Uniform:
    """Anything from `low` to `high`, all alike."""

    low: float
    high: float

    def __post_init__(self) -> None:
        _not_negative("low", self.low)
        if self.high < self.low:
            raise ValueError(f"high must not be below low, was {self.high} with low {self.low}")

    @property
    def mean(self) -> float:
        """The middle."""
        return (self.low + self.high) / 2

    @property
    def variance(self) -> float:
        """Of the width."""
        return (self.high - self.low) ** 2 / 12

    def at(self, u: float) -> float:
        """By linear interpolation."""
        return self.low + (self.high - self.low) * u


@dataclass(frozen=True, slots=True)
class Exponential:
    """Memoryless, with this mean."""

    mean: float

    def __post_init__(self) -> None:
        _positive("mean", self.mean)

    @property
    def variance(self) -> float:
        """Square of the mean."""
        return self.mean**2

    def at(self, u: float) -> float:
        """By the inverse of the distribution function."""
        return -self.mean * math.log1p(-u)


@dataclass(frozen=True)
class LogNormal:
    """Log-normal with this mean and this coefficient of variation (standard deviation over mean)."""

    mean: float
    cv: float

    def __post_init__(self) -> None:
        _positive("mean", self.mean)
        _positive("cv", self.cv)

    @property
    def variance(self) -> float:
        """Square of mean times cv."""
        return (self.mean * self.cv) ** 2

    @cached_property
    def _parameters(self) -> tuple[float, float]:
        """Mean and standard deviation of the logarithm."""
        squared = math.log1p(self.cv**2)
        return math.log(self.mean) - squared / 2, math.sqrt(squared)

    def at(self, u: float) -> float:
        """By the inverse of the normal distribution function."""
        mu, sigma = self._parameters
        return math.exp(mu + sigma * _NORMAL.inv_cdf(u))


@dataclass(frozen=True)
class Mixture:
    """One of several distributions, each with its share; the shares add up to 1."""

    parts: tuple[tuple[float, Distribution], ...]

    def __post_init__(self) -> None:
        check_shares([share for share, _ in self.parts])

    @property
    def mean(self) -> float:
        """Weighted mean of the parts."""
        return sum(share * part.mean for share, part in self.parts)

    @property
    def variance(self) -> float:
        """Second moment less the squared mean."""
        return sum(share * (part.variance + part.mean**2) for share, part in self.parts) - self.mean**2

    def at(self, u: float) -> float:
        """The part on whose share `u` lies, at the place of `u` within that share."""
        low = 0.0
        for share, part in self.parts:
            if share and u < low + share:
                return part.at(_inside((u - low) / share))
            low += share
        # The shares add up to 1 but for rounding, and u lies in that gap.
        return next(part for share, part in reversed(self.parts) if share).at(_inside(u))


@dataclass(frozen=True)
class Empirical:
    """Observed values, one as likely as another, with straight lines between neighbours."""

    values: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.values) < 2:
            raise ValueError("an empirical distribution needs two values at least")
        for value in self.values:
            _not_negative("values", value)

    @cached_property
    def _sorted(self) -> NDArray[np.float64]:
        return np.sort(np.asarray(self.values, dtype=np.float64))

    @property
    def mean(self) -> float:
        """Mean of the lines."""
        return float(np.mean((self._sorted[1:] + self._sorted[:-1]) / 2))

    @property
    def variance(self) -> float:
        """Second moment of the lines, each a uniform distribution, less the squared mean."""
        second = sum(float((a * a + a * b + b * b) / 3) for a, b in pairwise(self._sorted))
        return second / (len(self.values) - 1) - self.mean**2

    def at(self, u: float) -> float:
        """By linear interpolation between the sorted values."""
        place = u * (len(self.values) - 1)
        low = min(int(place), len(self.values) - 2)
        left, right = self._sorted[low], self._sorted[low + 1]
        return float(left + (right - left) * (place - low))


def check_shares(shares: Sequence[float]) -> None:
    """Raise ValueError unless `shares` are at least one, none negative, and add up to 1."""
    if not shares or min(shares) < 0 or not math.isclose(math.fsum(shares), 1.0, abs_tol=1e-9):
        raise ValueError(f"shares must not be negative and must add up to 1, were {list(shares)}")


def _inside(u: float) -> float:
    """`u` kept off 0 and 1, where some distributions have no value."""
    return min(max(u, 2.0**-53), 1.0 - 2.0**-53)


def _not_negative(name: str, value: float) -> None:
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(f"{name} must be finite and not negative, was {value}")


def _positive(name: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{name} must be finite and above 0, was {value}")
