"""`cadencia db`: bring the database to the schema of this version, and seal what is in it."""

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


@app.command()
def reseal(config: ConfigOption = None) -> None:
    """Seal what stands in the clear, or was sealed with a former key, with `privacy.encryption_key`.

    Second factors, secrets of webhooks, and the fields of contacts that `privacy.encrypted_fields` names. It can be
    repeated and broken off; nodes may run meanwhile. Afterwards former keys are needed for backups alone.
    """
    from dialer.cli.own_database import on_database  # noqa: PLC0415
    from dialer.storage import resealing  # noqa: PLC0415

    done = on_database(config, resealing.reseal)
    out.print(
        f"{done.users:,} second factors, the secrets of {done.webhooks:,} webhooks and the fields of {done.contacts:,} "
        "contacts were sealed anew."
    )
