"""Supervision and the compliance pages against a real node and the embedded exchange: who may what, what comes of it.

The last test is in a real browser, where Chromium is installed (Debian: the package chromium).
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from playwright.async_api import Page, async_playwright, expect

from dialer.core.audit_note import AuditQuery
from dialer.core.campaign import CampaignState
from dialer.core.events import AgentReadied, CampaignConfigured
from dialer.core.ids import AgentId, CampaignId
from dialer.queues.embedded import EmbeddedServer
from dialer.storage.audit_log import AuditLog
from dialer.storage.campaigns import Campaigns
from dialer.storage.keys import Keys
from tests.e2e.floor import CAMPAIGN, Floor, floor, person, phone, until
from tests.patience import PATIENCE_S

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

#: The machine may have better things to do.
expect.set_options(timeout=60_000)

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

ROLES = ("manager", "supervisor", "agent", "crm")
#: A script, text that runs the other way, and a formula.
HOSTILE = "=cmd|'/C calc'!A1<script>alert(1)</script>\u202eabc\""


class Site:
    """The node, and people with keys of each role."""

    def __init__(self, site: Floor, http: aiohttp.ClientSession, keys: dict[str, str]) -> None:
        self.floor = site
        self.node = site.node
        self.http = http
        self.keys = keys

    async def api(self, role: str, method: str, path: str, body: object = None) -> tuple[int, Any]:
        headers = {"authorization": f"Bearer {self.keys[role]}"}
        url = f"{self.node.api_url}/api/v1{path}"
        async with self.http.request(method, url, headers=headers, json=body) as answer:
            text = await answer.text()
            kind = answer.headers.get("content-type", "")
            return answer.status, json.loads(text) if kind.startswith("application/json") else text

    async def talk(self, number: int, **fields: object) -> dict[str, Any]:
        """A contact is called and talks."""
        await self.floor.push([number], **fields)
        return await self.floor.wait("call.connected", contact=f"crm-{number}")

    async def audited(self, action: str) -> list[dict[str, Any]]:
        await self.node.audit.flush(PATIENCE_S)
        rows = await AuditLog(self.node.database).page(AuditQuery(), None, 500)
        return [{"who": r.note.who, "object": r.note.object, **r.note.details} for r in rows if r.note.action == action]


class Console:
    """A browser without a screen, signed in."""

    def __init__(self, site: Site, http: aiohttp.ClientSession, csrf: str) -> None:
        self.site = site
        self.http = http
        self.csrf = csrf

    async def get(self, path: str) -> tuple[int, str]:
        async with self.http.get(f"{self.site.node.api_url}/console{path}", allow_redirects=False) as answer:
            return answer.status, await answer.text()

    async def post(
        self, path: str, form: Iterable[Any], *, csrf: str | None = None, page: bool = True
    ) -> tuple[int, str]:
        """A form, sent as a browser does."""
        data = aiohttp.FormData(form, charset="utf-8")
        data.add_field("csrf", self.csrf if csrf is None else csrf)
        headers = {"sec-fetch-mode": "navigate"} if page else {}
        url = f"{self.site.node.api_url}/console{path}"
        async with self.http.post(url, data=data, headers=headers, allow_redirects=False) as answer:
            return answer.status, await answer.text()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory, valkey_server: EmbeddedServer) -> AsyncIterator[Site]:
    folder: Path = tmp_path_factory.mktemp("supervision")
    fates = {number: person(talk_s=60.0) for number in range(50)}
    fates[40] = person(ring_s=1.0)
    async with floor(folder, valkey_server, fates=fates) as made, aiohttp.ClientSession() as http:
        await made.begin(agents=2, campaign={"wrapup_limit_s": 600.0, "abandonment_windows": ["24_hours", "campaign"]})
        keys = {}
        for role in ROLES:
            name = "agent01" if role == "agent" else role
            _, keys[role] = await Keys(made.node.database).create(role, name, now=made.now)
        ready = Site(made, http, keys)
        # Whichever test comes first: the agents are there.
        await until(lambda: all(stands(ready, agent, "idle") for agent in ("agent01", "agent02")), "agents signed in")
        yield ready


async def console(site: Site, role: str) -> Console:
    http = aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))
    async with http.post(f"{site.node.api_url}/console/login", data={"key": site.keys[role]}) as answer:
        found = re.search(r'name="csrf" content="([0-9a-f]+)"', await answer.text())
        assert found is not None
    return Console(site, http, found[1])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def consoles(site: Site) -> AsyncIterator[dict[str, Console]]:
    made = {role: await console(site, role) for role in ("manager", "supervisor", "agent")}
    yield made
    for one in made.values():
        await one.http.close()


def stands(site: Site, agent: str, state: str) -> bool:
    row = site.node.live.agent(AgentId(agent))
    return row is not None and row.state == state


def leg(site: Site, monitor: str) -> Any:
    return site.floor.exchange.switchboard.find(f"monitor~{monitor}")


# ---- supervision


async def test_a_session_from_the_first_ring_to_the_audit_log(site: Site) -> None:
    connected = await site.talk(1)
    agent, call = str(connected["agent"]), connected["call"]
    path = f"/agents/{agent}/monitor"
    status, begun = await site.api("supervisor", "POST", path, {"mode": "barge", "extension": "boss"})
    assert (status, begun["state"], begun["call"]) == (202, "calling", call)
    await until(lambda: leg(site, begun["id"]) and leg(site, begun["id"]).application == "ConfBridge", "barges in")
    _, monitors = await site.api("supervisor", "GET", "/monitors")
    assert [(one["agent"], one["mode"], one["state"]) for one in monitors["items"]] == [(agent, "barge", "on")]

    # The talk is over: whoever has barged in is out of the room, and the next customer is not met by two.
    assert (await site.api("supervisor", "POST", f"/agents/{agent}/hangup"))[0] == 202
    await until(lambda: leg(site, begun["id"]).application == "ChanSpy", "listens again")
    await site.node.control.submit(AgentReadied(at=site.floor.now, agent=AgentId(agent)))
    await until(partial(stands, site, agent, "idle"), "ready")

    status, refused = await site.api("supervisor", "POST", path, {"mode": "barge", "extension": "boss"})
    assert (status, refused["error"]) == (409, "not_possible")
    other = "agent02" if agent == "agent01" else "agent01"
    status, moved = await site.api(
        "supervisor", "POST", f"/agents/{other}/monitor", {"mode": "whisper", "extension": "boss"}
    )
    assert (status, moved["id"], moved["agent"]) == (202, begun["id"], other), "the same phone goes on there"
    await until(lambda: "w" in leg(site, begun["id"]).application_data, "whispers")
    assert (await site.api("manager", "DELETE", f"/agents/{other}/monitor"))[0] == 404, "it is not theirs"
    assert (await site.api("supervisor", "DELETE", f"/agents/{other}/monitor"))[0] == 204
    await until(lambda: leg(site, begun["id"]) is None, "the phone is laid down")

    async def nobody_listens() -> bool:
        _, found = await site.api("supervisor", "GET", "/monitors")
        return bool(found == {"items": []})

    await until(nobody_listens, "the end is heard of")

    [started] = await site.audited("monitor.started")
    assert started["object"] == f"agent:{agent}"
    assert {started["mode"], started["call"], started["extension"]} == {"barge", call, "boss"}
    assert [one["object"] for one in await site.audited("monitor.ended")] == [f"agent:{other}"]
    assert not site.floor.exchange.dialed[1:], "and nobody else was called for it"


async def test_every_talk_that_is_attended_is_on_record(site: Site) -> None:
    for agent in ("agent01", "agent02"):
        body = {"mode": "listen", "extension": f"boss-{agent}"}
        status, begun = await site.api("supervisor", "POST", f"/agents/{agent}/monitor", body)
        assert status == 202, begun
    await until(lambda: all(row.state == "on" for row in site.node.live.monitors()), "both listen")
    connected = await site.talk(2)
    await until(lambda: any(row.call == connected["call"] for row in site.node.live.monitors()), "the talk is seen")
    assert [one["call"] for one in await site.audited("monitor.attended")] == [connected["call"]]
    for agent in ("agent01", "agent02"):
        await site.api("manager", "DELETE", f"/agents/{agent}/monitor?extension=boss-{agent}")
    await site.api("manager", "POST", f"/agents/{connected['agent']}/hangup")
    await until(lambda: not site.node.dispatcher.engine.floor.calls, "the end")
    await site.node.control.submit(AgentReadied(at=site.floor.now, agent=AgentId(str(connected["agent"]))))


@pytest.mark.parametrize(
    "extension", ["+34600111222", "34600111222@carrier", "a b", "", "x" * 65, "boss\r\nApplication: System", "agent02"]
)
async def test_what_is_no_phone_of_ours_is_not_called(site: Site, extension: str) -> None:
    before = len(site.floor.exchange.log)
    status, _ = await site.api("manager", "POST", "/agents/agent01/monitor", {"mode": "listen", "extension": extension})
    assert status in {409, 422}
    # An agent's own phone may be called again meanwhile; the one that was asked for is not.
    assert {record.number for record in list(site.floor.exchange.log)[before:]} <= {"agent01", "agent02"}


async def test_a_message_reaches_the_agents_page_as_text(site: Site, consoles: dict[str, Console]) -> None:
    status, _ = await consoles["supervisor"].post("/agents/agent01/messages", {"text": f"{HOSTILE}\n\x07well done"})
    assert status == 303
    url = f"{site.node.api_url}/console/stream/messages"
    async with consoles["agent"].http.get(url) as stream:
        shown = ""
        while "well done" not in shown:
            shown += (await stream.content.readline()).decode()
    assert "<script>" not in shown
    assert "&lt;script&gt;" in shown
    assert "API key" in shown, "in words: nobody knows the id of a key"
    assert "key:" not in shown
    told = await site.floor.wait("agent.message", agent="agent01")
    assert "\x07" not in str(told["text"])
    assert (await site.api("agent", "GET", "/agents/agent01/messages"))[1]["items"][-1]["text"] == told["text"]
    assert (await site.api("agent", "GET", "/agents/agent02/messages"))[0] == 403
    status, page = await consoles["supervisor"].get("/agents/agent01")
    assert status == 200
    assert "<script>alert" not in page


async def test_an_agent_is_moved_paused_and_made_ready(site: Site, consoles: dict[str, Console]) -> None:
    campaign = site.node.dispatcher.engine.floor.campaigns[CAMPAIGN].campaign
    other = replace(campaign, id=CampaignId("autumn"), name=HOSTILE + "x" * 2_000)
    await Campaigns(site.node.database).create(other, site.floor.now)
    await site.node.control.submit(CampaignConfigured(at=site.floor.now, campaign=other, state=CampaignState.PAUSED))
    boss = consoles["supervisor"]
    assert (await boss.post("/agents/agent02/campaigns", [("campaign", "autumn")]))[0] == 303
    agent = site.node.live.agent(AgentId("agent02"))
    assert agent is not None
    assert agent.campaigns == ("autumn",)
    assert agent.state == "idle", "where they stand does not change"
    status, page = await boss.post("/agents/agent02/campaigns", [])
    assert (status, "choose at least one campaign" in page) == (422, True)
    assert (await boss.post("/agents/agent02/campaigns", [("campaign", "nowhere")]))[0] == 404
    for do, state in (("pause", "paused"), ("ready", "idle")):
        assert (await boss.post("/agents/agent02/state", {"do": do, "code": "training"}))[0] == 303
        await until(partial(stands, site, "agent02", state), state)
    # A script's order gets a word, and one without the token of the page nothing.
    status, told = await boss.post("/agents/agent02/state", {"do": "hang-up"}, page=False)
    assert (status, "has no call" in told) == (409, True)
    assert (await boss.post("/agents/agent02/state", {"do": "pause", "code": "x"}, csrf="0" * 64))[0] == 403
    assert (await boss.post("/agents/agent02/campaigns", [("campaign", CAMPAIGN)]))[0] == 303


PATHS = [
    ("GET", "/agents/agent01", {"manager": 200, "supervisor": 200, "agent": 403}),
    ("POST", "/agents/agent01/monitor", {"manager": 422, "supervisor": 422, "agent": 403}),
    ("POST", "/agents/agent01/state", {"manager": 422, "supervisor": 422, "agent": 403}),
    ("POST", "/agents/agent01/campaigns", {"manager": 404, "supervisor": 404, "agent": 403}),
    ("POST", "/agents/agent01/messages", {"manager": 422, "supervisor": 422, "agent": 403}),
    ("GET", "/compliance", {"manager": 200, "supervisor": 200, "agent": 403}),
    ("GET", "/compliance/dnc", {"manager": 200, "supervisor": 200, "agent": 403}),
    ("GET", "/compliance/rules", {"manager": 200, "supervisor": 200, "agent": 403}),
    ("GET", "/compliance/rules?name=XX", {"manager": 404, "supervisor": 404, "agent": 403}),
    ("GET", "/compliance/abandonment/winter/24_hours", {"manager": 200, "supervisor": 200, "agent": 403}),
    ("GET", "/compliance/abandonment/winter/month", {"manager": 404, "supervisor": 404, "agent": 403}),
    ("GET", "/compliance/evidence", {"manager": 200, "supervisor": 403, "agent": 403}),
    ("POST", "/compliance/dnc/search", {"manager": 422, "supervisor": 422, "agent": 403}),
    ("POST", "/compliance/dnc", {"manager": 422, "supervisor": 403, "agent": 403}),
    ("POST", "/compliance/consent", {"manager": 422, "supervisor": 403, "agent": 403}),
    ("POST", "/compliance/evidence/export", {"manager": 422, "supervisor": 403, "agent": 403}),
    ("POST", "/compliance/evidence/verify", {"manager": 200, "supervisor": 403, "agent": 403}),
    ("GET", "/stream/messages", {"manager": 403, "supervisor": 403}),
]


@pytest.mark.parametrize(("method", "path", "expected"), PATHS)
async def test_roles(consoles: dict[str, Console], method: str, path: str, expected: dict[str, int]) -> None:
    for role, status in expected.items():
        visitor = consoles[role]
        found, _ = await (visitor.get(path) if method == "GET" else visitor.post(path, {"campaign": ""}))
        assert (role, found) == (role, status)


ALL_TIME = "campaign=winter&since=2026-01-01T00:00:00Z"
SOMEBODY = {"campaign": "winter", "contact": "x"}
API = [
    ("GET", "/monitors", None, {"manager": 200, "supervisor": 200, "agent": 403, "crm": 403}),
    ("POST", "/agents/agent01/monitor", {}, {"supervisor": 422, "agent": 403, "crm": 403}),
    ("DELETE", "/agents/agent01/monitor", None, {"supervisor": 404, "agent": 403, "crm": 403}),
    ("POST", "/agents/agent01/messages", {}, {"supervisor": 422, "agent": 403, "crm": 422}),
    ("POST", "/agents/agent01/campaigns", {}, {"supervisor": 422, "agent": 403, "crm": 422}),
    ("GET", "/jurisdictions", None, {"supervisor": 200, "agent": 403, "crm": 200}),
    ("GET", "/jurisdictions/POLICY/rules", None, {"supervisor": 200, "agent": 403, "crm": 200}),
    ("GET", "/overrides", None, {"manager": 200, "supervisor": 200, "agent": 403, "crm": 403}),
    (
        "POST",
        "/consents/check",
        SOMEBODY,
        {"manager": 404, "supervisor": 403, "crm": 403},
    ),
    ("POST", "/evidence/export", {}, {"manager": 422, "supervisor": 403, "agent": 403, "crm": 403}),
    ("POST", "/evidence/verify", {"head": "1:x"}, {"manager": 422, "supervisor": 403, "agent": 403, "crm": 403}),
    (
        "GET",
        f"/reports/abandonment/calls?{ALL_TIME}",
        None,
        {"supervisor": 200, "agent": 403, "crm": 403},
    ),
]


@pytest.mark.parametrize(("method", "path", "body", "expected"), API)
async def test_roles_of_keys(site: Site, method: str, path: str, body: object, expected: dict[str, int]) -> None:
    for role, status in expected.items():
        found, _ = await site.api(role, method, path, body)
        assert (role, found) == (role, status)


# ---- compliance


async def test_the_calls_behind_a_figure_of_abandonment(site: Site, consoles: dict[str, Console]) -> None:
    # Both agents go for a break while somebody's phone rings.
    path = f"/reports/abandonment/calls?{ALL_TIME}"
    assert (await site.api("supervisor", "GET", path))[1] == {"items": [], "next_cursor": None}
    await site.floor.push([40])
    await site.floor.wait("call.started", contact="crm-40")
    for agent in ("agent01", "agent02"):
        await site.api("supervisor", "POST", f"/agents/{agent}/pause", {"code": "break"})
    lost = await site.floor.wait("call.abandoned", contact="crm-40")
    await site.floor.wait("call.ended", contact="crm-40")

    async def recorded() -> list[dict[str, Any]]:
        return list((await site.api("supervisor", "GET", path))[1]["items"])

    await until(recorded, "on record")
    [row] = await recorded()
    assert (row["call"], row["contact"], row["late"]) == (lost["call"], "crm-40", False)
    assert row["wait_s"] >= 2.0
    calls = "/compliance/abandonment/winter"
    for window in ("24_hours", "campaign"):
        status, page = await consoles["supervisor"].get(f"{calls}/{window}")
        assert status == 200
        assert str(lost["call"]) in page
        assert phone(40) not in page
        assert "/console/history?contact=crm-40&amp;campaign=winter" in page, "and behind it all that is on record"
    status, page = await consoles["supervisor"].get("/compliance")
    answers = site.node.live.abandonment.ever(CAMPAIGN).live_answers
    behind = f"/console{calls}/24_hours"
    assert f'<a href="{behind}?figure=live_answers">{answers}</a></td>' in page
    assert f'<a href="{behind}">1</a></td>' in page
    status, text = await consoles["supervisor"].get(f"{calls}/24_hours/calls.csv?figure=live_answers")
    rows = list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"))))
    assert (status, len(rows)) == (200, answers)
    assert lost["call"] in {row["call"] for row in rows}
    assert phone(40) not in text
    assert (await consoles["supervisor"].get(f"{calls}/24_hours?figure=nonsense"))[0] == 404
    assert (await consoles["supervisor"].get(f"{calls}/24_hours?cursor=nonsense"))[0] == 422
    assert f'<td class="number">1 / {answers}</td>' in page, "the record says the same"
    # Whichever test comes next: the agents are there.
    for agent in ("agent01", "agent02"):
        await site.api("supervisor", "POST", f"/agents/{agent}/ready")
        await until(partial(stands, site, agent, "idle"), "ready")


async def test_do_not_call_added_found_and_taken_off(site: Site, consoles: dict[str, Console]) -> None:
    number = phone(30)
    boss = consoles["manager"]
    entry = {"op": "add", "phone": number, "scope": "*", "reason": HOSTILE, "by": "the person, by letter", "until": ""}
    status, page = await boss.post("/compliance/dnc", entry)
    assert status == 200
    assert number not in page.replace(f'value="{number}"', ""), "shown masked"
    await site.floor.wait("dnc.applied", phone=number)

    async def listed() -> bool:
        return bool((await site.api("manager", "POST", "/dnc/check", {"phone": number}))[1]["listed"])

    await until(listed, "on record")
    status, page = await consoles["supervisor"].post("/compliance/dnc/search", {"phone": number})
    assert status == 200
    assert "the person, by letter" in page
    assert "<script>alert" not in page
    assert "Take off</button>" not in page, "a supervisor may look, and no more"
    status, page = await boss.get("/compliance/dnc")
    assert number not in page
    status, page = await boss.post("/compliance/dnc", entry | {"reason": ""})
    assert (status, "by whose order" in page) == (422, True)
    for wrong in ({"phone": "12"}, {"scope": "no such thing!"}, {"until": "tomorrow"}, {"op": "drop"}):
        assert (await boss.post("/compliance/dnc", entry | wrong))[0] == 422, wrong
    status, _ = await boss.post("/compliance/dnc", entry | {"op": "remove", "reason": "a mistake"})
    assert status == 200

    async def gone() -> bool:
        return not await listed()

    await until(gone, "off the list")


async def test_evidence_goes_out_whole_and_harmless(site: Site, consoles: dict[str, Console]) -> None:
    await site.floor.write(
        "contacts",
        {
            "campaign": CAMPAIGN,
            "contacts": [
                {
                    "id": HOSTILE,
                    "phones": [phone(31)],
                    "consent": {
                        "id": "c-1",
                        "purposes": ["marketing"],
                        "source": HOSTILE,
                        "text": "I agree",
                        "given_at": "2026-05-04T10:12:00+02:00",
                    },
                }
            ],
        },
    )
    await site.floor.wait("contact.accepted", contact=HOSTILE)
    for agent in ("agent01", "agent02"):
        await site.api("supervisor", "POST", f"/agents/{agent}/ready")
    connected = await site.floor.wait("call.connected", contact=HOSTILE)
    await site.api("manager", "POST", f"/agents/{connected['agent']}/hangup")
    await site.floor.wait("call.ended", contact=HOSTILE)

    async def kept() -> bool:
        _, text = await site.api("manager", "POST", "/evidence/export", {"phone": phone(31)})
        return bool(text.strip())

    await until(kept, "evidence of the call")
    _, text = await site.api("manager", "POST", "/evidence/export", {"phone": phone(31)})
    [record] = [json.loads(line) for line in text.splitlines()]
    assert record["personal"] == {"contact": HOSTILE, "phone": phone(31)}
    form = {"campaign": CAMPAIGN, "contact": HOSTILE, "format": "csv"}
    status, text = await consoles["manager"].post("/compliance/evidence/export", form)
    [row] = csv.DictReader(io.StringIO(text.removeprefix("\ufeff")))
    assert status == 200
    assert row["contact"] == f"'{HOSTILE}"
    assert row["phone"] == f"'{phone(31)}"
    assert not [cell for cell in row.values() if cell.startswith(("=", "+", "-", "@"))]
    status, page = await consoles["manager"].post("/compliance/consent", {"campaign": CAMPAIGN, "contact": HOSTILE})
    assert status == 200
    assert "I agree" in page
    assert phone(31) not in page
    assert "<script>alert" not in page

    backwards = {"since": "2026-05-04T10:00:00Z", "until": "2026-05-04T10:00:00Z"}
    for wrong in ({"contact": "x"}, {"phone": "none"}, backwards):
        assert (await site.api("manager", "POST", "/evidence/export", wrong))[0] == 422, wrong
    status, verified = await site.api("manager", "POST", "/evidence/verify", {})
    assert (status, verified["problem"]) == (200, "")
    assert verified["intact"] >= 1
    assert (await site.api("manager", "POST", "/evidence/verify", {"head": verified["head"]}))[1]["problem"] == ""
    strange = f"{verified['intact']}:{'0' * 64}"
    assert (
        "not in this chain" in (await site.api("manager", "POST", "/evidence/verify", {"head": strange}))[1]["problem"]
    )
    status, page = await consoles["manager"].post("/compliance/evidence/verify", {"head": ""})
    assert "records are intact" in page


async def test_the_law_in_force_with_source_and_mark(site: Site, consoles: dict[str, Console]) -> None:
    _, found = await site.api("supervisor", "GET", "/jurisdictions")
    assert found["items"][-1]["name"] == "POLICY"
    _, rules = await site.api("supervisor", "GET", "/jurisdictions/POLICY/rules")
    assert len(rules["items"]) == found["items"][-1]["rules"]
    for rule in rules["items"]:
        assert rule["mark"] in {"V", "S", "M", "?", "policy"}
        assert rule["source"]
        assert rule["says"]
    status, page = await consoles["supervisor"].get("/compliance/rules?name=POLICY")
    assert status == 200
    assert all(rule["version"] in page for rule in rules["items"])


# ---- in a browser


@pytest_asyncio.fixture(loop_scope="module")
async def page(site: Site) -> AsyncIterator[Page]:
    complaints: list[str] = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        made = await browser.new_page(locale="en-GB", viewport={"width": 1280, "height": 900})
        made.set_default_timeout(60_000)
        made.on("pageerror", lambda error: complaints.append(str(error)))
        await made.goto(f"{site.node.api_url}/console/login")
        await made.locator("#key").fill(site.keys["manager"])
        await made.locator("#key").press("Enter")
        await expect(made.get_by_role("link", name="Compliance")).to_be_visible()
        yield made
        await browser.close()
    assert complaints == []


NAMELESS = """[...document.querySelectorAll("input:not([type=hidden]), select, textarea, button, a")].filter(
  (one) => !(one.labels?.length || one.getAttribute("aria-label") || one.textContent.trim())
).map((one) => one.outerHTML)"""


@pytest.mark.skipif(
    CHROMIUM is None and not os.environ.get("CADENCIA_REQUIRE_BROWSER"),
    reason="needs Chromium (Debian: the package chromium)",
)
async def test_a_supervisor_at_work_without_a_mouse(site: Site, page: Page) -> None:
    connected = await site.talk(10, name=HOSTILE)
    agent = str(connected["agent"])
    await page.get_by_role("link", name="Agents").press("Enter")
    await page.get_by_label("Your extension").fill("desk-phone")
    row = page.locator(f"#agent-{agent}")
    await row.get_by_role("button", name="Listen").press("Enter")
    await expect(row.locator(".tag.listen")).to_contain_text("listens")
    await row.get_by_role("link", name=agent).press("Enter")
    await expect(page.get_by_label("Your extension")).to_have_value("desk-phone")  # kept
    await page.get_by_role("button", name="Barge in").press("Enter")
    await expect(page.locator(".attending")).to_contain_text("has barged in")
    await page.get_by_role("button", name="End the talk").press("Enter")
    await expect(page.locator(".attending")).to_contain_text("listens")
    await page.get_by_role("button", name="Barge in").press("Enter")
    await expect(page.get_by_role("alert")).to_contain_text("not in a talk")
    await page.get_by_role("button", name="End", exact=True).press("Enter")
    await expect(page.locator(".attending")).to_have_count(0)
    await page.get_by_label("Text").fill(HOSTILE)
    await page.get_by_role("button", name="Send").press("Enter")
    await expect(page.locator(".told bdi").first).to_contain_text("<script>alert(1)</script>")

    paths = ("agents", f"agents/{agent}", "compliance", "compliance/dnc", "compliance/rules", "compliance/evidence")
    for path in (*paths, "compliance/rules?name=POLICY", "compliance/abandonment/winter/24_hours"):
        await page.goto(f"{site.node.api_url}/console/{path}")
        for width in (1280, 820):
            await page.set_viewport_size({"width": width, "height": 900})
            assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (path, width)
        assert await page.evaluate(NAMELESS) == [], path
    await page.goto(f"{site.node.api_url}/console/compliance/evidence")
    await page.get_by_role("button", name="Verify").press("Enter")
    await expect(page.locator("#verified")).to_contain_text("records are intact")
    await page.get_by_label("From (UTC)").fill("2026-01-01")
    async with page.expect_download() as begun:
        await page.get_by_role("button", name="Download").press("Enter")
    assert (await begun.value).suggested_filename == "evidence.csv"
