"""The port in memory: for tests, simulation and whoever wants to see the rules without Lua. One process, nothing kept.

The same contract suite and a model-based property test hold it to what the scripts do.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter, deque
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Final, assert_never

import msgspec

from dialer.compliance.caps import OUTCOME_FACTS, Blocked, Facts, blocked_by
from dialer.compliance.ledger import Key as LedgerKey
from dialer.compliance.ledger import Ledger, by_key
from dialer.compliance.rules import CapRule
from dialer.core.attempt import Attempt
from dialer.core.contact import Contact
from dialer.core.events import CallPurged, CallRecovered, PermitsGranted, Refusals
from dialer.core.ids import CallId, CampaignId, ContactId, MessageId, NodeName, Phone
from dialer.core.permit import Permit
from dialer.errors import GateNotReady
from dialer.queues import results, wire
from dialer.queues.cap_law import BY_NUMBER, AnyCap, CapLaw, subject_of
from dialer.queues.journal import JournalEntry, RefusalEntry
from dialer.queues.port import (
    AsyncRecords,
    Finish,
    HopperDepth,
    LiveState,
    MarkLive,
    Offered,
    PackedOffer,
    Publish,
    Refuse,
    Release,
    Reservation,
    Write,
)
from dialer.queues.rebuild import HIGHEST_TOKEN, LedgerName, page_ledgers
from dialer.queues.removals import ALL, DoNotCall, Malformed, Removal, lenient_phone, parse_do_not_call, parse_removal

_NUMBER_LIVE_S: Final = 30.0
#: Results, rejected messages and journal entries that are kept; older ones go.
_KEPT: Final = 100_000
Key = tuple[str, str]


@dataclass(slots=True)
class _Waiting:
    contact: Contact
    attempts: int
    #: Index of the phone whose turn it is.
    turn: int
    pushed: int

    @property
    def rank(self) -> tuple[int, int]:
        return (-self.contact.priority, self.pushed)


@dataclass(slots=True)
class _Live:
    owner: MemoryQueues
    call: wire.Outstanding
    #: Removals that hit it.
    told: list[CallPurged]
    #: Ledgers in which it is under way; that of its number has only calls that have ended.
    ledgers: list[LedgerName]


class MemoryServer:
    """What several `MemoryQueues` (nodes) share, as they would share one Redis."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.loaded = False
        self.results: deque[dict[str, object]] = deque(maxlen=_KEPT)
        #: Stream, data and reason of malformed messages.
        self.rejected: deque[tuple[str, bytes, str]] = deque(maxlen=_KEPT)
        self.journal: deque[JournalEntry] = deque(maxlen=_KEPT)
        self.refusals: deque[RefusalEntry] = deque(maxlen=_KEPT)
        self.unread: deque[tuple[str, bytes]] = deque()
        self.data: dict[Key, _Waiting] = {}
        self.ready: dict[str, set[str]] = {}
        self.later: dict[str, dict[str, float]] = {}
        self.finished: set[Key] = set()
        self.removed: set[Key] = set()
        self.do_not_call: dict[Key, float | None] = {}
        self.live: dict[CallId, _Live] = {}
        self.ended: set[CallId] = set()
        self.kept: dict[LedgerKey, dict[AnyCap, None]] = {}
        self.ledgers: dict[LedgerName, Ledger] = {}
        self.heartbeats: dict[MemoryQueues, float] = {}
        self.token = 0
        self.epoch = 0
        self.pushed = 0
        self.holder = asyncio.Lock()
        self.arrived = asyncio.Event()

    async def add(self, stream: str, data: bytes) -> None:
        """Write a message as a CRM does; returns when it is acknowledged, which a held gate delays."""
        async with self.holder:
            self.unread.append((stream, data))
            self.arrived.set()

    def live_call(self, *, key: Key | None = None, phone: str | None = None) -> tuple[CallId, _Live] | None:
        """The live call of a contact or to a number."""
        for call, live in self.live.items():
            permit = live.call.permit
            if (permit.campaign, permit.contact) == key or permit.phone == phone:
                return call, live
        return None

    def publish(self, kind: str, **values: object) -> None:
        """Put a result on the stream."""
        said = {name: value for name, value in values.items() if value is not None}
        self.results.append({"type": kind, "at": results.rfc3339(self.clock()), **said})

    def forget(self, key: Key) -> _Waiting | None:
        """Take a contact out of the hopper."""
        self.unqueue(key)
        return self.data.pop(key, None)

    def unqueue(self, key: Key) -> None:
        """Take a contact off both queues, keeping its data."""
        self.ready.setdefault(key[0], set()).discard(key[1])
        self.later.setdefault(key[0], {}).pop(key[1], None)

    def listed(self, campaign: str, phone: str) -> bool:
        """Whether a number is on the list of everybody or on the campaign's."""
        return (ALL, phone) in self.do_not_call or (campaign, phone) in self.do_not_call

    def is_removed(self, contact: Contact) -> bool:
        """Whether the contact or one of its numbers was removed."""
        names = (contact.id, *contact.phones)
        return any((scope, name) in self.removed for scope in (ALL, contact.campaign) for name in names)

    def learn(self, rules: Iterable[AnyCap]) -> None:
        """From now on every call is entered where any of these counts."""
        for key, own in by_key(rules).items():
            self.kept.setdefault(key, {}).update(dict.fromkeys(own))

    def ledger(self, name: LedgerName) -> Ledger:
        """The ledger of that name, perhaps empty."""
        return self.ledgers.setdefault(name, Ledger())

    def prune(self, name: LedgerName, now: float) -> None:
        """Forget what no rule asks about."""
        if name[0] in self.kept:
            self.ledger(name).prune(tuple(self.kept[name[0]]), now)

    def drain(self) -> None:
        """Apply what the CRM has written."""
        while self.unread:
            stream, data = self.unread.popleft()
            try:
                if stream == "removals":
                    self._remove(parse_removal(data))
                else:
                    self._list(parse_do_not_call(data))
            except Malformed as error:
                self.rejected.append((stream, data, str(error)))
                self.publish("message.rejected", ref=error.ref, reason=f"{stream}: {error}")
        self.arrived.clear()

    def _tell(self, live: _Live, kind: str, ref: str | None, reason: str | None) -> None:
        purge = CallPurged(
            at=self.clock(),
            call=live.call.permit.call,
            kind=kind,
            ref=MessageId(ref or ""),
            reason=reason or "",
        )
        live.told.append(purge)
        live.owner.inbox.append(purge)

    def _withdraw(self, key: Key, removal: Removal, phone: Phone | None) -> bool:
        waiting = self.forget(key)
        if waiting is not None:
            self.finished.add(key)
        found = self.live_call(key=key)
        if found is not None:
            self._tell(found[1], "removal", removal.ref, removal.reason)
            return True
        if key not in self.finished:
            return False
        self.publish(
            "removal.applied", campaign=key[0], contact=key[1], phone=phone, ref=removal.ref, reason=removal.reason
        )
        return True

    def _remove(self, removal: Removal) -> None:
        known = False
        if removal.contact is not None:
            self.removed.add((removal.campaign, removal.contact))
            campaigns = sorted(self.ready) if removal.campaign == ALL else [removal.campaign]
            for campaign in campaigns:
                known |= self._withdraw((campaign, removal.contact), removal, None)
        if removal.phone is not None:
            self.removed.add((removal.campaign, removal.phone))
            found = sorted(
                key
                for key, waiting in self.data.items()
                if removal.phone in waiting.contact.phones and removal.campaign in {ALL, key[0]}
            )
            for key in found:
                self.removed.add(key)
                known |= self._withdraw(key, removal, removal.phone)
            live = self.live_call(phone=removal.phone)
            if live is not None:
                permit = live[1].call.permit
                key = (permit.campaign, permit.contact)
                if removal.campaign in {ALL, key[0]} and key not in found and key[1] != removal.contact:
                    self.removed.add(key)
                    if self.forget(key) is not None:
                        self.finished.add(key)
                    self._tell(live[1], "removal", removal.ref, removal.reason)
                    known = True
        if not known:
            self.publish(
                "removal.not_found",
                campaign=removal.campaign,
                contact=removal.contact,
                phone=removal.phone,
                ref=removal.ref,
                reason=removal.reason,
            )

    def _list(self, entry: DoNotCall) -> None:
        if entry.add:
            self.do_not_call[entry.scope, entry.phone] = entry.expires_at
            live = self.live_call(phone=entry.phone)
            if live is not None and entry.scope in {ALL, live[1].call.permit.campaign}:
                self._tell(live[1], "dnc", entry.ref, entry.reason)
        else:
            self.do_not_call.pop((entry.scope, entry.phone), None)
        campaign = None if entry.scope == ALL else entry.scope
        kind = "dnc.applied" if entry.add else "dnc.removed"
        self.publish(kind, campaign=campaign, phone=entry.phone, ref=entry.ref, reason=entry.reason)


