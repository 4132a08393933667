"""What the console needs of the rest for the people who sign in to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from dialer.api.key_ports import Role
from dialer.core.ids import AgentId


class UserState(StrEnum):
    """Whether somebody may sign in."""

    ACTIVE = "active"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Somebody who signs in with a password; neither it nor its hash is here."""

    name: str
    role: Role
    #: As whom an agent signs in; None for the others.
    agent: AgentId | None
    state: UserState
    #: Counts up with every change that ends their sessions.
    version: int
    #: A code is asked for besides the password.
    second_factor: bool
    #: Recovery codes that have not been used.
    recovery_left: int
    created_at: float
    password_changed_at: float
    #: None: never.
    signed_in_at: float | None
    #: Whose they are; empty: the installation's.
    tenant: str = ""


class UserBook(Protocol):
    """Those who sign in with a password, as managers see them (`dialer.runtime.users.UserDesk`).

    Every change raises `InputError` where what is given cannot be used; its text says what to do.
    """

    async def tenants(self) -> Sequence[str]:
        """To whom users and keys can be given besides the installation, by name."""

    async def all(self, *, tenant: str = "") -> Sequence[User]:
        """Every user of a tenant or of all, by name."""

    async def find(self, name: str) -> User | None:
        """A user by name."""

    async def create(self, name: str, role: Role, agent: str, password: str, *, tenant: str = "") -> User:
        """Add a user; `agent` counts for that role alone, and is the name where it is empty."""

    async def set_role(self, name: str, role: Role, agent: str) -> User:
        """Give another role; their sessions end."""

    async def set_state(self, name: str, state: UserState) -> User:
        """Let them sign in, or not; their sessions end."""

    async def set_password(self, name: str, password: str) -> User:
        """Give another password; their sessions end."""

    async def end_second_factor(self, name: str) -> User:
        """Ask for no code any more; their sessions end."""


class Users(UserBook, Protocol):
    """The same, and what people do themselves."""

    async def sign_in(self, name: str, password: str, code: str) -> User | None:
        """Whoever has this name, password and, where it is asked for, code; None where anything is wrong.

        The same work is done whatever is wrong. A code is good once.

        Raises:
            RetryableError: too many sign in at once.
        """

    async def change_password(self, name: str, old: str, new: str) -> User | None:
        """Another password of one's own; None where the old one is wrong."""

    async def confirm(self, name: str, password: str) -> bool:
        """Whether it is their password: before something that matters."""

    async def new_second_factor(self, name: str) -> tuple[str, str]:
        """A new secret (base 32), which counts for nothing yet, and its otpauth URI."""

    async def set_second_factor(self, name: str, secret: str, code: str) -> tuple[User, Sequence[str]] | None:
        """Ask for codes of `secret` from now on; recovery codes, which cannot be had again. None: `code` is wrong."""
