"""Contacts that are called with an agent reserved for them alone (docs/adr/0009); pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from dialer.core.ids import AgentId, CampaignId, ContactId


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """Call this contact with an agent reserved; all moments in unix seconds."""

    campaign: CampaignId
    contact: ContactId
    #: Not before.
    at: float
    #: Whose call it is; None: that of any agent who serves the campaign.
    agent: AgentId | None = None
    #: From then on it is anybody's, still with an agent reserved.
    fallback_at: float
    #: Until then it is tried again, however often the contact has been called before.
    until_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A promise whose time has come."""

    contact: ContactId
    #: None: anybody.
    agent: AgentId | None
    due_at: float
    until_at: float


#: A callback is overdue when it has not been called so long after its time.
OVERDUE_AFTER_S: Final = 60.0


class Standing(StrEnum):
    """Where a callback stands, by its times alone."""

    #: Its time has not come.
    PLANNED = "planned"
    #: It is its agent's, or anybody's where it has none.
    DUE = "due"
    #: Its agent has not called in their time: it is anybody's.
    OPEN = "open"
    #: Its window is over. It is anybody's still, and called as soon as it may be: nobody is forgotten.
    LAPSED = "lapsed"


def standing(promise: Promise, now: float) -> Standing:
    """Where a callback stands; one that was tried and is to be tried again is planned for that time."""
    if now < promise.at:
        return Standing.PLANNED
    if now >= promise.until_at:
        return Standing.LAPSED
    if promise.agent is not None and now >= promise.fallback_at:
        return Standing.OPEN
    return Standing.DUE


def overdue(promise: Promise, now: float) -> bool:
    """Whether a callback should have been made by now."""
    return now >= promise.at + OVERDUE_AFTER_S
