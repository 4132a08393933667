"""`cadencia deliveries`: what is told to other systems, what was given up, and telling it again."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from dialer.cli.client import Api, with_api
from dialer.cli.screen import JsonOption, fail, out, print_json, print_rows

app = typer.Typer(help="Webhooks and updates of CRMs on their way.", no_args_is_help=True)


class Kind(StrEnum):
    """By which way something is told."""

    WEBHOOKS = "webhooks"
    CRM = "crm"


KindArgument = Annotated[Kind, typer.Argument(help="Webhooks, or updates of CRMs.", show_default=False)]


@app.command("list")
@with_api
def list_(
    api: Api,
    kind: KindArgument,
    state: Annotated[
        str, typer.Option(help="waiting, delivered, failed; of a CRM also skipped, withdrawn.")
    ] = "failed",
    as_json: JsonOption = False,
) -> None:
    """Deliveries in a state, with what went wrong last."""
    items: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        page = api.get(f"/deliveries/{kind}", status=state, cursor=cursor, limit=500)
        items += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    if as_json:
        print_json(items)
        return
    print_rows(items, ["id", "to", "type", "contact", "attempts", "next_at", "last_error"])


@app.command()
@with_api
def replay(
    api: Api,
    kind: KindArgument,
    ids: Annotated[list[str] | None, typer.Argument(help="Ids, as list shows them.", show_default=False)] = None,
    everything: Annotated[bool, typer.Option("--all", help="Everything that was given up.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Tell again what was given up, with the same ids."""
    if bool(ids) is everything:
        fail("name some ids, or --all", code=2)
    done = api.post(f"/deliveries/{kind}", {"ids": ids or None})
    if as_json:
        print_json(done)
        return
    out.print(f"{done['replayed']:,} are told again.")
