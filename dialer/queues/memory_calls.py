"""What becomes of reserved calls in memory: they end, or are given back, or their number is refused."""

from __future__ import annotations

import msgspec

from dialer.compliance.caps import facts_of
from dialer.core.attempt import Attempt
from dialer.core.permit import Permit
from dialer.core.promise import Promise
from dialer.queues import results
from dialer.queues.cap_law import BY_NUMBER
from dialer.queues.journal import JournalEntry
from dialer.queues.memory_server import Key, Live, MemoryServer, Owner, Promised
from dialer.queues.port import NEVER, Finish, LiveState, Refuse, Release
from dialer.queues.rebuild import LedgerName


def finish(server: MemoryServer, owner: Owner, end: Finish) -> None:
    """A call is over, unless that is known or somebody else's to say."""
    attempt = end.attempt
    live = server.live.get(attempt.call)
    if live is not None:
        if end.fencing_token == 0 and live.owner is not owner:
            return
        if 0 < end.fencing_token < live.call.permit.fencing_token:
            return
        del server.live[attempt.call]
    elif end.fencing_token > server.epoch:
        return
    if end.fencing_token <= server.epoch:
        if attempt.call in server.ended:
            return
        server.ended.add(attempt.call)
    server.journal.append(
        JournalEntry(
            attempt=attempt,
            retry_at=end.retry_at,
            fencing_token=end.fencing_token,
            needs_agent=end.needs_agent,
        )
    )
    server.results.append(results.call_ended(attempt, end.retry_at))
    _settle(server, attempt, live)
    key = (attempt.campaign, attempt.contact)
    waiting = server.data.get(key)
    retry_at, promised = end.retry_at, server.promised.get(key)
    fresh = promised is not None and promised.fresh
    if promised is not None and promised.fresh:
        # Agreed while this call was under way: that is when the contact is called next.
        promised.fresh, retry_at = False, promised.at
    elif key in server.finished:
        retry_at = None  # lent for this call alone
    if retry_at is None or waiting is None:
        if waiting is not None or end.retry_at is None:
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
    elif promised is None and end.needs_agent:
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


def _settle(server: MemoryServer, attempt: Attempt, live: Live | None) -> None:
    """Enter a call in the ledgers as what it came to."""
    facts = facts_of(attempt)
    entered: list[LedgerName] = [(BY_NUMBER, (str(attempt.phone),))] if BY_NUMBER in server.kept else []
    if live is not None:
        for name in live.ledgers:
            server.ledger(name).take_back(live.call.reserved_at)
        entered += live.ledgers
    for name in entered:
        server.ledger(name).add(attempt.started_at, facts, over_at=attempt.ended_at)
        server.prune(name, attempt.ended_at)


def release(server: MemoryServer, given: Release) -> None:
    """A reservation is given back without a call."""
    permit = given.permit
    live = _give_back(server, permit)
    if live is None:
        return
    key = (permit.campaign, permit.contact)
    if given.evidence is not None:
        server.record_refusal(permit.call, key, permit.phone, given.reason, given.evidence, live.call.reserved_at)
    if key in server.data:
        server.data[key].waits |= {str(phone): min(until, NEVER) for phone, until in given.waits.items()}
        server.put_back(key, given.not_before_at)
    _answer_removals(server, key, live)


def refuse(server: MemoryServer, refusal: Refuse) -> None:
    """The number of a reservation must not be called: it goes, and with the last one the contact."""
    permit = refusal.permit
    live = _give_back(server, permit)
    if live is None:
        return
    key = (permit.campaign, permit.contact)
    server.record_refusal(permit.call, key, permit.phone, refusal.reason, refusal.evidence, live.call.reserved_at)
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
                "contact.rejected", campaign=key[0], contact=key[1], phone=permit.phone, reason=refusal.reason
            )
    _answer_removals(server, key, live)


def _give_back(server: MemoryServer, permit: Permit) -> Live | None:
    """A reservation ends without a call; None where it is none of this permit any more."""
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


def _answer_removals(server: MemoryServer, key: Key, live: Live) -> None:
    for purge in live.told:
        if purge.kind == "removal":
            server.publish(
                "removal.applied",
                campaign=key[0],
                contact=key[1],
                ref=purge.ref or None,
                reason=purge.reason or None,
            )
