"""The phone on the agent's page: whose it is, what it is given, how it behaves in a real browser without Asterisk."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web
from playwright.async_api import Browser as Chromium
from playwright.async_api import Page, async_playwright, expect

from dialer.api.desk_ports import Seat
from dialer.core.agent import AgentState
from dialer.core.events import AgentPageCame, AgentPageLeft, AgentSignedIn
from dialer.core.ids import AgentId, CampaignId, ServerName
from dialer.core.notices import AgentChanged
from dialer.settings import Asterisk, Settings, Webrtc
from tests.accessibility import out_of_reach, too_wide, violations, watch
from tests.e2e.floor import until
from tests.integration.test_desk import Site, serving

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ANA, PBX = AgentId("ana"), ServerName("pbx")
PATIENCE_MS = 60_000
expect.set_options(timeout=PATIENCE_MS)

needs_browser = pytest.mark.skipif(
    CHROMIUM is None and not os.environ.get("CADENCIA_REQUIRE_BROWSER"),
    reason="needs Chromium (Debian: the package chromium)",
)
pytestmark = pytest.mark.asyncio(loop_scope="module")


#: What Asterisk offers, as far as a browser looks at it; nothing is ever sent there.
OFFER = "\r\n".join(
    (
        *("v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "t=0 0"),
        *("m=audio 9 UDP/TLS/RTP/SAVPF 0", "c=IN IP4 127.0.0.1", "a=rtpmap:0 PCMU/8000", "a=sendrecv", "a=rtcp-mux"),
        *("a=ice-ufrag:abcd", "a=ice-pwd:abcdefghijklmnopqrstuvwx", "a=setup:actpass"),
        "a=fingerprint:sha-256 " + ":".join(["AB"] * 32),
        "",
    )
)
#: Has a page keep its connections where a test finds them.
KEEP_CONNECTIONS = """
window.connections = [];
window.RTCPeerConnection = class extends RTCPeerConnection {
  constructor(...given) {
    super(...given);
    window.connections.push(this);
  }
};
"""


class Registrar:
    """What a browser's phone registers with: SIP over WebSocket, as far as REGISTER, OPTIONS and a call to it."""

    def __init__(self) -> None:
        self.url = ""
        #: Authorization header of each REGISTER.
        self.registered: list[str] = []
        #: Status that the next REGISTERs are answered with.
        self.refusals: list[int] = []
        #: Methods of what was asked while it said nothing; None: it answers.
        self.unanswered: list[str] | None = None
        self.sockets: set[web.WebSocketResponse] = set()
        #: Calls to it that it has taken.
        self.taken = 0
        #: Questions of ours that it has answered.
        self.pongs = 0

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(protocols=("sip",))
        await socket.prepare(request)
        self.sockets.add(socket)
        try:
            async for message in socket:
                if message.type is aiohttp.WSMsgType.TEXT:
                    await self._answer(socket, message.data)
        finally:
            self.sockets.discard(socket)
        return socket

    async def call(self) -> None:
        """Call the one browser that is there."""
        (socket,) = self.sockets
        headers = (
            *("Via: SIP/2.0/WS pbx.invalid;branch=z9hG4bKcall", "From: <sip:s@pbx.invalid>;tag=f", "Call-ID: call-1"),
            *("To: <sip:web-ana@pbx.invalid>", "CSeq: 1 INVITE", "Contact: <sip:s@pbx.invalid>", "Max-Forwards: 70"),
            *("Content-Type: application/sdp", f"Content-Length: {len(OFFER)}", "", OFFER),
        )
        await socket.send_str("\r\n".join(("INVITE sip:web-ana@pbx.invalid SIP/2.0", *headers)))

    async def heard(self) -> None:
        """Wait until the one browser has heard all that was said to it, and the answers to what it said meanwhile."""
        (socket,) = self.sockets
        for _ in range(2):
            before = self.pongs
            asked = before + 1
            headers = (
                *(f"Via: SIP/2.0/WS pbx.invalid;branch=z9hG4bKp{asked}", "From: <sip:s@pbx.invalid>;tag=p"),
                *(f"Call-ID: ping-{asked}", "To: <sip:web-ana@pbx.invalid>", f"CSeq: {asked} OPTIONS"),
                *("Max-Forwards: 70", "Content-Length: 0", "", ""),
            )
            await socket.send_str("\r\n".join(("OPTIONS sip:web-ana@pbx.invalid SIP/2.0", *headers)))
            await until(partial(self._pongs_after, before), "an answer to OPTIONS")

    def _pongs_after(self, before: int) -> bool:
        return self.pongs > before

    async def _answered(self, socket: web.WebSocketResponse, status: str, headers: dict[str, str]) -> None:
        if headers["CSeq"].endswith("OPTIONS"):
            self.pongs += 1
            return
        if headers["CSeq"] != "1 INVITE" or not status.startswith("SIP/2.0 200"):
            return
        copied = [f"{name}: {headers[name]}" for name in ("Via", "From", "To", "Call-ID")]
        more = ["CSeq: 1 ACK", "Max-Forwards: 70", "Content-Length: 0", "", ""]
        await socket.send_str("\r\n".join(["ACK sip:web-ana@pbx.invalid SIP/2.0", *copied, *more]))
        self.taken += 1

    async def _answer(self, socket: web.WebSocketResponse, text: str) -> None:
        first, *lines = text.partition("\r\n\r\n")[0].split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        if first.startswith("SIP/2.0"):
            await self._answered(socket, first, headers)
            return
        if self.unanswered is not None:
            self.unanswered.append(first.partition(" ")[0])
            return
        status = "200 OK"
        more: list[str] = []
        if first.startswith("REGISTER"):
            if "Authorization" not in headers:
                status, more = (
                    "401 Unauthorized",
                    ['WWW-Authenticate: Digest realm="cadencia", nonce="n", algorithm=MD5'],
                )
            elif self.refusals:
                status = f"{self.refusals.pop(0)} Refused"
            else:
                more = [f"Contact: {headers['Contact']};expires=60"]
            self.registered.append(headers.get("Authorization", ""))
        copied = [f"{name}: {headers[name]}" for name in ("Via", "From", "Call-ID", "CSeq")]
        answer = [f"SIP/2.0 {status}", *copied, f"To: {headers['To']};tag=t", *more, "Content-Length: 0", "", ""]
        await socket.send_str("\r\n".join(answer))


