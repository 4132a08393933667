"""The chain of evidence in both databases: every attempt once, whoever writes; tampering is found; erasure is not."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from sqlalchemy import text

from dialer.compliance.evidence import GENESIS, Evidence, EvidenceKind, Head, suppression_key
from dialer.core.ids import ContactId, Phone
from dialer.storage.attempts import Attempts
from dialer.storage.database import Database
from dialer.storage.evidence import EvidenceFilter, EvidenceStore
from tests.record_values import CAMPAIGN, attempt

pytestmark = pytest.mark.usefixtures("database")


async def _filled(database: Database, count: int = 30) -> EvidenceStore:
    for at in range(0, count, 7):
        await Attempts(database).record([(attempt(n), None) for n in range(at, min(at + 7, count))])
    return EvidenceStore(database)


async def test_each_attempt_is_on_record_once_whatever_comes_twice(database: Database) -> None:
    store = await _filled(database)
    await Attempts(database).record([(attempt(n), 5.0) for n in range(25, 35)])
    found = [link async for link in store.find(EvidenceFilter())]
    assert [link.number for link in found] == list(range(1, 36))
    assert sorted(link.reference for link in found) == sorted(f"call-{n}" for n in range(35))
    facts = json.loads(found[0].facts)
    assert facts["outcome"] == "no_answer"
    assert "phone" not in facts
    assert json.loads(found[0].personal or "") == {"contact": "crm-0", "phone": "+34600000000"}
    verified = await store.verify()
    assert (verified.intact, verified.problem, verified.head) == (35, "", await store.head())


async def test_writers_at_the_same_time_make_one_chain(database: Database) -> None:
    async def write(start: int) -> None:
        for n in range(start, start + 10):
            await Attempts(database).record([(attempt(n), None)])

    async with asyncio.TaskGroup() as group:
        for start in range(0, 40, 10):
            group.create_task(write(start))
    verified = await EvidenceStore(database).verify()
    assert (verified.intact, verified.problem) == (40, "")


@pytest.mark.parametrize(
    ("tampering", "says"),
    [
        ("UPDATE evidence SET facts = replace(facts, 'no_answer', 'connected') WHERE number = 12", "record 12"),
        ("UPDATE evidence SET at = at + 1 WHERE number = 12", "record 12"),
        ("UPDATE evidence SET personal = replace(personal, '+346', '+347') WHERE number = 12", "personal part"),
        ("DELETE FROM evidence WHERE number = 12", "records 12 to 12 are missing"),
        ("DELETE FROM evidence WHERE number > 28", "should end with record 30"),
        ("UPDATE evidence_head SET hash = '00'", "not the one that the chain ended with"),
    ],
)
async def test_tampering_is_found(database: Database, tampering: str, says: str) -> None:
    store = await _filled(database)
    async with database.write() as connection:
        await connection.execute(text(tampering))
    assert says in (await store.verify()).problem


async def test_a_chain_cut_short_with_its_head_is_found_by_a_head_that_was_kept(database: Database) -> None:
    store = await _filled(database)
    kept = await store.head()
    assert await store.has(kept)
    assert await store.has(GENESIS)
    [last] = [link async for link in store.find(EvidenceFilter()) if link.number == 28]
    async with database.write() as connection:
        await connection.execute(text("DELETE FROM evidence WHERE number > 28"))
        await connection.execute(text(f"UPDATE evidence_head SET number = 28, hash = '{last.hash}'"))
    assert (await store.verify()).problem == ""
    assert not await store.has(kept)
    assert not await store.has(Head(number=5, hash="0" * 64))


async def test_who_is_erased_is_gone_and_the_chain_is_whole(database: Database) -> None:
    store = await _filled(database)
    phone = Phone("+34600000003")
    hidden = suppression_key(phone, b"k" * 32)
    said: dict[str, Any] = {"at": 1_800_000_000.0, "who": "compliance", "suppressions": [hidden], "rows": {}}
    assert await store.erase_person([phone], [], **said) == {"evidence": 1}
    assert await store.erase_person([phone], [], **said) == {}, "and nothing is put on record twice"
    assert [link async for link in store.find(EvidenceFilter(phone=phone))] == []
    async with database.read() as connection:
        everything = str((await connection.execute(text("SELECT * FROM evidence"))).all())
    assert phone not in everything
    assert "'crm-3'" not in everything
    verified = await store.verify()
    assert (verified.intact, verified.erased, verified.problem) == (31, 1, "")
    [note] = [link async for link in store.find(EvidenceFilter(kind=EvidenceKind.ERASURE))]
    assert json.loads(note.facts) == {"records": 1, "rows": {}, "suppressions": [hidden], "who": "compliance"}


async def test_records_are_found_by_number_contact_and_period(database: Database) -> None:
    store = await _filled(database)
    one = EvidenceFilter(campaign=CAMPAIGN, contact=ContactId("crm-4"))
    assert [link.reference async for link in store.find(one)] == ["call-4"]
    some = EvidenceFilter(since=attempt(5).ended_at, until=attempt(8).ended_at)
    assert [link.reference async for link in store.find(some)] == ["call-5", "call-6", "call-7"]


async def test_text_that_no_database_keeps_does_not_break_the_chain(database: Database) -> None:
    await Attempts(database).record([(attempt(1, reason="Q.850\x00;cause=16 \udc00", trunk="a\x00b"), None)])
    refusal = Evidence(
        kind=EvidenceKind.REFUSAL, reference="r-1", at=2.5, facts={"why": "ñ \u2028 \"'\\"}, personal={"contact": "c"}
    )
    store = EvidenceStore(database)
    await store.append([refusal, refusal])
    await store.append([])
    assert (await store.verify()).intact == 2
