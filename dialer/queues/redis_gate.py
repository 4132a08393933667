"""The gate on Redis: reservations by its script, on a connection that holds back other clients' writes meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, Protocol

from dialer.core.events import PermitsGranted, Refusals
from dialer.core.ids import CallId, CampaignId
from dialer.errors import GateNotReady
from dialer.queues import wire
from dialer.queues.cap_law import CapLaw
from dialer.queues.connection import redis_errors
from dialer.queues.link import Link
from dialer.queues.own_calls import OwnCalls
from dialer.queues.pausing import PausingConnection
from dialer.queues.port import Reservation
from dialer.queues.purge_inbox import DRAIN_AT_ONCE, PurgeInbox

#: A contact whose only free numbers are being called by others is put off by so much.
_NUMBER_LIVE_S: Final = 30.0


class Suppressed(Protocol):
    """Who was erased (`dialer.runtime.suppressed.SuppressedNumbers`)."""

    async def bring_up_to(self, version: int) -> None:
        """Read it anew, where the server has told of other erasures than those known.

        Raises:
            QueueError: it cannot be known; nobody may be called.
        """


class RedisGate:
    """Reserves contacts.

    Args:
        link: to the server.
        calls: of this node.
        inbox: of this node.
        strict: hold back other clients' writes while permits are handed over (docs/adr/0004).
        suppressed: who was erased; brought up to date before what was reserved is handed out.
    """

    def __init__(
        self, link: Link, calls: OwnCalls, inbox: PurgeInbox, *, strict: bool, suppressed: Suppressed | None
    ) -> None:
        self.connection = PausingConnection(link.client, link.keys["turn"])
        self.lock = asyncio.Lock()
        self._link = link
        self._calls = calls
        self._inbox = inbox
        self._strict = strict
        self._suppressed = suppressed

    @asynccontextmanager
    async def reserve(
        self,
        campaign: CampaignId,
        calls: Sequence[CallId],
        now: float,
        lease_s: float,
        caps: CapLaw | None,
        named: tuple[str, ...] = (),
    ) -> AsyncGenerator[Reservation, None]:
        """As the port says; `named`: the contact, and the digits of one of its numbers where that is given too."""
        entered = asyncio.get_running_loop().time()
        async with self.lock:
            try:
                yield await self._run(campaign, calls, now - entered, lease_s, caps, named)
            finally:
                await self.connection.unpause()

    async def _run(
        self,
        campaign: CampaignId,
        calls: Sequence[CallId],
        clock_offset: float,
        lease_s: float,
        caps: CapLaw | None,
        named: tuple[str, ...],
    ) -> Reservation:
        clock = asyncio.get_running_loop().time
        script, refused = self._link.scripts["gate"], dict[str, int]()
        with redis_errors():
            await self._settle_doubts()
            while True:
                asked_at = clock() + clock_offset
                args = (*self.args(campaign, calls, asked_at, caps), *named)
                self._calls.ask_for(calls)
                try:
                    if self._strict:
                        reply = await self.connection.run_and_pause(script, args, int(lease_s * 1_000))
                    else:
                        reply = await self.connection.run(script, args)
                except GateNotReady:
                    self._calls.doubtful.clear()
                    raise
                (
                    more,
                    _,
                    ready,
                    later,
                    first_token,
                    ids,
                    digits,
                    made,
                    records,
                    refusals,
                    inbox,
                    ledgers,
                    effects,
                    erasures,
                    filtered,
                    kept,
                    *told,
                ) = reply
                self._inbox.tell_effects(effects)
                self._calls.doubtful.clear()
                if not more:
                    break
                # A backlog of removals: nobody is reserved before it is gone.
                await self.connection.unpause()
                while more:
                    more, _, effects = await self.connection.run(self._link.scripts["drain"], self._inbox.drain_args())
                    self._inbox.tell_effects(effects)
        for i in range(0, len(refusals), 2):
            refused[refusals[i].decode()] = int(refusals[i + 1])
        # The pause began after `asked_at`, so it lasts longer than this; a tenth is for the coarseness of clocks.
        granted = wire.permits(
            *(ids, digits, made, kept, records, calls),
            campaign=campaign,
            first_token=first_token,
            expires_at=asked_at + lease_s * 0.9,
        )
        self._calls.reserve(granted, calls, asked_at, wire.ledgers_of(ledgers))
        if granted:
            self._link.heard_of(granted[-1].fencing_token)
        if self._suppressed is not None:
            await self._suppressed.bring_up_to(erasures)
        retry_at, lent, waited_until = told[0] if told else (b"", 0, b"")
        return Reservation(
            granted=PermitsGranted(
                at=asked_at,
                campaign=campaign,
                requested=len(calls),
                permits=granted,
                refusals=Refusals(counts=tuple(sorted(refused.items()))),
                ready=ready,
                later=later,
            ),
            purged=self._inbox.read(inbox),
            retry_at=float(retry_at) if retry_at else None,
            lent=bool(lent),
            waited_until=float(waited_until) if waited_until else None,
            filter=wire.filter_in_force(filtered),
        )

    def args(self, campaign: CampaignId, calls: Sequence[CallId], now: float, caps: CapLaw | None) -> tuple[Any, ...]:
        """Of the gate's script."""
        link = self._link
        return (
            *(link.generation, link.owner, campaign, wire.number(now), self._inbox.seen),
            *(link.keep_ms, DRAIN_AT_ONCE, _NUMBER_LIVE_S, len(calls), "\n".join(calls)),
            "" if caps is None else caps.packed,
        )

    async def _settle_doubts(self) -> None:
        doubtful = self._calls.doubtful
        if doubtful:
            args = [part for call in dict.fromkeys(doubtful) for part in (call, *[""] * 9)]
            await self.connection.run(self._link.scripts["release"], (self._link.owner, self._link.keep_ms, *args))
            doubtful.clear()
