"""The system pages by mouse and keyboard in a real browser, on a real node: what a manager does there, seen to its end.

Runs where Chromium is installed (Debian: the package chromium).
"""

from __future__ import annotations

import asyncio
import csv
import os
import shutil
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, async_playwright, expect
from sqlalchemy import update

from dialer.api.key_ports import Role
from dialer.campaigns import parse_campaign
from dialer.core.events import AgentSignedIn, CampaignConfigured
from dialer.core.ids import AgentId
from dialer.crm.webhooks import RETRIES_S, headers_of
from dialer.queues.embedded import EmbeddedServer
from dialer.runtime.clock import Clock
from dialer.settings import Outbound
from dialer.storage.campaigns import Campaigns
from dialer.storage.tables import webhook_deliveries
from dialer.storage.webhooks import Delivery
from tests.accounts import BETTER, GOOD, desk
from tests.e2e.floor import Floor, floor, person, until
from tests.integration.test_webhook_deliveries import Receiver, receiving
from workers.jobs.webhooks import deliver_due

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

HOSTILE = "<img src=x onerror=alert(1)>"
#: Answers that are expected: what is not for a role, refused, or asked without a session.
_EXPECTED = ("401", "403", "409", "422")


class Office:
    """A manager's browser, the node behind it, and a CRM that listens."""

    def __init__(self, site: Floor, browser: Browser, receiver: Receiver) -> None:
        self.site = site
        self.receiver = receiver
        self.url = site.node.api_url
        self.complaints: list[str] = []
        self._browser = browser

    async def person(self, name: str, password: str) -> Page:
        """Somebody at a browser of their own, who has typed these."""
        context: BrowserContext = await self._browser.new_context(
            locale="en-GB", viewport={"width": 1280, "height": 900}, accept_downloads=True
        )
        context.set_default_timeout(60_000)
        page = await context.new_page()
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda said: self._complain(said.text) if said.type == "error" else None)
        await page.goto(f"{self.url}/console/")
        await page.locator("#name").fill(name)
        await page.locator("#password").fill(password)
        await page.locator("#password").press("Enter")
        return page

    def _complain(self, text: str) -> None:
        if not any(status in text for status in _EXPECTED):
            self.complaints.append(text)

    async def asks(self, key: str, path: str = "live") -> int:
        """What the API answers to somebody with this key."""
        headers = {"Authorization": f"Bearer {key}"}
        async with aiohttp.ClientSession() as http, http.get(f"{self.url}/api/v1/{path}", headers=headers) as answer:
            return answer.status

    async def deliver(self) -> None:
        """Let a worker tell what is due."""
        await asyncio.to_thread(deliver_due)


async def manager(office: Office, tab: str, who: str = "marta") -> Page:
    """A manager who has gone to one of the system's pages by its link."""
    page = await office.person(who, GOOD)
    await page.get_by_role("link", name="System").click()
    await page.get_by_role("link", name=tab, exact=True).click()
    await expect(page.get_by_role("heading", level=1)).to_have_text(tab)
    return page


async def secret_of(page: Page) -> str:
    """What was just made, and is shown this once."""
    return await page.locator("#made").inner_text()


async def quietly_closed(page: Page) -> None:
    """Nothing of anybody's names has become a part of the page."""
    assert await page.locator("img").count() == 0
    await page.context.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def office(tmp_path_factory: pytest.TempPathFactory, valkey_server: EmbeddedServer) -> AsyncIterator[Office]:
    folder: Path = tmp_path_factory.mktemp("office")
    fates = {number: person(talk_s=0.2) for number in range(20)}
    more = {"outbound": Outbound(internal=("127.0.0.1",))}
    with pytest.MonkeyPatch.context() as environment:
        async with (
            receiving() as receiver,
            floor(folder, valkey_server, fates=fates, more=more) as site,
            async_playwright() as playwright,
        ):
            config = folder / "worker.toml"
            config.write_text(
                f'[redis]\nurl = "{valkey_server.url}"\n[database]\nurl = "{site.settings.database.url}"\n'
                '[outbound]\ninternal = ["127.0.0.1"]\n'
            )
            environment.setenv("CADENCIA_CONFIG", str(config))
            await desk(site.node.database, Clock()).create("marta", Role.MANAGER, "", GOOD)
            browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            found = Office(site, browser, receiver)
            yield found
            await browser.close()
    assert found.complaints == []


