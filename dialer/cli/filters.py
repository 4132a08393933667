"""`cadencia campaign filter`: whom a filter lets through, tried out and set."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from dialer.cli.client import Api, with_api
from dialer.cli.screen import JsonOption, fail, out, percent, print_json


@with_api
def filter_(
    api: Api,
    campaign: Annotated[str, typer.Argument(help="Id of the campaign.", show_default=False)],
    expression: Annotated[
        str | None,
        typer.Argument(metavar="FILTER", help='Such as: state in ["CA", "NY"] and debt > 100. Left out: its own.'),
    ] = None,
    list_id: Annotated[str | None, typer.Option("--list", help="Count the contacts of this list alone.")] = None,
    set_: Annotated[bool, typer.Option("--set", help="Call by it from now on.")] = False,
    clear: Annotated[bool, typer.Option("--clear", help="Call all contacts again.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Count whom a filter lets through; with --set the campaign calls by it, contacts that wait already included."""
    if clear and (expression or set_):
        fail("--clear takes away the filter: give neither another one nor --set", code=2)
    if set_ and not expression:
        fail("--set needs a filter; --clear takes it away", code=2)
    wanted = "" if clear else expression
    found: dict[str, Any] = api.post(f"/campaigns/{campaign}/filter-check", {"filter": wanted, "list": list_id})
    if set_ or clear:
        api.patch(f"/campaigns/{campaign}", {"filter": found["filter"]})
    if as_json:
        print_json({**found, "set": set_ or clear})
        return
    share = found["passing"] / found["contacts"] if found["contacts"] else 0.0
    out.print(
        f"{found['passing']:,} of {found['contacts']:,} contacts that wait ({percent(share)}) "
        + (f"pass: {found['filter']}" if found["filter"] else "pass: there is no filter"),
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
    for name, count in found["without"].items():
        if count:
            out.print(f"  {count:,} of them have no {name}", highlight=False, markup=False)
    if set_ or clear:
        out.print(f"Campaign {campaign} calls by it from now on.", highlight=False, markup=False)
