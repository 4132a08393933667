"""Webhooks and what is told to them, as far as they are one tenant's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from dialer.api.delivery_ports import CrmState, Deliveries, DeliveryEntry, DeliveryKind
from dialer.api.tenant_own import Own, must_be_mine
from dialer.api.webhook_ports import WebhookBook, WebhookEntry


class TenantWebhookBook(Own):
    """`WebhookBook` of one tenant."""

    def __init__(self, whole: WebhookBook, tenant: str) -> None:
        super().__init__(tenant)
        self._whole: Final = whole

    async def all(self, *, tenant: str = "") -> Sequence[WebhookEntry]:
        """See `WebhookBook`."""
        must_be_mine(self._tenant, tenant)
        return await self._whole.all(tenant=self._tenant)

    async def find(self, id: str) -> WebhookEntry | None:
        """See `WebhookBook`."""
        return await self._whole.find(id) if self._owns(id) else None

    async def create(self, url: str, types: Sequence[str], *, tenant: str = "") -> tuple[WebhookEntry, str]:
        """See `WebhookBook`."""
        must_be_mine(self._tenant, tenant)
        return await self._whole.create(url, types, tenant=self._tenant)

    async def change(self, id: str, url: str, types: Sequence[str]) -> WebhookEntry | None:
        """See `WebhookBook`."""
        return await self._whole.change(id, url, types) if self._owns(id) else None

    async def rotate(self, id: str, overlap_s: float) -> tuple[WebhookEntry, str] | None:
        """See `WebhookBook`."""
        return await self._whole.rotate(id, overlap_s) if self._owns(id) else None

    async def delete(self, id: str) -> bool:
        """See `WebhookBook`."""
        return self._owns(id) and await self._whole.delete(id)


class TenantDeliveries(Own):
    """`Deliveries` to webhooks of one tenant; the CRMs that are asked are the installation's."""

    def __init__(self, whole: Deliveries, tenant: str) -> None:
        super().__init__(tenant)
        self._whole: Final = whole

    async def page(
        self, kind: DeliveryKind, state: str, cursor: str | None, limit: int, *, tenant: str = ""
    ) -> tuple[Sequence[DeliveryEntry], str | None]:
        """See `Deliveries`."""
        if kind is not DeliveryKind.WEBHOOKS:
            return (), None
        return await self._whole.page(kind, state, cursor, limit, tenant=self._tenant)

    async def replay(self, kind: DeliveryKind, ids: Sequence[str] | None, *, tenant: str = "") -> int:
        """See `Deliveries`."""
        if kind is not DeliveryKind.WEBHOOKS:
            return 0
        return await self._whole.replay(kind, ids, tenant=self._tenant)

    async def crms(self) -> Sequence[CrmState]:
        """See `Deliveries`."""
        return ()
