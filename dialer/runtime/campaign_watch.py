"""Campaigns as they are on record, kept up with: what another node has made, changed or ordered holds here too.

The record is the one place where settings and states are; nobody is told of a change, so that none can be missed. Twice
a second the versions of all campaigns are looked at, and whatever is another one is read; every five seconds by a node
that knows that it is alone, since a look takes a millisecond. Whoever names a campaign at this node gets what is on
record by then (`FollowedCampaigns`), however short ago it was written.

An order that this node has given and not yet written down is newer than the record, and is left alone. A campaign that
drains does so at each node by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import tzinfo
from typing import Final

import structlog

from dialer.api import campaign_ports
from dialer.core.campaign import AbandonmentWindow, Campaign, CampaignState
from dialer.core.events import CampaignConfigured, CampaignOrdered
from dialer.core.ids import CampaignId, ServerName
from dialer.core.shards import ONE_REDIS, Shards
from dialer.errors import StorageError
from dialer.projections.legal_windows import legal_windows
from dialer.projections.live import LiveView
from dialer.runtime.dispatcher import Dispatcher
from dialer.runtime.record_keeper import RecordKeeper
from dialer.storage.attempts import Attempts
from dialer.storage.campaigns import Campaigns, StoredCampaign

_log = structlog.get_logger(__name__)

_EVERY_S: Final = 0.5
#: A node that is alone looks once in so many times: somebody may have put back a backup.
_ALONE_EVERY: Final = 10
_WRITTEN_S: Final = 2.0
#: A calendar month, and the hour by which autumn makes one longer.
_LONGEST_WINDOW_S: Final = 31 * 86_400.0 + 3_600.0
#: One node has drained and another has not: what rings there still may be answered, and here there is nothing left.
_DRAINS: Final = frozenset(
    {(CampaignState.DRAINING, CampaignState.STOPPED), (CampaignState.STOPPED, CampaignState.DRAINING)}
)


class CampaignWatch:
    """Brings the engine to what is on record.

    Args:
        campaigns: the record.
        attempts: what a campaign has abandoned so far is counted from.
        dispatcher: of the engine.
        live: shows campaigns.
        keeper: writes their states down.
        now: the clock.
        zone: where calendar months begin.
        alone: whether there is no other node.
        shards: the engine has the campaigns of the own one.
    """

    def __init__(
        self,
        *,
        campaigns: Campaigns,
        attempts: Attempts,
        dispatcher: Dispatcher,
        live: LiveView,
        keeper: RecordKeeper,
        now: Callable[[], float],
        zone: tzinfo,
        alone: Callable[[], bool] = bool,
        shards: Shards = ONE_REDIS,
    ) -> None:
        self._campaigns = campaigns
        self._attempts = attempts
        self._dispatcher = dispatcher
        self._live = live
        self._keeper = keeper
        self._now = now
        self._zone = zone
        self._alone = alone
        self._shards = shards
        self._left_out = 0
        self._versions: dict[CampaignId, tuple[float, str]] = {}
        #: Of campaigns that the engine is about to be told of.
        self._answered: dict[CampaignId, dict[ServerName, int]] = {}
        #: Held from the reading of a campaign until the engine has it, and while one is written: never an older one
        #: after a newer one.
        self.lock: Final = asyncio.Lock()

    async def begin(self) -> None:
        """Take over every campaign, before anything else goes on.

        Raises:
            StorageError: the database is out of reach.
        """
        for stored in await self._campaigns.all():
            if self._shards.mine(stored.campaign.id):
                await self._restore_counts(stored.campaign)
                self._take(stored)

    async def run(self) -> None:
        """Follow the record, for ever."""
        trouble = ""
        while True:
            await asyncio.sleep(_EVERY_S)
            if not self.due():
                continue
            try:
                await self.look()
            except StorageError as error:
                if str(error) != trouble:
                    _log.warning("campaigns of other nodes are not being followed", error=str(error))
                trouble = str(error)
            else:
                trouble = ""

    def due(self) -> bool:
        """Whether to look, asked every half second."""
        self._left_out = (self._left_out + 1) % _ALONE_EVERY if self._alone() else 0
        return self._left_out == 0

    async def look(self) -> None:
        """Take over what has changed on record.

        Raises:
            StorageError: the database is out of reach.
        """
        for campaign, version in (await self._campaigns.versions()).items():
            if self._versions.get(campaign) != version and self._shards.mine(campaign):
                await self.follow(campaign)

    async def follow(self, campaign: CampaignId) -> None:
        """Take over one campaign as it is on record; one of another shard is not this node's.

        Raises:
            StorageError: the database is out of reach.
        """
        if not self._shards.mine(campaign):
            return
        async with self.lock:
            if campaign not in self._dispatcher.engine.floor.campaigns:
                new = await self._campaigns.get(campaign)
                if new is not None:
                    await self._restore_counts(new.campaign)
            written = self._keeper.states_written
            stored = await self._campaigns.get(campaign)
            # What was written here meanwhile is newer than what was read; it is looked at again.
            if stored is not None and written == self._keeper.states_written:
                self._take(stored)

    async def before_order(self, campaign: CampaignId) -> None:
        """Make sure that the engine knows a campaign that another node has made.

        Raises:
            StorageError: the database is out of reach.
        """
        if campaign not in self._dispatcher.engine.floor.campaigns:
            await self.follow(campaign)

    async def written(self) -> None:
        """Wait until what was ordered here is on record, unless that takes too long: it will be."""
        await self._keeper.flush(_WRITTEN_S)

    def agrees(self, campaign: Campaign, state: CampaignState) -> bool:
        """Whether a campaign is so at this node, where it is its business."""
        if not self._shards.mine(campaign.id):
            return True
        run = self._dispatcher.engine.floor.campaigns.get(campaign.id)
        return run is not None and run.campaign == campaign and run.state is state

    def _take(self, stored: StoredCampaign) -> None:
        campaign = stored.campaign
        run = self._dispatcher.engine.floor.campaigns.get(campaign.id)
        now = self._now()
        with self._keeper.following(campaign.id):
            if run is None or run.campaign != campaign:
                self._live.configure(campaign, stored.state if run is None else None)
                windows = legal_windows(self._live.abandonment, campaign, now, self._zone)
                answered = tuple(sorted(self._answered.pop(campaign.id, {}).items()))
                self._dispatcher.feed(
                    CampaignConfigured(
                        at=now, campaign=campaign, state=stored.state, windows=windows, answered=answered
                    )
                )
            if run is not None and run.state is not stored.state:
                if self._keeper.waits(campaign.id):
                    return  # what was ordered here is newer
                self._order(campaign.id, run.state, stored.state, now)
        self._versions[campaign.id] = (stored.updated_at, stored.state.value)

    def _order(self, campaign: CampaignId, present: CampaignState, wanted: CampaignState, now: float) -> None:
        if (present, wanted) in _DRAINS:
            return
        self._dispatcher.feed(CampaignOrdered(at=now, campaign=campaign, state=wanted, elsewhere=True))

    async def _restore_counts(self, campaign: Campaign) -> None:
        counted, since = self._live.abandonment, self._now() - _LONGEST_WINDOW_S
        for at, answered, lost in await self._attempts.live_answers(campaign.id, since):
            counted.restore(campaign.id, at, answered, lost)
        if AbandonmentWindow.CAMPAIGN in campaign.abandonment_windows:
            counted.restore_older(campaign.id, *await self._attempts.live_answers_before(campaign.id, since))
        if len(self._dispatcher.engine.floor.servers) > 1:
            self._answered[campaign.id] = await self._attempts.live_answers_by_server(campaign.id, since)


class FollowedCampaigns:
    """`dialer.api.campaign_ports.Campaigns`: whoever looks at a campaign finds the engine with what is on record."""

    def __init__(self, record: campaign_ports.Campaigns, watch: CampaignWatch) -> None:
        self._record = record
        self._watch = watch

    async def get(self, campaign: CampaignId) -> campaign_ports.StoredCampaign | None:
        """One campaign."""
        stored = await self._record.get(campaign)
        if stored is not None and not self._watch.agrees(stored.campaign, stored.state):
            await self._watch.follow(campaign)
        return stored

    async def page(
        self, after: CampaignId | None, limit: int, *, tenant: str = ""
    ) -> Sequence[campaign_ports.StoredCampaign]:
        """Up to `limit` campaigns by id, those behind `after`, of one tenant or of all."""
        return await self._record.page(after, limit, tenant=tenant)

    async def create(self, campaign: Campaign, now: float) -> bool:
        """Add a campaign as a draft; False where its id is taken."""
        async with self._watch.lock:
            return await self._record.create(campaign, now)

    async def replace(self, before: campaign_ports.StoredCampaign, campaign: Campaign, now: float) -> bool:
        """Replace the settings of a campaign; its state stays. False where it is not as `before` any more."""
        async with self._watch.lock:
            return await self._record.replace(before, campaign, now)
