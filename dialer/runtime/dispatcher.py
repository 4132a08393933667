"""The shell around the engine: events in, one at a time; outputs carried out in their order.

`feed` is synchronous. An answer that is read off the socket has its agent, and the redirect is with the transport,
before the reading of the next message; and an originate is handed over before the gate is let go (docs/adr/0004).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Protocol, assert_never

import structlog

from dialer.core import commands as cmd
from dialer.core import notices as ntc
from dialer.core.engine import Engine
from dialer.core.events import (
    AgentPhoneGone,
    AnyEvent,
    ContactGranted,
    ContactsOffered,
    OriginateHandedOver,
    OriginateNotSent,
    PermitsGranted,
    Refusals,
)
from dialer.core.floor import Output
from dialer.core.ids import CampaignId
from dialer.core.saying import say
from dialer.queues import results
from dialer.queues.port import Finish, LiveState, MarkLive, Publish, Release, Write
from dialer.runtime.outbox import Outbox
from dialer.switch.port import HandOver, Switch

_log = structlog.get_logger(__name__)

#: Far more than can wait while Redis is away: without it nobody new is called.
_OBJECTIONS: Final = 10_000


_LOOKED_AT: Final = (ntc.CallConnected, ntc.ContactWasOffered)


class Projection(Protocol):
    """Somebody who keeps a picture of what happens."""

    def apply(self, notice: ntc.AnyNotice) -> None:
        """Take one notice in; must be quick and must not fail."""


class Dispatcher:
    """Owns the engine."""

    def __init__(
        self,
        *,
        engine: Engine,
        switch: Switch,
        outbox: Outbox,
        now: Callable[[], float],
        projections: Sequence[Projection] = (),
        permit_requests: asyncio.Queue[cmd.PermitRequest],
        purge_applied: Callable[[str, str, float], None] = lambda kind, effect, waited_s: None,
    ) -> None:
        """`purge_applied`: is told what a removal or do-not-call entry did to a call, see `Metrics.purge_applied`."""
        self.engine = engine
        self._purge_applied = purge_applied
        self._switch = switch
        self._outbox = outbox
        self._now = now
        self._projections = tuple(projections)
        self._permit_requests = permit_requests
        #: Objections by key that are to be written (`dialer.runtime.opt_outs`).
        self.do_not_call: asyncio.Queue[cmd.AddDoNotCall] = asyncio.Queue(maxsize=_OBJECTIONS)
        self._events: deque[AnyEvent] = deque()
        self._feeding = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at: float | None = None
        self._error: Exception | None = None
        self._failed = asyncio.Event()

    def feed(self, event: AnyEvent) -> None:
        """Take an event in, and everything that follows from it.

        Raises whatever the engine does: a bug. The first is kept for `failure`, since not every caller is watched.
        """
        self._events.append(event)
        if not self._feeding:  # else somebody further up the stack is at it
            self._take_in(())

    async def failure(self) -> None:
        """Wait until the engine has failed, be it in a timer that nobody awaits, and raise its error."""
        await self._failed.wait()
        assert self._error is not None, "is kept before the event is set"
        raise self._error

    def _take_in(self, outputs: Sequence[Output]) -> None:
        self._feeding = True
        try:
            self._carry_out(outputs)
            while self._events:
                self._carry_out(self.engine.handle(self._events.popleft()))
        except Exception as error:
            self._error = self._error or error
            self._failed.set()
            raise
        finally:
            self._feeding = False
        self._arm()

    def awaits(self, campaign: CampaignId) -> bool:
        """Whether the engine still waits for permits of this campaign."""
        run = self.engine.floor.campaigns.get(campaign)
        return run is not None and run.requested > 0

    def close(self) -> None:
        """Wake no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # ---- time

    def _arm(self) -> None:
        at = self.engine.next_deadline()
        if at == self._timer_at and self._timer is not None:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._timer_at = at
        if at is not None:
            self._timer = asyncio.get_running_loop().call_later(max(0.0, at - self._now()), self._wake, at)

    def _wake(self, deadline: float) -> None:
        self._timer, self._timer_at = None, None
        try:
            # A timer never fires before its own deadline, whatever the clocks' resolution.
            outputs = self.engine.wake(max(self._now(), deadline))
        except Exception as error:
            self._error = self._error or error
            self._failed.set()
            raise
        self._take_in(outputs)

    # ---- outputs

    def _carry_out(self, outputs: Sequence[Output]) -> None:
        writes: list[Write] = []
        for output in outputs:
            match output:
                case cmd.Originate():
                    self._originate(output)
                case cmd.HangUp():
                    self._switch.hang_up(output)
                case cmd.FollowCall():
                    self._switch.follow(output)
                case cmd.ConnectCall():
                    self._switch.connect_call(output)
                case cmd.PlayMessage():
                    self._switch.play_message(output)
                case cmd.SayGoodbye():
                    self._switch.say_goodbye(output)
                case cmd.Record():
                    self._switch.record(output)
                case cmd.Announce():
                    self._switch.announce(output)
                case cmd.StopAnnouncement():
                    self._switch.stop_announcement(output)
                case cmd.Comfort():
                    self._switch.comfort(output)
                case cmd.EndComfort():
                    self._switch.end_comfort(output)
                case cmd.AddDoNotCall():
                    self._object(output)
                case cmd.CallAgent():
                    self._call_agent(output)
                case cmd.HangUpAgent():
                    self._switch.hang_up_agent(output)
                case cmd.CallMonitor():
                    self._switch.call_monitor(output)
                case cmd.ChangeMonitor():
                    self._switch.change_monitor(output)
                case cmd.HangUpMonitor():
                    self._switch.hang_up_monitor(output)
                case cmd.RequestPermits() | cmd.RequestContact() | cmd.RequestOffers() | cmd.ReturnOffer():
                    self._request(output)
                case cmd.ReturnPermit():
                    writes.append(Release(permit=output.permit, not_before_at=output.not_before_at))
                case cmd.FinishCall():
                    writes.append(
                        Finish(
                            attempt=output.attempt,
                            fencing_token=output.fencing_token,
                            retry_at=output.retry_at,
                            needs_agent=output.needs_agent,
                        )
                    )
                case cmd.ReportPurge():
                    # Behind the hang-up that it tells of, which is with the transport by now.
                    now = self._now()
                    writes.append(Publish(result=results.purge_result(output, now)))
                    if output.written_at is not None:
                        self._purge_applied(output.kind, output.effect, now - output.written_at)
                case _:
                    writes.extend(_writes_of(output))
                    for projection in self._projections:
                        projection.apply(output)
        # Somebody waits for the page of the person whom they talk with, or may.
        self._outbox.put(writes, urgent=any(isinstance(output, _LOOKED_AT) for output in outputs))

    def _originate(self, command: cmd.Originate) -> None:
        now = self._now()
        call = command.permit.call
        before = len(self._events)
        handed = self._switch.originate(command, now)
        event: AnyEvent
        if handed is HandOver.HANDED_OVER:
            event = OriginateHandedOver(at=now, call=call)
        else:
            event = OriginateNotSent(at=now, call=call, reason=handed.value)
        # Ahead of whatever the switch has told from inside the hand-over.
        self._events.insert(before, event)

    def _call_agent(self, command: cmd.CallAgent) -> None:
        if self._switch.call_agent(command) is HandOver.BACKPRESSURE:
            why = say("the server has no room for one more request", code="agent_phone_no_room")
            gone = AgentPhoneGone(at=self._now(), agent=command.agent, reason=why.says, code=why.code, called=False)
            self._events.append(gone)

    def _request(self, command: cmd.PermitRequest) -> None:
        if self._outbox.full or self._permit_requests.full():
            answer = no_answer(command, self._now(), "queues are behind")
            if answer is not None:
                self._events.append(answer)
        else:
            self._permit_requests.put_nowait(command)

    def _object(self, command: cmd.AddDoNotCall) -> None:
        try:
            self.do_not_call.put_nowait(command)
        except asyncio.QueueFull:
            # Nobody is told that it was done: the person hears no goodbye.
            _log.error("an objection by key is lost: too many wait to be written", call=command.call)


