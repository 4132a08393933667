"""The API's way to call a list once more (`dialer.api.list_ports.Recycling`)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from dialer.core.contact import Contact
from dialer.core.ids import CampaignId, ContactId
from dialer.core.outcome import Outcome
from dialer.core.recycling import Penetration, Reopened
from dialer.core.shards import ONE_REDIS, Shards, check_here
from dialer.queues.port import Offered
from dialer.queues.reopening import Reopening
from dialer.storage.recycling import Recycling

#: Answers of the hopper after which a contact is called again.
_TAKEN = frozenset({Offered.ADDED, Offered.UPDATED})


class NodeRecycling:
    """The record and the hopper together.

    Args:
        record: of contacts and attempts.
        reopening: the way into the hopper.
        now: the clock.
        shards: the hopper is that of the own one.
    """

    def __init__(
        self, record: Recycling, reopening: Reopening, now: Callable[[], float], shards: Shards = ONE_REDIS
    ) -> None:
        self._shards = shards
        self._record = record
        self._reopening = reopening
        self._now = now

    async def reset(
        self, campaign: CampaignId, list_id: str | None, outcomes: Collection[Outcome], after: ContactId | None
    ) -> Reopened:
        """One step: up to 1,000 contacts are opened again.

        Raises:
            InputError: the campaign is another shard's.
        """
        check_here(self._shards, campaign)
        return await self._record.reopen(campaign, list_id, outcomes, self._offer, now=self._now(), after=after)

    async def reopen(self, campaign: CampaignId, ids: Collection[ContactId]) -> frozenset[ContactId]:
        """Open these contacts again that are finished; which of them wait now."""
        return await self._record.reopen_named(campaign, ids, self._offer, now=self._now())

    async def penetration(self, campaign: CampaignId, list_id: str | None = None) -> Sequence[Penetration]:
        """How far the lists have been called."""
        return await self._record.penetration(campaign, list_id)

    async def _offer(self, contacts: Sequence[Contact]) -> list[str | None]:
        answers = await self._reopening.reopen(contacts)
        return [None if answer in _TAKEN else answer.value for answer in answers]
