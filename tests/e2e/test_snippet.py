"""The snippet on a page of another origin: its door is as wide as it must be, and a real browser calls through it."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from playwright.async_api import async_playwright, expect

from dialer.api import auth
from dialer.queues.embedded import EmbeddedServer
from dialer.settings import Snippet
from dialer.storage.keys import Keys
from tests.e2e.floor import CAMPAIGN, Floor, floor, person, phone, until

pytestmark = pytest.mark.slow

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

#: The machine may have better things to do.
expect.set_options(timeout=60_000)

PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>CRM</title>
<meta http-equiv="content-security-policy" content="script-src {node} 'sha256-none'; connect-src {node}">
<script src="{node}/snippet/v1/cadencia.js" data-agent="agent01" data-campaign="{campaign}"
data-token="{token}" defer></script>
</head><body><p><a id="one" href="tel:{one}">Ana &lt;b&gt;</a> <a href="tel:{two}">Bea</a>
<a href="tel:%E0%A4%A">bad</a>
<a href="https://crm.example/">no phone</a></p></body></html>"""


class Crm:
    """A CRM's web server with one page."""

    def __init__(self) -> None:
        self.page = ""
        self.origin = ""

    async def _serve(self, request: web.Request) -> web.Response:
        return web.Response(text=self.page, content_type="text/html")

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        application = web.Application()
        application.router.add_get("/", self._serve)
        runner = web.AppRunner(application)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.origin = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"  # type: ignore[union-attr]
        yield
        await runner.cleanup()


class Door:
    """Asks the node as a browser or a CRM would."""

    def __init__(self, site: Floor, session: aiohttp.ClientSession) -> None:
        self._url = site.node.api_url
        self._session = session

    async def __call__(
        self,
        method: str,
        path: str,
        key: str = "",
        *,
        origin: str = "",
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, Any, Mapping[str, str]]:
        sent = dict(headers or {})
        if key:
            sent["Authorization"] = f"Bearer {key}"
        if origin:
            sent["Origin"] = origin
        async with self._session.request(method, self._url + path, headers=sent, json=body) as answer:
            said = await answer.json() if "json" in answer.content_type else await answer.text()
            return answer.status, said, answer.headers


@asynccontextmanager
async def around(folder: Path, server: EmbeddedServer) -> AsyncIterator[tuple[Floor, Crm, Door]]:
    crm = Crm()
    async with crm.open(), aiohttp.ClientSession() as session:
        fates = {1: person(ring_s=0.6, talk_s=1.0), 2: person()}
        more = {"snippet": Snippet(origins=(crm.origin,))}
        async with floor(folder, server, fates=fates, more=more) as site:
            await site.begin(agents=1)
            yield site, crm, Door(site, session)


