"""Everything under ``/console``: the page modules together, and what holds for all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

from litestar import Response, Router, get
from litestar.config.compression import CompressionConfig
from litestar.di import NamedDependency, Provide
from litestar.exceptions import HTTPException
from litestar.middleware import DefineMiddleware
from litestar.middleware.compression import CompressionMiddleware
from litestar.params import FromPath, SkipValidation

from dialer.api.errors import ApiError, on_unexpected
from dialer.api.key_ports import ApiKey
from dialer.console import (
    account_pages,
    agent_pages,
    audit_pages,
    callback_pages,
    campaign_form_pages,
    compliance_pages,
    crm_pages,
    desk_calls,
    desk_routes,
    history_pages,
    list_pages,
    live_routes,
    phone_routes,
    preview_routes,
    report_pages,
    session_routes,
    supervision_pages,
    system_pages,
    user_pages,
    webhook_pages,
    whatif,
)
from dialer.console.answers import (
    POLICY,
    PageRequest,
    Site,
    Visitor,
    by_htmx,
    keep_visit,
    kept_visit,
    navigates,
    page,
    to,
)
from dialer.console.places import MANAGERS, STAFF, ours
from dialer.console.problems import Told, told
from dialer.console.site import Console
from dialer.console.visit import NotSignedIn, Visit, allowed, language
from dialer.errors import DialerError, InputError, RetryableError

#: Of every page.
HEADERS: Final = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
_YEAR_S: Final = 365 * 86_400
#: Cookies that no other site's request carries make it safe for pages with secrets. Live parts are small, and many look
#: at the same one: each would be compressed for everybody anew.
_GZIP: Final = CompressionConfig(
    backend="gzip", minimum_size=1_000, gzip_compress_level=5, exclude=[r"^/console/stream/"]
)
#: Of addresses where no page is: status -> what is said of it.
_ASTRAY: Final = {404: "problem.nowhere", 405: "problem.no_page"}
_TYPES: Final = {"js": "text/javascript", "css": "text/css"}

#: Page modules; each has its handlers in `HANDLERS`.
_MODULES: Final = (
    session_routes,
    campaign_form_pages,
    crm_pages,
    list_pages,
    live_routes,
    agent_pages,
    desk_routes,
    desk_calls,
    phone_routes,
    preview_routes,
    callback_pages,
    whatif,
    account_pages,
    system_pages,
    user_pages,
    webhook_pages,
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


class Caller(NamedTuple):
    """Who asks, looked up once a request: their visit, or why there is none."""

    visit: Visit | None
    problem: DialerError | None
    #: Whose doing it is, for the audit log of pages that ask.
    key: ApiKey | None


#: What is answered to an error.
_Answer = Callable[[PageRequest, Any], Response[str]]
Called = NamedDependency[SkipValidation[Caller]]


def _to_login(console: Console, request: PageRequest) -> Response[str]:
    path = request.url.path
    asks = by_htmx(request) or path.startswith(("/console/stream/", "/console/series"))
    if not navigates(request) and (asks or "sec-fetch-mode" in request.headers or request.method != "GET"):
        return Response("", status_code=401)
    query = request.scope["query_string"].decode("ascii", "replace")
    then = request.scope["raw_path"].decode("ascii", "replace") + (f"?{query}" if query else "")
    if request.method != "GET" or then == "/console/" or not ours(then):
        return to("/console/login")
    login = f"/console/login?{urlencode({'then': then})}"
    if request.headers.get("sec-fetch-site") == "cross-site":
        # A link in a mail or a CRM: the cookie does not come along from there, but it does from a page of ours.
        return page(console, "onward", language(request), login=login)
    return to(login)


def _guarded(answer: _Answer) -> _Answer:
    """An answer to an error, with the headers of every page."""

    def guarded(request: PageRequest, error: Any) -> Response[str]:
        answered = answer(request, error)
        answered.headers.update(HEADERS)
        return answered

    return guarded


def router(console: Console) -> Router:
    """Everything under ``/console``."""

    async def caller(request: PageRequest) -> Caller:
        before = request.scope["auth"]
        visit: Visit | None = None
        problem: DialerError | None = None
        try:
            visit = await console.door.visit(request)
        except DialerError as error:
            problem = error
        found, request.scope["auth"] = request.scope["auth"], before
        keep_visit(request, visit)
        return Caller(visit, problem, found)

    async def give(caller: Called) -> Console:
        # Pages that ask for no visit show nothing of the site; on others whoever is nobody gets no further.
        if caller.visit is None:
            return console
        seen = console.of(caller.visit.key.tenant)
        await seen.holders.look()
        return seen

    async def visit(request: PageRequest, caller: Called) -> Visit:
        request.scope["auth"] = caller.key
        if caller.visit is None:
            raise caller.problem or NotSignedIn("sign in first")
        return caller.visit

    async def staff(visit: Visitor) -> Visit:
        return allowed(visit, STAFF)

    async def manager(visit: Visitor) -> Visit:
        return allowed(visit, MANAGERS)

    def problem(request: PageRequest, error: ApiError | InputError | RetryableError) -> Response[str]:
        status = error.status if isinstance(error, ApiError) else 422 if isinstance(error, InputError) else 503
        if request.method != "GET" and not navigates(request):  # a script's, which shows the words
            words = told(language(request), error)
            return Response(words, status_code=status, media_type="text/plain")
        texts = language(request)
        visit = kept_visit(request)
        return page(console, "problem", texts, status=status, visit=visit, problem=told(texts, error))

    def nobody(request: PageRequest, error: NotSignedIn) -> Response[str]:
        return _to_login(console, request)

    def unreadable(request: PageRequest, error: HTTPException) -> Response[str]:
        # What the web framework could not make sense of: an address, a parameter, or a body that is no form.
        says = _ASTRAY.get(error.status_code, "problem.unreadable")
        return problem(request, Told(error.status_code, language(request)(says)))

    def broken(request: PageRequest, error: Exception) -> Response[str]:
        on_unexpected(request, error)
        return problem(request, Told(500, language(request)("problem.ours")))

    return Router(
        "/console",
        route_handlers=[*(handler for module in _MODULES for handler in module.HANDLERS), static],
        dependencies={
            "caller": Provide(caller),
            "console": Provide(give),
            "visit": Provide(visit),
            "staff": Provide(staff),
            "manager": Provide(manager),
        },
        middleware=[DefineMiddleware(CompressionMiddleware, config=_GZIP)],
        exception_handlers={
            NotSignedIn: _guarded(nobody),
            ApiError: _guarded(problem),
            InputError: _guarded(problem),
            RetryableError: _guarded(problem),
            HTTPException: _guarded(unreadable),
            Exception: _guarded(broken),
        },
        response_headers=HEADERS,
        include_in_schema=False,
    )
