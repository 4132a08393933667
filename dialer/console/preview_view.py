"""Whom an agent is shown before the call, as their page shows it; numbers as far as the settings allow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dialer.console.desk_view import seen
from dialer.core.screen_pop import field_text
from dialer.projections.live_rows import OfferRow

#: Fields of a contact that are shown, and characters of each.
_MOST_FIELDS: Final = 100
_MOST_TEXT: Final = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferView:
    """Whom an agent is shown, as they may see it."""

    campaign: str
    contact: str
    name: str
    phone: str
    fields: tuple[tuple[str, str], ...]
    attempt_number: int
    answer_by: float
    #: Page of the CRM; empty: none.
    page: str


def offer_view(offer: OfferRow, *, numbers: bool) -> OfferView:
    """What an agent may see of somebody; `numbers`: whole ones."""
    fields = (
        (name, seen(field_text(value), whole=numbers)) for name, value in list(offer.fields.items())[:_MOST_FIELDS]
    )
    return OfferView(
        campaign=offer.campaign,
        contact=offer.contact,
        name=offer.name,
        phone=seen(offer.phone, whole=numbers),
        fields=tuple((name, text[:_MOST_TEXT]) for name, text in fields if text),
        attempt_number=offer.attempt_number,
        answer_by=offer.answer_by,
        page=offer.url,
    )
