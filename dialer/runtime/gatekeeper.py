"""Between the engine and the gate: permits on request, purges as they come, and a gate that is shut when Redis is not
the server that was prepared.

Nobody is dialed while the gate is shut. It is opened by `Queues.prepare`, or after a restart, a fail-over or an
emptying of Redis by `Queues.rebuild` from the record in SQL.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import assert_never

import structlog

from dialer.compliance.screening import Admitted, Screen, TurnedAway
from dialer.core.campaign import Campaign
from dialer.core.commands import PermitRequest, RequestContact, RequestOffers, RequestPermits, ReturnOffer
from dialer.core.events import CallPurged, PermitsGranted, Refusals
from dialer.core.ids import CallId, CampaignId, NodeName, Phone
from dialer.core.permit import Permit
from dialer.core.saying import NOTHING, of_error, say
from dialer.errors import GateNotReady, QueueError, StorageError
from dialer.queues.port import AsyncRecords, Queues, Refuse, Release, Reservation, Write
from dialer.runtime.cap_laws import CapLaws
from dialer.runtime.contact_answers import (
    NEW_PLACE,
    PUT_OFF,
    answer_of,
    later_than,
    offers_of,
    returned,
    waits_for_something_else,
)
from dialer.runtime.dispatcher import Dispatcher, no_answer
from dialer.runtime.filters import FILTERED, FilterDesk
from dialer.runtime.next_number import other_number_now, turned_away, within_attempts

_log = structlog.get_logger(__name__)

_HEARTBEAT_S = 1.0
_HEARTBEAT_TTL_S = 5.0
_RETRY_S = 0.5
_RETRY_MAX_S = 5.0
_PURGE_WAIT_S = 1.0
#: Where all who were reserved had to be turned away, as at the end of the calling hours of a region, the next ones are
#: asked for at once, so often; then the engine is told that there was nobody.
_ROUNDS = 20


@dataclass(slots=True)
class _Screened:
    """A reservation that has been looked through."""

    granted: PermitsGranted
    #: Those that must go back, and how.
    writes: list[Write] = field(default_factory=list)


class Gatekeeper:
    """One a node."""

    def __init__(
        self,
        *,
        node: NodeName,
        boot: str,
        queues: Queues,
        record: Callable[[], AsyncRecords],
        dispatcher: Dispatcher,
        requests: asyncio.Queue[PermitRequest],
        screen: Screen,
        give_back: Callable[[Sequence[Write]], None],
        now: Callable[[], float],
        before_open: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """`give_back`: takes writes that are carried out in time, whatever Redis does (`Outbox.put`).

        `before_open`: what else the gate must know before it opens.
        """
        self._prefix = f"{node}-{boot}-"
        self._sequence = 0
        self._queues = queues
        self._record = record
        self._dispatcher = dispatcher
        self._requests = requests
        self._screen = screen
        self._caps = CapLaws(screen)
        self._give_back = give_back
        self._before_open = before_open
        self._filters = FilterDesk()
        #: By the rounds of the request at hand that granted nobody, by reason.
        self._turned_away: Counter[str] = Counter()
        self._now = now
        self._open = asyncio.Event()
        self._shut = asyncio.Event()
        self._shut.set()
        self._closing = False
        #: How often the gate was shut since it was open, for whatever Redis did.
        self.losses = 0
        #: When the others last heard that this node lives.
        self._beat_at = -math.inf
        #: Why a campaign may not dial, as far as it has been logged.
        self._said: dict[CampaignId, str] = {}
        self.told = say("not prepared yet", code="gate_not_yet")

    @property
    def problem(self) -> str:
        """Why no calls can be permitted, or what is wrong with Redis; empty: nothing."""
        return self.told.says

    @property
    def is_open(self) -> bool:
        """Whether calls can be permitted."""
        return self._open.is_set()

    def close(self) -> None:
        """Permit nothing any more: the node is stopping."""
        self._closing = True

    async def wait_open(self) -> None:
        """Wait until calls can be permitted."""
        await self._open.wait()

    async def run(self) -> None:
        """Prepare, or rebuild, whenever the gate is shut, for ever."""
        delay_s = _RETRY_S
        while True:
            await self._shut.wait()
            try:
                if not await self._queues.prepare():
                    _log.info("redis does not hold the record: loading it from the database, nobody is dialed")
                    await self._queues.rebuild(self._record())
                    _log.info("record loaded, gate opens")
                if self._before_open is not None:
                    await self._before_open()
                await self._recover()
            except (QueueError, StorageError) as error:
                self.told = of_error(error)
                _log.warning("gate stays shut", error=str(error))
                await asyncio.sleep(delay_s)
                delay_s = min(2 * delay_s, _RETRY_MAX_S)
                continue
            delay_s = _RETRY_S
            self.told = NOTHING
            self._shut.clear()
            self._open.set()

    async def serve_permits(self) -> None:
        """Answer the engine's requests, one at a time."""
        while True:
            request = await self._requests.get()
            if not self.is_open or self._closing:
                self._refuse(request, "stopping" if self._closing else "gate is shut")
                continue
            if isinstance(request, ReturnOffer):
                await self._take_back(request)
                continue
            if not await self._seen_alive():
                self._refuse(request, "gate is out of reach")
                continue
            run = self._dispatcher.engine.floor.campaigns.get(request.campaign)
            if run is None:
                self._refuse(request, "no such campaign")
                continue
            problem = self._screen.problem(run.campaign, self._now())
            if problem:
                self._say_once(run.campaign, problem)
                self._refuse(request, "compliance")
                continue
            self._said.pop(run.campaign.id, None)
            self._turned_away.clear()
            for left in reversed(range(_ROUNDS)):
                match request:
                    case RequestPermits():
                        again = await self._serve(request, run.campaign, last=left == 0)
                    case RequestContact():
                        again = await self._serve_contact(request, run.campaign, last=left == 0)
                    case RequestOffers():
                        again = await self._serve_offers(request, run.campaign, last=left == 0)
                    case _:
                        assert_never(request)
                if not again:
                    break

    async def _serve(self, request: RequestPermits, campaign: Campaign, *, last: bool) -> bool:
        """Ask the gate once and feed the engine with its answer; whether to ask again, since all were turned away."""
        calls = [self._next_call() for _ in range(self._filters.to_reserve(campaign.id, request.count))]
        answered = False
        again = False
        try:
            caps = self._caps.of(campaign, self._now())
            async with self._queues.reserve(request.campaign, calls, self._now(), caps=caps) as reservation:
                answered = True
                screened = self._screened(reservation, campaign, request.count)
                self._feed_all(reservation.purged)
                again = not last and not screened.granted.permits and bool(screened.writes) and not self._closing
                granted = self._with_earlier_rounds(screened.granted)
                if not again:
                    # Hands the originates over before it returns: the gate is held until then.
                    self._dispatcher.feed(granted)
                self._give_back(screened.writes)
        except QueueError as error:
            self._trouble(error)
            if not answered:
                self._refuse(request, "gate is out of reach")
            return False
        return again

    async def _serve_contact(self, request: RequestContact, campaign: Campaign, *, last: bool) -> bool:
        """The same for one contact by name; to be asked for again where what was wrong with it has been put right."""
        again = False
        writes: list[Write] = []
        try:
            now = self._now()
            caps = self._caps.of(campaign, now, agent_reserved=True)
            asked = self._queues.reserve_contact(
                campaign.id, request.contact, self._next_call(), now, caps=caps, phone=request.phone
            )
            async with asked as reservation:
                screened = self._screened(reservation, campaign, filtered=request.kept_until is not None)
                other_now = request.phone is None and other_number_now(screened.writes)
                if waits_for_something_else(request, reservation):
                    screened = _put_off(screened, reservation.waited_until)
                writes = later_than(screened.writes, reservation.waited_until)
                answer = answer_of(request, reservation, screened.granted, screened.writes)
                self._feed_all(reservation.purged)
                if answer.permit is not None:
                    # Hands the originate over before it returns: the gate is held until then.
                    self._dispatcher.feed(answer)
                    return False
            # It must wait again before anybody is told: they may ask again.
            await self._queues.write(writes)
            # A number that must not be called is gone, or the caps of its place are counted by from now on.
            put_right = answer.reason == NEW_PLACE or any(isinstance(write, Refuse) for write in writes) or other_now
            again = put_right and not (last or reservation.lent or self._closing)
            if not again:
                self._dispatcher.feed(answer)
        except QueueError as error:
            self._trouble(error)
            self._give_back(writes)
            self._refuse(request, "gate is out of reach")
        return again

    async def _serve_offers(self, request: RequestOffers, campaign: Campaign, *, last: bool) -> bool:
        """Choose contacts that agents may be shown, as if they were called now; they wait meanwhile."""
        calls = [self._next_call() for _ in range(self._filters.to_reserve(campaign.id, request.count))]
        writes: list[Write] = []
        try:
            now = self._now()
            caps = self._caps.of(campaign, now, agent_reserved=True)
            async with self._queues.reserve(campaign.id, calls, now, caps=caps) as reservation:
                screened = self._screened(reservation, campaign, request.count)
                self._feed_all(reservation.purged)
                answer = offers_of(request, self._with_earlier_rounds(screened.granted), now + request.keep_s)
                kept = (
                    Release(permit=permit, not_before_at=offer.kept_until)
                    for permit, offer in zip(screened.granted.permits, answer.offers, strict=True)
                )
                writes = [*screened.writes, *kept]
            # It must be known to wait before anybody can ask for it.
            await self._queues.write(writes)
        except QueueError as error:
            self._trouble(error)
            self._give_back(writes)
            self._refuse(request, "gate is out of reach")
            return False
        again = not last and not answer.offers and bool(screened.writes) and not self._closing
        if not again:
            self._dispatcher.feed(answer)
        return again

    async def _take_back(self, request: ReturnOffer) -> None:
        """Let a contact that was offered wait as before, or until it may be offered again."""
        try:
            asked = self._queues.reserve_contact(request.campaign, request.contact, self._next_call(), self._now())
            async with asked as reservation:
                self._feed_all(reservation.purged)
            writes = returned(request, reservation)
            await self._queues.write(writes)
        except QueueError as error:
            # The time for which it was kept ends by itself.
            self._trouble(error)

    def _with_earlier_rounds(self, granted: PermitsGranted) -> PermitsGranted:
        """The answer to all rounds of a request so far: whoever was turned away in any of them counts."""
        self._turned_away.update(dict(granted.refusals.counts))
        return replace(granted, refusals=Refusals(counts=tuple(sorted(self._turned_away.items()))))

    def _screened(
        self, reservation: Reservation, campaign: Campaign, wanted: int = 1, *, filtered: bool = True
    ) -> _Screened:
        """Of those reserved at most so many who may be called; `filtered`: of whom the campaign's filter lets pass."""
        granted = reservation.granted
        if self._closing:  # began to, while the gate was being asked
            releases: list[Write] = [Release(permit=permit) for permit in granted.permits]
            return _Screened(replace(granted, permits=()), releases)
        now = self._now()
        permits: list[Permit] = []
        writes: list[Write] = []
        reasons = Counter(dict(granted.refusals.counts))
        chosen: Sequence[Permit] = granted.permits
        if filtered and (in_force := reservation.filter) is not None:
            chosen, left_out = self._filters.choose(in_force, campaign.id, chosen)
            aside_at = in_force.aside_at
            writes += [Release(permit=permit, not_before_at=aside_at, reason=FILTERED) for permit in left_out]
            reasons[FILTERED] += len(left_out)

        def screen(permit: Permit, phone: Phone) -> Admitted | TurnedAway:
            return self._screen.judge(permit, campaign, now, phone)

        # What was promised to a person or asked for by an agent is called however often.
        judge = within_attempts(screen) if filtered else screen
        for permit in chosen:
            if len(permits) >= wanted:
                writes.append(Release(permit=permit))
                continue
            answer = judge(permit, permit.phone)
            if isinstance(answer, Admitted):
                permits.append(replace(permit, verdict=answer.verdict))
                continue
            reasons[answer.reason] += 1
            writes.append(turned_away(permit, answer, judge))
        refusals = Refusals(counts=tuple(sorted((+reasons).items())))
        answered = replace(granted, requested=wanted, permits=tuple(permits), refusals=refusals)
        return _Screened(answered, writes)

    async def watch_purges(self) -> None:
        """Apply removals and do-not-call entries as soon as they are written, whether or not anything is dialed."""
        while True:
            await self._open.wait()
            try:
                if await self._queues.wait_for_purges(_PURGE_WAIT_S):
                    self._feed_all(await self._queues.drain())
            except QueueError as error:
                self._trouble(error)
                await asyncio.sleep(_RETRY_S)

    async def heartbeat(self) -> None:
        """Say that this node lives, and take over what a dead one left."""
        while True:
            try:
                # Also while the gate is shut: loading a record takes minutes, and our calls go on meanwhile.
                await self._beat()
                if self.is_open:
                    await self._recover()
                    self.told = NOTHING
            except QueueError as error:
                self._trouble(error)
            await asyncio.sleep(_HEARTBEAT_S)

    async def _beat(self) -> None:
        now = self._now()
        await self._queues.heartbeat(await self._queues.shared_now(now), _HEARTBEAT_TTL_S)
        self._beat_at = now

    async def _seen_alive(self) -> bool:
        """Whether the others take this node for alive: one that stood still for long must say so before it dials.

        Else what it begins now is taken over as a dead node's, while nothing is known of it yet.
        """
        if self._now() - self._beat_at <= _HEARTBEAT_TTL_S / 2:
            return True
        try:
            await self._beat()
        except QueueError as error:
            self._trouble(error)
            return False
        return True

    async def _recover(self) -> None:
        """Take over what an earlier process of this node, or a dead node, left."""
        # Who lives is a question among nodes whose clocks may differ; when it is learned is one of this node's own.
        for call in await self._queues.recover(await self._queues.shared_now(self._now())):
            self._dispatcher.feed(replace(call, at=self._now()))

    def _say_once(self, campaign: Campaign, problem: str) -> None:
        if self._said.get(campaign.id) != problem:
            self._said[campaign.id] = problem
            _log.error("campaign may not dial", campaign=campaign.id, problem=problem)

    def _trouble(self, error: QueueError) -> None:
        self.told = of_error(error)
        if isinstance(error, GateNotReady):
            self._open.clear()
            self._shut.set()
            self.losses += 1
        _log.warning("gate", error=str(error), shut=not self.is_open)

    def _refuse(self, request: PermitRequest, reason: str) -> None:
        answer = no_answer(request, self._now(), reason)
        if answer is not None:
            self._dispatcher.feed(answer)

    def _feed_all(self, purged: tuple[CallPurged, ...]) -> None:
        now = self._now()
        for event in purged:
            # Our clock from here on: how long ago it was written does not depend on how well the clocks agree.
            self._dispatcher.feed(replace(event, at=now))

    def _next_call(self) -> CallId:
        self._sequence += 1
        # Of one length: Asterisk refuses a channel id that begins like that of a live channel.
        return CallId(f"{self._prefix}{self._sequence:010d}")


def _put_off(screened: _Screened, until: float | None) -> _Screened:
    """What is left where whoever was admitted is not called before `until`."""
    granted = screened.granted
    if not granted.permits:
        return screened
    writes: list[Write] = [Release(permit=permit, not_before_at=until) for permit in granted.permits]
    return _Screened(replace(granted, permits=(), refusals=Refusals(counts=((PUT_OFF, 1),))), writes)
