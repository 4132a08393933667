"""The port in memory: for tests, simulation and whoever wants to see the rules without Lua. One process, nothing kept.

The same contract suite and a model-based property test hold it to what the scripts do.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from typing import assert_never

from dialer.core.contact import Contact
from dialer.core.events import CallPurged, CallRecovered
from dialer.core.ids import CallId, CampaignId, ContactId, NodeName, Phone
from dialer.core.promise import Due, Promise
from dialer.errors import GateNotReady
from dialer.queues import memory_calls, memory_hopper, wire
from dialer.queues.cap_law import CapLaw, subject_of
from dialer.queues.memory_gate import GateRun
from dialer.queues.memory_server import Key, MemoryServer
from dialer.queues.port import (
    ASIDE,
    AsyncRecords,
    Counted,
    FilterInForce,
    Finish,
    HopperDepth,
    MarkLive,
    Offered,
    PackedOffer,
    Publish,
    Refuse,
    Release,
    Reservation,
    Write,
)


class MemoryQueues:
    """`dialer.queues.port.Queues` for one node on a `MemoryServer`."""

    def __init__(self, server: MemoryServer, *, node: NodeName) -> None:
        self._server = server
        self.node = node
        self.inbox: list[CallPurged] = []

    async def prepare(self) -> bool:
        """See the port."""
        return self._server.loaded

    async def rebuild(self, pages: AsyncRecords) -> None:
        """See the port."""
        server = self._server
        async for page in pages:
            memory_hopper.load(server, page)
        server.epoch = server.token = server.token + 1_000_000
        server.loaded = True

    async def offer(self, contacts: Sequence[Contact]) -> list[Offered]:
        """See the port."""
        if len(contacts) > 1_000:
            raise ValueError("at most 1,000 contacts at once")
        for contact in contacts:
            wire.check(contact)
        self._check_loaded()
        return [memory_hopper.offer(self._server, contact) for contact in contacts]

    async def offer_packed(self, offers: Sequence[PackedOffer]) -> Counter[Offered]:
        """See the port."""
        self._check_loaded()
        return Counter(memory_hopper.offer(self._server, contact) for offer in offers for contact in wire.unpack(offer))

    def reserve(
        self,
        campaign: CampaignId,
        calls: Sequence[CallId],
        now: float,
        lease_s: float = 0.05,
        caps: CapLaw | None = None,
    ) -> AbstractAsyncContextManager[Reservation]:
        """See the port."""
        return self._reserve(campaign, calls, now, lease_s, caps)

    def reserve_contact(
        self,
        campaign: CampaignId,
        contact: ContactId,
        call: CallId,
        now: float,
        lease_s: float = 0.05,
        caps: CapLaw | None = None,
        phone: Phone | None = None,
    ) -> AbstractAsyncContextManager[Reservation]:
        """See the port."""
        return self._reserve_contact((campaign, contact), call, now, lease_s, caps, phone)

    @asynccontextmanager
    async def _reserve(
        self, campaign: CampaignId, calls: Sequence[CallId], now: float, lease_s: float, caps: CapLaw | None
    ) -> AsyncGenerator[Reservation, None]:
        async with self._server.holder:
            self._check_loaded()
            yield self._run(now, lease_s, caps).reserve(campaign, calls)

    @asynccontextmanager
    async def _reserve_contact(
        self, key: Key, call: CallId, now: float, lease_s: float, caps: CapLaw | None, phone: Phone | None
    ) -> AsyncGenerator[Reservation, None]:
        async with self._server.holder:
            self._check_loaded()
            yield self._run(now, lease_s, caps).reserve_contact(key, call, phone)

    def _run(self, now: float, lease_s: float, caps: CapLaw | None) -> GateRun:
        return GateRun(self._server, self, now=now, expires_at=now + lease_s * 0.9, law=caps)

    async def promise(self, contact: Contact, promise: Promise, attempts: int = 0) -> Offered:
        """See the port."""
        wire.check(contact)
        self._check_loaded()
        server, made = self._server, self._server.made.get((contact.campaign, contact.id), 0)
        memory_hopper.promise(server, promise, agreed=True)
        return memory_hopper.offer(server, contact, attempts=max(attempts, made))

    async def due_for_agents(self, campaign: CampaignId, now: float, limit: int = 100) -> Sequence[Due]:
        """See the port."""
        self._check_loaded()
        server = self._server
        server.promote(campaign, now)
        waiting = [server.promised[campaign, contact] for contact in server.reserved.get(campaign, ())]
        return [
            Due(
                contact=promised.promise.contact,
                agent=promised.promise.agent if now < promised.promise.fallback_at else None,
                due_at=promised.at,
                until_at=promised.promise.until_at,
            )
            for promised in sorted(waiting, key=lambda one: (one.at, one.promise.contact))
        ][:limit]

    async def holders(self, phone: Phone) -> Sequence[tuple[CampaignId, ContactId]]:
        """See the port."""
        return sorted(
            (CampaignId(key[0]), ContactId(key[1]))
            for key, waiting in self._server.data.items()
            if phone in waiting.contact.phones and key not in self._server.finished
        )

    async def lend(self, contact: Contact, attempts: int = 0) -> Offered:
        """See the port."""
        wire.check(contact)
        self._check_loaded()
        return memory_hopper.lend(self._server, contact, attempts)

    async def set_filter(self, campaign: CampaignId, text: str) -> bool:
        """See the port."""
        self._check_loaded()
        known = self._server.filters.get(campaign, FilterInForce("", 0))
        if known.text == text:
            return False
        self._server.filters[campaign] = FilterInForce(text, known.number + 1)
        return True

    async def set_list_priority(self, campaign: CampaignId, list_id: str, priority: int) -> None:
        """See the port."""
        self._check_loaded()
        self._server.list_priorities[campaign, list_id] = priority

    async def list_priorities(self, campaign: CampaignId) -> Mapping[str, int]:
        """See the port."""
        known = self._server.list_priorities
        return {name: priority for (of, name), priority in known.items() if of == campaign and priority}

    async def count(self, counted: Counted, now: float) -> None:
        """See the port."""
        async with self._server.holder:
            self._check_loaded()
            subject = subject_of(counted.phone, counted.campaign, counted.fields, counted.seller)
            for key in self._server.kept:
                name = (key, subject.key(key))
                self._server.ledger(name).count(counted.started_at, counted.facts, over_at=counted.ended_at)
                self._server.prune(name, now)

    async def write(self, writes: Sequence[Write]) -> None:
        """See the port."""
        async with self._server.holder:
            self._check_loaded()
            for write in writes:
                match write:
                    case Publish():
                        self._server.results.append(dict(write.result))
                    case MarkLive():
                        if write.call in self._server.live:
                            self._server.live[write.call].call.mark(write)
                    case Finish():
                        memory_calls.finish(self._server, self, write)
                    case Release():
                        memory_calls.release(self._server, write)
                    case Refuse():
                        memory_calls.refuse(self._server, write)
                    case _:
                        assert_never(write)

    async def drain(self) -> tuple[CallPurged, ...]:
        """See the port."""
        async with self._server.holder:
            self._check_loaded()
            self._server.drain()
            return self.take_inbox()

    async def wait_for_purges(self, timeout_s: float) -> bool:
        """See the port."""
        if self.inbox:
            return True
        try:
            async with asyncio.timeout(timeout_s):
                await self._server.arrived.wait()
        except TimeoutError:
            return bool(self.inbox)
        return True

    async def shared_now(self, now: float) -> float:
        """See the port: there is but one clock here."""
        return now

    async def recover(self, now: float) -> list[CallRecovered]:
        """See the port."""
        self._check_loaded()
        server = self._server
        server.heartbeats.setdefault(self, now + 10)
        found = []
        for live in server.live.values():
            its = live.owner
            alive = server.heartbeats.get(its, 0.0) > now
            if its is self or (alive and its.node != self.node):
                continue
            server.token += 1
            live.owner = self
            live.call.permit = replace(live.call.permit, fencing_token=server.token)
            self.inbox += live.told
            record = "\t".join(("-", *(str(part) for part in live.call.args()[1:]))).encode()
            found.append(wire.recovered(live.call.permit.call.encode(), record, now))
        return found

    async def heartbeat(self, now: float, ttl_s: float) -> None:
        """See the port."""
        self._server.heartbeats[self] = now + ttl_s

    async def depth(self, campaign: CampaignId) -> HopperDepth:
        """See the port."""
        server = self._server
        later = server.later.get(campaign, {}).values()
        return HopperDepth(
            ready=len(server.ready.get(campaign, ())),
            later=sum(at < ASIDE for at in later),
            live=sum(live.call.permit.campaign == campaign for live in server.live.values()),
            reserved=len(server.reserved.get(campaign, ())),
            aside=sum(at >= ASIDE for at in later),
        )

    async def close(self) -> None:
        """See the port."""

    def take_inbox(self) -> tuple[CallPurged, ...]:
        """What has been done to calls of this node since it was last asked."""
        taken, self.inbox = tuple(self.inbox), []
        return taken

    def _check_loaded(self) -> None:
        if not self._server.loaded:
            raise GateNotReady("the record must be loaded before anybody is dialed")
