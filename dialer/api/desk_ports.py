"""What an agent's page needs besides the live view (`dialer.runtime.desks.NodeDesks`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from dialer.core.campaign import Campaign
from dialer.core.contact import Contact
from dialer.core.ids import AgentId, CampaignId, ContactId, Phone
from dialer.core.saying import NOTHING, Saying


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Whom an agent is kept for while they are being called."""

    campaign: CampaignId
    contact: ContactId


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """An agent who is signed in, as the engine has them."""

    #: As they signed in.
    extension: str
    #: Pause code that waits for the end of the present call.
    pause_asked: str | None = None
    #: They sign out when the present call is over.
    leaves: bool = False
    #: Unix seconds at which wrap-up ends by itself; None: it does not, or there is none.
    wrapup_ends_at: float | None = None
    calling: Wanted | None = None
    #: How they come back when a lost phone is there again: taking calls or not, with which skills, until when.
    wants_ready: bool = True
    skills: frozenset[str] = frozenset()
    priority: int = 0
    shift_ends_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An agent as they were set up."""

    #: Extension that they usually have; empty: none is known.
    phone: str = ""
    skills: frozenset[str] = frozenset()
    priority: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CallingTimes:
    """When somebody may be called."""

    #: Their clock (IANA); where several may be theirs the first, and all of them allow what `spans` has.
    zone: str
    #: First and last moment, unix seconds, of each time in which a call may be started; ascending.
    spans: tuple[tuple[float, float], ...]
    #: Why there is none; nothing: there is.
    problem: Saying = NOTHING


@dataclass(frozen=True, slots=True, kw_only=True)
class NotThen:
    """A call may not be started at some moment."""

    #: For people, and the same for a catalogue.
    says: str
    code: str = ""
    arguments: Mapping[str, object] = field(default_factory=dict)
    #: First later moment at which it may; None: not as things are.
    next_at: float | None


class Desks(Protocol):
    """Looks after the agents' pages."""

    def seat(self, agent: AgentId) -> Seat | None:
        """The agent, where they are signed in at this node; read it in the event loop only."""

    async def account(self, agent: AgentId) -> Account:
        """How they were set up; an empty one where nobody has done so."""

    async def person(self, campaign: CampaignId, contact: ContactId) -> Contact | None:
        """A contact as the CRM described it."""

    def calling_times(self, campaign: Campaign, contact: Contact, phone: Phone, days: int) -> CallingTimes:
        """When `phone` of a contact may be called in the coming days."""

    def not_then(self, campaign: Campaign, contact: Contact, phone: Phone, at: float) -> NotThen | None:
        """Why `phone` of a contact may not be called at `at`; None: as far as the law is concerned it may."""
