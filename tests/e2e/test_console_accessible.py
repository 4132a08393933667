"""Every page of the console is for everybody: axe reads it in both themes and languages, a keyboard walks it.

The names are as long and as hostile as they can be. Runs where Chromium is installed (Debian: the package chromium).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, async_playwright, expect

from dialer.campaigns import parse_campaign
from dialer.core.events import CampaignConfigured
from dialer.queues.embedded import EmbeddedServer
from dialer.storage.campaigns import Campaigns
from dialer.storage.keys import Keys
from tests.accessibility import out_of_reach, too_wide, violations, violations_of_a_look, watch
from tests.console_pages import left_out
from tests.e2e.floor import CAMPAIGN, Floor, floor, person

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

#: Both themes, both languages, a desk's screen and a tablet. Two are enough: a theme knows no words, and what has
#: room in the longer language on the smaller screen has it everywhere.
LOOKS: Final = (("light", "en-GB", 1_280), ("dark", "es-ES", 820))
#: Neither theme nor language changes where the keyboard gets to: once is enough.
WALKED: Final = {"light": (out_of_reach,), "dark": ()}
#: Nor does either change what a page is made of.
AXE: Final = {"light": violations, "dark": violations_of_a_look}
RIGHT_TO_LEFT: Final = "\u202eشركة"
HOSTILE: Final = "<script>alert(1)</script>" + RIGHT_TO_LEFT
#: No blank at which a line could break.
LONG: Final = (HOSTILE + "x" * 2_000)[:2_000]
#: Of a campaign of which nothing is known yet.
BARE: Final = "b" * 64
SETTINGS: Final = {
    "name": LONG[:200],
    "wrapup_limit_s": 600.0,
    "script": f"# {LONG[:500]}\n- You are **{{name}}**",
    "screen_pop": "",
    "recording": "on_demand",
    "filter": "debt >= 0",
}
WINDOW: Final = "24_hours"
#: Of managers, who see everything; `{list}` is one that was uploaded.
PAGES: Final = (
    "",
    "campaigns",
    "new-campaign",
    f"campaigns/{CAMPAIGN}?contact=crm-1",
    f"campaigns/{CAMPAIGN}?contact={'y' * 128}",
    f"campaigns/{CAMPAIGN}/settings",
    f"campaigns/{CAMPAIGN}/settings?opened=mapping",
    f"campaigns/{CAMPAIGN}/crm",
    f"campaigns/{CAMPAIGN}/lists",
    f"campaigns/{CAMPAIGN}/what-if",
    f"campaigns/{BARE}",
    f"campaigns/{BARE}/lists",
    "lists/{list}",
    "agents",
    "agents?name=agent&status=idle",
    "agents/agent01",
    "reports",
    "reports?by=agent&by=outcome&show=calls",
    "reports?since=2001-01-01&until=2001-01-02",
    "reports?by=shoe",
    "history",
    f"history?contact=crm-1&campaign={CAMPAIGN}",
    "history?contact=nobody",
    "compliance",
    f"compliance/abandonment/{CAMPAIGN}/{WINDOW}",
    f"compliance/abandonment/{CAMPAIGN}/{WINDOW}?figure=live_answers",
    "compliance/dnc",
    "compliance/rules",
    "compliance/rules?name=POLICY",
    "compliance/evidence",
    "system",
    "system/doctor",
    "system/deliveries",
    "system/deliveries?kind=crm&status=waiting",
    "system/users",
    "system/keys",
    "system/webhooks",
    "system/audit",
    "account",
    "campaigns/nowhere",
)


#: Those of others: of agents, of whoever is nobody yet.
ELSEWHERE: Final = ("desk", "login")


class Everybody:
    """A node with something on each page, a browser, and whom it knows."""

    def __init__(self, site: Floor, browser: Browser, manager: str, agent: str) -> None:
        self.site = site
        self.browser = browser
        self.manager = manager
        self.agent = agent
        self.list = ""
        self.complaints: list[str] = []

    async def look(self, theme: Any, locale: str, width: int) -> BrowserContext:
        """A browser's own window."""
        context = await self.browser.new_context(
            color_scheme=theme, locale=locale, viewport={"width": width, "height": 900}, reduced_motion="reduce"
        )
        context.set_default_timeout(60_000)
        await watch(context)
        return context

    async def open(self, context: BrowserContext, path: str) -> Page:
        page = context.pages[0] if context.pages else await self._page(context)
        await page.goto(f"{self.site.node.api_url}/console/{path.format(list=self.list)}")
        return page

    async def _page(self, context: BrowserContext) -> Page:
        page = await context.new_page()
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda said: self.complaints.append(said.text) if "Content Security" in said.text else None)
        page.on("dialog", lambda dialog: self.complaints.append(f"a script ran: {dialog.message}"))
        return page

    async def sign_in(self, context: BrowserContext, key: str) -> Page:
        page = await self.open(context, "login")
        await page.locator("#key").fill(key)
        await page.locator("#key").press("Enter")
        await page.wait_for_selector("nav")
        return page


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def everybody(
    tmp_path_factory: pytest.TempPathFactory, valkey_server: EmbeddedServer
) -> AsyncIterator[Everybody]:
    folder: Path = tmp_path_factory.mktemp("everybody")
    fates = {1: person(talk_s=600.0), 2: person(talk_s=0.1)}
    async with floor(folder, valkey_server, fates=fates) as site, async_playwright() as playwright:
        await site.begin(agents=1, campaign=SETTINGS)
        bare = parse_campaign({"id": BARE, "name": RIGHT_TO_LEFT})
        await Campaigns(site.node.database).create(bare, site.now)
        await site.node.control.submit(CampaignConfigured(at=site.now, campaign=bare))
        keys = Keys(site.node.database)
        _, manager = await keys.create("manager", LONG[:100], now=site.now)
        _, agent = await keys.create("agent", "ana", now=site.now)
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        found = Everybody(site, browser, manager, agent)
        await fill(found)
        yield found
        await browser.close()
    assert found.complaints == []


