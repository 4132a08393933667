"""Lists in the console: uploads that arrive and uploads that break off, rejected rows, one contact, a second round."""

from __future__ import annotations

import asyncio
import csv
import io
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from urllib.parse import urlsplit

import pytest
import pytest_asyncio

from dialer.api.intake_ports import ListCheck, RejectedRow
from dialer.core.ids import CampaignId, ContactId
from dialer.core.list_terms import ListTerms
from dialer.core.outcome import Outcome
from dialer.core.recycling import Penetration, Reopened
from dialer.testing import FakeNode
from tests.integration.test_console import Visitor, csrf_of, serving
from tests.runtime_floor import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")
LISTS = "/console/campaigns/winter/lists"
ROWS = b"id,phone\nc1,+34600111222\n"


class Terms:
    """What lists have of their own, where the pages look for it."""

    def __init__(self, node: FakeNode) -> None:
        self._node = node

    async def change(self, list_id: str, campaign: CampaignId, terms: ListTerms) -> None:
        known = self._node.intake.imports
        known[list_id] = replace(known[list_id], terms=terms)


def with_terms(node: FakeNode) -> None:
    node.ports = replace(node.ports, list_settings=Terms(node))


class Desk:
    """Somebody with lists."""

    def __init__(self, visitor: Visitor) -> None:
        self.visitor = visitor
        self.node: FakeNode = visitor.node
        self.csrf = ""

    async def sign_in(self, key: str = "boss") -> None:
        self.visitor.http.cookie_jar.clear()
        await self.visitor.sign_in(key)
        self.csrf = csrf_of(await self.visitor.page("/console/"))

    async def upload(self, body: bytes, query: str = "", **headers: str) -> tuple[int, str]:
        sent = {"X-CSRF-Token": self.csrf, "Content-Type": "text/csv", **headers}
        async with self.visitor.http.post(
            f"{self.visitor.url}{LISTS}/upload{query}", data=body, headers=sent
        ) as answer:
            return answer.status, await answer.text()

    async def send(self, path: str, fields: Mapping[str, str]) -> tuple[int, str]:
        data = {"csrf": self.csrf, **fields}
        async with self.visitor.http.post(self.visitor.url + path, data=data, allow_redirects=False) as answer:
            return answer.status, await answer.text()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Visitor]:
    async with serving(tmp_path_factory.mktemp("console"), with_terms) as visitor:
        yield visitor


@pytest_asyncio.fixture(loop_scope="module")
async def desk(served: Visitor) -> Desk:
    """A manager with the campaign winter, and no list."""
    intake = served.node.intake
    for kept in (intake.imports, intake.files, intake.rejected_rows, intake.checks, intake.contacts):
        kept.clear()
    intake.refusing_duplicates.clear()
    for left in intake.upload_folder().glob("*.csv"):
        left.unlink()
    served.node.recycling.asked.clear()
    served.node.recycling.lists.clear()
    found = Desk(served)
    await found.sign_in()
    await served.add_campaign("winter")
    return found


# ---- uploads


async def test_a_list_goes_through_to_the_importer_as_it_came(desk: Desk) -> None:
    status, told = await desk.upload(ROWS, "?name=Spring%20leads&duplicates=refuse")
    assert (status, told) == (202, '{"location":"/console/lists/list-1"}')
    assert desk.node.intake.files["list-1"].read_bytes() == ROWS
    assert desk.node.intake.refusing_duplicates == {"list-1"}
    assert "Spring leads" in await desk.visitor.page(LISTS)
    assert 'hx-trigger="every 1s"' in await desk.visitor.page("/console/lists/list-1/part")


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [(b"", {}, 422), (ROWS, {"Content-Type": "application/json"}, 415), (ROWS, {"X-CSRF-Token": "0" * 64}, 403)],
)
async def test_what_cannot_be_taken_is_refused_and_leaves_nothing(
    desk: Desk, body: bytes, headers: dict[str, str], status: int
) -> None:
    assert (await desk.upload(body, **headers))[0] == status
    assert not desk.node.intake.imports
    assert not list(desk.node.intake.upload_folder().glob("*.csv"))


async def test_a_list_has_a_filter_and_a_priority_of_its_own(desk: Desk) -> None:
    await desk.upload(ROWS)
    path = "/console/lists/list-1/terms"
    status, _ = await desk.send(path, {"filter": ' state in ["CA"] ', "priority": "-20"})
    assert status == 303
    assert desk.node.intake.imports["list-1"].terms == ListTerms(filter='state in ["CA"]', priority=-20)
    shown = await desk.visitor.page("/console/lists/list-1?saved=true")
    assert "Saved" in shown
    assert 'value="state in [&#34;CA&#34;]"' in shown
    assert 'value="-20"' in shown


