"""`cadencia tenant`: companies that share the installation. On the database itself, as keys and users are made."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from dialer.cli.client import ConfigOption
from dialer.cli.own_database import note, now, on_database
from dialer.cli.screen import JsonOption, fail, out, print_json, print_rows
from dialer.core.tenants import named, valid_tenant

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dialer.storage.database import Database
    from dialer.storage.tenants import StoredTenant

app = typer.Typer(help="Companies that share the installation and see nothing of each other.", no_args_is_help=True)

TenantOption = Annotated[
    str, typer.Option(help="Whose it is (`cadencia tenant list`); else the installation's.", show_default=False)
]
_COLUMNS = ("name", "campaigns", "keys", "users", "created")


@app.command()
def create(
    name: Annotated[
        str,
        typer.Argument(help="1 to 24 small letters, digits, and single dashes between them.", show_default=False),
    ],
    adopt: Annotated[
        bool, typer.Option("--adopt", help="Campaigns and agents that are called so already become the tenant's.")
    ] = False,
    config: ConfigOption = None,
) -> None:
    """Add a tenant. Its campaigns and agents are those whose names begin with NAME and two dashes."""
    if not valid_tenant(name):
        fail(f"no tenant can be called {name!r}: 1 to 24 small letters, digits, and single dashes between them", code=2)

    async def make(database: Database) -> tuple[bool, Sequence[str]]:
        from dialer.storage.tenants import Tenants  # noqa: PLC0415

        tenants = Tenants(database)
        found = await tenants.named_so(name)
        if found and not adopt:
            return False, found
        created = await tenants.create(name, now())
        if created:
            await note(database, "tenant.created", f"tenant:{name}", adopted=list(found[:_SHOWN]))
        return created, []

    created, found = on_database(config, make)
    if found:
        names = ", ".join(found[:_SHOWN]) + (", …" if len(found) > _SHOWN else "")
        fail(f"{names} would be the tenant's: choose another name, or say --adopt")
    if not created:
        fail(f"there is a tenant {name!r} already")
    out.print(
        f"Tenant {name}: its campaigns are called {named(name, '…')}. Next: cadencia key create manager NAME --tenant "
        f"{name}",
        markup=False,
        highlight=False,
    )


@app.command("list")
def show(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """All tenants, by name, with how much they have."""

    async def read(database: Database) -> list[StoredTenant]:
        from dialer.storage.tenants import Tenants  # noqa: PLC0415

        return await Tenants(database).all()

    rows = [
        {
            "name": tenant.name,
            "campaigns": tenant.campaigns,
            "keys": tenant.keys,
            "users": tenant.users,
            "created": datetime.fromtimestamp(tenant.created_at, UTC).isoformat(timespec="seconds"),
        }
        for tenant in on_database(config, read)
    ]
    if as_json:
        print_json(rows)
    else:
        print_rows(rows, _COLUMNS)


#: Names in one line.
_SHOWN = 10
