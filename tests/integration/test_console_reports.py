"""Reports and histories in the console, from a real database: what is shown, what a file has, and what is refused."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from httpx import AsyncClient
from litestar import Litestar

from dialer.api.app import create_app
from dialer.api.key_ports import Role
from dialer.console import routes
from dialer.console.report_view import GROUPS
from dialer.console.site import Console
from dialer.console.texts import texts
from dialer.core.campaign import Campaign
from dialer.core.ids import AgentId, CallId, CampaignId, ContactId, Phone
from dialer.core.outcome import Outcome
from dialer.reporting.figures import Figures
from dialer.reporting.indicators import Costs, indicators
from dialer.runtime.reports import Histories, Reports
from dialer.settings import Settings
from dialer.storage.attempts import Attempts
from dialer.storage.campaigns import Campaigns
from dialer.storage.contacts import Contacts
from dialer.storage.database import Database
from dialer.storage.dispositions import Disposition, Dispositions
from dialer.testing import FakeNode
from tests.asgi import client
from tests.record_values import attempt, contact

WINTER = CampaignId("winter")
#: Names that somebody has typed into another system.
HOSTILE = '<script>alert("x")</script>'


class Cells(HTMLParser):
    """The text of table cells, row by row, and the tags that there are."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.tags: list[str] = []
        self._inside = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self._inside = True
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._inside = False

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.rows[-1][-1] = " ".join((self.rows[-1][-1] + data).split())

    def row(self, first: str) -> list[str]:
        """The longest row that begins with this cell."""
        return max((row for row in self.rows if row and row[0] == first), key=len)


@asynccontextmanager
async def visiting(folder: Path, url: str, key: str = "eyes") -> AsyncIterator[AsyncClient]:
    database = Database(url)
    try:
        async with client(await _application(folder, database)) as http:
            answer = await http.post("/console/login", data={"key": key})
            assert answer.status_code == 303, answer.text
            yield http
    finally:
        await database.close()


async def _application(folder: Path, database: Database) -> Litestar:
    node = FakeNode(folder)
    for name, role in (("eyes", Role.SUPERVISOR), ("eva", Role.AGENT)):
        node.keys.issue(name, role, agent=AgentId(name) if role is Role.AGENT else None)
    now = node.clock.now()
    await Campaigns(database).create(Campaign(id=WINTER), now)
    await Contacts(database).upsert([contact(1)], now)
    await Attempts(database).record(
        [
            (
                attempt(
                    place,
                    contact=ContactId("crm-1"),
                    phone=Phone("+34600111222"),
                    outcome=outcome,
                    agent=AgentId(HOSTILE) if outcome is Outcome.CONNECTED else None,
                    started_at=now - 600,
                    answered_at=now - 560 if outcome is Outcome.CONNECTED else None,
                    connected_at=now - 560 if outcome is Outcome.CONNECTED else None,
                    ended_at=now - 500,
                ),
                None,
            )
            for place, outcome in enumerate([Outcome.CONNECTED, Outcome.BUSY, Outcome.CONNECTED, Outcome.NO_ANSWER])
        ]
    )
    await Dispositions(database).add(
        Disposition(call=CallId("call-0"), code="SALE", at=now - 400, notes=HOSTILE, agent=None, by="crm")
    )
    ports = replace(
        node.ports,
        reports=Reports(database, Settings(), node.clock.now),
        histories=Histories(database),
    )
    return create_app(ports, Settings(), [routes.router(Console(ports, b"s" * 32))])


