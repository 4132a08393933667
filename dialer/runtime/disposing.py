"""Dispositions on their way in: what the code means, what follows from it, then the engine and the record.

What follows comes first, so that a crash in between repeats it rather than leaves it out: an entry on the do-not-call
list, an appointment, another call. All go the way of a CRM's own messages, by the streams, with ids that follow from
the call. No disposition ever takes an entry off a do-not-call list.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

from dialer.core.attempt import Attempt
from dialer.core.campaign import Campaign
from dialer.core.disposition import DispositionCode
from dialer.core.events import CallDisposed, OptOutTold
from dialer.core.ids import AgentId, CallId, CampaignId, ContactId, Phone
from dialer.core.notices import CallWasDisposed
from dialer.core.opt_out_desk import EVERYWHERE, opt_out_ref
from dialer.core.permit import Permit
from dialer.core.tenants import everywhere
from dialer.dispositions import meaning_of
from dialer.errors import InputError, QueueError, StorageError
from dialer.queues import results
from dialer.queues.port import Publish
from dialer.runtime.dispatcher import Dispatcher, Projection
from dialer.runtime.outbox import Outbox
from dialer.runtime.record_keeper import RecordKeeper
from dialer.storage.attempts import Attempts
from dialer.storage.campaigns import Campaigns

#: Longer than a write takes on a bad day; whoever waits is told, and does it again.
_RECORDED_WITHIN_S: Final = 5.0


class CrmStreams(Protocol):
    """Where a CRM writes (`dialer.runtime.api_ports.StreamPurges`)."""

    async def do_not_call(self, messages: Sequence[Mapping[str, object]]) -> None:
        """Write do-not-call entries; from the return on they hold."""

    async def call_back(self, messages: Sequence[Mapping[str, object]]) -> None:
        """Write callbacks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Called:
    """Whom a call was made to, whether or not it is over."""

    campaign: CampaignId
    contact: ContactId
    phone: Phone
    attempt_number: int
    agent: AgentId | None
    #: Those with which the call began; None where it is over.
    settings: Campaign | None = None


