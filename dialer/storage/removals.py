"""Removals: contacts and numbers that the CRM withdrew. A removal is final; it outlives the contact."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from sqlalchemy import bindparam, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dialer.core.ids import MessageId
from dialer.storage.database import Database
from dialer.storage.inserts import insert_once
from dialer.storage.tables import campaigns, contacts, removals

#: In the place of a campaign: all of them.
ALL: Final = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """One contact or one number withdrawn from one campaign or all."""

    #: A campaign, or "*".
    campaign: str
    kind: Literal["contact", "phone"]
    #: Contact id, or number in E.164 with plus.
    subject: str
    reason: str = ""
    ref: MessageId | None = None
    at: float


_OF_ONE: Final = (
    update(contacts)
    .where(contacts.c.campaign == bindparam("of_campaign"), contacts.c.id == bindparam("of_contact"))
    .values(state="removed", next_at=None)
)
_OF_ALL: Final = (
    update(contacts)
    .where(contacts.c.campaign.in_(select(campaigns.c.id)), contacts.c.id == bindparam("of_contact"))
    .values(state="removed", next_at=None)
)


class Removals:
    """All removals of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, batch: Sequence[Removal]) -> None:
        """Keep removals, and mark the contacts they name as removed; the first of several equal ones stays.

        A number is kept as such: the gate, not the state of a contact, holds back the contacts that have it.
        """
        if batch:
            async with self._database.write() as connection:
                await record(self._database, connection, batch)

    async def covers(self, campaign: str, kind: Literal["contact", "phone"], subject: str) -> bool:
        """Whether a removal names it, for this campaign or for all."""
        statement = select(removals.c.at).where(
            removals.c.campaign.in_((campaign, ALL)), removals.c.kind == kind, removals.c.subject == subject
        )
        async with self._database.read() as connection:
            return (await connection.execute(statement.limit(1))).first() is not None

    async def after(self, key: tuple[str, str, str] | None, limit: int) -> list[Removal]:
        """Up to `limit` removals in the order of (campaign, kind, subject), behind `key`."""
        column = removals.c
        statement = select(removals).order_by(column.campaign, column.kind, column.subject).limit(limit)
        if key is not None:
            statement = statement.where(tuple_(column.campaign, column.kind, column.subject) > key)
        async with self._database.read() as connection:
            rows = (await connection.execute(statement)).all()
        return [
            Removal(
                campaign=row.campaign,
                kind=row.kind,
                subject=row.subject,
                reason=row.reason,
                ref=None if row.ref is None else MessageId(row.ref),
                at=row.at,
            )
            for row in rows
        ]


async def record(database: Database, connection: AsyncConnection, batch: Sequence[Removal]) -> None:
    """`Removals.add` inside a transaction of the caller."""
    ordered = sorted(batch, key=lambda removal: (removal.campaign, removal.kind, removal.subject))
    await connection.execute(
        insert_once(database.dialect, removals),
        [
            {
                "campaign": removal.campaign,
                "kind": removal.kind,
                "subject": removal.subject,
                "reason": removal.reason,
                "ref": removal.ref,
                "at": removal.at,
            }
            for removal in ordered
        ],
    )
    named = [removal for removal in ordered if removal.kind == "contact"]
    everywhere = [{"of_contact": removal.subject} for removal in named if removal.campaign == ALL]
    somewhere = [
        {"of_campaign": removal.campaign, "of_contact": removal.subject} for removal in named if removal.campaign != ALL
    ]
    if somewhere:
        await connection.execute(_OF_ONE, somewhere)
    if everywhere:
        await connection.execute(_OF_ALL, everywhere)