@pytest.mark.parametrize(
    ("filter", "priority", "says"),
    [("state in [", "0", "filter"), ("", "soon", "whole number"), ("", "99999", "1000"), ("", "1.5", "whole number")],
)
async def test_terms_that_cannot_be_stay_in_the_form_and_change_nothing(
    desk: Desk, filter: str, priority: str, says: str
) -> None:
    await desk.upload(ROWS)
    status, page = await desk.send("/console/lists/list-1/terms", {"filter": filter, "priority": priority})
    assert status == 422
    assert says in page[page.index('role="alert"') :][:300]
    assert f'value="{priority}"' in page
    assert desk.node.intake.imports["list-1"].terms == ListTerms()


async def test_terms_are_for_managers_and_for_lists_that_there_are(desk: Desk) -> None:
    await desk.upload(ROWS)
    given = {"filter": "", "priority": "1"}
    assert (await desk.send("/console/lists/list-9/terms", given))[0] == 404
    assert (await desk.send("/console/lists/list-1/terms", given | {"csrf": "0" * 64}))[0] == 403
    await desk.sign_in("eyes")
    assert (await desk.send("/console/lists/list-1/terms", given))[0] == 403
    assert 'action="/console/lists/list-1/terms"' not in await desk.visitor.page("/console/lists/list-1")
    assert desk.node.intake.imports["list-1"].terms == ListTerms()


async def test_a_browser_that_closes_half_way_leaves_a_list_that_says_so(desk: Desk) -> None:
    cookies = "; ".join(f"{c.key}={c.value}" for c in desk.visitor.http.cookie_jar)
    where = urlsplit(desk.visitor.url)
    _, writer = await asyncio.open_connection(where.hostname, where.port)
    head = (
        f"POST {LISTS}/upload?name=Half HTTP/1.1\r\nHost: {where.netloc}\r\nContent-Type: text/csv\r\nCookie: {cookies}"
        f"\r\nX-CSRF-Token: {desk.csrf}\r\nContent-Length: 30000000\r\n\r\n"
    )
    writer.write(head.encode() + b"id,phone\n" + b"c1,+34600111222\n" * 5_000)
    await writer.drain()
    folder = desk.node.intake.upload_folder()
    await eventually(lambda: list(folder.glob("*.csv")), "the file has been begun")
    writer.close()
    await eventually(lambda: desk.node.intake.imports, "the broken upload is on record")
    (row,) = desk.node.intake.imports.values()
    assert (row.name, row.state, row.accepted) == ("Half", "failed", 0)
    assert not list(folder.glob("*.csv"))
    page = await desk.visitor.page(f"/console/lists/{row.id}")
    assert "the upload broke off" in page
    assert "failed" in await desk.visitor.page(LISTS)


# ---- what came of a list


async def test_a_report_tells_rows_by_reason_and_what_is_odd(desk: Desk) -> None:
    await desk.upload(ROWS)
    row = desk.node.intake.imports["list-1"]
    now = desk.node.clock.now()
    desk.node.intake.imports["list-1"] = type(row)(
        **{
            **{name: getattr(row, name) for name in row.__dataclass_fields__},
            "state": "done",
            "read": 1_234,
            "rejected": 2,
            "reasons": {"phone_not_valid": 2, "of_a_later_version": 1},
            "finished_at": now,
        }
    )
    # Looked through after the import: until that begins the page goes on looking.
    assert 'hx-trigger="every 1s"' in await desk.visitor.page("/console/lists/list-1/part")
    desk.node.intake.checks["list-1"] = ListCheck(
        state="done", started_at=now, finished_at=now, types={"mobile": 3}, warnings={"stale_number": 1}, zones={"Z": 1}
    )
    desk.node.recycling.lists.append(
        Penetration(list="list-1", contacts=10, called=5, finished=1, removed=0, attempts=7)
    )
    page = await desk.visitor.page("/console/lists/list-1")
    for words in ("1,234", "no number that can exist", "of_a_later_version", "mobile", "no such number", "50.0 %"):
        assert words in page, words
    assert 'hx-trigger="every 1s"' not in page
    assert (await desk.send("/console/lists/list-1/report", {}))[0] == 303
    assert desk.node.intake.checks["list-1"].state == "running"


