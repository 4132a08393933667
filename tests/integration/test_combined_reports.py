"""Combined reports: rows computed by hand, both databases alike to the last digit, zones, and the forms of the API."""

from __future__ import annotations

import csv
import io
import random
from collections.abc import AsyncIterator
from dataclasses import asdict, replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert

from dialer.api.app import create_app
from dialer.api.key_ports import Role
from dialer.core.agent import AgentState
from dialer.core.agent_spell import AgentSpell, milliseconds, quarters
from dialer.core.attempt import Attempt
from dialer.core.campaign import Campaign
from dialer.core.ids import AgentId, CallId, CampaignId
from dialer.core.outcome import Outcome
from dialer.errors import InputError
from dialer.reporting.figures import Figures
from dialer.reporting.indicators import Costs as IndicatorCosts
from dialer.reporting.order import Dimension, RawOrder, ReportOrder, parse_order
from dialer.reporting.report import Report, ReportRow
from dialer.runtime.reports import Reports
from dialer.settings import Pacing, Settings
from dialer.settings import Reports as Costs
from dialer.storage.agent_time import AgentTimes
from dialer.storage.answer_counts import answer_counts
from dialer.storage.attempts import Attempts
from dialer.storage.campaigns import Campaigns
from dialer.storage.contacts import Contacts
from dialer.storage.database import Database
from dialer.storage.dispositions import Disposition, Dispositions
from dialer.storage.tables import dispositions
from dialer.testing import FakeNode
from tests.asgi import client
from tests.record_values import attempt, contact

WINTER, SPRING = CampaignId("winter"), CampaignId("spring")
#: 29 March 2026, 00:30 in Madrid, which goes from 02:00 to 03:00 two and a half hours later.
NIGHT = datetime(2026, 3, 28, 23, 30, tzinfo=UTC).timestamp()
SETTINGS = Settings(
    pacing=Pacing(timezone="Europe/Madrid"),
    reports=Costs(cost_per_minute="0.02", cost_per_agent_hour="18", currency="EUR"),
)


def call(number: int, end: float, outcome: Outcome, **changes: Any) -> Attempt:
    """A call that ended at `end`; answered ones a minute before."""
    values: dict[str, Any] = {"started_at": end - 80, "ended_at": end, "outcome": outcome}
    if outcome in {Outcome.CONNECTED, Outcome.ABANDONED, Outcome.HUNG_UP, Outcome.MACHINE}:
        values["answered_at"] = end - 60
    if outcome is Outcome.CONNECTED:
        values |= {"connected_at": end - 59.5, "agent": AgentId("anna")}
    return attempt(number, **{**values, **changes})


def coded(number: int, meant: str, at: float, amount: str | None = None, **changes: Any) -> Disposition:
    kind: dict[str, Any] = {
        "SALE": {"category": "sale", "is_sale": True, "is_contact": True},
        "PROMISE": {"category": "promise", "is_sale": False, "is_contact": True},
        "NO_SALE": {"category": "refused", "is_sale": False, "is_contact": True},
        "WRONG": {"category": "wrong_person", "is_sale": False, "is_contact": False},
    }[meant]
    currency = None if amount is None else "EUR"
    values: dict[str, Any] = {"call": CallId(f"call-{number}"), "code": meant, "at": at, "amount": amount}
    return Disposition(**{**values, "currency": currency, **kind, **changes})


def spells(agent: str, campaign: CampaignId, state: AgentState, begin: float, length_s: float) -> list[AgentSpell]:
    return [
        AgentSpell(
            agent=AgentId(agent), campaign=campaign, state=state, began_at=one, ended_at=two, ms=milliseconds(one, two)
        )
        for one, two in quarters(begin, begin + length_s)
    ]


