"""`cadencia list reset` and `cadencia list penetration`: call a list once more, and how far it has been called."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any

import typer
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from dialer.cli.client import Api, with_api
from dialer.cli.screen import JsonOption, err, out, percent, print_json, print_rows
from dialer.core.outcome import Outcome


@with_api
def reset(
    api: Api,
    list_id: Annotated[str, typer.Argument(metavar="LIST", help="Id of the list.", show_default=False)],
    outcome: Annotated[
        list[Outcome], typer.Option(help="Outcome of the last call; may be given more than once.", show_default=False)
    ],
    as_json: JsonOption = False,
) -> None:
    """Call finished contacts of a list again, by the outcome of their last call."""
    outcomes = [each.value for each in outcome]
    reopened, refused = 0, Counter[str]()
    cursor: str | None = None
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with Progress(*columns, console=err, disable=as_json) as progress:
        task = progress.add_task(f"opening contacts of {list_id}", total=None)
        while True:
            step = api.post(f"/lists/{list_id}/reset", {"outcomes": outcomes}, cursor=cursor)
            reopened += step["reopened"]
            refused.update(step["refused"])
            progress.update(task, description=f"opening contacts of {list_id}: {reopened:,}")
            cursor = step["next_cursor"]
            if cursor is None:
                break
    if as_json:
        print_json({"list": list_id, "reopened": reopened, "refused": dict(refused)})
        return
    out.print(f"{reopened:,} contacts will be called again.")
    for reason, count in refused.most_common():
        out.print(f"  {count:,} stay as they are: {reason}")


@with_api
def penetration(
    api: Api,
    campaign: Annotated[str, typer.Argument(help="Id of the campaign.", show_default=False)],
    as_json: JsonOption = False,
) -> None:
    """How far each list of a campaign has been called."""
    found: list[dict[str, Any]] = api.get(f"/campaigns/{campaign}/penetration")
    if as_json:
        print_json(found)
        return
    rows = [
        {
            **row,
            "list": row["list"] or "(pushed)",
            "share_called": percent(row["share_called"]),
            "share_finished": percent(row["share_finished"]),
        }
        for row in found
    ]
    print_rows(
        rows, ["list", "contacts", "called", "share_called", "finished", "share_finished", "removed", "attempts"]
    )
