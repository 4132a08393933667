"""An agent's hours at the desk, in a real browser against a real node: calls, codes by key, a callback, a lost network.

Runs where Chromium is installed (Debian: the package chromium).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import pytest_asyncio
from playwright.async_api import BrowserContext, Page, async_playwright, expect

from dialer.campaigns import parse_campaign
from dialer.core.events import AgentHungUp, CampaignConfigured
from dialer.core.ids import AgentId, CallId, ContactId
from dialer.queues.embedded import EmbeddedServer
from dialer.settings import Desk as DeskSettings
from dialer.storage.campaigns import Campaigns
from dialer.storage.contacts import Contacts
from dialer.storage.dispositions import Dispositions
from dialer.storage.keys import Keys
from tests.e2e.floor import CAMPAIGN, Floor, floor, person, until

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

HOSTILE = "<script>alert(1)</script>"
SETTINGS = {
    "wrapup_limit_s": 600.0,
    "screen_pop": "https://crm.example/contacts/{id}?name={name}",
    "script": "# Good morning\n- You are **{name}**\n- Of {city}, debt {debt}",
    "recording": "on_demand",
}


class Desk:
    """An agent's browser, and the node behind it."""

    def __init__(self, site: Floor, context: BrowserContext, page: Page) -> None:
        self.site = site
        self.context = context
        self.page = page
        self.complaints: list[str] = []
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", lambda dialog: dialog.accept())

    async def state(self, words: str) -> None:
        await expect(self.page.locator(".desk-state")).to_have_text(words)

    async def call(self, number: int, **fields: object) -> str:
        """Push a contact, wait until the agent talks with it, and answer with the call."""
        await self.site.push([number], **fields)
        connected = await self.site.wait("call.connected", contact=f"crm-{number}")
        await self.state("Talking")
        await expect(self.page.locator("#desk-person")).to_have_attribute("data-shown", str(connected["call"]))
        return str(connected["call"])

    async def codes(self, call: str) -> list[tuple[str, str, str | None]]:
        found = await Dispositions(self.site.node.database).history(CallId(call))
        return [(each.code, each.notes, each.amount) for each in found]

    async def closed(self, call: str) -> list[tuple[str, str, str | None]]:
        async def there() -> bool:
            return bool(await self.codes(call))

        await until(there, "a code on record")
        return await self.codes(call)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def desk(tmp_path_factory: pytest.TempPathFactory, valkey_server: EmbeddedServer) -> AsyncIterator[Desk]:
    folder: Path = tmp_path_factory.mktemp("desk")
    fates = {number: person(talk_s=60.0) for number in range(20)}
    more = {"desk": DeskSettings(frames=("https://framed.example",))}
    async with floor(folder, valkey_server, fates=fates, more=more) as site, async_playwright() as playwright:
        await site.begin(agents=0, campaign=SETTINGS)
        _, key = await Keys(site.node.database).create("agent", "ana", now=site.now)
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        context = await browser.new_context(locale="en-GB", viewport={"width": 1280, "height": 900})
        context.set_default_timeout(60_000)
        for origin in ("https://crm.example", "https://framed.example"):
            await context.route(f"{origin}/**", lambda route: route.fulfill(body="the CRM"))
        page = await context.new_page()
        found = Desk(site, context, page)
        await page.goto(f"{site.node.api_url}/console/")
        await page.locator("#key").fill(key)
        await page.locator("button.main").click()
        await found.state("Signed out")
        await page.get_by_label("Your extension").fill("agent07")
        await page.get_by_role("button", name="Call my phone").click()
        await found.state("Ready")
        yield found
        await browser.close()
    assert found.complaints == []


async def test_a_call_with_its_person_closed_by_a_key(desk: Desk) -> None:
    page = desk.page
    async with desk.context.expect_page() as popped:
        call = await desk.call(1, name=HOSTILE, fields={"city": "\u202edirdaM", "debt": 120.5, "long": "x" * 2_000})
    crm = await popped.value
    await crm.wait_for_url("https://crm.example/**")
    assert crm.url == "https://crm.example/contacts/crm-1?name=%3Cscript%3Ealert(1)%3C%2Fscript%3E".replace(
        "(1)", "%281%29"
    )
    assert await crm.evaluate("window.opener") is None
    await crm.close()

    shown = page.locator("#desk-person")
    await expect(shown.locator("h2")).to_have_text(HOSTILE)
    await expect(shown.locator(".desk-script strong")).to_have_text(HOSTILE)
    await expect(shown).to_contain_text("120.5")
    await expect(shown).to_contain_text("+34…01")  # numbers are masked as the settings say
    assert await page.locator("#desk-call script").count() == 0
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")

    await page.get_by_role("button", name="Record", exact=True).click()
    await expect(page.locator("#desk-now")).to_contain_text("Recording")
    await page.get_by_role("button", name="Stop recording").click()

    await page.get_by_label("Note").fill("pays on Friday")
    await page.get_by_role("button", name="Hang up").click()
    await desk.state("Wrap-up")
    await expect(page.locator("[data-until]")).to_be_visible()
    await expect(page.get_by_label("Note")).to_have_value("pays on Friday")
    await page.keyboard.press("2")  # typing ends nothing: the focus is not in a field any more
    await expect(page.locator("[data-desk-problem]")).to_have_text("Enter the amount.")
    await page.keyboard.type("lots")
    await page.keyboard.press("Enter")  # the first code is not the one that was meant: Enter closes nothing
    await page.keyboard.press("Escape")
    await page.keyboard.press("2")
    await expect(page.locator("[data-desk-problem]")).to_contain_text("amount: ")
    await page.locator("#desk-amount").fill("49.90")
    await page.keyboard.press("Escape")
    await page.keyboard.press("2")
    await desk.state("Ready")
    assert await desk.closed(call) == [("PROMISE", "pays on Friday", "49.90")]
    await expect(page.locator("#desk-day")).to_contain_text("Promise to pay")


