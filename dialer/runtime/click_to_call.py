"""A call that somebody asks for: for one agent, to one contact or number, now; the same gate as for all others.

A contact that is done, and a number that is no contact of the campaign, are made known to the gate for this one call.
The latter becomes a contact on record, done from the start, so that its history and evidence hold; the campaign itself
never calls it. Where another campaign has the number, the new contact is the same person to the caps that count by one.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from typing import Final

from msgspec import structs

from dialer.api.call_request_ports import AskedCall
from dialer.core.contact import Contact
from dialer.core.events import CallAsked
from dialer.core.hold_desk import GRANT_TIMEOUT_S
from dialer.core.ids import AgentId, CampaignId, ContactId, MessageId, Phone
from dialer.core.notices import AnyNotice, CallRequestAnswered
from dialer.core.tenants import tenant_of
from dialer.errors import InputError
from dialer.intake.phones import PhoneReader
from dialer.intake.record import RawContact, Refusal, build_contact
from dialer.queues.cap_law import who
from dialer.queues.port import Offered, Queues
from dialer.runtime.contact_answers import NEW_PLACE
from dialer.runtime.dispatcher import Dispatcher
from dialer.storage.contacts import Contacts, ContactState
from dialer.storage.database import Database
from dialer.storage.number_owners import called_at

#: The engine gives an answer by then, whatever the gate does.
_ANSWER_WITHIN_S: Final = GRANT_TIMEOUT_S + 2.0
#: Answers after which a contact that was lent can be asked for again: its place is known now, or SQL was behind.
_AGAIN: Final = frozenset({NEW_PLACE, "finished"})
_TRIES: Final = 3
#: Contacts of other campaigns with the number, of whom one may say which person it is.
_HOLDERS_READ: Final = 5


class CallAnswers:
    """Whoever waits for what becomes of a wish; a projection of the dispatcher."""

    def __init__(self) -> None:
        self._waiting: dict[MessageId, asyncio.Future[CallRequestAnswered]] = {}

    def apply(self, notice: AnyNotice) -> None:
        """Take one notice in."""
        if isinstance(notice, CallRequestAnswered):
            future = self._waiting.get(notice.ref)
            if future is not None and not future.done():
                future.set_result(notice)

    async def answer(self, ref: MessageId, ask: Callable[[], None]) -> CallRequestAnswered | None:
        """What comes of `ask`; None where nobody said so in time."""
        future: asyncio.Future[CallRequestAnswered] = asyncio.get_running_loop().create_future()
        self._waiting[ref] = future
        try:
            ask()
            async with asyncio.timeout(_ANSWER_WITHIN_S):
                return await future
        except TimeoutError:
            return None
        finally:
            del self._waiting[ref]


class ClickToCall:
    """`dialer.api.call_request_ports.CallRequests`.

    Args:
        dispatcher: of the engine.
        answers: one of its projections.
        queues: where contacts are made known for a call.
        database: with the record.
        phones: reads numbers.
        now: the clock.
    """

    def __init__(
        self,
        *,
        dispatcher: Dispatcher,
        answers: CallAnswers,
        queues: Queues,
        database: Database,
        phones: PhoneReader,
        now: Callable[[], float],
    ) -> None:
        self._dispatcher = dispatcher
        self._answers = answers
        self._queues = queues
        self._database = database
        self._contacts = Contacts(database)
        self._phones = phones
        self._now = now

    async def call(
        self, agent: AgentId, campaign: CampaignId, contact: ContactId | None, phone: str | None, *, by: str
    ) -> AskedCall | None:
        """Call a contact, at one of its numbers where that is given too, or a number; None: no such contact.

        Raises:
            InputError: the number cannot be dialed.
            StorageError, QueueError: nothing was dialed; repeat.
        """
        number, read = (None, None) if phone is None else self._read(campaign, phone)
        wanted = contact
        if wanted is None:
            assert read is not None, "a contact or a number is asked for"
            read = await self._whose(read)
            wanted = read.id
        stored = await self._contacts.get(campaign, wanted)
        if stored is not None and stored.state is ContactState.REMOVED:
            return AskedCall(contact=wanted, reason="removed")
        found = read if stored is None else stored.contact
        if found is None or found.id != wanted:
            return None
        new = stored is None
        if read is not None and read.id == wanted and who(read.fields) not in {(), who(found.fields)}:
            found, new = structs.replace(found, fields={**found.fields, **read.fields}), True
        attempts = 0 if stored is None else stored.attempts
        # One that waits is in the hopper, unless nothing of it may be called or it has been done for a moment.
        lend = new or stored is None or stored.state is ContactState.FINISHED
        answer: CallRequestAnswered | None = None
        for _ in range(_TRIES):
            if lend and not await self._lend(found, attempts, new=new):
                return AskedCall(contact=found.id, reason="removed")
            answer = await self._ask(agent, found, number, by)
            if answer is None or answer.reason not in _AGAIN:
                break
            lend = lend or answer.reason == "finished"
        if answer is None:
            return AskedCall(contact=found.id, reason="gate_unavailable")
        return AskedCall(contact=found.id, call=answer.call, reason=answer.reason, retry_at=answer.retry_at)

    def _read(self, campaign: CampaignId, phone: str) -> tuple[Phone, Contact]:
        made = build_contact(RawContact(phones=[phone]), campaign, self._phones, default_id=True)
        if isinstance(made, Refusal):
            raise InputError(f"phone: {made.problem}")
        return made[0].phones[0], made[0]

    async def _whose(self, read: Contact) -> Contact:
        """The contact of this campaign that has the number, or what is to be called in its place: see `read`'s id."""
        number = read.phones[0]
        holders = await self._queues.holders(number)
        for campaign, contact in holders:
            if campaign == read.campaign:
                return structs.replace(read, id=contact)
        others = [stored for stored in await called_at(self._database, number) if stored.contact.id != read.id]
        here = [stored for stored in others if stored.contact.campaign == read.campaign]
        if here:
            # Whom the CRM withdrew is not called by their number either, but somebody else may have it too.
            own = min(here, key=lambda stored: stored.state is ContactState.REMOVED)
            return structs.replace(read, id=own.contact.id)
        waiting = [await self._contacts.get(*holder) for holder in holders[:_HOLDERS_READ]]
        for stored in (*others, *waiting):
            if stored is None or tenant_of(stored.contact.campaign) != tenant_of(read.campaign):
                continue  # another tenant's CRM has names of its own
            person = who(stored.contact.fields)[:1]
            if any(person):
                return structs.replace(read, fields={"person": person[0]})
        return read

    async def _lend(self, contact: Contact, attempts: int, *, new: bool) -> bool:
        """Make sure that the gate knows a contact; False where it was removed."""
        if new:
            await self._contacts.upsert([contact], self._now())
        lent = await self._queues.lend(contact, attempts)
        if new:
            await self._contacts.finish(contact.campaign, contact.id)
        return lent is not Offered.REMOVED

    async def _ask(self, agent: AgentId, contact: Contact, phone: Phone | None, by: str) -> CallRequestAnswered | None:
        ref = MessageId(f"call-{secrets.token_hex(8)}")
        asked = CallAsked(
            at=self._now(), agent=agent, campaign=contact.campaign, contact=contact.id, ref=ref, phone=phone, by=by
        )
        return await self._answers.answer(ref, lambda: self._dispatcher.feed(asked))