async def fill(database: Database) -> None:
    """A night of two campaigns, computed by hand below."""
    campaigns = Campaigns(database)
    await campaigns.create(Campaign(id=WINTER), 1.0)
    await campaigns.create(Campaign(id=SPRING, timezone="Atlantic/Canary"), 1.0)
    await Contacts(database).upsert([contact(number) for number in range(1, 21)], 1.0)
    calls = [
        call(1, NIGHT + 60, Outcome.CONNECTED),
        call(2, NIGHT + 120, Outcome.CONNECTED),
        # 03:10 in Madrid, in the hour after the one that this night lacks.
        call(3, NIGHT + 2 * 3_600 - 20 * 60, Outcome.CONNECTED, connected_at=NIGHT + 2 * 3_600 - 20 * 60 - 57.0),
        call(4, NIGHT + 150, Outcome.ABANDONED),
        call(5, NIGHT + 150, Outcome.HUNG_UP),
        call(6, NIGHT + 150, Outcome.MACHINE),
        call(7, NIGHT + 150, Outcome.BUSY),
        call(8, NIGHT + 150, Outcome.NO_ANSWER),
        call(9, NIGHT + 60, Outcome.CONNECTED, campaign=SPRING, agent=AgentId("ben")),
        call(10, NIGHT + 60, Outcome.CONNECTED, machine_sampled=True),
        # Before and after everything that is asked for.
        call(11, NIGHT - 7_200, Outcome.CONNECTED),
        call(12, NIGHT + 12 * 3_600, Outcome.CONNECTED),
    ]
    await Attempts(database).record([(one, None) for one in calls])
    given = [
        coded(1, "SALE", NIGHT + 70, "129.90"),
        # Corrected the next day: the later counts, and the former is history.
        coded(2, "NO_SALE", NIGHT + 130),
        coded(2, "SALE", NIGHT + 90_000, "0.10"),
        coded(3, "PROMISE", NIGHT + 7_000, "50"),
        coded(9, "WRONG", NIGHT + 70),
        coded(10, "NO_SALE", NIGHT + 70, code="Machine", category=None, is_sale=None, is_contact=None),
    ]
    for one in given:
        await Dispositions(database).add(one)
    await AgentTimes(database).append(
        [
            *spells("anna", WINTER, AgentState.IDLE, NIGHT, 1_800),
            *spells("anna", WINTER, AgentState.TALKING, NIGHT + 1_800, 2_700),
            *spells("anna", WINTER, AgentState.WRAPUP, NIGHT + 4_500, 900),
            *spells("ben", SPRING, AgentState.PAUSED, NIGHT, 1_800),
            *spells("cleo", WINTER, AgentState.IDLE, NIGHT, 900),
        ]
    )


def order(by: str, **changes: Any) -> ReportOrder:
    raw = RawOrder(by=by, since="2026-03-28T23:00:00Z", until="2026-03-29T04:00:00Z", **changes)
    return parse_order(raw, NIGHT, "Europe/Madrid")


async def make(database: Database, wanted: ReportOrder) -> Report:
    return await Reports(database, SETTINGS, lambda: NIGHT).make(wanted)


def shown(report: Report, *names: str) -> list[tuple[Any, ...]]:
    return [tuple(row[name] for name in names) for row in report.table()]


@pytest.fixture
async def night(database: Database) -> Database:
    await fill(database)
    return database


