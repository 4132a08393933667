"""Loading the record from SQL into a Redis that has lost it: a union with what is there, safe to do twice."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from itertools import groupby, pairwise
from operator import itemgetter
from typing import Any, Final

import msgspec
import numpy as np

from dialer.compliance.caps import OUTCOME_FACTS
from dialer.compliance.ledger import Key, Ledger, by_key
from dialer.core.ids import valid_phone
from dialer.core.promise import Promise
from dialer.queues import wire
from dialer.queues.cap_law import BY_NUMBER, keep_block, ledger_name, letters, subject_of
from dialer.queues.connection import AsyncRedis, raise_first
from dialer.queues.port import AsyncRecords, Record
from dialer.queues.removals import ACCOUNT, lenient_phone
from dialer.queues.scripts import Scripts

#: A list of key parts, and the names under them.
LedgerName = tuple[Key, tuple[str, ...]]
#: Name in `Record.counts` of the highest fencing token that the record knows.
HIGHEST_TOKEN: Final = "fencing_token"  # noqa: S105 - no secret
_ITEMS_AT_ONCE: Final = 500
#: Of sets; Lua hands no more than eight thousand values to a command.
_MEMBERS_AT_ONCE: Final = 4_000
#: As many numbers as share all but their last five digits; see lists.lua.
_SHARD: Final = 100_000
_NUMBERS: Final = re.compile(r"\+[1-9][0-9]{6,14}(?:,\+[1-9][0-9]{6,14})*+")
_PACK: Final = msgspec.msgpack.Encoder()
#: Calls of the past are kept so long from their loading on, until it is known which rules count them.
_CALLS_KEPT_S: Final = 400 * 86_400


def page_ledgers(page: Record) -> dict[LedgerName, Ledger]:
    """The ledgers of a page's attempts: by number, and by what else the law of their campaign counts by."""
    ledgers: dict[LedgerName, Ledger] = {}
    for made in page.attempts_made:
        law = page.laws.get(made.campaign)
        subject = subject_of(made.phone, made.campaign, made.fields, "" if law is None else law.seller)
        for key in {BY_NUMBER, *(by_key(law.kept) if law is not None else ())}:
            ledger = ledgers.setdefault((key, subject.key(key)), Ledger())
            ledger.add(made.started_at, OUTCOME_FACTS[made.outcome] | made.more, over_at=made.ended_at)
    return ledgers


async def load_record(client: AsyncRedis, scripts: Scripts, pages: AsyncRecords) -> int:
    """Load all pages; answers the highest fencing token among them.

    Removals and do-not-call entries of a page are loaded before its contacts, and take out contacts of earlier pages,
    so that the order of pages does not matter.
    """
    highest = 0
    async for page in _read_ahead(pages):
        highest = max(highest, page.counts.get(HIGHEST_TOKEN, 0))
        pipeline = client.pipeline(transaction=False)
        for args in (*_page_loads(page), *_page_calls(page)):
            pipeline.execute_command("EVALSHA", scripts["load"], 0, *args)
        for campaign, numbers in _grouped(page.numbers):
            # As the promises.
            made = [part for _, contact, counts in numbers for part in (contact, wire.attempts_text(counts))]
            pipeline.execute_command("EVALSHA", scripts["load"], 0, "attempts", campaign, *made)
        for campaign, promises in _grouped_promises(page.promises):
            # Before their contacts, which are put where they belong.
            args = ("load", campaign, *(part for one in promises for part in wire.promise_args(one)))
            pipeline.execute_command("EVALSHA", scripts["promise"], 0, *args)
        contacts = [contact for contact, _, _ in page.contacts]
        for contact in contacts:
            wire.check(contact)
        for chunk in wire.chunks(contacts):
            rows = [page.contacts[position] for position, _ in chunk]
            offer = wire.pack([row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows])
            pipeline.execute_command("EVALSHA", scripts["offer"], 0, offer.campaign, "load", offer.columns)
        if len(pipeline):
            raise_first(await pipeline.execute(raise_on_error=False))
    return highest


async def _read_ahead(pages: AsyncRecords) -> AsyncIterator[Record]:
    """The pages, each being read while the one before is loaded."""

    async def read() -> Record | None:
        return await anext(pages, None)

    reading = asyncio.ensure_future(read())
    try:
        while (page := await reading) is not None:
            reading = asyncio.ensure_future(read())
            yield page
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