class DispositionDesk:
    """Takes dispositions, whoever they come from.

    Args:
        dispatcher: of the engine, which has the calls that are not wrapped up.
        keeper: takes dispositions of calls that are over.
        attempts: the record of such calls.
        campaigns: whose codes count.
        streams: where do-not-call entries and callbacks go.
        outbox: takes results.
        now: the clock.
        listeners: hear of codes for calls that are over, of which the engine does not tell.
        left_behind: tells of a call whether a node made it that has ended so lately that it may be on no record yet.
    """

    def __init__(
        self,
        *,
        dispatcher: Dispatcher,
        keeper: RecordKeeper,
        attempts: Attempts,
        campaigns: Campaigns,
        streams: CrmStreams,
        outbox: Outbox,
        now: Callable[[], float],
        listeners: Sequence[Projection] = (),
        left_behind: Callable[[CallId], bool] = lambda _: False,
    ) -> None:
        self._dispatcher = dispatcher
        self._keeper = keeper
        self._attempts = attempts
        self._campaigns = campaigns
        self._streams = streams
        self._outbox = outbox
        self._listeners = tuple(listeners)
        self._left_behind = left_behind
        self._now = now

    async def dispose(self, event: CallDisposed) -> None:
        """Carry out a disposition. Can be repeated.

        Raises:
            InputError: there is no such call, or its campaign does not take this; says what it would take.
            QueueError, StorageError: not everything was done; repeat.
        """
        called = self._open(event.call)
        if called is None:
            ended = self._keeper.recently_ended(event.call) or await self._attempts.get(event.call)
            if ended is None and self._left_behind(event.call):
                raise QueueError(f"call {event.call}: its node has ended, and it is not on record yet")
            if ended is None:
                raise InputError(f"call: there is no call {event.call!r}", word="unknown_call")
            called = _called(ended, ended.agent)
        campaign = await self._settings(called)
        code = meaning_of(event, campaign, self._now())
        event = replace(event, code=code.code, currency=campaign.currency, meaning=code)
        await self._follow_up(event, code, campaign, called)
        if self._open(event.call) is not None:
            self._dispatcher.feed(event)
        else:
            # Over and wrapped up, maybe in this very moment: the record and the CRM learn of it, the engine need not.
            self._tell(event, called)

    async def recorded(self) -> None:
        """Wait until all dispositions so far are on record and among the results: a node may die at any moment.

        Raises:
            StorageError, QueueError: they are not yet, and are still tried; repeat, or find them done later.
        """
        try:
            async with asyncio.timeout(_RECORDED_WITHIN_S):
                await self._keeper.written()
        except TimeoutError as error:
            raise StorageError("the disposition is not on record yet; it is still tried") from error
        try:
            async with asyncio.timeout(_RECORDED_WITHIN_S):
                await self._outbox.written()
        except TimeoutError as error:
            raise QueueError("the disposition is not among the results yet; it is still tried") from error

    def _open(self, call: CallId) -> _Called | None:
        """A call that the engine has under way, or that an agent still wraps up."""
        floor = self._dispatcher.engine.floor
        found = floor.calls.get(call)
        if found is not None:
            return _called(found.permit, found.agent, found.campaign)
        agent = next((agent for agent in floor.roster if agent.call == call), None)
        if agent is None or agent.permit is None:
            return None
        return _called(agent.permit, agent.id)

    async def _settings(self, called: _Called) -> Campaign:
        # The record's, so that codes which were changed at another node count at once.
        stored = await self._campaigns.get(called.campaign)
        if stored is not None:
            return stored.campaign
        return called.settings or Campaign(id=called.campaign)

    async def _follow_up(self, event: CallDisposed, code: DispositionCode, campaign: Campaign, called: _Called) -> None:
        by = event.by or event.agent or called.agent or "crm"
        if code.do_not_call:
            scope = everywhere(called.campaign) if campaign.opt_out_scope == EVERYWHERE else called.campaign
            entry = {
                "id": opt_out_ref(event.call),
                "op": "add",
                "phone": called.phone,
                "scope": scope,
                "reason": f"disposition {code.code}",
                "source": "disposition",
            }
            await self._streams.do_not_call([entry])
            if self._open(event.call) is not None:
                self._dispatcher.feed(OptOutTold(at=self._now(), call=event.call, scope=scope, by=by))
            return
        again: dict[str, object] = {"campaign": called.campaign, "contact": called.contact, "phone": called.phone}
        if event.callback is not None:
            again |= {"id": f"callback-{event.call}", "at": results.rfc3339(event.callback.at)}
            if event.callback.phone is not None:
                again["phone"] = event.callback.phone
            if event.callback.agent is not None:
                again["agent"] = event.callback.agent
            await self._streams.call_back([again])
        elif code.retry is not None and called.attempt_number < code.retry.max_attempts:
            at = self._now() + code.retry.delay_s
            await self._streams.call_back([again | {"id": f"retry-{event.call}", "at": results.rfc3339(at)}])

    def _tell(self, event: CallDisposed, called: _Called) -> None:
        notice = CallWasDisposed(
            at=self._now(),
            call=event.call,
            campaign=called.campaign,
            contact=called.contact,
            phone=called.phone,
            code=event.code,
            agent=event.agent or called.agent,
            amount=event.amount,
            notes=event.notes,
            ref=event.ref,
            currency=event.currency,
            by=event.by,
            meaning=event.meaning,
        )
        self._keeper.apply(notice)
        for listener in self._listeners:
            listener.apply(notice)
        self._outbox.put([Publish(result=results.notice_result(notice))])


def _called(made: Permit | Attempt, agent: AgentId | None, settings: Campaign | None = None) -> _Called:
    return _Called(
        campaign=made.campaign,
        contact=made.contact,
        phone=made.phone,
        attempt_number=made.attempt_number,
        agent=agent,
        settings=settings,
    )
