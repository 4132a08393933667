"""`cadencia list`: a CSV file into a campaign, with a verdict on every row; and what is odd in a list."""

from __future__ import annotations

import sys
import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from dialer.cli.client import Api, with_api
from dialer.cli.screen import JsonOption, err, fail, out, print_json

app = typer.Typer(help="Lists of contacts.", no_args_is_help=True)

_POLL_S = 0.3
_CSV_HELP = "Print every rejected row and every warning as CSV."


class Duplicates(StrEnum):
    """What becomes of them."""

    REPORT = "report"
    REFUSE = "refuse"


@app.callback()
def _group() -> None:
    """Lists of contacts."""


@app.command()
@with_api
def load(
    api: Api,
    campaign: Annotated[str, typer.Argument(help="Campaign that the contacts go to.", show_default=False)],
    file: Annotated[Path, typer.Argument(help="CSV file with a header row.", exists=True, dir_okay=False)],
    name: Annotated[str | None, typer.Option(help="Name of the list; default: the file's.")] = None,
    duplicates: Annotated[
        Duplicates, typer.Option(help="What becomes of a row whose numbers other contacts of the campaign have.")
    ] = Duplicates.REPORT,
    filter_: Annotated[str, typer.Option("--filter", help="Call those of its contacts alone that it lets pass.")] = "",
    priority: Annotated[int, typer.Option(help="Is added to the priority of each of its contacts.")] = 0,
    rejected: Annotated[Path | None, typer.Option(help="Write rejected rows with their reasons to this CSV.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Load a list; the first contacts are called while the rest is still being read."""
    state = api.upload(
        f"/campaigns/{campaign}/lists",
        file,
        "text/csv",
        name=name or file.name,
        duplicates=duplicates.value,
        **({"filter": filter_} if filter_ else {}),
        **({"priority": str(priority)} if priority else {}),
    )
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[counts]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=err, disable=as_json) as progress:
        task = progress.add_task(f"loading {file.name}", total=None, counts="")
        while state["state"] in {"waiting", "running"}:
            time.sleep(_POLL_S)
            state = api.get(f"/lists/{state['id']}")
            counts = f"{state['read']:,} rows, {state['accepted']:,} accepted, {state['rejected']:,} rejected"
            progress.update(task, counts=counts)
    if rejected is not None:
        rejected.write_text(api.get_text(f"/lists/{state['id']}/rejected"), encoding="utf-8")
    if as_json:
        print_json(state)
    elif state["state"] == "done":
        out.print(f"{state['accepted']:,} of {state['read']:,} rows accepted.")
        for reason, count in sorted(state["reasons"].items(), key=lambda item: -item[1]):
            out.print(f"  {count:,} rejected: {reason}")
    if state["state"] == "failed":
        fail(state["error"])


@app.command("set")
@with_api
def set_(
    api: Api,
    id: Annotated[str, typer.Argument(help="Id of the list, as `list load` or the API tells it.", show_default=False)],
    filter_: Annotated[
        str | None, typer.Option("--filter", help="Call those of its contacts alone that it lets pass; '': all.")
    ] = None,
    priority: Annotated[int | None, typer.Option(help="Is added to the priority of each of its contacts.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Change a list's own filter and priority; both hold from the next dial."""
    given = {"filter": filter_, "priority": priority}
    changed = {name: value for name, value in given.items() if value is not None}
    if not changed:
        fail("give --filter or --priority", code=2)
    state = api.patch(f"/lists/{id}", changed)
    if as_json:
        print_json(state)
        return
    says = f"calls those that pass {state['filter']}" if state["filter"] else "calls all of its contacts"
    out.print(f"List {id} {says}, with priority {state['priority']:+d}.", highlight=False, markup=False)


@app.command()
@with_api
def report(
    api: Api,
    id: Annotated[str, typer.Argument(help="Id of the list, as `list load` or the API tells it.", show_default=False)],
    refresh: Annotated[
        bool, typer.Option("--refresh", help="Look through its contacts anew, and wait for it.")
    ] = False,
    as_json: JsonOption = False,
    as_csv: Annotated[bool, typer.Option("--csv", help=_CSV_HELP)] = False,
) -> None:
    """The quality of a list: rows rejected, and what is odd in the contacts that were taken."""
    if as_json and as_csv:
        fail("--json and --csv exclude each other")
    found = api.get(f"/lists/{id}/report")
    if refresh:
        found = _looked_through(api, id, found)
    if as_csv:
        sys.stdout.write(api.get_text(f"/lists/{id}/report.csv"))
    elif as_json:
        print_json(found)
    else:
        _print_report(found)


def _looked_through(api: Api, id: str, before: dict[str, Any]) -> dict[str, Any]:
    """The report after another look through the list."""
    began = before["check"]["started_at"]
    found: dict[str, Any] = api.post(f"/lists/{id}/report")
    while found["check"]["started_at"] == began or found["check"]["state"] == "running":
        time.sleep(_POLL_S)
        found = api.get(f"/lists/{id}/report")
    return found


def _print_report(found: dict[str, Any]) -> None:
    state, check = found["list"], found["check"]
    out.print(f"List {state['id']} of campaign {state['campaign']}: {state['state']}.", markup=False)
    out.print(f"{state['read']:,} rows, {state['accepted']:,} accepted, {state['rejected']:,} rejected.")
    _print_counts("Rejected", state["reasons"])
    match check["state"]:
        case "none":
            out.print("Its contacts have not been looked through yet; `--refresh` does it.")
        case "failed":
            out.print(f"Looking through its contacts failed: {check['error']}", markup=False)
        case "running":
            out.print("Its contacts are being looked through.")
        case _:
            out.print(
                f"{check['contacts']:,} contacts with {check['numbers']:,} numbers, as of {check['finished_at']}."
            )
            _print_counts("Sorts of lines", check["types"])
            _print_counts("Time zones", check["zones"])
            _print_counts("Jurisdictions", check["jurisdictions"])
            out.print(f"{check['contacts_with_warnings']:,} contacts with warnings.")
            _print_counts("Warnings", check["warnings"])
            if check["warnings_listed"] < sum(check["warnings"].values()):
                out.print(f"The CSV has the first {check['warnings_listed']:,} of them.")


def _print_counts(title: str, counts: dict[str, int]) -> None:
    if counts:
        out.print(f"{title}:")
    for name, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        out.print(f"  {count:,} {name}", markup=False, highlight=False)
