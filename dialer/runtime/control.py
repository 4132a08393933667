"""The way into the engine for people: the API, the demo's agents, dispositions from the CRM."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, tzinfo

from dialer.core.events import CallDisposed, CampaignConfigured, PeopleEvent
from dialer.core.ids import CallId
from dialer.core.notices import CallWasDisposed
from dialer.projections.legal_windows import legal_windows
from dialer.projections.live import LiveView
from dialer.queues import results
from dialer.queues.port import Publish
from dialer.runtime.dispatcher import Dispatcher
from dialer.runtime.outbox import Outbox
from dialer.runtime.record_keeper import RecordKeeper
from dialer.storage.attempts import Attempts


class NodeControl:
    """`dialer.api.ports.Control` on the dispatcher."""

    def __init__(
        self,
        *,
        dispatcher: Dispatcher,
        live: LiveView,
        outbox: Outbox,
        keeper: RecordKeeper,
        attempts: Attempts,
        now: Callable[[], float],
        zone: tzinfo = UTC,
    ) -> None:
        self._dispatcher = dispatcher
        self._live = live
        self._outbox = outbox
        self._keeper = keeper
        self._attempts = attempts
        self._now = now
        self._zone = zone

    def live(self) -> LiveView:
        """What goes on now; read it in the event loop only."""
        return self._live

    async def submit(self, event: PeopleEvent) -> None:
        """Hand an event to the engine; returns when the engine has dealt with it."""
        match event:
            case CampaignConfigured():
                self._live.configure(event.campaign)
                # A changed method starts with a new pacer; the legal windows have not been forgotten for that.
                windows = legal_windows(self._live.abandonment, event.campaign, self._now(), self._zone)
                self._dispatcher.feed(replace(event, windows=windows))
                return
            case CallDisposed() if not self._is_open(event.call):
                await self._dispose_ended(event)
                return
            case _:
                pass
        self._dispatcher.feed(event)

    def _is_open(self, call: CallId) -> bool:
        floor = self._dispatcher.engine.floor
        return call in floor.calls or any(agent.call == call for agent in floor.roster)

    async def _dispose_ended(self, event: CallDisposed) -> None:
        """A code for a call that is over and wrapped up: the record and the CRM learn of it, the engine need not."""
        attempt = self._keeper.recently_ended(event.call) or await self._attempts.get(event.call)
        if attempt is None:
            result = results.message_rejected(
                self._now(), reason=f"dispositions: there is no call {event.call!r}", ref=event.ref
            )
            self._outbox.put([Publish(result=result)])
            return
        notice = CallWasDisposed(
            at=self._now(),
            call=event.call,
            campaign=attempt.campaign,
            contact=attempt.contact,
            phone=attempt.phone,
            code=event.code,
            agent=event.agent or attempt.agent,
            amount=event.amount,
            notes=event.notes,
            ref=event.ref,
        )
        self._keeper.apply(notice)
        self._outbox.put([Publish(result=results.notice_result(notice))])