@asynccontextmanager
async def registrar() -> AsyncIterator[Registrar]:
    made = Registrar()
    app = web.Application()
    app.router.add_get("/ws", made.serve)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        made.url = f"ws://127.0.0.1:{runner.addresses[0][1]}/ws"
        yield made
    finally:
        await runner.cleanup()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def door() -> AsyncIterator[Registrar]:
    async with registrar() as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(tmp_path_factory: pytest.TempPathFactory, door: Registrar) -> AsyncIterator[Site]:
    settings = Settings(asterisk=(Asterisk(name=PBX, webrtc=Webrtc(url=door.url)),))
    async with serving(tmp_path_factory.mktemp("phone"), settings) as found:
        yield found


@pytest.fixture
def site(served: Site, door: Registrar) -> Site:
    served.begin()
    door.registered.clear()
    door.refusals.clear()
    door.unanswered, door.taken = None, 0
    phones = served.node.phones
    phones.urls, phones.problem = {PBX: door.url}, ""
    phones.asked.clear()
    move(served, AgentState.SIGNED_OUT)
    return served


def move(site: Site, state: AgentState, extension: str = "web-ana") -> None:
    """Let Ana be in a state, at the server with browsers' phones."""
    changed = AgentChanged(
        at=site.node.clock.now(),
        agent=ANA,
        state=state,
        previous=AgentState.IDLE,
        previous_s=1.0,
        campaigns=(CampaignId("winter"),),
        server=PBX,
    )
    site.node.control.view.apply(changed)
    site.node.desks.seats[ANA] = Seat(extension=extension)


# ---- whose it is


async def test_an_agent_is_given_what_their_own_browser_registers_with(site: Site, door: Registrar) -> None:
    async with site.browser() as browser:
        given = json.loads(await browser.post("desk/phone", 200))
        assert given["lasts_s"] == pytest.approx(600.0)
        del given["lasts_s"]
        assert given == {
            "server": "pbx",
            "url": door.url,
            "phone": "web-ana",
            "realm": "cadencia",
            "password": "password-1",
            "ice": [{"urls": ["turn:turn.example"], "username": "u", "credential": "credential-1"}],
            "relay_only": False,
        }
        wishes = {"anew": "on", "agent": "bea", "phone": "web-bea", "server": "other", "campaign": "winter"}
        await browser.post("desk/phone", 200, **wishes)
        assert site.node.phones.asked == [(ANA, False), (ANA, True)]
        assert list(site.node.phones.wished) == ["winter"]
        assert "password-" not in await browser.get("desk")


