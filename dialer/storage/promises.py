"""Promises of a call with an agent reserved: kept as they are made, and until they have been kept."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import and_, bindparam, delete, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dialer.core.ids import AgentId, CampaignId, ContactId
from dialer.core.promise import Promise
from dialer.queues.journal import JournalEntry
from dialer.storage.database import Database
from dialer.storage.inserts import upsert
from dialer.storage.tables import contacts, promises

_KEY = and_(promises.c.campaign == bindparam("of_campaign"), promises.c.contact == bindparam("of_contact"))
_POSTPONE = update(promises).where(_KEY, promises.c.at < bindparam("to_at")).values(at=bindparam("to_at"))
_DROP = delete(promises).where(_KEY)
#: A removal is final.
_REOPEN = (
    update(contacts)
    .where(
        contacts.c.campaign == bindparam("of_campaign"),
        contacts.c.id == bindparam("of_contact"),
        contacts.c.state != "removed",
    )
    .values(state="waiting", next_at=None)
)


class Promises:
    """All promises of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def keep(self, promise: Promise, made_at: float) -> None:
        """Put a promise on record, instead of an older one to the same contact, which waits again if it was done.

        Args:
            promise: what was promised.
            made_at: unix seconds; of two promises to one contact the later one counts.

        Raises:
            StorageError: nothing was written.
        """
        async with self._database.write() as connection:
            await connection.execute(
                upsert(self._database.dialect, promises, newer="made_at"), [_row(promise, made_at)]
            )
            await connection.execute(_REOPEN, [_key(promise.campaign, promise.contact)])

    async def drop(self, campaign: CampaignId, contact: ContactId) -> None:
        """There is no promise to this contact any more.

        Raises:
            StorageError: nothing was written.
        """
        async with self._database.write() as connection:
            await connection.execute(_DROP, [_key(campaign, contact)])

    async def settle(self, batch: Sequence[JournalEntry]) -> None:
        """What ended attempts mean for the promises to their contacts; the attempts are on record already.

        A promise that was made since the call began stands, and its contact waits for it though the call ended the
        contact. Any other is kept with a call after which the contact is done, and waits with it otherwise. Can be
        repeated.

        Raises:
            StorageError: nothing was written; repeat.
        """
        last = {
            (entry.attempt.campaign, entry.attempt.contact): entry
            for entry in sorted(batch, key=lambda entry: entry.attempt.attempt_number)
        }
        async with self._database.write() as connection:
            made = await self._made_at(connection, list(last)) if last else {}
            new = [
                _row(_abandoned(entry), entry.attempt.ended_at, agreed=False)
                for key, entry in last.items()
                if entry.needs_agent and entry.retry_at is not None and key not in made
            ]
            if new:
                await connection.execute(upsert(self._database.dialect, promises, newer="made_at"), new)
            for key, made_at in sorted(made.items()):
                entry, which = last[key], _key(*key)
                if made_at > entry.attempt.started_at:
                    await connection.execute(_REOPEN, [which])
                elif entry.retry_at is None:
                    await connection.execute(_DROP, [which])
                else:
                    await connection.execute(_POSTPONE, [{**which, "to_at": entry.retry_at}])

    async def _made_at(
        self, connection: AsyncConnection, keys: Sequence[tuple[CampaignId, ContactId]]
    ) -> dict[tuple[CampaignId, ContactId], float]:
        # Most installations have a handful of promises, or none.
        if (await connection.execute(select(promises.c.campaign).limit(1))).first() is None:
            return {}
        statement = select(promises.c.campaign, promises.c.contact, promises.c.made_at).where(
            tuple_(promises.c.campaign, promises.c.contact).in_(keys)
        )
        rows = (await connection.execute(statement)).all()
        return {(CampaignId(row.campaign), ContactId(row.contact)): row.made_at for row in rows}

    async def after(self, key: tuple[str, str] | None, limit: int) -> list[Promise]:
        """Up to `limit` promises to contacts that wait, in the order of (campaign, contact), behind `key`."""
        statement = (
            select(promises)
            .join(contacts, and_(contacts.c.campaign == promises.c.campaign, contacts.c.id == promises.c.contact))
            .where(contacts.c.state == "waiting")
            .order_by(promises.c.campaign, promises.c.contact)
            .limit(limit)
        )
        if key is not None:
            statement = statement.where(tuple_(promises.c.campaign, promises.c.contact) > key)
        async with self._database.read() as connection:
            rows = (await connection.execute(statement)).all()
        return [
            Promise(
                campaign=CampaignId(row.campaign),
                contact=ContactId(row.contact),
                at=row.at,
                agent=None if row.agent is None else AgentId(row.agent),
                fallback_at=row.fallback_at,
                until_at=row.until_at,
            )
            for row in rows
        ]


def _abandoned(entry: JournalEntry) -> Promise:
    """What whoever was abandoned is owed."""
    at = entry.retry_at or 0.0
    attempt = entry.attempt
    return Promise(campaign=attempt.campaign, contact=attempt.contact, at=at, fallback_at=at, until_at=at)


def _key(campaign: str, contact: str) -> dict[str, object]:
    return {"of_campaign": campaign, "of_contact": contact}


def _row(promise: Promise, made_at: float, *, agreed: bool = True) -> dict[str, object]:
    return {
        "campaign": promise.campaign,
        "contact": promise.contact,
        "at": promise.at,
        "agent": promise.agent,
        "fallback_at": promise.fallback_at,
        "until_at": promise.until_at,
        "made_at": made_at,
        "agreed": agreed,
        # Of another time one is reminded anew.
        "reminded_at": None,
    }
