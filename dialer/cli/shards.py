"""`cadencia shards`: by which table of shards the installation goes. On the database itself, while nobody dials."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import typer

from dialer.cli.client import ConfigOption
from dialer.cli.own_database import note, now, on_database
from dialer.cli.screen import JsonOption, fail, out, print_json, print_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dialer.storage.database import Database

app = typer.Typer(help="Several Redis in one installation, each with the campaigns of one group.", no_args_is_help=True)

_COLUMNS = ("shard", "campaigns")


@app.command()
def adopt(config: ConfigOption = None) -> None:
    """Go by the [[redis.shards]] of the settings from now on. All nodes and workers must be stopped.

    Each Redis that was loaded by another table is loaded anew from the record when a node of its shard starts.
    """
    from dialer.runtime.shard_checks import living  # noqa: PLC0415
    from dialer.settings import load  # noqa: PLC0415

    redis = load(config).redis
    table = redis.table
    alive = asyncio.run(living(redis))
    if alive:
        fail(f"{', '.join(alive)} still at work: stop all nodes first, then wait for five seconds")

    async def write(database: Database) -> None:
        from dialer.storage.shards import ShardTable  # noqa: PLC0415

        marks = [f"{redis.prefix}@{name}" for name in table.table] or [redis.prefix]
        await ShardTable(database).adopt(table, marks, now())
        await note(database, "shards.adopted", "shards", table=dict(table.as_rows()))

    on_database(config, write)
    names = ", ".join(table.table)
    out.print(
        f"The installation has the shards {names}. Give all nodes and workers this table, then start them."
        if names
        else "The installation has one Redis. Take the shards out of all settings, then start the nodes.",
        markup=False,
        highlight=False,
    )


@app.command()
def show(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """The shards by which the installation goes, and their campaigns."""

    async def read(database: Database) -> Sequence[tuple[str, tuple[str, ...]]]:
        from dialer.storage.shards import ShardTable  # noqa: PLC0415

        return await ShardTable(database).get()

    rows = [{"shard": name, "campaigns": list(campaigns)} for name, campaigns in on_database(config, read)]
    if as_json:
        print_json(rows)
    else:
        print_rows([{**row, "campaigns": ", ".join(row["campaigns"])} for row in rows], _COLUMNS)
