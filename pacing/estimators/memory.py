"""How much of the past to keep, and how fast to follow a change."""

from __future__ import annotations

import math

import numpy as np

from pacing.intervals import FloatArray


def keep(elapsed_s: float, time_constant_s: float, weight: float, least_weight: float) -> float:
    """The factor (0 to 1) by which evidence fades after `elapsed_s`.

    Fades with the time constant, but never below `least_weight` observations: a quiet night forgets nothing that
    nothing has replaced.
    """
    if elapsed_s <= 0.0 or weight <= least_weight:
        return 1.0
    return max(math.exp(-elapsed_s / time_constant_s), least_weight / weight)


def smooth(values: FloatArray) -> FloatArray:
    """A weighted mean of each bin and its two neighbours: a quiet campaign has few events in a bin."""
    padded = np.concatenate((values[:1], values, values[-1:]))
    smoothed: FloatArray = 0.25 * padded[:-2] + 0.5 * padded[1:-1] + 0.25 * padded[2:]
    return smoothed


class Pace:
    """A fast multiplier on slowly learned hazards: events seen against events that the hazards expected.

    Counting what was expected of every open interval (its compensator) and not only of the finished ones keeps calls
    that still ring, and talks that still run, from biasing it.

    Args:
        prior: Events' worth of belief that the multiplier is 1.
        memory: Expected events after which the past counts 1/e.
        memory_s: The same in seconds; the longer of the two holds, so that a big floor does not chase its own noise.
    """

    __slots__ = ("_expected", "_memory", "_memory_s", "_prior", "_seen", "_since_fading")

    def __init__(self, *, prior: float, memory: float, memory_s: float) -> None:
        self._prior = prior
        self._memory = memory
        self._memory_s = memory_s
        self._seen = 0.0
        self._expected = 0.0
        self._since_fading = 0.0

    def saw(self) -> None:
        """One event happened."""
        self._seen += 1.0

    def expected(self, events: float) -> None:
        """So many more events were expected."""
        self._expected += events
        self._since_fading += events

    def fade(self, elapsed_s: float) -> None:
        """Let the past fade, `elapsed_s` after the last time."""
        kept = math.exp(-min(max(self._since_fading, 0.0) / self._memory, max(elapsed_s, 0.0) / self._memory_s))
        self._since_fading = 0.0
        self._seen *= kept
        self._expected *= kept

    def rebase(self, ratio: float) -> None:
        """The slow hazards have been learned anew and now expect `ratio` times as much of the same past."""
        self._expected *= ratio

    @property
    def factor(self) -> float:
        """By how much events come faster than the slow hazards say; between a fifth and five times."""
        expected = max(self._expected, 0.0) + self._prior
        seen = self._seen + self._prior
        told = math.log(seen / expected)
        believed = max(abs(told) - math.sqrt(1.0 / max(seen, expected)), 0.0)
        return min(max(math.exp(math.copysign(believed, told)), 0.2), 5.0)
