"""`cadencia recording`: what was recorded, and the sound of it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer

from dialer.cli.client import Api, with_api
from dialer.cli.screen import JsonOption, out, print_json, print_rows
from dialer.errors import DialerError

app = typer.Typer(name="recording", help="Recordings of calls.", no_args_is_help=True)

_PIECE_BYTES = 262_144


@app.command("list")
@with_api
def list_recordings(
    api: Api,
    campaign: Annotated[str | None, typer.Option(help="Of one campaign.")] = None,
    contact: Annotated[str | None, typer.Option(help="Of one contact.")] = None,
    agent: Annotated[str | None, typer.Option(help="Of one agent.")] = None,
    state: Annotated[str | None, typer.Option(help="stored, ended, deleted, …")] = None,
    limit: Annotated[int, typer.Option(min=1, max=500, help="The latest so many.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """Recordings, the newest first."""
    found: list[dict[str, Any]] = api.get(
        "/recordings", campaign=campaign, contact=contact, agent=agent, state=state, limit=limit
    )["items"]
    if as_json:
        print_json(found)
        return
    print_rows(found, ["id", "started_at", "campaign", "contact", "agent", "state", "duration_s", "problem"])


@app.command()
@with_api
def fetch(
    api: Api,
    recording: Annotated[str, typer.Argument(help="Id of the recording.", show_default=False)],
    to: Annotated[Path | None, typer.Option(help="File; RECORDING.wav where left out.", dir_okay=False)] = None,
) -> None:
    """Write a recording to a file. That somebody did is in the audit."""
    found = api.get(f"/recordings/{recording}")
    if found["url"] is None:
        raise DialerError(f"recording {recording} is {found['state']}: there is nothing to fetch")
    path = to or Path(f"{found['id']}.wav")
    count = asyncio.run(_download(api, found["url"], path))
    out.print(f"{path}: {count:,} bytes, {found['duration_s']:.1f} s", markup=False)


async def _download(api: Api, url: str, path: Path) -> int:
    import aiohttp  # noqa: PLC0415

    timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=60)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, connector=api.connector()) as session,
            session.get(api.url + url) as answer,
        ):
            if answer.status != 200:
                raise DialerError(f"the node answered {answer.status}: try again")
            part, count = path.with_name(path.name + ".part"), 0
            with part.open("wb") as file:
                async for piece in answer.content.iter_chunked(_PIECE_BYTES):
                    count += file.write(piece)
            part.replace(path)
            return count
    except (aiohttp.ClientError, TimeoutError) as error:
        raise DialerError("the recording did not come to its end: try again") from error
    except OSError as error:
        raise DialerError(f"cannot write {path}: {error.strerror}") from error
