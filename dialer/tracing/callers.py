"""Whose request is being answered, where the caller says of which trace it is part (header ``traceparent``)."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Final, cast

from dialer.tracing.places import TRACEPARENT, Place, read_traceparent

if TYPE_CHECKING:  # workers need no web framework
    from litestar.types import ASGIApp, HTTPScope, Receive, Scope, Send

_HEADER: Final = TRACEPARENT.encode()
_caller: Final[ContextVar[Place | None]] = ContextVar("cadencia_traceparent", default=None)


def caller() -> Place | None:
    """The caller's span; None: nobody said so, or this answers no request."""
    return _caller.get()


def hearing_callers(app: ASGIApp) -> ASGIApp:
    """The application, with the `traceparent` of a request known to whatever answers it."""

    async def heard(scope: Scope, receive: Receive, send: Send) -> None:
        if str(scope["type"]) == "http":
            headers = cast("HTTPScope", scope)["headers"]
            text = next((value for name, value in headers if name == _HEADER), b"")
            _caller.set(read_traceparent(text.decode("latin-1")))
        await app(scope, receive, send)

    return heard
