"""Accounts in a real browser, by keyboard alone: a second factor from its picture to the next sign-in, and a new user.

Runs where Chromium is installed (Debian: the package chromium).
"""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.async_api import Page, async_playwright, expect

from dialer.api.key_ports import Role
from dialer.storage.database import Database
from dialer.testing import FakeNode
from tests.accounts import BETTER, GOOD, code, desk
from tests.integration.test_console import serving
from tests.integration.test_console_browser import CHROMIUM

pytestmark = pytest.mark.skipif(
    CHROMIUM is None and not os.environ.get("CADENCIA_REQUIRE_BROWSER"),
    reason="needs Chromium (Debian: the package chromium)",
)


async def sign_in(page: Page, url: str, code: str = "") -> None:
    await page.goto(f"{url}/console/login")
    # Chromium gives an autofocus its field after it has said that the page is loaded.
    await expect(page.locator("[autofocus]")).to_be_focused()
    for text in ("marta", GOOD, code):
        await page.keyboard.type(text)
        await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("link", name="marta")).to_be_visible()


async def no_wider(page: Page) -> None:
    wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert await page.evaluate(wide) <= 0, page.url


async def test_a_second_factor_and_a_new_user_by_keyboard(tmp_path: Path, sqlite_url: str) -> None:
    database = Database(sqlite_url)

    def prepare(node: FakeNode) -> None:
        users = desk(database, node.clock)
        node.ports = replace(node.ports, users=users, user_book=users)

    complaints: list[str] = []
    async with serving(tmp_path, prepare) as visitor, async_playwright() as playwright:
        clock = visitor.node.clock
        users = desk(database, clock)
        await users.create("marta", Role.MANAGER, "", GOOD)
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = await browser.new_page(locale="en-GB", viewport={"width": 800, "height": 1_000})
        page.set_default_timeout(60_000)
        page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        await sign_in(page, visitor.url)

        await page.get_by_role("link", name="marta").focus()
        await page.keyboard.press("Enter")
        await page.locator("#on").focus()
        await page.keyboard.type(GOOD)
        await page.keyboard.press("Enter")
        picture = page.get_by_role("img", name="The secret as a QR code")
        await expect(picture).to_be_visible()
        await picture.evaluate("image => image.decode()")
        assert await picture.evaluate("image => image.naturalWidth > 100")
        await expect(page.locator("[autofocus]")).to_be_focused()
        await no_wider(page)
        secret = await page.locator("code.secret").inner_text()
        assert re.fullmatch("[A-Z2-7]{32}", secret)
        await page.keyboard.type(code(secret, clock.now()))
        await page.keyboard.press("Enter")
        await expect(page.locator(".codes li")).to_have_count(10)

        clock.advance(30.0)
        await page.context.clear_cookies()
        await sign_in(page, visitor.url, code(secret, clock.now()))

        await page.goto(f"{visitor.url}/console/system/users")
        await page.get_by_label("Name").focus()
        for key in ("eva", "Tab", "Tab", "Tab", BETTER):
            await (page.keyboard.press(key) if key == "Tab" else page.keyboard.type(key))
        await page.keyboard.press("Enter")
        row = page.locator("#user-eva")
        await expect(row).to_contain_text("active")
        await no_wider(page)
        await row.locator("summary").focus()
        for key in ("Enter", "Tab", "Enter"):
            await page.keyboard.press(key)
        await expect(row).to_contain_text("disabled")
        await browser.close()
        eva = await users.find("eva")
        assert eva is not None
        assert (eva.role, eva.state) == (Role.AGENT, "disabled")
    await database.close()
    assert complaints == []