async def test_a_campaign_is_what_the_hand_computes(night: Database) -> None:
    report = await make(night, order("campaign"))
    counts = ("campaign", "attempts", "answered", "live_answers", "abandoned", "connected", "contacts", "sales")
    assert shown(report, *counts) == [
        ("spring", 1, 1, 1, 0, 1, 0, 0),
        # The sampled machine was connected and answered, and is no live answer and no contact; one met an agent late.
        ("winter", 9, 7, 5, 2, 4, 3, 2),
    ]
    row = report.table()[1]
    assert (row["amount"], row["promised"], row["currency"]) == (Decimal("130.00"), Decimal(50), "EUR")
    assert (row["promises"], row["disposed"]) == (1, 4)
    assert row["talk_s"] == 59.5 + 59.5 + 57.0 + 59.5
    assert row["line_s"] == 7 * 60.0
    assert row["average_wait_s"] == pytest.approx((0.5 * 3 + 3.0) / 4)
    assert row["average_lost_wait_s"] == 60.0
    assert (row["idle_s"], row["talking_s"], row["wrapup_s"]) == (2_700.0, 2_700.0, 900.0)
    assert row["occupancy"] == pytest.approx(3_600 / 6_300)
    # 7 minutes at 0.02, 1.75 hours at 18.
    assert row["cost"] == Decimal("31.6400")
    assert row["cost_per_sale"] == Decimal("15.8200")
    assert (row["penetration"], report.table()[0]["penetration"]) == (11 / 20, None)
    assert report.total.attempts == 10


async def test_hours_are_those_of_each_campaign_and_of_a_night_that_lacks_one(night: Database) -> None:
    assert shown(await make(night, order("campaign,hour")), "campaign", "hour", "attempts", "idle_s", "paused_s") == [
        ("spring", 23, 1, 0.0, 1_800.0),
        ("winter", 0, 8, 2_700.0, 0.0),
        ("winter", 1, 0, 0.0, 0.0),
        ("winter", 3, 1, 0.0, 0.0),
    ]
    # In one zone for all; the day of Canary is still the 28th.
    assert shown(await make(night, order("day", timezone="UTC")), "day", "attempts") == [
        ("2026-03-28", 9),
        ("2026-03-29", 1),
    ]
    assert shown(await make(night, order("day,campaign")), "day", "campaign", "attempts") == [
        ("2026-03-28", "spring", 1),
        ("2026-03-29", "winter", 9),
    ]


async def test_agents_without_a_call_and_calls_without_an_agent_have_rows(night: Database) -> None:
    assert shown(await make(night, order("agent")), "agent", "attempts", "sales", "agent_hours", "occupancy") == [
        ("anna", 4, 2, 1.5, pytest.approx(3_600 / 5_400)),
        ("ben", 1, 0, 0.0, None),
        ("cleo", 0, 0, 0.25, 0.0),
        (None, 5, 0, 0.0, None),
    ]


async def test_by_outcome_and_list_nothing_is_said_of_agents(night: Database) -> None:
    by_outcome = await make(night, order("outcome", campaigns=["winter"]))
    assert shown(by_outcome, "outcome", "attempts", "agent_hours", "cost") == [
        ("abandoned", 1, None, None),
        ("busy", 1, None, None),
        ("connected", 4, None, None),
        ("hung_up", 1, None, None),
        ("machine", 1, None, None),
        ("no_answer", 1, None, None),
    ]
    by_list = await make(night, order("list", campaigns=["winter"]))
    assert shown(by_list, "list", "attempts", "penetration", "occupancy") == [(None, 9, 11 / 20, None)]


async def test_filters_leave_out(night: Database) -> None:
    assert (await make(night, order("campaign", agents=["ben"]))).total.attempts == 1
    assert (await make(night, order("campaign", outcomes=["busy", "machine"]))).total.attempts == 2
    assert (await make(night, order("campaign", lists=["none"]))).rows == []
    assert (await make(night, order("campaign", campaigns=["ghost"]))).rows == []


async def test_abandonment_is_that_of_the_law(night: Database) -> None:
    wanted = order("campaign")
    law = await answer_counts(night, wanted.since, wanted.until)
    found = {row.key[0]: row.figures for row in (await make(night, wanted)).rows}
    assert {name: (one.live_answers, one.abandoned) for name, one in law.items()} == {
        name: (one.live_answers, one.abandoned) for name, one in found.items()
    }


