"""What a contact says of its numbers one by one: what sort of phone it is, when it may ring, how often it is tried."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from dialer.core.ids import Phone


class PhoneType(StrEnum):
    """Where a phone rings, as far as the CRM knows."""

    MOBILE = "mobile"
    HOME = "home"
    WORK = "work"
    OTHER = "other"


class PhoneTerms(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the CRM said of one number of a contact."""

    type: PhoneType | None = None
    #: Windows of the called person's week, as ``mon-fri 09:00-17:00``; empty: whenever the law allows it.
    hours: tuple[str, ...] = ()
    #: Of this number, for this contact; None: as many as the campaign makes.
    max_attempts: int | None = None


class ContactNumber(msgspec.Struct, frozen=True):
    """One number of a contact that is about to be called, or has been."""

    phone: Phone
    #: Made to it so far, where that is counted: for contacts that say something of their numbers.
    attempts: int = 0
    terms: PhoneTerms | None = None

    def spent(self, more: int = 0) -> bool:
        """Whether it has been tried as often as it may be, once `more` attempts have been made."""
        limit = None if self.terms is None else self.terms.max_attempts
        return limit is not None and self.attempts + more >= limit
