"""Getting into the console and out of it, and in which language it is read."""

from __future__ import annotations

from typing import Final

from litestar import Response, get, post
from litestar.params import FromPath, FromQuery

from dialer.api.audit import deed
from dialer.api.errors import ApiError
from dialer.console.answers import FORM, MAX_FIELD, PageRequest, Site, Visitor, address_of, cookie, kept_visit, page, to
from dialer.console.places import begins, ours
from dialer.console.sessions import COOKIE, LASTS_S
from dialer.console.texts import COOKIE as LANGUAGE_COOKIE
from dialer.console.texts import LANGUAGES
from dialer.console.visit import check_csrf, language

_YEAR_S: Final = 365 * 86_400


@get("/login")
async def login_page(request: PageRequest, console: Site, then: FromQuery[str] = "") -> Response[str]:
    """The form for name and password, or for a key; `then`: the page that was asked for."""
    visit = kept_visit(request)
    if visit is not None and ours(then):
        return to(begins(visit.key.role, then))
    return page(console, "login", language(request), problem="", given="", then=then if ours(then) else "")


@post("/login", opt=FORM, status_code=303)
async def sign_in(request: PageRequest, console: Site) -> Response[str]:
    """Take name and password, or a key; give a session."""
    texts, form, address = language(request), await request.form(), address_of(request)
    name, password, code, key = (str(form.get(field, ""))[:MAX_FIELD] for field in ("name", "password", "code", "key"))
    then = str(form.get("then", ""))
    deed(request, "session.begun")
    try:
        if name.strip() or password:
            found, role = await console.door.sign_in_user(request, name, password, code, address)
        else:
            found, role = await console.door.sign_in(request, key.strip(), address)
    except ApiError as error:
        told = {403: "login.no_business", 429: "login.wait"}.get(error.status, "login.wrong")
        kept = then if ours(then) else ""
        return page(console, "login", texts, status=error.status, problem=texts(told), given=name, then=kept)
    return to(begins(role, then), [cookie(COOKIE, found, LASTS_S, request)])


@post("/logout", opt=FORM, status_code=303)
async def sign_out(request: PageRequest, visit: Visitor) -> Response[str]:
    """End the session."""
    await check_csrf(request, visit, await request.form())
    deed(request, "session.ended")
    return to("/console/login", [cookie(COOKIE, "", 0, request)])


@get("/language/{name:str}")
async def choose_language(request: PageRequest, name: FromPath[str], then: FromQuery[str] = "") -> Response[str]:
    """Remember in which language somebody reads; `then`: where they read on."""
    if name not in LANGUAGES:
        raise ApiError(404, f"there is no language {name[:8]!r} here")
    return to(then if ours(then) else "/console/", [cookie(LANGUAGE_COOKIE, name, _YEAR_S, request)])


HANDLERS: Final = (login_page, sign_in, sign_out, choose_language)
