"""The port on Redis 6.2 or newer, or Valkey: one server, scripts by EVALSHA, see docs/queues.md."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

from dialer.compliance.caps import Facts
from dialer.compliance.ledger import entry_of
from dialer.core.contact import Contact
from dialer.core.events import CallPurged, CallRecovered
from dialer.core.ids import CallId, CampaignId, ContactId, NodeName, Phone
from dialer.core.permit import Permit
from dialer.core.promise import Due, Promise
from dialer.queues import wire
from dialer.queues.cap_law import CapLaw, subject_of
from dialer.queues.connection import AsyncRedis, connect, is_still_master, raise_first, redis_errors
from dialer.queues.keys import Keys
from dialer.queues.link import Link
from dialer.queues.opening import Opening
from dialer.queues.own_calls import OwnCalls
from dialer.queues.port import (
    ASIDE,
    AsyncRecords,
    Counted,
    HopperDepth,
    Offered,
    PackedOffer,
    Reservation,
    Write,
)
from dialer.queues.purge_inbox import PurgeApplied, PurgeInbox
from dialer.queues.recent_results import RecentResults
from dialer.queues.redis_gate import RedisGate, Suppressed
from dialer.queues.redis_writes import RedisWrites
from dialer.queues.server_check import Company

#: Contacts that one step of another priority looks at: bounds how long other clients wait.
_RANK_AT_ONCE: Final = 500
_OFFERED: Final = {
    ord("A"): Offered.ADDED,
    ord("U"): Offered.UPDATED,
    ord("R"): Offered.REMOVED,
    ord("F"): Offered.FINISHED,
    ord("D"): Offered.DO_NOT_CALL,
}


class RedisQueues:
    """`dialer.queues.port.Queues` on Redis.

    Args:
        client: from `dialer.queues.connection.connect`; closed by `close`.
        node: this node's name; no two running nodes may have the same.
        prefix: of all keys.
        strict_gate: hold back other clients' writes while permits are handed over (docs/adr/0004).
        results_keep_s: results older than this are trimmed.
        highest_token: the highest fencing token that the record in SQL knows; a server whose counter is lower is stale.
        suppressed: who was erased; brought up to date before what was reserved is handed out.
        purge_applied: is told of removals and do-not-call entries that took effect on who waits.
    """

    def __init__(
        self,
        client: AsyncRedis,
        *,
        node: NodeName,
        prefix: str = "cadencia:",
        strict_gate: bool = True,
        results_keep_s: float = 7 * 86_400.0,
        highest_token: int = 0,
        suppressed: Suppressed | None = None,
        purge_applied: PurgeApplied = lambda kind, effect, waited_s: None,
    ) -> None:
        self.keys = Keys(prefix)
        self.recent_results = RecentResults()
        self._strict = strict_gate
        self._link = Link(
            client, node=node, keys=self.keys, keep_ms=int(results_keep_s * 1_000), highest_token=highest_token
        )
        self._calls = OwnCalls()
        self._company = Company(node)
        self._inbox = PurgeInbox(self._link, purge_applied)
        self._gate = RedisGate(self._link, self._calls, self._inbox, strict=strict_gate, suppressed=suppressed)
        self._writes = RedisWrites(self._link, self._calls, self.recent_results)
        self._opening = Opening(self._link, self._calls, self._company, strict=strict_gate)
        #: An answer to `recover` never came: the server may have given us calls that we have not heard of.
        self._recovering = False

    @classmethod
    def from_url(cls, url: str, **options: Any) -> RedisQueues:
        """With a client of its own for `url`."""
        return cls(connect(url, name=f"cadencia-{options['node']}"), **options)

    @property
    def strict_gate(self) -> bool:
        """Whether writes of other clients are held back between check and originate."""
        return self._strict

    @property
    def highest_token(self) -> int:
        """The highest fencing token that was seen; kept in SQL, it tells a stale server."""
        return self._link.highest_token

    @property
    def generation(self) -> str:
        """Which loading of the record this node has last seen: of all nodes the same one; empty: none yet."""
        return self._link.generation

    def heard_of(self, token: int) -> None:
        """Another node was given permits up to this token: a server that knows of fewer is stale, whoever asks it."""
        self._link.heard_of(token)

    async def prepare(self) -> bool:
        """See the port.

        Raises:
            QueueError: out of reach, or it forbids CLIENT PAUSE although the strict gate is asked for.
        """
        with redis_errors():
            return await self._opening.prepare()

    async def rebuild(self, pages: AsyncRecords) -> None:
        """See the port. `Record.counts["fencing_token"]` is the highest token that the record knows."""
        with redis_errors():
            await self._opening.rebuild(pages)

    async def offer(self, contacts: Sequence[Contact]) -> list[Offered]:
        """See the port.

        Raises:
            InputError: a contact is malformed; none of them was added.
            QueueError: out of reach; offer all of them again.
        """
        if len(contacts) > 1_000:
            raise ValueError("at most 1,000 contacts at once")
        for contact in contacts:
            wire.check(contact)
        chunks = list(wire.chunks(contacts))
        answers: list[Offered] = [Offered.ADDED] * len(contacts)
        told = await self._offer([wire.pack([contact for _, contact in chunk]) for chunk in chunks])
        for chunk, letters in zip(chunks, told, strict=True):
            for (position, _), letter in zip(chunk, letters, strict=True):
                answers[position] = _OFFERED[letter]
        return answers

    async def offer_packed(self, offers: Sequence[PackedOffer]) -> Counter[Offered]:
        """See the port.

        Raises:
            QueueError: out of reach; offer all of them again.
        """
        told = b"".join(await self._offer(offers))
        return Counter({offered: count for letter, offered in _OFFERED.items() if (count := told.count(letter))})

    async def _offer(self, offers: Sequence[PackedOffer]) -> list[bytes]:
        """A letter for each contact of each offer; other clients have their turn between two offers."""
        pipeline = self._link.client.pipeline(transaction=False)
        for offer in offers:
            pipeline.execute_command("EVALSHA", self._link.scripts["offer"], 0, offer.campaign, "offer", offer.columns)
        with redis_errors():
            told: list[bytes] = await pipeline.execute(raise_on_error=False)
            raise_first(told)
        return told

    def reserve(
        self,
        campaign: CampaignId,
        calls: Sequence[CallId],
        now: float,
        lease_s: float = 0.05,
        caps: CapLaw | None = None,
    ) -> AbstractAsyncContextManager[Reservation]:
        """See the port. Do not await `write` or any other writing inside the context: it would wait for its end."""
        if not 0.01 <= lease_s <= 1.0:
            raise ValueError("lease_s must be from 0.01 to 1.0 seconds")
        if not 1 <= len(calls) <= 1_000:
            raise ValueError("from 1 to 1,000 calls at once")
        return self._gate.reserve(campaign, calls, now, lease_s, caps)

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
        """See the port, and `reserve`."""
        named = (contact,) if phone is None else (contact, phone[1:])
        return self._gate.reserve(campaign, (call,), now, lease_s, caps, named)

    async def erase(self, phones: Sequence[Phone]) -> int:
        """Forget numbers, wherever they stand: calls to them that ring are hung up. How many contacts were forgotten.

        Raises:
            GateNotReady: the record has not been loaded.
            QueueError: out of reach; do it again.
        """
        digits = [phone[1:] for phone in phones]
        with redis_errors():
            return int(await self._link.run("erase", "", "", self._link.keep_ms, *digits))

    async def set_filter(self, campaign: CampaignId, text: str) -> bool:
        """See the port."""
        with redis_errors():
            return bool(await self._link.run("filter", campaign, text))

    async def set_list_priority(self, campaign: CampaignId, list_id: str, priority: int) -> None:
        """See the port."""
        cursor = b"0"
        with redis_errors():
            while True:
                cursor = await self._link.run("rank", campaign, list_id, str(priority), cursor, _RANK_AT_ONCE)
                if cursor == b"0":
                    return

    async def list_priorities(self, campaign: CampaignId) -> Mapping[str, int]:
        """See the port."""
        with redis_errors():
            known: Any = await self._link.client.hgetall(self.keys.of("list_priorities", campaign))
        return {name.decode(): int(value.rstrip(b"?")) for name, value in known.items()}

    async def count(self, counted: Counted, now: float) -> None:
        """See the port."""
        subject = subject_of(counted.phone, counted.campaign, counted.fields, counted.seller)
        names = (counted.phone[1:], subject.campaign, subject.person, subject.account, subject.subject, subject.seller)
        kind = "refusal" if counted.facts == Facts.REFUSED else "call"
        entry = entry_of(counted.started_at, counted.facts, counted.ended_at)
        with redis_errors():
            await self._link.run("count", *names, kind, *entry, wire.number(now))

    async def promise(self, contact: Contact, promise: Promise, attempts: int = 0) -> Offered:
        """See the port.

        Raises:
            InputError: the contact is malformed; nothing was done.
            QueueError: out of reach; do it again.
        """
        wire.check(contact)
        with redis_errors():
            made = await self._link.run("promise", "agreed", promise.campaign, *wire.promise_args(promise))
        # A call that has just ended is not in SQL yet.
        (letters,) = await self._offer([wire.pack([contact], [max(attempts, made)])])
        return _OFFERED[letters[0]]

    async def due_for_agents(self, campaign: CampaignId, now: float, limit: int = 100) -> Sequence[Due]:
        """See the port."""
        with redis_errors():
            rows = await self._link.run("due", campaign, wire.number(now), limit)
        return [wire.due(rows[i], rows[i + 1], now) for i in range(0, len(rows), 2)]

    async def holders(self, phone: Phone) -> Sequence[tuple[CampaignId, ContactId]]:
        """See the port."""
        with redis_errors():
            lines: Any = await self._link.client.hget(self.keys["phones"], phone[1:])
        owners = (line.partition("\t") for line in (lines or b"").decode().splitlines())
        return sorted((CampaignId(campaign), ContactId(contact)) for campaign, _, contact in owners)

    async def lend(self, contact: Contact, attempts: int = 0) -> Offered:
        """See the port.

        Raises:
            InputError: the contact is malformed.
            QueueError: out of reach; do it again.
        """
        wire.check(contact)
        with redis_errors():
            letter = await self._link.run("lend", contact.campaign, contact.id, attempts, *wire.record_args(contact))
        return {b"L": Offered.ADDED, b"W": Offered.UPDATED, b"R": Offered.REMOVED}[letter]

    def gate_command(
        self, campaign: CampaignId, calls: Sequence[CallId], now: float, caps: CapLaw | None = None
    ) -> tuple[Any, ...]:
        """The bare command of a reservation, for measuring it without all that is around it."""
        return ("EVALSHA", self._link.scripts["gate"], 0, *self._gate.args(campaign, calls, now, caps))

    async def write(self, writes: Sequence[Write]) -> None:
        """See the port. Results may be published twice where a batch is written again after an error."""
        if writes:
            await self._writes.write(writes)

    async def drain(self) -> tuple[CallPurged, ...]:
        """See the port."""
        with redis_errors():
            return await self._inbox.drain()

    async def wait_for_purges(self, timeout_s: float) -> bool:
        """See the port."""
        with redis_errors():
            return await self._inbox.wait(timeout_s)

    async def shared_now(self, now: float) -> float:
        """See the port: that of the server. Nodes' own may be apart by more than a heartbeat holds."""
        with redis_errors():
            seconds, microseconds = await self._link.client.time()
        return float(seconds) + microseconds / 1e6

    async def recover(self, now: float) -> list[CallRecovered]:
        """See the port. A call whose reservation was all that happened is given too: nobody can know more of it."""
        found: list[tuple[CallRecovered, float, str]] = []
        with redis_errors():
            args: tuple[Any, ...] = (self._link.owner, self._link.node, wire.number(now), 500)
            known = self._calls.names() if self._recovering else ()
            self._recovering = True
            while rows := await self._link.run("recover", *args, *known):
                found += [
                    (wire.recovered(rows[i], rows[i + 1], now), *wire.ledgered(rows[i + 1]))
                    for i in range(0, len(rows), 2)
                ]
                known = (*known, *rows[::2]) if known else ()
            self._recovering = False
        for call, reserved_at, ledgers in found:
            self._link.heard_of(call.fencing_token)
            self._calls.outstanding[call.call] = wire.Outstanding(
                ledgers=ledgers,
                reserved_at=reserved_at,
                permit=Permit(
                    call=call.call,
                    campaign=call.campaign,
                    contact=call.contact,
                    phone=call.phone,
                    fencing_token=call.fencing_token,
                    attempt_number=call.attempt_number,
                    expires_at=0.0,
                ),
            )
        return [call for call, _, _ in found]

    async def heartbeat(self, now: float, ttl_s: float) -> None:
        """See the port. All nodes must say `now` by the same clock (`shared_now`)."""
        with redis_errors():
            await self._follow_master()
            pipeline = self._link.client.pipeline(transaction=False)
            pipeline.zadd(self.keys["nodes"], {self._link.owner: now + ttl_s})
            pipeline.zremrangebyscore(self.keys["nodes"], "-inf", now - 86_400)
            await pipeline.execute()
            await self._company.look(self._link.client, self.keys, now)

    async def _follow_master(self) -> None:
        """Leave a server that another one has replaced: it may go on answering, and hears of no removal any more."""
        for part in (self._gate, self._writes):
            if not await is_still_master(self._link.client, part.connection.connected_to):
                async with part.lock:
                    await part.connection.close()

    async def depth(self, campaign: CampaignId) -> HopperDepth:
        """See the port."""
        with redis_errors():
            pipeline = self._link.client.pipeline(transaction=False)
            pipeline.zcard(self.keys.of("ready", campaign))
            pipeline.zcard(self.keys.of("later", campaign))
            pipeline.hget(self.keys["live_count"], campaign)
            pipeline.zcard(self.keys.of("reserved", campaign))
            pipeline.zcount(self.keys.of("later", campaign), ASIDE, "+inf")
            ready, later, live, reserved, aside = await pipeline.execute()
        return HopperDepth(ready=ready, later=later - aside, live=int(live or 0), reserved=reserved, aside=aside)

    async def close(self) -> None:
        """See the port."""
        await self._gate.connection.close()
        await self._writes.connection.close()
        await self._link.client.aclose()
