"""`cadencia call`: call somebody for an agent, now."""

from __future__ import annotations

from typing import Annotated

import typer

from dialer.cli.client import Api, with_api
from dialer.cli.screen import JsonOption, out, print_json


@with_api
def call(
    api: Api,
    agent: Annotated[str, typer.Argument(help="Who talks; signed in, and not talking.", show_default=False)],
    whom: Annotated[
        str, typer.Argument(help="A number with +, or the id of a contact of the campaign.", show_default=False)
    ],
    campaign: Annotated[str, typer.Option(help="In which campaign: its rules and its record.")],
    as_json: JsonOption = False,
) -> None:
    """Call a contact or a number for an agent; the same rules hold as for any other call."""
    # A number has no letters, an id of a CRM mostly has; one that has none is taken for a number only with its +.
    key = "phone" if whom.startswith(("+", "00")) else "contact"
    asked = api.post("/calls", {"agent": agent, "campaign": campaign, key: whom})
    if as_json:
        print_json(asked)
    else:
        out.print(f"{asked['call']}: calling {asked['contact']} for {agent}.")
