"""What the API and the console need of the rest for webhooks that are made while the node runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookEntry:
    """What is known of a webhook; not its secret."""

    id: str
    #: Whose results it is told; empty: everybody's.
    tenant: str
    url: str
    #: Result types; empty: all.
    types: Sequence[str]
    created_at: float
    updated_at: float
    #: Until then the secret before signs as well; None: there is none.
    former_until: float | None


class WebhookBook(Protocol):
    """Webhooks as managers see them (`dialer.runtime.webhooks.StoredWebhookBook`).

    What cannot be used raises `InputError`; its text says what to do.
    """

    async def all(self, *, tenant: str = "") -> Sequence[WebhookEntry]:
        """Every webhook of a tenant or of all, the oldest first."""

    async def find(self, id: str) -> WebhookEntry | None:
        """One webhook."""

    async def create(self, url: str, types: Sequence[str], *, tenant: str = "") -> tuple[WebhookEntry, str]:
        """Add a webhook; the second part is its secret, which cannot be had again."""

    async def change(self, id: str, url: str, types: Sequence[str]) -> WebhookEntry | None:
        """Lead it elsewhere, or tell it other types; None where there is none."""

    async def rotate(self, id: str, overlap_s: float) -> tuple[WebhookEntry, str] | None:
        """Give it another secret; the one before signs as well for `overlap_s`. None where there is none."""

    async def delete(self, id: str) -> bool:
        """Tell it nothing more, and give up what waits for it; False where there is none."""
