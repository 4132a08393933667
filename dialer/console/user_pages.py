"""Users and API keys: who may do what, for managers; those of a tenant find its own alone."""

from __future__ import annotations

from typing import Final

from litestar import Response, get, post
from litestar.params import FromPath

from dialer.api.account_orders import key_book, orders_of, user_book
from dialer.api.errors import ApiError
from dialer.api.key_ports import Role
from dialer.api.user_ports import UserState
from dialer.console.answers import FORM, MAX_FIELD, Manager, PageRequest, Site, page, to
from dialer.console.problems import told
from dialer.console.site import Console
from dialer.console.visit import Visit, check_csrf
from dialer.core.tenants import named
from dialer.errors import InputError

_USERS: Final = "/console/system/users"
_KEYS: Final = "/console/system/keys"
_ROLES: Final = (Role.AGENT, Role.SUPERVISOR, Role.MANAGER)
#: Of a tenant's key; metrics are the installation's.
_KEY_ROLES: Final = (Role.MANAGER, Role.SUPERVISOR, Role.AGENT, Role.CRM)
#: The old key's time, once another is there.
_OVERLAP_S: Final = 86_400.0
_VERBS: Final = frozenset({"disable", "enable", "role", "password", "no-code"})


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
    name, role, agent, password, tenant = (
        str(form.get(field, ""))[:MAX_FIELD] for field in ("name", "role", "agent", "password", "tenant")
    )
    try:
        await orders_of(request).create_user(
            request, console.ports, manager.key, name=name, role=role, agent=agent, password=password, tenant=tenant
        )
    except InputError as error:
        problem = told(manager.texts, error)
        return await _users(console, manager, problem=problem, name=name, role=role, agent=agent, tenant=tenant)
    return to(_USERS)


@post("/system/users/{user:str}/{verb:str}", opt=FORM, status_code=303)
async def change_user(
    request: PageRequest, console: Site, manager: Manager, user: FromPath[str], verb: FromPath[str]
) -> Response[str]:
    """Disable or enable a user, give another role or password, or end their second factor."""
    form = await request.form()
    await check_csrf(request, manager, form)
    if verb not in _VERBS:
        raise ApiError(404, f"there is no order {verb[:20]!r}")
    orders, ports, by = orders_of(request), console.ports, manager.key
    role, agent, password = (str(form.get(field, ""))[:MAX_FIELD] for field in ("role", "agent", "password"))
    try:
        match verb:
            case "password":
                changed = await orders.set_password(request, ports, by, user, password)
            case "role":
                changed = await orders.set_role(request, ports, by, user, role, agent)
            case "no-code":
                changed = await orders.end_second_factor(request, ports, by, user)
            case _:
                state = UserState.DISABLED if verb == "disable" else UserState.ACTIVE
                changed = await orders.set_state(request, ports, by, user, state)
    except InputError as error:
        return await _users(console, manager, problem=told(manager.texts, error))
    if console.door.accounts is not None:
        console.door.accounts.forget(changed.name)
    return to(_USERS)


async def _users(console: Console, manager: Visit, problem: str = "", **typed: str) -> Response[str]:
    book, tenant = user_book(console.ports), console.ports.tenant
    return page(
        console,
        "users",
        manager.texts,
        status=422 if problem else 200,
        visit=manager,
        users=await book.all(),
        tenants=await book.tenants(),
        roles=_ROLES,
        problem=problem,
        beginning=named(tenant, ""),
        typed={"name": named(tenant, ""), "role": Role.AGENT, "agent": "", "tenant": ""} | typed,
    )


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
    role, name, days, tenant = (str(form.get(field, ""))[:MAX_FIELD] for field in ("role", "name", "days", "tenant"))
    try:
        _, secret = await orders_of(request).create_key(
            request, console.ports, manager.key, role=role, name=name, days=_days(days), tenant=tenant
        )
    except InputError as error:
        problem = told(manager.texts, error)
        return await _keys(console, manager, problem=problem, role=role, name=name, days=days, tenant=tenant)
    return await _keys(console, manager, made=secret)


@post("/system/keys/{key:str}/rotate", opt=FORM, status_code=200)
async def rotate_key(request: PageRequest, console: Site, manager: Manager, key: FromPath[str]) -> Response[str]:
    """Make another key in the place of this one, and show it; this one is good for a day more."""
    await check_csrf(request, manager, await request.form())
    _, secret = await orders_of(request).rotate_key(request, console.ports, manager.key, key, _OVERLAP_S)
    return await _keys(console, manager, made=secret)


@post("/system/keys/{key:str}/revoke", opt=FORM, status_code=303)
async def revoke_key(request: PageRequest, console: Site, manager: Manager, key: FromPath[str]) -> Response[str]:
    """Make a key worthless; nodes that know it obey within 5 seconds."""
    await check_csrf(request, manager, await request.form())
    await orders_of(request).revoke_key(request, console.ports, manager.key, key)
    return to(_KEYS)


async def _keys(console: Console, manager: Visit, problem: str = "", made: str = "", **typed: str) -> Response[str]:
    ports = console.ports
    return page(
        console,
        "keys",
        manager.texts,
        status=422 if problem else 200,
        visit=manager,
        keys=list(reversed(await key_book(ports).all())),
        tenants=await ports.user_book.tenants() if ports.user_book is not None else (),
        now=ports.clock.now(),
        roles=_KEY_ROLES if ports.tenant else tuple(Role),
        beginning=named(ports.tenant, ""),
        problem=problem,
        made=made,
        typed={"role": Role.CRM, "name": "", "days": "", "tenant": ""} | typed,
    )


def _days(text: str) -> float | None:
    """Days as they are typed; None for an empty field, for good. What is no number is none that may be."""
    if not text.strip():
        return None
    try:
        return float(text)
    except ValueError:
        return float("nan")


HANDLERS: Final = (users_page, create_user, change_user, keys_page, create_key, rotate_key, revoke_key)
