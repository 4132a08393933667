"""Deliveries of results to webhooks: what is due, what was tried, what was given up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Row, and_, delete, func, select, tuple_, update

from dialer.storage.cursors import Page, decode_cursor, encode_cursor
from dialer.storage.database import Database
from dialer.storage.inserts import insert_once
from dialer.storage.tables import webhook_deliveries

_ERROR_LIMIT: Final = 500


class DeliveryState(StrEnum):
    """How far a delivery is."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    #: Given up; `Webhooks.again` takes it up once more.
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One result for one address."""

    #: Also the idempotency key that the receiver sees.
    id: str
    url: str
    #: Of the result, such as call.ended.
    type: str
    #: JSON text, exactly as it is sent and signed.
    payload: str
    next_at: float
    state: DeliveryState = DeliveryState.WAITING
    attempts: int = 0
    last_error: str = ""
    #: Whom it is about; what has the same subject is delivered in the order of its positions. Empty: in any.
    subject: str = ""
    #: Place in the stream, in a form that sorts (`dialer.storage.do_not_call.position_of`).
    position: str = ""
    updated_at: float = 0.0


class Webhooks:
    """All deliveries of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, batch: Sequence[Delivery], now: float) -> None:
        """Keep deliveries to be made; one whose id is known is left as it is."""
        if not batch:
            return
        rows = [
            {
                "id": delivery.id,
                "url": delivery.url,
                "type": delivery.type,
                "state": delivery.state.value,
                "attempts": delivery.attempts,
                "next_at": delivery.next_at,
                "last_error": delivery.last_error[:_ERROR_LIMIT],
                "payload": delivery.payload,
                "created_at": now,
                "updated_at": now,
                "subject": delivery.subject,
                "position": delivery.position,
            }
            for delivery in sorted(batch, key=lambda delivery: delivery.id)
        ]
        async with self._database.write() as connection:
            await connection.execute(insert_once(self._database.dialect, webhook_deliveries), rows)

    async def claim(self, url: str, now: float, limit: int, lease_s: float) -> list[Delivery]:
        """Up to `limit` deliveries to `url` that are due, the longest due first; nobody else gets them for `lease_s`.

        Of each subject only the oldest that waits: what follows it waits for it. A worker that dies in between costs
        nothing but that time.
        """
        column, earlier = webhook_deliveries.c, webhook_deliveries.alias("earlier")
        before = (
            select(earlier.c.id)
            .where(
                earlier.c.url == column.url,
                earlier.c.subject == column.subject,
                earlier.c.subject != "",
                earlier.c.state == DeliveryState.WAITING.value,
                tuple_(earlier.c.position, earlier.c.id) < tuple_(column.position, column.id),
            )
            .exists()
        )
        due = (
            select(column.id)
            .where(and_(column.state == DeliveryState.WAITING.value, column.next_at <= now, column.url == url), ~before)
            .order_by(column.next_at, column.position, column.id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        async with self._database.write() as connection:
            ids = (await connection.execute(due)).scalars().all()
            if not ids:
                return []
            mine = update(webhook_deliveries).where(column.id.in_(ids))
            await connection.execute(mine.values(next_at=now + lease_s, updated_at=now))
            rows = (await connection.execute(select(webhook_deliveries).where(column.id.in_(ids)))).all()
        found = {row.id: _delivery(row) for row in rows}
        return [found[each] for each in ids]

    async def get(self, delivery_id: str) -> Delivery | None:
        """One delivery, or None."""
        statement = select(webhook_deliveries).where(webhook_deliveries.c.id == delivery_id)
        async with self._database.read() as connection:
            row = (await connection.execute(statement)).one_or_none()
        return None if row is None else _delivery(row)

    async def delivered(self, delivery_id: str, now: float) -> None:
        """The receiver has it."""
        await self._tried(delivery_id, DeliveryState.DELIVERED, now, now, "")

    async def failed(self, delivery_id: str, error: str, *, now: float, retry_at: float | None) -> None:
        """The receiver has it not; try again at `retry_at`, or (None) give up."""
        state = DeliveryState.FAILED if retry_at is None else DeliveryState.WAITING
        await self._tried(delivery_id, state, now, now if retry_at is None else retry_at, error)

    async def again(self, delivery_ids: Sequence[str] | None, now: float) -> int:
        """Take up deliveries that were given up, None: all of them; how many there were."""
        column = webhook_deliveries.c
        statement = update(webhook_deliveries).where(column.state == DeliveryState.FAILED.value)
        if delivery_ids is not None:
            statement = statement.where(column.id.in_(list(delivery_ids)))
        values = {"state": DeliveryState.WAITING.value, "next_at": now, "attempts": 0, "updated_at": now}
        async with self._database.write() as connection:
            return (await connection.execute(statement.values(values))).rowcount

    async def give_up_others(self, urls: Sequence[str], now: float) -> int:
        """Give up what waits for a URL that is none of these; how many there were."""
        column = webhook_deliveries.c
        statement = update(webhook_deliveries).where(
            column.state == DeliveryState.WAITING.value, column.url.not_in(list(urls))
        )
        error = "this webhook is no longer in the settings"
        values = {"state": DeliveryState.FAILED.value, "next_at": now, "last_error": error, "updated_at": now}
        async with self._database.write() as connection:
            return (await connection.execute(statement.values(values))).rowcount

    async def page(self, state: DeliveryState, *, cursor: str | None = None, limit: int = 100) -> Page[Delivery]:
        """Deliveries in a state, in the order of their ids.

        Raises:
            InputError: the cursor is none of ours.
        """
        column = webhook_deliveries.c
        statement = select(webhook_deliveries).where(column.state == state.value).order_by(column.id).limit(limit + 1)
        if cursor is not None:
            statement = statement.where(column.id > decode_cursor(cursor, tuple[str])[0])
        async with self._database.read() as connection:
            rows = (await connection.execute(statement)).all()
        items = [_delivery(row) for row in rows[:limit]]
        return Page(items=items, next=encode_cursor((items[-1].id,)) if len(rows) > limit else None)

    async def settled(self, after: float, until: float) -> Mapping[DeliveryState, int]:
        """How many were delivered and given up in that time (unix seconds, `until` included)."""
        column = webhook_deliveries.c
        ends = [DeliveryState.DELIVERED.value, DeliveryState.FAILED.value]
        statement = (
            select(column.state, func.count())
            .where(column.state.in_(ends), column.next_at > after, column.next_at <= until)
            .group_by(column.state)
        )
        async with self._database.read() as connection:
            return {DeliveryState(state): int(n) for state, n in await connection.execute(statement)}

    async def forget(self, before: float) -> int:
        """Delete what was delivered before that moment; how many there were."""
        column = webhook_deliveries.c
        statement = delete(webhook_deliveries).where(
            column.state == DeliveryState.DELIVERED.value, column.next_at < before
        )
        async with self._database.write() as connection:
            return (await connection.execute(statement)).rowcount

    async def _tried(self, delivery_id: str, state: DeliveryState, now: float, next_at: float, error: str) -> None:
        column = webhook_deliveries.c
        # What was delivered stays so, whatever a slower worker has to say.
        statement = (
            update(webhook_deliveries)
            .where(column.id == delivery_id, column.state != DeliveryState.DELIVERED.value)
            .values(
                state=state.value,
                attempts=column.attempts + 1,
                next_at=next_at,
                last_error=error[:_ERROR_LIMIT],
                updated_at=now,
            )
        )
        async with self._database.write() as connection:
            await connection.execute(statement)


def _delivery(row: Row[Any]) -> Delivery:
    return Delivery(
        id=row.id,
        url=row.url,
        type=row.type,
        payload=row.payload,
        next_at=row.next_at,
        state=DeliveryState(row.state),
        attempts=row.attempts,
        last_error=row.last_error,
        subject=row.subject,
        position=row.position,
        updated_at=row.updated_at,
    )