class MemoryQueues:
    """`dialer.queues.port.Queues` for one node on a `MemoryServer`."""

    def __init__(self, server: MemoryServer, *, node: NodeName) -> None:
        self._server = server
        self._node = node
        self.inbox: list[CallPurged] = []

    async def prepare(self) -> bool:
        """See the port."""
        return self._server.loaded

    async def rebuild(self, pages: AsyncRecords) -> None:
        """See the port."""
        server = self._server
        async for page in pages:
            server.token = max(server.token, page.counts.get(HIGHEST_TOKEN, 0))
            for scope, listed, expires_at in page.do_not_call:
                server.do_not_call[scope, listed] = expires_at
            for campaign, name in page.removed:
                self._load_removed(campaign, name)
            for key in page.finished:
                server.finished.add(key)
                server.forget(key)
            for contact, attempts, next_at in page.contacts:
                self._offer(contact, attempts=attempts, next_at=next_at, loading=True)
            for law in page.laws.values():
                server.learn(law.kept)
            for ledger_name, ledger in page_ledgers(page).items():
                server.ledger(ledger_name).merge(ledger)
        server.epoch = server.token = server.token + 1_000_000
        server.loaded = True

    def _load_removed(self, campaign: str, name: str) -> None:
        server = self._server
        phone = (lenient_phone(name) if name.startswith("+") else None) or name
        server.removed |= {(campaign, name), (campaign, phone)}
        for key, waiting in list(server.data.items()):
            if campaign in {ALL, key[0]} and (key[1] == name or phone in waiting.contact.phones):
                server.forget(key)

    async def offer(self, contacts: Sequence[Contact]) -> list[Offered]:
        """See the port."""
        if len(contacts) > 1_000:
            raise ValueError("at most 1,000 contacts at once")
        for contact in contacts:
            wire.check(contact)
        self._check_loaded()
        return [self._offer(contact) for contact in contacts]

    async def offer_packed(self, offers: Sequence[PackedOffer]) -> Counter[Offered]:
        """See the port."""
        self._check_loaded()
        return Counter(self._offer(contact) for offer in offers for contact in wire.unpack(offer))

    def _offer(
        self, contact: Contact, *, attempts: int = 0, next_at: float | None = None, loading: bool = False
    ) -> Offered:
        server = self._server
        key = (contact.campaign, contact.id)
        contact = msgspec.structs.replace(contact, phones=tuple(dict.fromkeys(contact.phones)))
        server.pushed += 1
        server.ready.setdefault(contact.campaign, set())
        live = server.live_call(key=key)
        if server.is_removed(contact):
            server.forget(key)
            return Offered.REMOVED
        if key in server.finished:
            server.forget(key)
            return Offered.FINISHED
        if live is None and all(server.listed(contact.campaign, phone) for phone in contact.phones):
            server.forget(key)
            return Offered.DO_NOT_CALL
        begins = [moment for moment in (contact.not_before_at, next_at) if moment is not None]
        begin = max(begins) if begins else None
        old = server.data.get(key)
        if old is None:
            server.data[key] = _Waiting(contact, attempts, 0, server.pushed)
        else:
            waits = server.later.get(contact.campaign, {}).get(contact.id)
            if loading:
                if attempts <= old.attempts:
                    begin = None
                if waits is not None:
                    begin = waits if begin is None else max(waits, begin)
            elif waits is not None and old.attempts > 0 and begin in {None, old.contact.not_before_at}:
                # It waits for its next attempt: only a time that is news, as of a callback, comes instead.
                begin = waits
            turn = old.turn if old.contact.phones == contact.phones else 0
            server.data[key] = _Waiting(contact, max(old.attempts, attempts), turn, old.pushed)
        if live is None:
            server.unqueue(key)
            if begin is None:
                server.ready[contact.campaign].add(contact.id)
            else:
                server.later[contact.campaign][contact.id] = begin
        return Offered.ADDED if old is None and live is None else Offered.UPDATED

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

    @asynccontextmanager
    async def _reserve(
        self, campaign: CampaignId, calls: Sequence[CallId], now: float, lease_s: float, caps: CapLaw | None
    ) -> AsyncGenerator[Reservation, None]:
        async with self._server.holder:
            self._check_loaded()
            yield self._gate(campaign, calls, now, now + lease_s * 0.9, caps)

    def _gate(
        self, campaign: CampaignId, calls: Sequence[CallId], now: float, expires_at: float, law: CapLaw | None
    ) -> Reservation:
        server = self._server
        server.drain()
        if law is not None:
            server.learn(law.kept)
        for entry, expiry in list(server.do_not_call.items()):
            if expiry is not None and expiry <= now:
                del server.do_not_call[entry]
        ready = server.ready.setdefault(campaign, set())
        later = server.later.setdefault(campaign, {})
        for contact, at in list(later.items()):
            if at <= now:
                del later[contact]
                ready.add(contact)
        refused: Counter[str] = Counter()
        permits: list[Permit] = []
        for contact in sorted(ready, key=lambda contact: server.data[campaign, contact].rank):
            if len(permits) == len(calls):
                break
            permit = self._judge((campaign, contact), calls[len(permits)], now, expires_at, refused, law)
            if permit is not None:
                permits.append(permit)
        if permits:
            server.heartbeats.setdefault(self, now + 10)
        return Reservation(
            granted=PermitsGranted(
                at=now,
                campaign=campaign,
                requested=len(calls),
                permits=tuple(permits),
                refusals=Refusals(counts=tuple(sorted(refused.items()))),
                ready=len(ready),
                later=len(later),
            ),
            purged=self._take_inbox(),
        )

    def _judge(
        self, key: Key, call: CallId, now: float, expires_at: float, refused: Counter[str], law: CapLaw | None
    ) -> Permit | None:
        server = self._server
        waiting = server.data[key]
        contact = waiting.contact
        n = len(contact.phones)
        phones = [contact.phones[(waiting.turn + i) % n] for i in range(n)]
        if contact.expires_at is not None and contact.expires_at <= now:
            server.forget(key)
            server.finished.add(key)
            self._reject(key, phones[0], "expired", {"expires_at": contact.expires_at}, now)
            refused["expired"] += 1
            return None
        callable_ = [phone for phone in phones if not server.listed(key[0], phone)]
        if not callable_:
            server.forget(key)
            self._reject(key, phones[0], "do_not_call", {"listed": n}, now)
            refused["do_not_call"] += 1
            return None
        free = [phone for phone in callable_ if server.live_call(phone=phone) is None]
        blocked = {phone: self._blocked(contact, phone, now, law) for phone in free}
        allowed = [phone for phone in free if not blocked[phone]]
        server.unqueue(key)
        if not allowed:
            if len(free) < len(callable_):
                server.later[key[0]][key[1]] = now + _NUMBER_LIVE_S
                refused["number_live"] += 1
            else:
                refused[self._put_off(key, blocked, now)] += 1
            return None
        server.token += 1
        permit = Permit(
            call=call,
            campaign=contact.campaign,
            contact=contact.id,
            phone=allowed[0],
            fencing_token=server.token,
            attempt_number=waiting.attempts + 1,
            expires_at=expires_at,
            phones=n,
            name=contact.name,
            fields=contact.fields,
            timezone=contact.timezone,
            consent=contact.consent,
        )
        ledgers: list[LedgerName] = []
        if law is not None:
            subject = subject_of(allowed[0], contact.campaign, contact.fields, law.seller)
            ledgers = [(parts, subject.key(parts)) for parts in server.kept if parts != BY_NUMBER]
            for name in ledgers:
                server.ledger(name).add(now, Facts.UNDER_WAY)
        server.live[call] = _Live(self, wire.Outstanding(permit, now), [], ledgers)
        return permit

    def _blocked(self, contact: Contact, phone: Phone, now: float, law: CapLaw | None) -> list[Blocked]:
        if law is None:
            return []
        subject = subject_of(phone, contact.campaign, contact.fields, law.seller)
        found = []
        for rule in law.rules:
            ledger = self._server.ledgers.get((rule.key, subject.key(rule.key)))
            blocked = None if ledger is None else blocked_by(rule, ledger.moments, now, zones=law.zones)
            if blocked is not None:
                found.append(blocked)
        return found

    def _put_off(self, key: Key, blocked: Mapping[Phone, Sequence[Blocked]], now: float) -> str:
        """The caps forbid all numbers of a contact; answers the reason."""
        latest = {phone: max(each, key=lambda one: one.until) for phone, each in blocked.items()}
        phone, last = min(latest.items(), key=lambda item: item[1].until)
        reason = "attempt_cap" if isinstance(last.rule, CapRule) else "cooldown"
        rules: list[object] = []
        for one in blocked[phone]:
            until = {} if math.isinf(one.until) else {"until": one.until}
            rules.append({"rule": one.rule.version, "count": one.count, **until})
        if math.isinf(last.until):
            self._server.forget(key)
            self._reject(key, phone, reason, {"rules": rules}, now)
        else:
            self._server.later[key[0]][key[1]] = last.until
            self._record_refusal(CallId(""), key, phone, reason, {"rules": rules}, now)
        return reason

    def _reject(self, key: Key, phone: Phone, reason: str, evidence: Mapping[str, object], now: float) -> None:
        self._server.publish("contact.rejected", campaign=key[0], contact=key[1], reason=reason)
        self._record_refusal(CallId(""), key, phone, reason, evidence, now)

    def _record_refusal(
        self, call: CallId, key: Key, phone: Phone, reason: str, evidence: Mapping[str, object], at: float
    ) -> None:
        entry = RefusalEntry(
            at=at,
            call=call,
            campaign=CampaignId(key[0]),
            contact=ContactId(key[1]),
            phone=phone,
            reason=reason,
            evidence=evidence,
        )
        self._server.refusals.append(entry)

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
                        self._finish(write)
                    case Release():
                        self._release(write)
                    case Refuse():
                        self._refuse(write)
                    case _:
                        assert_never(write)

    def _finish(self, finish: Finish) -> None:
        server, attempt = self._server, finish.attempt
        live = server.live.get(attempt.call)
        if live is not None:
            if finish.fencing_token == 0 and live.owner is not self:
                return
            if 0 < finish.fencing_token < live.call.permit.fencing_token:
                return
            del server.live[attempt.call]
        elif finish.fencing_token > server.epoch:
            return
        if finish.fencing_token <= server.epoch:
            if attempt.call in server.ended:
                return
            server.ended.add(attempt.call)
        server.journal.append(
            JournalEntry(attempt=attempt, retry_at=finish.retry_at, fencing_token=finish.fencing_token)
        )
        server.results.append(results.call_ended(attempt, finish.retry_at))
        self._settle(attempt, live)
        key = (attempt.campaign, attempt.contact)
        waiting = server.data.get(key)
        if finish.retry_at is None:
            server.forget(key)
            server.finished.add(key)
        elif waiting is not None:
            if attempt.phone in waiting.contact.phones:
                waiting.turn = waiting.contact.phones.index(attempt.phone) + 1
            waiting.attempts = max(waiting.attempts, attempt.attempt_number)
            if server.live_call(key=key) is None:
                server.unqueue(key)
                server.later[key[0]][key[1]] = finish.retry_at

    def _settle(self, attempt: Attempt, live: _Live | None) -> None:
        server, facts = self._server, OUTCOME_FACTS[attempt.outcome]
        entered: list[LedgerName] = [(BY_NUMBER, (str(attempt.phone),))] if BY_NUMBER in server.kept else []
        if live is not None:
            for name in live.ledgers:
                server.ledger(name).take_back(live.call.reserved_at)
            entered += live.ledgers
        for name in entered:
            server.ledger(name).add(attempt.started_at, facts, over_at=attempt.ended_at)
            server.prune(name, attempt.ended_at)

    def _release(self, release: Release) -> None:
        server, permit = self._server, release.permit
        live = self._give_back(permit)
        if live is None:
            return
        key = (permit.campaign, permit.contact)
        if release.evidence is not None:
            self._record_refusal(
                permit.call, key, permit.phone, release.reason, release.evidence, live.call.reserved_at
            )
        if key in server.data:
            if release.not_before_at is not None:
                server.later[key[0]][key[1]] = release.not_before_at
            else:
                server.ready[key[0]].add(key[1])
        self._answer_removals(key, live)

    def _refuse(self, refuse: Refuse) -> None:
        server, permit = self._server, refuse.permit
        live = self._give_back(permit)
        if live is None:
            return
        key = (permit.campaign, permit.contact)
        self._record_refusal(permit.call, key, permit.phone, refuse.reason, refuse.evidence, live.call.reserved_at)
        waiting = server.data.get(key)
        if waiting is not None:
            phones = waiting.contact.phones
            left = tuple(phone for phone in phones if phone != permit.phone)
            if left:
                if permit.phone in phones:
                    waiting.turn = phones.index(permit.phone)
                waiting.contact = msgspec.structs.replace(waiting.contact, phones=left)
                server.ready[key[0]].add(key[1])
            else:
                server.forget(key)
                server.publish(
                    "contact.rejected", campaign=key[0], contact=key[1], phone=permit.phone, reason=refuse.reason
                )
        self._answer_removals(key, live)

    def _give_back(self, permit: Permit) -> _Live | None:
        """A reservation ends without a call; None where it is none of this permit any more."""
        server = self._server
        live = server.live.get(permit.call)
        if (
            live is None
            or live.call.state is not LiveState.RESERVED
            or live.call.permit.fencing_token != permit.fencing_token
        ):
            return None
        del server.live[permit.call]
        for name in live.ledgers:
            server.ledger(name).take_back(live.call.reserved_at)
        return live

    def _answer_removals(self, key: Key, live: _Live) -> None:
        for purge in live.told:
            if purge.kind == "removal":
                self._server.publish(
                    "removal.applied",
                    campaign=key[0],
                    contact=key[1],
                    ref=purge.ref or None,
                    reason=purge.reason or None,
                )

    async def drain(self) -> tuple[CallPurged, ...]:
        """See the port."""
        async with self._server.holder:
            self._check_loaded()
            self._server.drain()
            return self._take_inbox()

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

    async def recover(self, now: float) -> list[CallRecovered]:
        """See the port."""
        self._check_loaded()
        server = self._server
        server.heartbeats.setdefault(self, now + 10)
        found = []
        for live in server.live.values():
            its = live.owner
            alive = server.heartbeats.get(its, 0.0) > now
            if its is self or (alive and its._node != self._node):
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
        return HopperDepth(
            ready=len(server.ready.get(campaign, ())),
            later=len(server.later.get(campaign, ())),
            live=sum(live.call.permit.campaign == campaign for live in server.live.values()),
        )

    async def close(self) -> None:
        """See the port."""

    def _take_inbox(self) -> tuple[CallPurged, ...]:
        taken, self.inbox = tuple(self.inbox), []
        return taken

    def _check_loaded(self) -> None:
        if not self._server.loaded:
            raise GateNotReady("the record must be loaded before anybody is dialed")
