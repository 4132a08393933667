"""A campaign's life in a real browser on a real node: made by keyboard, loaded, started, dialed; and changed by two.

Runs where Chromium is installed (Debian: the package chromium).
"""

from __future__ import annotations

import asyncio
import csv
import os
import shutil
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import BrowserContext, Page, Route, async_playwright, expect

from benchmarks.chaos.proxy import FaultyProxy
from dialer.campaigns import parse_campaign
from dialer.core.events import AgentSignedIn, CampaignConfigured
from dialer.core.ids import AgentId, CampaignId
from dialer.queues.embedded import EmbeddedServer
from dialer.storage.campaigns import Campaigns
from dialer.storage.keys import Keys
from tests.e2e.floor import Floor, floor, person, phone, until

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

#: The machine may have better things to do.
expect.set_options(timeout=60_000)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(
        CHROMIUM is None and not os.environ.get("CADENCIA_REQUIRE_BROWSER"),
        reason="needs Chromium (Debian: the package chromium)",
    ),
]

SPRING = CampaignId("spring")
HOSTILE = "<img src=x onerror=alert(1)>"
#: Answers that are expected: a form that is wrong, changed meanwhile, or sent without a session; and a lost network.
_EXPECTED = ("401", "403", "409", "422", "503", "net::ERR_", "Failed to fetch", "htmx:sse:error")


class Office:
    """A manager's browser, and the node behind it."""

    def __init__(self, site: Floor, context: BrowserContext, key: str) -> None:
        self.site = site
        self.context = context
        self.key = key
        self.complaints: list[str] = []

    async def page(self) -> Page:
        page = await self.context.new_page()
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda said: self._complain(said.text) if said.type == "error" else None)
        return page

    def _complain(self, text: str) -> None:
        if not any(status in text for status in _EXPECTED):
            self.complaints.append(text)

    async def sign_in(self, page: Page) -> None:
        await page.locator("#key").fill(self.key)
        await page.locator("#key").press("Enter")

    async def open(self, path: str) -> Page:
        page = await self.page()
        await page.goto(f"{self.site.node.api_url}/console/{path}")
        return page

    async def make(self, name: str) -> None:
        campaign, now = parse_campaign({"id": name}), self.site.now
        await Campaigns(self.site.node.database).create(campaign, now)
        await self.site.node.control.submit(CampaignConfigured(at=now, campaign=campaign))

    async def settings(self, name: str) -> dict[str, object]:
        stored = await Campaigns(self.site.node.database).get(CampaignId(name))
        assert stored is not None
        return {"name": stored.campaign.name, "max_lines": stored.campaign.max_lines, "ratio": stored.campaign.ratio}

    async def work(self) -> None:
        """Let a worker do what waits."""
        settings = {
            "CADENCIA_REDIS__URL": self.site.server.url,
            "CADENCIA_DATABASE__URL": self.site.settings.database.url,
            "CADENCIA_COMPLIANCE__RULES": self.site.settings.compliance.rules,
        }
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", "from workers.app import run; run(burst=True)"),
            env={**os.environ, **settings},
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        async with asyncio.timeout(120):
            assert await process.wait() == 0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def office(tmp_path_factory: pytest.TempPathFactory, valkey_server: EmbeddedServer) -> AsyncIterator[Office]:
    folder: Path = tmp_path_factory.mktemp("office")
    fates = {number: person(talk_s=0.2) for number in range(20)}
    async with floor(folder, valkey_server, fates=fates) as site, async_playwright() as playwright:
        _, key = await Keys(site.node.database).create("manager", "marta", now=site.now)
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        context = await browser.new_context(
            locale="en-GB", viewport={"width": 1280, "height": 900}, accept_downloads=True
        )
        context.set_default_timeout(60_000)
        found = Office(site, context, key)
        page = await found.open("")
        await found.sign_in(page)
        await page.wait_for_selector("nav")
        await page.close()
        yield found
        await browser.close()
    assert found.complaints == []


