"""Why a contact is not being called now, and when it will be: the record, the lists and the law, put together."""

from __future__ import annotations

from collections.abc import Callable

from dialer.api.ports import Explanation, PhoneExplanation
from dialer.compliance.screening import Screening
from dialer.compliance.verdict_record import verdict_record
from dialer.compliance.zones import Called
from dialer.core.campaign import Campaign, CampaignState
from dialer.core.contact import Contact
from dialer.core.contact_filter import parse_filter
from dialer.core.engine import Engine
from dialer.core.ids import ContactId, Phone
from dialer.queues.cap_law import subject_of
from dialer.queues.removals import ACCOUNT
from dialer.queues.results import rfc3339
from dialer.storage.contacts import Contacts, ContactState, StoredContact
from dialer.storage.database import Database
from dialer.storage.do_not_call import DoNotCallList
from dialer.storage.removals import Removals


class Explanations:
    """Explains contacts of one node's campaigns."""

    def __init__(self, database: Database, screening: Screening, engine: Engine, now: Callable[[], float]) -> None:
        self._contacts = Contacts(database)
        self._removals = Removals(database)
        self._do_not_call = DoNotCallList(database)
        self._screening = screening
        self._engine = engine
        self._now = now

    async def explain(self, campaign: Campaign, state: CampaignState, contact: ContactId) -> Explanation | None:
        """See `dialer.api.ports.Explanations`."""
        stored = await self._contacts.get(campaign.id, contact)
        if stored is None:
            return None
        now = self._now()
        phones = [await self._phone(campaign, stored, phone, now) for phone in stored.contact.phones]
        removed = stored.state is ContactState.REMOVED or await self._removed(campaign, stored)
        says, next_at = self._says(campaign, state, stored, phones, removed, now)
        return Explanation(
            status="removed" if removed else stored.state.value,
            says=says,
            next_at=next_at,
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

    async def _phone(self, campaign: Campaign, stored: StoredContact, phone: Phone, now: float) -> PhoneExplanation:
        entries = await self._do_not_call.holding(phone, now)
        contact = stored.contact
        account = subject_of(phone, campaign.id, contact.fields, "").account
        lists = {"*", campaign.id, *([ACCOUNT + account] if account else ())}
        scopes = tuple(dict.fromkeys(entry.scope for entry in entries if entry.scope in lists))
        verdict = self._screening.explain(whereabouts(contact, phone), campaign, now, contact.consent)
        return PhoneExplanation(
            phone=phone,
            do_not_call=scopes,
            permitted=verdict.permit and not scopes,
            next_at=verdict.retry_at if not verdict.permit else now,
            law=verdict_record(verdict),
        )

    def _says(
        self,
        campaign: Campaign,
        state: CampaignState,
        stored: StoredContact,
        phones: list[PhoneExplanation],
        removed: bool,
        now: float,
    ) -> tuple[str, float | None]:
        """One sentence for people, and the first moment at which it may be called; None: not, as things are."""
        contact = stored.contact
        if any(
            c.permit.contact == contact.id and c.permit.campaign == campaign.id
            for c in self._engine.floor.calls.values()
        ):
            return "is being called now", now
        if removed:
            return "was removed by the CRM: it is not called any more", None
        if stored.state is ContactState.FINISHED:
            return (
                f"is finished after {stored.attempts} attempts: its attempts are used up or one settled the matter",
                None,
            )
        if contact.expires_at is not None and contact.expires_at <= now:
            return f"expired at {rfc3339(contact.expires_at)}", None
        if campaign.filter and not parse_filter(campaign.filter).passes(contact.fields, stored.attempts):
            return f"the campaign's filter leaves it out: {campaign.filter}", None
        free = [phone for phone in phones if not phone.do_not_call]
        if not free:
            return "all of its numbers are on a do-not-call list", None
        problem = self._screening.problem(campaign, now)
        if problem:
            return f"the campaign may not dial: {problem}", None
        times = [phone.next_at for phone in free if phone.next_at is not None]
        law = str(free[0].law.get("says", ""))
        if not times:
            return law, None
        waits = max(contact.not_before_at or 0.0, stored.next_at or 0.0)
        at = max(min(times), waits, now)
        if state is not CampaignState.RUNNING:
            return f"the campaign is {state}; the contact may be called from {rfc3339(at)} on", None
        if waits > now and waits >= min(times):
            return f"waits for its next attempt at {rfc3339(at)}", at
        if at > now:
            return law, at
        return "may be called now: it waits for its turn and for an agent", at


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
