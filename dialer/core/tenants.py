"""Tenants: companies that share one installation and see nothing of each other. Pure.

Whose a campaign or an agent is stands in its name: ``acme--winter`` is the campaign ``winter`` of the tenant ``acme``.
What belongs to a campaign (contacts, lists, calls, recordings, results) is whose the campaign is. All other names are
the installation's own, and so is everything where nobody has made a tenant.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

#: Whoever runs the installation, in the place of a tenant: sees everything.
INSTALLATION: Final = ""
#: Between a tenant and what follows; no tenant's name has it, so the first one counts.
SEPARATOR: Final = "--"
#: Behind the separator: all campaigns of the tenant, those to come included.
_ALL: Final = "*"
#: Leaves more than half of a name for what follows.
_TENANT: Final = re.compile(r"[a-z0-9](?:-?[a-z0-9]){0,23}", re.ASCII)
_MAX: Final = 24


def valid_tenant(name: str) -> bool:
    """Whether a tenant may be called so: 1 to 24 small letters, digits, and single dashes between them."""
    return len(name) <= _MAX and _TENANT.fullmatch(name) is not None


def tenant_of(name: str) -> str:
    """Whose a campaign, an agent or a do-not-call list of this name is; `INSTALLATION`: of no tenant."""
    first, separator, _ = name.partition(SEPARATOR)
    return first if separator and valid_tenant(first) else INSTALLATION


def owns(tenant: str, name: str) -> bool:
    """Whether it is for this tenant to see; for the installation everything is."""
    return tenant == INSTALLATION or tenant_of(name) == tenant


def named(tenant: str, name: str) -> str:
    """The name of something of this tenant."""
    return name if tenant == INSTALLATION else f"{tenant}{SEPARATOR}{name}"


def concerns(tenant: str, result: Mapping[str, object]) -> bool:
    """Whether a result is for this tenant: of its campaign or, where it is of none, of its agent."""
    whose = result.get("campaign") or result.get("agent")
    return isinstance(whose, str) and owns(tenant, whose)


def everywhere(name: str) -> str:
    """The scope of all campaigns of whoever has the campaign `name`: ``acme--*``; ``*`` of the installation's own."""
    return named(tenant_of(name), _ALL)
