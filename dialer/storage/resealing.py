"""What stands in the database in the clear, or sealed with a former key, is sealed with the key in use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Text, cast, select, tuple_, update

from dialer.errors import ConfigError
from dialer.storage.database import Database
from dialer.storage.field_seal import FieldSeal, is_sealed
from dialer.storage.tables import contacts, users, webhooks
from dialer.storage.text import from_json
from dialer.storage.webhook_book import SEALED_AS

_PAGE: Final = 1_000


@dataclass(frozen=True, slots=True)
class Resealed:
    """How many rows were changed."""

    users: int
    contacts: int
    webhooks: int


async def reseal(database: Database) -> Resealed:
    """Seal whatever is to be sealed with the key in use; can be repeated, and broken off.

    Raises:
        ConfigError: the settings have no key.
        StorageError: the database is out of reach, or has something that no key opens.
    """
    if database.seal is None:
        raise ConfigError("set privacy.encryption_key before sealing anything (openssl rand -base64 32 makes one)")
    return Resealed(
        users=await _users(database, database.seal),
        contacts=await _contacts(database, database.seal),
        webhooks=await _webhooks(database, database.seal),
    )


async def unsealed_webhooks(database: Database, seal: FieldSeal) -> int:
    """Secrets of webhooks that are not sealed with the key in use."""
    async with database.read() as connection:
        rows = (await connection.execute(select(webhooks.c.secret, webhooks.c.former_secret))).all()
    return sum(secret is not None and not seal.is_current(secret) for row in rows for secret in row)


async def unsealed_users(database: Database, seal: FieldSeal) -> int:
    """Second factors that are not sealed with the key in use."""
    async with database.read() as connection:
        rows = await connection.execute(select(users.c.totp_secret).where(users.c.totp_secret.is_not(None)))
        return sum(not seal.is_current(secret) for (secret,) in rows)


async def _users(database: Database, seal: FieldSeal) -> int:
    changed = 0
    async with database.write() as connection:
        wanted = select(users.c.name, users.c.totp_secret).where(users.c.totp_secret.is_not(None))
        for name, secret in (await connection.execute(wanted)).all():
            if not seal.is_current(secret):
                value = seal.open(secret, "totp_secret") if is_sealed(secret) else secret
                change = update(users).where(users.c.name == name, users.c.totp_secret == secret)
                await connection.execute(change.values(totp_secret=seal.seal(value, "totp_secret")))
                changed += 1
    return changed


async def _webhooks(database: Database, seal: FieldSeal) -> int:
    changed = 0
    async with database.write() as connection:
        # Held, so that no secret that is changed meanwhile comes back.
        held = select(webhooks.c.id, webhooks.c.secret, webhooks.c.former_secret).with_for_update()
        for row in (await connection.execute(held)).all():
            kept = {"secret": row.secret, "former_secret": row.former_secret}
            values = {
                name: seal.seal(seal.open(secret, SEALED_AS) if is_sealed(secret) else secret, SEALED_AS)
                for name, secret in kept.items()
                if secret is not None and not seal.is_current(secret)
            }
            if values:
                await connection.execute(update(webhooks).where(webhooks.c.id == row.id).values(values))
                changed += 1
    return changed


async def _contacts(database: Database, seal: FieldSeal) -> int:
    mine = contacts.c
    changed, after = 0, ("", "")
    while seal.fields:
        async with database.write() as connection:
            page = (
                await connection.execute(
                    select(mine.campaign, mine.id, cast(mine.fields, Text).label("kept"))
                    .where(tuple_(mine.campaign, mine.id) > after)
                    .order_by(mine.campaign, mine.id)
                    .limit(_PAGE)
                )
            ).all()
            for row in page:
                kept = from_json(row.kept)
                if isinstance(kept, dict) and seal.sealed(kept) != kept:
                    # Written through the database's own way, which seals.
                    change = update(contacts).where(mine.campaign == row.campaign, mine.id == row.id)
                    await connection.execute(change.values(fields=kept))
                    changed += 1
        if len(page) < _PAGE:
            break
        after = (page[-1].campaign, page[-1].id)
    return changed
