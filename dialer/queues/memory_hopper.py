"""How contacts come into the hopper in memory: offered, promised a call, lent for one, loaded from the record."""

from __future__ import annotations

import msgspec

from dialer.core.contact import Contact
from dialer.core.promise import Promise
from dialer.queues.memory_server import MemoryServer, Promised, Waiting
from dialer.queues.port import Offered, Record
from dialer.queues.rebuild import HIGHEST_TOKEN, page_ledgers
from dialer.queues.removals import ALL, lenient_phone


def offer(
    server: MemoryServer,
    contact: Contact,
    *,
    attempts: int = 0,
    next_at: float | None = None,
    loading: bool = False,
) -> Offered:
    """A contact is pushed, or is `loading` from the record, with `attempts` made and the next at `next_at`."""
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


def promise(server: MemoryServer, given: Promise, *, agreed: bool) -> None:
    """A call is promised to a contact: `agreed` just now, or loaded from the record."""
    key = (given.campaign, given.contact)
    if any((scope, given.contact) in server.removed for scope in (ALL, given.campaign)):
        return
    if not agreed and key in server.finished:
        return
    server.finished.discard(key)
    live = server.live_call(key=key) is not None
    server.promised[key] = Promised(given, given.at, agreed and live)
    if key in server.data and not live:
        server.unqueue(key)
        server.later[key[0]][key[1]] = given.at


def lend(server: MemoryServer, contact: Contact, attempts: int) -> Offered:
    """A contact that is done may be called once more, by name."""
    key = (contact.campaign, contact.id)
    if server.is_removed(contact):
        return Offered.REMOVED
    if server.live_call(key=key) is not None or (key in server.data and key not in server.finished):
        return Offered.UPDATED
    server.finished.add(key)
    server.ready.setdefault(contact.campaign, set())
    server.data[key] = Waiting(contact, max(attempts, server.made.get(key, 0)), 0, 0)
    return Offered.ADDED


def load(server: MemoryServer, page: Record) -> None:
    """A page of the record; together with what is there already."""
    server.token = max(server.token, page.counts.get(HIGHEST_TOKEN, 0))
    for promised in page.promises:
        promise(server, promised, agreed=False)
    for scope, listed, expires_at in page.do_not_call:
        server.do_not_call[scope, listed] = expires_at
    for scope, phones in page.listed:
        server.do_not_call |= dict.fromkeys(((scope, phone) for phone in phones.split(",")), None)
    for campaign, name in page.removed:
        _load_removed(server, campaign, name)
    for key in page.finished:
        server.finished.add(key)
        server.forget(key)
    for campaign, contact_id, made in page.numbers:
        server.announced[campaign, contact_id] = {str(phone): attempts for phone, attempts in made.items()}
    for contact, attempts, next_at in page.contacts:
        offer(server, contact, attempts=attempts, next_at=next_at, loading=True)
    for law in page.laws.values():
        server.learn(law.kept)
    for ledger_name, ledger in page_ledgers(page).items():
        server.ledger(ledger_name).merge(ledger)


def _load_removed(server: MemoryServer, campaign: str, name: str) -> None:
    phone = (lenient_phone(name) if name.startswith("+") else None) or name
    server.removed |= {(campaign, name), (campaign, phone)}
    for key, waiting in list(server.data.items()):
        if campaign in {ALL, key[0]} and (key[1] == name or phone in waiting.contact.phones):
            server.forget(key)
