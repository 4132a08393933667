"""Deliveries of results to webhooks: what is due, what was tried, what was given up."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import func, select, update

from dialer.core.saying import say
from dialer.storage import delivery_rows
from dialer.storage.cursors import Page
from dialer.storage.database import Database
from dialer.storage.delivery_rows import DeliveryRows, Told
from dialer.storage.sayings import on_record
from dialer.storage.tables import webhook_deliveries
from dialer.storage.tenants import of_tenant


class DeliveryState(StrEnum):
    """How far a delivery is."""

    WAITING = delivery_rows.WAITING
    DELIVERED = delivery_rows.DELIVERED
    #: Given up; `Webhooks.again` takes it up once more.
    FAILED = delivery_rows.FAILED


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery(Told):
    """One result for one address."""

    #: To whom: the URL of a webhook of the settings, or the id of another.
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

    async def receivers(self) -> set[str]:
        """For whom something waits."""
        column = webhook_deliveries.c
        waiting = select(column.url).where(column.state == DeliveryState.WAITING.value).distinct()
        async with self._database.read() as connection:
            return set((await connection.execute(waiting)).scalars())

    async def give_up(self, receivers: Collection[str], now: float) -> int:
        """Give up what waits for these; how many there were."""
        if not receivers:
            return 0
        column = webhook_deliveries.c
        statement = update(webhook_deliveries).where(
            column.state == DeliveryState.WAITING.value, column.url.in_(list(receivers))
        )
        says, told = on_record(say("there is no such webhook any more", code="webhook_gone"))
        values = {"state": DeliveryState.FAILED.value, "next_at": now, "updated_at": now}
        values |= {"last_error": says, "error_told": told}
        async with self._database.write() as connection:
            return (await connection.execute(statement.values(values))).rowcount

    async def page_of(
        self, tenant: str, state: DeliveryState, *, cursor: str | None = None, limit: int = 100
    ) -> Page[Delivery]:
        """Those to webhooks of a tenant in a state; see `page`."""
        return await self.page(state, cursor=cursor, limit=limit, only=of_tenant(webhook_deliveries.c.url, tenant))

    async def again_of(self, tenant: str, delivery_ids: Sequence[str] | None, now: float) -> int:
        """Take up what was given up of those to webhooks of a tenant; see `again`."""
        return await self.again(delivery_ids, now, only=of_tenant(webhook_deliveries.c.url, tenant))

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
