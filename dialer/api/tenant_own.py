"""Whose something is, for the ports of one tenant."""

from __future__ import annotations

from typing import Final

from dialer.api.errors import ApiError
from dialer.core.tenants import named, owns
from dialer.errors import InputError


class Own:
    """Knows what is the tenant's."""

    def __init__(self, tenant: str) -> None:
        self._tenant: Final = tenant

    def _owns(self, name: str) -> bool:
        return owns(self._tenant, name)

    def _campaign(self, campaign: str) -> None:
        # As `dialer.api.requests.known_campaign` says it of one that does not exist.
        if not self._owns(campaign):
            raise ApiError(404, f"there is no campaign {campaign[:80]!r}")

    def _agent(self, agent: str) -> None:
        if not self._owns(agent):
            raise ApiError(404, f"agent {agent!r} is not signed in")


def must_be_own(tenant: str, name: str, field: str = "id") -> None:
    """Make sure that something can be this tenant's; what is of others is not looked up.

    Raises:
        InputError: says how its things are called.
    """
    if not owns(tenant, name):
        raise InputError(
            f"{field}: {name[:80]!r} is none of the tenant {tenant!r}: its names begin with {named(tenant, '')}",
            code="own_names",
            beginning=named(tenant, ""),
        )


def must_be_mine(tenant: str, asked: str) -> None:
    """Make sure that whoever makes something for a tenant makes it for their own.

    Raises:
        InputError: the same words whether there is such a tenant or not.
    """
    if asked not in {"", tenant}:
        raise InputError("tenant: leave it out; what is made here is your own tenant's", code="own_tenant")
