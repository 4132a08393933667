"""A campaign's CRM mapping in a real browser on a real node: seen, changed, tried on a record, saved, and pulled by.

Runs where Chromium is installed (Debian: the package chromium).
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import BrowserContext, Page, async_playwright, expect

from dialer.core.ids import ContactId
from dialer.queues.embedded import EmbeddedServer
from dialer.settings import Crm, CrmAccess, CrmPull, Outbound
from dialer.storage.contacts import Contacts
from dialer.storage.keys import Keys
from tests.accessibility import out_of_reach, too_wide, violations, watch
from tests.crm_rig import MAPPINGS
from tests.crm_servers import TwoFunctions, serving
from tests.e2e.floor import CAMPAIGN, Floor, floor

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SECRET = "key"
RECORD = '{"id": "c-0", "phone": "+34600111222", "status": "pending", "name": "Ana", "account": {"balance": "9.50"}}'

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


class Office:
    """A manager's browser, the node behind it, and the CRM behind that."""

    def __init__(self, site: Floor, crm: TwoFunctions, context: BrowserContext, key: str) -> None:
        self.site = site
        self.crm = crm
        self.context = context
        self.key = key
        self.complaints: list[str] = []

    async def open(self, path: str) -> Page:
        page = self.context.pages[0] if self.context.pages else await self._page()
        await page.goto(f"{self.site.node.api_url}/console/{path}")
        return page

    async def _page(self) -> Page:
        page = await self.context.new_page()
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", lambda dialog: self.complaints.append(f"a script ran: {dialog.message}"))
        return page

    async def pull(self) -> None:
        """A turn of a worker with the CRM, in a process of its own."""
        config = self.site.folder / "worker.toml"
        pull = self.site.settings.crm.pull[0]
        config.write_text(
            f'[redis]\nurl = "{self.site.server.url}"\n[database]\nurl = "{self.site.settings.database.url}"\n'
            f'[compliance]\nrules = "{self.site.settings.compliance.rules}"\n[outbound]\ninternal = ["127.0.0.0/8"]\n'
            f'[crm]\nmappings = "{MAPPINGS}"\n[[crm.pull]]\nname = "ours"\ncampaign = "{CAMPAIGN}"\n'
            f'mapping = "rest.toml"\nurl = "{pull.url}"\naccess = {{kind = "header"}}\n'
        )
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", "from workers.jobs.crm import exchange; print(exchange('ours'))"),
            env={**os.environ, "CADENCIA_CONFIG": str(config), "CADENCIA_CRM__PULL__0__ACCESS__TOKEN": SECRET},
            stdout=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(120):
            told, _ = await process.communicate()
        assert process.returncode == 0
        assert b"accepted" in told, told


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def office(tmp_path_factory: pytest.TempPathFactory, valkey_server: EmbeddedServer) -> AsyncIterator[Office]:
    folder: Path = tmp_path_factory.mktemp("mapping")
    crm = TwoFunctions()
    async with serving(crm):
        access = CrmAccess(kind="header", token=SECRET)
        pull = CrmPull(name="ours", campaign=CAMPAIGN, mapping="rest.toml", url=crm.url, access=access, every_s=5.0)
        more = {"crm": Crm(mappings=str(MAPPINGS), pull=(pull,)), "outbound": Outbound(internal=("127.0.0.0/8",))}
        async with floor(folder, valkey_server, more=more) as site, async_playwright() as playwright:
            await site.begin(agents=0)
            _, key = await Keys(site.node.database).create("manager", "marta", now=site.now)
            browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            context = await browser.new_context(
                locale="en-GB", viewport={"width": 1_280, "height": 900}, reduced_motion="reduce"
            )
            context.set_default_timeout(60_000)
            await watch(context)
            found = Office(site, crm, context, key)
            page = await found.open("login")
            await page.locator("#key").fill(key)
            await page.locator("#key").press("Enter")
            await page.wait_for_selector("nav")
            yield found
            await browser.close()
    assert found.complaints == []


async def test_a_mapping_is_changed_tried_saved_and_pulled_by(office: Office) -> None:
    office.crm.calls = [
        {"id": "c-1", "phone": "+34600100001", "status": "pending", "name": "Eva", "account": {"balance": "12.50"}}
    ]
    page = await office.open(f"campaigns/{CAMPAIGN}")
    await page.get_by_role("link", name="CRM", exact=True).press("Enter")
    await expect(page.get_by_role("heading", name="ours")).to_be_visible()
    await expect(page.get_by_text("127.0.0.1", exact=True)).to_be_visible()
    assert await violations(page) == []
    await page.get_by_role("link", name="Change the mapping").press("Enter")

    await page.get_by_role("button", name="Change fields.amount").press("Enter")
    expression = page.locator('[id="crm_contact.0.expression"]')
    await expect(expression).to_be_focused()
    await expect(expression).to_have_value("amount")
    await expression.fill("account.[")
    await expect(page.locator('[id="problem-crm_contact-0"]')).to_contain_text("no JMESPath expression")
    await expression.fill("account.balance")
    await expect(page.locator('[id="problem-crm_contact-0"]')).to_be_empty()
    await page.get_by_role("button", name="Add a word").press("Enter")
    await expect(page.locator('[id="crm_words.0.table"]')).to_be_focused()
    for text in ("status", "SALE", "won"):
        await page.keyboard.type(text)
        await page.keyboard.press("Tab")
    await expect(page.locator("#verdict")).to_contain_text("can be saved")

    await page.locator("#try_sample").fill(RECORD.replace("Ana", "<img src=x onerror=alert(1)>"))
    await page.locator("#try_told").select_option("code:SALE")
    await page.get_by_role("button", name="Try", exact=True).press("Enter")
    tried = page.locator("#tried")
    await expect(tried).to_contain_text("9.50")
    await expect(tried).to_contain_text("won")
    await expect(tried).to_contain_text("<img src=x")
    assert await page.locator("#tried img").count() == 0
    for check in (violations, too_wide, out_of_reach):
        assert await check(page) == []
    kept = await page.evaluate("JSON.stringify({ ...sessionStorage })")
    assert "account.balance" in kept
    assert "600111222" not in kept, "whose record was tried is not kept"

    await page.get_by_role("button", name="Save").press("Enter")
    await page.wait_for_url("**?saved=1")
    await office.pull()
    stored = await Contacts(office.site.node.database).get(CAMPAIGN, ContactId("c-1"))
    assert stored is not None
    assert (stored.contact.name, stored.contact.fields) == ("Eva", {"amount": "12.50"})
    page = await office.open(f"campaigns/{CAMPAIGN}/crm")
    await expect(page.get_by_text("accepted 1")).to_be_visible()
    await expect(page.get_by_role("row", name="Field amount")).to_contain_text("account.balance number own")
