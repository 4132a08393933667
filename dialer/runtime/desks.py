"""The agents' desks at one node: the engine's seats, the record's people, and the law's hours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from dialer.api.desk_ports import Account, CallingTimes, NotThen, Seat, Wanted
from dialer.compliance.eligibility import Eligibility
from dialer.compliance.screening import Screening, terms_of
from dialer.compliance.verdict_record import law_told, verdict_record
from dialer.compliance.zones import Nowhere, locate
from dialer.core.agent import AgentState
from dialer.core.campaign import Campaign
from dialer.core.contact import Contact
from dialer.core.floor import Floor
from dialer.core.hold import HoldState
from dialer.core.ids import AgentId, CampaignId, ContactId, Phone
from dialer.runtime.explanation import whereabouts
from dialer.storage.agents import Agents
from dialer.storage.contacts import Contacts
from dialer.storage.database import Database

_DAY_S: Final = 86_400.0
#: Times of a day are few, whatever the rules.
_MOST_SPANS: Final = 200


class NodeDesks:
    """`dialer.api.desk_ports.Desks`."""

    def __init__(self, floor: Floor, database: Database, screening: Screening, now: Callable[[], float]) -> None:
        self._floor = floor
        self._agents = Agents(database)
        self._contacts = Contacts(database)
        self._screening = screening
        self._eligibility = Eligibility(screening.book)
        self._now = now

    def seat(self, agent: AgentId) -> Seat | None:
        """See `Desks`."""
        found = self._floor.roster.get(agent)
        if found is None:
            return None
        hold = found.hold
        return Seat(
            extension=found.phone,
            pause_asked=found.pause_asked if found.state is not AgentState.PAUSED else None,
            leaves=found.sign_out_asked,
            wrapup_ends_at=self._floor.timers.at(("wrapup", agent)) if found.state is AgentState.WRAPUP else None,
            calling=None
            if hold is None or hold.state is HoldState.OFFERED
            else Wanted(campaign=hold.campaign, contact=hold.contact),
            wants_ready=found.wants_ready,
            skills=found.skills,
            priority=found.priority,
            shift_ends_at=found.shift_ends_at,
        )

    async def account(self, agent: AgentId) -> Account:
        """See `Desks`."""
        found = await self._agents.get(agent)
        if found is None:
            return Account()
        return Account(phone=found.phone, skills=found.skills, priority=found.priority)

    async def person(self, campaign: CampaignId, contact: ContactId) -> Contact | None:
        """See `Desks`."""
        found = await self._contacts.get(campaign, contact)
        return None if found is None else found.contact

    def calling_times(self, campaign: Campaign, contact: Contact, phone: Phone, days: int) -> CallingTimes:
        """See `Desks`."""
        now = self._now()
        where = locate(self._eligibility.book, whereabouts(contact, phone), now)
        if isinstance(where, Nowhere):
            return CallingTimes(zone="UTC", spans=(), problem=where.problem)
        terms = terms_of(campaign)
        hours = self._eligibility.hours(where, terms)
        spans: list[tuple[float, float]] = []
        at, end = now, now + days * _DAY_S
        while at < end and len(spans) < _MOST_SPANS:
            opening = hours.opening(at, terms.ring_timeout_s)
            if opening.at is None or opening.until is None:
                return CallingTimes(zone=where.zones[0], spans=tuple(spans), problem=opening.never)
            if opening.at >= end:
                break
            spans.append((opening.at, min(opening.until, end)))
            at = opening.until + 1.0
        return CallingTimes(zone=where.zones[0], spans=tuple(spans))

    def not_then(self, campaign: Campaign, contact: Contact, phone: Phone, at: float) -> NotThen | None:
        """See `Desks`."""
        verdict = self._screening.explain(whereabouts(contact, phone), campaign, at, contact.consent)
        if verdict.permit:
            return None
        code, arguments = law_told(verdict_record(verdict))
        return NotThen(says=verdict.says, code=code, arguments=arguments, next_at=verdict.retry_at)
