"""People with passwords at the console's door: who they are, and how fast anybody may guess.

Wrong passwords are counted by address and by name; whoever tried too often waits, and nobody is locked out for good. An
address from which somebody has signed in before does not wait for what others guess at that name.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from dialer.api.allowance import GuessLimits, OwnLimits
from dialer.api.auth import shared_guesses
from dialer.api.errors import ApiError
from dialer.api.key_ports import ApiKey
from dialer.api.ports import Clock
from dialer.api.user_ports import User, Users, UserState

#: Wrong passwords for one name in a row, and how many more each second, from anywhere.
_NAME_GUESSES: Final = 10.0
_NAME_GUESSES_PER_S: Final = 0.1
#: A user who was found is good for so long without another look: as keys are.
_TRUST_S: Final = 5.0
_MAX_KNOWN: Final = 10_000


def principal(user: User) -> ApiKey:
    """A user as what stands for a key: with a role, and of an agent's whose."""
    return ApiKey(
        id=f"user:{user.name}", role=user.role, digest="", agent=user.agent, user=user.name, tenant=user.tenant
    )


class Accounts:
    """What the door knows of users."""

    def __init__(self, users: Users, clock: Clock, limits: GuessLimits | None = None) -> None:
        """`limits`: where wrong passwords are counted; None: here."""
        self.users: Final = users
        self._clock: Final = clock
        limits = limits or OwnLimits()
        self._addresses: Final = shared_guesses(limits)
        self._names: Final = limits.of("name", _NAME_GUESSES, _NAME_GUESSES_PER_S)
        #: (name, address) of those who have signed in, the latest last.
        self._familiar: Final[OrderedDict[tuple[str, str], None]] = OrderedDict()
        self._trusted: Final[OrderedDict[str, tuple[User | None, float]]] = OrderedDict()

    async def sign_in(self, name: str, password: str, code: str, address: str) -> User:
        """Whoever has this name, password and code.

        Raises:
            ApiError: 401 where anything is wrong, 429 where too much was.
            RetryableError: too many sign in at once.
        """
        name, now = name.strip().lower(), self._clock.now()
        # Counted before it is known: many at once are many.
        await self._wrong(name, address, now)
        found = await self.users.sign_in(name, password, code)
        if found is None:
            raise ApiError(401, "name, password or code is wrong")
        await self._right(name, address, now)
        self.forget(name)
        return found

    async def confirm(self, name: str, password: str, address: str) -> bool:
        """Whether somebody who is signed in has the password too; guesses count as at the door.

        Raises:
            ApiError: 429.
        """
        now = self._clock.now()
        await self._wrong(name, address, now)
        good = await self.users.confirm(name, password)
        if good:
            await self._right(name, address, now)
        return good

    async def holder(self, name: str, version: int) -> ApiKey | None:
        """What a session of this user and version may do; None where it has ended."""
        now = self._clock.now()
        kept = self._trusted.get(name)
        user = kept[0] if kept is not None and now < kept[1] else await self._look(name, now)
        if user is None or user.state is not UserState.ACTIVE or user.version != version:
            return None
        return principal(user)

    def forget(self, name: str) -> None:
        """Look anew at the next request: something has changed."""
        self._trusted.pop(name, None)

    async def _look(self, name: str, now: float) -> User | None:
        user = await self.users.find(name)
        self._trusted[name] = (user, now + _TRUST_S)
        self._trusted.move_to_end(name)
        while len(self._trusted) > _MAX_KNOWN:
            self._trusted.popitem(last=False)
        return user

    async def _wrong(self, name: str, address: str, now: float) -> None:
        wait_s = await self._addresses.take_unless_empty(address, now)
        if wait_s == 0 and (name, address) not in self._familiar:
            wait_s = await self._names.take_unless_empty(name, now)
            if wait_s > 0:
                await self._addresses.give_back(address, now)
        if wait_s > 0:
            retry = {"retry-after": str(max(1, round(wait_s)))}
            raise ApiError(429, "too many wrong passwords; wait", headers=retry)

    async def _right(self, name: str, address: str, now: float) -> None:
        await self._addresses.give_back(address, now)
        if (name, address) not in self._familiar:
            await self._names.give_back(name, now)
        self._familiar[name, address] = None
        self._familiar.move_to_end((name, address))
        while len(self._familiar) > _MAX_KNOWN:
            self._familiar.popitem(last=False)
