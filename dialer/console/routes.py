"""Everything under ``/console``: the page modules together, and what holds for all of them."""

from __future__ import annotations

from typing import Final

from litestar import Response, Router, get
from litestar.di import Provide
from litestar.params import FromPath

from dialer.api.errors import ApiError
from dialer.console import (
    account_pages,
    audit_pages,
    callback_pages,
    campaign_form_pages,
    compliance_pages,
    desk_calls,
    desk_routes,
    history_pages,
    list_pages,
    live_routes,
    preview_routes,
    report_pages,
    session_routes,
    supervision_pages,
    system_pages,
    user_pages,
    whatif,
)
from dialer.console.answers import POLICY, PageRequest, Site, Visitor, navigates, page, to
from dialer.console.places import MANAGERS, STAFF
from dialer.console.site import Console
from dialer.console.visit import NotSignedIn, Visit, allowed, language
from dialer.errors import RetryableError

#: Of every page.
HEADERS: Final = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}
_YEAR_S: Final = 365 * 86_400
_TYPES: Final = {"js": "text/javascript", "css": "text/css"}

#: Page modules; each has its handlers in `HANDLERS`.
_MODULES: Final = (
    session_routes,
    campaign_form_pages,
    list_pages,
    live_routes,
    desk_routes,
    desk_calls,
    preview_routes,
    callback_pages,
    whatif,
    account_pages,
    system_pages,
    user_pages,
    audit_pages,
    supervision_pages,
    compliance_pages,
    report_pages,
    history_pages,
)


@get("/static/{version:str}/{path:path}")
async def static(console: Site, version: FromPath[str], path: FromPath[str]) -> Response[bytes]:
    """A script or a style sheet; its address names its content, so it may be kept for good."""
    name = str(path).lstrip("/")
    known, data = console.pages.static.get(name, ("", b""))
    if not known or known != version:
        raise ApiError(404, "there is no such file")
    headers = {"cache-control": f"public, max-age={_YEAR_S}, immutable"}
    return Response(data, media_type=_TYPES[name.rpartition(".")[2]], headers=headers)


def _to_login(request: PageRequest, error: NotSignedIn) -> Response[str]:
    if not navigates(request) and (
        request.url.path.startswith(("/console/stream/", "/console/series/")) or request.method != "GET"
    ):
        return Response("", status_code=401)
    return to("/console/login", [])


def router(console: Console) -> Router:
    """Everything under ``/console``."""

    def give() -> Console:
        return console

    async def visit(request: PageRequest) -> Visit:
        return await console.door.visit(request)

    async def staff(visit: Visitor) -> Visit:
        return allowed(visit, STAFF)

    async def manager(visit: Visitor) -> Visit:
        return allowed(visit, MANAGERS)

    def problem(request: PageRequest, error: ApiError | RetryableError) -> Response[str]:
        status = error.status if isinstance(error, ApiError) else 503
        if request.method != "GET" and not navigates(request):  # a script's, which shows the words
            return Response(str(error), status_code=status, media_type="text/plain; charset=utf-8")
        return page(console, "problem", language(request), status=status, problem=str(error))

    return Router(
        "/console",
        route_handlers=[*(handler for module in _MODULES for handler in module.HANDLERS), static],
        dependencies={
            "console": Provide(give, sync_to_thread=False),
            "visit": Provide(visit),
            "staff": Provide(staff),
            "manager": Provide(manager),
        },
        exception_handlers={NotSignedIn: _to_login, ApiError: problem, RetryableError: problem},
        response_headers=HEADERS,
        include_in_schema=False,
    )
