"""A contact that is shown to an agent before anybody is called: preview dialing (docs/adr/0011). Pure.

The gate has chosen the contact and found nothing against calling it; then it was put back to wait, and nothing is
dialed before the agent has consented and the gate has said yes once more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from dialer.core.ids import CampaignId, ContactId, Phone

#: The pacing method whose agents decide before each call.
PREVIEW: Final = "preview"


class OfferEnd(StrEnum):
    """What became of an offer."""

    #: The agent consented, and the call has started.
    CALLED = "called"
    #: The agent does not want it; the contact waits for a while.
    SKIPPED = "skipped"
    #: The agent said nothing in time.
    EXPIRED = "expired"
    #: The agent consented, and the gate or the floor did not.
    REFUSED = "refused"
    #: It was taken back: the agent leaves, or the campaign stops.
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """One contact as the agent sees it."""

    campaign: CampaignId
    contact: ContactId
    #: The number that would be called.
    phone: Phone
    #: Attempts at the contact so far, this one included.
    attempt_number: int
    #: The contact is kept away from everybody else until then (unix seconds), and comes back by itself after it.
    kept_until: float
    name: str = ""
    fields: Mapping[str, object] = field(default_factory=dict)
    #: IANA name as the CRM gave it.
    timezone: str | None = None
