"""How contacts came to us: the first thing that a trace of them tells, and what their calls point back to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from dialer.core.contact import Contact
from dialer.core.ids import CampaignId, ContactId
from dialer.queues.port import Offered
from dialer.tracing.callers import caller
from dialer.tracing.places import Place, Places
from dialer.tracing.spans import Span


class Arrivals:
    """Hears of contacts that were taken (`dialer.intake.desk.Listener`).

    Args:
        places: where spans belong, and which contacts are traced.
        put: takes spans at once.
        now: the clock.
    """

    def __init__(self, places: Places, put: Callable[[Span], None], now: Callable[[], float]) -> None:
        self._places: Final = places
        self._put: Final = put
        self._now: Final = now

    def taken(self, contacts: Sequence[Contact], offered: Sequence[Offered], at: float) -> None:
        """Contacts that were pushed at `at` are on record and in the hopper, with what it said of each."""
        now, asker = self._now(), caller()
        links = () if asker is None else (asker,)
        for contact, answer in zip(contacts, offered, strict=True):
            if not self._places.traced(contact.campaign, contact.id):
                continue
            first = self._places.contact(contact.campaign, contact.id)
            new = answer is Offered.ADDED
            self._put(
                Span(
                    name="contact",
                    # Of one that was known already the first push stays the root; the same push is the same span.
                    place=first if new else self._places.within(first, f"{at:.6f}"),
                    parent=None if new else first,
                    started_at=min(at, now),
                    ended_at=now,
                    attributes={"cadencia.campaign": contact.campaign, "cadencia.offered": answer.value},
                    links=links,
                )
            )


class ListArrivals:
    """Hears of the rows of one list while it is imported.

    Args:
        places: where spans belong, and which contacts are traced.
        put: takes spans at once.
        now: the clock.
        list_id: of the list.
    """

    def __init__(self, places: Places, put: Callable[[Span], None], now: Callable[[], float], list_id: str) -> None:
        self._places: Final = places
        self._put: Final = put
        self._now: Final = now
        self._list_id: Final = list_id
        self._began_at: Final = now()

    @property
    def place(self) -> Place:
        """Where the import as a whole belongs."""
        return self._places.list(self._list_id)

    def stored(self, ids: Sequence[tuple[str, str]], at: float) -> None:
        """Rows, as campaign and contact, that are on record now; their writing began at `at`."""
        now = self._now()
        for campaign, contact in ids:
            if self._places.traced(CampaignId(campaign), ContactId(contact)):
                place = self._places.contact(CampaignId(campaign), ContactId(contact))
                attributes = {"cadencia.campaign": campaign, "cadencia.list": self._list_id}
                self._put(
                    Span(
                        name="contact",
                        place=place,
                        started_at=at,
                        ended_at=now,
                        attributes=attributes,
                        links=(self.place,),
                    )
                )

    def imported(self, campaign: CampaignId, *, read: int, accepted: int, rejected: int) -> None:
        """The list is through."""
        self._put(
            Span(
                name="import",
                place=self.place,
                started_at=self._began_at,
                ended_at=self._now(),
                attributes={
                    "cadencia.campaign": campaign,
                    "cadencia.list": self._list_id,
                    "cadencia.read": read,
                    "cadencia.accepted": accepted,
                    "cadencia.rejected": rejected,
                },
            )
        )