async def test_half_a_form_and_a_code_survive_a_lost_network(desk: Desk) -> None:
    page = desk.page
    call = await desk.call(2, name="Berta")
    await desk.context.set_offline(True)
    lost = page.locator("#desk-lost")
    await expect(lost).to_be_visible()
    await page.get_by_label("Note").fill("written in the dark")
    await desk.site.node.control.submit(AgentHungUp(at=desk.site.now, agent=AgentId("ana")))
    await desk.site.wait("call.ended", call=call)
    await page.get_by_label("Note").press("Escape")
    await page.keyboard.press("1")
    await expect(page.locator("#desk-told")).to_contain_text("Kept")
    assert await desk.codes(call) == []
    await expect(lost).to_be_visible()

    await desk.context.set_offline(False)
    await expect(lost).to_be_hidden()
    await desk.state("Ready")
    assert await desk.closed(call) == [("SALE", "written in the dark", None)]
    assert len(await desk.site.results("call.disposed", call=call)) == 1


async def test_what_was_typed_is_there_after_a_reload(desk: Desk) -> None:
    page = desk.page
    call = await desk.call(3, name="Carla")
    await page.get_by_label("Note").fill("half a sen")
    await page.reload()
    await expect(page.get_by_label("Note")).to_have_value("half a sen")
    assert [tab.url for tab in desk.context.pages if "crm-3" in tab.url] == [
        "https://crm.example/contacts/crm-3?name=Carla"
    ]

    await page.get_by_role("button", name="Hang up").click()
    await desk.state("Wrap-up")
    await page.keyboard.press("5")  # CALLBACK needs its time
    await expect(page.locator("[data-desk-problem]")).to_contain_text("Choose a day")
    day = page.locator('input[name="day"]').nth(2)
    picked = await day.get_attribute("value")
    zone = ZoneInfo(await page.locator(".desk-callback b").inner_text())
    await day.check()
    await page.locator("#desk-hour").fill("12:30")
    await page.locator('input[name="day"]').nth(2).focus()
    await page.keyboard.press("5")
    await desk.state("Ready")
    await expect(page.locator("#desk-call")).to_contain_text("Nobody on the line")
    accepted = await desk.site.wait("callback.accepted", ref=f"callback-{call}")
    assert accepted["contact"] == "crm-3"
    stored = await Contacts(desk.site.node.database).get(CAMPAIGN, ContactId("crm-3"))
    assert stored is not None
    assert stored.contact.not_before_at == datetime.fromisoformat(f"{picked}T12:30").replace(tzinfo=zone).timestamp()


async def test_the_crm_stands_beside_or_behind_a_link(desk: Desk) -> None:
    page, database = desk.page, desk.site.node.database
    await page.evaluate("window.open = () => null")  # as a browser does that blocks pop-ups
    await desk.call(5, name="Dora")
    await expect(page.locator("[data-desk-blocked]")).to_contain_text("blocked")
    link = page.get_by_role("link", name="Open the CRM in a tab")
    await expect(link).to_have_attribute("href", "https://crm.example/contacts/crm-5?name=Dora")
    await page.get_by_role("button", name="Informed").click()
    await page.get_by_role("button", name="Hang up").click()
    await desk.state("Ready")

    framed = parse_campaign({"id": CAMPAIGN, **SETTINGS, "screen_pop": "https://framed.example/{id}"})
    await Campaigns(database).save(framed, desk.site.now)
    await desk.site.node.control.submit(CampaignConfigured(at=desk.site.now, campaign=framed))
    await desk.call(6)
    await expect(page.frame_locator("#desk-page iframe").locator("body")).to_have_text("the CRM")
    await page.get_by_role("button", name="Informed").click()
    await page.get_by_role("button", name="Hang up").click()
    await desk.state("Ready")


async def test_a_number_is_called_by_click_and_put_on_the_list(desk: Desk) -> None:
    page = desk.page
    await page.get_by_role("button", name="Lunch").click()
    await desk.state("Pause: Lunch")
    await page.get_by_label("Number", exact=True).fill("+34600000004")
    await page.get_by_role("button", name="Call", exact=True).click()
    connected = await desk.site.wait("call.connected", phone="+34600000004")
    await page.get_by_role("button", name="Wants no more calls").click()
    await desk.site.wait("dnc.applied")
    await page.get_by_role("button", name="Hang up").click()
    await desk.state("Wrap-up")
    await page.get_by_role("button", name="Informed").click()
    await desk.state("Pause: Lunch")
    assert [code for code, _, _ in await desk.closed(connected["call"])] == ["INFORMED"]

    await page.get_by_label("Number", exact=True).fill("+34600000004")
    await page.get_by_role("button", name="Call", exact=True).click()
    await expect(page.locator("#desk-told")).to_contain_text("do-not-call list")
    await page.get_by_role("button", name="End my work").click()
    await desk.state("Signed out")
    # Whichever test comes next finds them at work.
    await page.get_by_role("button", name="Call my phone").click()
    await desk.state("Ready")
