"""What the API needs of the rest for what is told to other systems."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from dialer.core.saying import Saying


class DeliveryKind(StrEnum):
    """By which way something is told."""

    WEBHOOKS = "webhooks"
    #: Updates of CRMs that are asked for their pending calls.
    CRM = "crm"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryEntry:
    """One result on its way."""

    #: Also the idempotency key that the receiver sees.
    id: str
    #: The webhook's id or server, or the name of the CRM: never a path, which may hold a key.
    to: str
    #: Of the result.
    type: str
    #: Whom it is about; empty: nobody.
    contact: str
    state: str
    attempts: int
    #: Unix seconds of the next try, or of the end.
    next_at: float
    last_error: Saying


@dataclass(frozen=True, slots=True, kw_only=True)
class CrmState:
    """How the exchange with one CRM fares."""

    name: str
    #: Complete listing before; None: none yet.
    completed_at: float | None
    next_at: float
    failures: int
    last_error: Saying
    waiting: int
    failed: int
    counts: dict[str, int]
    #: Since when the oldest update waits that is still to be written; None: none waits.
    oldest_at: float | None = None


class Deliveries(Protocol):
    """What is told to other systems (`dialer.runtime.deliveries.StoredDeliveries`)."""

    async def page(
        self, kind: DeliveryKind, state: str, cursor: str | None, limit: int, *, tenant: str = ""
    ) -> tuple[Sequence[DeliveryEntry], str | None]:
        """Deliveries in a state, to webhooks of a tenant or to all, and the cursor of the next page.

        Raises:
            InputError: there is no such state, or the cursor is none of ours.
        """

    async def replay(self, kind: DeliveryKind, ids: Sequence[str] | None, *, tenant: str = "") -> int:
        """Take up what was given up, None: all of it, of a tenant or of all; how many there were."""

    async def crms(self) -> Sequence[CrmState]:
        """Every CRM that was ever asked."""
