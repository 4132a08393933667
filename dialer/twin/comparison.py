"""Methods side by side on the same people: the cells to be simulated, and the table, sentences and picture of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from dialer.twin.cells import Cell, scenario_in
from dialer.twin.crew import Crew, Progress, quiet
from dialer.twin.grid import Axis, placed, points
from dialer.twin.picture import Picture, clock, frontier, over_the_day
from pacing.scenario import Scenario
from pacing.trials import DayTotals, Trial, half_width

#: Settings along which a method's frontier is drawn.
_LIMITS: Final = (0.003, 0.01, 0.02, 0.03, 0.05)
_RATIOS: Final = (1.0, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0)
#: Days of each point of a frontier, at most: it is a picture, not the table.
_FRONTIER_DAYS: Final = 2


def cells_of(raw: Mapping[str, Any], *, watch: bool) -> list[Cell]:
    """One cell for each method of a scenario.

    Raises:
        InputError: the scenario cannot be used.
    """
    scenario = scenario_in(Cell(scenario=dict(raw), method=""))
    return [Cell(scenario=dict(raw), method=method, watch=watch) for method in scenario.methods]


def swept_cells(raw: Mapping[str, Any], axes: Sequence[Axis]) -> tuple[list[dict[str, float]], list[Cell]]:
    """A cell for each method at each point of a sweep, and the points in the same order.

    Raises:
        InputError: a point cannot be used; the text names the key.
    """
    where: list[dict[str, float]] = []
    cells: list[Cell] = []
    for point in points(axes):
        changed = dict(raw)
        agents = None
        for axis in axes:
            value = point[axis.name]
            if axis.path == "agents" and value == int(value):
                agents = int(value)
            else:
                changed = placed(changed, axis.path, value)
        text = ", ".join(f"{name} {value:g}" for name, value in point.items())
        checked = scenario_in(Cell(scenario=changed, method="", agents=agents))
        for method in checked.methods:
            where.append(point)
            cells.append(Cell(scenario=changed, method=method, agents=agents, label=f"{method}, {text}"))
    return where, cells


def frontier_sweeps(
    raw: Mapping[str, Any], methods: Sequence[str], crew: Crew, progress: Progress = quiet
) -> list[tuple[str, list[tuple[str, Trial]]]]:
    """`predictive` under several limits and `ratio` with several ratios, those of them that are compared."""
    days = min(int(raw.get("days", 1)), _FRONTIER_DAYS)
    plan = [("predictive", "max_abandonment", "limit", _LIMITS), ("ratio", "ratio", "ratio", _RATIOS)]
    wanted = [entry for entry in plan if entry[0] in methods]
    cells = [
        Cell(scenario=dict(raw), method=method, pacing={setting: value}, days=days)
        for method, setting, _, values in wanted
        for value in values
    ]
    trials = iter(crew.run(cells, progress) if cells else [])
    sweeps = []
    for method, setting, word, values in wanted:
        shown = [f"{100 * value:g} %" if setting == "max_abandonment" else f"{value:g}" for value in values]
        sweeps.append((method, [(f"{word} {text}", next(trials)) for text in shown]))
    return sweeps


def row_of(trial: Trial) -> dict[str, Any]:
    """A trial for machines: numbers as they are, None where there is none."""
    half = trial.half_width(_occupancy)
    last = trial.days[-1]
    row: dict[str, Any] = {
        "method": trial.label,
        "agents": trial.agents,
        "limit": trial.limit,
        "days": len(trial.days),
        "occupancy": trial.occupancy,
        "occupancy_half_width": half if math.isfinite(half) else None,
        "abandonment": trial.abandonment,
        "worst_day": trial.worst_day,
        "worst_half_hour": trial.worst_half_hour,
        "dialed": int(trial.total(lambda day: day.dialed)),
        "answered": int(trial.total(lambda day: day.answered)),
        "connected": int(trial.total(lambda day: day.connected)),
        "abandoned": int(trial.total(lambda day: day.abandoned)),
        "hung_up": int(trial.total(lambda day: day.hung_up)),
        "talks_per_agent_hour": round(trial.talks_per_agent_hour, 2),
        "wait_between_talks_s": round(trial.wait_between_talks_s, 1),
    }
    if last.left is not None:
        row["contacts_left"] = last.left
        row["through_on_day"] = len(trial.days) if last.left == 0 else None
    return row


def shown_row(row: Mapping[str, Any]) -> dict[str, str]:
    """The same for people."""
    half = row["occupancy_half_width"]
    spread = "" if half is None else f" ± {100 * half:.1f}"
    shown = {
        "method": str(row["method"]),
        "occupancy": f"{100 * row['occupancy']:.1f}{spread} %",
        "abandoned": f"{100 * row['abandonment']:.2f} %",
        "worst day": f"{100 * row['worst_day']:.2f} %",
        "worst half hour": f"{100 * row['worst_half_hour']:.1f} %" if row["worst_half_hour"] else "–",
        "dialed": f"{row['dialed']:,}",
        "answered": f"{row['answered']:,}",
        "connected": f"{row['connected']:,}",
        "talks/agent·h": f"{row['talks_per_agent_hour']:.1f}",
        "wait between": f"{row['wait_between_talks_s']:.0f} s",
    }
    if "contacts_left" in row:
        day = row["through_on_day"]
        shown["list"] = f"through on day {day}" if day else f"{row['contacts_left']:,} left"
    return shown


def remarks(trials: Sequence[Trial]) -> list[str]:
    """What the table means, in sentences."""
    found = []
    kept = [trial for trial in trials if trial.abandonment <= trial.limit + 1e-9]
    broke = [trial for trial in trials if trial not in kept]
    if broke:
        names = ", ".join(f"{trial.label} ({100 * trial.abandonment:.3f} %)" for trial in broke)
        found.append(f"Over the limit of {100 * trials[0].limit:g} %: {names}.")
    if len(kept) > 1:
        best = max(kept, key=lambda trial: trial.occupancy)
        others = [trial for trial in kept if trial is not best]
        second = max(others, key=lambda trial: trial.occupancy)
        more = best.total(_connected) / max(second.total(_connected), 1) - 1
        sure = half_width_of_difference(best, second)
        gain = best.occupancy - second.occupancy
        doubt = ", on a single day" if sure is None else "" if gain > sure else ", which so few days do not prove"
        found.append(
            f"Of those within the limit {best.label} keeps agents busiest: {100 * gain:.1f} points above "
            f"{second.label}, {100 * more:+.1f} % talks{doubt}."
        )
    elif len(kept) == 1 and broke:
        found.append(f"Only {kept[0].label} stays within the limit.")
    if any(not trial.total(lambda day: day.answered) for trial in trials):
        found.append("Nobody answered: there is nothing to be compared.")
    return found


def half_width_of_difference(one: Trial, other: Trial) -> float | None:
    """Half the 95 % confidence interval of the difference of two occupancies, day by day; None with a single day."""
    pairs = list(zip(one.days, other.days, strict=False))
    if len(pairs) < 2:
        return None
    return half_width([_occupancy(a) - _occupancy(b) for a, b in pairs])


def picture_of(
    scenario: Scenario,
    trials: Sequence[Trial],
    sweeps: Sequence[tuple[str, Sequence[tuple[str, Trial]]]] = (),
    more: Sequence[str] = (),
) -> Picture:
    """Everything that is drawn of a comparison."""
    rows = [shown_row(row_of(trial)) for trial in trials]
    return Picture(
        title=scenario.name or "A simulated floor",
        subtitle=describe(scenario, len(trials[0].days)),
        columns=tuple(rows[0]),
        rows=tuple(tuple(row.values()) for row in rows),
        charts=(frontier(trials, sweeps), *over_the_day(trials, scenario.starts_at_s)),
        remarks=(*remarks(trials), *more),
    )


def describe(scenario: Scenario, days: int) -> str:
    """A floor in one line."""
    floor = scenario.floor
    parts = [f"{scenario.agents:,} agents", f"{days} day{'s' if days > 1 else ''} of {round(floor.hours, 1):g} h"]
    parts.append(f"from {clock(scenario.starts_at_s / 3_600)}")
    if floor.people:
        parts.append(f"{len(floor.people):,} people who were really called")
    else:
        rates = sorted({floor.answer.first, *(rate for _, rate in floor.answer.changes)})
        spread = f"{100 * rates[0]:g} %" if len(rates) == 1 else f"{100 * rates[0]:g} to {100 * rates[-1]:g} %"
        parts.append(f"{spread} answer")
    if floor.contacts is not None:
        parts.append(f"a list of {floor.contacts.contacts:,}")
    parts.append(f"limit {100 * scenario.pacing.get('max_abandonment', 0.03):g} %")
    return ", ".join(parts)


def as_json(trials: Sequence[Trial]) -> list[dict[str, Any]]:
    """Trials for machines: the row, and the days and minutes it was made from."""
    return [{**row_of(trial), "pacing": trial.pacing, "by_day": msgspec.to_builtins(trial.days)} for trial in trials]


def _occupancy(day: DayTotals) -> float:
    return day.occupancy


def _connected(day: DayTotals) -> float:
    return day.connected
