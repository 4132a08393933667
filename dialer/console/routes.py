"""The console's addresses: pages, their live parts, what a chart shows, and the orders that a page can give."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, Final

from litestar import Request, Response, Router, get, post
from litestar.datastructures import Cookie
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, FromQuery, SkipValidation

from dialer.api.bodies import ACCEPTS
from dialer.api.campaign_routes import order
from dialer.api.errors import ApiError
from dialer.api.event_stream import COMMENT, EventStream
from dialer.api.live_routes import WRITE_TIMEOUT_S, LiveCache
from dialer.api.requests import known_campaign
from dialer.console.series import Chart
from dialer.console.sessions import COOKIE, LASTS_S
from dialer.console.site import Console
from dialer.console.texts import COOKIE as LANGUAGE_COOKIE
from dialer.console.texts import LANGUAGES, Texts
from dialer.console.visit import NotSignedIn, Visit, check_csrf, language
from dialer.core.campaign import CampaignState
from dialer.core.ids import ContactId, valid_contact_id
from dialer.errors import RetryableError
from dialer.projections.live_rows import LiveSnapshot

#: Nothing is loaded from elsewhere, nothing inline is run, and no other site may frame a page or be sent a form.
HEADERS: Final = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}
_FORM: Final = {ACCEPTS: ("application/x-www-form-urlencoded",)}
_EVERY_S: Final = 1.0
_COMMENT_EVERY_S: Final = 15.0
_YEAR_S: Final = 365 * 86_400
_MAX_FIELD: Final = 300
_LIVE: Final = frozenset({"wallboard", "campaign", "agents"})
_SPANS_S: Final = {"hour": 3_600.0, "day": 86_400.0}
_ORDERS: Final = {
    "start": CampaignState.RUNNING,
    "pause": CampaignState.PAUSED,
    "drain": CampaignState.DRAINING,
    "stop": CampaignState.STOPPED,
}
_TYPES: Final = {"js": "text/javascript", "css": "text/css"}

Site = NamedDependency[SkipValidation[Console]]
Visitor = NamedDependency[SkipValidation[Visit]]
PageRequest = Request[Any, Any, Any]


# ---- in and out


@get("/login")
async def login_page(request: PageRequest, console: Site) -> Response[str]:
    """The form for the key."""
    return _page(console, "login", language(request), problem="")


@post("/login", opt=_FORM, status_code=303)
async def sign_in(request: PageRequest, console: Site) -> Response[str]:
    """Take a key, give a session."""
    texts = language(request)
    key = str((await request.form()).get("key", "")).strip()[:_MAX_FIELD]
    try:
        cookie = await console.door.sign_in(key, request.client.host if request.client else "")
    except ApiError as error:
        told = {403: "login.no_business", 429: "login.wait"}.get(error.status, "login.wrong")
        return _page(console, "login", texts, status=error.status, problem=texts(told))
    return _to("/console/", [_cookie(COOKIE, cookie, LASTS_S, request)])


@post("/logout", opt=_FORM, status_code=303)
async def sign_out(request: PageRequest, visit: Visitor) -> Response[str]:
    """End the session."""
    await check_csrf(request, visit, await request.form())
    return _to("/console/login", [_cookie(COOKIE, "", 0, request)])


@get("/language/{name:str}")
async def choose_language(request: PageRequest, name: FromPath[str]) -> Response[str]:
    """Remember in which language somebody reads."""
    if name not in LANGUAGES:
        raise ApiError(404, f"there is no language {name[:8]!r} here")
    return _to("/console/", [_cookie(LANGUAGE_COOKIE, name, _YEAR_S, request)])


# ---- pages


@get("/")
async def wallboard(request: PageRequest, console: Site, visit: Visitor) -> Response[str]:
    """All campaigns now."""
    return _page(console, "wallboard", visit.texts, visit=visit, view=_view(request, console), shown="")


@get("/agents")
async def agents(request: PageRequest, console: Site, visit: Visitor) -> Response[str]:
    """All agents now."""
    return _page(console, "agents", visit.texts, visit=visit, view=_view(request, console), shown="")


@get("/campaigns/{campaign:str}")
async def campaign_page(
    request: PageRequest,
    console: Site,
    visit: Visitor,
    campaign: FromPath[str],
    contact: FromQuery[str] = "",
) -> Response[str]:
    """One campaign; with `contact`, why that one is not being called."""
    stored = await known_campaign(console.ports, campaign)
    asked = contact.strip()[:_MAX_FIELD]
    found = None
    if asked and valid_contact_id(asked):
        found = await console.ports.explanations.explain(stored.campaign, stored.state, ContactId(asked))
    return _page(
        console,
        "campaign",
        visit.texts,
        visit=visit,
        view=_view(request, console),
        shown=stored.campaign.id,
        stored=stored,
        asked=asked,
        found=found,
    )


@get("/stream/{name:str}")
async def stream(
    request: PageRequest, console: Site, visit: Visitor, name: FromPath[str], campaign: FromQuery[str] = ""
) -> EventStream:
    """The live part of a page, again whenever something has changed, at most once a second."""
    if name not in _LIVE:
        raise ApiError(404, f"there is no live part {name[:20]!r}")
    if campaign:
        campaign = (await known_campaign(console.ports, campaign)).campaign.id
    live: LiveCache = request.app.state.live_cache
    return EventStream(_parts(console, live, name, visit.texts, campaign), WRITE_TIMEOUT_S)


async def _parts(
    console: Console, live: LiveCache, name: str, texts: Texts, campaign: str
) -> AsyncGenerator[bytes, None]:
    shown: LiveSnapshot | None = None
    said_at = console.ports.clock.now()
    yield COMMENT
    while True:
        now = console.ports.clock.now()
        view, _ = live.at(console.ports, now)
        if view is not shown:
            shown, said_at = view, now
            yield console.part(name, texts, view, campaign)
        elif now - said_at >= _COMMENT_EVERY_S:
            said_at = now
            yield COMMENT
        await asyncio.sleep(_EVERY_S)


@get("/series/{campaign:str}")
async def series(console: Site, visit: Visitor, campaign: FromPath[str], span: FromQuery[str] = "hour") -> Chart:
    """What the charts of a campaign show."""
    if span not in _SPANS_S:
        raise ApiError(422, f"span: must be {' or '.join(_SPANS_S)}")
    return console.series.chart(campaign, _SPANS_S[span])


# ---- orders


@post("/campaigns/{campaign:str}/{verb:str}", opt={"no_body": True}, status_code=204)
async def give_order(
    request: PageRequest, console: Site, visit: Visitor, campaign: FromPath[str], verb: FromPath[str]
) -> None:
    """Start, pause, drain or stop a campaign."""
    await check_csrf(request, visit)
    if verb not in _ORDERS:
        raise ApiError(404, f"there is no order {verb[:20]!r}")
    await order(console.ports, campaign, _ORDERS[verb])


# ---- files


@get("/static/{version:str}/{path:path}")
async def static(console: Site, version: FromPath[str], path: FromPath[str]) -> Response[bytes]:
    """A script or a style sheet; its address names its content, so it may be kept for good."""
    name = str(path).lstrip("/")
    known, data = console.pages.static.get(name, ("", b""))
    if not known or known != version:
        raise ApiError(404, "there is no such file")
    headers = {"cache-control": f"public, max-age={_YEAR_S}, immutable"}
    return Response(data, media_type=_TYPES[name.rpartition(".")[2]], headers=headers)


# ---- inside


def _view(request: PageRequest, console: Console) -> LiveSnapshot:
    live: LiveCache = request.app.state.live_cache
    return live.at(console.ports, console.ports.clock.now())[0]


def _page(console: Console, name: str, texts: Texts, *, status: int = 200, **values: Any) -> Response[str]:
    html = console.pages.render(name, texts, **({"visit": None} | values))
    return Response(html, status_code=status, media_type="text/html; charset=utf-8")


def _to(path: str, cookies: list[Cookie]) -> Response[str]:
    return Response("", status_code=303, headers={"location": path}, cookies=cookies)


def _cookie(name: str, value: str, lasts_s: int, request: PageRequest) -> Cookie:
    secure = request.url.scheme == "https" or request.headers.get("x-forwarded-proto") == "https"
    return Cookie(
        key=name, value=value, path="/console", max_age=lasts_s, httponly=True, secure=secure, samesite="strict"
    )


def _to_login(request: PageRequest, error: NotSignedIn) -> Response[str]:
    if request.url.path.startswith(("/console/stream/", "/console/series/")) or request.method != "GET":
        return Response("", status_code=401)
    return _to("/console/login", [])


def router(console: Console) -> Router:
    """Everything under ``/console``."""

    def give() -> Console:
        return console

    async def visit(request: PageRequest) -> Visit:
        return await console.door.visit(request)

    def problem(request: PageRequest, error: ApiError | RetryableError) -> Response[str]:
        status = error.status if isinstance(error, ApiError) else 503
        if request.method != "GET":  # a script's, which shows the words
            return Response(str(error), status_code=status, media_type="text/plain; charset=utf-8")
        return _page(console, "problem", language(request), status=status, problem=str(error))

    return Router(
        "/console",
        route_handlers=[
            login_page,
            sign_in,
            sign_out,
            choose_language,
            wallboard,
            agents,
            campaign_page,
            stream,
            series,
            give_order,
            static,
        ],
        dependencies={"console": Provide(give, sync_to_thread=False), "visit": Provide(visit)},
        exception_handlers={NotSignedIn: _to_login, ApiError: problem, RetryableError: problem},
        response_headers=HEADERS,
        include_in_schema=False,
    )