async def fill(found: Everybody) -> None:
    """A little of everything: a call that is over, a list, a user, a number that is not called."""
    site = found.site
    await site.push([2], name=LONG[:200], fields={"debt": 1, LONG[:60]: LONG})
    await site.wait("call.ended", contact="crm-2")
    await site.write("dnc", {"id": "d-1", "op": "add", "phone": "+34600999999", "scope": "*", "reason": LONG[:200]})
    await site.wait("dnc.applied")
    context = await found.look(*LOOKS[0])
    page = await found.sign_in(context, found.manager)
    csrf = await page.locator("meta[name=csrf]").get_attribute("content")
    console = f"{site.node.api_url}/console"
    headers = {"X-CSRF-Token": csrf or "", "Content-Type": "text/csv"}
    sent = await context.request.post(
        f"{console}/campaigns/{CAMPAIGN}/lists/upload?name={'l' * 200}", headers=headers, data=b"id,phone\nc,+34600\n"
    )
    assert sent.status == 202, await sent.text()
    found.list = (await sent.json())["location"].rpartition("/")[2]
    form: dict[str, str | float | bool] = {
        "csrf": csrf or "",
        "name": "u" * 64,
        "role": "supervisor",
        "agent": "",
        "password": "violet teapot orbit",
    }
    made = await context.request.post(f"{console}/system/users", form=form)
    assert made.status == 200, await made.text()
    await context.close()


async def problems_of(page: Page, name: str, *checks: Callable[[Page], Awaitable[list[str]]]) -> list[str]:
    """What is wrong with a page."""
    return [f"{name}: {problem}" for check in checks for problem in await check(page)]


async def test_no_page_is_left_out(tmp_path: Path) -> None:
    assert left_out(tmp_path, (*PAGES, *ELSEWHERE)) == []


async def test_every_page_of_a_manager(everybody: Everybody) -> None:
    problems: list[str] = []
    for theme, locale, width in LOOKS:
        context = await everybody.look(theme, locale, width)
        await everybody.sign_in(context, everybody.manager)
        for path in PAGES:
            page = await everybody.open(context, path)
            assert await page.locator("html").get_attribute("lang") == locale[:2]
            problems += await problems_of(page, f"{theme} {path}", AXE[theme], too_wide, *WALKED[theme])
        await context.close()
    assert not problems, "\n".join(problems)


async def test_signing_in_and_what_is_wrong_with_a_form(everybody: Everybody) -> None:
    problems: list[str] = []
    for theme, locale, width in LOOKS:
        context = await everybody.look(theme, locale, width)
        page = await everybody.open(context, "login")
        problems += await problems_of(page, f"{theme} login", violations, too_wide, *WALKED[theme])
        await page.locator("#key").fill("nobody's")
        await page.locator("#key").press("Enter")
        await expect(page.locator("[role=alert]")).to_be_visible()
        problems += await problems_of(page, f"{theme} wrong key", violations, too_wide)
        await everybody.sign_in(context, everybody.manager)
        page = await everybody.open(context, "new-campaign")
        await page.locator("#id").fill("no such id!")
        await page.locator("#max_abandonment").fill("50")
        await page.locator("#name").fill(LONG[:200])
        await page.locator("#id").press("Enter")
        await expect(page.locator("#problem-id")).not_to_be_empty()
        problems += await problems_of(page, f"{theme} campaign with errors", violations, too_wide, *WALKED[theme])
        await context.close()
    assert not problems, "\n".join(problems)


async def test_the_page_of_an_agent(everybody: Everybody) -> None:
    problems: list[str] = []
    contexts = []
    for theme, locale, width in LOOKS:
        context = await everybody.look(theme, locale, width)
        contexts.append(context)
        page = await everybody.sign_in(context, everybody.agent)
        await page.wait_for_selector("#desk-now[data-state=signed_out]")
        problems += await problems_of(page, f"{theme} desk, signed out", violations, too_wide, *WALKED[theme])
    page = contexts[0].pages[0]
    await page.locator("#desk-phone").fill("agent07")
    await page.locator(f"#desk-sign-in input[value={CAMPAIGN}]").check()
    await page.locator("#desk-sign-in button").click()
    await page.wait_for_selector("#desk-now[data-state=idle]")
    await everybody.site.push([1], name=LONG[:200], fields={"debt": 1, LONG[:60]: LONG})
    for (theme, *_), context in zip(LOOKS, contexts, strict=True):
        page = context.pages[0]
        await page.wait_for_selector("#desk-now[data-state=talking]")
        await page.wait_for_selector("#desk-person")
        problems += await problems_of(page, f"{theme} desk, talking", violations, too_wide, *WALKED[theme])
        await context.close()
    assert not problems, "\n".join(problems)
