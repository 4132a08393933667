"""The port in memory: for tests, simulation and whoever wants to see the rules without Lua. One process, nothing kept.

The same contract suite and a model-based property test hold it to what the scripts do.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from typing import Final, assert_never

import msgspec

from dialer.compliance.caps import Blocked, Facts, blocked_by, facts_of
from dialer.compliance.rules import CapRule
from dialer.core.attempt import Attempt
from dialer.core.contact import Contact
from dialer.core.contact_phone import ContactNumber
from dialer.core.events import CallPurged, CallRecovered, PermitsGranted, Refusals
from dialer.core.ids import CallId, CampaignId, ContactId, NodeName, Phone
from dialer.core.permit import Permit
from dialer.core.promise import Due, Promise
from dialer.errors import GateNotReady
from dialer.queues import results, wire
from dialer.queues.cap_law import BY_NUMBER, CapLaw, subject_of
from dialer.queues.journal import JournalEntry, RefusalEntry
from dialer.queues.memory_server import Key, Live, MemoryServer, Promised, Waiting
from dialer.queues.port import (
    ASIDE,
    NEVER,
    AsyncRecords,
    Counted,
    FilterInForce,
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
from dialer.queues.removals import (
    ALL,
    lenient_phone,
)

_NUMBER_LIVE_S: Final = 30.0


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
            for promise in page.promises:
                self._promise(promise, agreed=False)
            for scope, listed, expires_at in page.do_not_call:
                server.do_not_call[scope, listed] = expires_at
            for scope, phones in page.listed:
                server.do_not_call |= dict.fromkeys(((scope, phone) for phone in phones.split(",")), None)
            for campaign, name in page.removed:
                self._load_removed(campaign, name)
            for key in page.finished:
                server.finished.add(key)
                server.forget(key)
            for campaign, contact_id, made in page.numbers:
                server.announced[campaign, contact_id] = {str(phone): attempts for phone, attempts in made.items()}
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
        if live is None and all(server.listed(contact, phone) for phone in contact.phones):
            server.forget(key)
            return Offered.DO_NOT_CALL
        begins = [moment for moment in (contact.not_before_at, next_at) if moment is not None]
        begin = max(begins) if begins else None
        old = server.data.get(key)
        if old is None:
            server.data[key] = Waiting(contact, attempts, 0, server.pushed)
        else:
            waits = server.waiting_until(key)
            if loading:
                if attempts <= old.attempts:
                    begin = None
                if waits is not None:
                    begin = waits if begin is None else max(waits, begin)
            elif (
                waits not in {None, min(old.waits.values(), default=None)}
                and old.attempts > 0
                and begin in {None, old.contact.not_before_at}
            ):
                # It waits for its next attempt: only a time that is news, as of a callback, comes instead.
                begin = waits
            turn = old.turn if old.contact.phones == contact.phones else 0
            waits_for = old.waits if loading else {}
            server.data[key] = Waiting(contact, max(old.attempts, attempts), turn, old.pushed, old.made, waits_for)
        made = server.data[key].made
        made |= {phone: max(count, made.get(phone, 0)) for phone, count in server.announced.pop(key, {}).items()}
        if (promised := server.promised.get(key)) is not None:
            # Whatever the push says; if the gate has put it off since, that holds.
            waits = server.waiting_until(key)
            begin = promised.at if waits is None else max(promised.at, waits)
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
            yield self._gate(campaign, calls, now, now + lease_s * 0.9, caps)

    @asynccontextmanager
    async def _reserve_contact(
        self, key: Key, call: CallId, now: float, lease_s: float, caps: CapLaw | None, phone: Phone | None
    ) -> AsyncGenerator[Reservation, None]:
        async with self._server.holder:
            self._check_loaded()
            yield self._gate_for(key, call, now, now + lease_s * 0.9, caps, phone)

    def _gate_for(
        self, key: Key, call: CallId, now: float, expires_at: float, law: CapLaw | None, phone: Phone | None
    ) -> Reservation:
        """The gate for one contact by name."""
        server = self._server
        self._refresh(CampaignId(key[0]), now, law)
        refused: Counter[str] = Counter()
        permit, retry_at, waited_until = None, None, server.later[key[0]].get(key[1])
        lent = key in server.finished
        if server.live_call(key=key) is not None:
            refused["live"] += 1
        elif key not in server.data:
            gone = any((scope, key[1]) in server.removed for scope in (ALL, key[0]))
            refused["removed" if gone else "finished" if lent else "unknown"] += 1
        elif phone is not None and phone not in server.data[key].contact.phones:
            refused["unknown_phone"] += 1
        else:
            server.unqueue(key)
            if phone is not None:
                server.data[key].turn = server.data[key].contact.phones.index(phone)
            if phone is not None and len(server.data[key].contact.phones) > 1:
                permit, retry_at = self._judge_number(key, phone, call, now, expires_at, refused, law, waited_until)
            else:
                permit = self._judge(key, call, now, expires_at, refused, law, named=True)
                retry_at = server.later[key[0]].get(key[1])
            waits = server.later[key[0]].get(key[1])
            if permit is None and lent:
                server.forget(key)
            elif waits is not None and waited_until is not None:
                # Being asked for does not bring its time forward.
                server.later[key[0]][key[1]] = max(waits, waited_until)
        granted = self._answer(CampaignId(key[0]), 1, [] if permit is None else [permit], refused, now)
        return replace(granted, retry_at=retry_at, lent=lent and permit is not None, waited_until=waited_until)

    def _judge_number(
        self,
        key: Key,
        phone: Phone,
        call: CallId,
        now: float,
        expires_at: float,
        refused: Counter[str],
        law: CapLaw | None,
        waited_until: float | None,
    ) -> tuple[Permit | None, float | None]:
        """The same of one number of several: what is said of it says nothing of the others."""
        server, waiting = self._server, self._server.data[key]
        whole = waiting.contact
        if whole.expires_at is not None and whole.expires_at <= now:
            return self._judge(key, call, now, expires_at, refused, law), None
        retry_at: float | None = None
        if listed := server.listed(whole, phone):
            refused["do_not_call"] += 1
            self._record_refusal(CallId(""), key, phone, "do_not_call", listed, now)
        elif server.live_call(phone=phone) is not None:
            refused["number_live"] += 1
            retry_at = now + _NUMBER_LIVE_S
        elif blocked := self._blocked(whole, phone, now, law):
            last = max(blocked, key=lambda one: one.until)
            retry_at = None if math.isinf(last.until) else last.until
            reason = _reason_of(last)
            refused[reason] += 1
            self._record_refusal(CallId(""), key, phone, reason, {"rules": _evidence_of(blocked)}, now)
        else:
            return self._judge(key, call, now, expires_at, refused, law, only=True), None
        server.put_back(key, waited_until)
        return None, retry_at

    async def promise(self, contact: Contact, promise: Promise, attempts: int = 0) -> Offered:
        """See the port."""
        wire.check(contact)
        self._check_loaded()
        self._promise(promise, agreed=True)
        return self._offer(contact, attempts=max(attempts, self._server.made.get((contact.campaign, contact.id), 0)))

    def _promise(self, promise: Promise, *, agreed: bool) -> None:
        server, key = self._server, (promise.campaign, promise.contact)
        if any((scope, promise.contact) in server.removed for scope in (ALL, promise.campaign)):
            return
        if not agreed and key in server.finished:
            return
        server.finished.discard(key)
        live = server.live_call(key=key) is not None
        server.promised[key] = Promised(promise, promise.at, agreed and live)
        if key in server.data and not live:
            server.unqueue(key)
            server.later[key[0]][key[1]] = promise.at

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
        server, key = self._server, (contact.campaign, contact.id)
        if server.is_removed(contact):
            return Offered.REMOVED
        if server.live_call(key=key) is not None or (key in server.data and key not in server.finished):
            return Offered.UPDATED
        server.finished.add(key)
        server.ready.setdefault(contact.campaign, set())
        server.data[key] = Waiting(contact, max(attempts, server.made.get(key, 0)), 0, 0)
        return Offered.ADDED

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

    def _refresh(self, campaign: CampaignId, now: float, law: CapLaw | None) -> None:
        server = self._server
        server.drain()
        if law is not None:
            server.learn(law.kept)
        for entry, expiry in list(server.do_not_call.items()):
            if expiry is not None and expiry <= now:
                del server.do_not_call[entry]
        server.ready.setdefault(campaign, set())
        server.promote(campaign, now)

    def _gate(
        self, campaign: CampaignId, calls: Sequence[CallId], now: float, expires_at: float, law: CapLaw | None
    ) -> Reservation:
        server = self._server
        self._refresh(campaign, now, law)
        ready = server.ready[campaign]
        refused: Counter[str] = Counter()
        permits: list[Permit] = []
        for contact in sorted(ready, key=lambda contact: server.rank((campaign, contact))):
            if len(permits) == len(calls):
                break
            permit = self._judge((campaign, contact), calls[len(permits)], now, expires_at, refused, law)
            if permit is not None:
                permits.append(permit)
        return self._answer(campaign, len(calls), permits, refused, now)

    def _answer(
        self, campaign: CampaignId, requested: int, permits: Sequence[Permit], refused: Mapping[str, int], now: float
    ) -> Reservation:
        server = self._server
        if permits:
            server.heartbeats.setdefault(self, now + 10)
        return Reservation(
            granted=PermitsGranted(
                at=now,
                campaign=campaign,
                requested=requested,
                permits=tuple(permits),
                refusals=Refusals(counts=tuple(sorted(refused.items()))),
                ready=len(server.ready[campaign]),
                later=sum(at < ASIDE for at in server.later[campaign].values()),
            ),
            purged=self._take_inbox(),
            filter=server.filters.get(campaign),
        )

    def _judge(
        self,
        key: Key,
        call: CallId,
        now: float,
        expires_at: float,
        refused: Counter[str],
        law: CapLaw | None,
        *,
        only: bool = False,
        named: bool = False,
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
        callable_ = [phone for phone in phones if not server.listed(contact, phone)]
        if not callable_:
            server.forget(key)
            self._reject(key, phones[0], "do_not_call", {"listed": n, **server.listed(contact, phones[0])}, now)
            refused["do_not_call"] += 1
            return None
        until = NEVER if named else math.inf
        waits = {} if only else {phone: at for phone, at in waiting.waits.items() if now < at < until}
        live = [phone for phone in callable_ if server.live_call(phone=phone) is not None]
        free = [phone for phone in callable_ if phone not in live and phone not in waits]
        blocked = {phone: self._blocked(contact, phone, now, law) for phone in free}
        allowed = [phone for phone in free if not blocked[phone]]
        server.unqueue(key)
        if not allowed:
            closed = [waits[phone] for phone in callable_ if phone in waits]
            if live:
                server.later[key[0]][key[1]] = now + _NUMBER_LIVE_S
                refused["number_live"] += 1
            elif closed and min(closed) < min((NEVER, *(max(one.until for one in each) for each in blocked.values()))):
                server.later[key[0]][key[1]] = min(closed)
                refused["phone_hours"] += 1
            elif blocked:
                refused[self._put_off(key, blocked, now)] += 1
            else:
                server.forget(key)
                self._reject(key, phones[0], "phone_attempts", {"numbers": n}, now)
                refused["phone_attempts"] += 1
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
            list=contact.list,
            numbers=tuple(
                ContactNumber(phone=one, attempts=waiting.made.get(one, 0), terms=contact.phone_terms.get(one))
                for one in (contact.phones if n > 1 or contact.phone_terms else ())
            ),
        )
        ledgers: list[LedgerName] = []
        if law is not None:
            subject = subject_of(allowed[0], contact.campaign, contact.fields, law.seller)
            ledgers = [(parts, subject.key(parts)) for parts in server.kept if parts != BY_NUMBER]
            for name in ledgers:
                server.ledger(name).add(now, Facts.UNDER_WAY)
        server.live[call] = Live(self, wire.Outstanding(permit, now), [], ledgers)
        return permit

    def _blocked(self, contact: Contact, phone: Phone, now: float, law: CapLaw | None) -> list[Blocked]:
        if law is None:
            return []
        country = law.of(phone)
        if country is None:
            return []
        subject = subject_of(phone, contact.campaign, contact.fields, law.seller)
        found = []
        for rule in country.rules:
            ledger = self._server.ledgers.get((rule.key, subject.key(rule.key)))
            blocked = None if ledger is None else blocked_by(rule, ledger.moments, now, zones=country.zones)
            if blocked is not None:
                found.append(blocked)
        return found

    def _put_off(self, key: Key, blocked: Mapping[Phone, Sequence[Blocked]], now: float) -> str:
        """The caps forbid all numbers of a contact; answers the reason."""
        latest = {phone: max(each, key=lambda one: one.until) for phone, each in blocked.items()}
        phone, last = min(latest.items(), key=lambda item: item[1].until)
        reason, rules = _reason_of(last), _evidence_of(blocked[phone])
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
            JournalEntry(
                attempt=attempt,
                retry_at=finish.retry_at,
                fencing_token=finish.fencing_token,
                needs_agent=finish.needs_agent,
            )
        )
        server.results.append(results.call_ended(attempt, finish.retry_at))
        self._settle(attempt, live)
        key = (attempt.campaign, attempt.contact)
        waiting = server.data.get(key)
        retry_at, promised = finish.retry_at, server.promised.get(key)
        fresh = promised is not None and promised.fresh
        if promised is not None and promised.fresh:
            # Agreed while this call was under way: that is when the contact is called next.
            promised.fresh, retry_at = False, promised.at
        elif key in server.finished:
            retry_at = None  # lent for this call alone
        if retry_at is None or waiting is None:
            if waiting is not None or finish.retry_at is None:
                server.forget(key)
                server.finished.add(key)
            if waiting is not None:
                server.made[key] = attempt.attempt_number
            return
        if fresh:
            waiting.turn = 0
        elif attempt.phone in waiting.contact.phones:
            waiting.turn = waiting.contact.phones.index(attempt.phone) + 1
        if waiting.contact.phone_terms:
            waiting.made[attempt.phone] = waiting.made.get(attempt.phone, 0) + 1
        waiting.attempts = max(waiting.attempts, attempt.attempt_number)
        if promised is not None and not fresh:
            promised.at = retry_at
        elif promised is None and finish.needs_agent:
            promise = Promise(
                campaign=attempt.campaign,
                contact=attempt.contact,
                at=retry_at,
                fallback_at=retry_at,
                until_at=retry_at,
            )
            server.promised[key] = Promised(promise, retry_at, fresh=False)
        if server.live_call(key=key) is None:
            server.unqueue(key)
            server.later[key[0]][key[1]] = retry_at

    def _settle(self, attempt: Attempt, live: Live | None) -> None:
        server, facts = self._server, facts_of(attempt)
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
            server.data[key].waits |= {str(phone): min(until, NEVER) for phone, until in release.waits.items()}
            server.put_back(key, release.not_before_at)
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
                server.put_back(key, None)
            else:
                server.forget(key)
                server.publish(
                    "contact.rejected", campaign=key[0], contact=key[1], phone=permit.phone, reason=refuse.reason
                )
        self._answer_removals(key, live)

    def _give_back(self, permit: Permit) -> Live | None:
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

    def _answer_removals(self, key: Key, live: Live) -> None:
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

    def _take_inbox(self) -> tuple[CallPurged, ...]:
        taken, self.inbox = tuple(self.inbox), []
        return taken

    def _check_loaded(self) -> None:
        if not self._server.loaded:
            raise GateNotReady("the record must be loaded before anybody is dialed")


def _reason_of(blocked: Blocked) -> str:
    return "attempt_cap" if isinstance(blocked.rule, CapRule) else "cooldown"


def _evidence_of(blocked: Sequence[Blocked]) -> list[object]:
    return [
        {
            "rule": one.rule.version,
            "country": one.rule.jurisdiction,
            "count": one.count,
            **({} if math.isinf(one.until) else {"until": one.until}),
        }
        for one in blocked
    ]
