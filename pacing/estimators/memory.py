"""How much of the past to keep, and how to read it where it is thin."""

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
