"""Callbacks at one node: the calendar, reminders some minutes before, and what pacers must know of those to come."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import structlog

from dialer.api.callback_ports import Appointment, CallbackQuery
from dialer.compliance.rulebook import RuleBook
from dialer.compliance.zones import Nowhere, locate
from dialer.core.campaign import CampaignState
from dialer.core.commitment_desk import MOST_AHEAD_S
from dialer.core.events import CallbacksAhead
from dialer.core.promise import Promise
from dialer.errors import QueueError, StorageError
from dialer.queues import results
from dialer.queues.port import Publish, Write
from dialer.runtime.dispatcher import Dispatcher
from dialer.runtime.explanation import whereabouts
from dialer.storage.callbacks import CallbackFilter, Callbacks
from dialer.storage.database import Database

_log = structlog.get_logger(__name__)

_EVERY_S: Final = 5.0
#: Callbacks that are looked at in one look: more than a floor can make in the time.
_AT_ONCE: Final = 1_000
#: The longest before one that it matters to a pacer: a talk, and the ringing before it.
_AHEAD_S: Final = MOST_AHEAD_S + 300.0


class Writes(Protocol):
    """Where results are published (`dialer.queues.port.Queues`)."""

    async def write(self, writes: Sequence[Write]) -> None:
        """Carry out writes in their order."""


class CallbackCalendar:
    """`dialer.api.callback_ports.CallbackCalendars`.

    Args:
        database: the record.
        book: tells in which zones numbers may be.
        now: the clock.
    """

    def __init__(self, database: Database, book: RuleBook, now: Callable[[], float]) -> None:
        self._callbacks = Callbacks(database)
        self._book = book
        self._now = now

    async def page(
        self, query: CallbackQuery, after: tuple[float, str, str] | None, limit: int
    ) -> Sequence[Appointment]:
        """See `CallbackCalendars`."""
        wanted = CallbackFilter(
            since=query.since, until=query.until, agent=query.agent, campaign=query.campaign, tenant=query.tenant
        )
        now, found = self._now(), []
        for stored in await self._callbacks.page(wanted, after, limit):
            contact, phone = stored.contact, stored.contact.phones[0]
            where = locate(self._book, whereabouts(contact, phone), now)
            # The law asks all clocks that may be theirs; the CRM knows best which one they look at.
            said = () if contact.timezone is None else (contact.timezone,)
            may_be = () if isinstance(where, Nowhere) else where.zones
            found.append(
                Appointment(
                    promise=stored.promise,
                    agreed=stored.agreed,
                    made_at=stored.made_at,
                    name=contact.name,
                    phone=phone,
                    zones=tuple(dict.fromkeys((*said, *may_be))),
                )
            )
        return found


class CallbackClock:
    """Looks regularly at what is to come: reminds of it once, and tells the engine.

    However many nodes there are, each callback is reminded of by one; each tells its own engine.

    Args:
        database: the record.
        dispatcher: of the engine.
        queues: where reminders are published.
        now: the clock.
    """

    def __init__(self, database: Database, dispatcher: Dispatcher, queues: Writes, now: Callable[[], float]) -> None:
        self._callbacks = Callbacks(database)
        self._dispatcher = dispatcher
        self._queues = queues
        self._now = now
        #: The engine knows of some.
        self._told = False

    async def run(self) -> None:
        """Look, for ever."""
        while True:
            try:
                await self.look()
            except (StorageError, QueueError) as error:
                _log.warning("callbacks to come are not known", error=str(error))
            await asyncio.sleep(_EVERY_S)

    async def look(self) -> None:
        """Look once.

        Raises:
            StorageError: out of reach; what was told before stands.
            QueueError: somebody could not be reminded, and is at the next look.
        """
        floor = self._dispatcher.engine.floor
        running = [run.campaign for run in floor.campaigns.values() if run.state is CampaignState.RUNNING]
        if not running and not self._told:
            return
        now = self._now()
        ahead = await self._callbacks.ahead([campaign.id for campaign in running], now, now + _AHEAD_S, _AT_ONCE)
        if ahead or self._told:
            self._dispatcher.feed(CallbacksAhead(at=self._now(), ahead=tuple(ahead)))
        self._told = bool(ahead)
        within = [(campaign.id, campaign.callback_reminder_s) for campaign in running if campaign.callback_reminder_s]
        for promise in await self._callbacks.to_remind(within, now, _AT_ONCE):
            await self._remind(promise)

    async def _remind(self, promise: Promise) -> None:
        now = self._now()
        if not await self._callbacks.claim(promise, now):
            return
        told = results.callback_due_soon(
            now, campaign=promise.campaign, contact=promise.contact, due_at=promise.at, agent=promise.agent
        )
        try:
            await self._queues.write([Publish(result=told)])
        except QueueError:
            await self._callbacks.unclaim(promise)
            raise
