"""What is done with the messages of a CRM: handlers for `dialer.queues.streams.StreamReader`, one for each stream.

Each message may come again (after a crash, after trouble with the database), so that every step here can be repeated.
A message that cannot be used is named in `Poison`: the reader reports it on ``results`` and keeps it aside.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, Protocol

import msgspec

from dialer.core.campaign import Campaign
from dialer.core.contact import Contact
from dialer.core.events import CallDisposed
from dialer.core.ids import CampaignId, ContactId
from dialer.core.promise import Promise
from dialer.core.shards import ONE_REDIS, Shards, not_here
from dialer.errors import InputError
from dialer.intake.desk import CampaignStore, ContactDesk, verdict_on
from dialer.intake.messages import (
    Callback,
    ContactBatch,
    Disposition,
    Rejected,
    read_callback,
    read_contacts,
    read_disposition,
)
from dialer.intake.phones import PhoneReader
from dialer.intake.record import RejectReason
from dialer.queues import results
from dialer.queues.port import Offered, Publish, Write
from dialer.queues.streams import Message, Poison
from dialer.storage.contacts import ContactState, StoredContact

#: Results written in one round trip.
_PUBLISH_AT_ONCE: Final = 500
#: A callback whose time passed so long ago was meant for somebody who waits no more.
_CALLBACK_LATE_S: Final = 3_600.0
_REASONS: Final = frozenset(RejectReason)
#: Key of `Contact.fields` under which a callback's own data stands, for the agent's screen.
CALLBACK_FIELD: Final = "callback"


class ResultWriter(Protocol):
    """Where results are published (`dialer.queues.port.Queues`)."""

    async def write(self, writes: Sequence[Write]) -> None:
        """Carry out writes in their order."""


class KnownContacts(Protocol):
    """The record of contacts (`dialer.storage.contacts.Contacts`)."""

    async def get(self, campaign: CampaignId, contact: ContactId) -> StoredContact | None:
        """One contact, or None."""


class Engine(Protocol):
    """The way into the engine (`dialer.runtime.control.NodeControl`)."""

    async def dispose(self, events: Sequence[CallDisposed]) -> Sequence[InputError | None]:
        """Carry out dispositions; on return they are on record. For each, why it is refused."""


class Intake:
    """Handlers for the streams ``contacts``, ``callbacks`` and ``dispositions``.

    Args:
        desk: takes contacts.
        campaigns: which campaigns there are.
        contacts: which contacts are on record.
        writer: publishes results.
        engine: is told of dispositions.
        phones: reads numbers.
        now: the clock.
        shards: messages about campaigns of others than the own one are refused.
    """

    def __init__(
        self,
        *,
        desk: ContactDesk,
        campaigns: CampaignStore,
        contacts: KnownContacts,
        writer: ResultWriter,
        engine: Engine,
        phones: PhoneReader,
        now: Callable[[], float],
        shards: Shards = ONE_REDIS,
    ) -> None:
        self._shards = shards
        self._desk = desk
        self._campaigns = campaigns
        self._contacts = contacts
        self._writer = writer
        self._engine = engine
        self._phones = phones
        self._now = now

    async def handle_contacts(self, messages: Sequence[Message]) -> None:
        """Messages of ``contacts``: on record, in the hopper, one result for each contact.

        Raises:
            Poison: names the messages of which nothing can be used; the others are done.
            StorageError, QueueError: hand the whole batch in again.
        """
        poison: dict[str, Rejected] = {}
        batches: list[ContactBatch] = []
        known: dict[CampaignId, bool] = {}
        for message in messages:
            # A thousand contacts take tens of milliseconds to read, in which nobody who answers is heard.
            await asyncio.sleep(0)
            read = read_contacts(message.data, self._phones)
            if isinstance(read, ContactBatch) and not self._shards.mine(read.campaign):
                read = self._elsewhere(read.campaign, read)
            if isinstance(read, ContactBatch) and not await self._known(read.campaign, known):
                read = _unknown(read.campaign, read)
            if isinstance(read, Rejected):
                poison[message.id] = read
            else:
                batches.append(read)
        contacts = [item.contact for batch in batches for item in batch.accepted]
        # The newest of the batch: what came before it on another way must not win over any of these.
        offered = iter(await self._desk.take(contacts, max(map(moment_of, messages))))
        await self._publish([result for batch in batches for result in self._results(batch, offered)])
        _raise_poison(poison)

    def _results(self, batch: ContactBatch, offered: Iterator[Offered]) -> list[results.Result]:
        now = self._now()
        told: dict[int, results.Result] = {}
        for item in batch.accepted:
            verdict = verdict_on(item.contact, next(offered), item.refused)
            if verdict.reason is None:
                told[item.index] = results.contact_accepted(
                    now, campaign=batch.campaign, contact=item.contact.id, ref=batch.ref
                )
                if verdict.problem:
                    told[item.index]["reason"] = verdict.problem
            else:
                told[item.index] = results.contact_rejected(
                    now,
                    campaign=batch.campaign,
                    contact=item.contact.id,
                    reason=f"{verdict.reason}: {verdict.problem}",
                    ref=batch.ref,
                )
        for bad in batch.rejected:
            told[bad.index] = results.contact_rejected(
                now,
                campaign=batch.campaign,
                contact=bad.id,
                reason=f"{bad.reason}: contacts[{bad.index}] {bad.problem}",
                ref=batch.ref,
            )
        return [told[index] for index in sorted(told)]

    async def handle_callbacks(self, messages: Sequence[Message]) -> None:
        """Messages of ``callbacks``: the contact waits until the time that was agreed, and its number comes first.

        It is called with an agent reserved: the one who was asked for, and after a while anybody. A contact that is
        done is opened again for it. The wish stands in the contact's field `CALLBACK_FIELD`, for everybody to see.

        Raises:
            Poison: names the messages that cannot be used; the others are done.
            StorageError, QueueError: hand the whole batch in again.
        """
        poison: dict[str, Rejected] = {}
        for message in messages:
            read = read_callback(message.data, self._phones)
            if isinstance(read, Rejected):
                poison[message.id] = read
                continue
            await self._publish([await self._schedule(read, moment_of(message))])
        _raise_poison(poison)

    async def _schedule(self, callback: Callback, at: float) -> results.Result:
        now = self._now()
        refused: tuple[RejectReason, str] | None = None
        campaign = await self._campaigns.get(callback.campaign)
        if not self._shards.mine(callback.campaign):
            elsewhere = self._elsewhere(callback.campaign)
            refused = elsewhere.reason, elsewhere.problem
        elif campaign is None:
            rejected = _unknown(callback.campaign)
            refused = rejected.reason, rejected.problem
        elif callback.at < now - _CALLBACK_LATE_S:
            refused = RejectReason.INVALID_TIME, "its time has passed"
        else:
            stored = await self._contacts.get(callback.campaign, callback.contact)
            contact = _with_callback(callback, None if stored is None else stored.contact)
            if stored is not None and stored.state is ContactState.REMOVED:
                refused = RejectReason.REMOVED, "the contact was removed; a removal is final for this campaign"
            elif contact.expires_at is not None and contact.expires_at <= callback.at:
                refused = RejectReason.INVALID_TIME, "the contact expires before that time"
            else:
                promise = _promise(callback, campaign.campaign)
                attempts = 0 if stored is None else stored.attempts
                offered = await self._desk.take_promised(contact, promise, at, attempts)
                verdict = verdict_on(contact, offered)
                if verdict.reason is not None:
                    refused = verdict.reason, f"the contact {verdict.problem}"
        if refused is not None:
            return results.callback_rejected(
                now,
                campaign=callback.campaign,
                contact=callback.contact,
                reason=f"{refused[0]}: {refused[1]}",
                ref=callback.ref,
            )
        return results.callback_accepted(
            now, campaign=callback.campaign, contact=callback.contact, phone=callback.phone, ref=callback.ref
        )

    async def handle_dispositions(self, messages: Sequence[Message]) -> None:
        """Messages of ``dispositions``: told to the engine, which ends the agent's wrap-up and has them recorded.

        Raises:
            Poison: names the messages that cannot be used, or that their campaign does not take; the others are done.
            StorageError, QueueError: hand the whole batch in again.
        """
        poison: dict[str, Rejected] = {}
        taken: list[tuple[Message, Disposition]] = []
        for message in messages:
            read = read_disposition(message.data, self._phones)
            if isinstance(read, Rejected):
                poison[message.id] = read
            else:
                taken.append((message, read))
        refused = await self._engine.dispose([_disposed(read, moment_of(message)) for message, read in taken])
        for (message, read), error in zip(taken, refused, strict=True):
            if error is not None:
                reason = RejectReason(error.word) if error.word in _REASONS else RejectReason.WRONG_VALUE
                poison[message.id] = Rejected(reason=reason, problem=str(error), ref=read.ref)
        _raise_poison(poison)

    def _elsewhere(self, campaign: CampaignId, batch: ContactBatch | None = None) -> Rejected:
        return Rejected(
            reason=RejectReason.UNKNOWN_CAMPAIGN,
            problem=not_here(self._shards, campaign),
            ref=None if batch is None else batch.ref,
            campaign=campaign,
        )

    async def _known(self, campaign: CampaignId, cache: dict[CampaignId, bool]) -> bool:
        if campaign not in cache:
            cache[campaign] = await self._campaigns.get(campaign) is not None
        return cache[campaign]

    async def _publish(self, found: Sequence[results.Result]) -> None:
        for start in range(0, len(found), _PUBLISH_AT_ONCE):
            await self._writer.write([Publish(result=result) for result in found[start : start + _PUBLISH_AT_ONCE]])


def moment_of(message: Message) -> float:
    """Unix seconds at which Redis took a message: its id begins with the milliseconds."""
    return int(message.id.partition("-")[0]) / 1_000


def _unknown(campaign: CampaignId, batch: ContactBatch | None = None) -> Rejected:
    return Rejected(
        reason=RejectReason.UNKNOWN_CAMPAIGN,
        problem=f"there is no campaign {campaign!r}; create it first (cadencia campaign create {campaign})",
        ref=None if batch is None else batch.ref,
        campaign=campaign,
    )


def _with_callback(callback: Callback, known: Contact | None) -> Contact:
    """The contact as it is to be called: at the time and number agreed, then at its other numbers."""
    wish: dict[str, object] = {"ref": callback.ref, "at": results.rfc3339(callback.at)}
    if callback.agent is not None:
        wish["agent"] = callback.agent
    fields: Mapping[str, object] = {} if known is None else known.fields
    base = known or Contact(campaign=callback.campaign, id=callback.contact, phones=(callback.phone,))
    others = tuple(phone for phone in base.phones if phone != callback.phone)
    return msgspec.structs.replace(
        base,
        phones=(callback.phone, *others),
        not_before_at=callback.at,
        fields={**fields, CALLBACK_FIELD: wish},
    )


def _promise(callback: Callback, campaign: Campaign) -> Promise:
    """What was agreed: an agent's own for a while, then anybody's, always with somebody reserved for it."""
    window_s = campaign.callback_window_s
    own_s = window_s if campaign.callback_fallback_s is None else min(campaign.callback_fallback_s, window_s)
    return Promise(
        campaign=callback.campaign,
        contact=callback.contact,
        at=callback.at,
        agent=callback.agent,
        fallback_at=callback.at + own_s,
        until_at=callback.at + window_s,
    )


def _raise_poison(poison: Mapping[str, Rejected]) -> None:
    if poison:
        raise Poison(
            {entry: f"{rejected.reason}: {rejected.problem}" for entry, rejected in poison.items()},
            {entry: rejected.ref for entry, rejected in poison.items()},
        )


def _disposed(read: Disposition, at: float) -> CallDisposed:
    return CallDisposed(
        at=at,
        call=read.call,
        code=read.code,
        agent=read.agent,
        amount=read.amount,
        currency=read.currency,
        notes=read.notes,
        ref=read.ref,
        callback=read.callback,
        by="crm",
    )