async def test_what_a_crm_did_not_take_is_found_and_sent_again(office: Office) -> None:
    page = await manager(office, "Webhooks")
    await page.get_by_label("Address").first.fill(office.receiver.url)
    await page.locator("#types").fill("call.ended")
    await page.get_by_role("button", name="Create").click()
    secret = await secret_of(page)
    await page.get_by_role("link", name="Webhooks").click()
    await expect(page.locator("tbody tr")).to_have_count(1)
    await expect(page.locator("main")).not_to_contain_text(secret)

    office.receiver.refuse = lambda told: True
    await office.site.begin(agents=2)
    await office.site.push([1, 2, 3])
    await office.site.wait("call.ended", 3)

    async def tried() -> bool:
        await office.deliver()
        return len(office.receiver.requests) >= 3

    await until(tried, "three results told, and refused")
    await page.get_by_role("link", name="Deliveries").click()
    await expect(page.get_by_text("There is nothing in this state")).to_be_visible()  # it is tried again for days
    await page.get_by_label("State").select_option("waiting")
    await page.get_by_role("button", name="Show").click()
    await expect(page.get_by_role("row").filter(has_text="500")).to_have_count(3)
    await expect(page.get_by_role("button", name="Send again")).to_have_count(0)

    async with office.site.node.database.write() as connection:  # three days go by
        await connection.execute(update(webhook_deliveries).values(attempts=len(RETRIES_S), next_at=0.0))
    await office.deliver()
    office.receiver.refuse = None
    office.receiver.requests.clear()
    await page.get_by_label("State").select_option("failed")
    await page.get_by_role("button", name="Show").click()
    failed = page.get_by_role("row").filter(has_text="call.ended")
    await expect(failed).to_have_count(3)
    await failed.filter(has_text="crm-2").get_by_role("button", name="Send again").click()
    await expect(failed).to_have_count(2)
    await office.deliver()
    ((headers, body),) = office.receiver.requests
    assert '"crm-2"' in body
    sent = Delivery(id=headers["webhook-id"], url="", type="", payload=body, next_at=0.0)
    signed = headers_of(sent, [secret], float(headers["webhook-timestamp"]))["webhook-signature"]
    assert headers["webhook-signature"] == signed, "by the secret that was shown"

    await page.get_by_role("button", name="Send all of them again").press("Enter")
    await expect(page.get_by_text("There is nothing in this state")).to_be_visible()
    await office.deliver()
    assert len({headers["webhook-id"] for headers, _ in office.receiver.requests}) == 3
    await page.get_by_label("State").select_option("delivered")
    await page.get_by_role("button", name="Show").click()
    await expect(failed).to_have_count(3)
    await page.get_by_role("link", name="Audit log").click()
    await page.get_by_label("Action").fill("deliveries.replayed")
    await page.get_by_label("Action").press("Enter")
    await expect(page.locator("tbody tr")).to_have_count(2)
    await quietly_closed(page)


async def test_every_part_is_looked_at_and_what_is_wrong_says_what_to_do(office: Office) -> None:
    page = await office.person("marta", GOOD)
    await page.get_by_role("link", name="System").click()
    await expect(page.locator(".findings")).to_have_count(0)
    await page.get_by_role("link", name="Look at every part").press("Enter")
    findings = page.locator(".findings li")
    for part in ("database", "redis", "asterisk"):
        await expect(findings.filter(has_text=part).first).to_be_visible()
    wrong = findings.filter(has=page.locator(".chip.lost"))
    for text in await wrong.all_inner_texts():
        assert "→" in text, f"what to do about it: {text}"
    assert await findings.count() > await wrong.count()
    await quietly_closed(page)


