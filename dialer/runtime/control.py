"""The way into the engine for people: the API, the demo's agents, dispositions from the CRM."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, tzinfo

from dialer.core.campaign import Campaign
from dialer.core.events import (
    AgentReassigned,
    AgentSignedIn,
    CallDisposed,
    CampaignConfigured,
    CampaignOrdered,
    PeopleEvent,
)
from dialer.core.ids import CampaignId, ServerName
from dialer.core.shards import ONE_REDIS, Shards, check_here
from dialer.errors import InputError
from dialer.projections.legal_windows import legal_windows
from dialer.projections.live import LiveView
from dialer.runtime.campaign_watch import CampaignWatch
from dialer.runtime.dispatcher import Dispatcher
from dialer.runtime.disposing import DispositionDesk


class NodeControl:
    """`dialer.api.ports.Control` on the dispatcher."""

    def __init__(
        self,
        *,
        dispatcher: Dispatcher,
        live: LiveView,
        dispositions: DispositionDesk,
        now: Callable[[], float],
        zone: tzinfo = UTC,
        configured: Callable[[Campaign], Awaitable[None]] | None = None,
        campaigns: CampaignWatch | None = None,
        dispose_elsewhere: Callable[[CallDisposed], Awaitable[bool]] | None = None,
        agents_elsewhere: Callable[[], Mapping[ServerName, int]] | None = None,
        shards: Shards = ONE_REDIS,
    ) -> None:
        """`configured`: is told of a campaign's settings before the engine is.

        `campaigns`: brings the engine to what other nodes have put on record; None: there is no other.

        `dispose_elsewhere`: has a call closed by the node that makes it; False: no other one does.

        `agents_elsewhere`: agents of other nodes by Asterisk server; None: there is no other node.

        `shards`: the engine works for campaigns of the own one.
        """
        self._shards = shards
        self._dispatcher = dispatcher
        self._live = live
        self._dispositions = dispositions
        self._now = now
        self._zone = zone
        self._configured = configured
        self._campaigns = campaigns
        self._dispose_elsewhere = dispose_elsewhere
        self._agents_elsewhere = agents_elsewhere

    def live(self) -> LiveView:
        """What goes on now; read it in the event loop only."""
        return self._live

    async def submit(self, event: PeopleEvent) -> None:
        """Hand an event to the engine; returns when the engine has dealt with it.

        Raises:
            InputError, QueueError, StorageError: a disposition, as `dispose`.
            InputError: a campaign is another shard's.
            QueueError: a campaign, of whose filter the gate could not be told; do it again.
            StorageError: an order to a campaign that only the record has, which is out of reach.
        """
        for campaign in _campaigns_of(event):
            check_here(self._shards, campaign)
        match event:
            case CampaignConfigured():
                if self._configured is not None:
                    await self._configured(event.campaign)
                self._live.configure(event.campaign)
                # A changed method starts with a new pacer; the legal windows have not been forgotten for that.
                windows = legal_windows(self._live.abandonment, event.campaign, self._now(), self._zone)
                self._dispatcher.feed(replace(event, windows=windows))
                return
            case CampaignOrdered() if self._campaigns is not None:
                await self._campaigns.before_order(event.campaign)
                self._dispatcher.feed(event)
                # Whoever asks another node next finds it so.
                await self._campaigns.written()
                return
            case CallDisposed():
                [refused] = await self.dispose([event])
                if refused is not None:
                    raise refused
                return
            case AgentSignedIn() if self._agents_elsewhere is not None:
                event = replace(event, elsewhere=self._agents_elsewhere())
            case _:
                pass
        self._dispatcher.feed(event)

    async def dispose(self, events: Sequence[CallDisposed]) -> list[InputError | None]:
        """Carry out dispositions; on return they are on record and among the results. For each, why it is refused.

        Raises:
            QueueError, StorageError: not all of it was done, repeat.
        """
        refused: list[InputError | None] = []
        for event in events:
            try:
                if self._dispose_elsewhere is None or not await self._dispose_elsewhere(event):
                    await self._dispositions.dispose(event)
            except InputError as error:
                refused.append(error)
            else:
                refused.append(None)
        await self._dispositions.recorded()
        return refused

    async def dispose_here(self, event: CallDisposed) -> None:
        """A disposition of which another node was told.

        Raises:
            InputError, QueueError, StorageError: as `dispose`.
        """
        await self._dispositions.dispose(event)
        await self._dispositions.recorded()


def _campaigns_of(event: PeopleEvent) -> tuple[CampaignId, ...]:
    """Whose engine an event needs."""
    match event:
        case CampaignConfigured():
            return (event.campaign.id,)
        case CampaignOrdered():
            return (event.campaign,)
        case AgentSignedIn() | AgentReassigned():
            return event.campaigns
        case _:
            return ()
