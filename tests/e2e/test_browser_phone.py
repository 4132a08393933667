"""The browser as an agent's phone: real Chromium, real Asterisk, real sound both ways, whatever the network does."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
from playwright.async_api import Dialog, Response, expect
from playwright.async_api import Error as PlaywrightError

from dialer.core.agent import AgentState
from dialer.queues.embedded import EmbeddedServer
from scripts.lab import plan
from scripts.lab.plan import Kind, Persona
from tests.certificates import Authority
from tests.e2e.browser_desk import MARKS, Desk, browser_page, desk
from tests.e2e.floor import until
from tests.lab import AsteriskLab
from tests.turn import turn_server

pytestmark = MARKS

#: Keeps the connections of a page for `sound_goes_by`.
REMEMBER = """
const Real = RTCPeerConnection;
window.connections = [];
window.RTCPeerConnection = class extends Real {
  constructor(...given) {
    super(...given);
    window.connections.push(this);
  }
};
"""
#: The kinds of our end of the ways that the sound takes.
SOUND_GOES_BY = """async () => {
  const found = [];
  for (const connection of window.connections.filter((one) => one.connectionState === "connected")) {
    const stats = await connection.getStats();
    for (const report of stats.values()) {
      if (report.type === "transport") {
        found.push(stats.get(stats.get(report.selectedCandidatePairId).localCandidateId).candidateType);
      }
    }
  }
  return found;
}"""


@asynccontextmanager
async def stranger(folder: Path) -> AsyncIterator[str]:
    """A web server whose certificate is vouched for by somebody whom nobody knows; its address."""
    certificate = Authority(folder, "Stranger").vouch("dialer.example")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.chain, certificate.key)

    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0, ssl=context)
    async with server:
        yield f"https://dialer.example:{server.sockets[0].getsockname()[1]}/"


async def sound_both_ways(site: Desk, phone: str) -> bool:
    """Whether the customer and an agent's phone have one leg each, and packets have gone in and out of both."""
    legs = [await site.legs(end) for end in ("carrier", phone)]
    return all(len(found) == 1 and min(found[0]) > 20 for found in legs)


async def test_an_agent_talks_in_the_browser(
    tmp_path: Path, own_valkey: EmbeddedServer, asterisk_lab: AsteriskLab, serials: Iterator[int]
) -> None:
    """As in production: page and WebSocket over TLS, with certificates that the browser looks at."""
    authority = Authority(tmp_path)
    certificate = authority.vouch("dialer.example", "pbx.example")
    async with (
        desk(tmp_path, own_valkey, asterisk_lab, "ana", certificate=certificate) as site,
        browser_page(pin=authority.pin) as page,
        stranger(tmp_path) as elsewhere,
    ):
        with pytest.raises(PlaywrightError, match="ERR_CERT_AUTHORITY_INVALID"):
            await page.goto(elsewhere)
        # The browser goes on to its own page that says so: it would interrupt what comes next.
        await page.wait_for_url("chrome-error://**", timeout=60_000)
        await site.open(page)
        assert page.url.startswith("https://dialer.example:")
        await site.work(page)
        password = await site.password()

        # a customer comes into the headset, and hears it
        talks = plan.callee(plan.number(Kind.AUDIO, next(serials), persona=Persona.HELLO, talk_s=60.0))
        await site.push(talks)
        await until(lambda: site.state == AgentState.TALKING, "a talk")
        await site.flows(page)
        await until(partial(sound_both_ways, site, "web-ana"), "sound both ways, on one leg each")

        # the network goes; the talk does not
        site.relay.cut()
        await site.phone(page, "lost")
        assert site.state == AgentState.TALKING
        site.relay.mend()
        await site.phone(page, "connected")
        await site.flows(page)
        assert site.state == AgentState.TALKING

        # the page is loaded anew, after a question: the talk goes on, in one leg
        asked: list[str] = []

        async def agree(dialog: Dialog) -> None:
            asked.append(dialog.type)
            await dialog.accept()

        page.on("dialog", agree)
        call = site.call
        await page.reload()
        await site.phone(page, "connected")
        await site.flows(page)
        assert asked == ["beforeunload"]
        assert (site.state, site.call) == (AgentState.TALKING, call)
        await until(partial(site.has_legs, "web-ana", 1), "one leg of the agent's")
        await until(partial(site.has_legs, "carrier", 1), "the customer")

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


async def test_all_sound_goes_through_the_relay(
    tmp_path: Path, own_valkey: EmbeddedServer, asterisk_lab: AsteriskLab, serials: Iterator[int]
) -> None:
    """An agent whose network lets nothing out but TLS to the TURN server."""
    authority = Authority(tmp_path)
    async with turn_server(tmp_path / "turn", authority.vouch("turn.example")) as turn:
        webrtc = {
            "turn": (f"turns:turn.example:{turn.tls_port}?transport=tcp",),
            "turn_secret": turn.secret,
            "relay_only": True,
        }
        async with (
            desk(tmp_path, own_valkey, asterisk_lab, "leo", webrtc=webrtc) as site,
            browser_page(pin=authority.pin) as page,
        ):
            answers: list[Response] = []
            page.on("response", lambda answer: answers.append(answer) if answer.url.endswith("/desk/phone") else None)
            await page.add_init_script(REMEMBER)
            await site.open(page)
            await site.work(page)
            talks = plan.callee(plan.number(Kind.AUDIO, next(serials), persona=Persona.HELLO, talk_s=60.0))
            await site.push(talks)
            await until(lambda: site.state == AgentState.TALKING, "a talk")
            await site.flows(page)
            await until(partial(sound_both_ways, site, "web-leo"), "sound both ways, on one leg each")
            assert await page.evaluate(SOUND_GOES_BY) == ["relay"]

            # the page has a password for the relay that ends with the phone's, and not what it was made from
            told = [await answer.text() for answer in answers]
            assert not [text for text in told if turn.secret in text]
            given = json.loads(told[-1])
            until_at, _, phone = given["ice"][0]["username"].partition(":")
            assert phone == "web-leo"
            assert 0 < int(until_at) - site.node.clock.now() <= given["lasts_s"] + 1

            await page.get_by_role("button", name="Hang up").click()
            await until(lambda: site.state == AgentState.IDLE, "idle again")
            await site.phone(page, "connected")
            assert site.complaints == []
