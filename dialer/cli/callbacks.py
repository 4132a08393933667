"""`cadencia callbacks`: what is to be called when, by whom, and what is overdue."""

from __future__ import annotations

from typing import Annotated, Any, Final

import typer

from dialer.cli.client import Api, with_api
from dialer.cli.screen import JsonOption, out, print_json, print_rows

_PAGE: Final = 500


@with_api
def callbacks(
    api: Api,
    since: Annotated[str | None, typer.Option("--from", help="At or after it: 2026-05-04T09:00:00+02:00.")] = None,
    until: Annotated[str | None, typer.Option("--to", help="Before it.")] = None,
    agent: Annotated[str | None, typer.Option(help="Those of this agent.")] = None,
    campaign: Annotated[str | None, typer.Option(help="Those of this campaign.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the earliest first.")] = 100,
    as_json: JsonOption = False,
) -> None:
    """Callbacks that wait, the earliest first, each with the time that it is where the person lives."""
    query = {"from": since, "to": until, "agent": agent, "campaign": campaign}
    found: list[dict[str, Any]] = []
    cursor: str | None = None
    while len(found) < limit:
        page = api.get("/callbacks", **query, limit=min(limit - len(found), _PAGE), cursor=cursor)
        found += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    if as_json:
        print_json(found)
        return
    if not found:
        out.print("No callback waits.")
        return
    columns = ["at", "local_time", "campaign", "contact", "name", "agent", "state", "overdue"]
    print_rows([_row(item) for item in found], columns)
    if cursor is not None:
        out.print("There are more, later than these.")


def _row(item: dict[str, Any]) -> dict[str, Any]:
    local = item.get("local_time")
    return {
        **item,
        "at": item["at"][:16].replace("T", " ") + "Z",
        "local_time": None if local is None else f"{local[:16].replace('T', ' ')} {item['timezone']}",
        "agent": item.get("agent", "anybody"),
        "overdue": "overdue" if item["overdue"] else None,
    }
