"""The pacing journal in SQL: rows once each, read back in pages, deleted when old, and never in the way of a call."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from dialer.core.ids import CampaignId, NodeName
from dialer.core.notices import PaceDecided
from dialer.core.pacing_entry import PacingEntry
from dialer.errors import InputError
from dialer.runtime.pacing_recorder import PacingRecorder
from dialer.storage.database import Database
from dialer.storage.pacing_journal import DELETE_AT_ONCE, PacingJournal
from pacing import Decision
from tests.databases import count, outage
from tests.patience import PATIENCE_S

W = CampaignId("winter")
T = 1_800_000_000.0
DAY = 86_400.0


def entry(number: int, **changes: Any) -> PacingEntry:
    made = PacingEntry(
        at=T + number,
        campaign=W,
        node=NodeName("n1"),
        method="predictive",
        dial=2,
        started=1,
        limit="threshold",
        explanation="1 more call: the next one would be lost too probably",
        expected_abandonment=0.012,
        threshold=0.018,
        budget_left=3.5,
        idle=4,
        busy=16,
        waiting=1,
        in_flight=9,
        answer_rate=0.31,
        mean_talk_s=61.0,
        mean_wrapup_s=None,
    )
    return replace(made, **changes)


def decided(at: float, limit: str = "idle", **more: Any) -> PaceDecided:
    return PaceDecided(
        at=at, campaign=W, decision=Decision(dial=0, limit=limit, explanation="no call", **more), method="progressive"
    )


async def eventually(holds: Callable[[], bool], timeout_s: float = PATIENCE_S) -> None:
    async with asyncio.timeout(timeout_s):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def all_rows(journal: PacingJournal, limit: int = 7) -> list[PacingEntry]:
    rows: list[PacingEntry] = []
    cursor = None
    while True:
        page = await journal.between(W, 0.0, math.inf, cursor=cursor, limit=limit)
        rows += page.items
        cursor = page.next
        if cursor is None:
            return rows


async def test_what_is_written_is_read_back_in_order_by_pages_and_once(database: Database) -> None:
    journal = PacingJournal(database)
    # Two nodes at one moment: a page must neither lose nor repeat one of them.
    made = [entry(n // 2, node=NodeName(f"n{n % 2}"), dial=n) for n in range(40)]
    await journal.append(made[20:])
    await journal.append(made)
    await journal.append([])
    assert await all_rows(journal) == made
    assert await count(database, "pacing_journal") == 40


async def test_only_the_campaign_and_the_time_that_are_asked_for(database: Database) -> None:
    journal = PacingJournal(database)
    await journal.append([entry(n) for n in range(5)] + [entry(2, campaign=CampaignId("spring"))])
    page = await journal.between(W, T + 1, T + 3)
    assert ([row.at - T for row in page.items], page.next) == ([1, 2], None)
    assert (await journal.between(CampaignId("nobody"), 0, math.inf)).items == []
    with pytest.raises(InputError, match="start again without it"):
        await journal.between(W, 0, math.inf, cursor="xyz")


async def test_old_rows_go_by_the_batch_and_young_ones_stay(database: Database) -> None:
    journal = PacingJournal(database)
    await journal.append([entry(n) for n in range(DELETE_AT_ONCE + 3)] + [entry(1_000_000)])
    assert await journal.delete_before(T + 500_000) == DELETE_AT_ONCE
    assert await journal.delete_before(T + 500_000) == 3
    assert await journal.delete_before(T + 500_000) == 0
    assert [row.at - T for row in await all_rows(journal)] == [1_000_000]


# ---- the recorder


@asynccontextmanager
async def recorder(
    database: Database, *, dropped: list[int] | None = None, limit: int = 100, now: float = T
) -> AsyncIterator[PacingRecorder]:
    counts: list[int] = [] if dropped is None else dropped
    made = PacingRecorder(
        database, node=NodeName("n1"), now=lambda: now, keep_days=14, dropped=counts.append, limit=limit
    )
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(made.run()), group.create_task(made.clean())]
        yield made
        for task in tasks:
            task.cancel()


async def test_decisions_become_rows(database: Database) -> None:
    async with recorder(database) as made:
        for step in range(30):
            made.apply(decided(T + step, "idle" if step < 15 else "budget", budget_left=1.5))
        assert len(made) > 0
        assert await made.flush(PATIENCE_S)
        assert len(made) == 0
    rows = await all_rows(PacingJournal(database))
    assert [(row.at - T, row.limit) for row in rows] == [(0, "idle"), (10, "idle"), (15, "budget"), (25, "budget")]
    assert {(row.method, row.node, row.budget_left) for row in rows} == {("progressive", "n1", 1.5)}


async def test_old_rows_are_deleted_while_it_runs(database: Database) -> None:
    journal = PacingJournal(database)
    await journal.append([entry(n) for n in (-15 * DAY, -13 * DAY)])  # type: ignore[arg-type]
    async with recorder(database):
        async with asyncio.timeout(PATIENCE_S):
            while await count(database, "pacing_journal") > 1:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
    assert [row.at for row in await all_rows(journal)] == [T - 13 * DAY]


async def test_an_outage_costs_the_oldest_rows_only_and_they_are_counted(
    database: Database, request: pytest.FixtureRequest
) -> None:
    dropped: list[int] = []
    async with recorder(database, dropped=dropped, limit=10) as made:
        async with outage(database, request):
            for step in range(25):
                made.apply(decided(T + 10 * step))
            assert not await made.flush(0.05)
            await eventually(lambda: sum(dropped) == 15)
            assert len(made) <= 10
        assert await made.flush(PATIENCE_S)
    rows = await all_rows(PacingJournal(database))
    assert [row.at for row in rows] == [T + 10 * step for step in range(15, 25)]
    assert sum(dropped) == 15


async def test_a_row_that_the_database_refuses_takes_no_other_with_it(database: Database) -> None:
    dropped: list[int] = []
    async with recorder(database, dropped=dropped) as made:
        for step in range(9):
            # No database has an integer of so many digits.
            made.apply(decided(T + 10 * step, idle=10**30 if step == 4 else 1))
        assert await made.flush(PATIENCE_S)
    assert [row.at - T for row in await all_rows(PacingJournal(database))] == [0, 10, 20, 30, 50, 60, 70, 80]
    assert dropped == [1]
