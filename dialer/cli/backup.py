"""`cadencia backup` and `cadencia restore`: the whole record in one file, and back."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from dialer.cli.client import ConfigOption
from dialer.cli.screen import JsonOption, out, print_json


def backup(
    file: Annotated[Path, typer.Argument(help="File to write (.tar); it must not exist.", dir_okay=False)],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write everything that the database has into one file, while nodes go on working.

    The file holds personal data: keep it as safe as the database. Recordings and registries are not in it.
    """
    from dialer.runtime.clock import Clock  # noqa: PLC0415
    from dialer.settings import load  # noqa: PLC0415
    from dialer.storage import backup as storage  # noqa: PLC0415

    made = asyncio.run(storage.backup(load(config).database.url, file, Clock().now()))
    if as_json:
        print_json({"file": str(file), **_told(made)})
        return
    out.print(
        f"Written to {file}: {made.dialect}, revision {made.revision}, {made.size_bytes:,} bytes.",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )


def restore(
    file: Annotated[Path, typer.Argument(help="What `cadencia backup` wrote.", exists=True, dir_okay=False)],
    replace: Annotated[bool, typer.Option("--replace", help="What the database has now may go.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put a backup back and bring its tables to this version. Stop every node and worker first.

    What has happened since the backup is unknown afterwards: docs/operations.md says what to push again.
    """
    from datetime import UTC, datetime  # noqa: PLC0415

    from dialer.settings import load  # noqa: PLC0415
    from dialer.storage import backup as storage  # noqa: PLC0415

    found = asyncio.run(storage.restore(load(config).database.url, file, replace=replace))
    if as_json:
        print_json({"file": str(file), **_told(found)})
        return
    taken = datetime.fromtimestamp(found.at, UTC).isoformat(timespec="seconds")
    out.print(f"The database is as it was at {taken}.", highlight=False, markup=False)
    out.print(
        "Removals and do-not-call entries since then must be pushed again before a campaign is started.",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )


def _told(manifest: object) -> dict[str, object]:
    import msgspec  # noqa: PLC0415

    told: dict[str, object] = msgspec.to_builtins(manifest)
    return told
