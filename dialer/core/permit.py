"""The permission to call one number once, which only the gate makes.

`Originate` accepts nothing else. A permit is short-lived on purpose: while it is valid the gate holds back every write
to Redis (see ``docs/adr/0004``), so no removal can be acknowledged between the check and the moment when the originate
is handed to the AMI connection. After `expires_at` it is worthless, and the contact goes back to the hopper.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from dialer.core.contact_phone import ContactNumber
from dialer.core.ids import CallId, CampaignId, ContactId, Phone


@dataclass(frozen=True, slots=True, kw_only=True)
class Permit:
    """Made by `dialer.queues` alone (a test greps the tree for other makers)."""

    call: CallId
    campaign: CampaignId
    contact: ContactId
    phone: Phone
    #: Grows with every permit of this Redis; a record with a lower token than the one in force is stale.
    fencing_token: int
    #: Attempts at this contact so far, this one included.
    attempt_number: int
    #: Unix seconds of `dialer.runtime.clock`; the originate must have been handed over before.
    expires_at: float
    #: How many numbers the contact has.
    phones: int = 1
    name: str = ""
    fields: Mapping[str, object] = field(default_factory=dict)
    #: IANA name as the CRM gave it.
    timezone: str | None = None
    #: What the CRM has on record of the person's consent.
    consent: Mapping[str, object] = field(default_factory=dict)
    #: All of its numbers in their order, where there are several or something is said of them.
    numbers: Sequence[ContactNumber] = ()
    #: Id of the list with which it came; None: it was pushed by itself.
    list: str | None = None
    #: Why it may be called, as JSON, for the evidence.
    verdict: str = ""

    def number(self, phone: Phone) -> ContactNumber | None:
        """What is known of one of the contact's numbers."""
        return next((number for number in self.numbers if number.phone == phone), None)

    def valid(self, now: float) -> bool:
        """Whether an originate may still be handed over at `now`."""
        return now < self.expires_at
