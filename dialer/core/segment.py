"""The hint that a pacer gets with each call: calls with the same one are likely to be answered alike."""

from __future__ import annotations

from typing import Final

from dialer.core.permit import Permit

#: From this attempt on all are alike.
_LAST_ATTEMPT: Final = 4
#: Pacers tell a few hundred segments apart: with every hour of the day its own, each would be heard too seldom.
_HOURS: Final = 3
#: Field of the contact in which a CRM may name the part of the list that it belongs to.
_FIELD: Final = "segment"
_LONGEST: Final = 64

Segment = tuple[int, str, int]


def segment_of(permit: Permit, now: float) -> Segment:
    """Attempt number (the fourth and later ones as one), the list's own segment ("" for none), part of the day.

    The day is UTC's, in parts of three hours: pacers compare calls of one campaign, for which any fixed zone does.
    """
    name = permit.fields.get(_FIELD)
    # Whatever a CRM sends: only short words can be segments that have more than one contact.
    known = str(name)[:_LONGEST] if isinstance(name, str | int) else ""
    return min(permit.attempt_number, _LAST_ATTEMPT), known, int(now // 3_600) % 24 // _HOURS
