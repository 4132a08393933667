"""The one place where tenants are held apart: which routes they may use at all, and what they are handed there.

A route that is not in the table below is closed to tenants, so a new one is until somebody has thought about it. On the
others a tenant's request is handed narrowed ports (`dialer.api.tenant_ports`), through which it reaches its own things.
"""

from __future__ import annotations

import re
from typing import Any, Final

from litestar.connection import ASGIConnection, Request
from litestar.handlers import BaseRouteHandler

from dialer.api.errors import ApiError
from dialer.api.key_ports import ApiKey
from dialer.api.ports import ApiPorts
from dialer.api.tenant_ports import narrowed
from dialer.core.tenants import INSTALLATION, owns

_ANYBODY: Final = """
GET /healthz
GET /readyz
GET /api/openapi.json
GET /api/openapi.json/{path}
GET /snippet/cadencia.js
GET /snippet/v1/cadencia.js
GET /console/login
POST /console/login
GET /console/language/{name}
GET /console/static/{version}/{path}
GET /api/v1/recordings/{recording}/audio
"""
_API: Final = """
GET /agents
GET /agents/{agent}
POST /agents/{agent}/campaigns
POST /agents/{agent}/dispose
POST /agents/{agent}/hangup
GET /agents/{agent}/messages
POST /agents/{agent}/messages
DELETE /agents/{agent}/monitor
POST /agents/{agent}/monitor
POST /agents/{agent}/pause
GET /agents/{agent}/preview
POST /agents/{agent}/preview
POST /agents/{agent}/ready
POST /agents/{agent}/sign-in
POST /agents/{agent}/sign-out
POST /agents/{agent}/snippet-token
GET /callbacks
POST /callbacks
POST /callbacks/bulk
GET /calls
POST /calls
POST /calls-elsewhere
GET /calls/live
GET /calls/{call}
GET /calls/{call}/dispositions
POST /calls/{call}/do-not-call
POST /calls/{call}/hangup
GET /calls/{call}/recording
POST /calls/{call}/recording
GET /campaigns
POST /campaigns
GET /campaigns/{campaign}
PATCH /campaigns/{campaign}
GET /campaigns/{campaign}/caller-ids
POST /campaigns/{campaign}/contacts
GET /campaigns/{campaign}/contacts/{contact}/history
GET /campaigns/{campaign}/contacts/{contact}/why
GET /campaigns/{campaign}/dispositions
POST /campaigns/{campaign}/drain
POST /campaigns/{campaign}/filter-check
POST /campaigns/{campaign}/lists
GET /campaigns/{campaign}/pacing
POST /campaigns/{campaign}/pause
GET /campaigns/{campaign}/penetration
POST /campaigns/{campaign}/reset
POST /campaigns/{campaign}/start
POST /campaigns/{campaign}/stop
POST /dispositions
POST /dispositions/bulk
POST /dnc
POST /dnc/bulk
POST /dnc/check
POST /dnc/list
GET /deliveries/{kind}
POST /deliveries/{kind}
GET /events
POST /history
GET /keys
POST /keys
GET /keys/{key}
POST /keys/{key}/revoke
POST /keys/{key}/rotate
GET /lists
GET /lists/{id}
PATCH /lists/{id}
GET /lists/{id}/penetration
GET /lists/{id}/rejected
GET /lists/{id}/report
POST /lists/{id}/report
GET /lists/{id}/report.csv
POST /lists/{id}/reset
GET /live
GET /monitors
GET /recordings
GET /recordings/{recording}
POST /removals
POST /removals/bulk
GET /reports/abandonment
GET /reports/combined
GET /reports/indicators
POST /segments
GET /snippet/calls/{call}
POST /snippet/token
GET /users
POST /users
GET /users/{user}
POST /users/{user}/disable
POST /users/{user}/enable
POST /users/{user}/password
POST /users/{user}/role
DELETE /users/{user}/second-factor
GET /webhooks
POST /webhooks
DELETE /webhooks/{webhook}
GET /webhooks/{webhook}
PATCH /webhooks/{webhook}
POST /webhooks/{webhook}/rotate
"""
_CONSOLE: Final = """
GET
POST /logout
GET /account
POST /account/password
POST /account/second-factor
POST /account/second-factor/confirm
POST /account/second-factor/off
GET /agents
GET /agents/{agent}
POST /agents/{agent}/campaigns
POST /agents/{agent}/messages
POST /agents/{agent}/monitor
POST /agents/{agent}/state
POST /campaign-check
POST /campaign-crm-try
GET /campaigns
GET /campaigns/{campaign}
POST /campaigns/{campaign}/contacts
GET /campaigns/{campaign}/crm
GET /campaigns/{campaign}/lists
POST /campaigns/{campaign}/lists/upload
GET /campaigns/{campaign}/settings
POST /campaigns/{campaign}/settings
GET /campaigns/{campaign}/what-if
POST /campaigns/{campaign}/what-if
GET /campaigns/{campaign}/what-if/{answer}
POST /campaigns/{campaign}/{verb}
GET /desk
GET /desk/callbacks
GET /desk/calls/{call}
POST /desk/calls/{call}/close
POST /desk/calls/{call}/do-not-call
POST /desk/calls/{call}/recording
GET /desk/day
POST /desk/dial
POST /desk/phone
POST /desk/phone/again
POST /desk/phone/left
POST /desk/preview
POST /desk/sign-in
POST /desk/{order}
GET /history
POST /history
GET /lists/{id}
GET /lists/{id}/part
GET /lists/{id}/rejected.csv
POST /lists/{id}/report
POST /lists/{id}/reset
GET /new-campaign
POST /new-campaign
GET /recordings/{recording}
GET /reports
GET /reports/files/{form}
GET /series
GET /series/{campaign}
GET /stream/agent/{agent}
GET /stream/desk
GET /stream/messages
GET /stream/{name}
GET /system/deliveries
POST /system/deliveries/{kind}
GET /system/keys
POST /system/keys
POST /system/keys/{key}/revoke
POST /system/keys/{key}/rotate
GET /system/users
POST /system/users
POST /system/users/{user}/{verb}
GET /system/webhooks
POST /system/webhooks
POST /system/webhooks/{webhook}/{verb}
"""


