"""`cadencia replay`: what yesterday would have been under another method or limit, with the people of yesterday."""

from __future__ import annotations

import asyncio
from datetime import date, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from dialer.cli.client import ConfigOption
from dialer.cli.screen import JsonOption, fail, print_json
from dialer.cli.twin_options import (
    HtmlOption,
    PlotOption,
    ProcessesOption,
    check_files,
    print_table,
    shown_progress,
    write_files,
)
from dialer.runtime.clock import Clock


def replay(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="[CALLS.csv]", help="Columns start, answer, end, outcome, agent.", dir_okay=False),
    ] = None,
    campaign: Annotated[str | None, typer.Option(help="Take the calls of this campaign from the database.")] = None,
    day: Annotated[str | None, typer.Option(help="With --campaign: such as 2026-11-21; default: yesterday.")] = None,
    timezone: Annotated[
        str | None, typer.Option(help="Zone of days and of times without one; default: that of the settings.")
    ] = None,
    method: Annotated[list[str] | None, typer.Option(help="What might have been in force; repeat it.")] = None,
    in_force: Annotated[
        str | None, typer.Option(help="The method that was in force, to check the model by; default: as recorded.")
    ] = None,
    max_abandonment: Annotated[
        list[float] | None, typer.Option(min=0.0, max=1.0, help="A limit to try; repeat it. Default: the one in force.")
    ] = None,
    ratio: Annotated[float | None, typer.Option(min=0.0, max=100.0, help="Lines per idle agent, for `ratio`.")] = None,
    wrapup: Annotated[
        float | None, typer.Option(min=0.0, max=3_600.0, help="Mean wrap-up in seconds, where it is not on record.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of whoever is called once everybody on record has been.")] = 1,
    plot: PlotOption = None,
    html: HtmlOption = None,
    processes: ProcessesOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Replay a day: what really happened, the same simulated as a check, and what another method would have done.

    The day comes from a CSV file, or from the database: --campaign NAME --day 2026-11-21.
    """
    from dialer.settings import load  # noqa: PLC0415
    from dialer.twin import replays  # noqa: PLC0415
    from dialer.twin.comparison import as_json as to_json  # noqa: PLC0415
    from dialer.twin.record import read_csv, read_database  # noqa: PLC0415

    if (file is None) == (campaign is None):
        fail("give either a CSV file or --campaign NAME", code=2)
    if file is not None and day is not None:
        fail("--day goes with --campaign: a CSV file is a day already", code=2)
    check_files(plot, html)
    settings = load(config) if campaign is not None or config is not None else None
    try:
        zone = ZoneInfo(timezone or (settings.pacing.timezone if settings else "UTC"))
    except (ValueError, OSError, KeyError):
        fail(f"--timezone {timezone!r} is no zone; it may be an IANA name such as Europe/Madrid", code=2)
    if file is not None:
        record = read_csv(file, zone)
    else:
        assert campaign is not None, "checked above"
        assert settings is not None, "loaded above"
        record = asyncio.run(read_database(settings.database.url, campaign, _day(day, zone), zone))
    with shown_progress("replay") as progress:
        done = replays.replay(
            record,
            zone=zone,
            methods=method or ["predictive", "progressive"],
            limits=max_abandonment or [],
            in_force=in_force,
            ratio=ratio,
            wrapup_s=wrapup,
            seed=seed,
            processes=processes,
            progress=progress,
        )
    said = replays.said_of(done)
    if as_json:
        print_json(
            {
                "day": done.record.name,
                "agents": done.day.agents,
                "really": to_json(done.trials[:1])[0],
                "simulated": to_json(done.trials[1:]),
                "method_in_force": None if done.check is None else done.check.method,
                "wrapup_assumed_s": done.day.wrapup_s,
                "set_aside": {reason: count for reason, (count, _) in done.day.set_aside.items()},
                "pacing_journal": dict(done.record.limits),
                "remarks": said,
            }
        )
    else:
        print_table(replays.shown_rows(done), done.scenario.name, said)
    if plot is not None or html is not None:
        write_files(replays.picture_of(done), plot, html, say=not as_json)


def _day(text: str | None, zone: tzinfo) -> date:
    if text is None:
        return datetime.fromtimestamp(Clock().now(), zone).date() - timedelta(days=1)
    try:
        return date.fromisoformat(text)
    except ValueError:
        fail(f"--day must be a date such as 2026-11-21, not {text!r}", code=2)
