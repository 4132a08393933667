"""Accounts whose passwords cost a test next to nothing, and codes of an authenticator."""

from __future__ import annotations

from typing import Final

import pyotp
from argon2 import PasswordHasher

from dialer.api.ports import Clock
from dialer.runtime.passwords import Passwords
from dialer.runtime.users import UserDesk
from dialer.storage.database import Database

#: One that may be chosen.
GOOD: Final = "violet teapot orbit"
BETTER: Final = "seven quiet lanterns"


def cheap() -> PasswordHasher:
    """argon2id that takes no time and no memory."""
    return PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


def desk(database: Database, clock: Clock) -> UserDesk:
    """The users of a database."""
    return UserDesk(database, Passwords(cheap()), clock.now)


def code(secret: str, now: float) -> str:
    """What an authenticator shows at `now`."""
    return pyotp.TOTP(secret).at(int(now))