def _under(beginning: str, routes: str) -> frozenset[str]:
    lines = (line.partition(" ") for line in routes.strip().splitlines())
    return frozenset(f"{method} {beginning}{path}" for method, _, path in lines)


#: Method and path of the routes that tenants may use, as far as their role lets them.
OPEN: Final = _under("", _ANYBODY) | _under("/api/v1", _API) | _under("/console", _CONSOLE)
#: Parameters of a path that are names: of whom they are can be told without looking.
_NAMES: Final = ("campaign", "agent")
_TYPE: Final = re.compile(r":[a-z]+\}")

Connection = ASGIConnection[Any, Any, Any, Any]


def open_to_tenants(method: str, path: str) -> bool:
    """Whether tenants may use a route; `path`: its template."""
    return f"{method} {_TYPE.sub('}', path)}" in OPEN


def hold_back(connection: Connection, key: ApiKey) -> None:
    """Make sure that this is a route for tenants, and that its path names nobody else's campaign or agent.

    Raises:
        ApiError: 403; 404 as for what does not exist.
    """
    if key.tenant == INSTALLATION:
        return
    scope: Any = connection.scope
    if not open_to_tenants(scope["method"], scope["path_template"]):
        raise ApiError(403, "this is for those who run the installation, not for its tenants")
    for name in _NAMES:
        given = scope["path_params"].get(name)
        if given is not None and not owns(key.tenant, str(given)):
            raise ApiError(404, f"there is no {name} {str(given)[:80]!r}")


def tenants_stay(connection: Connection, handler: BaseRouteHandler) -> None:
    """A guard of the whole application: `hold_back` for whoever comes with a key."""
    key: ApiKey | None = connection.scope["auth"]
    if key is not None:
        hold_back(connection, key)


class TenantDoor:
    """Hands each request the ports that are its own.

    Args:
        ports: everybody's.
    """

    def __init__(self, ports: ApiPorts) -> None:
        self._ports: Final = ports
        self._narrowed: Final[dict[str, ApiPorts]] = {}

    def ports_of(self, request: Request[Any, Any, Any]) -> ApiPorts:
        """Those of whoever asks; who has no key gets as far as routes let strangers."""
        key: ApiKey | None = request.scope["auth"]
        return self._ports if key is None else self.of(key.tenant)

    def of(self, tenant: str) -> ApiPorts:
        """Those of a tenant."""
        if tenant == INSTALLATION:
            return self._ports
        found = self._narrowed.get(tenant)
        if found is None:
            found = self._narrowed[tenant] = narrowed(self._ports, tenant)
        return found
