"""`cadencia list load`: a CSV file into a campaign, with progress and a verdict on every row."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from dialer.cli.client import Api, with_api
from dialer.cli.screen import JsonOption, err, fail, out, print_json

app = typer.Typer(help="Lists of contacts.", no_args_is_help=True)

_POLL_S = 0.3


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
    rejected: Annotated[Path | None, typer.Option(help="Write rejected rows with their reasons to this CSV.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Load a list; the first contacts are called while the rest is still being read."""
    state = api.upload(f"/campaigns/{campaign}/lists", file, "text/csv", name=name or file.name)
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
