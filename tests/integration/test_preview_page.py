"""The contact before the call on the agent's page, in a real browser: shown, skipped with a reason, called, refused.

Runs where Chromium is installed (Debian: the package chromium).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import aiohttp
import pytest
from playwright.async_api import async_playwright, expect

from dialer.api.call_request_ports import AskedCall
from dialer.api.callback_ports import Appointment, CallbackQuery
from dialer.api.key_ports import Role
from dialer.core.agent import AgentState
from dialer.core.ids import AgentId, CallId, CampaignId, ContactId, Phone
from dialer.core.notices import AgentChanged, ContactWasOffered, OfferClosed
from dialer.core.offer import Offer, OfferEnd
from dialer.core.promise import Promise
from dialer.testing import FakeNode
from tests.integration.test_console import Visitor, csrf_of, serving

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

#: The machine may have better things to do.
expect.set_options(timeout=60_000)

ANA, WINTER = AgentId("ana"), CampaignId("winter")
HOSTILE = "<script>alert(1)</script>"
WIDE = "x" * 2_000


@dataclass
class Decisions:
    """Takes what agents decide; calls whom it may."""

    taken: list[tuple[str, str, bool, str]] = field(default_factory=list)
    refuses: str = ""

    async def answer(self, agent: AgentId, contact: ContactId, *, consent: bool, reason: str, by: str) -> AskedCall:
        self.taken.append((agent, contact, consent, reason))
        if self.refuses:
            return AskedCall(contact=contact, reason=self.refuses)
        return AskedCall(contact=contact, call=CallId("k-1") if consent else None)


def appointment(contact: str, at: float, name: str, zones: tuple[str, ...] = ()) -> Appointment:
    promise = Promise(
        campaign=WINTER, contact=ContactId(contact), at=at, agent=ANA, fallback_at=at + 900, until_at=at + 3_600
    )
    return Appointment(
        promise=promise, agreed=True, made_at=at - 500, name=name, phone=Phone("+34600111222"), zones=zones
    )


class Desk:
    """A node with an agent who is being shown contacts, and has callbacks."""

    def __init__(self) -> None:
        self.decisions = Decisions()
        self.callbacks: list[Appointment] = []
        self.asked: list[CallbackQuery] = []

    async def page(
        self, query: CallbackQuery, after: tuple[float, str, str] | None, limit: int
    ) -> Sequence[Appointment]:
        assert after is None
        self.asked.append(query)
        return self.callbacks[:limit]

    def prepare(self, node: FakeNode) -> None:
        node.ports = replace(node.ports, previews=self.decisions, callbacks=self)
        node.keys.issue("ana-key", Role.AGENT, agent=ANA)

    def show(self, visitor: Visitor, contact: str, name: str, fields: Mapping[str, object]) -> None:
        now = visitor.node.clock.now()
        offer = Offer(
            campaign=WINTER,
            contact=ContactId(contact),
            phone=Phone("+34600111222"),
            attempt_number=2,
            kept_until=now + 45,
            name=name,
            fields=fields,
        )
        live = visitor.node.control.live()
        live.apply(
            AgentChanged(
                at=now,
                agent=ANA,
                state=AgentState.RESERVED,
                previous=AgentState.IDLE,
                previous_s=1.0,
                campaigns=(WINTER,),
            )
        )
        live.apply(
            ContactWasOffered(
                at=now, agent=ANA, offer=offer, answer_by_at=now + 30, url=f"https://crm.example/{contact}"
            )
        )

    def close(self, visitor: Visitor, contact: str) -> None:
        visitor.node.control.live().apply(
            OfferClosed(
                at=visitor.node.clock.now(),
                agent=ANA,
                campaign=WINTER,
                contact=ContactId(contact),
                phone=Phone("+34600111222"),
                end=OfferEnd.SKIPPED,
            )
        )


async def test_only_the_agent_who_is_shown_somebody_sees_and_decides(tmp_path: Path) -> None:
    desk = Desk()
    async with serving(tmp_path, desk.prepare) as visitor:
        visitor.node.keys.issue("bea-key", Role.AGENT, agent=AgentId("bea"))
        desk.show(visitor, "crm-17", "Eva", {"debt": 100, "other": "+34600999888"})
        await visitor.sign_in("ana-key")
        page = await visitor.page("/console/desk")
        assert "crm-17" in page
        assert "+34600111222" not in page, "numbers are masked unless the settings say otherwise"
        assert "+34600999888" not in page
        csrf = csrf_of(page)

        async def decide(token: str, **form: str) -> int:
            headers = {"X-CSRF-Token": token}
            async with visitor.http.post(f"{visitor.url}/console/desk/preview", data=form, headers=headers) as answer:
                return answer.status

        assert await decide("wrong", answer="call", contact="crm-17") == 403
        assert await decide(csrf, answer="perhaps", contact="crm-17") == 422
        assert await decide(csrf, answer="call", contact="") == 422
        assert desk.decisions.taken == []
        assert await decide(csrf, answer="skip", contact="crm-17", reason="r" * 500) == 204
        assert desk.decisions.taken == [("ana", "crm-17", False, "r" * 200)]

        jar = aiohttp.CookieJar(unsafe=True)
        async with aiohttp.ClientSession(cookie_jar=jar, headers={"Accept-Language": "en"}) as http:
            other = Visitor(visitor.node, visitor.console, http, visitor.url)
            await other.sign_in("bea-key")
            assert "crm-17" not in await other.page("/console/desk")


async def test_an_agents_callbacks_stand_on_their_page_with_what_is_soon_and_overdue(tmp_path: Path) -> None:
    desk = Desk()
    async with serving(tmp_path, desk.prepare) as visitor:
        now = visitor.node.clock.now()
        desk.callbacks = [
            appointment("crm-1", now - 300, "Eva & <b>Co</b>"),
            appointment("crm-2", now + 240, "Bea", zones=("Asia/Tokyo",)),
            appointment("crm-3", now + 7_200, ""),
        ]
        await visitor.sign_in("ana-key")
        assert 'hx-get="/console/desk/callbacks"' in await visitor.page("/console/desk")
        part = await visitor.page("/console/desk/callbacks")
        lines = [entry for entry in part.splitlines() if entry.startswith("<li")]
        assert ["Eva &amp; &lt;b&gt;Co&lt;/b&gt;" in lines[0], "overdue" in lines[0]] == [True, True]
        assert ["in 4 min" in lines[1], "where they are" in lines[1]] == [True, True]
        assert ["crm-3" in lines[2], "overdue" in lines[2], " min" in lines[2]] == [True, False, False]
        assert {query.agent for query in desk.asked} == {"ana"}
        desk.callbacks = []
        assert "No callback until tomorrow" in await visitor.page("/console/desk/callbacks")
        await visitor.sign_in("boss")
        await visitor.page("/console/desk/callbacks", 403)


@pytest.mark.skipif(
    CHROMIUM is None and not os.environ.get("CADENCIA_REQUIRE_BROWSER"),
    reason="needs Chromium (Debian: the package chromium)",
)
async def test_an_agent_looks_and_decides(tmp_path: Path) -> None:
    desk = Desk()
    pictures = os.environ.get("CADENCIA_PICTURES")
    async with serving(tmp_path, desk.prepare) as visitor, async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = await browser.new_page(locale="en-GB", viewport={"width": 1280, "height": 800})
        page.set_default_timeout(60_000)
        complaints: list[str] = []
        page.on("pageerror", lambda error: complaints.append(str(error)))
        await page.goto(f"{visitor.url}/console/desk")
        await page.get_by_label("Your key").fill("ana-key")
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.locator("#desk-now")).to_be_visible()
        await expect(page.locator("form.preview")).to_have_count(0)

        # It comes by itself; what the CRM sent is text.
        desk.show(visitor, "crm-1", HOSTILE, {"note": HOSTILE, "arabic": "مرحبا بالعالم", "wide": WIDE, WIDE: 1})
        offer = page.locator("form.preview")
        await expect(offer).to_contain_text(HOSTILE)
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        if pictures:
            await page.screenshot(path=f"{pictures}/preview-hostile.png", full_page=True)

        # A reason ended with Enter is no consent; the button says skip.
        await offer.get_by_label("Reason for skipping").fill("called yesterday")
        await page.keyboard.press("Enter")
        await offer.get_by_role("button", name="Skip").click()
        await expect(offer.get_by_label("Reason for skipping")).to_have_value("")
        assert desk.decisions.taken == [("ana", "crm-1", False, "called yesterday")]
        desk.close(visitor, "crm-1")
        await expect(offer).to_have_count(0)

        desk.show(visitor, "crm-2", "Eva Martín", {"debt": 120, "city": "Sevilla"})
        await expect(offer).to_contain_text("Eva Martín")
        if pictures:
            await page.screenshot(path=f"{pictures}/preview.png", full_page=True)
            await page.locator("#theme").click()
            await page.set_viewport_size({"width": 800, "height": 1000})
            await page.screenshot(path=f"{pictures}/preview-dark-tablet.png", full_page=True)
        desk.decisions.refuses = "removed"
        await offer.get_by_role("button", name="Call now").focus()
        await page.keyboard.press("Enter")
        await expect(page.locator("#desk-told")).to_contain_text("withdrawn this contact")
        assert desk.decisions.taken[-1] == ("ana", "crm-2", True, "")
        desk.decisions.refuses = ""
        await offer.get_by_role("button", name="Call now").click()
        await expect(page.locator("#desk-told")).to_be_hidden()
        if pictures:
            await page.goto(f"{visitor.url}/console/language/es")
            await page.goto(f"{visitor.url}/console/desk")
            await page.screenshot(path=f"{pictures}/preview-es.png", full_page=True)
        assert complaints == []
        await browser.close()
