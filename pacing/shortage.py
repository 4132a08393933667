"""The chance that more people answer than agents come free.

A is the number of ringing calls answered within a horizon and F the number of agents that come free, both sums of
independent Bernoulli variables with unequal chances. `P(A - F >= need)` is computed for several horizons at once:

- exactly, from the characteristic function on a lattice of 64 points, while the variance is small enough for the
  distribution to fit into it (Hong 2013, "On computing the distribution function for the Poisson binomial");
- by a normal with Edgeworth terms up to the fourth cumulant where the variance is larger. The sum over the integers
  from `need` up is the integral of the smooth curve from need - 1/2, with Sheppard's corrections for the lattice: the
  variance loses 1/12 and the fourth cumulant gains 1/120 (Kolassa and McCullagh 1990).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from pacing.intervals import FloatArray

ComplexArray = NDArray[np.complex128]

_LATTICE = 64
_HALF = _LATTICE // 2
# Above this variance the normal is used; at the switch the two differ by less than 0.0005 (tested).
EXACT_UP_TO_VARIANCE = 6.0
# Chances below this are summed by powers (a series for the logarithm) when there are many of them.
_SMALL = 0.1
_DIRECT_UP_TO = 48

_FREQUENCIES: FloatArray = np.arange(_HALF + 1, dtype=np.float64)
_ROOTS: ComplexArray = np.exp(_FREQUENCIES * (2j * np.pi / _LATTICE))
_RISE: ComplexArray = _ROOTS - 1.0
_FALL: ComplexArray = np.conj(_RISE)
# _PHASES[d] = roots ** -d; _SUMS[n] = sum of the first n phases: the transform of "d, d+1, ..., d+n-1".
_PHASES: ComplexArray = np.power(np.conj(_ROOTS)[None, :], np.arange(_LATTICE)[:, None]).astype(np.complex128)
_SUMS: ComplexArray = np.concatenate([np.zeros((1, _HALF + 1)), np.cumsum(_PHASES, axis=0)])
_WEIGHTS: FloatArray = np.full(_HALF + 1, 2.0 / _LATTICE)
_WEIGHTS[0] = _WEIGHTS[-1] = 1.0 / _LATTICE


class ShortageTable:
    """Groups of calls and agents with their chances, prepared so that counts can be put in quickly.

    Args:
        calls: Chance that a call of each group is answered by each horizon, shape (groups, horizons).
        agents: Chance that an agent of each group is free by each horizon, shape (groups, horizons).
        fresh: Chance that a call started now is answered by each horizon, shape (horizons,).
    """

    def __init__(self, calls: FloatArray, agents: FloatArray, fresh: FloatArray) -> None:
        chances = np.concatenate([calls, agents])
        self.fresh = fresh
        self.call_groups = len(calls)
        horizons = len(fresh)
        cumulants = _cumulants(chances)
        # Odd cumulants of agents count against those of calls.
        cumulants[self.call_groups :, 0] *= -1.0
        cumulants[self.call_groups :, 2] *= -1.0
        self._cumulants: FloatArray = cumulants.reshape(len(chances), 4 * horizons)
        self.fresh_cumulants = _cumulants(fresh[None, :])[0]
        self._chances = chances
        self._is_call = np.arange(len(chances)) < self.call_groups
        self.fresh_factor: ComplexArray = 1.0 + fresh[:, None] * _RISE
        self._small = chances.max(axis=1, initial=0.0) < _SMALL

    def given(self, counts: FloatArray, need: int) -> Shortage:
        """The chance of a shortage with so many calls and agents in each group (calls first).

        Args:
            counts: Whole numbers, shape (groups of calls + groups of agents,).
            need: Idle agents less people already waiting.
        """
        return Shortage(self, counts, need)

    def cumulants(self, counts: FloatArray) -> FloatArray:
        """First four cumulants of D by horizon, shape (4, horizons)."""
        return (counts @ self._cumulants).reshape(4, len(self.fresh))

    def transform(self, counts: FloatArray) -> ComplexArray:
        """Characteristic function of D on the lattice, shape (horizons, frequencies)."""
        rows = np.flatnonzero(counts)
        whole = counts[rows].astype(np.int64)
        if whole.sum() <= _DIRECT_UP_TO:
            return self._product(rows, whole)
        small = self._small[rows]
        product = self._product(rows[~small], whole[~small])
        if small.any():
            rows, few = rows[small], counts[rows[small]]
            calls = self._is_call[rows]
            logarithm = self._logarithm(rows[calls], few[calls], _RISE)
            logarithm += self._logarithm(rows[~calls], few[~calls], _FALL)
            product *= np.exp(logarithm)
        return product

    def _product(self, rows: NDArray[np.int64], whole: NDArray[np.int64]) -> ComplexArray:
        """Product of (1 + p s) over all calls and agents of these groups."""
        calls = int(np.searchsorted(rows, self.call_groups))
        factors: ComplexArray = np.empty((len(rows), len(self.fresh), _HALF + 1), dtype=np.complex128)
        chances = self._chances[rows][:, :, None]
        np.multiply(chances[:calls], _RISE, out=factors[:calls])
        np.multiply(chances[calls:], _FALL, out=factors[calls:])
        factors += 1.0
        product: ComplexArray = np.multiply.reduce(np.repeat(factors, whole, axis=0), axis=0)
        return product

    def _logarithm(self, rows: NDArray[np.int64], counts: FloatArray, step: ComplexArray) -> ComplexArray:
        """Sum of log(1 + p s) = p s - (p s)^2 / 2 + ...; with p < 0.1 and |s| <= 2 five terms leave under 1e-5 each."""
        chances = self._chances[rows]
        power = np.ones_like(chances)
        step_power: ComplexArray = np.ones_like(step)
        logarithm: ComplexArray = np.zeros((len(self.fresh), len(step)), dtype=np.complex128)
        for order in range(1, 6):
            power = power * chances
            step_power = step_power * -step
            logarithm -= (counts @ power)[:, None] * (step_power / order)
        return logarithm


class Shortage:
    """P(A - F >= need) as more fresh calls are added, at each horizon of a table."""

    def __init__(self, table: ShortageTable, counts: FloatArray, need: int) -> None:
        self._table = table
        self._counts = counts
        self._need = need
        self._cumulants = table.cumulants(counts)
        self._transform: ComplexArray | None = None

    def probabilities(self, extra: int) -> FloatArray:
        """P(A - F >= need) by each horizon with `extra` fresh calls added, shape (horizons,)."""
        cumulants = self._cumulants
        if extra:
            cumulants = cumulants + extra * self._table.fresh_cumulants
        exact = cumulants[1] <= EXACT_UP_TO_VARIANCE
        if exact.all():
            result = self._exact(extra, cumulants[0])
        else:
            result = np.empty(len(exact))
            if exact.any():
                result[exact] = self._exact(extra, cumulants[0])[exact]
            columns = cumulants.T.tolist()
            for column in np.flatnonzero(~exact):
                result[column] = normal_tail(self._need, *columns[column])
        return np.minimum(np.maximum(result, 0.0), 1.0)

    def _exact(self, extra: int, mean: FloatArray) -> FloatArray:
        if self._transform is None:
            self._transform = self._table.transform(self._counts)
        transform = self._transform
        if extra:
            transform = transform * self._table.fresh_factor**extra
        # The lattice holds the 64 values around the mean; those from `need` to its upper end are summed.
        terms = np.rint(mean).astype(np.int64) + (_HALF - self._need)
        terms = np.minimum(np.maximum(terms, 0), _LATTICE)
        tail = _PHASES[self._need % _LATTICE] * _SUMS[terms]
        exact: FloatArray = (transform * tail).real @ _WEIGHTS
        exact[terms == _LATTICE] = 1.0
        return exact


def normal_tail(need: int, mean: float, variance: float, third: float, fourth: float) -> float:
    """P(D >= need) for an integer D with these cumulants, by an Edgeworth expansion."""
    variance -= 1.0 / 12.0
    fourth += 1.0 / 120.0
    deviation = math.sqrt(variance)
    x = (need - 0.5 - mean) / deviation
    skew = third / (variance * deviation)
    excess = fourth / (variance * variance)
    density = math.exp(-0.5 * x * x) / math.sqrt(2.0 * math.pi)
    correction = (
        skew / 6.0 * (x * x - 1.0)
        + excess / 24.0 * (x**3 - 3.0 * x)
        + skew * skew / 72.0 * (x**5 - 10.0 * x**3 + 15.0 * x)
    )
    return min(max(0.5 * math.erfc(x / math.sqrt(2.0)) + density * correction, 0.0), 1.0)


def _cumulants(chances: FloatArray) -> FloatArray:
    """First four cumulants of Bernoulli variables, shape (groups, 4, horizons)."""
    spread = chances * (1.0 - chances)
    return np.stack([chances, spread, spread * (1.0 - 2.0 * chances), spread * (1.0 - 6.0 * spread)], axis=1)
