"""What may be a tenant's, for whoever makes keys and users."""

from __future__ import annotations

from dialer.core.ids import AgentId
from dialer.core.tenants import named, owns
from dialer.errors import InputError


def check_own(tenant: str, agent: AgentId | None) -> None:
    """Make sure that an agent can be this tenant's.

    Raises:
        InputError: says how its agents are called.
    """
    if agent is not None and not owns(tenant, agent):
        raise InputError(
            f"agent: agents of the tenant {tenant!r} are called {named(tenant, '…')}, such as {named(tenant, 'eva')}"
        )
