"""Tenants of one database, and the part of a record that is one tenant's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, func, literal, select, true

from dialer.core.tenants import INSTALLATION, named
from dialer.storage.database import Database
from dialer.storage.inserts import insert_once
from dialer.storage.tables import api_keys, campaigns, tenants, users


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredTenant:
    """A tenant."""

    name: str
    created_at: float
    campaigns: int = 0
    keys: int = 0
    users: int = 0


class Tenants:
    """All tenants of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, name: str, now: float) -> bool:
        """Add a tenant; False where there is one of this name."""
        statement = insert_once(self._database.dialect, tenants).values(name=name, created_at=now)
        async with self._database.write() as connection:
            return (await connection.execute(statement)).rowcount == 1

    async def known(self, name: str) -> bool:
        """Whether there is a tenant of this name."""
        async with self._database.read() as connection:
            found = await connection.execute(select(tenants.c.name).where(tenants.c.name == name))
            return found.one_or_none() is not None

    async def names(self) -> list[str]:
        """Every tenant's name, in order."""
        async with self._database.read() as connection:
            return sorted((await connection.execute(select(tenants.c.name))).scalars())

    async def all(self) -> list[StoredTenant]:
        """Every tenant by name, with how much it has; keys that were revoked count."""
        count = func.count().label("many")
        async with self._database.read() as connection:
            found = (await connection.execute(select(tenants).order_by(tenants.c.name))).all()
            own = {
                table: {
                    str(row.tenant): int(row.many)
                    for row in await connection.execute(select(table.c.tenant, count).group_by(table.c.tenant))
                }
                for table in (api_keys, users)
            }
            rows = []
            for row in found:
                statement = select(count).select_from(campaigns).where(of_tenant(campaigns.c.id, row.name))
                rows.append(
                    StoredTenant(
                        name=row.name,
                        created_at=row.created_at,
                        campaigns=(await connection.execute(statement)).scalar_one(),
                        keys=own[api_keys].get(row.name, 0),
                        users=own[users].get(row.name, 0),
                    )
                )
        return rows

    async def named_so(self, name: str) -> Sequence[str]:
        """What would be a tenant's since it is called so: campaigns, users, and agents of keys and users."""
        wanted = (
            select(campaigns.c.id).where(of_tenant(campaigns.c.id, name)),
            select(api_keys.c.name).where(api_keys.c.role == "agent", of_tenant(api_keys.c.name, name)),
            select(users.c.agent).where(of_tenant(users.c.agent, name)),
            select(users.c.name).where(of_tenant(users.c.name, name)),
        )
        async with self._database.read() as connection:
            return sorted({text for each in wanted for text in (await connection.execute(each)).scalars()})


def of_tenant(column: ColumnElement[str], tenant: str) -> ColumnElement[bool]:
    """Whether a column has the name of something of this tenant; everything is the installation's.

    Not LIKE, to which SQLite's small and capital letters are the same; nor a range, whose order PostgreSQL takes from
    the language of the database.
    """
    if tenant == INSTALLATION:
        return true()
    beginning = named(tenant, "")
    return func.substr(column, 1, len(beginning)) == literal(beginning)


def of_tenants_campaigns(column: ColumnElement[str], tenant: str) -> ColumnElement[bool]:
    """The same for tables with an index by campaign, which it lets the database use."""
    if tenant == INSTALLATION:
        return true()
    return column.in_(select(campaigns.c.id).where(of_tenant(campaigns.c.id, tenant)))
