"""Why a contact is not being called now, and when it will be: the record, the lists and the law, put together."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from dialer.api.explanation_ports import Explanation, PhoneExplanation
from dialer.compliance.screening import Screening
from dialer.compliance.verdict_record import law_told, verdict_record
from dialer.compliance.zones import Called
from dialer.core.campaign import Campaign, CampaignState
from dialer.core.contact import Contact
from dialer.core.contact_filter import parse_filter
from dialer.core.contact_phone import ContactNumber, PhoneTerms
from dialer.core.engine import Engine
from dialer.core.ids import ContactId, Phone, masked
from dialer.core.list_terms import NO_TERMS
from dialer.core.saying import Saying
from dialer.core.tenants import everywhere
from dialer.queues.cap_law import subject_of
from dialer.queues.removals import ACCOUNT
from dialer.queues.results import rfc3339
from dialer.storage.contacts import Contacts, ContactState, StoredContact
from dialer.storage.database import Database
from dialer.storage.do_not_call import DoNotCallList
from dialer.storage.lists import Lists
from dialer.storage.phone_attempts import attempts_by_number
from dialer.storage.removals import Removals


@dataclass(frozen=True, slots=True)
class _Told:
    """What stands in the way: for a catalogue, for people, and until when; None: as things are, for good."""

    code: str
    says: str
    next_at: float | None = None
    arguments: Mapping[str, object] = field(default_factory=dict)


class Explanations:
    """Explains contacts of one node's campaigns."""

    def __init__(self, database: Database, screening: Screening, engine: Engine, now: Callable[[], float]) -> None:
        self._database = database
        self._contacts = Contacts(database)
        self._lists = Lists(database)
        self._removals = Removals(database)
        self._do_not_call = DoNotCallList(database)
        self._screening = screening
        self._engine = engine
        self._now = now

    async def explain(self, campaign: Campaign, state: CampaignState, contact: ContactId) -> Explanation | None:
        """See `dialer.api.explanation_ports.Explanations`."""
        stored = await self._contacts.get(campaign.id, contact)
        if stored is None:
            return None
        now = self._now()
        counts = (await attempts_by_number(self._database, [stored])).get((campaign.id, contact), {})
        numbers = [
            ContactNumber(phone=phone, attempts=counts.get(phone, 0), terms=stored.contact.phone_terms.get(phone))
            for phone in stored.contact.phones
        ]
        phones = [await self._phone(campaign, stored, number, now) for number in numbers]
        removed = stored.state is ContactState.REMOVED or await self._removed(campaign, stored)
        own = (await self._lists.terms(campaign.id)).get(campaign.id, {})
        list_filter = own.get(stored.list or "", NO_TERMS).filter
        told = self._says(campaign, state, stored, phones, list_filter, removed, now)
        return Explanation(
            status="removed" if removed else stored.state.value,
            says=told.says,
            code=told.code,
            arguments=told.arguments,
            next_at=told.next_at,
            attempts=stored.attempts,
            phones=tuple(phones),
        )

    async def _removed(self, campaign: Campaign, stored: StoredContact) -> bool:
        for scope in ("*", campaign.id):
            if await self._removals.covers(scope, "contact", stored.contact.id):
                return True
            for phone in stored.contact.phones:
                if await self._removals.covers(scope, "phone", phone):
                    return True
        return False

    async def _phone(
        self, campaign: Campaign, stored: StoredContact, number: ContactNumber, now: float
    ) -> PhoneExplanation:
        phone, terms, spent = number.phone, number.terms or PhoneTerms(), number.spent()
        entries = await self._do_not_call.holding(phone, now)
        contact = stored.contact
        account = subject_of(phone, campaign.id, contact.fields, "").account
        lists = {"*", campaign.id, everywhere(campaign.id), *([ACCOUNT + account] if account else ())}
        scopes = tuple(dict.fromkeys(entry.scope for entry in entries if entry.scope in lists))
        verdict = self._screening.explain(whereabouts(contact, phone), campaign, now, contact.consent, terms.hours)
        return PhoneExplanation(
            phone=phone,
            do_not_call=scopes,
            permitted=verdict.permit and not scopes and not spent and not self._screening.destinations.problem(phone),
            next_at=None if spent else now if verdict.permit else verdict.retry_at,
            law=verdict_record(verdict),
            type=None if terms.type is None else terms.type.value,
            hours=terms.hours,
            max_attempts=terms.max_attempts,
            attempts=number.attempts,
        )

    def _says(
        self,
        campaign: Campaign,
        state: CampaignState,
        stored: StoredContact,
        phones: list[PhoneExplanation],
        list_filter: str,
        removed: bool,
        now: float,
    ) -> _Told:
        contact = stored.contact
        if any(
            c.permit.contact == contact.id and c.permit.campaign == campaign.id
            for c in self._engine.floor.calls.values()
        ):
            return _Told("is_called", "is being called now", now)
        if removed:
            return _Told("was_removed", "was removed by the CRM: it is not called any more")
        if stored.state is ContactState.FINISHED:
            return _Told(
                "is_finished",
                f"is finished after {stored.attempts} attempts: its attempts are used up or one settled the matter",
                arguments={"attempts": stored.attempts},
            )
        if contact.expires_at is not None and contact.expires_at <= now:
            return _Told("has_expired", f"expired at {rfc3339(contact.expires_at)}")
        if campaign.filter and not parse_filter(campaign.filter).passes(contact.fields, stored.attempts):
            return _Told(
                "filtered",
                f"the campaign's filter leaves it out: {campaign.filter}",
                arguments={"filter": campaign.filter},
            )
        if list_filter and not parse_filter(list_filter).passes(contact.fields, stored.attempts):
            says = f"the list's filter leaves it out: {list_filter}"
            return _Told("list_filtered", says, arguments={"filter": list_filter})
        free = [phone for phone in phones if not phone.do_not_call]
        if not free:
            return _Told("all_listed", "all of its numbers are on a do-not-call list")
        barred = [self._screening.destinations.problem(phone.phone) for phone in free]
        if all(barred):
            return _Told("all_barred", f"none of its numbers is called from here: {barred[0]}")
        if all(_spent(phone) for phone in free):
            return _Told("all_spent", "each of its numbers has been called as often as the contact allows")
        problem = self._screening.barred(campaign, now)
        if problem:
            return _Told("may_not_dial", f"the campaign may not dial: {problem}", arguments={"problem": problem})
        times = [phone.next_at for phone in free if phone.next_at is not None]
        # Of the number that may be called first.
        first = min(free, key=lambda phone: math.inf if phone.next_at is None else phone.next_at)
        law = str(first.law.get("says", ""))
        code, arguments = law_told(first.law)
        if not times:
            return _Told(code, law, arguments=arguments)
        waits = max(contact.not_before_at or 0.0, stored.next_at or 0.0)
        at = max(min(times), waits, now)
        if state is not CampaignState.RUNNING:
            return _Told(
                "not_running",
                f"the campaign is {state}; the contact may be called from {rfc3339(at)} on",
                arguments={"state": state.value},
            )
        if waits > now and waits >= min(times):
            return _Told("waits_for_attempt", f"waits for its next attempt at {rfc3339(at)}", at)
        if at > now:
            if len(phones) == 1:
                return _Told(code, law, at, arguments)
            number, reason = masked(first.phone), Saying(law, code, arguments)
            return _Told("of_number", f"{number}: {law}", at, {"number": number, "reason": reason})
        if self._engine.floor.spending.exhausted(campaign.id):
            return _Told("cost_used_up", "may be called now, but what calls may cost today is used up")
        return _Told("waits_for_turn", "may be called now: it waits for its turn and for an agent", at)


def _spent(phone: PhoneExplanation) -> bool:
    return phone.max_attempts is not None and phone.attempts >= phone.max_attempts


def whereabouts(contact: Contact, phone: Phone) -> Called:
    """What a contact says of where one of its numbers rings."""
    return Called(
        phone=phone,
        country=_text(contact.fields.get("country")),
        region=_text(contact.fields.get("region")),
        postcode=_text(contact.fields.get("postcode")),
        timezone=contact.timezone,
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