async def test_a_campaign_is_made_by_keyboard_loaded_started_and_dials(office: Office, tmp_path: Path) -> None:
    page = await office.open("campaigns")
    await page.get_by_role("link", name="New campaign").focus()
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/new-campaign")
    await expect(page.locator("#id")).to_be_focused()  # the browser puts it there once it has drawn the page
    for typed in ("spring", HOSTILE, "progressive", "5"):  # id, name, method, and a limit that no law allows
        await page.keyboard.type(typed)
        await page.keyboard.press("Tab")
    await expect(page.locator("#problem-max_abandonment")).to_contain_text("regulators allow")
    await page.locator("#max_abandonment").fill("2,5")
    await expect(page.locator("#verdict")).to_contain_text("can be saved")
    await page.locator("#max_abandonment").press("Enter")
    await page.wait_for_url("**/campaigns/spring?saved=1")

    await page.get_by_role("link", name="Lists").first.focus()
    await page.keyboard.press("Enter")
    path = tmp_path / "march.csv"
    rows = [f"c{number},{phone(number)}," for number in range(12)]
    path.write_text("\n".join(["id,phone,name", *rows, "bad,12,=1+1", f"long,{phone(19)},{'x' * 2_000}"]) + "\n")
    await page.locator("#file").set_input_files(path)
    await page.get_by_role("button", name="Upload").press("Enter")
    await page.wait_for_url("**/console/lists/*")
    await office.work()
    await expect(page.locator(".tag.list-done").first).to_be_visible()
    await expect(page.get_by_text("is no phone number")).to_be_visible()
    async with page.expect_download() as download:
        await page.get_by_role("link", name="Download the rejected rows").press("Enter")
    kept = tmp_path / "rejected.csv"
    await (await download.value).save_as(kept)
    rejected = list(csv.DictReader(kept.read_text().splitlines()))
    assert [(row["row"], row["reason"]) for row in rejected] == [
        ("14", "phone_not_a_number"),
        ("15", "too_large"),
    ]

    await page.goto(f"{office.site.node.api_url}/console/campaigns/spring")
    await page.get_by_role("button", name="Start").press("Enter")
    await expect(page.locator(".tag.running")).to_be_visible()
    for number in (1, 2):
        agent = AgentId(f"agent{number:02d}")
        event = AgentSignedIn(at=office.site.now, agent=agent, phone=agent, campaigns=(SPRING,))
        await office.site.node.control.submit(event)
    await office.site.wait("call.connected", 2, campaign="spring")
    await expect(page.locator("#campaign-spring dd").first).not_to_have_text("0")
    assert await page.locator("img").count() == 0
    await page.close()


async def test_nobody_is_called_before_the_first_day_and_whoever_asks_is_told_so(office: Office) -> None:
    await office.make("later")
    page = await office.open("campaigns/later/settings")
    today = datetime.now(UTC).date()
    begins = today + timedelta(days=9)
    await page.locator("#section-schedule summary").click()
    await page.get_by_label("First day").fill(begins.isoformat())
    await page.get_by_label("Last day").fill(today.isoformat())
    await expect(page.locator("#problem-last_day")).to_contain_text("before first_day")
    await page.get_by_label("Last day").fill((today + timedelta(days=30)).isoformat())
    await expect(page.locator("#verdict")).to_contain_text("can be saved")
    await page.get_by_role("button", name="Save").click()
    await page.wait_for_url("**/campaigns/later?saved=1")
    contacts = [{"id": "c1", "phones": [phone(1)], "timezone": "Europe/Madrid"}]
    await office.site.write("contacts", {"campaign": "later", "contacts": contacts})
    await page.get_by_role("button", name="Start").press("Enter")
    agent = AgentId("agent11")
    await office.site.node.control.submit(
        AgentSignedIn(at=office.site.now, agent=agent, phone=agent, campaigns=(CampaignId("later"),))
    )
    # Whom the gate has just turned away is shown for a moment; that they wait for later stays.
    await expect(page.locator("dt", has_text="contacts for later").locator("+ dd")).to_have_text("1")
    for language, says in (("en", f"first day, {begins}"), ("es", "fuera de las fechas de la campaña")):
        await page.goto(
            f"{office.site.node.api_url}/console/language/{language}?then=/console/campaigns/later?contact=c1"
        )
        await expect(page.locator("main")).to_contain_text(says)
    await page.goto(f"{office.site.node.api_url}/console/language/en?then=/console/")
    assert not await office.site.results("call.started", campaign="later")
    await page.close()


async def test_two_who_change_one_campaign_see_both_and_lose_nothing(office: Office) -> None:
    await office.make("shared")
    first, second = [await office.open("campaigns/shared/settings") for _ in range(2)]
    await second.locator("#name").fill("Theirs")
    await second.locator("#max_lines").fill("50")
    await second.get_by_role("button", name="Save").click()
    await second.wait_for_url("**/campaigns/shared?saved=1")
    await first.locator("#name").fill("Mine")
    await first.locator("#ratio").fill("2")
    await first.get_by_role("button", name="Save").click()
    told = first.get_by_role("alert")
    await expect(told).to_contain_text("Somebody else has changed this campaign")
    for cell in ("Mine", "Theirs", "50"):
        await expect(told.get_by_role("cell", name=cell, exact=True)).to_be_visible()
    await expect(first.locator("#name")).to_have_value("Mine")
    await expect(first.locator("#max_lines")).to_have_value("50")
    assert (await office.settings("shared"))["name"] == "Theirs"
    await first.get_by_role("button", name="Save").click()
    await first.wait_for_url("**/campaigns/shared?saved=1")
    assert await office.settings("shared") == {"name": "Mine", "max_lines": 50, "ratio": 2.0}
    for page in (first, second):
        await page.close()


