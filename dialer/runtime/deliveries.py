"""What is told to other systems, on record: for the API, and for the metrics."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final
from urllib.parse import urlsplit

import structlog

from dialer.api.delivery_ports import CrmState, DeliveryEntry, DeliveryKind
from dialer.errors import InputError, StorageError
from dialer.projections.metrics import Metrics
from dialer.storage.crm_sources import CrmSources
from dialer.storage.crm_updates import Backlog, CrmUpdates, StoredUpdate, UpdateState
from dialer.storage.database import Database
from dialer.storage.webhooks import Delivery, DeliveryState, Webhooks

_log = structlog.get_logger(__name__)

_COUNT_EVERY_S: Final = 15.0
#: A worker that noted the moment of a delivery may still be about to commit it.
_LATE_S: Final = 30.0


class StoredDeliveries:
    """`dialer.api.delivery_ports.Deliveries` on SQL."""

    def __init__(self, database: Database, now: Callable[[], float]) -> None:
        self._webhooks = Webhooks(database)
        self._updates = CrmUpdates(database)
        self._sources = CrmSources(database)
        self._now = now

    async def page(
        self, kind: DeliveryKind, state: str, cursor: str | None, limit: int, *, tenant: str = ""
    ) -> tuple[Sequence[DeliveryEntry], str | None]:
        """See `Deliveries`."""
        try:
            if kind is DeliveryKind.WEBHOOKS:
                webhooks = await self._webhooks.page_of(tenant, DeliveryState(state), cursor=cursor, limit=limit)
                return [_of_webhook(each) for each in webhooks.items], webhooks.next
            updates = await self._updates.page(UpdateState(state), cursor=cursor, limit=limit)
            return [_of_crm(each) for each in updates.items], updates.next
        except ValueError as error:
            states = DeliveryState if kind is DeliveryKind.WEBHOOKS else UpdateState
            raise InputError(f"status: one of {', '.join(states)}") from error

    async def replay(self, kind: DeliveryKind, ids: Sequence[str] | None, *, tenant: str = "") -> int:
        """See `Deliveries`."""
        if kind is DeliveryKind.WEBHOOKS:
            return await self._webhooks.again_of(tenant, ids, self._now())
        return await self._updates.again(ids, self._now())

    async def crms(self) -> Sequence[CrmState]:
        """Every CRM that was ever asked."""
        backlog = await self._updates.backlog()
        nothing = Backlog(waiting=0, oldest_at=None, failed=0)
        return [
            CrmState(
                name=source.name,
                completed_at=source.completed_at,
                next_at=source.next_at,
                failures=source.failures,
                last_error=source.last_error,
                waiting=backlog.get(source.name, nothing).waiting,
                failed=backlog.get(source.name, nothing).failed,
                counts=dict(source.counts),
                oldest_at=backlog.get(source.name, nothing).oldest_at,
            )
            for source in await self._sources.all()
        ]


async def count_webhooks(database: Database, metrics: Metrics, now: Callable[[], float]) -> None:
    """Tell the metrics what became of webhooks, until cancelled; workers deliver them, the record knows."""
    record = Webhooks(database)
    counted_until = now()
    while True:
        await asyncio.sleep(_COUNT_EVERY_S)
        until = now() - _LATE_S
        if until <= counted_until:
            continue
        try:
            settled = await record.settled(counted_until, until)
        except StorageError as error:
            _log.warning("webhooks are not counted", error=str(error))
            continue
        counted_until = until
        for state, count in settled.items():
            metrics.webhook_delivery(state.value, count)


def _of_webhook(delivery: Delivery) -> DeliveryEntry:
    parts = urlsplit(delivery.url)
    return DeliveryEntry(
        id=delivery.id,
        to=f"{parts.scheme}://{parts.hostname or ''}" if parts.scheme else delivery.url,
        type=delivery.type,
        contact=delivery.subject.partition("/")[2],
        state=delivery.state.value,
        attempts=delivery.attempts,
        next_at=delivery.next_at,
        last_error=delivery.last_error,
    )


def _of_crm(update: StoredUpdate) -> DeliveryEntry:
    return DeliveryEntry(
        id=update.id,
        to=update.source,
        type=update.type,
        contact=update.contact,
        state=update.state.value,
        attempts=update.attempts,
        next_at=update.next_at,
        last_error=update.last_error,
    )
