"""What the nodes of `dialer.queues.memory` share: hopper, lists, live calls and ledgers, and what the CRM has written.

Stands where Redis stands, and what it does is what the scripts do to keys.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from dialer.compliance.ledger import Key as LedgerKey
from dialer.compliance.ledger import Ledger, by_key
from dialer.core.contact import Contact
from dialer.core.events import CallPurged
from dialer.core.ids import CallId, CampaignId, ContactId, MessageId, NodeName, Phone
from dialer.core.permit import Permit
from dialer.core.promise import Promise
from dialer.core.tenants import everywhere
from dialer.queues import results, wire
from dialer.queues.cap_law import AnyCap, subject_of
from dialer.queues.journal import JournalEntry, RefusalEntry
from dialer.queues.port import ASIDE, FilterInForce
from dialer.queues.rebuild import LedgerName
from dialer.queues.removals import (
    ACCOUNT,
    ALL,
    DoNotCall,
    Malformed,
    Removal,
    account_of,
    forms_listed,
    parse_do_not_call,
    parse_removal,
)

#: Results, rejected messages and journal entries that are kept; older ones go.
_KEPT: Final = 100_000
#: Campaign and contact.
Key = tuple[str, str]


class Owner(Protocol):
    """A node as the server knows it; it says what is done to its calls in `inbox`."""

    node: NodeName
    inbox: list[CallPurged]

    def take_inbox(self) -> tuple[CallPurged, ...]:
        """What has come since it was last taken."""


@dataclass(slots=True)
class Waiting:
    contact: Contact
    attempts: int
    #: Index of the phone whose turn it is.
    turn: int
    pushed: int
    #: Of its numbers one by one: attempts made where it says something of them, and until when they are not called.
    made: dict[str, int] = field(default_factory=dict)
    waits: dict[str, float] = field(default_factory=dict)


@dataclass(slots=True)
class Promised:
    promise: Promise
    #: From when on it may be called: of the promise, or of the next attempt to keep it.
    at: float
    #: It came while the contact was being called.
    fresh: bool


@dataclass(slots=True)
class Live:
    owner: Owner
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
        self.data: dict[Key, Waiting] = {}
        self.ready: dict[str, set[str]] = {}
        self.later: dict[str, dict[str, float]] = {}
        #: Due, and called only with an agent reserved; all of that kind.
        self.reserved: dict[str, set[str]] = {}
        self.promised: dict[Key, Promised] = {}
        #: Attempts made at contacts that are done.
        self.made: dict[Key, int] = {}
        #: Attempts made by number, of contacts that have been announced and not loaded yet.
        self.announced: dict[Key, dict[str, int]] = {}
        self.finished: set[Key] = set()
        self.removed: set[Key] = set()
        self.do_not_call: dict[Key, float | None] = {}
        self.filters: dict[str, FilterInForce] = {}
        #: Of campaigns' lists that have one of their own.
        self.list_priorities: dict[Key, int] = {}
        self.live: dict[CallId, Live] = {}
        self.ended: set[CallId] = set()
        self.kept: dict[LedgerKey, dict[AnyCap, None]] = {}
        self.ledgers: dict[LedgerName, Ledger] = {}
        self.heartbeats: dict[Owner, float] = {}
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

    def live_call(self, *, key: Key | None = None, phone: str | None = None) -> tuple[CallId, Live] | None:
        """The live call of a contact or to a number."""
        for call, live in self.live.items():
            permit = live.call.permit
            if (permit.campaign, permit.contact) == key or permit.phone == phone:
                return call, live
        return None

    def rank(self, key: Key) -> tuple[int, int]:
        """Whom the gate calls first: lower ones."""
        waiting = self.data[key]
        more = self.list_priorities.get((key[0], waiting.contact.list or ""), 0)
        return (-waiting.contact.priority - more, waiting.pushed)

    def publish(self, kind: str, **values: object) -> None:
        """Put a result on the stream."""
        said = {name: value for name, value in values.items() if value is not None}
        self.results.append({"type": kind, "at": results.rfc3339(self.clock()), **said})

    def record_refusal(
        self, call: CallId, key: Key, phone: Phone, reason: str, evidence: Mapping[str, object], at: float
    ) -> None:
        """Put on record that a number was not called; `call` is empty where there was no reservation."""
        self.refusals.append(
            RefusalEntry(
                at=at,
                call=call,
                campaign=CampaignId(key[0]),
                contact=ContactId(key[1]),
                phone=phone,
                reason=reason,
                evidence=evidence,
            )
        )

    def forget(self, key: Key) -> Waiting | None:
        """Take a contact out of the hopper."""
        self.unqueue(key)
        self.promised.pop(key, None)
        return self.data.pop(key, None)

    def unqueue(self, key: Key) -> None:
        """Take a contact off all queues, keeping its data."""
        self.ready.setdefault(key[0], set()).discard(key[1])
        self.reserved.setdefault(key[0], set()).discard(key[1])
        self.later.setdefault(key[0], {}).pop(key[1], None)

    def promote(self, campaign: str, now: float) -> None:
        """Let contacts whose time has come wait where they are looked for."""
        later, in_force = self.later.setdefault(campaign, {}), self.filters.get(campaign)
        for contact, at in list(later.items()):
            # Whom an earlier filter of the campaign left out is looked at again.
            if at <= now or (in_force is not None and ASIDE <= at < in_force.aside_at):
                del later[contact]
                self.queue((campaign, contact))

    def waiting_until(self, key: Key) -> float | None:
        """When a contact was to be called; None of one that a filter has left out."""
        at = self.later.get(key[0], {}).get(key[1])
        return None if at is None or at >= ASIDE else at

    def queue(self, key: Key) -> None:
        """Let a contact be called from now on."""
        due = self.reserved if key in self.promised else self.ready
        due.setdefault(key[0], set()).add(key[1])

    def put_back(self, key: Key, not_before_at: float | None) -> None:
        """A contact that was reserved and not called waits again; one that was lent is done as before."""
        promised = self.promised.get(key)
        if key in self.finished:
            self.forget(key)
            return
        if promised is not None and promised.fresh:
            promised.fresh, not_before_at = False, promised.at
        if not_before_at is None:
            self.queue(key)
        else:
            self.later[key[0]][key[1]] = not_before_at

    def listed(self, contact: Contact, phone: Phone) -> dict[str, object]:
        """Which list forbids to call a number of a contact: scope, and the beginning where it is listed by that."""
        account = subject_of(phone, contact.campaign, contact.fields, "").account
        scopes = [ALL, contact.campaign, everywhere(contact.campaign), *([ACCOUNT + account] if account else ())]
        number, *beginnings = forms_listed(phone)
        for scope in scopes:
            if (scope, number) in self.do_not_call:
                return {"scope": scope}
        for scope in scopes:
            for prefix in beginnings:
                if (scope, prefix) in self.do_not_call:
                    return {"scope": scope, "prefix": prefix}
        return {}

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

    def _tell(self, live: Live, kind: str, ref: str | None, reason: str | None) -> None:
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
            for live in self.live.values():
                if self._is_about(entry, live.call.permit):
                    self._tell(live, "dnc", entry.ref, entry.reason)
        else:
            self.do_not_call.pop((entry.scope, entry.phone), None)
        account = account_of(entry.scope)
        campaign = None if entry.scope == ALL or account is not None else entry.scope
        kind = "dnc.applied" if entry.add else "dnc.removed"
        self.publish(kind, campaign=campaign, account=account, phone=entry.phone, ref=entry.ref, reason=entry.reason)

    def _is_about(self, entry: DoNotCall, permit: Permit) -> bool:
        if entry.phone not in forms_listed(permit.phone):
            return False
        account = account_of(entry.scope)
        if account is None:
            return entry.scope in {ALL, permit.campaign, everywhere(permit.campaign)}
        waiting = self.data.get((permit.campaign, permit.contact))
        return waiting is not None and account == subject_of("", "", waiting.contact.fields, "").account
