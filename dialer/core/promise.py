"""Contacts that are called with an agent reserved for them alone (docs/adr/0009); pure."""

from __future__ import annotations

from dataclasses import dataclass

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