async def test_nobody_else_is_given_anything(site: Site) -> None:
    async with site.browser() as browser:
        for csrf in ("", "0" * 64):
            await browser.post("desk/phone", 403, csrf)
            await browser.post("desk/phone/again", 403, csrf)
            await browser.post("desk/phone/left", 403, csrf)
        await browser.get("desk/phone", 405)
    for key in ("eyes", "boss"):
        async with site.browser(key) as browser:
            await browser.post("desk/phone", 403)
            await browser.post("desk/phone/again", 403)
            await browser.post("desk/phone/left", 403)
    assert site.node.phones.asked == []


async def test_a_node_without_such_phones_says_so(site: Site) -> None:
    site.node.phones.urls = {}
    async with site.browser() as browser:
        await browser.post("desk/phone", 404)
        assert "no phones" in await browser.post("desk/sign-in", 422, campaign="winter", browser="on", server="pbx")
        html = await browser.get("desk")
        assert "phone.js" not in html
        assert "jssip" not in html
    assert site.events(AgentSignedIn) == []


async def test_asterisks_problem_is_told(site: Site) -> None:
    site.node.phones.problem = "the server did not confirm it"
    async with site.browser() as browser:
        assert "did not confirm" in await browser.post("desk/phone", 503)


async def test_the_browser_that_signs_in_is_the_agents_own(site: Site) -> None:
    async with site.browser() as browser:
        fields = {"campaign": "winter", "browser": "on", "server": "pbx", "phone": "web-bea", "ready": "on"}
        await browser.post("desk/sign-in", **fields)
        for server in ("", "other", "pbx\n", "x" * 1_000, "<script>"):
            await browser.post("desk/sign-in", 422, **(fields | {"server": server}))
    (event,) = site.events(AgentSignedIn)
    assert (event.agent, event.phone, event.server) == (ANA, "web-ana", PBX)


async def test_a_telephone_is_as_it_was(site: Site) -> None:
    async with site.browser() as browser:
        await browser.post("desk/sign-in", campaign="winter", phone="100", browser="", server="pbx")
    (event,) = site.events(AgentSignedIn)
    assert (event.phone, event.server) == ("100", None)


# ---- what the page may do


async def test_only_the_agents_page_may_reach_asterisk_and_the_microphone(site: Site, door: Registrar) -> None:
    async with site.browser() as browser:
        async with browser.http.get(f"{site.url}/console/desk") as answer:
            policy, features = answer.headers["content-security-policy"], answer.headers["permissions-policy"]
        assert f"connect-src 'self' {door.url.removesuffix('/ws')};" in policy
        assert policy.count("connect-src") == 1
        assert "microphone=(self)" in features
        site.node.phones.urls = {}
        async with browser.http.get(f"{site.url}/console/desk") as answer:
            assert "microphone=()" in answer.headers["permissions-policy"]
    async with site.browser("boss") as boss, boss.http.get(f"{site.url}/console/") as answer:
        assert "connect-src 'self';" in answer.headers["content-security-policy"]
        assert "microphone=()" in answer.headers["permissions-policy"]


# ---- coming back


async def test_who_was_lost_comes_back_as_they_were(site: Site) -> None:
    move(site, AgentState.LOST)
    site.node.desks.seats[ANA] = replace(
        site.node.desks.seats[ANA],
        wants_ready=False,
        skills=frozenset({"german"}),
        priority=3,
        shift_ends_at=1_900_000_000.5,
    )
    async with site.browser() as browser:
        await browser.post("desk/phone/again")
    (event,) = site.events(AgentSignedIn)
    assert (event.agent, event.phone, event.server, event.campaigns) == (ANA, "web-ana", PBX, ("winter",))
    assert (event.ready, event.skills, event.priority) == (False, {"german"}, 3)
    assert event.shift_ends_at == 1_900_000_000.5


#: Those of an agent whose phone is up, as far as anybody knows.
WITH_PHONE = (AgentState.IDLE, AgentState.RESERVED, AgentState.TALKING, AgentState.WRAPUP, AgentState.PAUSED)


