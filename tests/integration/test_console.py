"""The console on the real server with a real HTTP client: who gets in, what they see, and what they can do."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from html import escape
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest
from typer.testing import CliRunner, Result

from dialer.api.app import create_app
from dialer.api.campaign_ports import StoredCampaign
from dialer.api.key_ports import Role
from dialer.api.server import ApiServer
from dialer.cli.application import app
from dialer.console import routes
from dialer.console.series import EVERY_S
from dialer.console.sessions import COOKIE, Sessions
from dialer.console.site import Console
from dialer.core.agent import AgentState
from dialer.core.campaign import Campaign, CampaignState
from dialer.core.events import CampaignConfigured, CampaignOrdered
from dialer.core.ids import AgentId, CampaignId
from dialer.core.notices import AgentChanged
from dialer.errors import DialerError
from dialer.settings import Settings
from dialer.testing import FakeNode
from tests.patience import PATIENCE_S

SECRET = b"s" * 32
VENDORED = Path(routes.__file__).parent / "static" / "vendor"


class Visitor:
    """A browser without a screen."""

    def __init__(self, node: FakeNode, console: Console, http: aiohttp.ClientSession, url: str) -> None:
        self.node = node
        self.console = console
        self.http = http
        self.url = url

    async def page(self, path: str, status: int = 200, **options: object) -> str:
        async with self.http.get(self.url + path, allow_redirects=False, **options) as answer:  # type: ignore[arg-type]
            text = await answer.text()
            assert answer.status == status, text
            return text

    async def sign_in(self, key: str = "boss") -> aiohttp.ClientResponse:
        async with self.http.post(f"{self.url}/console/login", data={"key": key}, allow_redirects=False) as answer:
            await answer.read()
            return answer

    async def order(self, campaign: str, verb: str, csrf: str) -> tuple[int, str]:
        path = f"{self.url}/console/campaigns/{campaign}/{verb}"
        async with self.http.post(path, headers={"X-CSRF-Token": csrf}) as answer:
            return answer.status, await answer.text()

    def sample(self, *, times: int) -> None:
        """What the console does by itself every ten seconds."""
        for _ in range(times):
            self.node.clock.advance(EVERY_S)
            self.console.series.add(self.node.control.live().snapshot(self.node.clock.now()))

    def agent_is(self, agent: str, state: AgentState) -> None:
        """An agent has come, or is in another state."""
        changed = AgentChanged(
            at=self.node.clock.now(),
            agent=AgentId(agent),
            state=state,
            previous=AgentState.CONNECTING,
            previous_s=0.0,
            campaigns=(CampaignId("winter"),),
        )
        self.node.control.live().apply(changed)

    async def add_campaign(self, name: str, state: CampaignState = CampaignState.DRAFT) -> None:
        campaign = Campaign(id=CampaignId(name))
        now = self.node.clock.now()
        self.node.campaigns.rows[campaign.id] = StoredCampaign(campaign=campaign, state=state, updated_at=now)
        await self.node.control.submit(CampaignConfigured(at=now, campaign=campaign, state=state))
        self.node.control.live().configure(campaign, state)


def csrf_of(page: str) -> str:
    found = re.search(r'<meta name="csrf" content="([0-9a-f]{64})">', page)
    assert found is not None
    return found[1]


@asynccontextmanager
async def serving(folder: Path, prepare: Callable[[FakeNode], None] = lambda node: None) -> AsyncIterator[Visitor]:
    node = FakeNode(folder)
    prepare(node)
    for name, role in (("boss", Role.MANAGER), ("eyes", Role.SUPERVISOR), ("sync", Role.CRM), ("eva", Role.AGENT)):
        node.keys.issue(name, role)
    console = Console(node.ports, SECRET)
    server = ApiServer(create_app(node.ports, Settings(), [routes.router(console)]), "127.0.0.1", 0)
    url = server.bind()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(server.run())
        await server.wait_started()
        try:
            jar = aiohttp.CookieJar(unsafe=True)
            async with aiohttp.ClientSession(cookie_jar=jar, headers={"Accept-Language": "en"}) as http:
                yield Visitor(node, console, http, url)
        finally:
            server.stop()


@pytest.fixture
async def visitor(tmp_path: Path) -> AsyncIterator[Visitor]:
    async with serving(tmp_path) as found:
        yield found


# ---- who gets in


async def test_without_a_session_every_page_leads_to_the_form_and_back(visitor: Visitor) -> None:
    await visitor.add_campaign("winter")
    for path in ("/console/", "/console/agents?name=%C3%B1&status=idle", "/console/campaigns/winter"):
        visitor.http.cookie_jar.clear()
        async with visitor.http.get(f"{visitor.url}{path}", allow_redirects=False) as answer:
            assert answer.status == 303
            where = answer.headers["location"]
        kept = parse_qs(urlsplit(where).query).get("then", [""])[0]
        assert (urlsplit(where).path, kept) == ("/console/login", path.removesuffix("/console/"))
        assert f'name="then" value="{escape(kept)}"' in await visitor.page(where)
        form = {"key": "wrong", "then": kept}
        async with visitor.http.post(f"{visitor.url}/console/login", data=form) as answer:
            assert f'name="then" value="{escape(kept)}"' in await answer.text(), "kept while somebody mistypes"
        async with visitor.http.post(
            f"{visitor.url}/console/login", data=form | {"key": "boss"}, allow_redirects=False
        ) as answer:
            assert (answer.status, answer.headers["location"]) == (303, path)


@pytest.mark.parametrize(
    "then",
    [
        "https://elsewhere.example/",
        "//elsewhere.example/console/",
        "/console\\elsewhere",
        "/api/v1/agents",
        "/console/login?then=/console/login",
        "/console/a\r\nset-cookie: x=y",
        "/console/desk",  # of another role
        "/console/" + "x" * 2_000,
    ],
)
async def test_nobody_is_led_away_by_an_address(visitor: Visitor, then: str) -> None:
    await visitor.page("/console/login", params={"then": then})
    async with visitor.http.post(
        f"{visitor.url}/console/login", data={"key": "boss", "then": then}, allow_redirects=False
    ) as answer:
        assert (answer.status, answer.headers["location"]) == (303, "/console/")
    async with visitor.http.get(
        f"{visitor.url}/console/language/es", params={"then": then}, allow_redirects=False
    ) as answer:
        assert answer.headers["location"] in {"/console/", "/console/desk"}


@pytest.mark.parametrize("path", ["/console/stream/wallboard", "/console/series", "/console/series/winter"])
async def test_without_a_session_a_script_is_told_so(visitor: Visitor, path: str) -> None:
    await visitor.page(path, 401)
    await visitor.page("/console/agents", 401, headers={"sec-fetch-mode": "cors"})
    await visitor.page("/console/agents", 401, headers={"hx-request": "true", "accept": "text/html"})


async def test_a_form_sent_without_tls_leads_to_the_door_as_well(visitor: Visitor) -> None:
    """Browsers leave `Sec-Fetch-Mode` out where there is no TLS."""
    async with visitor.http.post(
        f"{visitor.url}/console/history", headers={"accept": "text/html,*/*;q=0.8"}, data={}, allow_redirects=False
    ) as answer:
        assert (answer.status, answer.headers["location"]) == (303, "/console/login")


async def test_what_cannot_be_read_is_told_on_a_page(visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    await visitor.sign_in()
    assert "cannot be read" in await visitor.page(f"/console/reports?since={'x' * 300}", 400)
    assert "cannot be read" in await visitor.page("/console/system/audit?before=soon", 400)
    monkeypatch.setattr(visitor.node.campaigns, "page", None)
    assert "own; its log has the details" in await visitor.page("/console/campaigns", 500)


async def test_a_supervisors_key_opens_the_wallboard(visitor: Visitor) -> None:
    answer = await visitor.sign_in("eyes")
    assert answer.status == 303
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "eyes" not in cookie
    assert "There is no campaign yet" in await visitor.page("/console/")


@pytest.mark.parametrize(
    ("key", "status", "says"),
    [("nonsense", 401, "not valid"), ("sync", 403, "for supervisors"), ("", 401, "")],
)
async def test_other_keys_open_nothing(visitor: Visitor, key: str, status: int, says: str) -> None:
    async with visitor.http.post(f"{visitor.url}/console/login", data={"key": key}) as answer:
        assert answer.status == status
        assert says in await answer.text()
        assert COOKIE not in answer.cookies
    await visitor.page("/console/", 303)


async def test_whoever_guesses_must_wait(visitor: Visitor) -> None:
    for _ in range(20):
        assert (await visitor.sign_in("wrong")).status == 401
    assert (await visitor.sign_in("wrong")).status == 429


async def test_a_key_that_ends_ends_its_sessions(visitor: Visitor) -> None:
    await visitor.sign_in()
    await visitor.page("/console/")
    visitor.node.keys.keys.clear()
    visitor.node.clock.advance(6.0)  # a found key is trusted for five seconds
    await visitor.page("/console/", 303)


async def test_a_forged_or_cut_cookie_is_no_session(visitor: Visitor) -> None:
    digest = hashlib.sha256(b"boss").hexdigest()
    forged = Sessions(b"x" * 32).begin("boss")
    for cookie in (forged, digest, "", "a.b.c", "x" * 5_000, Sessions(SECRET).begin("boss")[:-3]):
        await visitor.page("/console/", 303, headers={"Cookie": f"{COOKIE}={cookie}"})


async def test_signing_out_needs_our_own_page(visitor: Visitor) -> None:
    await visitor.sign_in()
    token = csrf_of(await visitor.page("/console/"))
    for sent, status in (("nonsense", 403), (token, 303)):
        async with visitor.http.post(
            f"{visitor.url}/console/logout", data={"csrf": sent}, allow_redirects=False
        ) as answer:
            assert answer.status == status
    await visitor.page("/console/", 303)


# ---- what they see


async def test_no_page_runs_or_loads_what_is_not_ours(visitor: Visitor) -> None:
    await visitor.sign_in()
    await visitor.add_campaign("winter")
    for path in ("/console/", "/console/agents", "/console/campaigns/winter", "/console/login"):
        async with visitor.http.get(visitor.url + path) as answer:
            page = await answer.text()
            policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert not re.search(r"<script(?![^>]*\bsrc=)|\bon\w+=|style=|https?://", page)
        for address in re.findall(r'(?:src|href)="(/console/static/[^"]+)"', page):
            async with visitor.http.get(visitor.url + address) as file:
                assert file.status == 200
                assert "immutable" in file.headers["cache-control"]


@pytest.mark.parametrize("signed_in", [False, True])
@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/console/nonsense", 404),
        ("GET", "/console/campaigns/winter/no/such/part", 404),
        ("GET", "/console/%3Cscript%3Ealert(1)%3C/script%3E", 404),
        ("GET", "/console/logout", 405),
        ("GET", "/console/campaigns/winter/start", 405),
        ("POST", "/console/nonsense", 404),
        ("DELETE", "/console/agents", 405),
    ],
)
async def test_where_no_page_is_one_of_ours_says_so(
    visitor: Visitor, method: str, path: str, status: int, signed_in: bool
) -> None:
    await visitor.add_campaign("winter")
    if signed_in:
        await visitor.sign_in()
    for language, says in (("en", "This did not work"), ("es", "No se ha podido")):
        headers = {"Accept-Language": language, "Accept": "text/html"}
        async with visitor.http.request(method, visitor.url + path, headers=headers) as answer:
            html = await answer.text()
            assert (answer.status, answer.headers["content-type"]) == (status, "text/html; charset=utf-8")
            assert answer.headers.items() >= set(routes.HEADERS.items())
        assert says in html
        assert "<script>" not in html
        assert "winter" not in html


@pytest.mark.parametrize("path", ["/api/v1/nonsense", "/api/v1/campaigns/winter/start", "/consoles", "/nonsense"])
async def test_programs_are_told_as_json_that_there_is_nothing(visitor: Visitor, path: str) -> None:
    async with visitor.http.get(visitor.url + path, headers={"Accept": "text/html"}) as answer:
        assert answer.status in {404, 405}
        assert (await answer.json())["error"] in {"not_found", "method_not_allowed"}


async def test_a_page_that_says_no_is_guarded_as_every_other(visitor: Visitor) -> None:
    """Errors do not come through the routes, which have the headers."""
    async with visitor.http.get(f"{visitor.url}/console/agents", allow_redirects=False) as answer:
        assert (answer.status, answer.headers["cache-control"]) == (303, "no-store")
    await visitor.sign_in()
    for path, status in (("campaigns/none", 404), ("system/audit?before=soon", 400), ("system/audit?since=x", 422)):
        async with visitor.http.get(f"{visitor.url}/console/{path}") as answer:
            assert answer.status == status
            assert answer.headers.items() >= set(routes.HEADERS.items())


async def test_files_have_addresses_of_their_content_alone(visitor: Visitor) -> None:
    for path in ("x/console.css", "0/../pages.py", "0/vendor/SHA256SUMS"):
        await visitor.page(f"/console/static/{path}", 404)


async def test_both_languages_show_the_wallboard(visitor: Visitor) -> None:
    await visitor.sign_in()
    await visitor.add_campaign("winter")
    assert '<html lang="en">' in await visitor.page("/console/")
    assert "borrador" in await visitor.page("/console/", headers={"Accept-Language": "es-MX,es;q=0.9,en;q=0.8"})
    await visitor.page("/console/language/es", 303)
    assert '<html lang="es">' in await visitor.page("/console/")
    await visitor.page("/console/language/xx", 404)


async def test_what_comes_from_outside_is_text(visitor: Visitor) -> None:
    await visitor.sign_in()
    await visitor.add_campaign("winter")
    hostile = "<script>alert(1)</script>"
    page = await visitor.page("/console/campaigns/winter", params={"contact": hostile})
    assert "&lt;script&gt;alert(1)" in page
    assert hostile not in page
    assert hostile not in await visitor.page(f"/console/campaigns/{hostile.replace('/', '')}", 404)


async def test_what_is_wrong_stands_on_every_live_page_with_its_beginning_and_a_way_there(visitor: Visitor) -> None:
    await visitor.sign_in("eyes")
    await visitor.add_campaign("winter", CampaignState.RUNNING)
    began = visitor.node.clock.now()
    for path in ("", "agents", "campaigns/winter"):
        page = await visitor.page(f"/console/{path}")
        found = re.search(r'<a href="([^"]+)">winter: its list is empty</a>.*?data-at="([0-9.]+)"', page)
        assert found is not None
        assert found[1] == "/console/campaigns/winter"
        assert 0.0 <= float(found[2]) - began < 5.0


async def test_the_course_of_all_campaigns_is_asked_for_by_its_span(visitor: Visitor) -> None:
    await visitor.sign_in("eyes")
    empty = json.loads(await visitor.page("/console/series", params={"span": "day"}))
    assert empty == json.loads(await visitor.page("/console/series/winter"))
    assert empty["at"] == []
    await visitor.page("/console/series", 422, params={"span": "year"})


async def test_live_parts_come_when_something_changes(visitor: Visitor) -> None:
    await visitor.sign_in()
    await visitor.add_campaign("winter")
    async with visitor.http.get(f"{visitor.url}/console/stream/wallboard") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        assert "winter" in await _event(stream)
        await visitor.add_campaign("autumn")
        visitor.node.clock.advance(1.5)
        assert "autumn" in await _event(stream)
    await visitor.page("/console/stream/nonsense", 404)
    await visitor.page("/console/stream/campaign?campaign=nonsense", 404)


async def _event(stream: aiohttp.ClientResponse) -> str:
    lines = []
    async with asyncio.timeout(PATIENCE_S):
        while True:
            line = (await stream.content.readline()).decode()
            if line.startswith("data: "):
                lines.append(line.removeprefix("data: "))
            elif line == "\n" and lines:
                return "".join(lines)


# ---- what they can do


async def test_orders_are_given_from_our_own_page_alone(visitor: Visitor) -> None:
    await visitor.sign_in("eyes")
    await visitor.add_campaign("winter")
    token = csrf_of(await visitor.page("/console/"))
    assert (await visitor.order("winter", "start", "nonsense"))[0] == 403
    assert (await visitor.order("winter", "start", ""))[0] == 403
    assert (await visitor.order("winter", "start", token))[0] == 204
    given = [event for event in visitor.node.control.events if isinstance(event, CampaignOrdered)]
    assert [(event.campaign, event.state) for event in given] == [("winter", CampaignState.RUNNING)]
    status, says = await visitor.order("winter", "explode", token)
    assert status == 404
    status, says = await visitor.order("summer", "start", token)
    assert (status, "no campaign" in says) == (404, True)


async def test_an_order_that_is_not_possible_says_what_is(visitor: Visitor) -> None:
    await visitor.sign_in()
    await visitor.add_campaign("winter")
    token = csrf_of(await visitor.page("/console/"))
    status, says = await visitor.order("winter", "pause", token)
    assert status == 409
    assert "it can become running, stopped" in says


async def test_the_wallboard_in_a_terminal(visitor: Visitor) -> None:
    await visitor.add_campaign("winter")

    async def look(key: str, *words: str) -> Result:
        arguments = ["live", *words, "--api-url", visitor.url, "--api-key", key]
        return await asyncio.to_thread(lambda: CliRunner().invoke(app, arguments))

    seen = await look("eyes")
    assert seen.exit_code == 0
    assert "winter  draft" in seen.output
    assert json.loads((await look("eyes", "--json")).output)["campaigns"][0]["id"] == "winter"
    assert isinstance((await look("eva")).exception, DialerError)


def test_vendored_files_are_those_that_were_checked() -> None:
    sums = dict(line.split()[::-1] for line in (VENDORED / "SHA256SUMS").read_text().splitlines())
    files = {path.name for path in VENDORED.iterdir() if path.suffix in {".js", ".css"}}
    assert sums.keys() == files
    for name, digest in sums.items():
        assert hashlib.sha256((VENDORED / name).read_bytes()).hexdigest() == digest
