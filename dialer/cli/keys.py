"""`cadencia key`: who may use the API. On the database itself, since the first key cannot be asked for with a key."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dialer.cli.client import ConfigOption
from dialer.cli.own_database import note, now, on_database
from dialer.cli.screen import JsonOption, err, fail, out, print_json, print_rows
from dialer.cli.tenants import TenantOption, require_tenant

if TYPE_CHECKING:
    from dialer.storage.database import Database
    from dialer.storage.keys import ApiKey

app = typer.Typer(help="Keys of the API: one for each program and person, each with one role.", no_args_is_help=True)

_ROLES = ("manager", "supervisor", "agent", "crm", "metrics")
_DAY_S = 86_400.0
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
    from dialer.core.ids import AgentId, valid_name  # noqa: PLC0415
    from dialer.runtime.tenants import check_own  # noqa: PLC0415

    if role not in _ROLES:
        fail(f"there is no role {role!r}; it must be {', '.join(_ROLES)}", code=2)
    if not name.strip() or not name.isprintable() or len(name) > 100:
        fail("the name must be 1 to 100 printable characters", code=2)
    if role == "agent" and not valid_name(name):
        fail(f"an agent's key is named after the agent, and no agent can be called {name!r}", code=2)

    async def make(database: Database) -> tuple[ApiKey, str]:
        from dialer.storage.keys import Keys  # noqa: PLC0415

        await require_tenant(database, tenant)
        check_own(tenant, AgentId(name) if role == "agent" else None)
        at = now()
        expires_at = None if days is None else at + days * _DAY_S
        key, secret = await Keys(database).create(role, name, now=at, expires_at=expires_at, tenant=tenant)
        await note(database, "key.created", f"key:{key.id}", role=role, expires_at=expires_at, tenant=tenant)
        return key, secret

    key, secret = on_database(config, make)
    if as_json:
        print_json(_row(key) | {"key": secret})
        return
    # The key alone on standard output, so that it can go into a file unseen.
    err.print(f"Key {key.id} for {role} {name!r}; it cannot be shown again:", markup=False, highlight=False)
    sys.stdout.write(secret + "\n")


@app.command("list")
def show(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """All keys, the oldest first; none of them in full."""

    async def read(database: Database) -> list[ApiKey]:
        from dialer.storage.keys import Keys  # noqa: PLC0415

        return await Keys(database).all()

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
        from dialer.storage.keys import Keys  # noqa: PLC0415

        revoked = await Keys(database).revoke(key, now())
        if revoked:
            await note(database, "key.revoked", f"key:{key}")
        return revoked

    if not on_database(config, end):
        fail(f"there is no key {key!r} that is still good; `cadencia key list` shows all")
    out.print(f"Key {key} is worthless within 5 seconds.", markup=False, highlight=False)


def _row(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "role": key.role,
        "name": key.name,
        "tenant": key.tenant,
        "state": "good" if key.valid(now()) else "revoked" if key.revoked_at is not None else "expired",
        "created": _moment(key.created_at),
        "last_used": _moment(key.last_used_at),
        "expires": _moment(key.expires_at),
    }


def _moment(at: float | None) -> str | None:
    return None if at is None else datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