async def test_an_empty_period_is_a_report_without_rows(database: Database) -> None:
    report = await make(database, order("agent,hour"))
    assert report.rows == []
    assert report.as_csv().decode("utf-8-sig").splitlines() == [",".join(report.columns())]
    assert report.as_json()["total"]["attempts"] == 0


# ---- both databases


def random_day(seed: int) -> tuple[list[Attempt], list[Disposition], list[AgentSpell]]:
    """Calls, codes and spells with awkward moments and amounts."""
    chance = random.Random(seed)
    calls, given, time = [], [], []
    for number in range(150):
        end = NIGHT + chance.random() * 86_400
        answer = end - chance.random() * 300
        outcome = chance.choice(list(Outcome))
        connected = answer + chance.random() * 4 if outcome is Outcome.CONNECTED else None
        calls.append(
            attempt(
                number,
                campaign=chance.choice([WINTER, SPRING]),
                outcome=outcome,
                started_at=answer - 20,
                ended_at=end,
                answered_at=answer if outcome in {Outcome.CONNECTED, Outcome.ABANDONED, Outcome.MACHINE} else None,
                connected_at=connected,
                agent=AgentId(chance.choice("abc")) if connected else None,
                machine_sampled=chance.random() < 0.1,
                connect_within_s=chance.choice([None, 1.0]),
            )
        )
        for again in range(chance.randrange(3)):
            amount = f"{chance.randrange(10**9)}.{chance.randrange(100):02d}"
            code = chance.choice(["SALE", "PROMISE", "WRONG"])
            given.append(coded(number, code, end + again, amount, currency=chance.choice(["EUR", "USD"])))
    for agent in "abc":
        at = NIGHT + chance.random()
        while at < NIGHT + 3_600:
            length_s = chance.random() * 400
            state = chance.choice([AgentState.IDLE, AgentState.TALKING, AgentState.PAUSED])
            time += spells(agent, chance.choice([WINTER, SPRING]), state, at, length_s)
            at += length_s
    return calls, given, time


@pytest.mark.postgres
async def test_both_databases_give_the_very_same_figures(sqlite_url: str, postgres_url: str) -> None:
    calls, given, time = random_day(7)
    made: list[list[Report]] = []
    for url in (sqlite_url, postgres_url):
        database = Database(url)
        try:
            await Campaigns(database).create(Campaign(id=SPRING, timezone="Asia/Kathmandu"), 1.0)
            # In another order: sums of doubles would differ in the last digit.
            random.Random(len(url)).shuffle(calls)
            await Attempts(database).record([(one, None) for one in calls])
            async with database.write() as connection:
                await connection.execute(insert(dispositions), [asdict(one) for one in given])
            await AgentTimes(database).append(time)
            orders = [
                ReportOrder(since=NIGHT + 0.5, until=NIGHT + 86_399, by=by, timezone=zone)
                for by in (
                    (Dimension.CAMPAIGN,),
                    (Dimension.DAY, Dimension.HOUR, Dimension.CAMPAIGN),
                    (Dimension.AGENT, Dimension.HOUR),
                    (Dimension.OUTCOME, Dimension.LIST),
                )
                for zone in (None, "America/St_Johns")
            ]
            made.append([await make(database, wanted) for wanted in orders])
        finally:
            await database.close()
    for one, other in zip(*made, strict=True):
        assert [row.key for row in one.rows] == [row.key for row in other.rows]
        assert one.rows == other.rows
        assert one.as_csv() == other.as_csv()
        assert one.rows


# ---- the API


class Bench:
    """The API with reports of a SQLite record."""

    def __init__(self, folder: Path, database: Database) -> None:
        node = FakeNode(folder)
        for role in (Role.SUPERVISOR, Role.AGENT, Role.CRM):
            node.keys.issue(role.value, role, agent=AgentId("anna") if role is Role.AGENT else None)
        reports = Reports(database, SETTINGS, node.clock.now)
        self.http = client(create_app(replace(node.ports, reports=reports), Settings()))

    async def get(self, query: str, *, key: str = "supervisor", status: int = 200) -> Any:
        answer = await self.http.get(f"/api/v1/reports/{query}", headers={"Authorization": f"Bearer {key}"})
        assert answer.status_code == status, f"{query}: {answer.text}"
        return answer


