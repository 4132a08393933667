"""The chance that more people answer than agents come free.

A is the number of ringing calls answered within a horizon and F the number of agents that come free, both sums of
independent Bernoulli variables with unequal chances. `P(A - F >= need)` is computed for several horizons at once:

- exactly, from the characteristic function on a lattice of 64 points, while the variance is small enough for the
  distribution to fit into it (Hong 2013, "On computing the distribution function for the Poisson binomial");
- by a normal with Edgeworth terms up to the fourth cumulant where the variance is larger. D + U(-1/2, 1/2) is
  continuous and P(D >= i) = P(D + U >= i - 1/2) exactly: the variance gains 1/12, the fourth cumulant loses 1/120.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from pacing.intervals import FloatArray

ComplexArray = NDArray[np.complex128]

_LATTICE = 64
_HALF = _LATTICE // 2
# Above this variance the normal is used; at the switch the two differ by less than 0.001 (tested).
EXACT_UP_TO_VARIANCE = 12.0
# Chances below this are summed by powers (a series for the logarithm) when there are many of them.
_SMALL = 0.1
_DIRECT_UP_TO = 64

_FREQUENCIES: FloatArray = np.arange(_HALF + 1, dtype=np.float64)
_ROOTS: ComplexArray = np.exp(2j * np.pi * _FREQUENCIES / _LATTICE)
_RISE: ComplexArray = _ROOTS - 1.0
_FALL: ComplexArray = np.conj(_RISE)
# _PHASES[d] = roots ** -d; _SUMS[n] = sum of the first n phases: the transform of "d, d+1, ..., d+n-1".
_PHASES: ComplexArray = np.conj(_ROOTS)[None, :] ** np.arange(_LATTICE)[:, None]
_SUMS: ComplexArray = np.concatenate([np.zeros((1, _HALF + 1)), np.cumsum(_PHASES, axis=0)])
_WEIGHTS: FloatArray = np.full(_HALF + 1, 2.0 / _LATTICE)
_WEIGHTS[0] = _WEIGHTS[-1] = 1.0 / _LATTICE


class Shortage:
    """P(A - F >= need) as more fresh calls are added, at several horizons.

    Args:
        calls: Chance that a call of each group is answered by each horizon, shape (groups, horizons).
        call_counts: Calls in each group, whole numbers as floats.
        agents: Chance that an agent of each group is free by each horizon, shape (groups, horizons).
        agent_counts: Agents in each group.
        fresh: Chance that a call started now is answered by each horizon, shape (horizons,).
        need: Idle agents less people already waiting.
    """

    def __init__(
        self,
        calls: FloatArray,
        call_counts: FloatArray,
        agents: FloatArray,
        agent_counts: FloatArray,
        fresh: FloatArray,
        need: int,
    ) -> None:
        self._calls, self._call_counts = calls, call_counts
        self._agents, self._agent_counts = agents, agent_counts
        self._fresh = fresh
        self._need = need
        up = _cumulants(calls, call_counts)
        down = _cumulants(agents, agent_counts)
        self._cumulants = up + down * np.array([[-1.0], [1.0], [-1.0], [1.0]])
        self._fresh_cumulants = _cumulants(fresh[None, :], np.ones(1))
        self._transform: ComplexArray | None = None

    def probabilities(self, extra: int) -> FloatArray:
        """P(A - F >= need) by each horizon with `extra` fresh calls added, shape (horizons,)."""
        cumulants = self._cumulants + extra * self._fresh_cumulants
        exact = cumulants[1] <= EXACT_UP_TO_VARIANCE
        result = np.empty(len(self._fresh))
        if exact.any():
            result[exact] = self._exact(extra, cumulants[0])[exact]
        for column in np.flatnonzero(~exact):
            result[column] = normal_tail(self._need, *(float(value) for value in cumulants[:, column]))
        return np.clip(result, 0.0, 1.0)

    def _exact(self, extra: int, mean: FloatArray) -> FloatArray:
        if self._transform is None:
            self._transform = _product(self._calls, self._call_counts, _RISE) * _product(
                self._agents, self._agent_counts, _FALL
            )
        transform = self._transform
        if extra:
            transform = transform * (1.0 + self._fresh[:, None] * _RISE) ** extra
        # The lattice holds the 64 values around the mean; those from `need` to its upper end are summed.
        terms = np.clip(np.rint(mean).astype(np.int64) + _HALF - self._need, 0, _LATTICE)
        tail = _PHASES[self._need % _LATTICE] * _SUMS[terms]
        exact: FloatArray = np.einsum("kl,kl,l->k", transform, tail, _WEIGHTS).real
        exact[terms == _LATTICE] = 1.0
        return exact


def normal_tail(need: int, mean: float, variance: float, third: float, fourth: float) -> float:
    """P(D >= need) for an integer D with these cumulants, by an Edgeworth expansion."""
    variance += 1.0 / 12.0
    fourth -= 1.0 / 120.0
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


def _cumulants(chances: FloatArray, counts: FloatArray) -> FloatArray:
    """First four cumulants of the sum of Bernoulli variables, shape (4, horizons)."""
    spread = chances * (1.0 - chances)
    return np.stack(
        [
            counts @ chances,
            counts @ spread,
            counts @ (spread * (1.0 - 2.0 * chances)),
            counts @ (spread * (1.0 - 6.0 * spread)),
        ]
    )


def _product(chances: FloatArray, counts: FloatArray, step: ComplexArray) -> ComplexArray:
    """Product over all variables of (1 + chance * step), shape (horizons, frequencies)."""
    horizons = chances.shape[1]
    if not len(counts):
        return np.ones((horizons, _HALF + 1), dtype=np.complex128)
    whole = counts.astype(np.int64)
    if whole.sum() <= _DIRECT_UP_TO:
        each = np.repeat(chances, whole, axis=0)
        direct: ComplexArray = np.multiply.reduce(1.0 + each[:, :, None] * step, axis=0)
        return direct
    small = chances.max(axis=1) < _SMALL
    each = np.repeat(chances[~small], whole[~small], axis=0)
    product: ComplexArray = np.multiply.reduce(1.0 + each[:, :, None] * step, axis=0)
    if small.any():
        # log(1 + p s) = p s - (p s)^2 / 2 + ...; with p < 0.1 and |s| <= 2 five terms leave less than 1e-5 each.
        logarithm = np.zeros((horizons, _HALF + 1), dtype=np.complex128)
        power = np.ones_like(chances[small])
        step_power = np.ones_like(step)
        for order in range(1, 6):
            power = power * chances[small]
            step_power = step_power * -step
            logarithm -= (counts[small] @ power)[:, None] * step_power / order
        product = product * np.exp(logarithm)
    return product
