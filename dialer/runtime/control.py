"""The way into the engine for people: the API, the demo's agents, dispositions from the CRM."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, tzinfo

from dialer.core.campaign import Campaign
from dialer.core.events import CallDisposed, CampaignConfigured, PeopleEvent
from dialer.projections.legal_windows import legal_windows
from dialer.projections.live import LiveView
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
    ) -> None:
        """`configured`: is told of a campaign's settings before the engine is."""
        self._dispatcher = dispatcher
        self._live = live
        self._dispositions = dispositions
        self._now = now
        self._zone = zone
        self._configured = configured

    def live(self) -> LiveView:
        """What goes on now; read it in the event loop only."""
        return self._live

    async def submit(self, event: PeopleEvent) -> None:
        """Hand an event to the engine; returns when the engine has dealt with it.

        Raises:
            InputError, QueueError, StorageError: a disposition, as `DispositionDesk.dispose`.
            QueueError: a campaign, of whose filter the gate could not be told; do it again.
        """
        match event:
            case CampaignConfigured():
                if self._configured is not None:
                    await self._configured(event.campaign)
                self._live.configure(event.campaign)
                # A changed method starts with a new pacer; the legal windows have not been forgotten for that.
                windows = legal_windows(self._live.abandonment, event.campaign, self._now(), self._zone)
                self._dispatcher.feed(replace(event, windows=windows))
                return
            case CallDisposed():
                await self._dispositions.dispose(event)
                return
            case _:
                pass
        self._dispatcher.feed(event)
