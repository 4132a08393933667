"""Whoever is erased stands in no table any more, in whatever form, and everybody else does as before."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from dialer.compliance.evidence import EvidenceKind, suppression_key
from dialer.compliance.suppression import Suppressions
from dialer.core.contact_phone import PhoneTerms, PhoneType
from dialer.core.ids import CampaignId, ContactId, Phone
from dialer.queues.journal import JournalEntry, RefusalEntry, encode_entry, encode_refusal
from dialer.storage import tables
from dialer.storage.attempt_writer import AttemptWriter
from dialer.storage.attempts import Attempts
from dialer.storage.contacts import Contacts
from dialer.storage.database import Database
from dialer.storage.erasure import Erased, Erasure
from dialer.storage.evidence import EvidenceFilter, EvidenceStore
from dialer.storage.person_export import LEFT_OUT, export_person
from dialer.storage.recorder import DoNotCallRecorder, RemovalRecorder
from dialer.storage.refusal_writer import RefusalWriter
from dialer.storage.suppressions import SuppressionStore
from tests.personal_data import PERSONAL, Says, textual
from tests.record_values import CAMPAIGN, Stream, attempt, contact

KEY = "k" * 32
NOW = 1_800_000_000.0
ANA, BEN = Phone("+34600000001"), Phone("+34600000002")
ANAS_OTHER = Phone("+34910000001")


async def fill(database: Database, number: int, *phones: Phone, written: str, id: str | None = None) -> None:
    """A person in every table that may know one, the number written as people do where it is free text."""
    name = id or f"crm-{number}"
    said = {"id": ContactId(name), "name": f"Person {name}", "consent": {"text": f"{name} agreed"}}
    made = contact(number, **said, phones=phones, fields={"account": f"D-{number}", "note": f"of {name}"})
    made = msgspec.structs.replace(made, phone_terms={phone: PhoneTerms(type=PhoneType.HOME) for phone in phones})
    await Contacts(database).upsert([made], NOW)
    calls = [
        attempt(1_000 * number + place, contact=ContactId(name), phone=phone) for place, phone in enumerate(phones)
    ]
    await Attempts(database).record([(one, None) for one in calls])
    at = {"at": NOW}
    updated = {"created_at": NOW, "updated_at": NOW}
    waiting = {
        "state": "pending",
        "attempts": 0,
        "next_at": NOW,
        "last_error": f"refused: {name}",
        "error_told": f'{{"code": "x", "arguments": {{"problem": "{name}"}}}}',
    }
    rows: list[tuple[Any, dict[str, Any]]] = [
        (tables.dispositions, {"call": calls[0].call, "code": "SALE", "notes": f"asked for {name}", **at}),
        (tables.dispositions, {"call": f"x{number}", "code": "SALE", "notes": f"gave {phones[0]} instead", **at}),
        (tables.removals, {"campaign": "*", "kind": "phone", "subject": phones[0], "reason": f"{name} moved", **at}),
        (tables.removals, {"campaign": CAMPAIGN, "kind": "contact", "subject": name, "reason": "paid", **at}),
        (
            tables.do_not_call,
            {"scope": "account:D", "phone": phones[0], "reason": name, "source": "", "position": "", **at},
        ),
        (tables.rejected_rows, {"list": "l1", "row": number, "code": "c", "message": name, "raw": f"{name};{written}"}),
        (
            tables.list_warnings,
            {"list": "l1", "contact": name, "phone": phones[0], "kind": "stale_number", "message": name},
        ),
        (tables.set_aside, {"stream": "dnc", "entry": f"{number}-0", "reason": "r", "data": written, **at}),
        (tables.audit, {"who": "w", "what": "x", "details": {"phone": phones[0]}, **at}),
        (
            tables.webhook_deliveries,
            {
                "id": f"w{number}",
                "url": "https://crm.example",
                "type": "call.ended",
                "payload": json.dumps({"phone": phones[0], "contact": name}),
                "subject": f"{CAMPAIGN}/{name}",
                **waiting,
                **updated,
            },
        ),
        (
            tables.crm_updates,
            {
                "id": f"u{number}",
                "source": "s",
                "contact": name,
                "type": "call.ended",
                "position": "",
                "result": json.dumps({"phone": phones[0]}),
                **waiting,
                **updated,
            },
        ),
        (
            tables.crm_contacts,
            {
                "source": "s",
                "contact": name,
                "digest": f"of {name}",
                "round": 1,
                "missing": 0,
                "state": "taken",
                "updated_at": NOW,
            },
        ),
        (
            tables.calls_elsewhere,
            {
                "id": f"e{number}",
                "campaign": CAMPAIGN,
                "phone": phones[0],
                "started_at": NOW,
                "ended_at": NOW,
                "outcome": "busy",
                "inbound": False,
                "refused": False,
                "fields": {"person": name},
            },
        ),
        (
            tables.promises,
            {"campaign": CAMPAIGN, "contact": name, "fallback_at": NOW, "until_at": NOW, "made_at": NOW, **at},
        ),
        (
            tables.action_firings,
            {
                "rule": "r",
                "campaign": CAMPAIGN,
                "contact": name,
                "action": "a",
                "why": name,
                "details": {"contact": name},
                "state": "done",
                "problem": name,
                "why_told": name,
                "problem_told": name,
                **at,
            },
        ),
        (
            tables.recordings,
            {
                "id": f"r{number}",
                "call": calls[0].call,
                "campaign": CAMPAIGN,
                "contact": name,
                "server": "pbx",
                "node": "n",
                "by": "anna",
                "state": "stored",
                "started_at": NOW,
                "pauses": [],
                "retain_until": NOW + 1e6,
                "updated_at": NOW,
            },
        ),
    ]
    async with database.write() as connection:
        if (await connection.execute(select(tables.lists.c.id))).first() is None:
            values = {"id": "l1", "campaign": CAMPAIGN, "name": "", "source": "", "state": "loaded", "reasons": {}}
            await connection.execute(tables.lists.insert().values(started_at=NOW, **values))
        for table, row in rows:
            await connection.execute(table.insert().values(**row))


async def dump(database: Database) -> dict[str, list[str]]:
    """Every row of every table, as text."""
    found = {}
    async with database.read() as connection:
        for table in tables.metadata.sorted_tables:
            rows = (await connection.execute(select(table).order_by(*table.primary_key))).all()
            found[table.name] = [repr(tuple(row)) for row in rows]
    return found


def mentions(found: dict[str, list[str]], *texts: str) -> list[tuple[str, str]]:
    """Rows in which one of these stands, whatever is between its digits."""
    return [
        (table, text)
        for table, rows in found.items()
        for row in rows
        for text in texts
        if text in row or (text.isdigit() and text in "".join(c for c in row if c.isdigit()))
    ]


async def telling(database: Database, *texts: str) -> dict[str, set[str]]:
    """The columns, by table, in which one of these stands."""
    found: dict[str, set[str]] = {}
    async with database.read() as connection:
        for table in tables.metadata.sorted_tables:
            for row in (await connection.execute(select(table))).mappings():
                told = {name for name, value in row.items() if mentions({name: [repr(value)]}, *texts)}
                if told:
                    found.setdefault(table.name, set()).update(told)
    return found


async def erase(database: Database, *phones: Phone, all_numbers: bool = False) -> Erased:
    erasure = Erasure(database, KEY)
    return await erasure.erase(await erasure.find(phones, all_numbers=all_numbers), at=NOW, who="dpo")


async def test_who_is_erased_stands_nowhere_and_the_others_everywhere(database: Database) -> None:
    await fill(database, 1, ANA, ANAS_OTHER, written="600 00 00 01")
    await fill(database, 2, BEN, written="+34 (600) 000-002")
    before = await dump(database)
    erased = await erase(database, ANA, all_numbers=True)
    after = await dump(database)
    assert not mentions(after, "600000001", "910000001", "crm-1")
    assert len(mentions(after, "600000002")) == len(mentions(before, "600000002"))
    assert len(mentions(after, "crm-2")) == len(mentions(before, "crm-2"))
    assert erased.rows["contacts"] == 1
    assert erased.rows["attempts"] == 2
    assert set(after["suppressions"]) == {repr((suppression_key(p, KEY.encode()), NOW)) for p in (ANA, ANAS_OTHER)}
    assert len(after["attempts"]) == 3, "that there were calls stays on record"
    verified = await EvidenceStore(database).verify()
    assert (verified.problem, verified.erased) == ("", 2)
    [note] = [link async for link in EvidenceStore(database).find(EvidenceFilter(kind=EvidenceKind.ERASURE))]
    facts = json.loads(note.facts)
    assert (facts["who"], facts["records"], facts["rows"]["attempts"]) == ("dpo", 2, 2)


def test_every_column_that_can_hold_text_says_of_whom() -> None:
    """Whoever adds a column says whether it tells of the people who are called, and lets the erasure know."""
    assert {table: set(columns) for table, columns in PERSONAL.items()} == textual()


async def test_every_column_about_a_person_is_emptied_of_them(database: Database) -> None:
    about_people = {
        table: wanted
        for table, columns in PERSONAL.items()
        if (wanted := {name for name, says in columns.items() if says is Says.PERSON})
    }
    await fill(database, 1, ANA, written=f"crm-1 {ANA}")
    assert await telling(database, "600000001", "crm-1") == about_people, "the test plants something everywhere"
    await erase(database, ANA)
    assert await telling(database, "600000001", "crm-1") == {}


async def test_repeated_it_changes_nothing(database: Database) -> None:
    await fill(database, 1, ANA, written="600000001")
    await erase(database, ANA)
    before = await dump(database)
    assert (await erase(database, ANA)).rows == {}
    assert await dump(database) == before


async def test_broken_off_it_is_finished_by_the_next(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    await fill(database, 1, ANA, written="600-000-001")

    async def fails(*_: object, **__: object) -> dict[str, int]:
        raise ConnectionError("the process was killed here")

    with monkeypatch.context() as patched:
        patched.setattr(EvidenceStore, "erase_person", fails)
        with pytest.raises(ConnectionError):
            await erase(database, ANA)
    assert Suppressions(await SuppressionStore(database).all(), KEY).cover(ANA), "nobody calls it from the beginning on"
    await erase(database, ANA)
    assert not mentions(await dump(database), "600000001", "crm-1")


async def test_another_number_of_the_contact_stays_unless_it_is_asked_for(database: Database) -> None:
    await fill(database, 1, ANA, ANAS_OTHER, written="600000001")
    erased = await erase(database, ANA)
    assert erased.others == (ANAS_OTHER,)
    suppressions = Suppressions(await SuppressionStore(database).all(), KEY)
    assert (suppressions.cover(ANA), suppressions.cover(ANAS_OTHER)) == (True, False)


async def test_fields_of_others_that_name_the_number_go(database: Database) -> None:
    said = {"guarantor": str(ANA), "account": "D-2", "note": f"call {ANA[1:]}"}
    await Contacts(database).upsert([contact(2, fields=said)], NOW)
    await erase(database, ANA)
    kept = await Contacts(database).get(CAMPAIGN, ContactId("crm-2"))
    assert kept is not None
    assert kept.contact.fields == {"account": "D-2"}


async def test_what_is_still_on_its_way_is_put_on_record_without_the_person(database: Database) -> None:
    suppressions = Suppressions([suppression_key(ANA, KEY.encode())], KEY)
    stream = Stream()
    stream.add(encode_entry(JournalEntry(attempt=attempt(1, phone=ANA), retry_at=None, fencing_token=1)))
    stream.add(encode_entry(JournalEntry(attempt=attempt(2, phone=BEN), retry_at=None, fencing_token=2)))
    attempts = AttemptWriter(database, stream.consumer(), lambda: NOW)
    attempts.erased = suppressions.cover
    refusals, removals, entries = Stream(), Stream(), Stream()
    person = {"call": "", "campaign": CampaignId("winter"), "contact": ContactId("crm-1"), "phone": ANA}
    refusals.add(encode_refusal(RefusalEntry(at=NOW, reason="erased", evidence={}, **person)))  # type: ignore[arg-type]
    for phone in (ANA, BEN):
        removals.add(json.dumps({"campaign": "*", "phone": phone}).encode())
        entries.add(json.dumps({"op": "add", "phone": phone}).encode())
    removal_recorder = RemovalRecorder(database, removals.consumer(), lambda: NOW)
    entry_recorder = DoNotCallRecorder(database, entries.consumer(), lambda: NOW)
    removal_recorder.erased = entry_recorder.erased = suppressions.cover
    refusal_writer = RefusalWriter(database, refusals.consumer(), lambda: NOW)
    stop = asyncio.Event()
    stop.set()
    for consumer in (attempts, refusal_writer, removal_recorder, entry_recorder):
        await consumer.run(stop)
    found = await dump(database)
    assert not mentions(found, "600000001", "crm-1")
    assert {table for table, _ in mentions(found, "600000002")} == {"attempts", "removals", "do_not_call", "evidence"}
    assert len(found["attempts"]) == 2


@pytest.fixture
async def sqlite_database(sqlite_url: str) -> AsyncIterator[Database]:
    opened = Database(sqlite_url)
    yield opened
    await opened.close()


FORMS = st.sampled_from(
    ["{0}", "+34{0}", "0034 {0}", "34-{0}", "{1} {2} {3}", "({1}) {2}-{3}", "tel:+34{0}", "{1}.{2}.{3}"]
)


@settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(people=st.lists(st.tuples(st.integers(600_000_000, 600_000_400), FORMS, st.booleans()), min_size=2, max_size=3,
                       unique_by=lambda one: one[0]))  # fmt: skip
async def test_however_it_was_written(sqlite_database: Database, people: list[tuple[int, str, bool]]) -> None:
    database = sqlite_database
    async with database.write() as connection:
        for table in reversed(tables.metadata.sorted_tables):
            await connection.execute(table.delete())
    for place, (number, form, from_number) in enumerate(people, start=1):
        digits = str(number)
        written = form.format(digits, digits[:3], digits[3:6], digits[6:])
        phone = Phone(f"+34{digits}")
        await fill(database, place, phone, written=written, id=f"tel:{phone}" if from_number else None)
    await erase(database, Phone(f"+34{people[0][0]}"))
    found = await dump(database)
    assert not mentions(found, str(people[0][0]))
    for number, _, _ in people[1:]:
        assert "contacts" in {table for table, _ in mentions(found, str(number))}


async def test_whoever_asks_is_handed_every_column_that_is_about_them_and_nothing_of_others(database: Database) -> None:
    """What an export hands over is what an erasure takes out, but for names of staff and messages about many."""
    await fill(database, 1, ANA, ANAS_OTHER, written=f"crm-1 {ANA}")
    await fill(database, 2, BEN, written=f"crm-2 {BEN}")
    found = await export_person(database, [ANA], at=NOW)
    assert found["other_numbers"] == [ANAS_OTHER]
    assert json.loads(json.dumps(found)) == found, "it is JSON"
    given = found["tables"]
    for table, columns in PERSONAL.items():
        wanted = {name for name, says in columns.items() if says is Says.PERSON} - LEFT_OUT.get(table, frozenset())
        staff = {name for name, says in columns.items() if says is Says.STAFF}
        handed_over = {name for row in given.get(table, []) for name in row}
        assert wanted <= handed_over, table
        assert not staff & handed_over, table
    assert set(LEFT_OUT) <= set(PERSONAL)
    assert [row["entry"] for row in given["set_aside"]] == ["1-0"], "that there is one, and not what is in it"
    text = json.dumps(found)
    assert "crm-2" not in text
    assert "600000002" not in text
    assert len(given["attempts"]) == 2
    assert [row["notes"] for row in given["dispositions"]] == ["asked for crm-1"], "not what was said to others"


async def test_a_crms_id_is_another_persons_in_another_campaign(database: Database) -> None:
    await fill(database, 1, ANA, written="600000001")
    told = {"phone": BEN, "campaign": "spring", "contact": "crm-1"}
    async with database.write() as connection:
        row = {"id": "u9", "source": "other", "contact": "crm-1", "type": "call.ended", "position": ""}
        await connection.execute(
            tables.crm_updates.insert().values(
                **row,
                result=json.dumps(told),
                state="pending",
                attempts=0,
                next_at=NOW,
                last_error="",
                created_at=NOW,
                updated_at=NOW,
            )
        )
    assert [row["id"] for row in (await export_person(database, [ANA], at=NOW))["tables"]["crm_updates"]] == ["u1"]


async def test_of_whom_nothing_is_held_and_of_whoever_was_erased_nothing_is_told(database: Database) -> None:
    await fill(database, 1, ANA, written="600000001")
    assert (await export_person(database, [BEN], at=NOW))["tables"] == {}
    await erase(database, ANA)
    assert (await export_person(database, [ANA], at=NOW))["tables"] == {}
