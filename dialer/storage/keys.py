"""API keys: made once, shown once, kept only as a hash.

A key is 256 random bits, so a plain SHA-256 suffices: nobody can try them out, and a slow hash would cost every
request what it costs an attacker.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Row, insert, or_, select, update

from dialer.storage.database import Database
from dialer.storage.tables import api_keys

_PREFIX: Final = "cad_"
#: `last_used_at` is written at most this often for each key: reads must not become writes.
_TOUCH_EVERY_S: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """What is known of a key; not the key."""

    id: str
    #: manager, supervisor, agent, crm or metrics.
    role: str
    name: str
    created_at: float
    last_used_at: float | None = None
    expires_at: float | None = None
    revoked_at: float | None = None
    #: Whose it is; empty: the installation's.
    tenant: str = ""

    def valid(self, now: float) -> bool:
        """Whether it opens anything at `now`."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


class Keys:
    """All API keys of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(
        self, role: str, name: str, *, now: float, expires_at: float | None = None, tenant: str = ""
    ) -> tuple[ApiKey, str]:
        """Make a key; the second part is the key itself, which cannot be had again."""
        id = secrets.token_hex(6)
        key = ApiKey(id=id, role=role, name=name, created_at=now, expires_at=expires_at, tenant=tenant)
        secret = _PREFIX + secrets.token_urlsafe(32)
        statement = insert(api_keys).values(
            id=id, role=role, hash=_hash(secret), name=name, created_at=now, expires_at=expires_at, tenant=tenant
        )
        async with self._database.write() as connection:
            await connection.execute(statement)
        return key, secret

    async def find(self, secret: str, now: float) -> ApiKey | None:
        """The valid key that `secret` is, or None; notes that it was used."""
        return await self.find_hash(_hash(secret), now) if secret.startswith(_PREFIX) else None

    async def find_hash(self, digest: str, now: float) -> ApiKey | None:
        """The valid key with this SHA-256 (hexadecimal), or None; notes that it was used."""
        async with self._database.read() as connection:
            row = (await connection.execute(select(api_keys).where(api_keys.c.hash == digest))).one_or_none()
        key = None if row is None else _key(row)
        if key is None or not key.valid(now):
            return None
        if key.last_used_at is None or now - key.last_used_at >= _TOUCH_EVERY_S:
            used = api_keys.c.last_used_at
            touch = update(api_keys).where(api_keys.c.id == key.id, or_(used.is_(None), used < now))
            async with self._database.write() as connection:
                await connection.execute(touch.values(last_used_at=now))
        return key

    async def revoke(self, key_id: str, now: float) -> bool:
        """Make a key worthless from now on; False where there is none, or it is so already."""
        statement = update(api_keys).where(api_keys.c.id == key_id, api_keys.c.revoked_at.is_(None))
        async with self._database.write() as connection:
            return (await connection.execute(statement.values(revoked_at=now))).rowcount == 1

    async def all(self) -> list[ApiKey]:
        """Every key, revoked and expired ones included, the oldest first."""
        async with self._database.read() as connection:
            rows = (await connection.execute(select(api_keys).order_by(api_keys.c.created_at, api_keys.c.id))).all()
        return [_key(row) for row in rows]


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _key(row: Row[Any]) -> ApiKey:
    return ApiKey(
        id=row.id,
        role=row.role,
        name=row.name,
        created_at=row.created_at,
        last_used_at=row.last_used_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        tenant=row.tenant,
    )