async def test_a_session_that_ends_in_mid_form_takes_nothing_with_it(office: Office) -> None:
    await office.make("late")
    page = await office.open("campaigns/late/settings")
    await page.locator("#name").fill("Typed before")
    await page.locator("#section-dispositions summary").click()
    await page.get_by_role("button", name="Add a code").click()
    await expect(page.locator('[name="dispositions.11.code"]')).to_be_focused()
    async with page.expect_response("**/campaign-check"):  # none is under way when the session ends
        await page.locator('[name="dispositions.11.code"]').fill("VIP")
    await expect(page.locator("#verdict")).to_contain_text("can be saved")
    await office.context.clear_cookies()
    await page.get_by_role("button", name="Save").click()
    await page.wait_for_url("**/console/login")
    await office.sign_in(page)
    await page.wait_for_url("**/campaigns/late/settings")
    await expect(page.get_by_text("is here again")).to_be_visible()
    await expect(page.locator("#name")).to_have_value("Typed before")
    await expect(page.locator('[name="dispositions.11.code"]')).to_have_value("VIP")

    await office.context.clear_cookies()  # and once more, noticed while it is typed
    await page.locator("#name").fill("Typed after")
    await page.wait_for_url("**/console/login")
    await office.sign_in(page)
    await page.wait_for_url("**/campaigns/late/settings")
    await expect(page.locator("#name")).to_have_value("Typed after")
    await page.get_by_role("button", name="Save").click()
    await page.wait_for_url("**/campaigns/late?saved=1")
    assert (await office.settings("late"))["name"] == "Typed after"
    await page.goto(f"{office.site.node.api_url}/console/campaigns/late/settings")
    await expect(page.locator("#name")).to_have_value("Typed after")
    await expect(page.get_by_text("is here again")).to_have_count(0)
    await page.close()


async def test_a_form_of_a_few_fields_is_there_again_after_signing_in_and_holds_no_secret(office: Office) -> None:
    page = await office.open("compliance/dnc")
    await page.locator("#add-phone").fill("+34600999000")
    await page.locator("#add-reason").fill(HOSTILE)
    await page.locator("#add-by").fill("Ana")
    await office.context.clear_cookies()
    await page.get_by_role("button", name="Add", exact=True).click()
    await page.wait_for_url("**/console/login")
    await page.locator("#key").fill("a wrong one")
    await page.locator("#key").press("Enter")
    await expect(page.get_by_role("alert")).to_be_visible()
    await office.sign_in(page)
    await page.wait_for_url("**/console/compliance/dnc")
    await expect(page.get_by_text("is here again")).to_be_visible()
    for field, typed in (("#add-phone", "+34600999000"), ("#add-reason", HOSTILE), ("#add-by", "Ana")):
        await expect(page.locator(field)).to_have_value(typed)
    await page.get_by_role("button", name="Add", exact=True).click()
    await expect(page.get_by_text("from now on no call is started to it")).to_be_visible()
    await page.goto(f"{office.site.node.api_url}/console/compliance/dnc")
    await expect(page.locator("#add-reason")).to_have_value("")  # what was taken does not come back

    for field, typed in (("#add-phone", "+34600999001"), ("#add-reason", "said so"), ("#add-by", "Ana")):
        await page.locator(field).fill(typed)
    # As after another sign-in in another tab.
    await page.evaluate("document.querySelectorAll('main [name=csrf]').forEach((each) => (each.value = 'another'))")
    await page.get_by_role("button", name="Add", exact=True).click()
    await expect(page.get_by_text("out of date")).to_be_visible()
    await page.go_back()
    await expect(page.locator("#add-reason")).to_have_value("said so")

    await page.goto(f"{office.site.node.api_url}/console/system/users")
    await page.locator("#name").fill("late")
    await page.locator("#password").fill("violet teapot orbit")
    await office.context.clear_cookies()
    await page.get_by_role("button", name="Create").click()
    await page.wait_for_url("**/console/login")
    assert "violet" not in await page.evaluate("JSON.stringify(sessionStorage)")
    await office.sign_in(page)
    await page.wait_for_url("**/console/system/users")
    await expect(page.locator("#name")).to_have_value("late")
    await expect(page.locator("#password")).to_have_value("")
    await page.close()


