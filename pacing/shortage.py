"""The chance that more people answer than agents come free.

A is the number of ringing calls answered within a horizon and F the number of agents that come free, both sums of
independent Bernoulli variables with unequal chances. `P(A - F >= need)` is computed for several horizons at once and
weighted over them:

- exactly, from the characteristic function on a lattice of 32 points, while the variance is small enough for the
  distribution to fit into it (Hong 2013, "On computing the distribution function for the Poisson binomial");
- by a normal with Edgeworth terms up to the fourth cumulant where the variance is larger. The sum over the integers
  from `need` up is the integral of the smooth curve from need - 1/2, with Sheppard's corrections for the lattice: the
  variance loses 1/12 and the fourth cumulant gains 1/120 (Kolassa and McCullagh 1990).

What a call costs is asked, and that is not only the chance that it finds nobody itself: as long as it keeps its agent,
one who answers later may be the one who finds nobody. So for each moment at which it may be answered the worst horizon
from then on counts, by the chance that its agent is still with it, times what all moments add to the worst
(`pacing.passage`).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from pacing.intervals import FloatArray, IntArray
from pacing.passage import any_over_worst

ComplexArray = NDArray[np.complex128]

_LATTICE = 32
_HALF = _LATTICE // 2
_FREQUENCIES = _HALF + 1
# Above this variance the normal is used; at the switch the two differ by less than 0.0005 (tested).
EXACT_UP_TO_VARIANCE = 5.0

_ROOTS: ComplexArray = np.exp(np.arange(_FREQUENCIES) * (2j * np.pi / _LATTICE))
_RISE: ComplexArray = _ROOTS - 1.0
_FALL: ComplexArray = np.conj(_RISE)
# _PHASES[d] = roots ** -d; _SUMS[n] = sum of the first n phases, the transform of "d, d+1, ..., d+n-1", with the
# weight of each frequency in the inverse transform.
_PHASES: ComplexArray = np.power(np.conj(_ROOTS)[None, :], np.arange(_LATTICE)[:, None]).astype(np.complex128)
_WEIGHTS: FloatArray = np.full(_FREQUENCIES, 2.0 / _LATTICE)
_WEIGHTS[0] = _WEIGHTS[-1] = 1.0 / _LATTICE
_SUMS: ComplexArray = np.vstack([np.zeros((1, _FREQUENCIES)), np.cumsum(_PHASES, axis=0)]).astype(np.complex128)
_SUMS *= _WEIGHTS


class ShortageTable:
    """Groups of calls and agents with their chances, prepared so that a floor can be put in quickly.

    Args:
        calls: Chance that a call of each group is answered by each horizon, shape (groups, horizons).
        agents: Chance that an agent of each group is free by each horizon, shape (groups, horizons).
        fresh: Chance that a call started now is answered by each horizon, shape (horizons,).
        weights: Chance that the call is answered at each horizon; they sum to 1.
        still: Chance that who was answered at one horizon (row) still has the agent at another (column); 0 for those
            before, shape (horizons, horizons).
        passage: How much more likely a shortage is at some time than at the worst moment (`pacing.passage`).
    """

    def __init__(
        self,
        calls: FloatArray,
        agents: FloatArray,
        fresh: FloatArray,
        weights: FloatArray,
        still: FloatArray,
        passage: float = 1.0,
    ) -> None:
        self.passage = passage
        self._chances = np.concatenate([calls, agents])
        self.fresh = fresh
        self.weights = weights
        self.still = still
        self.call_groups = len(calls)
        cumulants = _cumulants(self._chances)
        # Odd cumulants of agents count against those of calls.
        cumulants[self.call_groups :, 0] *= -1.0
        cumulants[self.call_groups :, 2] *= -1.0
        self._cumulants: FloatArray = cumulants.reshape(len(self._chances), 4 * len(fresh))
        self.fresh_cumulants = _cumulants(fresh[None, :])[0]
        self._fresh_powers: list[ComplexArray] = [np.ones((len(fresh), _FREQUENCIES), dtype=np.complex128)]

    def given(self, groups: IntArray, need: int, ratios: FloatArray | None = None) -> Shortage:
        """The chance of a shortage.

        Args:
            groups: The group of each ringing call and of each busy agent, calls first; agents count on from the number
                of groups of calls.
            need: Idle agents less people already waiting.
            ratios: By how much more often each of the calls is answered than its group (calls in the same order as in
                `groups`); None: not at all.
        """
        return Shortage(self, groups, need, ratios)

    def means(self, groups: IntArray, ratios: FloatArray | None) -> tuple[FloatArray, FloatArray]:
        """Mean number of calls answered, and of agents free, by each horizon."""
        calls = groups < self.call_groups if ratios is None else np.arange(len(groups)) < len(ratios)
        asked = np.bincount(groups[calls], weights=ratios, minlength=len(self._chances))
        free = np.bincount(groups[~calls], minlength=len(self._chances))
        return asked @ self._chances, free @ self._chances

    def cumulants(self, groups: IntArray, ratios: FloatArray | None) -> FloatArray:
        """First four cumulants of D by horizon, shape (4, horizons)."""
        shape = (4, len(self.fresh))
        if ratios is None:
            counts = np.bincount(groups, minlength=len(self._chances))
            return (counts @ self._cumulants).reshape(shape)
        calls, agents = groups[: len(ratios)], groups[len(ratios) :]
        # Calls of one age are taken to have the mean of their ratios.
        counts = np.bincount(calls, minlength=self.call_groups)[: self.call_groups]
        sums = np.bincount(calls, weights=ratios, minlength=self.call_groups)[: self.call_groups]
        chances = np.minimum(self._chances[: self.call_groups] * (sums / np.maximum(counts, 1))[:, None], 1.0)
        asked: FloatArray = np.tensordot(counts.astype(np.float64), _cumulants(chances), axes=1)
        free = np.bincount(agents, minlength=len(self._chances)) @ self._cumulants
        return asked + free.reshape(shape)

    def transform(self, groups: IntArray, ratios: FloatArray | None, horizons: int) -> ComplexArray:
        """Characteristic function of D on the lattice by the first `horizons` ones, shape (horizons, frequencies)."""
        chances = self._chances.take(groups, axis=0)[:, :horizons]
        if ratios is None:
            calls = int(np.count_nonzero(groups < self.call_groups))
        else:
            calls = len(ratios)
            chances[:calls] = np.minimum(chances[:calls] * ratios[:, None], 1.0)
        factors: ComplexArray = np.empty((len(groups), horizons, _FREQUENCIES), dtype=np.complex128)
        np.multiply(chances[:calls, :, None], _RISE, out=factors[:calls])
        np.multiply(chances[calls:, :, None], _FALL, out=factors[calls:])
        factors += 1.0
        product: ComplexArray = np.multiply.reduce(factors, axis=0)
        return product

    def fresh_power(self, extra: int) -> ComplexArray:
        """Characteristic function of `extra` fresh calls on the lattice, shape (horizons, frequencies)."""
        powers = self._fresh_powers
        if extra < len(powers):
            return powers[extra]
        step: ComplexArray = 1.0 + self.fresh[:, None] * _RISE
        if extra > 64:
            power: ComplexArray = step**extra
            return power
        while len(powers) <= extra:
            powers.append(powers[-1] * step)
        return powers[extra]


class Shortage:
    """P(A - F >= need) as more fresh calls are added."""

    def __init__(self, table: ShortageTable, groups: IntArray, need: int, ratios: FloatArray | None) -> None:
        self._table = table
        self._groups = groups
        self._ratios = ratios
        self._need = need
        self.cumulants = table.cumulants(groups, ratios)
        self._transform: ComplexArray | None = None
        self._asked = 0

    def chance(self, extra: int) -> float:
        """Chance that one more call, with `extra` fresh ones beside it, leaves it or a later one without an agent."""
        self._asked = extra
        worst = (self._table.still * self.by_horizon(extra)).max(axis=1)
        return min(max(float(worst @ self._table.weights) * self._table.passage, 0.0), 1.0)

    def passage(self) -> float | None:
        """The chance of a shortage at any time over that at the worst moment, with the fresh calls last asked for."""
        if self._need < 1:
            return None
        table = self._table
        answered, freed = table.means(self._groups, self._ratios)
        return any_over_worst(answered + self._asked * table.fresh, freed, self._need, table.weights, table.still)

    def by_horizon(self, extra: int) -> FloatArray:
        """P(A - F >= need) by each horizon, with `extra` fresh calls added, shape (horizons,)."""
        cumulants = self.cumulants
        if extra:
            cumulants = cumulants + extra * self._table.fresh_cumulants
        variances = cumulants[1].tolist()
        # Horizons are in order, and what may happen by a later one includes what may by an earlier one.
        exact = len(variances)
        while exact and variances[exact - 1] > EXACT_UP_TO_VARIANCE:
            exact -= 1
        chances: FloatArray = np.empty(len(variances))
        if exact:
            chances[:exact] = self._exact(extra, cumulants[0], exact)
        if exact < len(variances):
            columns = cumulants.T.tolist()
            for horizon in range(exact, len(variances)):
                chances[horizon] = normal_tail(self._need, *columns[horizon])
        return chances

    def _exact(self, extra: int, mean: FloatArray, horizons: int) -> FloatArray:
        """The first `horizons` ones."""
        transform = self._transform
        if transform is None or len(transform) < horizons:
            transform = self._transform = self._table.transform(self._groups, self._ratios, horizons)
        transform = transform[:horizons]
        if extra:
            transform = transform * self._table.fresh_power(extra)[:horizons]
        # The lattice holds the 32 values around the mean; those from `need` to its upper end are summed.
        first = _HALF - self._need
        terms = [min(max(round(value) + first, 0), _LATTICE) for value in mean[:horizons].tolist()]
        tail = _SUMS.take(terms, axis=0)
        tail *= transform
        chances: FloatArray = (tail @ _PHASES[self._need % _LATTICE]).real
        return chances


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
    cumulants: FloatArray = np.empty((len(chances), 4, chances.shape[1]))
    cumulants[:, 0] = chances
    cumulants[:, 1] = spread
    cumulants[:, 2] = spread * (1.0 - 2.0 * chances)
    cumulants[:, 3] = spread * (1.0 - 6.0 * spread)
    return cumulants
