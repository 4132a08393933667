"""Tells the engine which contacts may be called now with an agent reserved for them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

import structlog

from dialer.core.campaign import CampaignState
from dialer.core.events import ContactsDue
from dialer.core.ids import CampaignId
from dialer.core.promise import Due
from dialer.errors import QueueError
from dialer.runtime.dispatcher import Dispatcher

_log = structlog.get_logger(__name__)

_EVERY_S: Final = 1.0
#: Far more than agents become free in a second.
_AT_ONCE: Final = 500


class Promised(Protocol):
    """Where contacts wait that are called with an agent reserved (`dialer.queues.port.Queues`)."""

    async def due_for_agents(self, campaign: CampaignId, now: float, limit: int = 100) -> Sequence[Due]:
        """Contacts that may be called now, the oldest promise first."""
        ...


class DueContacts:
    """Looks regularly, in each running campaign.

    Args:
        queues: where they wait.
        dispatcher: of the engine.
        wait_open: returns as soon as calls can be permitted.
        now: the clock.
    """

    def __init__(
        self,
        queues: Promised,
        dispatcher: Dispatcher,
        wait_open: Callable[[], Awaitable[None]],
        now: Callable[[], float],
    ) -> None:
        self._queues = queues
        self._dispatcher = dispatcher
        self._wait_open = wait_open
        self._now = now
        #: Campaigns of which the engine believes that something is due.
        self._told: set[CampaignId] = set()

    async def run(self) -> None:
        """Look, for ever."""
        while True:
            await self._wait_open()
            try:
                await self.look()
            except QueueError as error:
                _log.warning("what was promised is not known", error=str(error))
            await asyncio.sleep(_EVERY_S)

    async def look(self) -> None:
        """Tell the engine once.

        Raises:
            QueueError: out of reach; what was told before stands.
        """
        for campaign, run in list(self._dispatcher.engine.floor.campaigns.items()):
            if run.state is CampaignState.RUNNING:
                due = tuple(await self._queues.due_for_agents(campaign, self._now(), _AT_ONCE))
                if due or campaign in self._told:
                    self._dispatcher.feed(ContactsDue(at=self._now(), campaign=campaign, due=due))
                self._told = self._told | {campaign} if due else self._told - {campaign}
