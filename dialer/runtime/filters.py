"""Filters of campaigns and lists at work: the gate is told of them, and whoever it has reserved is held against them.

The record has a campaign's filter among its settings; the gate has a copy, which it hands out with each reservation, so
that a change holds for every node's next dial from the moment that it was acknowledged. Contacts asked for by name
(callbacks, click to call) are called whatever it says; those shown to an agent before the call are judged once more.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

import structlog

from dialer.core.campaign import Campaign
from dialer.core.contact_filter import ContactFilter, FilterCount
from dialer.core.filters_in_force import FiltersInForce, read, written
from dialer.core.ids import CampaignId
from dialer.core.list_terms import ListTerms
from dialer.core.permit import Permit
from dialer.core.shards import ONE_REDIS, Shards, check_here
from dialer.errors import GateNotReady, InputError, QueueError
from dialer.queues.port import FilterInForce, Queues
from dialer.storage.campaigns import Campaigns
from dialer.storage.filter_counts import FilterCounts
from dialer.storage.lists import Lists

_log = structlog.get_logger(__name__)

#: Refusals of the gate by it, for counts and programs.
FILTERED: Final = "filter"
#: Contacts reserved at once in search of those whom a filter lets through.
_AT_ONCE: Final = 500
#: Filters that have been read.
_KEPT: Final = 1_000


class FilterNotice:
    """Tells the gate which filters the campaigns have."""

    def __init__(self, queues: Queues, campaigns: Campaigns, lists: Lists, shards: Shards = ONE_REDIS) -> None:
        """`shards`: the gate is that of the own one, with its campaigns."""
        self._queues = queues
        self._campaigns = campaigns
        self._lists = lists
        self.shards = shards

    async def tell(self, campaign: Campaign) -> None:
        """One campaign has been changed, or one of its lists.

        Raises:
            QueueError: the gate is out of reach; the filter before is still in force.
            StorageError: the record is.
        """
        lists = (await self._lists.terms(campaign.id)).get(campaign.id, {})
        try:
            await self._tell(campaign, lists)
        except GateNotReady:
            _log.info("the gate is shut: it is told of the filter before it opens", campaign=campaign.id)

    async def tell_all(self) -> None:
        """Before the gate opens: what is on record counts, whatever this server has been told.

        Raises:
            QueueError, StorageError: the gate must stay shut.
        """
        lists = await self._lists.terms()
        for stored in await self._campaigns.all():
            if self.shards.mine(stored.campaign.id):
                await self._tell(stored.campaign, lists.get(stored.campaign.id, {}))

    async def _tell(self, campaign: Campaign, lists: Mapping[str, ListTerms]) -> None:
        text = written(campaign.filter, {name: terms.filter for name, terms in lists.items()})
        await self._queues.set_filter(campaign.id, text)
        known = await self._queues.list_priorities(campaign.id)
        for name in {*known, *(name for name, terms in lists.items() if terms.priority)}:
            await self._queues.set_list_priority(campaign.id, name, lists.get(name, ListTerms()).priority)


class NodeLists:
    """`dialer.api.list_ports.ListSettings`: what lists have of their own, on record and at the gate."""

    def __init__(self, notice: FilterNotice, campaigns: Campaigns, lists: Lists) -> None:
        self._notice = notice
        self._campaigns = campaigns
        self._lists = lists

    async def change(self, list_id: str, campaign: CampaignId, terms: ListTerms) -> None:
        """See the port."""
        check_here(self._notice.shards, campaign)
        before = (await self._lists.terms(campaign)).get(campaign, {}).get(list_id, ListTerms())
        await self._lists.set_terms(list_id, terms)
        stored = await self._campaigns.get(campaign)
        if stored is None:
            return
        try:
            await self._notice.tell(stored.campaign)
        except QueueError:
            # Whoever asks again starts from what is in force.
            await self._lists.set_terms(list_id, before)
            raise


class FilterTrials:
    """`dialer.api.filter_ports.FilterTrials` on the record and the gate."""

    def __init__(self, counts: FilterCounts, queues: Queues) -> None:
        self._counts = counts
        self._queues = queues

    async def count(self, campaign: CampaignId, wanted: ContactFilter | None, list_id: str | None) -> FilterCount:
        """See the port."""
        return await self._counts.count(campaign, wanted, list_id)

    async def aside(self, campaign: CampaignId) -> int:
        """See the port."""
        return (await self._queues.depth(campaign)).aside


class FilterDesk:
    """Holds reserved contacts against filters, and knows how many it takes to find one that passes."""

    def __init__(self) -> None:
        self._filters: dict[str, FiltersInForce | None] = {}
        #: The share of contacts that passed of late, and by which filter.
        self._shares: dict[CampaignId, tuple[FilterInForce, float]] = {}

    def to_reserve(self, campaign: CampaignId, wanted: int) -> int:
        """How many contacts to reserve, that about `wanted` pass."""
        _, share = self._shares.get(campaign, (None, 1.0))
        return max(wanted, min(_AT_ONCE, math.ceil(wanted / share)))

    def choose(
        self, in_force: FilterInForce | None, campaign: CampaignId, permits: Sequence[Permit]
    ) -> tuple[list[Permit], list[Permit]]:
        """Who passes, and whom the filter leaves out; all of them where it cannot be read."""
        if in_force is None or not in_force.text:
            self._shares.pop(campaign, None)
            return list(permits), []
        if not permits:
            return [], []
        wanted = self._read(in_force.text, campaign)
        passed: list[Permit] = []
        left_out: list[Permit] = []
        for permit in permits:
            passes = wanted is not None and wanted.passes(permit.fields, permit.attempt_number - 1, permit.list)
            (passed if passes else left_out).append(permit)
        share = (len(passed) + 1) / (len(permits) + 1)
        known, before = self._shares.get(campaign, (in_force, share))
        self._shares[campaign] = (in_force, (before + share) / 2 if known == in_force else share)
        return passed, left_out

    def _read(self, text: str, campaign: CampaignId) -> FiltersInForce | None:
        if text not in self._filters:
            if len(self._filters) >= _KEPT:
                self._filters.clear()
            try:
                self._filters[text] = read(text)
            except InputError as error:
                # Written by another version: rather nobody than somebody who was to be left out.
                _log.error("the filter cannot be read, nobody is called", campaign=campaign, error=str(error))
                self._filters[text] = None
        return self._filters[text]
