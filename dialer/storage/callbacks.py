"""Callbacks by their time: the calendar, what is to come soon, and who was reminded of what.

`dialer.storage.promises` keeps the promises themselves.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, Select, and_, select, tuple_, update

from dialer.core.commitment import Ahead
from dialer.core.contact import Contact
from dialer.core.ids import AgentId, CampaignId, ContactId
from dialer.core.promise import Promise
from dialer.storage.contacts import stored_contact
from dialer.storage.database import Database
from dialer.storage.tables import contacts, promises
from dialer.storage.tenants import of_tenant

#: Where a page ends: time, campaign, contact.
Key = tuple[float, str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackFilter:
    """Which callbacks are wanted; None does not restrict."""

    since: float | None = None
    until: float | None = None
    agent: AgentId | None = None
    campaign: CampaignId | None = None
    #: Of this tenant's campaigns; empty: of all.
    tenant: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredCallback:
    """A callback and whom it is promised to."""

    promise: Promise
    contact: Contact
    #: False: nobody has agreed it with them; they were abandoned.
    agreed: bool
    made_at: float


class Callbacks:
    """All callbacks of one database: promises to contacts that wait."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(self, wanted: CallbackFilter, after: Key | None, limit: int) -> list[StoredCallback]:
        """Up to `limit` callbacks in the order of (time, campaign, contact), behind `after`."""
        at = promises.c.at
        statement = _waiting(*contacts.c).order_by(at, promises.c.campaign, promises.c.contact)
        if wanted.since is not None:
            statement = statement.where(at >= wanted.since)
        if wanted.until is not None:
            statement = statement.where(at < wanted.until)
        if wanted.agent is not None:
            statement = statement.where(promises.c.agent == wanted.agent)
        if wanted.campaign is not None:
            statement = statement.where(promises.c.campaign == wanted.campaign)
        if wanted.tenant:
            statement = statement.where(of_tenant(promises.c.campaign, wanted.tenant))
        if after is not None:
            statement = statement.where(tuple_(at, promises.c.campaign, promises.c.contact) > after)
        async with self._database.read() as connection:
            rows = (await connection.execute(statement.limit(limit))).all()
        return [
            StoredCallback(
                promise=_promise(row),
                contact=stored_contact(row).contact,
                agreed=row.agreed,
                made_at=row.made_at,
            )
            for row in rows
        ]

    async def ahead(self, campaigns: Collection[CampaignId], since: float, until: float, limit: int) -> list[Ahead]:
        """The first callbacks of these campaigns whose time is between two moments."""
        statement = (
            _waiting(promises.c.campaign)
            .where(promises.c.campaign.in_(sorted(campaigns)), promises.c.at > since, promises.c.at <= until)
            .order_by(promises.c.at, promises.c.campaign, promises.c.contact)
            .limit(limit)
        )
        async with self._database.read() as connection:
            rows = (await connection.execute(statement)).all()
        return [
            Ahead(
                campaign=CampaignId(row.campaign),
                contact=ContactId(row.contact),
                due_at=row.at,
                agent=None if row.agent is None else AgentId(row.agent),
                fallback_at=row.fallback_at,
            )
            for row in rows
        ]

    async def to_remind(self, campaigns: Sequence[tuple[CampaignId, float]], now: float, limit: int) -> list[Promise]:
        """Callbacks that were agreed, are to come within so many seconds, by campaign, and nobody was reminded of."""
        found: list[Promise] = []
        async with self._database.read() as connection:
            for campaign, within_s in campaigns:
                statement = (
                    _waiting(promises.c.campaign)
                    .where(
                        promises.c.campaign == campaign,
                        promises.c.agreed,
                        promises.c.reminded_at.is_(None),
                        promises.c.at > now,
                        promises.c.at <= now + within_s,
                    )
                    .order_by(promises.c.at)
                    .limit(limit)
                )
                found += [_promise(row) for row in (await connection.execute(statement)).all()]
        return found

    async def claim(self, promise: Promise, now: float) -> bool:
        """Say that somebody is reminded of this callback; False where that was done, or it has another time by now.

        Raises:
            StorageError: nothing was written.
        """
        statement = update(promises).where(_is(promise), promises.c.reminded_at.is_(None)).values(reminded_at=now)
        async with self._database.write() as connection:
            return (await connection.execute(statement)).rowcount == 1

    async def unclaim(self, promise: Promise) -> None:
        """Nobody could be reminded after all.

        Raises:
            StorageError: nothing was written.
        """
        async with self._database.write() as connection:
            await connection.execute(update(promises).where(_is(promise)).values(reminded_at=None))


#: Without the campaign, which the contact has as well.
_OWN: Final = tuple(
    promises.c[name] for name in ("contact", "at", "agent", "fallback_at", "until_at", "made_at", "agreed")
)


def _waiting(*columns: ColumnElement[Any]) -> Select[Any]:
    """These columns and the promise's own, of contacts that wait."""
    belongs = and_(contacts.c.campaign == promises.c.campaign, contacts.c.id == promises.c.contact)
    return select(*_OWN, *columns).join_from(promises, contacts, belongs).where(contacts.c.state == "waiting")


def _is(promise: Promise) -> ColumnElement[bool]:
    return and_(
        promises.c.campaign == promise.campaign, promises.c.contact == promise.contact, promises.c.at == promise.at
    )


def _promise(row: Row[Any]) -> Promise:
    return Promise(
        campaign=CampaignId(row.campaign),
        contact=ContactId(row.contact),
        at=row.at,
        agent=None if row.agent is None else AgentId(row.agent),
        fallback_at=row.fallback_at,
        until_at=row.until_at,
    )
