"""`cadencia key`: who may use the API. On the database itself, since the first key cannot be asked for with a key."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dialer.cli.client import ConfigOption
from dialer.cli.own_database import note, now, on_database
from dialer.cli.screen import JsonOption, err, fail, out, print_json, print_rows
from dialer.cli.tenants import TenantOption

if TYPE_CHECKING:
    from dialer.api.key_ports import KeyEntry
    from dialer.runtime.key_book import StoredKeyBook
    from dialer.storage.database import Database

app = typer.Typer(help="Keys of the API: one for each program and person, each with one role.", no_args_is_help=True)

_ROLES = ("manager", "supervisor", "agent", "crm", "metrics")
_DAY_S = 86_400.0
_HOUR_S = 3_600.0
_COLUMNS = ("id", "role", "name", "tenant", "state", "created", "last_used", "expires")


@app.command()
def create(
    role: Annotated[str, typer.Argument(help=f"One of {', '.join(_ROLES)}.", show_default=False)],
    name: Annotated[
        str, typer.Argument(help="Whose it is; an agent's key is named after the agent.", show_default=False)
    ],
    days: Annotated[
        float | None,
        typer.Option(help="Good for so many days; else for good.", min=0.001, show_default=False),
    ] = None,
    tenant: TenantOption = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a key and print it, once: only its hash is kept."""
    from dialer.core.ids import valid_name  # noqa: PLC0415

    if role not in _ROLES:
        fail(f"there is no role {role!r}; it must be {', '.join(_ROLES)}", code=2)
    if not name.strip() or not name.isprintable() or len(name) > 100:
        fail("the name must be 1 to 100 printable characters", code=2)
    if role == "agent" and not valid_name(name):
        fail(f"an agent's key is named after the agent, and no agent can be called {name!r}", code=2)

    async def make(database: Database) -> tuple[KeyEntry, str]:
        expires_at = None if days is None else now() + days * _DAY_S
        key, secret = await _book(database).create(role, name, expires_at, tenant=tenant)
        await note(database, "key.created", f"key:{key.id}", role=role, expires_at=expires_at, tenant=tenant)
        return key, secret

    _show_made(*on_database(config, make), as_json)


@app.command("list")
def show(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """All keys, the oldest first; none of them in full."""

    async def read(database: Database) -> list[KeyEntry]:
        return list(await _book(database).all())

    rows = [_row(key) for key in on_database(config, read)]
    if as_json:
        print_json(rows)
    else:
        print_rows(rows, _COLUMNS)


@app.command()
def revoke(
    key: Annotated[str, typer.Argument(help="The id that `cadencia key list` shows.", show_default=False)],
    config: ConfigOption = None,
) -> None:
    """Make a key worthless; nodes that know it obey within 5 seconds."""

    async def end(database: Database) -> bool:
        revoked = await _book(database).revoke(key)
        if revoked:
            await note(database, "key.revoked", f"key:{key}")
        return revoked

    if not on_database(config, end):
        fail(f"there is no key {key!r} that is still good; `cadencia key list` shows all")
    out.print(f"Key {key} is worthless within 5 seconds.", markup=False, highlight=False)


@app.command()
def rotate(
    key: Annotated[str, typer.Argument(help="The id that `cadencia key list` shows.", show_default=False)],
    hours: Annotated[
        float, typer.Option(help="The old key is good for so many hours more.", min=0.0, max=720.0)
    ] = 24.0,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make another key for the same and print it, once; the old one ends a while later."""

    async def turn(database: Database) -> tuple[KeyEntry, str] | None:
        made = await _book(database).rotate(key, hours * _HOUR_S)
        if made is not None:
            await note(database, "key.rotated", f"key:{key}", new=made[0].id)
        return made

    made = on_database(config, turn)
    if made is None:
        fail(f"there is no key {key!r} that is still good and was not rotated; `cadencia key list` shows all")
    _show_made(*made, as_json)


def _show_made(key: KeyEntry, secret: str, as_json: bool) -> None:
    if as_json:
        print_json(_row(key) | {"key": secret})
        return
    # The key alone on standard output, so that it can go into a file unseen.
    err.print(f"Key {key.id} for {key.role} {key.name!r}; it cannot be shown again:", markup=False, highlight=False)
    sys.stdout.write(secret + "\n")


def _book(database: Database) -> StoredKeyBook:
    from dialer.runtime.key_book import StoredKeyBook  # noqa: PLC0415

    return StoredKeyBook(database, now)


def _row(key: KeyEntry) -> dict[str, Any]:
    return {
        "id": key.id,
        "role": key.role,
        "name": key.name,
        "tenant": key.tenant,
        "state": key.state(now()),
        "created": _moment(key.created_at),
        "last_used": _moment(key.last_used_at),
        "expires": _moment(key.expires_at),
    }


def _moment(at: float | None) -> str | None:
    return None if at is None else datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
