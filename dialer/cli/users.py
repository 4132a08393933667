"""`cadencia user`: who signs in to the console with a password. On the database itself: the first comes from here.

A password is asked for, or read from standard input where that is no terminal; never from the command line, which
others on the machine can read.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dialer.cli.client import ConfigOption
from dialer.cli.own_database import note, now, on_database
from dialer.cli.screen import JsonOption, fail, out, print_json, print_rows
from dialer.cli.tenants import TenantOption

if TYPE_CHECKING:
    from dialer.api.user_ports import User
    from dialer.runtime.users import UserDesk
    from dialer.storage.database import Database

app = typer.Typer(help="People who sign in to the console with name and password.", no_args_is_help=True)

_ROLES = ("manager", "supervisor", "agent")
_COLUMNS = ("name", "role", "agent", "tenant", "state", "code", "created", "password_changed", "signed_in")

NameArgument = Annotated[str, typer.Argument(help="As they sign in.", show_default=False)]
RoleArgument = Annotated[str, typer.Argument(help=f"One of {', '.join(_ROLES)}.", show_default=False)]
AgentOption = Annotated[str, typer.Option(help="Of an agent: as whom; else the name.", show_default=False)]


@app.command()
def create(
    name: NameArgument,
    role: RoleArgument,
    agent: AgentOption = "",
    tenant: TenantOption = "",
    config: ConfigOption = None,
) -> None:
    """Add a user; the password is asked for."""
    from dialer.api.key_ports import Role  # noqa: PLC0415

    _known(role)
    password = _password()

    async def make(database: Database) -> User:
        user = await _desk(database).create(name, Role(role), agent, password, tenant=tenant)
        await note(database, "user.created", f"user:{user.name}", role=user.role, tenant=tenant)
        return user

    user = on_database(config, make)
    out.print(f"{user.name} may sign in as {user.role}.", markup=False, highlight=False)


@app.command("list")
def show(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """All users, by name."""

    async def read(database: Database) -> list[dict[str, Any]]:
        return [_row(user) for user in await _desk(database).all()]

    rows = on_database(config, read)
    if as_json:
        print_json(rows)
    else:
        print_rows(rows, _COLUMNS)


@app.command()
def disable(name: NameArgument, config: ConfigOption = None) -> None:
    """Let somebody in no more; their sessions end within 5 seconds."""
    from dialer.api.user_ports import UserState  # noqa: PLC0415

    _change(config, name, "user.disabled", lambda desk: desk.set_state(name, UserState.DISABLED))


@app.command()
def enable(name: NameArgument, config: ConfigOption = None) -> None:
    """Let somebody in again."""
    from dialer.api.user_ports import UserState  # noqa: PLC0415

    _change(config, name, "user.enabled", lambda desk: desk.set_state(name, UserState.ACTIVE))


@app.command("password")
def set_password(name: NameArgument, config: ConfigOption = None) -> None:
    """Give another password, which is asked for; their sessions end within 5 seconds."""
    password = _password()
    _change(config, name, "user.password", lambda desk: desk.set_password(name, password))


@app.command("role")
def set_role(name: NameArgument, role: RoleArgument, agent: AgentOption = "", config: ConfigOption = None) -> None:
    """Give another role; their sessions end within 5 seconds."""
    from dialer.api.key_ports import Role  # noqa: PLC0415

    _known(role)
    _change(config, name, "user.role", lambda desk: desk.set_role(name, Role(role), agent))


@app.command("no-code")
def end_second_factor(name: NameArgument, config: ConfigOption = None) -> None:
    """Ask for no code any more, such as when a phone is lost."""
    _change(config, name, "user.second_factor_off", lambda desk: desk.end_second_factor(name))


def _change(config: Any, name: str, action: str, order: Callable[[UserDesk], Coroutine[Any, Any, User]]) -> None:
    async def run(database: Database) -> User:
        user = await order(_desk(database))
        await note(database, action, f"user:{user.name}", role=user.role)
        return user

    user = on_database(config, run)
    out.print(f"{user.name} is {user.state}, with the role {user.role}.", markup=False, highlight=False)


def _desk(database: Database) -> UserDesk:
    from dialer.runtime.passwords import Passwords  # noqa: PLC0415
    from dialer.runtime.users import UserDesk  # noqa: PLC0415

    return UserDesk(database, Passwords(), now)


def _known(role: str) -> None:
    if role not in _ROLES:
        fail(f"there is no role {role!r} for people; it must be {', '.join(_ROLES)}", code=2)


def _password() -> str:
    if sys.stdin.isatty():
        return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
    return sys.stdin.readline().rstrip("\r\n")


def _row(user: User) -> dict[str, Any]:
    return {
        "name": user.name,
        "role": user.role,
        "agent": user.agent,
        "tenant": user.tenant,
        "state": user.state,
        "code": "on" if user.second_factor else "off",
        "created": _moment(user.created_at),
        "password_changed": _moment(user.password_changed_at),
        "signed_in": _moment(user.signed_in_at),
    }


def _moment(at: float | None) -> str | None:
    return None if at is None else datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
