"""Why a contact is not called, and when it will be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from dialer.core.campaign import Campaign, CampaignState
from dialer.core.ids import ContactId, Phone


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneExplanation:
    """One number of a contact: may it be called, and by which rules."""

    phone: Phone
    #: Scopes of the do-not-call entries that hold it back.
    do_not_call: tuple[str, ...]
    permitted: bool
    #: Unix seconds from which the law allows it; None: not before something changes.
    next_at: float | None
    #: The verdict of the rules (`dialer.compliance.verdict_record`).
    law: Mapping[str, object]
    #: What the contact says of it: mobile, home, work or other; its own hours; how often it may be called.
    type: str | None = None
    hours: tuple[str, ...] = ()
    max_attempts: int | None = None
    #: Of the present pass through its list.
    attempts: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Why a contact is not being called, and when it will be."""

    #: waiting, finished or removed.
    status: str
    #: One sentence for people, and the same for a catalogue.
    says: str
    code: str
    arguments: Mapping[str, object]
    #: Unix seconds from which it may be called; None: not, as things are.
    next_at: float | None
    attempts: int
    phones: tuple[PhoneExplanation, ...]


class Explanations(Protocol):
    """Tells why a contact is not called."""

    async def explain(self, campaign: Campaign, state: CampaignState, contact: ContactId) -> Explanation | None:
        """What stands in the way of a contact; None where it is not on record."""
