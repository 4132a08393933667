"""`cadencia db upgrade`: bring the database to the schema of this version."""

from __future__ import annotations

import typer

from dialer.cli.client import ConfigOption
from dialer.cli.screen import out

app = typer.Typer(help="The database.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """The database."""


@app.command()
def upgrade(config: ConfigOption = None) -> None:
    """Create or upgrade the tables; running it again changes nothing."""
    from dialer.settings import load  # noqa: PLC0415
    from dialer.storage import schema  # noqa: PLC0415

    version = schema.upgrade(load(config).database.url)
    before = "" if version.ready else f" (before: {version.current or 'no tables'})"
    out.print(f"Database is at revision {version.head}{before}.")
