"""People who sign in to the console with a password: made and changed by managers, of a tenant its own alone."""

from __future__ import annotations

from typing import Annotated, Final

from litestar import Router, delete, get, post
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct

from dialer.api.account_orders import known_user, orders_of, user_book
from dialer.api.auth import requires
from dialer.api.errors import BODY, KEYED, documented
from dialer.api.idempotency import UNHASHED
from dialer.api.key_ports import Role
from dialer.api.requests import Cursor, KeyedRequest, Limit, Ports, cursor_name, cursor_to
from dialer.api.rows import rfc3339
from dialer.api.user_ports import User, UserState

_Name = Annotated[str, Meta(min_length=1, max_length=64)]
_Password = Annotated[str, Meta(min_length=1, max_length=256)]
_CHANGES: Final = documented(*KEYED, 404, 422, 503)


class UserOut(Struct, kw_only=True):
    """Somebody who signs in with a password."""

    name: str
    role: Role
    #: As whom an agent signs in; null for the others.
    agent: str | None
    #: Whose they are; empty: the installation's.
    tenant: str
    state: UserState
    #: A code is asked for besides the password.
    second_factor: bool
    created_at: str
    password_changed_at: str
    #: null: never.
    signed_in_at: str | None


class UsersPage(Struct, kw_only=True):
    """Users by name."""

    items: list[UserOut]
    next_cursor: str | None


class UserInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """Somebody who is to sign in with a password."""

    #: Of a tenant's user it begins as the tenant's campaigns do, where a manager of the tenant makes it.
    name: _Name
    #: manager, supervisor or agent.
    role: Role
    #: Of an agent: as whom; empty: as the name.
    agent: Annotated[str, Meta(max_length=64)] = ""
    #: At least 12 characters; not the name, and nothing that is easy to guess.
    password: _Password
    #: For whoever runs the installation: whose they are; empty: its own.
    tenant: Annotated[str, Meta(max_length=64)] = ""


class RoleInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """Another role."""

    role: Role
    agent: Annotated[str, Meta(max_length=64)] = ""


class PasswordInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """Another password."""

    password: _Password


def _out(user: User) -> UserOut:
    return UserOut(
        name=user.name,
        role=user.role,
        agent=user.agent,
        tenant=user.tenant,
        state=user.state,
        second_factor=user.second_factor,
        created_at=rfc3339(user.created_at),
        password_changed_at=rfc3339(user.password_changed_at),
        signed_in_at=None if user.signed_in_at is None else rfc3339(user.signed_in_at),
    )


@get("/users", guards=[requires()], responses=documented(*KEYED, 404, 422, 503))
async def list_users(ports: Ports, cursor: Cursor = None, limit: Limit = 100) -> UsersPage:
    """Everybody who signs in with a password, by name."""
    after = cursor_name(cursor) or ""
    found = [user for user in await user_book(ports).all() if user.name > after]
    items = [_out(user) for user in found[:limit]]
    return UsersPage(items=items, next_cursor=cursor_to(items[-1].name) if len(found) > limit else None)


@post(
    "/users",
    guards=[requires()],
    responses=documented(*KEYED, *BODY, 404),
    opt={UNHASHED: True},
)
async def create_user(data: JSONBody[UserInput], request: KeyedRequest, ports: Ports) -> UserOut:
    """Add somebody who may sign in to the console."""
    user = await orders_of(request).create_user(
        request,
        ports,
        request.auth,
        name=data.name,
        role=data.role,
        agent=data.agent,
        password=data.password,
        tenant=data.tenant,
    )
    return _out(user)


@get("/users/{user:str}", guards=[requires()], responses=documented(*KEYED, 404, 503))
async def get_user(user: FromPath[str], ports: Ports) -> UserOut:
    """One user."""
    return _out(await known_user(user_book(ports), user))


@post("/users/{user:str}/disable", guards=[requires()], responses=_CHANGES, opt={"no_body": True}, status_code=200)
async def disable_user(user: FromPath[str], request: KeyedRequest, ports: Ports) -> UserOut:
    """Let somebody in no more; their sessions end within 5 seconds."""
    orders = orders_of(request)
    return _out(await orders.set_state(request, ports, request.auth, user, UserState.DISABLED))


@post("/users/{user:str}/enable", guards=[requires()], responses=_CHANGES, opt={"no_body": True}, status_code=200)
async def enable_user(user: FromPath[str], request: KeyedRequest, ports: Ports) -> UserOut:
    """Let somebody in again."""
    return _out(await orders_of(request).set_state(request, ports, request.auth, user, UserState.ACTIVE))


@post("/users/{user:str}/role", guards=[requires()], responses=documented(*KEYED, *BODY, 404), status_code=200)
async def set_role(user: FromPath[str], data: JSONBody[RoleInput], request: KeyedRequest, ports: Ports) -> UserOut:
    """Give another role; their sessions end within 5 seconds."""
    return _out(await orders_of(request).set_role(request, ports, request.auth, user, data.role, data.agent))


@post(
    "/users/{user:str}/password",
    guards=[requires()],
    responses=documented(*KEYED, *BODY, 404),
    opt={UNHASHED: True},
    status_code=200,
)
async def set_password(
    user: FromPath[str], data: JSONBody[PasswordInput], request: KeyedRequest, ports: Ports
) -> UserOut:
    """Give another password; their sessions end within 5 seconds."""
    return _out(await orders_of(request).set_password(request, ports, request.auth, user, data.password))


@delete("/users/{user:str}/second-factor", guards=[requires()], responses=_CHANGES, status_code=200)
async def end_second_factor(user: FromPath[str], request: KeyedRequest, ports: Ports) -> UserOut:
    """Ask for no code any more, such as when a telephone is lost; their sessions end within 5 seconds."""
    return _out(await orders_of(request).end_second_factor(request, ports, request.auth, user))


routes = Router(
    "/",
    route_handlers=[
        list_users,
        create_user,
        get_user,
        disable_user,
        enable_user,
        set_role,
        set_password,
        end_second_factor,
    ],
    tags=["users"],
)
