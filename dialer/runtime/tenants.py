"""What may be a tenant's, for whoever makes keys and users."""

from __future__ import annotations

from dialer.core.ids import AgentId
from dialer.core.tenants import INSTALLATION, named, owns, tenant_of
from dialer.errors import InputError
from dialer.storage.database import Database
from dialer.storage.tenants import Tenants


def check_own(tenant: str, agent: AgentId | None) -> None:
    """Make sure that an agent can be this tenant's.

    Raises:
        InputError: says how its agents are called.
    """
    if agent is not None and not owns(tenant, agent):
        raise InputError(
            f"agent: agents of the tenant {tenant!r} are called {named(tenant, '…')}, such as {named(tenant, 'eva')}",
            code="agent_of_tenant",
            tenant=tenant,
            such=named(tenant, "eva"),
        )


async def check_known(database: Database, tenant: str) -> None:
    """Make sure that there is this tenant; none need be named.

    Raises:
        InputError: there is none.
    """
    if tenant != INSTALLATION and not await Tenants(database).known(tenant):
        raise InputError(
            f"tenant: there is no tenant {tenant[:64]!r}: `cadencia tenant list` shows all",
            code="no_tenant",
            tenant=tenant[:64],
        )


async def check_free(database: Database, tenant: str, name: str) -> None:
    """Make sure that a user can be called so: what begins as a tenant's names do is that tenant's.

    Raises:
        InputError: the name is another tenant's.
    """
    whose = tenant_of(name)
    if whose not in {INSTALLATION, tenant} and await Tenants(database).known(whose):
        raise InputError(f"name: users called {named(whose, '…')} are its own", code="name_of_tenant", tenant=whose)
