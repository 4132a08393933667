"""Where contacts become the dialer's own: on record first, then in the hopper, with a verdict on each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from dialer.core.contact import Contact
from dialer.core.ids import CampaignId, ContactId
from dialer.core.promise import Promise
from dialer.core.shards import ONE_REDIS, Shards, check_here
from dialer.intake.messages import read_contact
from dialer.intake.phones import PhoneReader
from dialer.intake.record import Refusal, RejectReason
from dialer.queues.port import Offered
from dialer.storage.campaigns import StoredCampaign

#: What the hopper says of contacts that are not called, in the words of the contract.
NOT_CALLED: Final = {
    Offered.REMOVED: (RejectReason.REMOVED, "was removed before; a removal is final for this campaign"),
    Offered.FINISHED: (
        RejectReason.FINISHED,
        "has been called to the end; its data was updated, it is not called again",
    ),
    Offered.DO_NOT_CALL: (RejectReason.DO_NOT_CALL, "has no number that is not on a do-not-call list"),
}
_OFFER_AT_ONCE: Final = 1_000


class ContactStore(Protocol):
    """Where contacts are kept (`dialer.storage.contacts.Contacts`)."""

    async def upsert(self, batch: Sequence[Contact], at: float) -> int:
        """Add or update contacts."""
        ...

    async def newer(self, batch: Sequence[Contact], at: float) -> Mapping[tuple[CampaignId, ContactId], Contact]:
        """Those of which there is later data, with it."""
        ...


class Hopper(Protocol):
    """Where contacts wait to be called (`dialer.queues.port.Queues`)."""

    async def offer(self, contacts: Sequence[Contact]) -> list[Offered]:
        """Upsert up to 1,000 contacts."""
        ...

    async def promise(self, contact: Contact, promise: Promise, attempts: int = 0) -> Offered:
        """Offer a contact that is called with an agent reserved."""
        ...


class PromiseStore(Protocol):
    """Where promises are kept (`dialer.storage.promises.Promises`)."""

    async def keep(self, promise: Promise, made_at: float) -> None:
        """Put a promise on record."""

    async def drop(self, campaign: CampaignId, contact: ContactId) -> None:
        """There is no promise to this contact any more."""


class CampaignStore(Protocol):
    """The record of campaigns (`dialer.storage.campaigns.Campaigns`)."""

    async def get(self, campaign: CampaignId) -> StoredCampaign | None:
        """One campaign, or None."""


class Listener(Protocol):
    """Hears of what is taken (`dialer.tracing.arrivals.Arrivals`)."""

    def taken(self, contacts: Sequence[Contact], offered: Sequence[Offered], at: float) -> None:
        """Contacts that were pushed at `at` are on record and in the hopper; must be quick and must not fail."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of one contact."""

    id: ContactId | None
    #: What the hopper made of it; None where it was not fit to be offered.
    offered: Offered | None
    #: Why it is not called; None where it is.
    reason: RejectReason | None = None
    #: For people: what to correct, or which of its numbers were left out.
    problem: str = ""

    @property
    def accepted(self) -> bool:
        """Whether it was taken and will be called."""
        return self.reason is None


class ContactDesk:
    """Takes contacts of messages and requests.

    Args:
        contacts: the record.
        hopper: where they wait to be called.
        phones: reads their numbers.
        promises: the record of those who are called with an agent reserved.
        listener: hears of each; None: nobody does.
        shards: the hopper is that of the own one, and takes contacts of its campaigns alone.
    """

    def __init__(
        self,
        contacts: ContactStore,
        hopper: Hopper,
        phones: PhoneReader,
        promises: PromiseStore | None = None,
        listener: Listener | None = None,
        shards: Shards = ONE_REDIS,
    ) -> None:
        self._shards = shards
        self._contacts = contacts
        self._hopper = hopper
        self._phones = phones
        self._promises = promises
        self._listener = listener

    async def take_json(self, campaign: CampaignId, rows: Sequence[bytes], at: float) -> list[Verdict]:
        """Take contacts written as in the messages of the stream; one verdict each, in their order.

        What was accepted is on record and in the hopper when this returns. All of it can be repeated.

        Args:
            campaign: one that exists.
            rows: each the JSON of one contact, at most 1,000.
            at: unix seconds of the push.

        Raises:
            StorageError: nothing was taken.
            QueueError: what is on record was not offered, or only in part; repeat.
        """
        read = [read_contact(row, campaign, self._phones) for row in rows]
        offered = iter(await self.take([made[0] for made in read if not isinstance(made, Refusal)], at))
        verdicts: list[Verdict] = []
        for made in read:
            if isinstance(made, Refusal):
                verdicts.append(Verdict(id=made.id, offered=None, reason=made.reason, problem=made.problem))
            else:
                verdicts.append(verdict_on(made[0], next(offered), made[1]))
        return verdicts

    async def take(self, contacts: Sequence[Contact], at: float) -> list[Offered]:
        """Put contacts on record, then into the hopper; of a contact that comes twice the last counts.

        Where the record has later data, as for a message that is delivered again, the hopper is offered that.

        Raises:
            InputError: some are of another shard's campaign; nothing was taken.
            StorageError: nothing was taken.
            QueueError: what is on record was not offered, or only in part; repeat.
        """
        if not contacts:
            return []
        if self._shards.several:
            for campaign in {contact.campaign for contact in contacts}:
                check_here(self._shards, campaign)
        await self._contacts.upsert(contacts, at)
        newer = await self._contacts.newer(contacts, at)
        contacts = [newer.get((contact.campaign, contact.id), contact) for contact in contacts] if newer else contacts
        # The hopper takes an id once in a call, so each offer has distinct ones; order decides which comes last.
        answers: list[Offered] = []
        start = 0
        while start < len(contacts):
            end = _distinct(contacts, start)
            answers += await self._hopper.offer(contacts[start:end])
            start = end
        if self._listener is not None:
            self._listener.taken(contacts, answers, at)
        return answers

    async def take_promised(self, contact: Contact, promise: Promise, at: float, attempts: int = 0) -> Offered:
        """Put a contact and what it was promised on record, then into the hopper. Can be repeated.

        Raises:
            InputError: its campaign is another shard's; nothing was done.
            StorageError: the hopper knows nothing of it.
            QueueError: on record, and not in the hopper; repeat.
        """
        check_here(self._shards, contact.campaign)
        assert self._promises is not None, "this desk takes contacts alone"
        await self._contacts.upsert([contact], at)
        await self._promises.keep(promise, at)
        offered = await self._hopper.promise(contact, promise, attempts)
        if offered in NOT_CALLED:
            await self._promises.drop(promise.campaign, promise.contact)
        if self._listener is not None:
            self._listener.taken([contact], [offered], at)
        return offered


def verdict_on(contact: Contact, offered: Offered, refused: Sequence[Refusal] = ()) -> Verdict:
    """The verdict on a contact that was offered, with the numbers of it that were left out."""
    reason, problem = NOT_CALLED.get(offered, (None, ""))
    if reason is None and refused:
        problem = "; ".join(refusal.problem for refusal in refused) + ": left out"
    return Verdict(id=contact.id, offered=offered, reason=reason, problem=problem)


def _distinct(contacts: Sequence[Contact], start: int) -> int:
    """End of the longest run from `start` that has no contact twice and is not longer than one offer."""
    seen: set[tuple[str, str]] = set()
    for place in range(start, min(len(contacts), start + _OFFER_AT_ONCE)):
        key = (contacts[place].campaign, contacts[place].id)
        if key in seen:
            return place
        seen.add(key)
    return min(len(contacts), start + _OFFER_AT_ONCE)
