"""What managers order of users and keys, by the API and by the console alike: how often, and what is recorded of it."""

from __future__ import annotations

from typing import Any, Final

from litestar import Request

from dialer.api.allowance import Allowance
from dialer.api.audit import deed
from dialer.api.errors import ApiError
from dialer.api.key_ports import ApiKey, KeyBook, KeyEntry, Role
from dialer.api.ports import ApiPorts, Clock
from dialer.api.user_ports import User, UserBook, UserState
from dialer.errors import InputError

#: Under this name one `AccountOrders` is in the state of the application.
STATE: Final = "account_orders"
#: Orders of one manager in a row, and how many more each second: a password costs a hash that is meant to be dear.
_IN_A_ROW: Final = 60.0
_PER_S: Final = 0.5
_DAY_S: Final = 86_400.0
MOST_DAYS: Final = 3_650.0
_STATES: Final = {UserState.ACTIVE: "user.enabled", UserState.DISABLED: "user.disabled"}

Asked = Request[Any, Any, Any]


class AccountOrders:
    """One an application. Each order is that of `by`, in the ports that are theirs, and goes into the audit log.

    All of them raise `InputError` where what is given cannot be used, and `ApiError`: 404 for what does not exist or is
    not theirs, and 429 after too many orders.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock: Final = clock
        self._allowance: Final = Allowance(_IN_A_ROW, _PER_S)

    # ---- users

    async def create_user(
        self,
        request: Asked,
        ports: ApiPorts,
        by: ApiKey,
        *,
        name: str,
        role: str,
        agent: str,
        password: str,
        tenant: str = "",
    ) -> User:
        """Add a user; `agent` counts for that role alone."""
        deed(request, "user.created")
        self._count(by)
        user = await user_book(ports).create(name, _role(role), agent, password, tenant=tenant)
        deed(request, "user.created", f"user:{user.name}", role=user.role, **_whose(user.tenant))
        return user

    async def set_state(self, request: Asked, ports: ApiPorts, by: ApiKey, name: str, state: UserState) -> User:
        """Let a user sign in, or not."""
        known = await self._other(request, ports, by, name, _STATES[state])
        return await user_book(ports).set_state(known.name, state)

    async def set_role(self, request: Asked, ports: ApiPorts, by: ApiKey, name: str, role: str, agent: str) -> User:
        """Give a user another role."""
        known = await self._other(request, ports, by, name, "user.role")
        user = await user_book(ports).set_role(known.name, _role(role), agent)
        deed(request, "user.role", f"user:{user.name}", role=user.role)
        return user

    async def set_password(self, request: Asked, ports: ApiPorts, by: ApiKey, name: str, password: str) -> User:
        """Give a user another password."""
        known = await self._other(request, ports, by, name, "user.password")
        return await user_book(ports).set_password(known.name, password)

    async def end_second_factor(self, request: Asked, ports: ApiPorts, by: ApiKey, name: str) -> User:
        """Ask a user for no code any more."""
        known = await self._other(request, ports, by, name, "user.second_factor_off")
        return await user_book(ports).end_second_factor(known.name)

    # ---- keys

    async def create_key(
        self,
        request: Asked,
        ports: ApiPorts,
        by: ApiKey,
        *,
        role: str,
        name: str,
        days: float | None,
        tenant: str = "",
    ) -> tuple[KeyEntry, str]:
        """Make a key, good for so many days or for good; the second part is the key itself."""
        deed(request, "key.created")
        self._count(by)
        expires_at = None if days is None else self._clock.now() + _checked_days(days) * _DAY_S
        key, secret = await key_book(ports).create(role, name, expires_at, tenant=tenant)
        deed(request, "key.created", f"key:{key.id}", role=key.role, expires_at=key.expires_at, **_whose(key.tenant))
        return key, secret

    async def rotate_key(
        self, request: Asked, ports: ApiPorts, by: ApiKey, id: str, overlap_s: float
    ) -> tuple[KeyEntry, str]:
        """Make another key in the place of one, which is good for `overlap_s` more."""
        deed(request, "key.rotated", f"key:{id[:64]}")
        self._count(by)
        book = key_book(ports)
        await known_key(book, id)
        made = await book.rotate(id, overlap_s)
        if made is None:
            raise ApiError(
                409, f"key {id!r} was revoked, has expired or was rotated before: make a new one", code="key_ended"
            )
        deed(request, "key.rotated", f"key:{id}", new=made[0].id)
        return made

    async def revoke_key(self, request: Asked, ports: ApiPorts, by: ApiKey, id: str) -> KeyEntry:
        """Make a key worthless; nodes that know it obey within 5 seconds. Of one that is so already nothing changes."""
        deed(request, "key.revoked", f"key:{id[:64]}")
        self._count(by)
        book = key_book(ports)
        await known_key(book, id)
        await book.revoke(id)
        return await known_key(book, id)

    # ---- inside

    async def _other(self, request: Asked, ports: ApiPorts, by: ApiKey, name: str, action: str) -> User:
        deed(request, action)
        self._count(by)
        user = await known_user(user_book(ports), name)
        deed(request, action, f"user:{user.name}")
        if by.user == user.name:
            raise InputError(
                "name: your own account is changed on its own page, or by another manager",
                word="oneself",
                code="oneself",
            )
        return user

    def _count(self, by: ApiKey) -> None:
        now = self._clock.now()
        wait_s = self._allowance.wait_s(by.who, now)
        if wait_s > 0:
            retry = {"retry-after": str(max(1, round(wait_s)))}
            raise ApiError(429, "too many orders for users and keys; wait", headers=retry, code="too_many_orders")
        self._allowance.take(by.who, now)


def orders_of(request: Asked) -> AccountOrders:
    """Those of the application that was asked."""
    orders: AccountOrders = request.app.state[STATE]
    return orders


def user_book(ports: ApiPorts) -> UserBook:
    """The users that can be reached.

    Raises:
        ApiError: 404, there are none at this node.
    """
    if ports.user_book is None:
        raise ApiError(404, "nobody signs in with a password here")
    return ports.user_book


def key_book(ports: ApiPorts) -> KeyBook:
    """The keys that can be reached.

    Raises:
        ApiError: 404, there are none at this node.
    """
    if ports.key_book is None:
        raise ApiError(404, "this node has no book of keys")
    return ports.key_book


async def known_user(book: UserBook, name: str) -> User:
    """A user.

    Raises:
        ApiError: 404.
    """
    found = await book.find(name)
    if found is None:
        raise ApiError(404, f"there is no user {name[:64]!r}", code="no_user", user=name[:64])
    return found


async def known_key(book: KeyBook, id: str) -> KeyEntry:
    """A key, whatever its state.

    Raises:
        ApiError: 404.
    """
    found = await book.find(id)
    if found is None:
        raise ApiError(404, f"there is no key {id[:64]!r}", code="no_key", key=id[:64])
    return found


def _role(text: str) -> Role:
    if text not in set(Role):
        raise InputError(f"role: must be {', '.join(Role)}", allowed=tuple(Role), code="user_role")
    return Role(text)


def _checked_days(days: float) -> float:
    if not 0.0 < days <= MOST_DAYS:  # nor NaN
        raise InputError(f"days: more than 0 and at most {MOST_DAYS:.0f}, or none: for good", code="key_days")
    return days


def _whose(tenant: str) -> dict[str, str]:
    return {"tenant": tenant} if tenant else {}