@pytest.mark.parametrize("state", WITH_PHONE)
async def test_a_page_that_was_loaded_anew_is_called_and_one_that_goes_says_so(site: Site, state: AgentState) -> None:
    move(site, state)
    async with site.browser() as browser:
        await browser.post("desk/phone/left")
        await browser.post("desk/phone/again")
    assert [event.agent for event in site.events(AgentPageLeft)] == [ANA]
    assert [event.agent for event in site.events(AgentPageCame)] == [ANA]
    assert site.events(AgentSignedIn) == []


@pytest.mark.parametrize(
    ("state", "extension"),
    [
        (AgentState.SIGNED_OUT, "web-ana"),
        (AgentState.CONNECTING, "web-ana"),
        *((state, other) for state in (AgentState.LOST, AgentState.TALKING) for other in ("100", "web-bea", "")),
    ],
)
async def test_only_the_browser_of_somebody_at_work_comes_back(site: Site, state: AgentState, extension: str) -> None:
    move(site, state, extension)
    async with site.browser() as browser:
        await browser.post("desk/phone/again", 409)
        await browser.post("desk/phone/left", 409)
    assert not [event for kind in (AgentSignedIn, AgentPageCame, AgentPageLeft) for event in site.events(kind)]


# ---- in a browser


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chromium() -> AsyncIterator[Chromium]:
    async with async_playwright() as playwright:
        # A microphone that beeps; whether a page may use it is each test's matter.
        flags = ["--no-sandbox", "--use-fake-device-for-media-stream"]
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def desk_page(chromium: Chromium, site: Site, *, microphone: bool, locale: str = "en-GB") -> AsyncIterator[Page]:
    context = await chromium.new_context(
        locale=locale,
        permissions=["microphone"] if microphone else [],
        color_scheme="light" if microphone else "dark",
        viewport={"width": 1280 if microphone else 820, "height": 800},
    )
    await watch(context)
    try:
        page = await context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        await page.goto(f"{site.url}/console/login")
        await page.locator("#key").fill("ana")
        await page.locator("button.main").click()
        await page.wait_for_selector("#desk-sign-in button:enabled", state="attached")
        yield page
    finally:
        await context.close()


async def phone_is(page: Page, state: str) -> None:
    await expect(page.locator("#phone")).to_have_attribute("data-state", state, timeout=PATIENCE_MS)


async def fit_for_everybody(page: Page) -> None:
    assert [*await violations(page), *await too_wide(page), *await out_of_reach(page)] == []


@needs_browser
async def test_a_refused_microphone_is_told_and_can_be_allowed(chromium: Chromium, site: Site) -> None:
    async with desk_page(chromium, site, microphone=False, locale="es-ES") as page:
        await expect(page.get_by_label("En este navegador")).to_be_checked()
        await expect(page.locator("#desk-extension")).to_be_hidden()
        await page.get_by_role("button", name="Llamar a mi teléfono").click()
        await phone_is(page, "refused")
        await expect(page.locator("#phone-state")).to_contain_text("Se ha denegado el micrófono")
        assert site.events(AgentSignedIn) == []
        await page.get_by_text("Auriculares", exact=True).click()
        await fit_for_everybody(page)
        await page.context.grant_permissions(["microphone"])
        await page.get_by_role("button", name="Reintentar").click()
        await until(lambda: site.events(AgentSignedIn), "the sign-in that was asked for")
        await phone_is(page, "ready")


