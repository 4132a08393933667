"""`cadencia report`: what became of calls: of one campaign at a glance, or of any by whatever somebody asks."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer

from dialer.cli import combined_report
from dialer.cli.client import Api, with_api
from dialer.cli.combined_report import Form, Wanted
from dialer.cli.pace_report import pace_held
from dialer.cli.screen import JsonOption, fail, out, percent, print_json, print_rows

_PAGE = 500
#: Outcomes in which a live person answered.
_LIVE = ("connected", "abandoned", "hung_up")


@with_api
def report(
    api: Api,
    campaign: Annotated[
        str | None, typer.Argument(help="Id of the campaign; with --by all of them may be meant.", show_default=False)
    ] = None,
    since: Annotated[str | None, typer.Option(help="Ended at or after this moment (RFC 3339).")] = None,
    until: Annotated[str | None, typer.Option(help="Ended before this moment (RFC 3339).")] = None,
    by: Annotated[
        str, typer.Option(help="A combined report by campaign, list, agent, day, hour, outcome, or several: day,hour.")
    ] = "",
    list_id: Annotated[list[str] | None, typer.Option("--list", help="With --by: only these lists.")] = None,
    agent: Annotated[list[str] | None, typer.Option(help="With --by: only these agents.")] = None,
    outcome: Annotated[list[str] | None, typer.Option(help="With --by: only these outcomes.")] = None,
    timezone: Annotated[
        str | None, typer.Option(help="With --by: zone of days and hours; that of each campaign.")
    ] = None,
    show: Annotated[str, typer.Option(help="With --by: columns, separated by commas.")] = "",
    plot: Annotated[str, typer.Option(help="With --by: a column that is drawn as bars.")] = "",
    form: Annotated[Form, typer.Option("--format", help="With --by and --out: how the file is written.")] = Form.CSV,
    file: Annotated[Path | None, typer.Option("--out", help="With --by: into this file.", dir_okay=False)] = None,
    pace: Annotated[bool, typer.Option("--pace", help="Also what held the pace back, and for how long.")] = False,
    machine_code: Annotated[str, typer.Option(help="Code by which agents say that it was a machine.")] = "MACHINE",
    as_json: JsonOption = False,
) -> None:
    """Outcomes, abandonment, talk and waiting times of a campaign's ended calls; with --by a combined report."""
    if by:
        wanted = Wanted(
            by=by,
            campaign=campaign,
            since=since,
            until=until,
            timezone=timezone,
            lists=list_id or (),
            agents=agent or (),
            outcomes=outcome or (),
        )
        if file is not None:
            combined_report.save(api, wanted, form, file)
        else:
            columns = [name.strip() for name in show.split(",") if name.strip()]
            combined_report.show(api, wanted, columns, plot, as_json=as_json)
        return
    if campaign is None:
        fail("name a campaign, or ask for a report of all with --by", 2)
    outcomes: Counter[str] = Counter()
    detection: Counter[tuple[str, str]] = Counter()
    talk_s, wait_s, late, cursor = 0.0, 0.0, 0, None
    while True:
        page = api.get("/calls", campaign=campaign, ended_from=since, ended_before=until, cursor=cursor, limit=_PAGE)
        for call in page["items"]:
            outcomes[call["outcome"]] += 1
            talk_s += call.get("talk_s") or 0.0
            if call["machine_verdict"] is not None or call["disposition"] == machine_code:
                detection[call["machine_verdict"] or "none in time", _said(call, machine_code)] += 1
            if call["outcome"] == "connected":
                wait_s += call.get("wait_s") or 0.0
                late += call["late"]
        cursor = page["next_cursor"]
        if not cursor:
            break
    dialed, live = sum(outcomes.values()), sum(outcomes[name] for name in _LIVE)
    connected, lost = outcomes["connected"], outcomes["abandoned"] + late
    found: dict[str, Any] = {
        "campaign": campaign,
        "dialed": dialed,
        "answered": live,
        "connected": connected,
        "abandoned": outcomes["abandoned"],
        "connected_late": late,
        "abandonment": lost / live if live else None,
        "answer_rate": live / dialed if dialed else None,
        "mean_talk_s": round(talk_s / connected, 1) if connected else None,
        "mean_wait_s": round(wait_s / connected, 3) if connected else None,
        "outcomes": dict(outcomes.most_common()),
        "machine_detection": [
            {"verdict": verdict, "agent_says": says, "calls": count}
            for (verdict, says), count in sorted(detection.items())
        ],
    }
    held = pace_held(api, campaign, since, until) if pace else []
    if as_json:
        print_json({**found, "pace": held} if pace else found)
        return
    print_rows(
        [{"outcome": name, "calls": count, "share": percent(count / dialed)} for name, count in outcomes.most_common()],
        ["outcome", "calls", "share"],
        title=f"{campaign}: {dialed:,} calls",
    )
    out.print(
        f"Live answers {live:,} ({percent(found['answer_rate'])}), "
        f"abandoned or met late {percent(found['abandonment'])}, "
        f"mean talk {found['mean_talk_s']} s, mean wait {found['mean_wait_s']} s."
    )
    if detection:
        print_rows(found["machine_detection"], ["verdict", "agent_says", "calls"], title="Machine detection")

    if held:
        print_rows(
            [{**row, "minutes": f"{row['minutes']:.1f}", "share": percent(row["share"])} for row in held],
            ["limit", "minutes", "share", "started", "example"],
            title="What held the pace back",
        )


def _said(call: dict[str, Any], machine_code: str) -> str:
    """What the agent who had the call said of it: the only check that detection can be held against."""
    if call["agent"] is None:
        return "nobody heard it"
    if call["disposition"] is None:
        return "nothing yet"
    return "machine" if call["disposition"] == machine_code else "person"
