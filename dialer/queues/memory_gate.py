"""The gate in memory: who may be called now, at which number, and what becomes of those who may not."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from dialer.compliance.caps import Blocked, Facts, blocked_by
from dialer.compliance.rules import CapRule
from dialer.core.contact import Contact
from dialer.core.contact_phone import ContactNumber
from dialer.core.events import PermitsGranted, Refusals
from dialer.core.ids import CallId, CampaignId, Phone
from dialer.core.permit import Permit
from dialer.queues import wire
from dialer.queues.cap_law import BY_NUMBER, CapLaw, subject_of
from dialer.queues.memory_server import Key, Live, MemoryServer, Owner
from dialer.queues.port import ASIDE, NEVER, Reservation
from dialer.queues.rebuild import LedgerName
from dialer.queues.removals import ALL

_NUMBER_LIVE_S: Final = 30.0


class GateRun:
    """One run of the gate, which makes one reservation.

    Args:
        server: what the nodes share.
        owner: the node whose calls they will be.
        now: unix seconds.
        expires_at: of the permits.
        law: the caps; None: there are none.
    """

    def __init__(
        self, server: MemoryServer, owner: Owner, *, now: float, expires_at: float, law: CapLaw | None
    ) -> None:
        self._server = server
        self._owner = owner
        self._now = now
        self._expires_at = expires_at
        self._law = law
        self._refused: Counter[str] = Counter()

    def reserve(self, campaign: CampaignId, calls: Sequence[CallId]) -> Reservation:
        """Whoever is first in a campaign, a permit for each of `calls` as far as they go."""
        server = self._server
        self._refresh(campaign)
        ready = server.ready[campaign]
        permits: list[Permit] = []
        for contact in sorted(ready, key=lambda contact: server.rank((campaign, contact))):
            if len(permits) == len(calls):
                break
            permit = self._judge((campaign, contact), calls[len(permits)])
            if permit is not None:
                permits.append(permit)
        return self._answer(campaign, len(calls), permits)

    def reserve_contact(self, key: Key, call: CallId, phone: Phone | None) -> Reservation:
        """One contact by name, at one of its numbers where that is given too."""
        server, refused = self._server, self._refused
        self._refresh(CampaignId(key[0]))
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
                permit, retry_at = self._judge_number(key, phone, call, waited_until)
            else:
                permit = self._judge(key, call, named=True)
                retry_at = server.later[key[0]].get(key[1])
            waits = server.later[key[0]].get(key[1])
            if permit is None and lent:
                server.forget(key)
            elif waits is not None and waited_until is not None:
                # Being asked for does not bring its time forward.
                server.later[key[0]][key[1]] = max(waits, waited_until)
        granted = self._answer(CampaignId(key[0]), 1, [] if permit is None else [permit])
        return replace(granted, retry_at=retry_at, lent=lent and permit is not None, waited_until=waited_until)

    def _judge_number(
        self, key: Key, phone: Phone, call: CallId, waited_until: float | None
    ) -> tuple[Permit | None, float | None]:
        """The same of one number of several: what is said of it says nothing of the others."""
        server, now, refused = self._server, self._now, self._refused
        waiting = server.data[key]
        whole = waiting.contact
        if whole.expires_at is not None and whole.expires_at <= now:
            return self._judge(key, call), None
        retry_at: float | None = None
        if listed := server.listed(whole, phone):
            refused["do_not_call"] += 1
            server.record_refusal(CallId(""), key, phone, "do_not_call", listed, now)
        elif server.live_call(phone=phone) is not None:
            refused["number_live"] += 1
            retry_at = now + _NUMBER_LIVE_S
        elif blocked := self._blocked(whole, phone):
            last = max(blocked, key=lambda one: one.until)
            retry_at = None if math.isinf(last.until) else last.until
            reason = _reason_of(last)
            refused[reason] += 1
            server.record_refusal(CallId(""), key, phone, reason, {"rules": _evidence_of(blocked)}, now)
        else:
            return self._judge(key, call, only=True), None
        server.put_back(key, waited_until)
        return None, retry_at

    def _refresh(self, campaign: CampaignId) -> None:
        server, now = self._server, self._now
        server.drain()
        if self._law is not None:
            server.learn(self._law.kept)
        for entry, expiry in list(server.do_not_call.items()):
            if expiry is not None and expiry <= now:
                del server.do_not_call[entry]
        server.ready.setdefault(campaign, set())
        server.promote(campaign, now)

    def _answer(self, campaign: CampaignId, requested: int, permits: Sequence[Permit]) -> Reservation:
        server = self._server
        if permits:
            server.heartbeats.setdefault(self._owner, self._now + 10)
        return Reservation(
            granted=PermitsGranted(
                at=self._now,
                campaign=campaign,
                requested=requested,
                permits=tuple(permits),
                refusals=Refusals(counts=tuple(sorted(self._refused.items()))),
                ready=len(server.ready[campaign]),
                later=sum(at < ASIDE for at in server.later[campaign].values()),
            ),
            purged=self._owner.take_inbox(),
            filter=server.filters.get(campaign),
        )

    def _judge(self, key: Key, call: CallId, *, only: bool = False, named: bool = False) -> Permit | None:
        """A contact; `named`: it is asked for by name; `only`: at one number, whatever the others wait for."""
        server, now, refused = self._server, self._now, self._refused
        waiting = server.data[key]
        contact = waiting.contact
        n = len(contact.phones)
        phones = [contact.phones[(waiting.turn + i) % n] for i in range(n)]
        if contact.expires_at is not None and contact.expires_at <= now:
            server.forget(key)
            server.finished.add(key)
            self._reject(key, phones[0], "expired", {"expires_at": contact.expires_at})
            refused["expired"] += 1
            return None
        callable_ = [phone for phone in phones if not server.listed(contact, phone)]
        if not callable_:
            server.forget(key)
            self._reject(key, phones[0], "do_not_call", {"listed": n, **server.listed(contact, phones[0])})
            refused["do_not_call"] += 1
            return None
        until = NEVER if named else math.inf
        waits = {} if only else {phone: at for phone, at in waiting.waits.items() if now < at < until}
        live = [phone for phone in callable_ if server.live_call(phone=phone) is not None]
        free = [phone for phone in callable_ if phone not in live and phone not in waits]
        blocked = {phone: self._blocked(contact, phone) for phone in free}
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
                refused[self._put_off(key, blocked)] += 1
            else:
                server.forget(key)
                self._reject(key, phones[0], "phone_attempts", {"numbers": n})
                refused["phone_attempts"] += 1
            return None
        return self._permit(key, call, allowed[0])

    def _permit(self, key: Key, call: CallId, phone: Phone) -> Permit:
        server, now, law = self._server, self._now, self._law
        waiting = server.data[key]
        contact = waiting.contact
        server.token += 1
        permit = Permit(
            call=call,
            campaign=contact.campaign,
            contact=contact.id,
            phone=phone,
            fencing_token=server.token,
            attempt_number=waiting.attempts + 1,
            expires_at=self._expires_at,
            phones=len(contact.phones),
            name=contact.name,
            fields=contact.fields,
            timezone=contact.timezone,
            consent=contact.consent,
            list=contact.list,
            numbers=tuple(
                ContactNumber(phone=one, attempts=waiting.made.get(one, 0), terms=contact.phone_terms.get(one))
                for one in (contact.phones if len(contact.phones) > 1 or contact.phone_terms else ())
            ),
        )
        ledgers: list[LedgerName] = []
        if law is not None:
            subject = subject_of(phone, contact.campaign, contact.fields, law.seller)
            ledgers = [(parts, subject.key(parts)) for parts in server.kept if parts != BY_NUMBER]
            for name in ledgers:
                server.ledger(name).add(now, Facts.UNDER_WAY)
        server.live[call] = Live(self._owner, wire.Outstanding(permit, now), [], ledgers)
        return permit

    def _blocked(self, contact: Contact, phone: Phone) -> list[Blocked]:
        law = self._law
        if law is None:
            return []
        country = law.of(phone)
        if country is None:
            return []
        subject = subject_of(phone, contact.campaign, contact.fields, law.seller)
        found = []
        for rule in country.rules:
            ledger = self._server.ledgers.get((rule.key, subject.key(rule.key)))
            blocked = None if ledger is None else blocked_by(rule, ledger.moments, self._now, zones=country.zones)
            if blocked is not None:
                found.append(blocked)
        return found

    def _put_off(self, key: Key, blocked: Mapping[Phone, Sequence[Blocked]]) -> str:
        """The caps forbid all numbers of a contact; answers the reason."""
        latest = {phone: max(each, key=lambda one: one.until) for phone, each in blocked.items()}
        phone, last = min(latest.items(), key=lambda item: item[1].until)
        reason, rules = _reason_of(last), _evidence_of(blocked[phone])
        if math.isinf(last.until):
            self._server.forget(key)
            self._reject(key, phone, reason, {"rules": rules})
        else:
            self._server.later[key[0]][key[1]] = last.until
            self._server.record_refusal(CallId(""), key, phone, reason, {"rules": rules}, self._now)
        return reason

    def _reject(self, key: Key, phone: Phone, reason: str, evidence: Mapping[str, object]) -> None:
        self._server.publish("contact.rejected", campaign=key[0], contact=key[1], reason=reason)
        self._server.record_refusal(CallId(""), key, phone, reason, evidence, self._now)


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
