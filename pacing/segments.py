"""Segments of a list: small numbers for any hints, and how much more or less often each is answered.

A list may say that some of its contacts are answered alike (segment, hour of the day, attempt number). Each segment's
calls are compared with what an average call would have had answered; the ratio is shrunk towards 1, so a segment speaks
for itself only as far as it has been heard.

What is known of the campaign was learned from the segments called lately: where those are the poor ones, its rate is
low. So a ratio is always taken over the mean ratio of the calls that the campaign's rate was learned from.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Hashable

import numpy as np

from pacing.intervals import FloatArray, IntArray

# Segments told apart at a time; the one that was dialed longest ago makes room.
MOST_SEGMENTS = 256
# Expected answers' worth of belief that a segment is like the campaign.
_SHRINK = 6.0
# Expected answers after which the past of a segment counts 1/2.
_MEMORY = 150.0
_LOWEST, _HIGHEST = 0.1, 6.0
# How fast the mix of the calls being started is followed.
_MIX_STEP = 0.04
# Answers after which the calls that the campaign's rate was learned from count 1/e: about as long as it remembers them.
_LEVEL_ANSWERS = 80.0


class SegmentSlots:
    """Numbers for hints, from 1 to MOST_SEGMENTS; 0 stands for no hint."""

    __slots__ = ("_slots",)

    def __init__(self) -> None:
        self._slots: OrderedDict[Hashable, int] = OrderedDict()

    def slot(self, segment: Hashable) -> tuple[int, bool]:
        """The number of this hint, kept while it is among the latest MOST_SEGMENTS, and whether it is a new one."""
        if segment is None:
            return 0, False
        slot = self._slots.get(segment)
        if slot is not None:
            self._slots.move_to_end(segment)
            return slot, False
        slot = len(self._slots) + 1
        if slot > MOST_SEGMENTS:
            _, slot = self._slots.popitem(last=False)
        self._slots[segment] = slot
        return slot, True


class SegmentRates:
    """How often each segment is answered, as a ratio to an average call."""

    __slots__ = ("_answers", "_expected", "_level", "_mix", "_ratios")

    def __init__(self) -> None:
        self._answers = [0.0] * (MOST_SEGMENTS + 1)
        self._expected = [0.0] * (MOST_SEGMENTS + 1)
        # Ratio of each segment; that of calls without a hint is 1.
        self._ratios: FloatArray = np.ones(MOST_SEGMENTS + 1)
        # Mean ratio of the calls started lately, and of those that the campaign's rate was learned from.
        self._mix = 1.0
        self._level = 1.0

    @property
    def mix(self) -> float:
        """How much more often than the campaign's the calls started lately are answered."""
        return self._mix / self._level

    def forget(self, slot: int) -> None:
        """The number is given to another segment."""
        self._answers[slot] = self._expected[slot] = 0.0
        self._ratios[slot] = 1.0

    def started(self, slot: int) -> None:
        """A call of this segment was started."""
        self._mix += _MIX_STEP * (float(self._ratios[slot]) - self._mix)

    def resolved(self, slot: int, campaign_rate: float, *, answered: bool) -> None:
        """A call of this segment came to its end, when `campaign_rate` of all calls were answered."""
        step = min(campaign_rate / _LEVEL_ANSWERS, 1.0)
        self._level += step * (float(self._ratios[slot]) - self._level)
        if slot == 0:
            return
        expected = self._expected[slot] + campaign_rate / self._level
        answers = self._answers[slot] + answered
        if expected > 2.0 * _MEMORY:
            expected, answers = 0.5 * expected, 0.5 * answers
        self._expected[slot], self._answers[slot] = expected, answers
        self._ratios[slot] = _believed(answers + _SHRINK, expected + _SHRINK)

    def of(self, slots: IntArray) -> FloatArray:
        """How much more often than the campaign's the calls of each of these segments are answered."""
        ratios: FloatArray = self._ratios[slots] / self._level
        return ratios


def _believed(seen: float, expected: float) -> float:
    """The ratio of answers seen to expected; one standard error of it is put down to chance."""
    told = math.log(max(seen, 1e-9) / max(expected, 1e-9))
    believed = max(abs(told) - math.sqrt(1.0 / max(seen, expected)), 0.0)
    return min(max(math.exp(math.copysign(believed, told)), _LOWEST), _HIGHEST)
