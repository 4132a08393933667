"""`cadencia live`: the wallboard of a running node in a terminal."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dialer.cli.client import Api, with_api
from dialer.cli.screen import JsonOption, err, out, print_json
from dialer.errors import DialerError

if TYPE_CHECKING:
    from rich.console import RenderableType

_MISSES = 3


@with_api
def live(
    api: Api,
    every_s: Annotated[float, typer.Option("--every", help="Seconds between two looks.", min=0.2, max=60.0)] = 1.0,
    as_json: JsonOption = False,
) -> None:
    """What goes on now and why the pace is what it is, until Ctrl-C; with --json, or into a file, once."""
    first = api.get("/live")
    if as_json:
        print_json(first)
        return
    if not out.is_terminal:
        out.print(_board(api, first))
        return
    from rich.live import Live  # noqa: PLC0415

    with Live(_board(api, first), console=out, screen=True, auto_refresh=False) as shown:
        misses = 0
        while True:
            time.sleep(every_s)
            try:
                shown.update(_board(api, api.get("/live")), refresh=True)
                misses = 0
            except DialerError as error:
                # A node that is restarted is back in a moment; one that is gone is not.
                misses += 1
                if misses >= _MISSES:
                    raise
                err.print(f"{error}", markup=False, highlight=False)


def _board(api: Api, found: Any) -> RenderableType:
    import msgspec  # noqa: PLC0415

    from dialer.cli.wallboard import wallboard  # noqa: PLC0415
    from dialer.projections.live_rows import LiveSnapshot  # noqa: PLC0415

    try:
        view = msgspec.convert(found, LiveSnapshot)
    except msgspec.ValidationError as error:
        raise DialerError(f"the node at {api.url} is of another version than this command: {error}") from error
    return wallboard(view, f"Cadencia · {api.url}", "Ctrl-C stops")
