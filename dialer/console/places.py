"""Where one can go in the console, and who may: the navigation, in its order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from dialer.api.key_ports import ApiKey, Role
from dialer.api.tenancy import open_to_tenants


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """An entry of the navigation; its words are the text ``place.<name>``."""

    name: str
    path: str
    roles: frozenset[Role]
    #: What the installation's own people find behind another entry.
    tenants_only: bool = False


MANAGERS: Final = frozenset({Role.MANAGER})
STAFF: Final = frozenset({Role.MANAGER, Role.SUPERVISOR})

PLACES: Final = (
    Place(name="wallboard", path="/console/", roles=STAFF),
    Place(name="campaigns", path="/console/campaigns", roles=STAFF),
    Place(name="agents", path="/console/agents", roles=STAFF),
    Place(name="desk", path="/console/desk", roles=frozenset({Role.AGENT})),
    Place(name="reports", path="/console/reports", roles=STAFF),
    Place(name="history", path="/console/history", roles=STAFF),
    Place(name="compliance", path="/console/compliance", roles=STAFF),
    Place(name="system", path="/console/system", roles=STAFF),
    Place(name="access", path="/console/system/users", roles=MANAGERS, tenants_only=True),
)

#: Where somebody finds themselves after signing in.
HOME: Final[Mapping[Role, str]] = {
    Role.MANAGER: "/console/",
    Role.SUPERVISOR: "/console/",
    Role.AGENT: "/console/desk",
}


#: Longest address that is kept over a sign-in.
_MOST: Final = 1_000
_DESK: Final = "/console/desk"
#: For everybody.
_ACCOUNT: Final = "/console/account"


def ours(address: str) -> bool:
    """Whether this is the address of a page here, and can be nothing else: no other site, and no second header."""
    fit = len(address) <= _MOST and address.isascii() and address.isprintable() and not set(address) & set(" \\#")
    return fit and address.startswith("/console/") and not address.startswith("/console/login")


def begins(role: Role, asked: str) -> str:
    """Where somebody goes on who has signed in: to the page that they had asked for, or where their role begins."""
    if not ours(asked) or (asked.startswith(_DESK) != (role is Role.AGENT) and not asked.startswith(_ACCOUNT)):
        return HOME[role]
    return asked


def places(key: ApiKey) -> list[Place]:
    """What somebody finds in the navigation: what is for their role and, for a tenant, not the installation's."""
    return [
        place
        for place in PLACES
        if key.role in place.roles
        and (open_to_tenants("GET", place.path.rstrip("/")) if key.tenant else not place.tenants_only)
    ]