async def test_rejected_rows_are_no_formulas(desk: Desk) -> None:
    await desk.upload(ROWS)
    raw = "=cmd|' /C calc'!A0,<script>"
    desk.node.intake.rejected_rows["list-1"] = [RejectedRow(row=2, code="phone_not_valid", message="@no", raw=raw)]
    found = await desk.visitor.page("/console/lists/list-1/rejected.csv")
    (_, cells) = list(csv.reader(io.StringIO(found)))
    assert cells == ["2", "phone_not_valid", "'@no", "'" + raw]


async def test_names_are_text(desk: Desk) -> None:
    await desk.upload(ROWS, "?name=%3Cscript%3Ealert(1)%3C/script%3E" + "x" * 180)
    for path in (LISTS, "/console/lists/list-1"):
        page = await desk.visitor.page(path)
        assert "<script>alert" not in page
        assert not re.search(r"<script(?![^>]*\bsrc=)|\bon\w+=|style=", page)


@pytest.mark.parametrize("path", ["/console/lists/nobody", "/console/lists/%00/part", f"{LISTS}?before=nonsense"])
async def test_what_there_is_not_is_told(desk: Desk, path: str) -> None:
    await desk.visitor.page(path, 404)


# ---- one contact


async def test_one_contact_is_taken_as_a_crm_would_send_it(desk: Desk) -> None:
    fields = {"id": "c1", "phones": "+34600111222; +34911222333", "name": "Eva", "priority": "5", "timezone": ""}
    status, page = await desk.send(
        "/console/campaigns/winter/contacts", fields | {"fields": "debt: 100\n\nsaid: a:b\n"}
    )
    assert status == 200
    assert "c1: added" in page
    ((key, contact),) = desk.node.intake.contacts.items()
    assert key == ("winter", ContactId("c1"))
    assert contact == {
        "id": "c1",
        "phones": ["+34600111222", "+34911222333"],
        "name": "Eva",
        "priority": 5,
        "fields": {"debt": "100", "said": "a:b"},
    }


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"phones": ""}, "has a wrong value"),
        ({"priority": "high"}, "not a number"),
        ({"fields": "debt"}, "name: value"),
    ],
)
async def test_a_contact_that_cannot_be_used_stays_in_the_form(desk: Desk, fields: dict[str, str], says: str) -> None:
    typed = {"id": 'c"1', "phones": "+34600111222", **fields}
    status, page = await desk.send("/console/campaigns/winter/contacts", typed)
    assert status == 422
    assert says in page
    assert 'value="c&#34;1"' in page
    assert not desk.node.intake.contacts


# ---- once more


async def test_a_list_is_called_once_more_step_by_step(desk: Desk) -> None:
    await desk.upload(ROWS)
    desk.node.recycling.steps = [
        Reopened(reopened=1_000, refused={"removed": 2}, next=ContactId("c9")),
        Reopened(reopened=7),
    ]
    path = "/console/lists/list-1/reset"
    status, part = await desk.send(path, {"outcome.busy": "on", "outcome.no_answer": "on"})
    assert (status, "1,000 opened again, 2 not; it goes on" in part, "load" in part) == (200, True, True)
    carried = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', part))
    status, part = await desk.send(path, carried | {"outcome.busy": "on", "outcome.no_answer": "on"})
    assert (status, "1,007 opened again, 2 not." in part, ", load" in part) == (200, True, False)
    busy = frozenset({Outcome.BUSY, Outcome.NO_ANSWER})
    assert desk.node.recycling.asked == [("winter", "list-1", busy, None), ("winter", "list-1", busy, "c9")]


@pytest.mark.parametrize("fields", [{}, {"outcome.connected": "on"}, {"outcome.busy": "on", "cursor": "nonsense"}])
async def test_a_second_round_that_makes_no_sense_is_refused(desk: Desk, fields: dict[str, str]) -> None:
    await desk.upload(ROWS)
    assert (await desk.send("/console/lists/list-1/reset", fields))[0] == 422
    assert not desk.node.recycling.asked


# ---- who


async def test_supervisors_look_and_managers_load(desk: Desk) -> None:
    await desk.upload(ROWS)
    await desk.sign_in("eyes")
    page = await desk.visitor.page(LISTS)
    assert "Upload a list" not in page
    await desk.visitor.page("/console/lists/list-1")
    await desk.visitor.page("/console/lists/list-1/rejected.csv", 403)
    assert (await desk.upload(ROWS))[0] == 403
    for path in ("/console/campaigns/winter/contacts", "/console/lists/list-1/reset"):
        assert (await desk.send(path, {"id": "c1", "phones": "+34600111222", "outcome.busy": "on"}))[0] == 403
    assert len(desk.node.intake.imports) == 1
