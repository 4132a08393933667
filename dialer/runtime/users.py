"""The people who sign in with a password: accounts, second factors, and what ends their sessions."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Sequence
from typing import Final

import pyotp

from dialer.api.key_ports import Role
from dialer.api.user_ports import User, UserState
from dialer.core.ids import AgentId, valid_name
from dialer.errors import InputError
from dialer.runtime.passwords import Passwords
from dialer.runtime.tenants import check_free, check_known, check_own
from dialer.storage.database import Database
from dialer.storage.tenants import Tenants
from dialer.storage.users import StoredUser, UserRecord

#: Who can be a user; programs have keys.
ROLES: Final = (Role.MANAGER, Role.SUPERVISOR, Role.AGENT)
_ISSUER: Final = "Cadencia"
#: RFC 6238: a code's time, and how many before and after are taken, for clocks that do not agree.
_STEP_S: Final = 30
_DRIFT_STEPS: Final = 1
_CODE: Final = re.compile(r"\d{6}", re.ASCII)
_RECOVERY_CODES: Final = 10
_RECOVERY_BYTES: Final = 12
_SECRET: Final = re.compile(r"[A-Z2-7]{32}")


class UserDesk:
    """`dialer.api.user_ports.Users` on SQL.

    Args:
        database: where they are stored.
        passwords: how hashes are made.
        now: the clock.
    """

    def __init__(self, database: Database, passwords: Passwords, now: Callable[[], float]) -> None:
        self._database: Final = database
        self._record: Final = UserRecord(database)
        self._passwords: Final = passwords
        self._now: Final = now

    async def sign_in(self, name: str, password: str, code: str) -> User | None:
        """See `Users`."""
        stored = await self._record.find(_name(name))
        good = await self._passwords.check(None if stored is None else stored.hash, password)
        if stored is None or not good or stored.state != UserState.ACTIVE:
            return None
        if stored.totp_secret is not None and not await self._second(stored, stored.totp_secret, code):
            return None
        if self._passwords.outdated(stored.hash):
            await self._record.rehash(stored.name, stored.hash, await self._passwords.again(password))
        await self._record.signed_in(stored.name, self._now())
        return _user(stored)

    async def find(self, name: str) -> User | None:
        """See `Users`."""
        stored = await self._record.find(_name(name))
        return None if stored is None else _user(stored)

    async def all(self, *, tenant: str = "") -> Sequence[User]:
        """See `Users`."""
        return [_user(stored) for stored in await self._record.all(tenant)]

    async def tenants(self) -> Sequence[str]:
        """See `Users`."""
        return await Tenants(self._database).names()

    async def create(self, name: str, role: Role, agent: str, password: str, *, tenant: str = "") -> User:
        """See `Users`."""
        plain = _name(name)
        if not valid_name(plain):
            raise InputError("name: letters, digits, _ and -, at most 64 of them", code="not_a_name")
        works_as = _agent(plain, role, agent)
        check_own(tenant, works_as)
        await check_known(self._database, tenant)
        await check_free(self._database, tenant, plain)
        hash = await self._passwords.hash(plain, password)
        if not await self._record.add(plain, role, works_as, hash, self._now(), tenant=tenant):
            raise InputError(
                f"name: there is a user {plain!r} already", word="duplicate", code="user_exists", name=plain
            )
        return await self._known(plain)

    async def set_role(self, name: str, role: Role, agent: str) -> User:
        """See `Users`."""
        works_as = _agent(_name(name), role, agent)
        check_own((await self._known(name)).tenant, works_as)
        return await self._change(name, role=role, agent=works_as)

    async def set_state(self, name: str, state: UserState) -> User:
        """See `Users`."""
        return await self._change(name, state=state)

    async def set_password(self, name: str, password: str) -> User:
        """See `Users`."""
        hash = await self._passwords.hash(_name(name), password)
        return await self._change(name, hash=hash, password_changed_at=self._now())

    async def change_password(self, name: str, old: str, new: str) -> User | None:
        """See `Users`."""
        return await self.set_password(name, new) if await self.confirm(name, old) else None

    async def confirm(self, name: str, password: str) -> bool:
        """See `Users`."""
        stored = await self._record.find(_name(name))
        return await self._passwords.check(None if stored is None else stored.hash, password)

    async def new_second_factor(self, name: str) -> tuple[str, str]:
        """See `Users`."""
        secret = pyotp.random_base32()
        return secret, pyotp.TOTP(secret).provisioning_uri(name=_name(name), issuer_name=_ISSUER)

    async def end_second_factor(self, name: str) -> User:
        """See `Users`."""
        return await self._change(name, totp_secret=None, recovery=[])

    async def set_second_factor(self, name: str, secret: str, code: str) -> tuple[User, Sequence[str]] | None:
        """See `Users`."""
        if _SECRET.fullmatch(secret) is None:
            raise InputError("secret: is none of ours")
        step = _step_of(secret, code, self._now())
        if step is None:
            return None
        codes = ["-".join(secrets.token_hex(_RECOVERY_BYTES // 4) for _ in range(4)) for _ in range(_RECOVERY_CODES)]
        kept = [_digest(code) for code in codes]
        return await self._change(name, totp_secret=secret, totp_step=step, recovery=kept), codes

    # ---- inside

    async def _second(self, stored: StoredUser, secret: str, code: str) -> bool:
        step = _step_of(secret, code, self._now())
        if step is not None:
            return await self._record.take_step(stored.name, step)
        return await self._record.take_recovery(stored.name, _digest(code))

    async def _change(self, name: str, **values: object) -> User:
        plain = _name(name)
        if not await self._record.change(plain, **values):
            raise InputError(f"name: there is no user {plain[:64]!r}", word="not_found")
        return await self._known(plain)

    async def _known(self, name: str) -> User:
        found = await self.find(name)
        if found is None:
            raise InputError(f"name: there is no user {_name(name)[:64]!r}", word="not_found")
        return found


def _name(name: str) -> str:
    return name.strip().lower()


def _agent(name: str, role: Role, agent: str) -> AgentId | None:
    if role not in ROLES:
        raise InputError(f"role: must be {', '.join(ROLES)}; a program has a key", allowed=ROLES, code="user_role")
    if role is not Role.AGENT:
        return None
    found = agent.strip() or name
    if not valid_name(found):
        raise InputError("agent: letters, digits, _ and -, at most 64 of them", code="not_a_name")
    return AgentId(found)


def _step_of(secret: str, code: str, now: float) -> int | None:
    """The time step whose code this is, near now; None where it is of none."""
    plain = code.replace(" ", "")
    if _CODE.fullmatch(plain) is None:
        return None
    totp, step = pyotp.TOTP(secret), int(now // _STEP_S)
    near = range(step - _DRIFT_STEPS, step + _DRIFT_STEPS + 1)
    return next((each for each in near if hmac.compare_digest(totp.generate_otp(each), plain)), None)


def _digest(code: str) -> str:
    """Of a recovery code; it is random, so a plain hash suffices."""
    plain = re.sub(r"[\s-]", "", code).lower()
    return hashlib.sha256(plain.encode("utf-8", "replace")).hexdigest()


def _user(stored: StoredUser) -> User:
    return User(
        name=stored.name,
        role=Role(stored.role),
        agent=None if stored.agent is None else AgentId(stored.agent),
        state=UserState(stored.state),
        version=stored.version,
        second_factor=stored.totp_secret is not None,
        recovery_left=len(stored.recovery),
        created_at=stored.created_at,
        password_changed_at=stored.password_changed_at,
        signed_in_at=stored.signed_in_at,
        tenant=stored.tenant,
    )