@needs_browser
async def test_the_phone_registers_signs_in_and_comes_back(chromium: Chromium, site: Site, door: Registrar) -> None:
    async with desk_page(chromium, site, microphone=True) as page:
        door.refusals.append(403)  # as after a night: the password is too old, and another one is asked for
        await page.get_by_role("button", name="Call my phone").click()
        await until(lambda: site.events(AgentSignedIn), "the sign-in")
        assert site.node.phones.asked[:2] == [(ANA, False), (ANA, True)]
        assert all("password" not in header for header in door.registered)
        move(site, AgentState.IDLE)

        # the headset
        await page.get_by_text("Headset", exact=True).click()
        await expect(page.locator("#phone-microphone option").first).to_be_attached()

        async def loud() -> bool:
            return float(await page.locator("#phone-level").evaluate("(at) => at.value")) > 0.2

        await until(loud, "a level of the microphone")
        await fit_for_everybody(page)
        await page.get_by_role("button", name="Play the tone").click()

        # Asterisk is gone for a while; then the phone was lost
        before = len(door.registered)
        for socket in list(door.sockets):
            await socket.close()
        await phone_is(page, "lost")
        await until(lambda: len(door.registered) > before, "another registration")
        await phone_is(page, "ready")
        site.node.control.events.clear()
        move(site, AgentState.LOST)
        await until(lambda: site.events(AgentSignedIn), "coming back")
        move(site, AgentState.PAUSED)

        # a second tab waits for its turn
        other = await page.context.new_page()
        await other.goto(f"{site.url}/console/desk")
        await phone_is(other, "elsewhere")
        await page.close()
        await phone_is(other, "ready")

        # home
        move(site, AgentState.SIGNED_OUT)
        await expect(other.locator("#phone")).to_be_hidden()
        await until(lambda: not door.sockets, "the end of the connection")


@needs_browser
async def test_a_connection_that_says_nothing_is_given_up(chromium: Chromium, site: Site, door: Registrar) -> None:
    async with desk_page(chromium, site, microphone=True) as page:
        await page.clock.install()
        await page.reload()
        await page.wait_for_selector("#desk-sign-in button:enabled")
        await page.get_by_role("button", name="Call my phone").click()
        await until(lambda: site.events(AgentSignedIn), "the sign-in")
        move(site, AgentState.IDLE)
        door.unanswered = []
        await page.clock.fast_forward(9_000)
        await until(lambda: "OPTIONS" in (door.unanswered or ()), "a question whether anybody is there")
        await page.clock.fast_forward(9_000)
        await phone_is(page, "lost")
        door.unanswered = None
        before = len(door.registered)
        await until(lambda: len(door.registered) > before, "another registration")
        await phone_is(page, "ready")


@needs_browser
async def test_a_talk_that_lasts_has_new_names_for_turn_before_the_old_are_over(
    chromium: Chromium, site: Site, door: Registrar
) -> None:
    async with desk_page(chromium, site, microphone=True) as page:
        await page.add_init_script(KEEP_CONNECTIONS)
        await page.clock.install()
        await page.reload()
        await page.wait_for_selector("#desk-sign-in button:enabled")
        await page.get_by_role("button", name="Call my phone").click()
        await until(lambda: site.events(AgentSignedIn), "the sign-in")
        await door.call()
        await until(lambda: door.taken, "the call to be taken")
        await phone_is(page, "connected")
        await door.heard()

        async def credentials() -> list[str]:
            found: list[str] = await page.evaluate(
                "connections.map((each) => each.getConfiguration().iceServers[0].credential)"
            )
            return found

        assert (await credentials(), len(site.node.phones.asked)) == (["credential-1"], 1)

        async def pass_s(seconds: int) -> None:
            """In steps that are shorter than the phone's patience, each heard out: else it gives its line up."""
            for _ in range(0, seconds, 10):
                await page.clock.fast_forward(10_000)
                await door.heard()

        # Each holds for ten minutes.
        await pass_s(350)
        assert await credentials() == ["credential-1"]
        await pass_s(50)
        await until(lambda: len(site.node.phones.asked) == 2, "another password, well before the first is over")

        async def renewed() -> bool:
            return await credentials() == ["credential-2"]

        await until(renewed, "the talk's own connection to know the new names for TURN")
        await phone_is(page, "connected")


@needs_browser
async def test_a_server_that_lets_nobody_in_is_told(chromium: Chromium, site: Site, door: Registrar) -> None:
    async with desk_page(chromium, site, microphone=True) as page:
        await page.clock.install()
        await page.reload()
        await page.wait_for_selector("#desk-sign-in button:enabled")
        site.node.phones.problem = "the server is not connected"
        await page.get_by_role("button", name="Call my phone").click()
        await phone_is(page, "failed")
        await expect(page.locator("#phone-problem")).to_contain_text("not connected")
        site.node.phones.problem = ""
        door.refusals.extend([503, 503])
        await page.get_by_role("button", name="Try again").click()
        await phone_is(page, "failed")
        await expect(page.locator("#phone-problem")).to_contain_text("503")
        await page.clock.fast_forward(5_000)
        await phone_is(page, "ready")
        await until(lambda: site.events(AgentSignedIn), "the sign-in")
