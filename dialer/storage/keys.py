"""API keys: made once, shown once, kept only as a hash.

A key is 256 random bits, so a plain SHA-256 suffices: nobody can try them out, and a slow hash would cost every
request what it costs an attacker.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Insert, Row, insert, or_, select, update

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
    #: The id of the key that takes its place; None: it was not rotated.
    replaced_by: str | None = None

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
        key, secret, statement = _new(role, name, now, expires_at, tenant)
        async with self._database.write() as connection:
            await connection.execute(statement)
        return key, secret

    async def rotate(self, key_id: str, now: float, overlap_s: float) -> tuple[ApiKey, str] | None:
        """Make another key for the same, good for as long as this was made for, and end this one `overlap_s` from now.

        None where there is none that is valid, or it was rotated before.
        """
        async with self._database.write() as connection:
            held = select(api_keys).where(api_keys.c.id == key_id).with_for_update()
            row = (await connection.execute(held)).one_or_none()
            old = None if row is None else _key(row)
            if old is None or not old.valid(now) or old.replaced_by is not None:
                return None
            lasts_s = None if old.expires_at is None else old.expires_at - old.created_at
            key, secret, statement = _new(
                old.role, old.name, now, None if lasts_s is None else now + lasts_s, old.tenant
            )
            await connection.execute(statement)
            ends_at = now + overlap_s if old.expires_at is None else min(old.expires_at, now + overlap_s)
            ended = update(api_keys).where(api_keys.c.id == key_id).values(expires_at=ends_at, replaced_by=key.id)
            await connection.execute(ended)
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

    async def get(self, key_id: str) -> ApiKey | None:
        """One key, revoked and expired ones included."""
        async with self._database.read() as connection:
            row = (await connection.execute(select(api_keys).where(api_keys.c.id == key_id))).one_or_none()
        return None if row is None else _key(row)

    async def all(self, tenant: str = "") -> list[ApiKey]:
        """Every key of a tenant or of all, revoked and expired ones included, the oldest first."""
        statement = select(api_keys).order_by(api_keys.c.created_at, api_keys.c.id)
        if tenant:
            statement = statement.where(api_keys.c.tenant == tenant)
        async with self._database.read() as connection:
            rows = (await connection.execute(statement)).all()
        return [_key(row) for row in rows]


def _new(role: str, name: str, now: float, expires_at: float | None, tenant: str) -> tuple[ApiKey, str, Insert]:
    id = secrets.token_hex(6)
    secret = _PREFIX + secrets.token_urlsafe(32)
    statement = insert(api_keys).values(
        id=id, role=role, hash=_hash(secret), name=name, created_at=now, expires_at=expires_at, tenant=tenant
    )
    key = ApiKey(id=id, role=role, name=name, created_at=now, expires_at=expires_at, tenant=tenant)
    return key, secret, statement


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
        replaced_by=row.replaced_by,
    )
