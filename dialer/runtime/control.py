"""The way into the engine for people: the API, the demo's agents, dispositions from the CRM."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, tzinfo

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
    ) -> None:
        self._dispatcher = dispatcher
        self._live = live
        self._dispositions = dispositions
        self._now = now
        self._zone = zone

    def live(self) -> LiveView:
        """What goes on now; read it in the event loop only."""
        return self._live

    async def submit(self, event: PeopleEvent) -> None:
        """Hand an event to the engine; returns when the engine has dealt with it.

        Raises:
            InputError, QueueError, StorageError: a disposition, as `DispositionDesk.dispose`.
        """
        match event:
            case CampaignConfigured():
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
