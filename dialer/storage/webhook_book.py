"""Webhooks that are made while the node runs: whose they are, where they lead, and their secrets.

A secret is needed as it is, to sign; where the settings have `privacy.encryption_key` it is kept sealed.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Row, delete, func, insert, select, update

from dialer.core.tenants import INSTALLATION, named
from dialer.storage.database import Database
from dialer.storage.field_seal import is_sealed
from dialer.storage.tables import webhooks

#: Under this name secrets are sealed.
SEALED_AS: Final = "secret"
_SECRET_BYTES: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptWebhook:
    """One webhook."""

    id: str
    #: Whose results it is told; empty: everybody's.
    tenant: str
    url: str
    #: Result types; empty: all.
    types: tuple[str, ...]
    #: Key of the signature, and another that signs as well until `former_until`.
    secret: str
    former_secret: str | None
    former_until: float | None
    #: What was told before is not told to it.
    created_at: float
    updated_at: float

    def secrets_at(self, now: float) -> tuple[str, ...]:
        """The keys that sign at a moment."""
        if self.former_secret is None or self.former_until is None or now >= self.former_until:
            return (self.secret,)
        return (self.secret, self.former_secret)


class WebhookBook:
    """All such webhooks of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def all(self, tenant: str = INSTALLATION) -> list[KeptWebhook]:
        """Every webhook of a tenant or of all, the oldest first."""
        statement = select(webhooks).order_by(webhooks.c.created_at, webhooks.c.id)
        if tenant != INSTALLATION:
            statement = statement.where(webhooks.c.tenant == tenant)
        async with self._database.read() as connection:
            return [self._read(row) for row in (await connection.execute(statement)).all()]

    async def get(self, id: str) -> KeptWebhook | None:
        """One webhook."""
        async with self._database.read() as connection:
            row = (await connection.execute(select(webhooks).where(webhooks.c.id == id))).one_or_none()
        return None if row is None else self._read(row)

    async def create(self, tenant: str, url: str, types: Sequence[str], now: float, *, most: int) -> KeptWebhook | None:
        """Add a webhook with a secret of its own; None where the tenant has `most` already."""
        made = KeptWebhook(
            id=named(tenant, secrets.token_hex(6)),
            tenant=tenant,
            url=url,
            types=tuple(types),
            secret=_new_secret(),
            former_secret=None,
            former_until=None,
            created_at=now,
            updated_at=now,
        )
        async with self._database.write() as connection:
            counted = select(func.count()).select_from(webhooks).where(webhooks.c.tenant == tenant)
            if (await connection.execute(counted)).scalar_one() >= most:
                return None
            await connection.execute(
                insert(webhooks).values(
                    id=made.id,
                    tenant=tenant,
                    url=url,
                    types=list(types),
                    secret=self._sealed(made.secret),
                    created_at=now,
                    updated_at=now,
                )
            )
        return made

    async def change(self, id: str, url: str, types: Sequence[str], now: float) -> bool:
        """Lead it elsewhere, or tell it other types; False where there is none."""
        statement = update(webhooks).where(webhooks.c.id == id)
        async with self._database.write() as connection:
            done = await connection.execute(statement.values(url=url, types=list(types), updated_at=now))
        return done.rowcount == 1

    async def rotate(self, id: str, now: float, overlap_s: float) -> str | None:
        """Give it another secret; the one before signs as well for `overlap_s`. None where there is no such webhook."""
        secret = _new_secret()
        values = {
            "former_secret": webhooks.c.secret,
            "former_until": now + overlap_s,
            "secret": self._sealed(secret),
            "updated_at": now,
        }
        async with self._database.write() as connection:
            done = await connection.execute(update(webhooks).where(webhooks.c.id == id).values(values))
        return secret if done.rowcount == 1 else None

    async def delete(self, id: str) -> bool:
        """Tell it nothing more; False where there is none."""
        async with self._database.write() as connection:
            return (await connection.execute(delete(webhooks).where(webhooks.c.id == id))).rowcount == 1

    def _sealed(self, secret: str) -> str:
        seal = self._database.seal
        return secret if seal is None else seal.seal(secret, SEALED_AS)

    def _opened(self, kept: str) -> str:
        seal = self._database.seal
        return kept if seal is None or not is_sealed(kept) else str(seal.open(kept, SEALED_AS))

    def _read(self, row: Row[Any]) -> KeptWebhook:
        return KeptWebhook(
            id=row.id,
            tenant=row.tenant,
            url=row.url,
            types=tuple(row.types),
            secret=self._opened(row.secret),
            former_secret=None if row.former_secret is None else self._opened(row.former_secret),
            former_until=row.former_until,
            created_at=row.created_at,
            updated_at=row.updated_at,
        )


def _new_secret() -> str:
    return f"whsec_{base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()}"
