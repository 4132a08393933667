"""People who sign in with a password, as they are stored: hashes, never what they are of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Row, insert, select, update

from dialer.storage.database import Database
from dialer.storage.failures import RowRefused
from dialer.storage.field_seal import FieldSeal, is_sealed
from dialer.storage.tables import users

#: The column of the second factor, which is sealed.
_FACTOR: Final = "totp_secret"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredUser:
    """A row of the table, see there."""

    name: str
    role: str
    agent: str | None
    hash: str
    state: str
    version: int
    totp_secret: str | None
    totp_step: int
    recovery: tuple[str, ...]
    created_at: float
    password_changed_at: float
    signed_in_at: float | None
    tenant: str


class UserRecord:
    """All users of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, name: str) -> StoredUser | None:
        """One user."""
        async with self._database.read() as connection:
            row = (await connection.execute(select(users).where(users.c.name == name))).one_or_none()
        return None if row is None else _user(row, self._database.seal)

    async def all(self, tenant: str = "") -> list[StoredUser]:
        """Every user of a tenant or of all, by name; their second factors as they are kept."""
        statement = select(users).where(users.c.tenant == tenant) if tenant else select(users)
        async with self._database.read() as connection:
            rows = (await connection.execute(statement)).all()
        return sorted((_user(row, None) for row in rows), key=lambda user: user.name)

    async def add(self, name: str, role: str, agent: str | None, hash: str, now: float, *, tenant: str = "") -> bool:
        """Add a user who may sign in; False where the name is taken."""
        statement = insert(users).values(
            name=name,
            role=role,
            agent=agent,
            hash=hash,
            state="active",
            version=1,
            totp_step=0,
            recovery=[],
            created_at=now,
            password_changed_at=now,
            tenant=tenant,
        )
        try:
            async with self._database.write() as connection:
                await connection.execute(statement)
        except RowRefused:
            return False
        return True

    async def change(self, name: str, **values: object) -> bool:
        """Set columns, and end the user's sessions; False where there is no such user."""
        secret, seal = values.get(_FACTOR), self._database.seal
        if secret is not None and seal is not None:
            values[_FACTOR] = seal.seal(secret, _FACTOR)
        statement = update(users).where(users.c.name == name).values(version=users.c.version + 1, **values)
        async with self._database.write() as connection:
            return (await connection.execute(statement)).rowcount == 1

    async def rehash(self, name: str, before: str, after: str) -> None:
        """Keep the same password in another form."""
        statement = update(users).where(users.c.name == name, users.c.hash == before).values(hash=after)
        async with self._database.write() as connection:
            await connection.execute(statement)

    async def signed_in(self, name: str, now: float) -> None:
        """Note the moment."""
        async with self._database.write() as connection:
            await connection.execute(update(users).where(users.c.name == name).values(signed_in_at=now))

    async def take_step(self, name: str, step: int) -> bool:
        """Use up the code of a time step; False where it, or a later one, has been taken before."""
        statement = update(users).where(users.c.name == name, users.c.totp_step < step).values(totp_step=step)
        async with self._database.write() as connection:
            return (await connection.execute(statement)).rowcount == 1

    async def take_recovery(self, name: str, digest: str) -> bool:
        """Use up a recovery code by its SHA-256; False where there is none such."""
        async with self._database.write() as connection:
            # The row is held, so that the same code sent twice at once is good once.
            held = select(users.c.recovery).where(users.c.name == name).with_for_update()
            left: list[str] = (await connection.execute(held)).scalar_one_or_none() or []
            if digest not in left:
                return False
            left = [code for code in left if code != digest]
            await connection.execute(update(users).where(users.c.name == name).values(recovery=left))
        return True


def _user(row: Row[Any], seal: FieldSeal | None) -> StoredUser:
    secret: str | None = row.totp_secret
    if secret is not None and seal is not None and is_sealed(secret):
        secret = str(seal.open(secret, _FACTOR))
    return StoredUser(
        name=row.name,
        role=row.role,
        agent=row.agent,
        hash=row.hash,
        state=row.state,
        version=row.version,
        totp_secret=secret,
        totp_step=row.totp_step,
        recovery=tuple(row.recovery),
        created_at=row.created_at,
        password_changed_at=row.password_changed_at,
        signed_in_at=row.signed_in_at,
        tenant=row.tenant,
    )
