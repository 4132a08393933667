"""`cadencia actions`: rules of the next best action: checked, tried on history, in force, and what they did."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer

from dialer.cli.client import Api, ConfigOption, with_api
from dialer.cli.screen import JsonOption, out, print_json, print_rows

app = typer.Typer(help="Rules of the next best action.", no_args_is_help=True)

File = Annotated[Path, typer.Argument(help="A rule file (TOML), or a folder of them.", exists=True, show_default=False)]
_DAY_S = 86_400.0


@app.command()
def check(file: File) -> None:
    """Check rules: words that are not known, conditions that cannot hold, moves that go round. Needs no node."""
    rules = _rules(file).rules
    out.print(f"{len(rules)} rules are all right: {', '.join(rule.name for rule in rules)}", soft_wrap=True)


@app.command("dry-run")
def dry_run(
    file: File,
    days: Annotated[float, typer.Option(help="How far back rules could have fired.", min=0.001, max=400)] = 30.0,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """What rules would have done in the last days, counted on the record. Changes nothing; needs no running node."""
    from dialer.runtime.action_view import dry_run as try_on_record  # noqa: PLC0415
    from dialer.runtime.clock import Clock  # noqa: PLC0415
    from dialer.settings import load  # noqa: PLC0415
    from dialer.storage.opening import open_database  # noqa: PLC0415

    rules = _rules(file)
    settings = load(config)
    since = Clock().now() - days * _DAY_S

    async def tried() -> Any:
        database = open_database(settings)
        try:
            return await try_on_record(database, rules, since)
        finally:
            await database.close()

    run, _ = asyncio.run(tried())
    tallies = list(run.tallies.values())
    if as_json:
        print_json(
            {
                "contacts": run.contacts,
                "calls": run.calls,
                "rules": [
                    {
                        "rule": tally.rule,
                        "action": tally.action,
                        "contacts": tally.contacts,
                        "campaigns": tally.campaigns,
                        "examples": [
                            {"campaign": campaign, "contact": contact, "why": why}
                            for campaign, contact, why in tally.examples
                        ],
                    }
                    for tally in tallies
                ],
            }
        )
        return
    rows = [
        {
            "rule": tally.rule,
            "action": tally.action,
            "contacts": f"{tally.contacts:,}",
            "campaigns": ", ".join(f"{name} {count:,}" for name, count in sorted(tally.campaigns.items())),
            "for example": tally.examples[0][1] + ": " + tally.examples[0][2] if tally.examples else "",
        }
        for tally in tallies
    ]
    print_rows(
        rows,
        ["rule", "action", "contacts", "campaigns", "for example"],
        title=f"{run.contacts:,} contacts with {run.calls:,} calls; what these rules would have done",
    )


@app.command("list")
@with_api
def list_rules(api: Api, as_json: JsonOption = False) -> None:
    """The rules that are in force."""
    found = api.get("/actions/rules")
    if as_json:
        print_json(found)
        return
    rows = [
        {**rule, "campaigns": ", ".join(rule["campaigns"]), "when": _words(rule["when"]), "then": _words(rule["then"])}
        for rule in found["items"]
    ]
    print_rows(rows, ["name", "campaigns", "when", "then", "description"])


@app.command()
@with_api
def log(
    api: Api,
    rule: Annotated[str | None, typer.Option(help="Only of this rule.")] = None,
    campaign: Annotated[str | None, typer.Option(help="Only of contacts of this campaign.")] = None,
    limit: Annotated[int, typer.Option(help="How many.", min=1, max=500)] = 50,
    as_json: JsonOption = False,
) -> None:
    """What rules did and why, the latest first."""
    found = api.get("/actions/firings", rule=rule, campaign=campaign, limit=limit)
    if as_json:
        print_json(found)
        return
    print_rows(found["items"], ["at", "rule", "campaign", "contact", "action", "state", "why", "problem"])


def _rules(file: Path) -> Any:
    from dialer.actions.loader import load_rules, read_toml  # noqa: PLC0415
    from dialer.actions.rules import parse_rules, rule_set  # noqa: PLC0415

    return load_rules(file) if file.is_dir() else rule_set(parse_rules(read_toml(file), str(file)))


def _words(part: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in part.items())