async def test_pages_of_the_origins_that_are_set_may_ask_for_calls_of_one_agent_and_for_nothing_else(
    tmp_path: Path, own_valkey: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auth, "_TRUST_S", 0.2)
    async with around(tmp_path, own_valkey) as (site, crm, door):
        keys = Keys(site.node.database)
        made, crm_key = await keys.create("crm", "crm", now=site.now)
        _, agent_key = await keys.create("agent", "agent01", now=site.now)
        evil, token_path = "https://evil.example", "/api/v1/agents/agent01/snippet-token"

        # Who gets a token, and for which pages.
        assert (await door("POST", token_path, crm_key, body={"origin": evil}))[0] == 409
        assert (await door("POST", token_path, crm_key, body={"origin": crm.origin + "/"}))[0] == 409
        assert (await door("POST", token_path, body={"origin": crm.origin}))[0] == 401
        other = await door("POST", "/api/v1/agents/agent02/snippet-token", agent_key, body={"origin": crm.origin})
        assert other[0] == 403
        status, said, _ = await door("POST", token_path, crm_key, body={"origin": crm.origin})
        assert status == 201
        assert 590 < said["expires_in_s"] <= 600
        token = said["token"]
        assert crm_key not in token

        # What browsers ask beforehand.
        asks = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
        status, _, told = await door("OPTIONS", "/api/v1/calls", origin=crm.origin, headers=asks)
        assert (status, told["Access-Control-Allow-Origin"]) == (204, crm.origin)
        assert (told["Access-Control-Allow-Methods"], told["Vary"]) == ("POST", "Origin")
        assert "Access-Control-Allow-Credentials" not in told
        for method, path, origin in (
            ("POST", "/api/v1/calls", evil),
            ("POST", "/api/v1/calls", crm.origin.replace("127.0.0.1", "127.0.0.1.evil.example")),
            ("POST", "/api/v1/calls", "null"),
            ("DELETE", "/api/v1/calls", crm.origin),
            ("POST", "/api/v1/agents/agent01/sign-out", crm.origin),
            ("GET", "/api/v1/agents", crm.origin),
        ):
            asked = {"Access-Control-Request-Method": method}
            _, _, told = await door("OPTIONS", path, origin=origin, headers=asked)
            assert "Access-Control-Allow-Origin" not in told, (method, path, origin)

        # A token is for its origin, its agent and these calls; a key is for no page.
        wish = {"agent": "agent01", "campaign": CAMPAIGN, "phone": phone(2)}
        for key, origin, path, body in (
            (token, "", "/api/v1/calls", wish),
            (token, evil, "/api/v1/calls", wish),
            (token[:-2], crm.origin, "/api/v1/calls", wish),
            (token, crm.origin, "/api/v1/agents/agent01/sign-out", None),
            (crm_key, crm.origin, "/api/v1/calls", wish),
            ("", crm.origin, "/api/v1/calls", wish),
        ):
            status, said, _ = await door("POST", path, key, origin=origin, body=body)
            assert status == 401, (key[:10], origin, path, said)
        status, said, told = await door(
            "POST", "/api/v1/calls", token, origin=crm.origin, body={**wish, "agent": "bea"}
        )
        assert (status, told["Access-Control-Allow-Origin"]) == (403, crm.origin)
        assert not await site.results("call.started")
        status, said, told = await door("POST", "/api/v1/calls", token, origin=crm.origin, body={**wish, "phone": "x"})
        assert (status, told["Access-Control-Allow-Origin"]) == (422, crm.origin)

        status, said, _ = await door("POST", "/api/v1/snippet/token", token, origin=crm.origin)
        assert status == 201
        assert (await door("POST", "/api/v1/snippet/token", agent_key))[0] == 403
        status, said, _ = await door("GET", "/api/v1/snippet/calls/none", token, origin=crm.origin)
        assert status == 404

        # It ends with the key that asked for it.
        await keys.revoke(made.id, site.now)

        async def ended() -> bool:
            return (await door("GET", "/api/v1/snippet/calls/none", token, origin=crm.origin))[0] == 401

        await until(ended, "the token ends with its key")

        status, script, told = await door("GET", "/snippet/cadencia.js")
        assert (status, told["Content-Type"].partition(";")[0]) == (200, "text/javascript")
        assert told["Cross-Origin-Resource-Policy"] == "cross-origin"
        assert (await door("GET", "/snippet/v1/cadencia.js", headers={"If-None-Match": told["ETag"]}))[0] == 304
        assert "window.cadencia" in script


@pytest.mark.skipif(
    CHROMIUM is None and not os.environ.get("CADENCIA_REQUIRE_BROWSER"),
    reason="needs Chromium (Debian: the package chromium)",
)
async def test_a_browser_calls_from_a_page_of_another_origin(tmp_path: Path, own_valkey: EmbeddedServer) -> None:
    async with around(tmp_path, own_valkey) as (site, crm, door), async_playwright() as playwright:
        _, key = await Keys(site.node.database).create("crm", "crm", now=site.now)
        said = (await door("POST", "/api/v1/agents/agent01/snippet-token", key, body={"origin": crm.origin}))[1]
        crm.page = PAGE.format(
            node=site.node.api_url, campaign=CAMPAIGN, token=said["token"], one=f"{phone(1)};ext=5", two=phone(2)
        )
        roster = site.node.dispatcher.engine.floor.roster
        await until(lambda: len(roster.idle()) == 1, "the agent")
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = await browser.new_page()
        complaints: list[str] = []
        page.on("pageerror", lambda error: complaints.append(str(error)))
        await page.add_init_script(
            "window.told = []; addEventListener('cadencia:call', (event) => window.told.push(event.detail.state))"
        )
        await page.goto(crm.origin)
        buttons = page.locator("button.cadencia-call")
        await expect(buttons).to_have_count(2)
        await expect(page.locator("#one")).to_be_hidden()
        await page.evaluate(
            "document.body.insertAdjacentHTML('beforeend', '<p><a href=\"tel:+34600000003\">Eva</a></p>')"
        )
        await expect(buttons).to_have_count(3)

        # By the keyboard; each state is told as it comes.
        await buttons.first.focus()
        await page.keyboard.press("Enter")
        states = page.locator(".cadencia-state")
        await expect(states.first).to_have_text("Talking")
        await expect(states.first).to_have_text("Call over")
        told = await page.evaluate("window.told")
        assert (told[0], told[-1]) == ("asking", "ended")
        assert {"ringing", "connected"} & set(told)
        started = await site.wait("call.started")
        assert started["phone"] == phone(1)

        # What must not be called is refused in the agent's words.
        await site.write("dnc", {"id": "d1", "op": "add", "phone": phone(2), "scope": "*"})
        await site.wait("dnc.applied")
        await until(lambda: len(roster.idle()) == 1, "the agent again")
        await buttons.nth(1).click()
        await expect(states.nth(1)).to_contain_text("do-not-call list")
        assert len(await site.results("call.started")) == 1
        assert complaints == []
        await browser.close()
