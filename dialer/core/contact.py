"""A person to be called, as the CRM described them."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from dialer.core.contact_phone import PhoneTerms
from dialer.core.ids import CampaignId, ContactId, Phone


# A list has a million of them, and a frozen dataclass takes ten times as long to make.
class Contact(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One contact of one campaign; (campaign, id) is its identity, and a later push with the same one updates it."""

    campaign: CampaignId
    id: ContactId
    #: In the order of preference; at least one.
    phones: tuple[Phone, ...]
    #: Of those of which something was said.
    phone_terms: Mapping[Phone, PhoneTerms] = msgspec.field(default_factory=dict)
    name: str = ""
    #: Higher is called first; -1000 to 1000.
    priority: int = 0
    #: IANA name, or None where it follows from the number.
    timezone: str | None = None
    #: Unix seconds; not called before, and not called from `expires_at` on.
    not_before_at: float | None = None
    expires_at: float | None = None
    consent: Mapping[str, object] = msgspec.field(default_factory=dict)
    #: Whatever the CRM wants to see again on the agent's screen.
    fields: Mapping[str, object] = msgspec.field(default_factory=dict)
    #: Id of the list that brought this; None: it was pushed by itself.
    list: str | None = None
