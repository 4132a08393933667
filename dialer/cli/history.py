"""`cadencia history`: everything that is on record of a contact, a number or a person."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

import typer

from dialer.cli.client import Api, with_api
from dialer.cli.screen import JsonOption, fail, out, print_json, print_rows


@with_api
def history(
    api: Api,
    contact: Annotated[
        str | None, typer.Argument(help="Id of the contact; without --campaign in all campaigns.", show_default=False)
    ] = None,
    campaign: Annotated[str | None, typer.Option(help="Id of its campaign.")] = None,
    phone: Annotated[str | None, typer.Option(help="Instead of a contact: whoever has or had this number.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Attempts, talks, codes, recordings, callbacks, consents, removals, lists and refusals, the latest first."""
    if (contact is None) == (phone is None):
        fail("name a contact, or a number with --phone", 2)
    if campaign is not None and contact is None:
        fail("--campaign goes with a contact; a number is looked up in all campaigns", 2)
    if contact is not None and campaign is not None:
        path = f"/campaigns/{quote(campaign, safe='')}/contacts/{quote(contact, safe='')}/history"
        found = api.get(path)
    else:
        found = api.post("/history", {"phone": phone} if phone is not None else {"contact": contact})
    if as_json:
        print_json(found)
        return
    if not found["entries"]:
        out.print("Nothing is on record.")
        return
    rows = [{**entry, "at": entry["at"][:19].replace("T", " "), "what": _what(entry)} for entry in found["entries"]]
    print_rows(rows, ["at", "kind", "campaign", "contact", "what"], title=", ".join(found["phones"]))
    if found["more"]:
        out.print("There is more, older than this.")


def _what(entry: dict[str, Any]) -> str:
    details = entry.get("details", {})
    return ", ".join(f"{name} {value}" for name, value in details.items() if not isinstance(value, (dict, list)))
