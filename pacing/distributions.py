"""Distributions of durations for the call-centre model: frozen values that draw from a generator given to them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from pacing.intervals import FloatArray


class Distribution(Protocol):
    """A distribution of seconds."""

    def sample(self, rng: np.random.Generator, size: int) -> FloatArray:
        """`size` independent draws, none negative."""


@dataclass(frozen=True, slots=True)
class Fixed:
    """Always the same."""

    value_s: float

    def sample(self, rng: np.random.Generator, size: int) -> FloatArray:
        return np.full(size, self.value_s)


@dataclass(frozen=True, slots=True)
class Exponential:
    """Memoryless."""

    mean_s: float

    def sample(self, rng: np.random.Generator, size: int) -> FloatArray:
        return rng.exponential(self.mean_s, size)


@dataclass(frozen=True, slots=True)
class LogNormal:
    """What talk times look like.

    Attributes:
        mean_s: The mean (not the median).
        cv: Standard deviation over mean.
    """

    mean_s: float
    cv: float

    def sample(self, rng: np.random.Generator, size: int) -> FloatArray:
        variance = math.log1p(self.cv * self.cv)
        return rng.lognormal(math.log(self.mean_s) - 0.5 * variance, math.sqrt(variance), size)


@dataclass(frozen=True, slots=True)
class Gamma:
    """A sum of `shape` exponential steps: what ring times look like."""

    mean_s: float
    shape: float

    def sample(self, rng: np.random.Generator, size: int) -> FloatArray:
        return rng.gamma(self.shape, self.mean_s / self.shape, size)


@dataclass(frozen=True, slots=True)
class Uniform:
    """Anything between two bounds."""

    low_s: float
    high_s: float

    def sample(self, rng: np.random.Generator, size: int) -> FloatArray:
        return rng.uniform(self.low_s, self.high_s, size)


@dataclass(frozen=True, slots=True)
class Observed:
    """Drawn from observed values, each as likely as the others."""

    values_s: tuple[float, ...]

    def sample(self, rng: np.random.Generator, size: int) -> FloatArray:
        return np.asarray(self.values_s, dtype=np.float64)[rng.integers(len(self.values_s), size=size)]


@dataclass(frozen=True, slots=True)
class Mixture:
    """One distribution with chance `share`, else the other."""

    share: float
    first: Distribution
    second: Distribution

    def sample(self, rng: np.random.Generator, size: int) -> FloatArray:
        pick = rng.random(size) < self.share
        return np.where(pick, self.first.sample(rng, size), self.second.sample(rng, size))
