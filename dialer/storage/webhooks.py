"""Deliveries of results to webhooks: what is due, what was tried, what was given up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import func, select, update

from dialer.storage import delivery_rows
from dialer.storage.database import Database
from dialer.storage.delivery_rows import DeliveryRows, Told
from dialer.storage.tables import webhook_deliveries


class DeliveryState(StrEnum):
    """How far a delivery is."""

    WAITING = delivery_rows.WAITING
    DELIVERED = delivery_rows.DELIVERED
    #: Given up; `Webhooks.again` takes it up once more.
    FAILED = delivery_rows.FAILED


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery(Told):
    """One result for one address."""

    url: str
    #: JSON text, exactly as it is sent and signed.
    payload: str
    state: DeliveryState = DeliveryState.WAITING
    #: Whom it is about; what has the same subject is delivered in the order of its positions. Empty: in any.
    subject: str = ""


class Webhooks(DeliveryRows[Delivery]):
    """All deliveries of one database."""

    def __init__(self, database: Database) -> None:
        super().__init__(
            database,
            Delivery,
            DeliveryState,
            to=webhook_deliveries.c.url,
            subject=webhook_deliveries.c.subject,
            # One that was given up may turn out to have been delivered.
            final={DeliveryState.DELIVERED},
            kept={DeliveryState.WAITING, DeliveryState.FAILED},
        )

    async def delivered(self, delivery_id: str, now: float) -> None:
        """The receiver has it."""
        await self.settle(delivery_id, DeliveryState.DELIVERED, now)

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
