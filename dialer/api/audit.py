"""The one place where requests go into the audit log: every write, of the API and of the console, and every refusal.

A request that does not change anything is not recorded, unless its route has `AUDITED` in its options or it is refused.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Any, Final, cast

from litestar import Request
from litestar.exceptions import HTTPException
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from dialer.api.audit_ports import AuditTrail
from dialer.api.auth import guesses
from dialer.api.errors import SLUGS, ApiError
from dialer.api.key_ports import ApiKey
from dialer.api.ports import Clock
from dialer.core.audit_note import AuditNote
from dialer.core.ids import valid_name
from dialer.errors import InputError, RetryableError

#: In `opt` of a route that is recorded although it only reads, such as an export.
AUDITED: Final = "audited"
_READS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_REFUSED: Final = frozenset({401, 403, 429})
#: Parameters of a path that name no customer. One that is not here, or that cannot be a name, is left out.
_NAMES: Final = frozenset(
    {
        "agent",
        "call",
        "campaign",
        "code",
        "id",
        "key",
        "kind",
        "list",
        "name",
        "order",
        "recording",
        "rule",
        "user",
        "verb",
        "webhook",
    }
)
_MAX_OBJECT: Final = 200
_TYPE: Final = re.compile(r":\w+}")
#: Key of the request's state under which a handler says what it did.
_DEED: Final = "deed"


def deed(request: Request[Any, Any, Any], action: str, object: str = "", **details: object) -> None:
    """Name what a request does, where its path does not say it well; nothing in it may be personal.

    Args:
        request: the one that is recorded.
        action: noun.verb, such as ``user.created``.
        object: such as ``user:marta``.
        details: what else there is to know.
    """
    request.scope["state"][_DEED] = (action, object, details)


class AuditMiddleware:
    """Notes each request when it has been answered. Outermost, so that it hears of wrong keys too."""

    def __init__(self, app: ASGIApp, trail: AuditTrail | None, clock: Clock) -> None:
        self._app: Final = app
        self._trail: Final = trail
        self._clock: Final = clock
        #: Whoever has no key cannot fill the log.
        self._strangers: Final = guesses()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Go on, and see what comes of it."""
        trail = self._trail
        if trail is None:
            await self._app(scope, receive, send)
            return
        scope = cast("HTTPScope", scope)  # there are no routes of another kind
        status = 0

        async def see(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, see)
        except BaseException as error:
            self._note(trail, scope, *_failure(error))
            raise
        self._note(trail, scope, status, "ok" if status < 400 else SLUGS.get(status, "refused"))

    def _note(self, trail: AuditTrail, scope: HTTPScope, status: int, outcome: str) -> None:
        audited = scope["method"] not in _READS or scope["route_handler"].opt.get(AUDITED, False)
        if not audited and status not in _REFUSED:
            return
        now = self._clock.now()
        client = scope.get("client")
        address = client[0] if client else ""
        key: ApiKey | None = scope.get("auth")
        if key is None and status >= 400:
            if self._strangers.wait_s(address, now) > 0:
                return
            self._strangers.take(address, now)
        action, object, details = scope["state"].get(_DEED) or (_action(scope), _object(scope["path_params"]), {})
        trail.note(
            AuditNote(
                at=now,
                who="" if key is None else key.who,
                role="" if key is None else key.role,
                address=address,
                action=action,
                object=object[:_MAX_OBJECT],
                outcome=outcome,
                details=details,
            )
        )


def _action(scope: HTTPScope) -> str:
    """Method and path of the route, such as ``POST /api/v1/campaigns/{campaign}/start``: the same for all requests."""
    return f"{scope['method']} {_TYPE.sub('}', scope['path_template'])}"


def _object(parameters: Mapping[str, Any]) -> str:
    given = [(name, str(value)) for name, value in parameters.items() if name in _NAMES]
    return " ".join(f"{name}:{value}" for name, value in given if valid_name(value))


def _failure(error: BaseException) -> tuple[int, str]:
    """Status and word for an error on its way to its handler."""
    match error:
        case ApiError():
            return error.status, error.error
        case InputError():
            return 422, error.word
        case RetryableError():
            return 503, "unavailable"
        case HTTPException():
            return error.status_code, SLUGS.get(error.status_code, "refused")
        case asyncio.CancelledError():
            return 500, "interrupted"
        case _:
            return 500, "internal"