async def test_a_report_is_found_again_by_its_address_saved_and_printed(office: Office, tmp_path: Path) -> None:
    await office.context.clear_cookies()
    asked = "reports?by=outcome&campaign=spring&show=calls"  # as somebody was sent it
    page = await office.open(asked)
    await office.sign_in(page)
    await page.wait_for_url(f"**/console/{asked}")
    await expect(page.locator("#campaign")).to_have_value("spring")
    mail = await office.page()
    await mail.goto(f"data:text/html,<a href='{page.url.replace('&', '&amp;')}'>the report</a>")
    await mail.get_by_role("link").press("Enter")  # the cookie does not come along from another site
    await expect(mail.locator("#campaign")).to_have_value("spring")
    await mail.close()
    async with page.expect_download() as download:
        await page.get_by_role("link", name="CSV").press("Enter")
    kept = tmp_path / "report.csv"
    await (await download.value).save_as(kept)
    assert {"outcome", "attempts"} <= set(next(csv.reader([kept.read_text("utf-8-sig").splitlines()[0]])))

    await page.evaluate("window.print = () => (window.printed = true)")
    await page.get_by_role("button", name="Print").press("Enter")
    assert await page.evaluate("window.printed")
    await page.emulate_media(media="print", color_scheme="dark")
    await expect(page.locator("form.asks")).to_be_hidden()
    if await page.locator(".asked").count():  # it says on paper what it is of
        await expect(page.locator(".asked")).to_contain_text("spring")
    assert await page.evaluate("getComputedStyle(document.querySelector('h1')).color") == "rgb(26, 32, 39)"
    await page.close()


async def test_a_stream_that_is_lost_is_told_and_goes_on_by_itself(office: Office) -> None:
    url = urlsplit(office.site.node.api_url)
    assert url.hostname is not None
    assert url.port is not None
    page = await office.page()
    with FaultyProxy(url.hostname, url.port) as network:
        await page.goto(f"http://{url.hostname}:{network.port}/console/")
        await expect(page.locator("main h2").first).to_be_visible()
        await page.wait_for_function("() => document.querySelector('main [hx-sse\\\\:connect]')._htmx?.sse")
        network.refuse()
        await expect(page.get_by_text("The connection is lost")).to_be_visible()
        await office.make("meanwhile")
        network.accept()
        await expect(page.locator("#campaign-meanwhile")).to_be_visible()
        await expect(page.get_by_text("The connection is lost")).to_be_hidden()
        await page.close()


async def test_a_stream_that_does_not_begin_is_told_and_begun_again(office: Office) -> None:
    page, asked = await office.page(), list[str]()

    async def at_first_in_vain(route: Route) -> None:
        asked.append(route.request.url)
        match len(asked):
            case 1:
                await route.abort("connectionfailed")
            case 2:
                await route.fulfill(status=503, body="starting")
            case _:
                await route.continue_()

    await page.route("**/console/stream/wallboard", at_first_in_vain)
    await page.goto(f"{office.site.node.api_url}/console/")
    await expect(page.get_by_text("The connection is lost")).to_be_visible()
    await office.make("begun-again")
    await expect(page.locator("#campaign-begun-again")).to_be_visible()
    await expect(page.get_by_text("The connection is lost")).to_be_hidden()
    assert len(asked) == 3
    await page.close()


async def test_a_browser_that_closes_half_way_through_a_million_rows_loads_none_of_them(
    office: Office, tmp_path: Path
) -> None:
    await office.make("million")
    path = tmp_path / "million.csv"
    path.write_bytes(b"id,phone\n" + b"crm-1,+34600111222\n" * 1_000_000)
    lists = "campaigns/million/lists"
    page = await office.open(lists)
    wire = await office.context.new_cdp_session(page)
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 2_000_000}
    await wire.send("Network.emulateNetworkConditions", slow)
    await page.locator("#file").set_input_files(path)
    await page.get_by_role("button", name="Upload").press("Enter")
    await page.wait_for_function("() => document.getElementById('upload-progress').value > 0.05")
    await page.close()

    async def failed() -> bool:
        answer = await office.context.request.get(f"{office.site.node.api_url}/console/{lists}")
        return "list-failed" in await answer.text()

    await until(failed, "the list is told as failed")
    page = await office.open(lists)
    await page.get_by_role("link", name="million.csv").press("Enter")
    await expect(page.get_by_text("the upload broke off")).to_be_visible()
    assert not halves(office.site.folder), "half a file stays nowhere"
    await page.close()


def halves(folder: Path) -> list[Path]:
    """Files of lists that lie about."""
    return list(folder.rglob("*.csv"))
