"""`cadencia simulate`: what a floor would do under one or several pacing methods, the same callers for each."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dialer.cli.client import ConfigOption
from dialer.cli.screen import JsonOption, fail, print_json
from dialer.cli.twin_options import (
    HtmlOption,
    OnOption,
    PlotOption,
    ProcessesOption,
    check_files,
    print_table,
    settings_for,
    shown_progress,
    write_files,
)

if TYPE_CHECKING:
    from dialer.twin.crew import Crew
    from dialer.twin.plans import Answer

_QUESTIONS = ("agents", "limit", "one-more")


def simulate(
    file: Annotated[
        Path | None, typer.Argument(metavar="[SCENARIO.toml]", help="A floor; see docs/simulate.md.", dir_okay=False)
    ] = None,
    agents: Annotated[int | None, typer.Option(min=1, max=20_000, help="Agents on duty.")] = None,
    hours: Annotated[float | None, typer.Option(min=0.05, max=24.0, help="Length of the day.")] = None,
    answer_rate: Annotated[float | None, typer.Option(min=0.0, max=1.0, help="Chance of a live answer.")] = None,
    talk: Annotated[float | None, typer.Option(min=1.0, max=86_400.0, help="Mean talk in seconds.")] = None,
    wrapup: Annotated[float | None, typer.Option(min=0.0, max=86_400.0, help="Mean wrap-up in seconds.")] = None,
    contacts: Annotated[
        int | None, typer.Option(min=1, max=50_000_000, help="A list of so many, then no more.")
    ] = None,
    method: Annotated[list[str] | None, typer.Option(help="Pacing method; repeat it to compare.")] = None,
    max_abandonment: Annotated[float | None, typer.Option(min=0.0, max=1.0, help="Share of live answers.")] = None,
    ratio: Annotated[float | None, typer.Option(min=0.0, max=100.0, help="Lines per idle agent, for `ratio`.")] = None,
    days: Annotated[int | None, typer.Option(min=1, max=366, help="Days, each with callers of its own.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Of the first day.")] = None,
    sweep: Annotated[
        list[str] | None, typer.Option(help="A grid: agents=10..30:5 or max_abandonment=0.01,0.03; repeat it.")
    ] = None,
    plan: Annotated[
        list[str] | None, typer.Option(help="A question: agents (with --by), limit (with --against), one-more.")
    ] = None,
    by: Annotated[
        str | None, typer.Option(help="Deadline of the list, such as 2026-11-27 or 2026-11-27T14:00.")
    ] = None,
    begin: Annotated[
        str | None, typer.Option("--from", help="When work on the list begins; default: now.", show_default=False)
    ] = None,
    work: Annotated[str, typer.Option(help="Working days of the week.")] = "mon-fri",
    closed: Annotated[list[str] | None, typer.Option(help="A day off, such as 2026-12-25; repeat it.")] = None,
    against: Annotated[float, typer.Option(min=0.0, max=1.0, help="The other limit, for --plan limit.")] = 0.01,
    plot: PlotOption = None,
    html: HtmlOption = None,
    on: OnOption = "auto",
    processes: ProcessesOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Simulate a floor faster than real time: occupancy and abandonment by method, the same people for each.

    The floor comes from a scenario, from options, or from a scenario changed by options.
    """
    from dialer.twin.crew import choose  # noqa: PLC0415

    values = {
        "agents": agents,
        "hours": hours,
        "answer.rate": answer_rate,
        "talk.mean_s": talk,
        "wrapup.mean_s": wrapup,
        "list.contacts": contacts,
        "methods": method,
        "pacing.max_abandonment": max_abandonment,
        "pacing.ratio": ratio,
        "days": days,
        "seed": seed,
    }
    raw = _tables(file, {path: value for path, value in values.items() if value is not None})
    for question in plan or []:
        if question not in _QUESTIONS:
            fail(f"--plan must be one of {', '.join(_QUESTIONS)}, not {question!r}", code=2)
    if plan and sweep:
        fail("--plan and --sweep are two things: ask for one of them", code=2)
    if sweep and (plot or html):
        fail("--plot and --html draw one floor: leave --sweep out, or take --json", code=2)
    if plan and (plot or html):
        fail("--plan answers in words and a table: leave --plot and --html out, or --plan", code=2)
    check_files(plot, html)
    crew = choose(on, settings_for(on, config), processes)
    if plan:
        dates = _Dates(by=by, begin=begin, work=work, closed=tuple(closed or ()))
        answers = [_ask(question, raw, dates, against, crew) for question in dict.fromkeys(plan)]
        _print_answers(answers, as_json=as_json)
    elif sweep:
        _sweep(raw, sweep, crew, as_json=as_json)
    else:
        _compare(raw, crew, plot, html, as_json=as_json)


def _tables(file: Path | None, given: dict[str, Any]) -> dict[str, Any]:
    """The scenario of a file, changed by options."""
    from dialer.errors import InputError  # noqa: PLC0415
    from dialer.twin.files import read_toml, scenario_of  # noqa: PLC0415
    from dialer.twin.grid import placed  # noqa: PLC0415

    try:
        raw: dict[str, Any] = {"days": 3} if file is None else read_toml(file)
        agents = given.get("agents") if raw.get("shifts") else None
        for path, value in given.items():
            if path == "agents" and agents is not None:
                continue
            if path == "talk.mean_s" and raw.get("talk", {}).get("family", "lognormal") == "observed":
                raise InputError("--talk cannot change observed talk times: give [talk] a family with mean_s")
            if path == "wrapup.mean_s" and not value:
                raw["wrapup"] = {"family": "fixed", "value_s": 0}
            elif isinstance(value, list):
                raw[path] = value
            else:
                raw = placed(raw, path, value)
        scenario = scenario_of(raw)
        if agents is not None:
            scaled = scenario.with_agents(agents).floor.shifts
            # In a scenario with shifts the number is that of the fullest moment; they keep their proportions.
            tables = list(raw["shifts"])
            if "agents" in raw:
                raw["agents"] = scaled[0].agents
                scaled = scaled[1:]
            raw["shifts"] = [
                {**table, "agents": shift.agents} for table, shift in zip(tables, scaled, strict=True) if shift.agents
            ]
    except (InputError, ValueError) as error:
        fail(str(error), code=2)
    return raw


