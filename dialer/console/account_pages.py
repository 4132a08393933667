"""One's own account: another password, a second factor, and what records call one."""

from __future__ import annotations

from typing import Final

import segno
from litestar import Response, get, post
from litestar.datastructures import Cookie

from dialer.api.audit import deed
from dialer.api.errors import ApiError
from dialer.api.user_ports import User
from dialer.console.accounts import Accounts
from dialer.console.answers import FORM, MAX_FIELD, PageRequest, Site, Visitor, address_of, cookie, page, to
from dialer.console.problems import told
from dialer.console.sessions import COOKIE, LASTS_S
from dialer.console.site import Console
from dialer.console.visit import Visit, check_csrf
from dialer.errors import InputError

_ACCOUNT: Final = "/console/account"
#: For fetching a telephone and reading a picture with it.
_SETTING_UP_S: Final = 900


@get("/account")
async def account(console: Site, visit: Visitor) -> Response[str]:
    """Who somebody is here, and what they can change of it."""
    return await _account(console, visit)


@post("/account/password", opt=FORM, status_code=303)
async def change_password(request: PageRequest, console: Site, visit: Visitor) -> Response[str]:
    """Another password; one's other sessions end."""
    form = await request.form()
    await check_csrf(request, visit, form)
    deed(request, "user.password", visit.who)
    accounts = _accounts(console, visit)
    old, new, again = (str(form.get(field, ""))[:MAX_FIELD] for field in ("old", "new", "again"))
    if new != again:
        return await _account(console, visit, problem=visit.texts("account.not_the_same"))
    if not await accounts.confirm(visit.key.user, old, address_of(request)):
        return await _account(console, visit, problem=visit.texts("account.wrong_password"))
    try:
        user = await accounts.users.set_password(visit.key.user, new)
    except InputError as error:
        return await _account(console, visit, problem=told(visit.texts, error))
    return _go_on(request, console, user)


@post("/account/second-factor", opt=FORM, status_code=200)
async def begin_second_factor(request: PageRequest, console: Site, visit: Visitor) -> Response[str]:
    """A secret for an authenticator, as a picture; it counts when a code of it has come."""
    form = await request.form()
    await check_csrf(request, visit, form)
    deed(request, "user.second_factor_begun", visit.who)
    accounts = _accounts(console, visit)
    if not await accounts.confirm(visit.key.user, str(form.get("password", ""))[:MAX_FIELD], address_of(request)):
        return await _account(console, visit, problem=visit.texts("account.wrong_password"))
    secret, uri = await accounts.users.new_second_factor(visit.key.user)
    return _set_up(console, visit, secret, uri)


@post("/account/second-factor/confirm", opt=FORM, status_code=200)
async def confirm_second_factor(request: PageRequest, console: Site, visit: Visitor) -> Response[str]:
    """The first code: from now on one is asked for. Shows the recovery codes, once."""
    form = await request.form()
    await check_csrf(request, visit, form)
    deed(request, "user.second_factor_on", visit.who)
    accounts = _accounts(console, visit)
    kept = console.door.sessions.promised(visit.session, str(form.get("promise", "")), _SETTING_UP_S)
    if kept is None:
        raise ApiError(403, "this page is out of date; load it again", code="page_old")
    secret, _, uri = kept.partition(" ")
    done = await accounts.users.set_second_factor(visit.key.user, secret, str(form.get("code", ""))[:MAX_FIELD])
    if done is None:
        return _set_up(console, visit, secret, uri, problem=visit.texts("account.wrong_code"))
    user, codes = done
    accounts.forget(user.name)
    answer = page(console, "recovery_codes", visit.texts, visit=visit, codes=codes)
    answer.cookies.append(_session(request, console, user))
    return answer


@post("/account/second-factor/off", opt=FORM, status_code=303)
async def end_second_factor(request: PageRequest, console: Site, visit: Visitor) -> Response[str]:
    """Ask for no code any more."""
    form = await request.form()
    await check_csrf(request, visit, form)
    deed(request, "user.second_factor_off", visit.who)
    accounts = _accounts(console, visit)
    if not await accounts.confirm(visit.key.user, str(form.get("password", ""))[:MAX_FIELD], address_of(request)):
        return await _account(console, visit, problem=visit.texts("account.wrong_password"))
    return _go_on(request, console, await accounts.users.end_second_factor(visit.key.user))


def _accounts(console: Console, visit: Visit) -> Accounts:
    if console.door.accounts is None or not visit.key.user:
        raise ApiError(403, "this session is of a key, which has no password")
    return console.door.accounts


async def _account(console: Console, visit: Visit, problem: str = "") -> Response[str]:
    accounts = console.door.accounts
    user = await accounts.users.find(visit.key.user) if accounts is not None and visit.key.user else None
    return page(
        console, "account", visit.texts, status=422 if problem else 200, visit=visit, user=user, problem=problem
    )


def _set_up(console: Console, visit: Visit, secret: str, uri: str, problem: str = "") -> Response[str]:
    # Ours for this session alone: nobody can be talked into a secret that somebody else knows.
    promise = console.door.sessions.promise(visit.session, f"{secret} {uri}")
    picture = segno.make(uri, error="m").svg_data_uri(scale=5, border=3, light="#fff")
    return page(
        console,
        "second_factor",
        visit.texts,
        status=422 if problem else 200,
        visit=visit,
        secret=secret,
        uri=uri,
        picture=picture,
        promise=promise,
        problem=problem,
    )


def _session(request: PageRequest, console: Console, user: User) -> Cookie:
    return cookie(COOKIE, console.door.sessions.begin_user(user.name, user.version), LASTS_S, request)


def _go_on(request: PageRequest, console: Console, user: User) -> Response[str]:
    """This session goes on under the account's new version; all others have ended."""
    if console.door.accounts is not None:
        console.door.accounts.forget(user.name)
    return to(_ACCOUNT, [_session(request, console, user)])


HANDLERS: Final = (account, change_password, begin_second_factor, confirm_second_factor, end_second_factor)