def no_answer(
    request: cmd.PermitRequest, now: float, reason: str
) -> PermitsGranted | ContactGranted | ContactsOffered | None:
    """The answer to a request that could not be put to the gate; None: nobody waits for one."""
    match request:
        case cmd.RequestPermits():
            return no_permits(request.campaign, request.count, now, reason)
        case cmd.RequestOffers():
            refusals = Refusals(counts=((reason, request.count),))
            return ContactsOffered(
                at=now,
                campaign=request.campaign,
                requested=request.count,
                offers=(),
                refusals=refusals,
                ready=0,
                later=0,
            )
        case cmd.RequestContact():
            return ContactGranted(
                at=now,
                campaign=request.campaign,
                contact=request.contact,
                agent=request.agent,
                permit=None,
                reason=reason,
            )
        case cmd.ReturnOffer():
            return None  # it comes back by itself
        case _:
            assert_never(request)


def no_permits(campaign: CampaignId, requested: int, now: float, reason: str) -> PermitsGranted:
    """The answer to a request that could not be put to the gate."""
    return PermitsGranted(
        at=now,
        campaign=campaign,
        requested=requested,
        permits=(),
        refusals=Refusals(counts=((reason, requested),)),
        ready=0,
        later=0,
    )


def _writes_of(notice: ntc.AnyNotice) -> list[Write]:
    """What a notice leaves in Redis: how far the call is, for recovery, and the result for the CRM.

    `CallEnded` leaves nothing here: its result is written by the same atomic step that frees the contact (`Finish`).
    """
    match notice:
        case ntc.CallStarted():
            mark = MarkLive(call=notice.call, state=LiveState.DIALING, at=notice.at, server=notice.server)
        case ntc.CallWasAnswered():
            mark = MarkLive(call=notice.call, state=LiveState.ANSWERED, at=notice.at)
        case ntc.CallConnected():
            mark = MarkLive(call=notice.call, state=LiveState.TALKING, at=notice.at, agent=notice.agent)
            if notice.screen_pop:
                pop = Publish(result=results.screen_popped(notice))
                return [mark, pop, Publish(result=results.notice_result(notice))]
        case ntc.CallWasAbandoned() | ntc.CallWasDisposed() | ntc.CallOptedOut():
            return [Publish(result=results.notice_result(notice))]
        case ntc.ContactWasOffered() | ntc.OfferClosed():
            return [Publish(result=results.offer_result(notice))]
        case ntc.RecordingChanged() if notice.complete:
            return [Publish(result=results.notice_result(notice))]
        case _:
            return []
    return [mark, Publish(result=results.notice_result(notice))]
