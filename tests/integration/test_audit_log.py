"""The audit log on both databases: nothing changes it, nothing is lost by a stop, and it can be looked through."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from dialer.core.audit_note import AuditNote, AuditQuery
from dialer.errors import StorageError
from dialer.runtime.audit_writer import AuditWriter
from dialer.runtime.clock import Clock
from dialer.runtime.tasks import Tasks
from dialer.settings import Settings
from dialer.storage.audit_log import AuditLog
from dialer.storage.database import Database
from tests.databases import count, outage
from tests.patience import PATIENCE_S
from tests.record_values import eventually


def note(number: int, **values: object) -> AuditNote:
    given: dict[str, object] = {
        "who": "user:marta",
        "role": "manager",
        "action": "user.created",
        "object": f"user:{number}",
    }
    return AuditNote(at=float(number), **(given | values))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "statement",
    ["UPDATE audit_log SET who = 'nobody'", "DELETE FROM audit_log", "DELETE FROM audit_log WHERE id = 1"],
)
async def test_the_database_refuses_to_change_it(database: Database, statement: str) -> None:
    await AuditLog(database).append([note(1)])
    with pytest.raises(StorageError):
        async with database.write() as connection:
            await connection.execute(text(statement))
    assert [row.note for row in await AuditLog(database).page(AuditQuery(), None, 10)] == [note(1)]


async def test_postgresql_refuses_to_empty_it_at_once(database: Database) -> None:
    await AuditLog(database).append([note(1)])
    # SQLite has no TRUNCATE; its DELETE without a condition is one.
    verb = "TRUNCATE" if database.dialect == "postgresql" else "DELETE FROM"
    with pytest.raises(StorageError):
        async with database.write() as connection:
            await connection.execute(text(f"{verb} audit_log"))
    assert await count(database, "audit_log") == 1


async def test_it_is_looked_through_from_the_latest(database: Database) -> None:
    log = AuditLog(database)
    await log.append([note(n, outcome="ok" if n % 2 else "forbidden") for n in range(1, 8)])
    await log.append([])
    first = await log.page(AuditQuery(), None, 4)
    rest = await log.page(AuditQuery(), first[-1].number, 4)
    assert [row.note.at for row in (*first, *rest)] == [7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0]
    for query, wanted in (
        (AuditQuery(outcome="forbidden"), [6.0, 4.0, 2.0]),
        (AuditQuery(since=3.0, until=5.0), [4.0, 3.0]),
        (AuditQuery(object="user:3"), [3.0]),
        (AuditQuery(action="user."), [7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0]),
        (AuditQuery(action="user.%"), []),
        (AuditQuery(who="user:eva"), []),
    ):
        found = [row.note for row in await log.page(query, None, 10)]
        assert [each.at for each in found] == wanted
        assert all(query.wants(each) for each in found)


async def test_what_was_noted_is_written_by_a_stop(database: Database) -> None:
    writer = AuditWriter(database)
    for number in range(1_234):
        writer.note(note(number))
    assert await writer.flush(PATIENCE_S)
    assert len(writer) == 0
    assert await count(database, "audit_log") == 1_234


async def test_the_same_again_within_a_second_is_one_row_with_a_count(database: Database) -> None:
    writer = AuditWriter(database)
    for at in (1.0, 2.0, 3.0):
        writer.note(AuditNote(at=at, who="key:crm", action="POST /api/v1/contacts"))
        writer.note(AuditNote(at=at, who="key:crm", action="POST /api/v1/contacts", outcome="invalid"))
        writer.note(note(9, details={"n": at}))
    rows = await writer.page(AuditQuery(), None, 10)
    told = [(row.note.action, row.note.outcome, row.note.at, dict(row.note.details)) for row in reversed(rows)]
    assert told == [
        ("POST /api/v1/contacts", "ok", 1.0, {"count": 3}),
        ("POST /api/v1/contacts", "invalid", 1.0, {"count": 3}),
        ("user.created", "ok", 9.0, {"n": 1.0}),
        ("user.created", "ok", 9.0, {"n": 2.0}),
        ("user.created", "ok", 9.0, {"n": 3.0}),
    ]
    # What has been written is closed: the next is another row.
    writer.note(AuditNote(at=4.0, who="key:crm", action="POST /api/v1/contacts"))
    assert (await writer.page(AuditQuery(), None, 1))[0].note.details == {}


async def test_what_the_database_refuses_for_a_while_waits(database: Database, request: pytest.FixtureRequest) -> None:
    await database.ping()
    writer = AuditWriter(database, limit=3)
    writer.note(note(1))
    async with outage(database, request):
        assert not await writer.flush(10.0)
        for number in range(2, 6):  # the last two find no room, and go to the node's log
            writer.note(note(number))
        assert len(writer) == 3
    assert await writer.flush(PATIENCE_S)
    assert [row.note.at for row in await writer.page(AuditQuery(), None, 10)] == [3.0, 2.0, 1.0]


NOWHERE = Database("sqlite:///never-opened.db")


@given(st.lists(st.tuples(st.sampled_from("ab"), st.booleans()), max_size=30))
def test_counts_lose_nothing(deeds: list[tuple[str, bool]]) -> None:
    writer = AuditWriter(NOWHERE)
    for who, detailed in deeds:
        writer.note(AuditNote(at=1.0, who=who, action="x", details={"n": 0} if detailed else {}))
    counted = sum(int(str(waiting.details.get("count", 1))) for waiting in writer.waiting)
    assert counted == len(deeds)


# ---- what is older than it is kept


async def test_what_is_too_old_goes_under_a_cut_on_record_and_nothing_else(database: Database) -> None:
    log = AuditLog(database)
    await log.append([note(n) for n in (1, 8, 3, 5, 2, 9)])
    assert [await log.cut(5.0, 10.0, limit=2) for _ in range(3)] == [2, 1, 0]
    assert [row.note.at for row in await log.page(AuditQuery(), None, 10)] == [9.0, 5.0, 8.0]
    assert await log.cut(4.0, 11.0) == 0
    assert await count(database, "audit_cuts") == 1, "one for both transactions"
    for statement in (
        "DELETE FROM audit_log",
        "DELETE FROM audit_log WHERE at = 5.0",
        "DELETE FROM audit_cuts",
        "UPDATE audit_cuts SET before = 100.0",
    ):
        with pytest.raises(StorageError):
            async with database.write() as connection:
                await connection.execute(text(statement))
    assert (await count(database, "audit_log"), await count(database, "audit_cuts")) == (3, 1)


async def test_the_last_year_cannot_be_cut_whatever_the_settings_say(database: Database) -> None:
    log, now = AuditLog(database), Clock().now()
    year_s = 365 * 86_400.0
    await log.append([replace(note(1), at=now - year_s + 3_600), replace(note(2), at=now - year_s - 3_600)])
    with pytest.raises(StorageError):
        await log.cut(now - year_s + 1_800, now)
    assert await count(database, "audit_log") == 2
    assert await log.cut(now - year_s - 1_800, now) == 1
    assert await count(database, "audit_log") == 1


@pytest.mark.parametrize("days", [364.9, 0, -1, "ever"])
def test_less_than_a_year_is_no_setting(days: object) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"compliance": {"audit_keep_days": days}}, Settings)
    assert Settings().compliance.audit_keep_days >= 6 * 365


async def test_a_node_cuts_once_a_day_and_says_so_in_the_log(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    try:
        log, writer = AuditLog(database), AuditWriter(database)
        # Kept for a year on the day 400, which began long ago in 1971.
        await log.append([replace(note(n), at=n * 86_400.0) for n in (34, 35, 36)])
        async with Tasks() as tasks:
            tasks.start("audit log ends", writer.clean(365, by="n1", now=lambda: 400.5 * 86_400.0))
            await eventually(lambda: len(writer) == 1)
        (said,) = writer.waiting
        assert (said.who, said.action, said.details) == (
            "node:n1",
            "audit_log.cut",
            {"rows": 1, "before": 35 * 86_400.0},
        )
        assert await writer.flush(PATIENCE_S)
        kept = [row.note.at / 86_400.0 for row in await log.page(AuditQuery(), None, 10)]
        assert kept == [400.5, 36.0, 35.0]
    finally:
        await database.close()
