"""Removals and do-not-call entries on their way into SQL, and back out as the record of a lost Redis."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
from collections import Counter
from collections.abc import Sequence

import pytest

from dialer.compliance.rules import Span
from dialer.core.campaign import Campaign
from dialer.core.ids import CampaignId, ContactId, Phone
from dialer.queues.cap_law import cap_law
from dialer.queues.port import Record
from dialer.storage.attempts import Attempts
from dialer.storage.campaigns import Campaigns
from dialer.storage.contacts import Contacts
from dialer.storage.database import Database
from dialer.storage.do_not_call import DoNotCall, DoNotCallList
from dialer.storage.gate_marks import GateMark, GateMarks
from dialer.storage.record import RecordPages
from dialer.storage.recorder import DoNotCallRecorder, RemovalRecorder
from dialer.storage.removals import Removal, Removals
from dialer.storage.set_aside import SetAside, SetAsides
from dialer.storage.stream_consumer import Entry
from tests.compliance_rules import cap_rule
from tests.record_values import CAMPAIGN, Stream, attempt, contact, eventually

PHONE = Phone("+34600111222")


async def _record(kind: type[RemovalRecorder] | type[DoNotCallRecorder], database: Database, stream: Stream) -> None:
    stop = asyncio.Event()
    stop.set()
    await kind(database, stream.consumer(), lambda: 1.0).run(stop)


def _message(**fields: object) -> bytes:
    return json.dumps(fields).encode()


async def test_removals_are_kept(database: Database) -> None:
    stream = Stream()
    stream.add(
        _message(id="m1", campaign="winter", contact="crm-1", reason="paid"),
        _message(id="m2", campaign="*", phone="0034 600 111 222"),
        _message(id="m3", campaign="winter", contact=17, phone="+34600111333"),
        b"not json",
        _message(id="m4", contact="crm-1"),
    )
    await _record(RemovalRecorder, database, stream)
    assert stream.unacked == 0
    removals = Removals(database)
    assert await removals.covers("winter", "contact", "crm-1")
    assert not await removals.covers("summer", "contact", "crm-1")
    assert await removals.covers("summer", "phone", PHONE)
    assert await removals.covers("winter", "contact", "17")
    assert await removals.covers("winter", "phone", "+34600111333")
    first = next(removal for removal in await removals.after(None, 10) if removal.subject == "crm-1")
    assert (first.reason, first.ref, first.at) == ("paid", "m1", 1_700_000_000.0)
    aside = await SetAsides(database).latest()
    assert sorted(item.entry for item in aside) == ["1700000000000-3", "1700000000000-4"]


async def test_do_not_call_follows_the_stream(database: Database) -> None:
    stream = Stream()
    stream.add(
        _message(op="add", phone=PHONE, reason="asked"),
        _message(op="add", phone="+34600111333", scope="winter", expires="2030-01-01T00:00:00Z"),
        _message(op="add", phone="+34600111444"),
        _message(op="remove", phone="+34600111444"),
        _message(op="add", phone="garbage"),
    )
    await _record(DoNotCallRecorder, database, stream)
    entries = DoNotCallList(database)
    assert [entry.reason for entry in await entries.holding(PHONE, now=2e9)] == ["asked"]
    timed = await entries.holding(Phone("+34600111333"), now=1.8e9)
    assert [(entry.scope, entry.expires_at) for entry in timed] == [("winter", 1_893_456_000.0)]
    assert await entries.holding(Phone("+34600111333"), now=1.9e9) == []
    assert await entries.holding(Phone("+34600111444"), now=1.8e9) == []
    assert len(await SetAsides(database).latest()) == 1


class _Held(RemovalRecorder):
    """Commits when it may."""

    def __init__(self, database: Database, stream: Stream) -> None:
        super().__init__(database, stream.consumer(), lambda: 1.0, linger_s=0.001)
        self.may_commit = asyncio.Event()

    async def _store(self, entries: Sequence[Entry]) -> Sequence[SetAside]:
        await self.may_commit.wait()
        return await super()._store(entries)


async def test_whoever_rebuilds_redis_waits_for_what_has_been_read(sqlite_url: str) -> None:
    database, stream, stop = Database(sqlite_url), Stream(), asyncio.Event()
    recorder = _Held(database, stream)
    running = asyncio.ensure_future(recorder.run(stop))
    await recorder.recorded()  # nothing has been read
    stream.add(_message(id="m1", campaign="winter", contact="crm-1"))
    await eventually(lambda: recorder.status.waiting == 1)
    waiting = asyncio.ensure_future(recorder.recorded())
    await asyncio.sleep(0)
    assert not waiting.done()
    recorder.may_commit.set()
    await waiting
    assert await Removals(database).covers("winter", "contact", "crm-1")
    stop.set()
    await running
    await database.close()


async def test_what_was_committed_after_a_loss_is_told_once_more(sqlite_url: str) -> None:
    database, stream, stop = Database(sqlite_url), Stream(), asyncio.Event()
    recorder = _Held(database, stream)
    losses = 0
    recorder.losses = lambda: losses
    running = asyncio.ensure_future(recorder.run(stop))
    message = _message(id="m1", campaign="winter", contact="crm-1")
    stream.add(message)
    await eventually(lambda: recorder.status.waiting == 1)
    losses = 1  # another node may have rebuilt Redis from SQL, where this one is missing
    recorder.may_commit.set()
    await eventually(lambda: stream.unacked == 0)
    stop.set()
    await running
    assert [data for _, data in stream.entries] == [message, message]
    assert len(await Removals(database).after(None, 10)) == 1
    await database.close()


def test_of_do_not_call_entries_only_those_that_bar_somebody_are_told_again(sqlite_url: str) -> None:
    recorder = DoNotCallRecorder(Database(sqlite_url), Stream().consumer(), lambda: 1.0)
    assert recorder._bars("1-0", _message(op="add", phone=PHONE))
    assert not recorder._bars("1-0", _message(op="remove", phone=PHONE))
    assert not recorder._bars("1-0", b"not json")


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
async def test_later_do_not_call_entry_counts_in_any_order(sqlite_url: str, order: tuple[int, ...]) -> None:
    database = Database(sqlite_url)
    entries = [
        DoNotCall(scope="*", phone=PHONE, at=1.0),
        DoNotCall(scope="*", phone=PHONE, at=2.0, active=False),
        DoNotCall(scope="*", phone=PHONE, at=3.0, reason="again"),
    ]
    for i in order:
        await DoNotCallList(database).put([entries[i]])
    assert [entry.reason for entry in await DoNotCallList(database).holding(PHONE, 10.0)] == ["again"]
    await database.close()


async def test_record_holds_everything_once(database: Database) -> None:
    await Campaigns(database).create(Campaign(id=CAMPAIGN), now=1.0)
    other = CampaignId("other")
    await Contacts(database).upsert([contact(i) for i in range(23)] + [contact(1, campaign=other)], at=1.0)
    await Attempts(database).record([(attempt(1), 5_000.0), (attempt(2), None)])
    await Removals(database).add(
        [
            Removal(campaign="winter", kind="contact", subject="crm-3", at=2.0),
            Removal(campaign="*", kind="contact", subject="crm-4", at=2.0),
            Removal(campaign="*", kind="phone", subject="+34600000009", at=2.0),
            # It came before its contact, which never came.
            Removal(campaign="winter", kind="contact", subject="crm-99", at=2.0),
        ]
    )
    await DoNotCallList(database).put(
        [DoNotCall(scope="*", phone=Phone(f"+3460000{i:04d}"), at=1.0) for i in range(12)]
        + [DoNotCall(scope="winter", phone=PHONE, at=1.0, expires_at=50.0)]
    )
    await GateMarks(database).raise_to(GateMark(name="cadencia:", run_id="r", generation=3, fencing_token=77), 1.0)
    pages: list[Record] = [page async for page in RecordPages(database, now=100.0, page=5)]

    contacts = {(each.campaign, each.id): (made, at) for page in pages for each, made, at in page.contacts}
    expected = {("winter", f"crm-{i}") for i in range(23) if i not in {2, 3, 4}} | {("other", "crm-1")}
    assert set(contacts) == expected
    assert contacts[CAMPAIGN, ContactId("crm-1")] == (1, 5_000.0)
    assert contacts[other, ContactId("crm-1")] == (0, None)
    assert [each for page in pages for each in page.finished] == [("winter", "crm-2")]
    assert sorted(each for page in pages for each in page.removed) == [
        ("*", "+34600000009"),
        ("*", "crm-4"),
        ("winter", "crm-3"),
        ("winter", "crm-99"),
    ]
    listed = {(scope, phone) for page in pages for scope, phones in page.listed for phone in phones.split(",")}
    assert listed == {("*", f"+3460000{i:04d}") for i in range(12)}
    assert pages[-1].counts == {
        "removed": 4,
        "do_not_call": 12,
        "attempts_made": 2,
        "finished": 1,
        "contacts": 21,
        "fencing_token": 77,
    }
    # What forbids comes before what asks.
    first_contact = next(i for i, page in enumerate(pages) if page.contacts)
    assert not any(page.removed or page.listed or page.attempts_made for page in pages[first_contact:])
    assert max(len(page.contacts) + len(page.finished) for page in pages) <= 5


async def test_every_entry_that_holds_is_on_one_page_whatever_its_kind(database: Database) -> None:
    """Numbers for good by their scope, the others one by one; none of those that are over or were taken off."""
    generator = random.Random(7)
    kinds = itertools.product(["*", "summer", "winter", "account:D-1"], [None, 50.0, 500.0], [True, False], ["", "*"])
    entries = [
        DoNotCall(scope=scope, phone=Phone(f"+346{number:08d}{end}"), at=1.0, expires_at=expires_at, active=active)
        for scope, expires_at, active, end in kinds
        for number in generator.sample(range(10**8), 7)
    ]
    await DoNotCallList(database).put(entries)
    pages: list[Record] = [page async for page in RecordPages(database, now=100.0, page=1)]
    assert len(pages) > 2
    assert all(len(page.do_not_call) <= 50 for page in pages)
    found = Counter(
        [(scope, phone, None) for page in pages for scope, phones in page.listed for phone in phones.split(",")]
        + [entry for page in pages for entry in page.do_not_call]
    )
    holding = [one for one in entries if one.active and one.expires_at != 50.0]
    assert found == Counter((one.scope, one.phone, one.expires_at) for one in holding)
    assert pages[-1].counts["do_not_call"] == len(holding)
    for page in pages:
        assert not any("*" in phones for _, phones in page.listed)


async def test_empty_record_is_one_page_of_counts(database: Database) -> None:
    pages = [page async for page in RecordPages(database, now=1.0)]
    assert [page.counts.get("contacts") for page in pages] == [0]


async def test_attempts_that_may_still_count_come_with_the_names_of_their_contacts(database: Database) -> None:
    other = CampaignId("other")
    fields = {"person": "17", "account": 4, "note": "is of no concern"}
    await Contacts(database).upsert([contact(1, fields=fields), contact(2, campaign=other)], at=1.0)
    now = 1_700_000_025.0 + 40 * 86_400
    made = [attempt(n, contact=ContactId("crm-1"), ended_at=now - n * 86_400) for n in range(12)]
    # Two at the end of a page that ended in the same moment, and a contact that is not on record.
    made += [attempt(n, campaign=other, contact=ContactId(f"crm-{n - 10}"), ended_at=now - 5.0) for n in range(12, 19)]
    old = attempt(99, ended_at=now - 31 * 86_400 - 1)
    await Attempts(database).record([(each, None) for each in (*made, old)])
    law = cap_law([cap_rule(3, Span.ROLLING, 10)], now, ["Europe/Madrid"])
    pages = [page async for page in RecordPages(database, now, page=5, laws={CAMPAIGN: law})]
    found = [each for page in pages for each in page.attempts_made]
    assert sorted((each.campaign, each.started_at, each.ended_at) for each in found) == sorted(
        (each.campaign, each.started_at, each.ended_at) for each in made
    )
    named = {(each.campaign, each.contact): each.fields for each in found}
    assert named[CAMPAIGN, ContactId("crm-1")] == {"person": "17", "account": 4}
    assert named[other, ContactId("crm-2")] == named[other, ContactId("crm-8")] == {}
    assert all(page.laws == {CAMPAIGN: law} for page in pages if page.attempts_made)
    assert max(len(page.attempts_made) for page in pages) == 5
    # A law that counts longer is told of older ones.
    longer = cap_law([cap_rule(3, Span.ROLLING, 60 * 86_400)], now, ["Europe/Madrid"])
    pages = [page async for page in RecordPages(database, now, laws={CAMPAIGN: longer})]
    assert pages[-1].counts["attempts_made"] == len(made) + 1
    forever = cap_law([cap_rule(3, Span.EVER, 0)], now, ["Europe/Madrid"])
    pages = [page async for page in RecordPages(database, now, laws={CAMPAIGN: forever})]
    assert pages[-1].counts["attempts_made"] == len(made) + 1
