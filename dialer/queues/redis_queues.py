"""The port on Redis 6.2 or newer, or Valkey: one server, scripts by EVALSHA, see docs/queues.md."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import repeat
from typing import Any, Final, Protocol, assert_never

from redis import exceptions

from dialer.compliance.caps import Facts, facts_of
from dialer.compliance.ledger import entry_of
from dialer.core.contact import Contact
from dialer.core.events import CallPurged, CallRecovered, PermitsGranted, Refusals
from dialer.core.ids import CallId, CampaignId, ContactId, NodeName, Phone
from dialer.core.permit import Permit
from dialer.core.promise import Due, Promise
from dialer.errors import GateNotReady, QueueError
from dialer.queues import wire
from dialer.queues.cap_law import CapLaw, subject_of
from dialer.queues.connection import AsyncRedis, connect, is_still_master, raise_first, redis_errors
from dialer.queues.encoding import to_json
from dialer.queues.journal import JournalEntry, RefusalEntry, encode_entry
from dialer.queues.keys import Keys
from dialer.queues.pausing import PausingConnection
from dialer.queues.port import (
    ASIDE,
    AsyncRecords,
    Counted,
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
from dialer.queues.rebuild import load_record
from dialer.queues.recent_results import RecentResults
from dialer.queues.results import call_ended
from dialer.queues.scripts import Scripts
from dialer.queues.server_check import LAYOUT, Company, ServerIdentity, check_server, shut

#: Entries of each stream that one run of the gate drains; with more waiting it reserves nobody.
_DRAIN_AT_ONCE: Final = 500
#: A contact whose only free numbers are being called by others is put off by so much.
_NUMBER_LIVE_S: Final = 30.0
_BLOCK_S: Final = 1.0
#: Contacts that one step of another priority looks at: bounds how long other clients wait.
_RANK_AT_ONCE: Final = 500
_OFFERED: Final = {
    ord("A"): Offered.ADDED,
    ord("U"): Offered.UPDATED,
    ord("R"): Offered.REMOVED,
    ord("F"): Offered.FINISHED,
    ord("D"): Offered.DO_NOT_CALL,
}


class Suppressed(Protocol):
    """Who was erased (`dialer.runtime.suppressed.SuppressedNumbers`)."""

    async def bring_up_to(self, version: int) -> None:
        """Read it anew, where the server has told of other erasures than those known.

        Raises:
            QueueError: it cannot be known; nobody may be called.
        """


#: Is told what a removal or do-not-call entry did: "removal" or "dnc", its effect (applied, removed, not_found;
#: cancelled or too_late for a call), and how many seconds after it was written.
PurgeApplied = Callable[[str, str, float], None]


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
        self._client = client
        self._purge_applied = purge_applied
        self._node = node
        self._owner = f"{node}#{secrets.token_hex(4)}"
        self._strict = strict_gate
        self._suppressed = suppressed
        self._keep_ms = int(results_keep_s * 1_000)
        self._highest_token = highest_token
        self._scripts = Scripts(self.keys)
        self._gate = PausingConnection(client, self.keys["turn"])
        self._gate_lock = asyncio.Lock()
        #: As the gate has one: redis-py's pipeline takes longer for each answer than the server for the write.
        self._writes = PausingConnection(client, self.keys["turn"])
        self._write_lock = asyncio.Lock()
        self._generation = ""
        self._company = Company(node)
        self._inbox_seen = ""
        #: Calls under way; those that no more is known of than when they were reserved are kept as they came.
        self._outstanding: dict[CallId, wire.Outstanding] = {}
        self._reserved: dict[CallId, tuple[Permit, float, str]] = {}
        #: Calls of reservations whose answer never came; they are given back before anything else is reserved.
        self._doubtful: list[CallId] = []
        #: Calls whose end was written, and perhaps not heard: it will be written again.
        self._ending: set[CallId] = set()
        #: Beginnings of the ids of calls that were reserved here, up to their number.
        self._made: set[str] = set()
        self.recent_results = RecentResults()
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
        return self._highest_token

    @property
    def generation(self) -> str:
        """Which loading of the record this node has last seen: of all nodes the same one; empty: none yet."""
        return self._generation

    def heard_of(self, token: int) -> None:
        """Another node was given permits up to this token: a server that knows of fewer is stale, whoever asks it."""
        self._highest_token = max(self._highest_token, token)

    async def prepare(self) -> bool:
        """See the port.

        Raises:
            QueueError: out of reach, or it forbids CLIENT PAUSE although the strict gate is asked for.
        """
        with redis_errors():
            if self._strict:
                await self._check_pause()
            identity = await self._identity()
            if not identity.holds_record:
                return False
            await self._load_scripts()
            if await self._ghosts("look"):
                # Another node has opened it; of our own calls it remembers some that are over.
                return False
            if not await self._open(identity, mode="known", back=identity.generation == self._generation):
                return False
        return True

    async def rebuild(self, pages: AsyncRecords) -> None:
        """See the port. `Record.counts["fencing_token"]` is the highest token that the record knows."""
        with redis_errors():
            identity = await self._identity()
            back = identity.generation == self._generation
            if identity.generation and not identity.holds_record:
                # Before it can run scripts. One that was set back does not know of calls that have begun since, takes
                # their ends for repeated ones and answers that all is well; and other nodes might dial from it.
                await shut(self._client, self.keys, identity.generation)
            await self._load_scripts()
            # First of all: the record puts back into the hopper whom nobody is calling.
            await self._ghosts("drop")
            # Whichever node opens it, it knows of our calls by then.
            await self._relive(back=back)
            highest = await load_record(self._client, self._scripts, pages)
            self._highest_token = max(self._highest_token, highest)
            await self._open(await self._identity(), mode="loaded", back=back)

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
        pipeline = self._client.pipeline(transaction=False)
        for offer in offers:
            pipeline.execute_command("EVALSHA", self._scripts["offer"], 0, offer.campaign, "offer", offer.columns)
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
        """See the port, and `reserve`."""
        named = (contact,) if phone is None else (contact, phone[1:])
        return self._reserve(campaign, (call,), now, lease_s, caps, named)

    @asynccontextmanager
    async def _reserve(
        self,
        campaign: CampaignId,
        calls: Sequence[CallId],
        now: float,
        lease_s: float,
        caps: CapLaw | None,
        named: tuple[str, ...] = (),
    ) -> AsyncGenerator[Reservation, None]:
        entered = asyncio.get_running_loop().time()
        async with self._gate_lock:
            try:
                yield await self._through_gate(campaign, calls, now - entered, lease_s, caps, named)
            finally:
                await self._gate.unpause()

    async def _through_gate(
        self,
        campaign: CampaignId,
        calls: Sequence[CallId],
        clock_offset: float,
        lease_s: float,
        caps: CapLaw | None,
        named: tuple[str, ...],
    ) -> Reservation:
        clock = asyncio.get_running_loop().time
        script, refused = self._scripts["gate"], dict[str, int]()
        with redis_errors():
            await self._settle_doubts()
            while True:
                asked_at = clock() + clock_offset
                args = (*self._gate_args(campaign, calls, asked_at, caps), *named)
                self._doubtful.extend(calls)
                self._made.update({call.rpartition("-")[0] + "-" for call in calls})
                try:
                    if self._strict:
                        reply = await self._gate.run_and_pause(script, args, int(lease_s * 1_000))
                    else:
                        reply = await self._gate.run(script, args)
                except GateNotReady:
                    self._doubtful.clear()
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
                self._tell_effects(effects)
                self._doubtful.clear()
                if not more:
                    break
                # A backlog of removals: nobody is reserved before it is gone.
                await self._gate.unpause()
                while more:
                    more, _, effects = await self._gate.run(self._scripts["drain"], self._drain_args())
                    self._tell_effects(effects)
        for i in range(0, len(refusals), 2):
            refused[refusals[i].decode()] = int(refusals[i + 1])
        # The pause began after `asked_at`, so it lasts longer than this; a tenth is for the coarseness of clocks.
        granted = wire.permits(
            *(ids, digits, made, kept, records, calls),
            campaign=campaign,
            first_token=first_token,
            expires_at=asked_at + lease_s * 0.9,
        )
        each = zip(granted, repeat(asked_at), wire.ledgers_of(ledgers), strict=False)
        self._reserved.update(zip(calls, each, strict=False))
        if granted:
            self._highest_token = max(self._highest_token, granted[-1].fencing_token)
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
            purged=self._read_inbox(inbox),
            retry_at=float(retry_at) if retry_at else None,
            lent=bool(lent),
            waited_until=float(waited_until) if waited_until else None,
            filter=wire.filter_in_force(filtered),
        )

    async def erase(self, phones: Sequence[Phone]) -> int:
        """Forget numbers, wherever they stand: calls to them that ring are hung up. How many contacts were forgotten.

        Raises:
            GateNotReady: the record has not been loaded.
            QueueError: out of reach; do it again.
        """
        digits = [phone[1:] for phone in phones]
        with redis_errors():
            return int(await self._run("erase", "", "", self._keep_ms, *digits))

    async def set_filter(self, campaign: CampaignId, text: str) -> bool:
        """See the port."""
        with redis_errors():
            return bool(await self._run("filter", campaign, text))

    async def set_list_priority(self, campaign: CampaignId, list_id: str, priority: int) -> None:
        """See the port."""
        cursor = b"0"
        with redis_errors():
            while True:
                cursor = await self._run("rank", campaign, list_id, str(priority), cursor, _RANK_AT_ONCE)
                if cursor == b"0":
                    return

    async def list_priorities(self, campaign: CampaignId) -> Mapping[str, int]:
        """See the port."""
        with redis_errors():
            known: Any = await self._client.hgetall(self.keys.of("list_priorities", campaign))
        return {name.decode(): int(value.rstrip(b"?")) for name, value in known.items()}

    async def count(self, counted: Counted, now: float) -> None:
        """See the port."""
        subject = subject_of(counted.phone, counted.campaign, counted.fields, counted.seller)
        names = (counted.phone[1:], subject.campaign, subject.person, subject.account, subject.subject, subject.seller)
        kind = "refusal" if counted.facts == Facts.REFUSED else "call"
        entry = entry_of(counted.started_at, counted.facts, counted.ended_at)
        with redis_errors():
            await self._run("count", *names, kind, *entry, wire.number(now))

    async def promise(self, contact: Contact, promise: Promise, attempts: int = 0) -> Offered:
        """See the port.

        Raises:
            InputError: the contact is malformed; nothing was done.
            QueueError: out of reach; do it again.
        """
        wire.check(contact)
        with redis_errors():
            made = await self._run("promise", "agreed", promise.campaign, *wire.promise_args(promise))
        # A call that has just ended is not in SQL yet.
        (letters,) = await self._offer([wire.pack([contact], [max(attempts, made)])])
        return _OFFERED[letters[0]]

    async def due_for_agents(self, campaign: CampaignId, now: float, limit: int = 100) -> Sequence[Due]:
        """See the port."""
        with redis_errors():
            rows = await self._run("due", campaign, wire.number(now), limit)
        return [wire.due(rows[i], rows[i + 1], now) for i in range(0, len(rows), 2)]

    async def holders(self, phone: Phone) -> Sequence[tuple[CampaignId, ContactId]]:
        """See the port."""
        with redis_errors():
            lines: Any = await self._client.hget(self.keys["phones"], phone[1:])
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
            letter = await self._run("lend", contact.campaign, contact.id, attempts, *wire.record_args(contact))
        return {b"L": Offered.ADDED, b"W": Offered.UPDATED, b"R": Offered.REMOVED}[letter]

    def _gate_args(
        self, campaign: CampaignId, calls: Sequence[CallId], now: float, caps: CapLaw | None
    ) -> tuple[Any, ...]:
        return (
            *(self._generation, self._owner, campaign, wire.number(now), self._inbox_seen),
            *(self._keep_ms, _DRAIN_AT_ONCE, _NUMBER_LIVE_S, len(calls), "\n".join(calls)),
            "" if caps is None else caps.packed,
        )

    def gate_command(
        self, campaign: CampaignId, calls: Sequence[CallId], now: float, caps: CapLaw | None = None
    ) -> tuple[Any, ...]:
        """The bare command of a reservation, for measuring it without all that is around it."""
        return ("EVALSHA", self._scripts["gate"], 0, *self._gate_args(campaign, calls, now, caps))

    async def write(self, writes: Sequence[Write]) -> None:
        """See the port. Results may be published twice where a batch is written again after an error."""
        if not writes:
            return
        commands: list[tuple[Any, ...]] = []
        told: list[bytes | None] = []
        for write in writes:
            result: bytes | None = None
            match write:
                case Publish():
                    result = to_json(write.result)
                    commands.append(("EVALSHA", self._scripts["publish"], 0, self._keep_ms, result))
                case MarkLive():
                    known = self._under_way(write.call)
                    made = ("",) if known is None else known.reservation(self._owner)
                    moment = (wire.number(write.at), write.server or "", write.agent or "")
                    mark = (write.call, str(write.state), *moment, *made)
                    commands.append(("EVALSHA", self._scripts["mark"], 0, *mark))
                case Finish():
                    result = to_json(call_ended(write.attempt, write.retry_at))
                    commands.append(("EVALSHA", self._scripts["finish"], 0, *self._finish_args(write, result)))
                case Release():
                    commands.append(("EVALSHA", self._scripts["release"], 0, *self._release_args(write)))
                case Refuse():
                    commands.append(("EVALSHA", self._scripts["refuse"], 0, *self._refuse_args(write)))
                case _:
                    assert_never(write)
            told.append(result)
        async with self._write_lock:
            # Until the answer is here: whether these are over is not known.
            ends = [_ends(write) for write in writes]
            in_doubt = set(self._ending)
            self._ending.update(call for call in ends if call is not None)
            with redis_errors():
                replies = await self._writes.run_all(commands)
                self._note_told(told, replies)
                refused = {call for call, reply in zip(ends, replies, strict=True) if isinstance(reply, Exception)}
                # These are not, unless an earlier try was.
                self._ending.difference_update(refused - in_doubt)
                raise_first(replies)
            self._ending.difference_update(ends)
        for write in writes:
            match write:
                case MarkLive() if write.call in self._outstanding:
                    self._outstanding[write.call].mark(write)
                case Finish():
                    self._forget(write.attempt.call)
                case Release() | Refuse():
                    self._forget(write.permit.call)
                case _:
                    pass

    def _note_told(self, told: Sequence[bytes | None], replies: Sequence[Any]) -> None:
        """Remember what the server has now; an end that was told before, or is another node's to tell, is not ours."""
        now = asyncio.get_running_loop().time()
        for result, reply in zip(told, replies, strict=True):
            if result is not None and reply != 0 and not isinstance(reply, Exception):
                self.recent_results.note(result, now)

    def _under_way(self, call: CallId) -> wire.Outstanding | None:
        fresh = self._reserved.pop(call, None)
        if fresh is not None:
            self._outstanding[call] = wire.Outstanding(*fresh)
        return self._outstanding.get(call)

    def _forget(self, call: CallId) -> None:
        self._reserved.pop(call, None)
        self._outstanding.pop(call, None)

    def _release_args(self, release: Release) -> tuple[Any, ...]:
        permit = release.permit
        refusal: tuple[Any, ...] = ("", "")
        if release.evidence is not None:
            refusal = self._refusal(permit, release.reason, release.evidence)
        return (
            *(self._owner, self._keep_ms, permit.call, permit.phone[1:], permit.fencing_token),
            *(wire.optional(release.not_before_at), permit.campaign, permit.contact, self._in_ledgers(permit.call)),
            *refusal,
            wire.waits_text(release.waits),
        )

    def _refuse_args(self, refuse: Refuse) -> tuple[Any, ...]:
        permit = refuse.permit
        return (
            *(self._owner, self._keep_ms, permit.call, permit.phone[1:], permit.fencing_token),
            *(permit.campaign, permit.contact, self._in_ledgers(permit.call), refuse.reason),
            *self._refusal(permit, refuse.reason, refuse.evidence),
        )

    def _in_ledgers(self, call: CallId) -> str:
        known = self._known(call)
        return "1" if known is None or known[1] else ""

    def _known(self, call: CallId) -> tuple[float, str] | None:
        """When a call of ours was reserved, and the names of its ledgers."""
        if call in self._reserved:
            return self._reserved[call][1:]
        known = self._outstanding.get(call)
        return None if known is None else (known.reserved_at, known.ledgers)

    def _refusal(self, permit: Permit, reason: str, evidence: Mapping[str, object]) -> tuple[str, bytes]:
        # By the clock of whoever reserved: the refusal follows within the permit's short life.
        known = self._known(permit.call)
        return wire.refusal(
            RefusalEntry(
                at=permit.expires_at if known is None else known[0],
                call=permit.call,
                campaign=permit.campaign,
                contact=permit.contact,
                phone=permit.phone,
                reason=reason,
                evidence=evidence,
            )
        )

    def _finish_args(self, finish: Finish, result: bytes) -> tuple[Any, ...]:
        attempt = finish.attempt
        known = self._known(attempt.call)
        entry = JournalEntry(
            attempt=attempt,
            retry_at=finish.retry_at,
            fencing_token=finish.fencing_token,
            needs_agent=finish.needs_agent,
        )
        return (
            self._owner,
            attempt.call,
            finish.fencing_token,
            attempt.campaign,
            attempt.contact,
            attempt.phone[1:],
            attempt.attempt_number,
            wire.optional(finish.retry_at),
            encode_entry(entry),
            result,
            self._keep_ms,
            *(("", "") if known is None else (wire.number(known[0]), known[1])),
            *entry_of(attempt.started_at, facts_of(attempt), attempt.ended_at),
            wire.number(attempt.ended_at),
            "1" if finish.needs_agent else "",
        )

    async def drain(self) -> tuple[CallPurged, ...]:
        """See the port."""
        found: list[CallPurged] = []
        with redis_errors():
            while True:
                more, inbox, effects = await self._run("drain", *self._drain_args())
                self._tell_effects(effects)
                found += self._read_inbox(inbox)
                if not more:
                    return tuple(found)

    async def wait_for_purges(self, timeout_s: float) -> bool:
        """See the port."""
        clock = asyncio.get_running_loop().time
        until = clock() + timeout_s
        keys = (self.keys["removals"], self.keys["dnc"], self.keys.of("inbox", self._owner))
        with redis_errors():
            while (left_s := until - clock()) > 0:
                removals, dnc = await self._client.hmget(self.keys["gate"], ["removals", "dnc"])
                after = (removals or b"0-0", dnc or b"0-0", self._inbox_seen or b"0-0")
                block_ms = max(1, int(min(left_s, _BLOCK_S) * 1_000))
                if await self._client.xread(dict(zip(keys, after, strict=True)), count=1, block=block_ms):
                    return True
        return False

    async def shared_now(self, now: float) -> float:
        """See the port: that of the server. Nodes' own may be apart by more than a heartbeat holds."""
        with redis_errors():
            seconds, microseconds = await self._client.time()
        return float(seconds) + microseconds / 1e6

    async def recover(self, now: float) -> list[CallRecovered]:
        """See the port. A call whose reservation was all that happened is given too: nobody can know more of it."""
        found: list[tuple[CallRecovered, float, str]] = []
        with redis_errors():
            args: tuple[Any, ...] = (self._owner, self._node, wire.number(now), 500)
            known = self._calls_here() if self._recovering else ()
            self._recovering = True
            while rows := await self._run("recover", *args, *known):
                found += [
                    (wire.recovered(rows[i], rows[i + 1], now), *wire.ledgered(rows[i + 1]))
                    for i in range(0, len(rows), 2)
                ]
                known = (*known, *rows[::2]) if known else ()
            self._recovering = False
        for call, reserved_at, ledgers in found:
            self._highest_token = max(self._highest_token, call.fencing_token)
            self._outstanding[call.call] = wire.Outstanding(
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
            pipeline = self._client.pipeline(transaction=False)
            pipeline.zadd(self.keys["nodes"], {self._owner: now + ttl_s})
            pipeline.zremrangebyscore(self.keys["nodes"], "-inf", now - 86_400)
            await pipeline.execute()
            await self._company.look(self._client, self.keys, now)

    async def _follow_master(self) -> None:
        """Leave a server that another one has replaced: it may go on answering, and hears of no removal any more."""
        for kept, lock in ((self._gate, self._gate_lock), (self._writes, self._write_lock)):
            if not await is_still_master(self._client, kept.connected_to):
                async with lock:
                    await kept.close()

    async def depth(self, campaign: CampaignId) -> HopperDepth:
        """See the port."""
        with redis_errors():
            pipeline = self._client.pipeline(transaction=False)
            pipeline.zcard(self.keys.of("ready", campaign))
            pipeline.zcard(self.keys.of("later", campaign))
            pipeline.hget(self.keys["live_count"], campaign)
            pipeline.zcard(self.keys.of("reserved", campaign))
            pipeline.zcount(self.keys.of("later", campaign), ASIDE, "+inf")
            ready, later, live, reserved, aside = await pipeline.execute()
        return HopperDepth(ready=ready, later=later - aside, live=int(live or 0), reserved=reserved, aside=aside)

    async def close(self) -> None:
        """See the port."""
        await self._gate.close()
        await self._writes.close()
        await self._client.aclose()

    async def _run(self, script: str, *args: Any) -> Any:
        return await self._command("EVALSHA", self._scripts[script], 0, *args)

    async def _command(self, *parts: Any) -> Any:
        return await self._client.execute_command(*parts)  # type: ignore[no-untyped-call]  # redis-py

    def _drain_args(self) -> tuple[Any, ...]:
        return (self._owner, self._inbox_seen, self._keep_ms, _DRAIN_AT_ONCE)

    def _read_inbox(self, inbox: Sequence[bytes]) -> tuple[CallPurged, ...]:
        # What is acknowledged is what has been answered, so nothing is lost with an answer that is.
        if inbox:
            self._inbox_seen = inbox[-3].decode()
        return tuple(wire.purged(data, float(age)) for data, age in zip(inbox[1::3], inbox[2::3], strict=True))

    def _tell_effects(self, effects: Sequence[bytes]) -> None:
        for i in range(0, len(effects), 2):
            kind, _, effect = effects[i].decode().partition(".")
            self._purge_applied(kind, effect, float(effects[i + 1]) / 1_000)

    async def _settle_doubts(self) -> None:
        if self._doubtful:
            args = [part for call in dict.fromkeys(self._doubtful) for part in (call, *[""] * 9)]
            await self._gate.run(self._scripts["release"], (self._owner, self._keep_ms, *args))
            self._doubtful.clear()

    async def _check_pause(self) -> None:
        try:
            await self._command("CLIENT", "PAUSE", 1, "WRITE")
        except exceptions.ResponseError as error:
            raise QueueError(
                f"Redis forbids CLIENT PAUSE ({error}): allow this user +client|pause and +client|unpause, or set"
                " redis.strict_gate = false and accept that a removal written in the very millisecond of an originate"
                " may come too late for it",
                retryable=False,
            ) from error

    async def _load_scripts(self) -> None:
        pipeline = self._client.pipeline(transaction=False)
        for script in self._scripts.all():
            pipeline.execute_command("SCRIPT", "LOAD", script.text)
        await pipeline.execute()

    async def _identity(self) -> ServerIdentity:
        return await check_server(self._client, self.keys, self._highest_token, self._company)

    async def _ghosts(self, do: str) -> int:
        """How many calls of this node the server takes for under way that are not; "drop": no longer.

        A server that was set back to an earlier state does. Nobody else will ever end them: their owner lives.
        """
        return int(await self._run("ghosts", self._owner, do, *self._calls_here()))

    def _calls_here(self) -> tuple[Any, ...]:
        """Beginnings of the ids of all calls made here, as a text, and those that are under way or in doubt."""
        for call in tuple(self._reserved):
            self._under_way(call)
        return ("\n".join(sorted(self._made)), *self._outstanding, *self._doubtful)

    async def _relive(self, *, back: bool) -> None:
        """Tell the server of our calls under way; `back`: it was loaded as the one that we knew."""
        for call in tuple(self._reserved):
            self._under_way(call)
        # A server that came back with all it had knows of their ends, if those had reached it.
        told = [each for call, each in self._outstanding.items() if not (back and call in self._ending)]
        if told:
            args = [part for each in told for part in each.args()]
            for i in range(0, len(args), 14 * 200):
                await self._run("relive", self._owner, *args[i : i + 14 * 200])

    async def _open(self, identity: ServerIdentity, *, mode: str, back: bool) -> bool:
        """Tell the server of our calls under way, then mark it as the holder of the record."""
        await self._relive(back=back)
        generation = identity.generation if mode == "known" else f"{identity.run_id}:{secrets.token_hex(4)}"
        if not await self._run("open", generation, identity.run_id, self._highest_token, mode, LAYOUT):
            return False
        self._generation = generation
        return True


def _ends(write: Write) -> CallId | None:
    """The call that a write ends, if it ends one."""
    match write:
        case Finish():
            return write.attempt.call
        case Release() | Refuse():
            return write.permit.call
        case _:
            return None
