"""A node at the lab's Asterisk, and an agent's page in real Chromium that is their phone."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.async_api import Page, async_playwright, expect

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
from tests.certificates import Certificate
from tests.e2e.floor import until
from tests.lab import AsteriskLab

CHROMIUM: Final = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
#: A microphone that beeps, and nobody to ask; sound may stay on this machine, where all names of a test lead.
FLAGS: Final = (
    "--no-sandbox",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--allow-loopback-in-peer-connection",
    "--host-resolver-rules=MAP *.example 127.0.0.1",
)
CAMPAIGN: Final = CampaignId("winter")
PATIENCE_MS: Final = 60_000
expect.set_options(timeout=PATIENCE_MS)

#: What the tests with it need.
MARKS: Final = [
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
    def address(self) -> str:
        """Of the node, by the name in its certificate where it has one."""
        return self.node.api_url.replace("https://127.0.0.1", "https://dialer.example")

    @property
    def state(self) -> str | None:
        row = self.node.live.agent(self.agent)
        return None if row is None else row.state

    @property
    def call(self) -> str | None:
        """That they talk in."""
        row = self.node.live.agent(self.agent)
        return None if row is None else row.call

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
        await page.goto(f"{self.address}/console/")
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

    async def has_legs(self, endpoint: str, count: int) -> bool:
        """Whether an endpoint has so many channels."""
        return len(await self.legs(endpoint)) == count

    async def laid_down(self, endpoint: str) -> None:
        """Wait until an endpoint has no channel."""
        await until(partial(self.has_legs, endpoint, 0), f"the end of {endpoint}'s channel")

    async def password(self) -> str:
        """What Asterisk lets the agent's browser in with."""
        told = await asyncio.to_thread(self.lab.cli, f"database get cadencia auth/web-{self.agent}")
        return str(json.loads(told.partition("Value: ")[2])["password"])


@asynccontextmanager
async def desk(
    folder: Path,
    server: EmbeddedServer,
    lab: AsteriskLab,
    agent: str,
    *,
    certificate: Certificate | None = None,
    webrtc: Mapping[str, Any] | None = None,
) -> AsyncIterator[Desk]:
    """Let all of it run.

    Args:
        folder: for what the node keeps.
        server: its Redis.
        lab: its Asterisk.
        agent: who works there, with the phone web-<agent>.
        certificate: for dialer.example and pbx.example: both are reached over TLS then, else in clear.
        webrtc: further settings of browsers' phones.
    """
    if certificate is None:
        port, url = lab.layout.web_port, "ws://127.0.0.1:{port}/ws"
    else:
        port = await asyncio.to_thread(lab.web_tls, certificate.chain, certificate.key)
        url = "wss://pbx.example:{port}/ws"
    async with Relay(port) as relay:
        settings = Settings(
            # of its own: a node hangs up what it does not know among the channels with its name
            node=f"phone-{uuid.uuid4().hex[:8]}",
            data_dir=str(folder / "data"),
            database=Database(url=f"sqlite:///{folder / 'cadencia.db'}"),
            redis=Redis(url=server.url),
            api=Api(
                port=0,
                tls_certificate_file="" if certificate is None else str(certificate.chain),
                tls_key_file="" if certificate is None else str(certificate.key),
            ),
            compliance=Compliance(rules=str(OPEN_RULES)),
            asterisk=(
                Asterisk(
                    name="pbx",
                    port=lab.layout.ami_port,
                    secret=lab.secret,
                    trunks=(Trunk(name="carrier"),),
                    webrtc=Webrtc(url=url.format(port=relay.port), **(webrtc or {})),
                ),
            ),
        )
        async with Node(settings) as node:
            made = Desk(node, lab, agent, relay)
            await until(lambda: node.dispatcher.engine.floor.connected(ServerName("pbx")), "Asterisk")
            await made.begin()
            yield made


@asynccontextmanager
async def browser_page(*, pin: str = "") -> AsyncIterator[Page]:
    """A page of a browser of its own.

    Args:
        pin: of the authority that it believes besides those it was shipped with (`Authority.pin`).
    """
    flags = [*FLAGS, f"--ignore-certificate-errors-spki-list={pin}"] if pin else [*FLAGS]
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        try:
            yield await browser.new_page(locale="en-GB")
        finally:
            await browser.close()
