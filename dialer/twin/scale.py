"""Axes: where the ticks go, and from which numbers to which."""

from __future__ import annotations

import math
from dataclasses import dataclass

from dialer.twin.picture import Chart


@dataclass(frozen=True, slots=True)
class Scale:
    """One axis.

    Attributes:
        low, high: Its ends.
        ticks: Between them.
    """

    low: float
    high: float
    ticks: tuple[float, ...]

    def place(self, value: float) -> float:
        """Where a value stands: 0 at the low end, 1 at the high one."""
        return (value - self.low) / (self.high - self.low)


def scales(chart: Chart) -> tuple[Scale, Scale]:
    """The axes of a chart: horizontal and vertical."""
    xs = [x for curve in chart.curves for x, _ in curve.points]
    ys = [y for curve in chart.curves for _, y in curve.points]
    if chart.limit is not None:
        (xs if chart.limit_upright else ys).append(chart.limit)
    x_low = 0.0 if chart.x_step is None else min(xs, default=0.0)
    horizontal = (
        _stepped(x_low, max(xs, default=1.0), chart.x_step) if chart.x_step else _scale(0.0, max(xs, default=1))
    )
    low = 0.0 if chart.y_from_zero else min(ys, default=0.0)
    return horizontal, _scale(low, max(ys, default=1.0))


def _scale(low: float, high: float, wanted: int = 5) -> Scale:
    """Round numbers around what is to be shown."""
    if high - low < 1e-9:
        high = low + max(abs(low) * 0.1, 1e-3)
    rough = (high - low) / wanted
    magnitude = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * magnitude for factor in (1.0, 2.0, 2.5, 5.0, 10.0) if factor * magnitude >= rough * 0.999)
    first = math.floor(low / step + 1e-9)
    last = math.ceil(high * 1.02 / step - 1e-9)
    ticks = tuple(round(number * step, 12) for number in range(first, last + 1))
    return Scale(ticks[0], ticks[-1], ticks)


def _stepped(low: float, high: float, step: float) -> Scale:
    """From the first to the last moment, ticks at whole steps."""
    first, last = math.floor(low / step + 1e-6), math.ceil(high / step - 0.08)
    ticks = tuple(number * step for number in range(first, max(last, first + 1) + 1))
    return Scale(ticks[0], ticks[-1], ticks)
