"""`cadencia simulate`: what a floor would do under one or several pacing methods, the same callers for each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dialer.cli.screen import JsonOption, fail, percent, print_json, print_rows

if TYPE_CHECKING:
    from pacing.simulate import Day


def simulate(
    agents: Annotated[int, typer.Option(min=1, max=5_000, help="Agents on duty.")] = 20,
    hours: Annotated[float, typer.Option(min=0.1, max=24.0, help="Length of the day.")] = 8.0,
    answer_rate: Annotated[float, typer.Option(min=0.001, max=1.0, help="Chance that a live person answers.")] = 0.25,
    talk: Annotated[float, typer.Option(min=1.0, help="Mean talk in seconds.")] = 150.0,
    wrapup: Annotated[float, typer.Option(min=0.0, help="Mean wrap-up in seconds.")] = 20.0,
    method: Annotated[list[str] | None, typer.Option(help="Pacing method; repeat it to compare.")] = None,
    max_abandonment: Annotated[float, typer.Option(min=0.0, max=0.03, help="Share of live answers.")] = 0.03,
    ratio: Annotated[float, typer.Option(min=0.0, max=20.0, help="Lines per idle agent, for `ratio`.")] = 1.5,
    days: Annotated[int, typer.Option(min=1, max=100, help="Days, each with callers of its own.")] = 3,
    seed: Annotated[int, typer.Option(help="Of the first day.")] = 1,
    as_json: JsonOption = False,
) -> None:
    """Simulate a floor faster than real time: occupancy and abandonment by method, averaged over some days."""
    from pacing import build, method_names  # noqa: PLC0415
    from pacing.distributions import LogNormal  # noqa: PLC0415
    from pacing.floor import Floor, Shift, Steps  # noqa: PLC0415
    from pacing.simulate import simulate as run  # noqa: PLC0415

    wanted = method or ["predictive", "progressive", "ratio"]
    unknown = sorted(set(wanted) - set(method_names()))
    if unknown:
        fail(f"no pacing method {', '.join(unknown)}; there are {', '.join(sorted(method_names()))}", code=2)
    floor = Floor(
        shifts=(Shift(agents=agents),),
        answer=Steps(answer_rate),
        talk=LogNormal(talk, 0.9),
        wrapup=LogNormal(wrapup, 0.5) if wrapup > 0 else None,
        hours=hours,
    )

    def settings_of(name: str) -> dict[str, float]:
        # To the comparisons `ratio` means their own hand-set factor; theirs are the defaults of their makers.
        return {"max_abandonment": max_abandonment} | ({"ratio": ratio} if name == "ratio" else {})

    rows = []
    for name in wanted:
        results = [
            run(floor, build(name, **settings_of(name)), seed=seed + day, decide_every_s=1.0) for day in range(days)
        ]
        rows.append(_row(name, results))
    if as_json:
        print_json(rows)
        return
    title = f"{agents} agents, {hours:g} h, {percent(answer_rate)} answer, {days} days"
    shares = ("occupancy", "abandonment", "worst_day")
    shown = [{key: percent(value) if key in shares else value for key, value in row.items()} for row in rows]
    print_rows(shown, list(rows[0]), title=title)


def _row(method: str, days: Sequence[Day]) -> dict[str, Any]:
    answered, staffed_s = sum(day.answered for day in days), sum(day.staffed_s for day in days)
    return {
        "method": method,
        "occupancy": sum(day.busy_s for day in days) / staffed_s if staffed_s else 0.0,
        "abandonment": sum(day.abandoned for day in days) / answered if answered else 0.0,
        "worst_day": max(day.abandonment for day in days),
        "dialed": sum(day.dialed for day in days),
        "answered": answered,
        "talks_per_agent_hour": round(3600 * sum(day.connected for day in days) / staffed_s, 2) if staffed_s else 0.0,
    }
