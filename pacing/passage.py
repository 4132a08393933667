"""How much more likely a shortage is at some time than at its worst single moment.

The number of people who wait for an agent, A - F - need, jumps up when one of the ringing calls is answered and down
when an agent comes free. `pacing.shortage` knows its distribution at a handful of moments, exactly, but not how they
hang together; and what a call costs is the chance that a shortage is met at any time while the call has its agent. The
ratio of the two changes little with the state of a floor, and more from floor to floor: from 1.1 where talks are long
to 1.6 where they are short against ringing. So it is worked out now and then, for a walk with the same rates of jumps
up and down and independent steps (a Skellam process), from the last moment back to the first, and only the ratio is
used.
"""

from __future__ import annotations

import math

import numpy as np

from pacing.intervals import FloatArray

# The walk is looked at on so many places below a shortage; one that spreads wider is taken in larger steps.
_PLACES = 32
_LATTICE = 2 * _PLACES
_LARGEST_VARIANCE = 5.0
_FARTHEST_NEED = 28.0
# Looks at the walk from one moment to the next.
_LOOKS = 2
# Below this chance a floor is so safe that the ratio says nothing.
_LEAST_CHANCE = 1e-4
_MOST = 4.0

_ANGLES: FloatArray = 2.0 * np.pi * np.arange(_LATTICE) / _LATTICE
_UP = np.exp(-1j * _ANGLES) - 1.0
_DOWN = np.conj(_UP)
# Each place of the lattice as a step, upward ones first.
_STEPS = (np.arange(_LATTICE) + _PLACES) % _LATTICE - _PLACES
_BELOW = np.arange(1, _PLACES)
# From each place below a shortage to each other, as a step on the lattice.
_BETWEEN = (_BELOW[:, None] - _BELOW[None, :]) % _LATTICE


def any_over_worst(
    answered: FloatArray, freed: FloatArray, need: int, weights: FloatArray, still: FloatArray
) -> float | None:
    """The chance of a shortage at any time over that at the worst moment; None where both are next to nothing.

    Args:
        answered: Mean number of calls answered, and still with their agents, by each horizon, shape (horizons,).
        freed: Mean number of agents who came free by each horizon.
        need: Answers less freed agents that are a shortage, at least 1.
        weights: Chance that the call in question is answered at each horizon.
        still: Chance that who was answered at one horizon (row) still has the agent at another (column).
    """
    horizons = len(weights)
    kept = np.append(np.diagonal(still, offset=1), 1.0)
    # Jumps up and down from each horizon to the next: those who were answered and are done again did both.
    done = np.concatenate(([0.0], (answered * (1.0 - kept))[:-1]))
    up = np.maximum(np.diff(answered, prepend=0.0) + done, 0.0)
    down = np.maximum(np.diff(freed, prepend=0.0) + done, 0.0)
    coarse = max(math.sqrt(float((up + down).sum()) / _LARGEST_VARIANCE), need / _FARTHEST_NEED, 1.0)
    level = max(round(need / coarse), 1)
    coarse = need / level
    # With steps `coarse` times as large, the same drift and variance.
    drift, variance = (up - down) / coarse, (up + down) / coarse**2
    up, down = np.maximum(variance + drift, 0.0) / 2.0, np.maximum(variance - drift, 0.0) / 2.0
    by_then = _steps(np.cumsum(up), np.cumsum(down))
    short: FloatArray = by_then @ (level <= _STEPS)
    worst = float((still * short).max(axis=1) @ weights)
    if worst < _LEAST_CHANCE:
        return None
    looks = _steps(up / _LOOKS, down / _LOOKS)
    moves = looks[:, _BETWEEN]
    # A step that is as large as what is missing, or larger.
    far = np.concatenate([looks[:, 1:_PLACES], np.zeros((horizons, 1))], axis=1)
    meets = np.cumsum(far[:, ::-1], axis=1)[:, ::-1][:, : _PLACES - 1]
    missing = level - _STEPS
    place = np.clip(missing, 1, _PLACES - 1) - 1
    later: FloatArray = np.zeros(_PLACES - 1)
    total = 0.0
    for horizon in range(horizons - 1, -1, -1):
        total += float(weights[horizon]) * float(by_then[horizon] @ np.where(missing <= 0, 1.0, later[place]))
        if horizon:
            keeps = float(kept[horizon - 1]) ** (1.0 / _LOOKS)
            for _ in range(_LOOKS):
                later = keeps * (moves[horizon] @ later + meets[horizon])
    return min(max(total / worst, 1.0), _MOST)


def _steps(up: FloatArray, down: FloatArray) -> FloatArray:
    """Distribution of the difference of two Poisson variables on the lattice, shape (means, places)."""
    transform = np.exp(up[:, None] * _UP + down[:, None] * _DOWN)
    chances: FloatArray = np.maximum(np.fft.ifft(transform, axis=1).real, 0.0)
    return chances
