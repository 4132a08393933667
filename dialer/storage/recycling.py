"""Lists that are called once more: finished contacts are opened again; and how far each list has been called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, and_, case, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dialer.core.contact import Contact
from dialer.core.ids import CampaignId, ContactId
from dialer.core.outcome import Outcome
from dialer.core.recycling import Penetration, Reopened
from dialer.storage.contacts import ContactState, stored_contact
from dialer.storage.database import Database
from dialer.storage.tables import attempts, contacts

#: Contacts of one step, which is one transaction: as many as the hopper takes at once.
STEP: Final = 1_000
#: Why the hopper does not take a contact, one answer each; None: it does.
Offer = Callable[[Sequence[Contact]], Awaitable[Sequence[str | None]]]


class Recycling:
    """The record's part of it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def reopen(
        self,
        campaign: CampaignId,
        list_id: str | None,
        outcomes: Collection[Outcome],
        offer: Offer,
        *,
        now: float,
        after: ContactId | None = None,
        step: int = STEP,
    ) -> Reopened:
        """Let contacts be called again that are finished and whose last call had one of `outcomes`; one step.

        They are offered inside the transaction: when that fails nothing is on record, and the step can be repeated;
        when the commit fails they wait in the hopper already, and the repeated step offers them a second time, which
        changes nothing. A removal is final, and a contact that has expired stays finished.

        Args:
            campaign: of the contacts.
            list_id: only those whose data came last with this list; None: of the whole campaign.
            outcomes: of the last call.
            offer: puts contacts into the hopper, as never called.
            now: unix seconds.
            after: where the step before has stopped.
            step: contacts looked at, at most.

        Raises:
            StorageError, QueueError: nothing is on record; repeat the step.
        """
        column = contacts.c
        last = (
            select(attempts.c.outcome)
            .where(attempts.c.campaign == column.campaign, attempts.c.contact == column.id)
            # A sum, so that no index of the campaign's attempts by time is read from its end to find one contact's.
            .order_by((attempts.c.ended_at + 0.0).desc(), attempts.c.call.desc())
            .limit(1)
            .scalar_subquery()
        )
        wanted = [
            column.campaign == campaign,
            column.state == ContactState.FINISHED.value,
            or_(column.expires_at.is_(None), column.expires_at > now),
            last.in_(sorted(outcome.value for outcome in outcomes)),
        ]
        if list_id is not None:
            wanted.append(column.list == list_id)
        if after is not None:
            wanted.append(column.id > after)
        statement = select(contacts).where(and_(*wanted)).order_by(column.id).limit(step)
        async with self._database.write() as connection:
            taken = await _offered_again(connection, statement, offer)
        return Reopened(
            reopened=len(taken.waiting),
            refused=taken.refused,
            next=taken.last if taken.looked_at == step else None,
        )

    async def reopen_named(
        self, campaign: CampaignId, ids: Collection[ContactId], offer: Offer, *, now: float
    ) -> frozenset[ContactId]:
        """The same for these contacts, whatever their last call came to; which of them wait now.

        Raises:
            StorageError, QueueError: nothing is on record; repeat.
        """
        column = contacts.c
        wanted = and_(
            column.campaign == campaign,
            column.id.in_(sorted(ids)),
            column.state == ContactState.FINISHED.value,
            or_(column.expires_at.is_(None), column.expires_at > now),
        )
        async with self._database.write() as connection:
            taken = await _offered_again(connection, select(contacts).where(wanted).order_by(column.id), offer)
        return frozenset(taken.waiting)

    async def penetration(self, campaign: CampaignId, list_id: str | None = None) -> list[Penetration]:
        """How far each list of a campaign has been called, or one of them; reads all contacts of the campaign."""
        column = contacts.c

        def count(condition: ColumnElement[bool]) -> ColumnElement[int]:
            return func.sum(case((condition, 1), else_=0))

        statement = (
            select(
                column.list,
                func.count(),
                count(column.attempts > 0),
                count(column.state == ContactState.FINISHED.value),
                count(column.state == ContactState.REMOVED.value),
                func.sum(column.attempts),
            )
            .where(column.campaign == campaign)
            .group_by(column.list)
            .order_by(column.list)
        )
        if list_id is not None:
            statement = statement.where(column.list == list_id)
        async with self._database.read() as connection:
            rows = (await connection.execute(statement)).all()
        return [
            Penetration(
                list=name,
                contacts=int(total),
                called=int(called),
                finished=int(finished),
                removed=int(removed),
                attempts=int(made),
            )
            for name, total, called, finished, removed, made in rows
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Taken:
    looked_at: int = 0
    last: ContactId | None = None
    waiting: Sequence[ContactId] = ()
    refused: Mapping[str, int] = field(default_factory=dict)


async def _offered_again(connection: AsyncConnection, finished: Select[Any], offer: Offer) -> _Taken:
    """Offer finished contacts of one campaign, and note of whom the hopper takes that they wait."""
    found = [stored_contact(row).contact for row in (await connection.execute(finished.with_for_update())).all()]
    if not found:
        return _Taken()
    reasons = await offer(found)
    waiting = [contact.id for contact, reason in zip(found, reasons, strict=True) if reason is None]
    await connection.execute(
        update(contacts)
        .where(contacts.c.campaign == found[0].campaign, contacts.c.id.in_(waiting))
        .values(state=ContactState.WAITING.value, attempts=0, next_at=None)
    )
    return _Taken(
        looked_at=len(found),
        last=found[-1].id,
        waiting=waiting,
        refused=dict(Counter(reason for reason in reasons if reason is not None)),
    )