@pytest.fixture
async def bench(sqlite_url: str, tmp_path: Path) -> AsyncIterator[Bench]:
    database = Database(sqlite_url)
    await fill(database)
    made = Bench(tmp_path, database)
    async with made.http:
        yield made
    await database.close()


PERIOD = "since=2026-03-29&until=2026-03-30"


async def test_the_api_gives_json_with_exact_money(bench: Bench) -> None:
    told = (await bench.get(f"combined?by=campaign&{PERIOD}&campaign=winter")).json()
    assert told["since"] == "2026-03-28T23:00:00.000000Z"
    assert told["rows"][0]["amount"] == "130.00"
    assert told["total"]["sales"] == 2
    assert (await bench.get(f"combined?{PERIOD}", key="crm")).json()["by"] == ["campaign"]
    defined = (await bench.get("indicators")).json()["items"]
    assert {"name": "conversion", "unit": "share", "says": "sales / contacts"} in defined
    await bench.get("combined", key="agent", status=403)
    await bench.get("indicators", key="agent", status=403)


async def test_files_of_a_report(bench: Bench) -> None:
    answer = await bench.get(f"combined?by=agent,outcome&{PERIOD}&format=csv")
    assert answer.headers["content-type"].startswith("text/csv")
    assert 'filename="report-agent-outcome.csv"' in answer.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert {row["agent"] for row in rows} == {"anna", "ben", ""}
    parquet = pytest.importorskip("pyarrow.parquet")
    answer = await bench.get(f"combined?by=day,hour&{PERIOD}&format=parquet")
    table = parquet.read_table(io.BytesIO(answer.content))
    assert str(table.schema.field("amount").type) == "decimal128(38, 4)"
    assert str(table.schema.field("hour").type) == "int64"
    assert sum(table.column("sales").to_pylist()) == 2


def test_no_cell_of_the_csv_is_a_formula() -> None:
    row = ReportRow(key=("=HYPERLINK(1)",), figures=Figures(attempts=1))
    wanted = ReportOrder(since=0.0, until=1.0, by=(Dimension.LIST,))
    report = Report(order=wanted, rows=[row], costs=IndicatorCosts(), made_at=1.0)
    assert report.as_csv().decode("utf-8-sig").splitlines()[1].startswith("'=HYPERLINK(1),1,")


async def test_a_report_that_makes_no_sense_is_refused_with_the_field(bench: Bench) -> None:
    refused = {
        "by=colour": "by: 'colour'",
        "by=day,day": "twice",
        "since=2026-03-30&until=2026-03-29": "since: must be before",
        "since=2020-01-01&until=2026-01-01": "at most 400 days",
        "timezone=Moon/Base": "timezone: 'Moon/Base' is no zone",
        "timezone=../../etc/passwd": "is no zone",
        "since=yesterday": "since: must be",
        "since=2026-02-30": "since: must be",
        "since=2026-03-29T10:00:00": "since: must be",
        "since=9999-12-31T23:59:59Z&until=0001-01-01": "must be",
        "outcome=happy": "outcome: 'happy' is none",
        "agent=a%20b": "agent: must be",
        "campaign=%27%3B--": "campaign: must be",
        "format=xls": "format",
    }
    for query, word in refused.items():
        assert word in (await bench.get(f"combined?{query}", status=422)).text, query


async def test_too_many_rows_are_refused(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    from dialer.storage import report_figures

    await fill(database)
    monkeypatch.setattr(report_figures, "MAX_ROWS", 3)
    with pytest.raises(InputError, match="more than 3 rows"):
        await make(database, order("outcome"))
