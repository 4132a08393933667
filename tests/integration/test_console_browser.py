"""The console in a real browser: it moves by itself, obeys, speaks two languages, and breaks no rule of its own policy.

Runs where Chromium is installed (Debian: the package chromium).
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Page, async_playwright, expect

from dialer.core.agent import AgentState
from dialer.core.campaign import CampaignState
from dialer.core.events import CampaignOrdered
from tests.integration.test_console import Visitor, serving

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

#: The machine may have better things to do.
expect.set_options(timeout=60_000)


pytestmark = pytest.mark.skipif(
    CHROMIUM is None and not os.environ.get("CADENCIA_REQUIRE_BROWSER"),
    reason="needs Chromium (Debian: the package chromium)",
)


class Screen:
    """A page of a browser, the server behind it, and whatever the browser complained about."""

    def __init__(self, page: Page, visitor: Visitor) -> None:
        self.page = page
        self.visitor = visitor
        self.complaints: list[str] = []
        page.on("console", lambda said: self.complaints.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    async def sign_in(self) -> None:
        await self.page.goto(f"{self.visitor.url}/console/")
        await self.page.get_by_label("Your key").fill("boss")
        await self.page.get_by_role("button", name="Sign in").click()

    async def tick(self) -> None:
        """A second passes for the server, so that it looks again."""
        self.visitor.node.clock.advance(1.5)


@pytest.fixture
async def screen(tmp_path: Path) -> AsyncIterator[Screen]:
    async with serving(tmp_path) as visitor, async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = await browser.new_page(locale="en-GB", color_scheme="light")
        page.set_default_timeout(60_000)
        found = Screen(page, visitor)
        yield found
        await browser.close()
    assert found.complaints == []


async def test_a_supervisor_watches_and_orders(screen: Screen) -> None:
    page = screen.page
    await screen.visitor.add_campaign("winter")
    await screen.sign_in()
    await expect(page.get_by_role("heading", name="winter")).to_be_visible()

    await screen.visitor.add_campaign("autumn")  # comes by itself, without a click
    await screen.tick()
    await expect(page.get_by_role("heading", name="autumn")).to_be_visible()

    async with page.expect_response("**/campaigns/winter/start"):
        await page.locator("#campaign-winter").get_by_role("button", name="Start").click()
    ordered = [event for event in screen.visitor.node.control.events if isinstance(event, CampaignOrdered)]
    assert [(event.campaign, event.state) for event in ordered] == [("winter", CampaignState.RUNNING)]

    await page.get_by_role("link", name="Español").click()
    await expect(page.get_by_role("link", name="Panel")).to_be_visible()

    before = await page.evaluate("getComputedStyle(document.body).backgroundColor")
    await page.locator("#theme").click()
    await page.reload()  # the choice is kept
    assert await page.evaluate("getComputedStyle(document.body).backgroundColor") != before

    screen.visitor.sample(times=3)
    await page.get_by_role("link", name="winter", exact=True).click()
    await expect(page.locator(".uplot canvas").first).to_be_visible()

    await page.get_by_role("button", name="Cerrar sesión").click()
    await expect(page.get_by_label("Su clave")).to_be_visible()


async def test_the_wallboard_draws_all_campaigns_together_and_says_what_is_wrong(screen: Screen) -> None:
    page = screen.page
    await screen.sign_in()
    await expect(page.locator("#charts")).to_have_count(0)

    await screen.visitor.add_campaign("winter")
    screen.visitor.sample(times=3)
    canvas = page.locator("#charts canvas")  # it comes with the first campaign, by itself
    await expect(canvas).to_have_count(4)
    await expect(page.get_by_label("Look at this")).to_have_count(0)
    await canvas.first.evaluate("(each) => (each.dataset.mark = 'same')")

    async with page.expect_response("**/console/series?span=day"):
        await page.get_by_role("button", name="Last 24 hours").click()
    await expect(page.get_by_role("button", name="Last 24 hours")).to_have_attribute("aria-pressed", "true")

    await screen.visitor.add_campaign("autumn", CampaignState.RUNNING)
    await screen.tick()
    alarm = page.get_by_role("link", name="autumn: its list is empty")
    await expect(alarm).to_be_visible()
    await expect(page.locator("#alarms time")).not_to_be_empty()
    assert await canvas.first.get_attribute("data-mark") == "same", "what is drawn is not drawn anew by live parts"
    await alarm.click()
    await page.wait_for_url("**/console/campaigns/autumn")


async def test_a_hostile_id_is_shown_and_not_run(screen: Screen) -> None:
    page = screen.page
    await screen.visitor.add_campaign("winter")
    await screen.sign_in()
    await page.get_by_role("link", name="winter").click()
    await page.get_by_label("Contact id").fill('"><img src=x onerror=alert(1)>')
    await page.get_by_role("button", name="Ask").click()
    await expect(page.locator(".bad").last).to_contain_text("<img src=x onerror=alert(1)>")
    assert await page.locator("img").count() == 0


async def test_one_agent_of_many_is_found_by_typing_and_stays_so_while_the_table_moves(screen: Screen) -> None:
    page = screen.page
    for name in ("ann", "anna", "bob"):
        screen.visitor.agent_is(name, AgentState.IDLE)
    await screen.sign_in()
    await page.get_by_role("link", name="Agents", exact=True).click()
    rows = page.locator(".agents tbody tr")
    await expect(rows).to_have_count(3)

    field = page.get_by_role("searchbox", name="Name")
    await field.press_sequentially("ANN")
    await expect(rows).to_have_count(2)
    await expect(field).to_be_focused()
    await expect(page).to_have_url(re.compile("name=ANN"))

    # What happens comes by itself, and does not bring back those that are not asked for.
    screen.visitor.agent_is("hannah", AgentState.PAUSED)
    screen.visitor.agent_is("carl", AgentState.IDLE)
    await screen.tick()
    await expect(rows).to_have_count(3)
    await expect(page.get_by_text("3 of 5 agents")).to_be_visible()

    # The choice stands in the address: a page that is loaded anew shows the same. The keyboard is enough.
    await page.reload()
    await expect(field).to_have_value("ANN")
    await expect(rows).to_have_count(3)
    await page.get_by_role("link", name="1 paused").press("Enter")
    await expect(rows).to_have_count(1)
    await expect(page.get_by_role("combobox", name="State")).to_have_value("paused")
    screen.visitor.agent_is("hannah", AgentState.IDLE)
    await screen.tick()
    await expect(page.get_by_text("No agent is like that now.")).to_be_visible()
    await page.get_by_role("link", name="Show everybody").press("Enter")
    await expect(rows).to_have_count(5)


async def test_without_a_script_agents_are_found_by_a_button(screen: Screen) -> None:
    for name in ("ann", "bob"):
        screen.visitor.agent_is(name, AgentState.IDLE)
    await screen.sign_in()
    browser = screen.page.context.browser
    assert browser is not None
    state = await screen.page.context.storage_state()
    context = await browser.new_context(java_script_enabled=False, locale="en-GB", storage_state=state)
    context.set_default_timeout(60_000)
    page = await context.new_page()
    await page.goto(f"{screen.visitor.url}/console/agents")
    await page.get_by_role("searchbox", name="Name").fill("bo")
    await page.get_by_role("button", name="Show").click()
    await expect(page.locator(".agents tbody tr")).to_have_count(1)
    await context.close()