async def test_a_report_is_a_table_bars_and_a_file(tmp_path: Path, sqlite_url: str) -> None:
    async with visiting(tmp_path, sqlite_url) as http:
        found = await http.get("/console/reports", params={"by": ["campaign", "outcome"], "show": "calls"})
        assert found.status_code == 200
        cells = Cells(found.text)
        titles = cells.row("Campaign")
        assert titles == ["Campaign", "Outcome", *(found_title(name) for name in GROUPS["calls"])]
        busy = next(row for row in cells.rows if row[:2] == ["winter", "busy"])
        assert busy[2] == "1"
        assert cells.row("Together")[1] == "4"
        assert "svg" in cells.tags
        file = await http.get("/console/reports/files/csv", params={"by": ["campaign", "outcome"]})
        assert file.headers["content-disposition"] == 'attachment; filename="report-campaign-outcome.csv"'
        rows = list(csv.DictReader(io.StringIO(file.text.lstrip("\ufeff"))))
        assert {row["outcome"]: row["attempts"] for row in rows} == {"busy": "1", "connected": "2", "no_answer": "1"}
        none = await http.get(
            "/console/reports", params={"by": "outcome", "since": "2001-01-01", "until": "2001-01-02"}
        )
        assert "No calls ended" in none.text


def found_title(name: str) -> str:
    return texts("en")(f"figure.{name}")


async def test_what_cannot_be_reported_is_told_above_the_form_that_stays(tmp_path: Path, sqlite_url: str) -> None:
    async with visiting(tmp_path, sqlite_url) as http:
        for asked, says in (
            ({"by": "shoe"}, "shoe"),
            ({"since": "2026-11-30", "until": "2026-11-01"}, "since: must be before until"),
            ({"timezone": "Mars/Base"}, "is no zone"),
            ({"campaign": "no such name!"}, "campaign"),
            ({"since": "yesterday"}, "since"),
        ):
            found = await http.get("/console/reports", params=asked)
            assert found.status_code == 422, asked
            alert = found.text[found.text.index('role="alert"') :]
            assert says in alert[:300], asked
            assert 'name="since"' in found.text


async def test_names_are_shown_and_never_run(tmp_path: Path, sqlite_url: str) -> None:
    async with visiting(tmp_path, sqlite_url) as http:
        for path, params in (("reports", {"by": "agent"}), ("history", {"contact": "crm-1", "campaign": "winter"})):
            found = await http.get(f"/console/{path}", params=params)
            assert found.status_code == 200
            assert HOSTILE not in found.text
            assert "&lt;script&gt;" in found.text


async def test_a_contact_has_one_page_with_everything(tmp_path: Path, sqlite_url: str) -> None:
    async with visiting(tmp_path, sqlite_url) as http:
        found = await http.get("/console/history", params={"contact": "crm-1", "campaign": "winter"})
        kinds = [row[1] for row in Cells(found.text).rows if len(row) == 4][1:]
        assert kinds.count("attempt") == 4
        assert kinds.count("talk") == 2
        assert kinds.count("code") == 1
        unknown = await http.get("/console/history", params={"contact": "nobody"})
        assert "Nothing is on record." in unknown.text
        wrong = await http.get("/console/history", params={"contact": "c\x01"})
        assert wrong.status_code == 422


async def test_a_number_is_searched_without_standing_in_an_address(tmp_path: Path, sqlite_url: str) -> None:
    async with visiting(tmp_path, sqlite_url) as http:
        page = (await http.get("/console/history")).text
        csrf = page.split('<meta name="csrf" content="')[1].split('"')[0]
        found = await http.post("/console/history", data={"phone": "600 111 222", "csrf": csrf})
        assert found.status_code == 200
        assert "winter · crm-1" in " ".join(found.text.split())
        wrong = await http.post("/console/history", data={"phone": "12", "csrf": csrf})
        assert wrong.status_code == 422
        forged = await http.post("/console/history", data={"phone": "600111222", "csrf": "x"})
        assert forged.status_code == 403


async def test_agents_have_no_business_there(tmp_path: Path, sqlite_url: str) -> None:
    async with visiting(tmp_path, sqlite_url, key="eva") as http:
        for path in ("reports", "reports/files/csv", "history", "recordings/r-1"):
            assert (await http.get(f"/console/{path}")).status_code == 403, path


def test_every_figure_that_a_group_shows_is_one_of_a_report() -> None:
    known: set[Any] = set(indicators(Figures(), Costs()))
    shown = {name for group in GROUPS.values() for name in group}
    counts = set(Figures.__dataclass_fields__) | {"amount", "promised", "currency", "line_s", "idle_s", "talking_s"}
    assert shown <= known | counts | {"wrapup_s", "paused_s"}