async def test_a_key_is_made_replaced_and_revoked(office: Office) -> None:
    page = await manager(office, "API keys")
    await page.get_by_label("Role").select_option("supervisor")
    await page.get_by_label("Whose").fill(HOSTILE)
    await page.get_by_label("Days").fill("soon")
    await page.get_by_role("button", name="Create").click()
    await expect(page.get_by_role("alert")).to_contain_text("more than 0")
    await expect(page.get_by_label("Whose")).to_have_value(HOSTILE)
    await page.get_by_label("Days").fill("30")
    await page.get_by_role("button", name="Create").click()
    first = await secret_of(page)
    assert await office.asks(first) == 200
    rows = page.get_by_role("row").filter(has_text=HOSTILE)
    await page.reload()
    await expect(page.locator("main")).not_to_contain_text(first)
    await expect(rows).to_have_count(1)  # none was made a second time

    await rows.get_by_text("Replace", exact=False).first.click()
    await rows.get_by_role("button", name="Make the new key").click()
    second = await secret_of(page)
    assert [await office.asks(key) for key in (first, second)] == [200, 200]
    former = rows.filter(has_text="Replaced by")
    await expect(rows).to_have_count(2)
    await expect(former.get_by_text("Replace", exact=True)).to_have_count(0)

    await former.get_by_text("Revoke").first.click()
    await expect(former).to_contain_text("is refused within 5 seconds")
    await former.get_by_role("button", name="Revoke it now").press("Enter")
    await expect(former.locator(".chip")).to_have_text("revoked")

    async def refused() -> bool:
        return await office.asks(first) == 401

    await until(refused, "the end of the first key")
    assert await office.asks(second) == 200
    await quietly_closed(page)


async def test_a_user_comes_changes_roles_and_goes(office: Office) -> None:
    page = await manager(office, "Users")
    await page.get_by_label("Name", exact=True).fill("sofia")
    await page.get_by_label("Role").first.select_option("supervisor")
    await page.get_by_label("Password").fill("password1234")
    await page.get_by_role("button", name="Create").click()
    await expect(page.get_by_role("alert")).to_be_visible()  # one that others choose too
    await page.get_by_label("Password").fill(GOOD)
    await page.get_by_role("button", name="Create").click()
    row = page.locator("#user-sofia")
    await expect(row).to_contain_text("active")

    sofia = await office.person("sofia", GOOD)
    await expect(sofia.get_by_role("link", name="Wallboard")).to_be_visible()
    await sofia.get_by_role("link", name="System").click()
    await expect(sofia.get_by_role("link", name="Users")).to_have_count(0)
    await sofia.goto(f"{office.url}/console/system/users")
    await expect(sofia.get_by_text("not for the role supervisor")).to_be_visible()

    await row.locator("summary").click()
    await row.get_by_label("Role").select_option("agent")
    await row.get_by_label("Agent").fill("agent09")
    await row.get_by_role("button", name="Set role").click()
    await expect(row).to_contain_text("agent09")
    await sofia.goto(f"{office.url}/console/agents")
    await sofia.wait_for_url("**/console/login**")  # who has another role signs in anew
    await sofia.context.close()
    sofia = await office.person("sofia", GOOD)
    await sofia.wait_for_url("**/console/desk")

    await row.locator("summary").click()
    await row.get_by_role("button", name="Disable").click()
    await expect(row.locator(".chip")).to_have_text("disabled")
    await sofia.reload()
    await sofia.wait_for_url("**/console/login**")
    await sofia.locator("#name").fill("sofia")
    await sofia.locator("#password").fill(GOOD)
    await sofia.locator("#password").press("Enter")
    await expect(sofia.get_by_role("alert")).to_be_visible()
    await sofia.context.close()

    for order in ("Enable", "Set password"):
        await row.locator("summary").click()
        if order == "Set password":
            await row.get_by_label("New password").fill(BETTER)
        await row.get_by_role("button", name=order).click()
        await expect(row.locator(".chip")).to_have_text("active")
    sofia = await office.person("sofia", BETTER)
    await sofia.wait_for_url("**/console/desk")
    await sofia.context.close()
    await quietly_closed(page)