def removed_item(name: str) -> str:
    """A removed contact id or phone as the scripts keep it.

    What looks like E.164 may still be the id of a contact, so it is loaded as both (see `_page_loads`).
    """
    phone = lenient_phone(name) if name.startswith("+") else None
    return f"p{phone[1:]}" if phone is not None else f"c{name}"


def _page_loads(page: Record) -> Iterator[tuple[Any, ...]]:
    for scope, phones in page.listed:
        yield from _listed(scope, phones)
    for scope, entries in groupby(page.do_not_call, key=itemgetter(0)):
        items = [part for _, phone, expires_at in entries for part in (phone[1:], wire.optional(expires_at))]
        yield from _cut("dnc", scope, items, 2 * _ITEMS_AT_ONCE)
    for campaign, removed in _grouped(page.removed):
        items = [item for _, name in removed for item in dict.fromkeys((removed_item(name), f"c{name}"))]
        yield from _cut("removed", campaign, items, _ITEMS_AT_ONCE)
    for campaign, finished in _grouped(page.finished):
        yield from _cut("finished", campaign, [contact for _, contact in finished], _ITEMS_AT_ONCE)


def _listed(scope: str, phones: str) -> Iterator[tuple[Any, ...]]:
    """Numbers of one scope for good: a set takes a thousand in the time of ten one by one."""
    # Lists of accounts have few numbers each; and what is no number, put into the table by hand, is called by nobody.
    if scope.startswith(ACCOUNT) or _NUMBERS.fullmatch(phones) is None:
        items = [part for phone in filter(valid_phone, phones.split(",")) for part in (phone[1:], "")]
        yield from _cut("dnc", scope, items, 2 * _ITEMS_AT_ONCE)
        return
    numbers = np.sort(np.fromstring(phones, dtype=np.int64, sep=","))
    shards, members = numbers // _SHARD, (numbers % _SHARD).tolist()
    bounds = [0, *(np.flatnonzero(np.diff(shards)) + 1).tolist(), len(members)]
    packed: list[str | list[int]] = []
    room = _MEMBERS_AT_ONCE
    for first, end in pairwise(bounds):
        shard = str(shards[first])
        for i in range(first, end, _MEMBERS_AT_ONCE):
            part = members[i : min(i + _MEMBERS_AT_ONCE, end)]
            if len(part) > room:
                yield ("numbers", scope, _PACK.encode(packed))
                packed, room = [], _MEMBERS_AT_ONCE
            packed += (shard, part)
            room -= len(part)
    yield ("numbers", scope, _PACK.encode(packed))


def _page_calls(page: Record) -> Iterator[tuple[Any, ...]]:
    for law in page.laws.values():
        rules = [part for key, own in by_key(law.kept).items() for part in (letters(key), keep_block(own))]
        yield from _cut("rules", "", rules, 2 * _ITEMS_AT_ONCE)
    ledgers = [
        part
        for (key, names), ledger in page_ledgers(page).items()
        for part in (names[0][1:] if key == BY_NUMBER else ledger_name(key, names), ledger.pack())
    ]
    if ledgers:
        latest = max(made.ended_at for made in page.attempts_made)
        for what, _, *items in _cut("calls", "", ledgers, 2 * _ITEMS_AT_ONCE):
            yield (what, wire.number(latest), _CALLS_KEPT_S, *items)


def _grouped_promises(promises: Sequence[Promise]) -> Iterator[tuple[str, list[Promise]]]:
    for campaign, own in groupby(sorted(promises, key=lambda one: one.campaign), key=lambda one: one.campaign):
        yield campaign, list(own)


def _grouped(rows: Iterable[Any]) -> Iterator[tuple[str, list[Any]]]:
    for key, group in groupby(sorted(rows, key=lambda row: str(row[0])), key=lambda row: str(row[0])):
        yield key, list(group)


def _cut(what: str, campaign: str, items: list[Any], size: int) -> Iterator[tuple[Any, ...]]:
    for i in range(0, len(items), size):
        yield (what, campaign, *items[i : i + size])
