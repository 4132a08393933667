"""`cadencia campaign`: create, list, show, start, pause, drain, stop."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from dialer.cli.client import Api, with_api
from dialer.cli.screen import JsonOption, fail, out, percent, print_json, print_rows

app = typer.Typer(help="Campaigns: create, start, pause, stop.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="Id of the campaign.", show_default=False)]


@app.command()
@with_api
def create(
    api: Api,
    campaign: Name,
    name: Annotated[str | None, typer.Option(help="Name for people.")] = None,
    method: Annotated[str | None, typer.Option(help="predictive, progressive, ratio or preview.")] = None,
    max_abandonment: Annotated[float | None, typer.Option(help="Share of live answers, such as 0.03.")] = None,
    ring_timeout: Annotated[float | None, typer.Option(help="Seconds that a phone may ring.")] = None,
    caller_id: Annotated[str | None, typer.Option(help="E.164, such as +34910000000.")] = None,
    message: Annotated[str | None, typer.Option(help="Sound for people for whom no agent is free.")] = None,
    machine_detection: Annotated[bool, typer.Option(help="Detect answering machines.")] = False,
    screen_pop: Annotated[str | None, typer.Option(help="URL template for the agent's screen.")] = None,
    file: Annotated[Path | None, typer.Option("--file", "-f", help="All settings from a TOML file.")] = None,
    override: Annotated[
        list[str] | None, typer.Option(help="A rule that is set aside; needs --by and --why. Can be given again.")
    ] = None,
    by: Annotated[str | None, typer.Option(help="Who sets the rule aside: a person's name.")] = None,
    why: Annotated[str | None, typer.Option(help="Why it is set aside; recorded.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Create a campaign; options override the file."""
    body: dict[str, Any] = {}
    if file is not None:
        try:
            body = tomllib.loads(file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            fail(f"{file}: {error}", code=2)
    given = {
        "name": name,
        "method": method,
        "max_abandonment": max_abandonment,
        "ring_timeout_s": ring_timeout,
        "caller_id": caller_id,
        "message": message,
        "screen_pop": screen_pop,
    }
    body |= {key: value for key, value in given.items() if value is not None}
    if machine_detection:
        body.setdefault("machine_detection", {})
    if override:
        if not by or not why:
            fail("a rule is set aside by somebody and for a reason: give --by NAME and --why TEXT", code=2)
        body["override"] = [{"rule": rule, "by": by, "why": why} for rule in override]
    elif by or why:
        fail("--by and --why belong to --override RULE", code=2)
    created = api.post("/campaigns", {**body, "id": campaign})
    if as_json:
        print_json(created)
    else:
        for warning in created.get("warnings", []):
            out.print(f"[yellow]Mind:[/] {escape(warning)}")
        out.print(f"Campaign [bold]{campaign}[/] created. Next: cadencia list load {campaign} FILE.csv")


@app.command("list")
@with_api
def list_(api: Api, as_json: JsonOption = False) -> None:
    """All campaigns."""
    found: list[dict[str, Any]] = []
    cursor = None
    while True:
        page = api.get("/campaigns", cursor=cursor)
        found += page["items"]
        cursor = page["next_cursor"]
        if not cursor:
            break
    if as_json:
        print_json(found)
    else:
        rows = [{**row["settings"], **row} for row in found]
        print_rows(rows, ["id", "name", "state", "method", "max_abandonment"])


@app.command()
@with_api
def show(
    api: Api,
    campaign: Name,
    as_json: JsonOption = False,
) -> None:
    """One campaign: settings, state, and how it is doing now."""
    found = api.get(f"/campaigns/{campaign}")
    if as_json:
        print_json(found)
        return
    live = found.get("live") or {}
    settings = {key: value for key, value in found["settings"].items() if value not in (None, "", [], {})}
    out.print(f"[bold]{found['id']}[/]: {found['state']}")
    print_rows([{"setting": key, "value": value} for key, value in settings.items()], ["setting", "value"])
    if live:
        pace = live.get("pace") or {}
        out.print(f"Pace: {pace.get('explanation', 'no decision yet')}")
        out.print(f"Calls: {live['calls']}  agents: {live['agents']}  waiting contacts: {live['hopper']}")
        out.print(f"Occupancy: {percent(live['occupancy'])}  answered: {percent(live['answer_rate'])}")


def _order(api: Api, campaign: str, order: str, as_json: bool) -> None:
    changed = api.post(f"/campaigns/{campaign}/{order}")
    if as_json:
        print_json(changed)
    else:
        out.print(f"Campaign [bold]{campaign}[/]: {order}.")


@app.command()
@with_api
def start(
    api: Api,
    campaign: Name,
    as_json: JsonOption = False,
) -> None:
    """Begin, or go on, calling."""
    _order(api, campaign, "start", as_json)


@app.command()
@with_api
def pause(
    api: Api,
    campaign: Name,
    as_json: JsonOption = False,
) -> None:
    """Start no more calls; those under way go on."""
    _order(api, campaign, "pause", as_json)


@app.command()
@with_api
def drain(
    api: Api,
    campaign: Name,
    as_json: JsonOption = False,
) -> None:
    """Start no more calls, and stop when those under way have ended."""
    _order(api, campaign, "drain", as_json)


@app.command()
@with_api
def stop(
    api: Api,
    campaign: Name,
    as_json: JsonOption = False,
) -> None:
    """Stop, and hang up what rings; talks go on."""
    _order(api, campaign, "stop", as_json)