async def test_whoever_writes_to_an_agent_is_named_and_not_numbered(office: Office) -> None:
    users = desk(office.site.node.database, Clock())
    await users.create("adam", Role.AGENT, "agent12", GOOD)
    page = await manager(office, "API keys")
    await page.get_by_label("Role").select_option("crm")
    await page.get_by_label("Whose").fill("CRM sync")
    await page.get_by_role("button", name="Create").click()
    key = await secret_of(page)
    adam = await office.person("adam", GOOD)
    await adam.wait_for_url("**/console/desk")
    # An agent and a campaign that no other test has.
    campaign, now = parse_campaign({"id": "told"}), office.site.now
    await Campaigns(office.site.node.database).create(campaign, now)
    await office.site.node.control.submit(CampaignConfigured(at=now, campaign=campaign))
    agent = AgentId("agent12")
    await office.site.node.control.submit(AgentSignedIn(at=now, agent=agent, phone=agent, campaigns=(campaign.id,)))
    headers = {"Authorization": f"Bearer {key}"}
    path = f"{office.url}/api/v1/agents/agent12/messages"
    async with (
        aiohttp.ClientSession(headers=headers) as http,
        http.post(path, json={"text": "the next one is in a hurry"}) as answer,
    ):
        assert answer.status == 201
    told = adam.locator(".message").filter(has_text="in a hurry")
    await expect(told).to_contain_text("API key “CRM sync”:")
    await adam.get_by_role("link", name="Español").click()
    await expect(told).to_contain_text("clave de API «CRM sync»:")
    await adam.context.close()
    await page.goto(f"{office.url}/console/agents/agent12")
    await expect(page.locator("main")).to_contain_text("API key “CRM sync”")
    await quietly_closed(page)


async def test_who_did_what_is_found_and_taken_along(office: Office, tmp_path: Path) -> None:
    await desk(office.site.node.database, Clock()).create("olga", Role.MANAGER, "", GOOD)
    page = await manager(office, "API keys", who="olga")
    for whose in (HOSTILE + " of olga", "another of olga"):
        await page.get_by_label("Role").select_option("crm")
        await page.get_by_label("Whose").fill(whose)
        await page.get_by_role("button", name="Create").click()
        await secret_of(page)
        await page.get_by_role("link", name="API keys").click()
    row = page.get_by_role("row").filter(has_text=HOSTILE + " of olga")
    await row.get_by_text("Revoke").first.click()
    await row.get_by_role("button", name="Revoke it now").press("Enter")
    await expect(row.locator(".chip")).to_have_text("revoked")

    await page.get_by_role("link", name="Audit log").click()
    await page.get_by_label("Who").fill("user:olga")
    await page.get_by_label("Action").fill("key.revoked")
    await page.get_by_role("button", name="Show").click()
    rows = page.locator("tbody tr")
    await expect(rows).to_have_count(1)
    await expect(rows).to_contain_text("user:olga")
    await expect(rows.locator("bdi")).to_have_text(HOSTILE + " of olga")  # whose key that was
    async with page.expect_download() as download:
        await page.get_by_role("link", name="CSV").click()
    kept = tmp_path / "audit.csv"
    await (await download.value).save_as(kept)
    (line,) = csv.DictReader(kept.read_text("utf-8-sig").splitlines())
    assert (line["who"], line["action"], line["outcome"]) == ("user:olga", "key.revoked", "ok")

    tomorrow = datetime.now(UTC).date() + timedelta(days=1)
    await page.locator("#since").fill(tomorrow.isoformat())
    await page.get_by_role("button", name="Show").click()
    await expect(page.get_by_text("Nothing is on record")).to_be_visible()
    await page.locator("#since").fill("")
    await page.get_by_label("Action").fill("key.created")
    await page.get_by_label("Action").press("Enter")
    await expect(rows).to_have_count(2)
    await quietly_closed(page)
