"""The browser as an agent's phone: real Chromium, real Asterisk, real sound both ways, through loss and reload."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import sys
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Page, async_playwright, expect

# the lab is no part of the installed packages
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from dialer.campaigns import parse_campaign
from dialer.core.agent import AgentState
from dialer.core.campaign import CampaignState
from dialer.core.events import CampaignConfigured, CampaignOrdered
from dialer.core.ids import AgentId, CampaignId, ServerName
from dialer.queues.connection import connect
from dialer.queues.embedded import EmbeddedServer
from dialer.runtime.node import Node
from dialer.settings import Api, Asterisk, Compliance, Database, Redis, Settings, Trunk, Webrtc
from dialer.simulation import OPEN_RULES
from dialer.storage.campaigns import Campaigns
from dialer.storage.keys import Keys
from scripts.lab import plan
from scripts.lab.plan import Kind, Persona
from tests.e2e.floor import until
from tests.lab import AsteriskLab

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
#: A microphone that beeps, and nobody to ask; sound may stay on this machine.
FLAGS = (
    "--no-sandbox",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--allow-loopback-in-peer-connection",
)
CAMPAIGN = CampaignId("winter")
PATIENCE_MS = 30_000

pytestmark = [
    pytest.mark.asterisk,
    pytest.mark.slow,
    pytest.mark.skipif(
        CHROMIUM is None and not os.environ.get("CADENCIA_REQUIRE_BROWSER"),
        reason="needs Chromium (Debian: the package chromium)",
    ),
]


class Relay:
    """The network between a browser and Asterisk's WebSocket: it can be cut, and mended."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._pairs: set[asyncio.StreamWriter] = set()
        self._whole = True
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Relay:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self.cut()
        self._server.close()
        await self._server.wait_closed()

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    def cut(self) -> None:
        self._whole = False
        for writer in self._pairs:
            writer.close()

    def mend(self) -> None:
        self._whole = True

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._whole:
            writer.close()
            return
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._to)
        pair = {writer, there_writer}
        self._pairs |= pair
        try:
            await asyncio.gather(self._carry(reader, there_writer), self._carry(there_reader, writer))
        finally:
            self._pairs -= pair

    @staticmethod
    async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        writer.close()


