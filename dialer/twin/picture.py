"""What is shown of a comparison, whoever draws it: curves over the day and the frontier, as plain points."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from pacing.trials import Trial
from pacing.watched import Moment

#: Points of a curve over the day: more would only shiver.
_POINTS: Final = 64
#: Before so many live answers a share of them says nothing.
_ENOUGH_ANSWERS: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """A line, or a single point.

    Attributes:
        label: In the legend.
        color: Place in the palette; the same method has the same in every chart.
        points: (x, y).
        notes: What each point is, for whoever points at it; empty for none.
    """

    label: str
    color: int
    points: tuple[tuple[float, float], ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """One chart.

    Attributes:
        title, hint: What it shows, and how to read it.
        x_label, y_label: Of the axes.
        x_format, y_format: Turn a number into the text of a tick.
        limit: A horizontal line (or a vertical one, `limit_upright`) that should not be crossed; None for none.
        points: Whether the points of lines are marked.
    """

    title: str
    hint: str
    x_label: str
    y_label: str
    curves: tuple[Curve, ...]
    x_format: Callable[[float], str]
    y_format: Callable[[float], str]
    limit: float | None = None
    limit_upright: bool = False
    points: bool = False
    x_step: float | None = None
    y_from_zero: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """Everything that is drawn of one comparison.

    Attributes:
        title, subtitle: Of the whole.
        columns, rows: The table, as texts.
        charts: In order.
        remarks: Sentences below the table.
    """

    title: str
    subtitle: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    charts: tuple[Chart, ...]
    remarks: tuple[str, ...] = ()


def share(value: float) -> str:
    """A ratio for people, with as few digits as it needs."""
    digits = 0 if abs(100 * value - round(100 * value)) < 1e-6 else 1
    return f"{100 * value:.{digits}f} %"


def count(value: float) -> str:
    """A number for people."""
    return f"{value:,.0f}" if abs(value - round(value)) < 1e-9 else f"{value:,.1f}"


def frontier(trials: Sequence[Trial], sweeps: Sequence[tuple[str, Sequence[tuple[str, Trial]]]]) -> Chart:
    """Occupancy against abandonment: lines for methods of which one setting was swept, points for the trials.

    Args:
        trials: The comparison.
        sweeps: (method, (what the setting was, trial) in order of the setting).
    """
    colors = _colors(trials)
    curves = [
        Curve(
            label=_span(method, steps[0][0], steps[-1][0]),
            color=colors.get(method, len(colors) + place),
            points=tuple((trial.abandonment, trial.occupancy) for _, trial in steps),
            notes=tuple(f"{method}, {what}: {_both(trial)}" for what, trial in steps),
        )
        for place, (method, steps) in enumerate(sweeps)
        if steps
    ]
    swept = {method for method, _ in sweeps}
    curves += [
        Curve(
            label=f"{trial.label} as set" if trial.label in swept else trial.label,
            color=colors[trial.label],
            points=((trial.abandonment, trial.occupancy),),
            notes=(f"{trial.label}: {_both(trial)}",),
        )
        for trial in trials
    ]
    return Chart(
        title="Occupancy against abandonment",
        hint="Up is better, right of the dashed line is forbidden.",
        x_label="abandoned, of live answers",
        y_label="occupancy",
        curves=tuple(curves),
        x_format=share,
        y_format=share,
        limit=trials[0].limit,
        limit_upright=True,
        points=True,
        y_from_zero=False,
    )


def over_the_day(trials: Sequence[Trial], starts_at_s: float) -> list[Chart]:
    """Abandonment, free agents and ringing calls through the first day, for the trials that were watched."""
    colors = _colors(trials)
    watched = [trial for trial in trials if trial.moments]
    if not watched:
        return []

    def curves(of: Callable[[Moment], float | None]) -> tuple[Curve, ...]:
        return tuple(
            Curve(label=trial.label, color=colors[trial.label], points=_thinned(trial.moments, of, starts_at_s))
            for trial in watched
        )

    hours = watched[0].moments[-1].at_s / 3_600.0
    step = next((step for step in (0.25, 0.5, 1.0, 2.0, 3.0, 4.0) if hours / step <= 9), 6.0)

    def chart(title: str, hint: str, y_label: str, of: Callable[[Moment], float | None], **more: object) -> Chart:
        return Chart(
            title=title,
            hint=hint,
            x_label="time of day",
            y_label=y_label,
            curves=curves(of),
            x_format=clock,
            x_step=step,
            **{"y_format": count, **more},  # type: ignore[arg-type]  # options of Chart, checked where they are written
        )

    return [
        chart(
            "Abandonment over the day",
            "Of all live answers since the morning; the dashed line is the limit.",
            "abandoned",
            lambda moment: moment.abandoned / moment.answered if moment.answered >= _ENOUGH_ANSWERS else None,
            limit=watched[0].limit,
            y_format=share,
        ),
        chart("Agents waiting", "Free agents: what pacing is there to shorten.", "agents", lambda moment: moment.idle),
        chart("Calls in flight", "Ringing at the same time.", "calls", lambda moment: moment.in_flight),
    ]


def clock(hour: float) -> str:
    """Hours since midnight as a clock time."""
    minutes = round(hour * 60)
    return f"{minutes // 60 % 24:02}:{minutes % 60:02}"


def _thinned(
    moments: Sequence[Moment], of: Callable[[Moment], float | None], starts_at_s: float
) -> tuple[tuple[float, float], ...]:
    size = max(math.ceil(len(moments) / _POINTS), 1)
    found = []
    for begin in range(0, len(moments), size):
        part = moments[begin : begin + size]
        values = [value for value in map(of, part) if value is not None]
        if values:
            found.append(((starts_at_s + part[-1].at_s) / 3_600.0, sum(values) / len(values)))
    return tuple(found)


def _colors(trials: Sequence[Trial]) -> dict[str, int]:
    return {label: place for place, label in enumerate(dict.fromkeys(trial.label for trial in trials))}


def _both(trial: Trial) -> str:
    return f"occupancy {share(round(trial.occupancy, 3))}, abandoned {100 * trial.abandonment:.2f} %"


def _span(method: str, first: str, last: str) -> str:
    """Such as "predictive, limit 1 % to 5 %"; the setting of `ratio` has the method's own name."""
    word, _, low = first.partition(" ")
    name = method if word == method else f"{method}, {word}"
    return f"{name} {low} to {last.partition(' ')[2]}"