def _compare(raw: dict[str, Any], crew: Crew, plot: Path | None, html: Path | None, *, as_json: bool) -> None:
    from dialer.twin.comparison import (  # noqa: PLC0415
        as_json as to_json,
    )
    from dialer.twin.comparison import (  # noqa: PLC0415
        cells_of,
        describe,
        frontier_sweeps,
        picture_of,
        remarks,
        row_of,
        shown_row,
    )
    from dialer.twin.files import scenario_of  # noqa: PLC0415

    scenario = scenario_of(raw)
    drawn = plot is not None or html is not None
    with shown_progress(f"days, {crew.name}") as progress:
        trials = crew.run(cells_of(raw, watch=drawn), progress)
    sweeps = []
    if drawn:
        with shown_progress("frontier") as progress:
            sweeps = frontier_sweeps(raw, scenario.methods, crew, progress)
    said = remarks(trials)
    if as_json:
        print_json(
            {
                "scenario": scenario.name,
                "floor": describe(scenario, len(trials[0].days)),
                "methods": to_json(trials),
                "remarks": said,
                "frontier": [
                    {"method": name, "points": [{"setting": what, **row_of(trial)} for what, trial in steps]}
                    for name, steps in sweeps
                ],
            }
        )
    else:
        title = " · ".join(filter(None, (scenario.name, describe(scenario, len(trials[0].days)))))
        print_table([shown_row(row_of(trial)) for trial in trials], title, said)
    if drawn:
        write_files(picture_of(scenario, trials, sweeps), plot, html, say=not as_json)


def _sweep(raw: dict[str, Any], texts: list[str], crew: Crew, *, as_json: bool) -> None:
    from dialer.errors import InputError  # noqa: PLC0415
    from dialer.twin.comparison import row_of, shown_row, swept_cells  # noqa: PLC0415
    from dialer.twin.grid import read_axis  # noqa: PLC0415

    try:
        where, cells = swept_cells(raw, [read_axis(text) for text in texts])
    except InputError as error:
        fail(str(error), code=2)
    with shown_progress(f"sweep, {crew.name}") as progress:
        trials = crew.run(cells, progress)
    rows = [
        {"point": point, **row_of(trial), "method": trial.method} for point, trial in zip(where, trials, strict=True)
    ]
    if as_json:
        print_json(rows)
        return
    shown = [{**{name: f"{value:g}" for name, value in row["point"].items()}, **shown_row(row)} for row in rows]
    print_table(shown, f"{len(where)} points, {crew.name}")


class _Dates:
    """Dates of a plan as they were typed."""

    def __init__(self, *, by: str | None, begin: str | None, work: str, closed: tuple[str, ...]) -> None:
        self.by = by
        self.begin = begin
        self.work = work
        self.closed = closed


def _ask(question: str, raw: dict[str, Any], dates: _Dates, against: float, crew: Crew) -> Answer:
    from dialer.twin import plans  # noqa: PLC0415
    from dialer.twin.files import scenario_of  # noqa: PLC0415

    scenario = scenario_of(raw)
    method = scenario.methods[0]
    with shown_progress(f"{question}, {crew.name}") as progress:
        if question == "limit":
            return plans.cost_of_limit(raw, method, (scenario.pacing["max_abandonment"], against), crew, progress)
        if question == "one-more":
            return plans.one_more_agent(raw, method, crew, progress)
        if dates.by is None:
            fail("--plan agents needs a deadline: --by 2026-11-27 or --by 2026-11-27T14:00", code=2)
        time = plans.working_time(
            _moment("--from", dates.begin),
            _moment("--by", dates.by, end_of_day=True),
            starts_at_s=scenario.starts_at_s,
            hours=scenario.floor.hours,
            weekdays=plans.working_days(dates.work),
            closed=[_moment("--closed", text).date() for text in dates.closed],
        )
        return plans.agents_by(raw, method, time, crew, progress)


def _moment(option: str, text: str | None, *, end_of_day: bool = False) -> Any:
    """A date or a local time; without one, now."""
    from datetime import UTC, datetime, timedelta  # noqa: PLC0415

    from dialer.runtime.clock import Clock  # noqa: PLC0415

    if text is None:
        # Local time without its zone, as the dates are that people type.
        return datetime.fromtimestamp(Clock().now(), UTC).astimezone().replace(tzinfo=None)
    try:
        moment = datetime.fromisoformat(text).replace(tzinfo=None)
    except ValueError:
        fail(f"{option} must be a date such as 2026-11-27, or 2026-11-27T14:00, not {text!r}", code=2)
    return moment + timedelta(days=1) - timedelta(seconds=1) if end_of_day and len(text) <= 10 else moment


def _print_answers(answers: list[Answer], *, as_json: bool) -> None:
    if as_json:
        print_json(
            [
                {"question": answer.question, "answer": list(answer.words), **answer.result, "rows": list(answer.rows)}
                for answer in answers
            ]
        )
        return
    for answer in answers:
        print_table(answer.rows, answer.question, answer.words)
