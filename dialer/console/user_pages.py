"""Users and API keys: who may do what, for managers."""

from __future__ import annotations

from typing import Final

from litestar import Response, get, post
from litestar.params import FromPath

from dialer.api.audit import deed
from dialer.api.errors import ApiError
from dialer.api.ports import Role
from dialer.api.system_ports import KeyBook
from dialer.api.user_ports import User, UserState
from dialer.console.account_pages import refusal
from dialer.console.accounts import Accounts
from dialer.console.answers import FORM, MAX_FIELD, Manager, PageRequest, Site, page, to
from dialer.console.site import Console
from dialer.console.visit import Visit, check_csrf
from dialer.errors import InputError

_USERS: Final = "/console/system/users"
_KEYS: Final = "/console/system/keys"
_ROLES: Final = (Role.AGENT, Role.SUPERVISOR, Role.MANAGER)
_DAY_S: Final = 86_400.0
_MOST_DAYS: Final = 3_650.0


# ---- users


@get("/system/users")
async def users_page(console: Site, manager: Manager) -> Response[str]:
    """Everybody who signs in with a password."""
    return await _users(console, manager)


@post("/system/users", opt=FORM, status_code=303)
async def create_user(request: PageRequest, console: Site, manager: Manager) -> Response[str]:
    """Add a user."""
    form = await request.form()
    await check_csrf(request, manager, form)
    name, role, agent, password = (
        str(form.get(field, ""))[:MAX_FIELD] for field in ("name", "role", "agent", "password")
    )
    deed(request, "user.created")
    try:
        user = await _accounts(console).users.create(name, _role(role), agent, password)
    except InputError as error:
        return await _users(console, manager, problem=refusal(manager.texts, error), name=name, role=role, agent=agent)
    deed(request, "user.created", f"user:{user.name}", role=user.role)
    return to(_USERS)


@post("/system/users/{user:str}/{verb:str}", opt=FORM, status_code=303)
async def change_user(
    request: PageRequest, console: Site, manager: Manager, user: FromPath[str], verb: FromPath[str]
) -> Response[str]:
    """Disable or enable a user, give another role or password, or end their second factor."""
    form = await request.form()
    await check_csrf(request, manager, form)
    accounts = _accounts(console)
    if verb not in _DEEDS:
        raise ApiError(404, f"there is no order {verb[:20]!r}")
    known = await accounts.users.find(user)
    if known is None:
        raise ApiError(404, f"there is no user {user[:64]!r}")
    deed(request, _DEEDS[verb], f"user:{known.name}")
    if known.name == manager.key.user:
        return await _users(console, manager, problem=manager.texts("users.oneself"))
    try:
        match verb:
            case "password":
                await accounts.users.set_password(known.name, str(form.get("password", ""))[:MAX_FIELD])
            case "role":
                role = _role(str(form.get("role", "")))
                await accounts.users.set_role(known.name, role, str(form.get("agent", ""))[:MAX_FIELD])
                deed(request, _DEEDS[verb], f"user:{known.name}", role=role)
            case "no-code":
                await accounts.users.end_second_factor(known.name)
            case _:
                state = UserState.DISABLED if verb == "disable" else UserState.ACTIVE
                await accounts.users.set_state(known.name, state)
    except InputError as error:
        return await _users(console, manager, problem=refusal(manager.texts, error))
    finally:
        accounts.forget(known.name)
    return to(_USERS)


_DEEDS: Final = {
    "disable": "user.disabled",
    "enable": "user.enabled",
    "role": "user.role",
    "password": "user.password",
    "no-code": "user.second_factor_off",
}


async def _users(console: Console, manager: Visit, problem: str = "", **typed: str) -> Response[str]:
    found: list[User] = list(await _accounts(console).users.all())
    return page(
        console,
        "users",
        manager.texts,
        status=422 if problem else 200,
        visit=manager,
        users=found,
        roles=_ROLES,
        problem=problem,
        typed={"name": "", "role": Role.AGENT, "agent": ""} | typed,
    )


def _accounts(console: Console) -> Accounts:
    if console.door.accounts is None:
        raise ApiError(404, "nobody signs in with a password here")
    return console.door.accounts


def _role(text: str) -> Role:
    if text not in _ROLES:
        raise InputError(f"role: must be {', '.join(_ROLES)}", allowed=_ROLES)
    return Role(text)


# ---- keys


@get("/system/keys")
async def keys_page(console: Site, manager: Manager) -> Response[str]:
    """Every API key, none of them in full."""
    return await _keys(console, manager)


@post("/system/keys", opt=FORM, status_code=200)
async def create_key(request: PageRequest, console: Site, manager: Manager) -> Response[str]:
    """Make a key, and show it: it cannot be shown again."""
    form = await request.form()
    await check_csrf(request, manager, form)
    role, name, days = (str(form.get(field, ""))[:MAX_FIELD] for field in ("role", "name", "days"))
    deed(request, "key.created")
    try:
        key, secret = await _book(console).create(role, name, _end(days, console.ports.clock.now()))
    except InputError as error:
        problem = refusal(manager.texts, error)
        return await _keys(console, manager, problem=problem, role=role, name=name, days=days)
    deed(request, "key.created", f"key:{key.id}", role=key.role, expires_at=key.expires_at)
    return await _keys(console, manager, made=secret)


@post("/system/keys/{key:str}/revoke", opt=FORM, status_code=303)
async def revoke_key(request: PageRequest, console: Site, manager: Manager, key: FromPath[str]) -> Response[str]:
    """Make a key worthless; nodes that know it obey within 5 seconds."""
    await check_csrf(request, manager, await request.form())
    deed(request, "key.revoked", f"key:{key[:64]}")
    if not await _book(console).revoke(key):
        raise ApiError(404, f"there is no key {key[:64]!r} that is still good")
    return to(_KEYS)


async def _keys(console: Console, manager: Visit, problem: str = "", made: str = "", **typed: str) -> Response[str]:
    found = list(reversed(await _book(console).all()))
    return page(
        console,
        "keys",
        manager.texts,
        status=422 if problem else 200,
        visit=manager,
        keys=found,
        now=console.ports.clock.now(),
        roles=tuple(Role),
        problem=problem,
        made=made,
        typed={"role": Role.CRM, "name": "", "days": ""} | typed,
    )


def _book(console: Console) -> KeyBook:
    if console.ports.key_book is None:
        raise ApiError(404, "this node has no book of keys")
    return console.ports.key_book


def _end(days: str, now: float) -> float | None:
    """The moment after so many days; None for an empty field, for good."""
    if not days.strip():
        return None
    try:
        count = float(days)
    except ValueError:
        count = 0.0
    if not 0.0 < count <= _MOST_DAYS:
        raise InputError(f"days: more than 0 and at most {_MOST_DAYS:.0f}, or empty: for good", word="key_days")
    return now + count * _DAY_S


HANDLERS: Final = (users_page, create_user, change_user, keys_page, create_key, revoke_key)
