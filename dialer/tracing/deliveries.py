"""What is told to webhooks, as parts of the calls and contacts that it is about."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

import msgspec

from dialer.core.ids import CallId, CampaignId, ContactId
from dialer.storage.webhooks import Delivery
from dialer.tracing.places import Place, Places
from dialer.tracing.spans import Span


class _About(msgspec.Struct):
    """Whom and what a result is about."""

    campaign: str = ""
    contact: str = ""
    call: str = ""


_ABOUT: Final = msgspec.json.Decoder(_About)


class DeliveryTraces:
    """Requests to webhooks.

    Args:
        places: where spans belong, and which contacts are traced.
        put: takes spans at once.
    """

    def __init__(self, places: Places, put: Callable[[Span], None]) -> None:
        self._places: Final = places
        self._put: Final = put

    def place(self, delivery: Delivery) -> Place | None:
        """Where the next try of a delivery belongs; None: what it tells of is not traced."""
        parent = self._parent(delivery)
        return None if parent is None else self._places.within(parent, delivery.id, str(delivery.attempts + 1))

    def tried(self, delivery: Delivery, started_at: float, ended_at: float, error: str) -> None:
        """It was posted, and `error` is what went wrong; empty: nothing did."""
        parent, place = self._parent(delivery), self.place(delivery)
        if parent is None or place is None:
            return
        self._put(
            Span(
                name="deliver",
                place=place,
                parent=parent,
                started_at=started_at,
                ended_at=max(started_at, ended_at),
                attributes={
                    "cadencia.result": delivery.type,
                    "cadencia.try": delivery.attempts + 1,
                    # Not the URL: paths hold tokens.
                    "server.address": urlsplit(delivery.url).hostname or "",
                },
                request=True,
                error=error,
            )
        )

    def _parent(self, delivery: Delivery) -> Place | None:
        try:
            about = _ABOUT.decode(delivery.payload)
        except msgspec.DecodeError:
            return None
        campaign, contact = CampaignId(about.campaign), ContactId(about.contact)
        if not contact or not self._places.traced(campaign, contact):
            return None
        return self._places.call(CallId(about.call)) if about.call else self._places.contact(campaign, contact)
