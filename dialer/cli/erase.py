"""`cadencia erase`: a person is forgotten, everywhere, and never called again."""

from __future__ import annotations

from typing import Annotated

import typer

from dialer.cli.client import Api, with_api
from dialer.cli.screen import JsonOption, out, print_json


@with_api
def erase(
    api: Api,
    phones: Annotated[list[str], typer.Argument(help="Their numbers, in E.164.", show_default=False)],
    who: Annotated[str, typer.Option(help="By whose order; it goes on record.")],
    all_numbers: Annotated[
        bool, typer.Option("--all-numbers", help="Also the other numbers of the contacts that have these.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Erase whoever has these numbers. A keyed hash of each stays, so that nobody calls it again.

    Evidence keeps that calls were made, when and by which rules, but not to whom. It can be repeated.
    """
    found = api.post("/erasures", {"numbers": phones, "by": who, "all_numbers": all_numbers})
    if as_json:
        print_json(found)
        return
    rows = ", ".join(f"{count:,} in {table}" for table, count in found["rows"].items()) or "nothing was left to erase"
    out.print(f"{found['numbers']} numbers are called by nobody any more; {rows}.", highlight=False, soft_wrap=True)
    if found["others"]:
        out.print(
            f"The contacts had {found['others']} other numbers, which stay: --all-numbers takes them, too.",
            highlight=False,
            soft_wrap=True,
        )