class Desk:
    """A node at the lab's Asterisk, and the page of one agent."""

    def __init__(self, node: Node, lab: AsteriskLab, agent: str, relay: Relay) -> None:
        self.node = node
        self.lab = lab
        self.agent = AgentId(agent)
        self.relay = relay
        self.complaints: list[str] = []

    @property
    def state(self) -> str | None:
        row = self.node.live.agent(self.agent)
        return None if row is None else row.state

    async def begin(self) -> None:
        """A campaign that dials, with nobody to call yet."""
        settings = {"id": CAMPAIGN, "method": "progressive", "wrapup_limit_s": 0.2, "max_attempts": 1}
        made, now = parse_campaign(settings), self.node.clock.now()
        await Campaigns(self.node.database).create(made, now)
        await self.node.control.submit(CampaignConfigured(at=now, campaign=made))
        await self.node.control.submit(CampaignOrdered(at=now, campaign=CAMPAIGN, state=CampaignState.RUNNING))

    async def push(self, callee: plan.Callee) -> None:
        """Somebody to call."""
        client = connect(self.node.redis_url, name="crm")
        try:
            message = {"campaign": CAMPAIGN, "contacts": [{"id": callee.number, "phones": [callee.e164]}]}
            await client.xadd("cadencia:contacts", {"data": json.dumps(message)})
        finally:
            await client.aclose()

    async def open(self, page: Page) -> None:
        """Sign in to the console."""
        page.set_default_timeout(PATIENCE_MS)
        page.on("console", lambda said: self.complaints.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        _, key = await Keys(self.node.database).create("agent", self.agent, now=self.node.clock.now())
        await page.goto(f"{self.node.api_url}/console/")
        await page.locator("#key").fill(key)
        await page.locator("button.main").click()

    async def work(self, page: Page) -> None:
        """Sign in to work with this browser."""
        await page.get_by_label("In this browser").check()
        await page.get_by_label("winter").check()
        await page.get_by_role("button", name="Call my phone").click()
        await self.phone(page, "connected")
        await until(lambda: self.state == AgentState.IDLE, f"{self.agent} idle, is {self.state}")

    async def phone(self, page: Page, state: str) -> None:
        """Wait for a state of the phone."""
        await expect(page.locator("#phone")).to_have_attribute("data-state", state, timeout=PATIENCE_MS)

    async def flows(self, page: Page) -> None:
        """Wait until sound has come in and gone out from now on."""

        async def packets() -> tuple[int, int]:
            found = await page.locator("#phone").evaluate("(at) => [at.dataset.received ?? 0, at.dataset.sent ?? 0]")
            return int(found[0]), int(found[1])

        received, sent = await packets()

        async def more() -> bool:
            now = await packets()
            return now[0] > received + 20 and now[1] > sent + 20

        await until(more, f"sound both ways, beyond {received} and {sent} packets")

    async def legs(self, endpoint: str) -> list[tuple[int, int]]:
        """Of each channel of an endpoint: packets that Asterisk has received from it, and sent to it."""
        told = await asyncio.to_thread(self.lab.cli, "pjsip show channelstats")
        rows = [line.split() for line in told.splitlines()]
        return [(int(row[4]), int(row[8])) for row in rows if len(row) >= 12 and row[1].startswith(endpoint)]

    async def laid_down(self, endpoint: str) -> None:
        """Wait until an endpoint has no channel."""

        async def gone() -> bool:
            return not await self.legs(endpoint)

        await until(gone, f"the end of {endpoint}'s channel")

    async def password(self) -> str:
        """What Asterisk lets the agent's browser in with."""
        told = await asyncio.to_thread(self.lab.cli, f"database get cadencia auth/web-{self.agent}")
        return str(json.loads(told.partition("Value: ")[2])["password"])


@asynccontextmanager
async def desk(folder: Path, server: EmbeddedServer, lab: AsteriskLab, agent: str) -> AsyncIterator[Desk]:
    async with Relay(lab.layout.web_port) as relay:
        settings = Settings(
            # of its own: a node hangs up what it does not know among the channels with its name
            node=f"phone-{uuid.uuid4().hex[:8]}",
            data_dir=str(folder / "data"),
            database=Database(url=f"sqlite:///{folder / 'cadencia.db'}"),
            redis=Redis(url=server.url),
            api=Api(port=0),
            compliance=Compliance(rules=str(OPEN_RULES)),
            asterisk=(
                Asterisk(
                    name="pbx",
                    port=lab.layout.ami_port,
                    secret=lab.secret,
                    trunks=(Trunk(name="carrier"),),
                    webrtc=Webrtc(url=f"ws://127.0.0.1:{relay.port}/ws"),
                ),
            ),
        )
        async with Node(settings) as node:
            made = Desk(node, lab, agent, relay)
            await until(lambda: node.dispatcher.engine.floor.connected(ServerName("pbx")), "Asterisk")
            await made.begin()
            yield made


@asynccontextmanager
async def browser_page() -> AsyncIterator[Page]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        try:
            yield await browser.new_page(locale="en-GB")
        finally:
            await browser.close()


async def test_an_agent_talks_in_the_browser(
    tmp_path: Path, own_valkey: EmbeddedServer, asterisk_lab: AsteriskLab, serials: Iterator[int]
) -> None:
    async with desk(tmp_path, own_valkey, asterisk_lab, "ana") as site, browser_page() as page:
        await site.open(page)
        await site.work(page)
        password = await site.password()

        # a customer comes into the headset, and hears it
        talks = plan.callee(plan.number(Kind.AUDIO, next(serials), persona=Persona.HELLO, talk_s=60.0))
        await site.push(talks)
        await until(lambda: site.state == AgentState.TALKING, "a talk")
        await site.flows(page)
        ((heard, said),) = await site.legs("carrier")
        ((received, sent),) = await site.legs("web-ana")
        assert min(heard, said, received, sent) > 20, (heard, said, received, sent)

        # the network goes; the talk does not
        site.relay.cut()
        await site.phone(page, "lost")
        assert site.state == AgentState.TALKING
        site.relay.mend()
        await site.phone(page, "connected")
        await site.flows(page)
        assert site.state == AgentState.TALKING

        await page.get_by_role("button", name="Mute").click()
        await expect(page.get_by_role("button", name="Mute")).to_have_attribute("aria-pressed", "true")

        # the agent hangs up: the customer is gone, the phone stays
        await page.get_by_role("button", name="Hang up").click()
        await until(lambda: site.state == AgentState.IDLE, "idle again")
        await site.laid_down("carrier")
        await site.phone(page, "connected")

        # whoever loads the page anew is called again, without a word
        await page.reload()
        await site.phone(page, "connected")
        await until(lambda: site.state == AgentState.IDLE, f"back at work, is {site.state}")
        await site.flows(page)

        # home: the phone is laid down
        await page.get_by_role("button", name="End my work").click()
        await until(lambda: site.state in {None, AgentState.SIGNED_OUT}, "signed out")
        await expect(page.locator("#phone")).to_be_hidden()
        await site.laid_down("web-ana")
        assert password not in await page.content()
        assert await site.password() == password
        assert [said for said in site.complaints if "WebSocket" not in said] == []
    # what the page was given holds no more
    assert await site.password() != password
