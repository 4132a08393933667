"""The agent's page on the real server: agents act for themselves alone, see their own calls alone, and once is once."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from dialer.api.app import create_app
from dialer.api.call_request_ports import AskedCall
from dialer.api.campaign_ports import StoredCampaign
from dialer.api.desk_ports import Account, CallingTimes, NotThen, Seat
from dialer.api.key_ports import Role
from dialer.api.server import ApiServer
from dialer.console import routes
from dialer.console.site import Console
from dialer.core.agent import AgentState
from dialer.core.campaign import Campaign, CampaignState
from dialer.core.contact import Contact
from dialer.core.events import (
    AgentHungUp,
    AgentPauseAsked,
    AgentReadied,
    AgentSignedIn,
    AgentSignedOut,
    CallDisposed,
    OptOutTold,
)
from dialer.core.ids import AgentId, CallId, CampaignId, ContactId, Phone, ServerName
from dialer.core.notices import AgentChanged, CallConnected, CallStarted
from dialer.settings import Desk, Settings
from dialer.testing import FakeNode
from tests.patience import PATIENCE_S

pytestmark = pytest.mark.asyncio(loop_scope="module")

HOSTILE = "<script>alert(1)</script>"
NUMBER = Phone("+34600111222")


class Asks:
    """Keeps wishes for calls; `answer` is what becomes of them."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, str | None, str | None]] = []
        self.asked_by: set[str] = set()
        self.answer = AskedCall(contact=ContactId("crm-1"), call=CallId("n-1"))

    async def call(
        self, agent: AgentId, campaign: CampaignId, contact: ContactId | None, phone: str | None, *, by: str
    ) -> AskedCall | None:
        self.asked.append((agent, campaign, contact, phone))
        self.asked_by.add(by)
        return self.answer


@dataclass
class Browser:
    """One agent's session, without a screen."""

    http: aiohttp.ClientSession
    url: str
    csrf: str = ""

    async def get(self, path: str, status: int = 200) -> str:
        async with self.http.get(f"{self.url}/console/{path}", allow_redirects=False) as answer:
            text = await answer.text()
            assert answer.status == status, text
            return text

    async def post(self, path: str, status: int = 204, csrf: str | None = None, /, **fields: str) -> str:
        headers = {"X-CSRF-Token": self.csrf if csrf is None else csrf}
        async with self.http.post(f"{self.url}/console/{path}", data=fields or "", headers=headers | FORM) as answer:
            text = await answer.text()
            assert answer.status == status, text
            return text


FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class Site:
    """A node of fakes with two agents, Ana with the call c-ana, Bea with c-bea."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.node = FakeNode(folder)
        self.asks = Asks()
        self.ports = replace(self.node.ports, call_requests=self.asks)
        self.settings = settings
        self.url = ""
        self.begin()

    def begin(self) -> None:
        """As it is at the beginning of each test."""
        node = self.node
        node.control.events.clear()
        node.campaigns.rows.clear()
        node.purges.do_not_calls.clear()
        self.asks.asked.clear()
        node.desks.seats.clear()
        node.desks.accounts.clear()
        node.desks.people.clear()
        node.desks.against = None
        node.clock.advance(60.0)  # no key is trusted from before
        for key, role, agent in (
            ("ana", Role.AGENT, AgentId("ana")),
            ("bea", Role.AGENT, AgentId("bea")),
            ("eyes", Role.SUPERVISOR, None),
            ("boss", Role.MANAGER, None),
            ("nobody", Role.AGENT, None),
        ):
            self.node.keys.issue(key, role, agent=agent)
        self.campaign(Campaign(id=CampaignId("winter"), name="Winter", screen_pop="https://crm.example/{id}"))
        for name in ("ana", "bea"):
            self.talk(name)

    def campaign(self, campaign: Campaign, state: CampaignState = CampaignState.RUNNING) -> None:
        self.node.campaigns.rows[campaign.id] = StoredCampaign(campaign=campaign, state=state, updated_at=0.0)
        self.node.control.view.configure(campaign, state)

    def move(self, agent: str, state: AgentState, call: str | None = None) -> None:
        now = self.node.clock.now()
        changed = AgentChanged(
            at=now,
            agent=AgentId(agent),
            state=state,
            previous=AgentState.IDLE,
            previous_s=1.0,
            campaigns=(CampaignId("winter"),),
            call=None if call is None else CallId(call),
        )
        self.node.control.view.apply(changed)
        self.node.desks.seats[AgentId(agent)] = Seat(extension="100")

    def talk(self, agent: str) -> None:
        now, call = self.node.clock.now(), CallId(f"c-{agent}")
        who: dict[str, Any] = {"campaign": CampaignId("winter"), "contact": ContactId(f"crm-{agent}"), "phone": NUMBER}
        started = CallStarted(at=now, call=call, server=ServerName("pbx"), trunk=None, attempt_number=1, **who)
        self.node.control.view.apply(started)
        connected = CallConnected(at=now, call=call, agent=AgentId(agent), wait_s=0.1, screen_pop="", **who)
        self.node.control.view.apply(connected)
        self.move(agent, AgentState.TALKING, call)

    def events(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.node.control.events if isinstance(event, kind)]

    @asynccontextmanager
    async def browser(self, key: str = "ana") -> AsyncIterator[Browser]:
        jar = aiohttp.CookieJar(unsafe=True)
        async with aiohttp.ClientSession(cookie_jar=jar, headers={"Accept-Language": "en"}) as http:
            browser = Browser(http, self.url)
            async with http.post(f"{self.url}/console/login", data={"key": key}, allow_redirects=False) as answer:
                home = answer.headers.get("location", "")
            if home == "/console/desk":
                found = re.search(r'<meta name="csrf" content="([0-9a-f]{64})">', await browser.get("desk"))
                assert found is not None
                browser.csrf = found[1]
            yield browser


@asynccontextmanager
async def serving(folder: Path, settings: Settings | None = None) -> AsyncIterator[Site]:
    site = Site(folder, settings or Settings())
    console = Console(site.ports, b"s" * 32)
    server = ApiServer(create_app(site.ports, site.settings, [routes.router(console)]), "127.0.0.1", 0)
    site.url = server.bind()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(server.run())
        await server.wait_started()
        try:
            yield site
        finally:
            server.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    async with serving(tmp_path_factory.mktemp("desk")) as found:
        yield found


@pytest.fixture
def site(served: Site) -> Site:
    served.begin()
    return served


READS = ("desk", "desk/day", "desk/calls/c-ana")
WRITES = (
    "desk/sign-in",
    "desk/ready",
    "desk/pause",
    "desk/hang-up",
    "desk/sign-out",
    "desk/dial",
    "desk/calls/c-ana/close",
    "desk/calls/c-ana/do-not-call",
    "desk/calls/c-ana/recording",
)


# ---- who


async def test_the_page_is_for_agents_alone(site: Site) -> None:
    for key in ("eyes", "boss"):
        async with site.browser(key) as browser:
            for path in READS:
                assert "for agents" in await browser.get(path, 403)
            await browser.get("stream/desk", 403)
            for path in WRITES:
                await browser.post(path, 403)
    async with site.browser("nobody") as browser:
        await browser.get("desk", 303)
    async with aiohttp.ClientSession() as http:
        stranger = Browser(http, site.url)
        for path in READS:
            await stranger.get(path, 303)
        await stranger.get("stream/desk", 401)
        for path in WRITES:
            await stranger.post(path, 401)
    assert site.node.control.events == []


async def test_agents_begin_at_their_desk_and_see_no_other_page(site: Site) -> None:
    async with site.browser() as browser:
        async with browser.http.get(f"{site.url}/console/", allow_redirects=False) as answer:
            assert (answer.status, answer.headers["location"]) == (303, "/console/desk")
        for path in ("agents", "campaigns/winter", "stream/wallboard", "series/winter"):
            await browser.get(path, 403)


async def test_every_order_comes_from_our_own_page(site: Site) -> None:
    async with site.browser() as browser:
        for path in WRITES:
            assert "out of date" in await browser.post(path, 403, "")
            await browser.post(path, 403, "0" * 64)
    assert site.node.control.events == []
    assert site.asks.asked == []


async def test_another_agents_call_is_out_of_reach(site: Site) -> None:
    async with site.browser("bea") as browser:
        await browser.get("desk/calls/c-ana", 403)
        await browser.post("desk/calls/c-ana/close", 403, code="SALE", key="k1")
        await browser.post("desk/calls/c-ana/do-not-call", 403)
        await browser.post("desk/calls/c-ana/recording", 503, order="start")  # nothing is recorded at this node
        await browser.post("desk/dial", 403, call="c-ana", place="0")
        await browser.get("desk/calls/c-none", 404)
        assert "crm-ana" not in await browser.get("desk")
    assert site.node.control.events == []
    assert site.node.purges.do_not_calls == []


async def test_nothing_of_another_agent_is_in_the_stream(site: Site) -> None:
    async with site.browser() as browser, browser.http.get(f"{site.url}/console/stream/desk") as stream:
        assert "c-ana" in await _event(stream)
        site.node.clock.advance(1.0)
        site.move("bea", AgentState.WRAPUP, "c-bea")  # what happens to others changes nothing here
        site.move("ana", AgentState.WRAPUP, "c-ana")
        heard = await _event(stream)
        assert "Wrap-up" in heard
        assert "bea" not in heard
        site.node.keys.keys.clear()
        site.node.clock.advance(61.0)
        await asyncio.wait_for(stream.content.read(), PATIENCE_S)  # it ends, and a session that has ended gets no other
        await browser.get("stream/desk", 401)


async def _event(stream: aiohttp.ClientResponse) -> str:
    lines: list[str] = []
    async with asyncio.timeout(PATIENCE_S):
        while True:
            line = (await stream.content.readline()).decode()
            if line.startswith("data: "):
                lines.append(line.removeprefix("data: "))
            elif line == "\n" and lines:
                return "".join(lines)


# ---- orders


async def test_signing_in_with_a_phone(site: Site) -> None:
    site.campaign(Campaign(id=CampaignId("french"), skills=frozenset({"french"})))
    site.campaign(Campaign(id=CampaignId("over")), CampaignState.STOPPED)
    site.move("ana", AgentState.SIGNED_OUT)
    site.node.desks.accounts[AgentId("ana")] = Account(phone="201", skills=frozenset({"german"}), priority=7)
    async with site.browser() as browser:
        page = await browser.get("desk")
        assert 'value="201"' in page
        assert 'value="winter"' in page
        assert 'value="french"' not in page
        assert 'value="over"' not in page
        for fields in ({"phone": "201"}, {"phone": "201", "campaign": "french"}, {"phone": "201", "campaign": "x"}):
            assert "at least one campaign" in await browser.post("desk/sign-in", 422, **fields)
        for phone in ("", "2 0 1", "100@evil", "1&Local/x", "x" * 65, HOSTILE):
            assert "cannot be called" in await browser.post("desk/sign-in", 422, phone=phone, campaign="winter")
        given = {"phone": "201", "campaign": "winter", "ready": "on"}
        assert "end of your shift" in await browser.post("desk/sign-in", 422, **given, shift_ends="soon")
        await browser.post("desk/sign-in", **given, shift_ends="12:30", agent="bea", priority="9")
    (event,) = site.events(AgentSignedIn)
    assert event.shift_ends_at == 1_800_016_200.0  # the node's clock shows 08:00 UTC
    assert (event.agent, event.phone, event.campaigns, event.ready) == ("ana", "201", ("winter",), True)
    assert (event.skills, event.priority) == ({"german"}, 7)


async def test_orders_are_for_the_agent_of_the_session(site: Site) -> None:
    async with site.browser() as browser:
        await browser.post("desk/hang-up", agent="bea")
        assert "no such pause" in await browser.post("desk/pause", 422, code="holiday")
        await browser.post("desk/pause", code="lunch")
        site.move("ana", AgentState.WRAPUP, "c-ana")
        assert "Lunch" in await browser.get("desk")
        await browser.post("desk/ready")
        assert "no call" in await browser.post("desk/hang-up", 409)
        await browser.post("desk/sign-out")
        await browser.post("desk/explode", 404)
    for kind in (AgentHungUp, AgentPauseAsked, AgentReadied, AgentSignedOut):
        assert [event.agent for event in site.events(kind)] == ["ana"]


# ---- the person


async def test_a_person_is_text_and_their_numbers_are_masked(site: Site) -> None:
    person = Contact(
        campaign=CampaignId("winter"),
        id=ContactId("crm-ana"),
        phones=(NUMBER, Phone("+34600333444")),
        name=HOSTILE,
        fields={
            "note": HOSTILE,
            "other": "ring +34600555666",
            "nested": {"a": [1, None]},
            "empty": None,
            "x" * 300: "y",
        },
    )
    site.node.desks.people[person.campaign, person.id] = person
    site.campaign(
        replace(
            Campaign(id=CampaignId("winter")),
            script="Dear **{name}** at {phone}",
            screen_pop="https://crm.example/{id}",
        )
    )
    async with site.browser() as browser:
        page = await browser.get("desk/calls/c-ana")
        assert HOSTILE not in page
        assert page.count("&lt;script&gt;") == 3
        assert "https://crm.example/crm-ana" in page
        for number in (NUMBER, "+34600333444", "+34600555666"):
            assert number not in page
        assert "+34…22" in page
        assert not re.search(r"<script|\bon\w+=|style=", page)


async def test_whole_numbers_and_frames_as_the_settings_say(tmp_path: Path) -> None:
    settings = Settings(desk=Desk(show_numbers=True, frames=("https://crm.example",)))
    async with serving(tmp_path, settings) as site, site.browser() as browser:
        page = await browser.get("desk/calls/c-ana")
        assert NUMBER in page
        assert 'data-framed="yes"' in page
        async with browser.http.get(f"{site.url}/console/desk") as answer:
            assert answer.headers["content-security-policy"].endswith("; frame-src https://crm.example")
        site.campaign(Campaign(id=CampaignId("winter"), screen_pop="https://crm.example.evil.net/{id}"))
        assert 'data-framed=""' in await browser.get("desk/calls/c-ana")


async def test_a_number_that_may_not_be_seen_can_be_called(site: Site) -> None:
    person = Contact(campaign=CampaignId("winter"), id=ContactId("crm-ana"), phones=(NUMBER, Phone("+34600333444")))
    site.node.desks.people[person.campaign, person.id] = person
    async with site.browser() as browser:
        await browser.post("desk/dial", call="c-ana", place="1", agent="bea")
        for place in ("7", "-1", "²", "9" * 5_000):
            await browser.post("desk/dial", call="c-ana", place=place)
        await browser.post("desk/dial", campaign="winter", phone="600 111 222")
        site.asks.answer = AskedCall(contact=ContactId("crm-ana"), reason="do_not_call")
        assert "do-not-call list" in await browser.post("desk/dial", 409, campaign="winter", contact="crm-ana")
        assert "give the contact" in await browser.post("desk/dial", 422, campaign="winter")
        await browser.post("desk/dial", 404, campaign="none", phone="1")
    assert {agent for agent, *_ in site.asks.asked} == {"ana"}
    assert site.asks.asked_by == {"agent:ana"}, "for the evidence"
    assert site.asks.asked[0] == ("ana", "winter", "crm-ana", "+34600333444")
    assert {phone for *_, phone in site.asks.asked[1:5]} == {NUMBER}


# ---- closing


async def test_a_form_that_is_sent_twice_is_carried_out_once(site: Site) -> None:
    fields = {"code": "sale", "notes": "pays", "amount": "12.50", "key": "k-1"}
    async with site.browser() as browser:
        for _ in range(3):
            await browser.post("desk/calls/c-ana/close", **fields)
        (event,) = site.events(CallDisposed)
        assert (event.call, event.agent, event.code, event.amount, event.ref) == (
            "c-ana",
            "ana",
            "sale",
            "12.50",
            "k-1",
        )
        assert "something else" in await browser.post("desk/calls/c-ana/close", 409, **fields | {"notes": "pays not"})
        await browser.post("desk/calls/c-ana/close", **fields | {"key": "k-2"})
        assert len(site.events(CallDisposed)) == 2
    async with site.browser() as again:  # a new session of the same agent, as after a cookie has run out
        await again.post("desk/calls/c-ana/close", **fields)
    assert len(site.events(CallDisposed)) == 2


async def test_a_form_that_cannot_be_used_is_refused_and_can_be_sent_again(site: Site) -> None:
    fields = {"code": "SALE", "key": "k-once"}
    async with site.browser() as browser:
        for wrong in ({"code": ""}, {"code": "x" * 65}, {"code": "a\x00b"}, {"notes": "x" * 10_001}, {"key": ""},
                      {"key": "x" * 129}):  # fmt: skip
            await browser.post("desk/calls/c-ana/close", 422, **fields | wrong)
        assert site.events(CallDisposed) == []
        await browser.post("desk/calls/c-ana/close", **fields)
    assert len(site.events(CallDisposed)) == 1


async def test_a_callback_is_by_the_persons_clock_and_within_the_law(site: Site) -> None:
    person = Contact(campaign=CampaignId("winter"), id=ContactId("crm-ana"), phones=(NUMBER,))
    site.node.desks.people[person.campaign, person.id] = person
    now = site.node.clock.now()
    site.node.desks.times = CallingTimes(zone="America/Mexico_City", spans=((now, now + 3_600),))
    fields = {"code": "CALLBACK", "key": "k-callback", "day": "2027-01-20", "hour": "16:30", "mine": "on"}
    async with site.browser() as browser:
        assert "America/Mexico_City" in await browser.get("desk/calls/c-ana")
        for day, hour in (("", ""), ("2027-01-20", ""), ("2020-01-01", "10:00"), ("x", "y")):
            told = await browser.post("desk/calls/c-ana/close", 422, **fields | {"day": day, "hour": hour})
            assert "still to come" in told
        site.node.desks.against = NotThen(says="Sunday in Mexico", next_at=None)
        assert "Sunday in Mexico" in await browser.post("desk/calls/c-ana/close", 422, **fields)
        site.node.desks.against = None
        await browser.post("desk/calls/c-ana/close", **fields)
    (event,) = site.events(CallDisposed)
    assert event.callback.at == 1_800_484_200.0  # 2027-01-20 16:30 at UTC-6
    assert event.callback.agent == "ana"


async def test_an_objection_holds_at_once_and_can_be_repeated(site: Site) -> None:
    async with site.browser() as browser:
        for _ in range(2):
            await browser.post("desk/calls/c-ana/do-not-call")
    assert {entry["phone"] for entry in site.node.purges.do_not_calls} == {NUMBER}
    assert len({entry["id"] for entry in site.node.purges.do_not_calls}) == 1
    assert {event.by for event in site.events(OptOutTold)} == {"ana"}
