"""Two tenants on one node, each with the same kinds of things: neither learns or changes anything of the other's.

Every route of the application is asked with every role of the one tenant for what the other has. A route that tenants
may use needs a row in the tables below; one that has none is closed to them, which is tested too.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest
import pytest_asyncio
from litestar.routes import HTTPRoute

from dialer.api.app import create_app
from dialer.api.key_ports import Role
from dialer.api.tenancy import OPEN
from dialer.console import routes as console_routes
from dialer.console.routes import router
from dialer.console.site import Console
from dialer.core.ids import AgentId, CallId, CampaignId, ContactId, RecordingId, ServerName
from dialer.core.kept_recording import Keeping, StoredRecording
from dialer.core.saying import Saying
from dialer.core.tenants import named, tenant_of
from dialer.queues.embedded import EmbeddedServer
from dialer.settings import Api, Settings
from dialer.storage.keys import Keys
from dialer.storage.lists import ListCounts, Lists, ListState, RejectedRow
from dialer.storage.recordings import Recordings
from dialer.storage.tenants import Tenants
from dialer.storage.webhooks import Delivery, DeliveryState, Webhooks
from dialer.testing import FakeNode
from tests.accounts import BETTER, GOOD, desk
from tests.e2e.floor import Floor, floor, person, phone, until

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

HERS, MINE = "acme", "beta"
API_ROLES: Final = ("manager", "supervisor", "crm", "agent", "metrics")
#: What a supervisor finds in the console a manager finds too.
PAGE_ROLES: Final = ("manager", "agent")
#: Stands in everything of hers that has a text, and in nothing that is asked for.
SECRET: Final = "Magpie"
#: What goes in place of a path's parameters that are no names of hers.
PARTS: Final = {
    "verb": "pause",
    "order": "ready",
    "name": "agents",
    "form": "csv",
    "answer": "x" * 16,
    "kind": "webhooks",
}
WINDOW_S: Final = 0.3
WAITING: Final = "GET /api/v1/deliveries/webhooks?status=waiting&limit=500"


class Site:
    """The node, keys of both tenants and of the installation, and what the first tenant has."""

    def __init__(self, site: Floor, http: aiohttp.ClientSession) -> None:
        self.floor = site
        self.node = site.node
        self.http = http
        self.keys: dict[tuple[str, str], str] = {}
        #: Ids of hers, by the parameter of a path that they fit.
        self.hers: dict[str, str] = {}
        self.before: dict[str, Any] = {}
        self.pages: dict[str, aiohttp.ClientSession] = {}
        self.csrf: dict[str, str] = {}

    async def ask(self, whose: str, role: str, route: str, **more: Any) -> tuple[int, str]:
        """Status and body; of a stream what comes at once."""
        method, _, path = route.partition(" ")
        headers = more.pop("headers", {}) | {"authorization": f"Bearer {self.keys[whose, role]}"}
        return await self.answer(self.http, method, path, headers=headers, **more)

    async def answer(self, http: aiohttp.ClientSession, method: str, path: str, **more: Any) -> tuple[int, str]:
        async with http.request(method, self.node.api_url + path, allow_redirects=False, **more) as found:
            if found.content_type != "text/event-stream":
                return found.status, (await found.read()).decode("utf-8", "replace")
            heard = b""
            try:
                async with asyncio.timeout(WINDOW_S):
                    async for chunk in found.content.iter_any():
                        heard += chunk
            except TimeoutError:
                pass
            return found.status, heard.decode()

    async def json(self, whose: str, role: str, route: str, status: int, body: object = None) -> Any:
        found, text = await self.ask(whose, role, route, json=body)
        assert found == status, (route, found, text)
        return json.loads(text) if text else None

    def path(self, template: str) -> str:
        """A path of hers."""
        return re.sub(r"\{(\w+)\}", lambda found: (self.hers | PARTS).get(found[1], "1"), template)

    # ---- both tenants get the same

    async def furnish(self, tenant: str, first: int) -> dict[str, str]:
        """A campaign with contacts, lists, a talk under way, a call that ended, and whatever else there is."""
        secret = f"{SECRET}-{tenant}" if tenant == HERS else "Wren"
        campaign, agent = named(tenant, "winter"), named(tenant, "eva")
        for role in API_ROLES:
            name = agent if role == "agent" else f"{role} {secret}"
            _, self.keys[tenant, role] = await Keys(self.node.database).create(
                role, name, now=self.floor.now, tenant=tenant
            )
        url = f"/api/v1/campaigns/{campaign}"
        settings = {"method": "progressive", "screen_pop": f"https://crm.example/{secret}", "wrapup_limit_s": 600.0}
        await self.json(tenant, "manager", "POST /api/v1/campaigns", 201, {"id": campaign, **settings})
        await self.json(tenant, "manager", f"POST {url}/start", 202)
        body = {"phone": f"agent0{first}", "campaigns": [campaign]}
        await self.json(tenant, "agent", f"POST /api/v1/agents/{agent}/sign-in", 202, body)
        ended = await self.talk(tenant, campaign, first, secret)
        await self.json(tenant, "agent", f"POST /api/v1/agents/{agent}/hangup", 202)
        await self.floor.wait("call.ended", call=ended)
        closing = {"call": ended, "code": "INFORMED", "notes": f"{secret} note"}
        await self.json(tenant, "agent", "POST /api/v1/dispositions", 202, closing)
        live = await self.talk(tenant, campaign, first + 1, secret)
        loaded, lists = f"loaded-{first}", Lists(self.node.database)
        await lists.start(loaded, CampaignId(campaign), name=secret, source="upload", now=self.floor.now)
        bad = RejectedRow(row=2, code="invalid_phone", message=f"{secret} is no number", raw=f"{secret} row")
        await lists.progress(loaded, ListCounts(read=1, rejected=1, reasons={"invalid_phone": 1}), [bad])
        await lists.finish(loaded, ListState.LOADED, ListCounts(read=1, rejected=1), now=self.floor.now)
        entry = {"phone": phone(first + 90), "scope": "*", "reason": f"{secret} reason"}
        await self.json(tenant, "crm", "POST /api/v1/dnc", 201, {"entries": [entry]})
        back = {"campaign": campaign, "contact": "crm-back", "phone": phone(first + 50), "at": "2090-01-01T10:00:00Z"}
        await self.json(tenant, "crm", "POST /api/v1/callbacks", 202, back)
        await self.json(tenant, "manager", f"POST /api/v1/agents/{agent}/messages", 201, {"text": f"{secret} hello"})
        recording = RecordingId(f"{ended}-r1")
        row = StoredRecording(
            id=recording,
            call=CallId(ended),
            campaign=CampaignId(campaign),
            contact=ContactId(f"crm-{first}"),
            agent=AgentId(agent),
            server=ServerName("pbx"),
            node="n1",
            by=secret,
            state=Keeping.DELETED,
            started_at=self.floor.now,
        )
        await Recordings(self.node.database).note(row, self.floor.now)
        people = desk(self.node.database, self.node.clock)
        user = await people.create(named(tenant, "otto"), Role.SUPERVISOR, "", GOOD, tenant=tenant)
        key = await self.json(tenant, "manager", "POST /api/v1/keys", 201, {"role": "crm", "name": secret})
        hook = {"url": f"https://{secret}.example/hook"}
        webhook = await self.json(tenant, "manager", "POST /api/v1/webhooks", 201, hook)
        given_up = Delivery(
            id=f"given-up-{tenant}",
            url=webhook["id"],
            type="call.ended",
            payload=f'{{"name": "{secret}"}}',
            next_at=self.floor.now,
            state=DeliveryState.FAILED,
            last_error=Saying(secret),
        )
        await Webhooks(self.node.database).add([given_up], self.floor.now)
        return {
            "user": user.name,
            "key": key["id"],
            "webhook": webhook["id"],
            "campaign": campaign,
            "agent": agent,
            "contact": f"crm-{first}",
            "call": live,
            "ended": ended,
            "id": loaded,
            "list": loaded,
            "recording": recording,
        }

    async def talk(self, tenant: str, campaign: str, number: int, secret: str) -> str:
        contact = {"id": f"crm-{number}", "phones": [phone(number)], "name": secret, "fields": {"note": secret}}
        await self.json(tenant, "crm", f"POST /api/v1/campaigns/{campaign}/contacts", 200, contact)
        connected = await self.floor.wait("call.connected", contact=f"crm-{number}")
        return str(connected["call"])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory, valkey_server: EmbeddedServer) -> AsyncIterator[Site]:
    fates = {number: person(talk_s=3_600.0) for number in range(1, 9)}
    more = {"api": Api(port=0, requests_per_s=5_000.0)}
    async with (
        floor(tmp_path_factory.mktemp("tenants"), valkey_server, fates=fates, more=more) as made,
        aiohttp.ClientSession(headers={"Accept-Language": "en"}) as http,
    ):
        found = Site(made, http)
        for role in API_ROLES:
            _, found.keys["", role] = await Keys(found.node.database).create(role, f"own {role}", now=made.now)
        for tenant in (HERS, MINE):
            await Tenants(found.node.database).create(tenant, made.now)
        found.hers = await found.furnish(HERS, 1)
        await found.furnish(MINE, 5)
        found.before = await as_she_has_it(found)
        yield found
        for session in found.pages.values():
            await session.close()
        # Last, since it ends the talk and stops the campaign, whichever test comes last.
        await the_very_same_requests_are_good_for_their_owner(found)


async def the_very_same_requests_are_good_for_their_owner(site: Site) -> None:
    """Else the tables would show nothing."""
    told = []
    for route, (row, _, owner) in TABLE.items():
        status, body = await site.ask(HERS, "manager", site.path(route), **filled(site, route, row))
        if status != owner:
            told.append((route, status, owner, body[:300]))
    assert not told, "\n".join(map(str, told))


# ---- the tables: what is asked for, and what others and the owner are answered (status of a manager)

_NDJSON: Final = {"content-type": "application/x-ndjson"}
Expected = tuple[object, int, int]

READS: Final[dict[str, Expected]] = {
    "GET /agents": (None, 200, 200),
    "GET /agents/{agent}": (None, 404, 200),
    "GET /agents/{agent}/messages": (None, 404, 200),
    "GET /agents/{agent}/preview": (None, 404, 200),
    "GET /callbacks": (None, 200, 200),
    "GET /calls": (None, 200, 200),
    "GET /calls/live": (None, 200, 200),
    "GET /calls/{call}": (None, 404, 200),
    "GET /calls/{call}/dispositions": (None, 404, 200),
    "GET /calls/{call}/recording": (None, 404, 200),
    "GET /campaigns": (None, 200, 200),
    "GET /campaigns/{campaign}": (None, 404, 200),
    "GET /campaigns/{campaign}/caller-ids": (None, 404, 200),
    "GET /campaigns/{campaign}/contacts/{contact}/history": (None, 404, 200),
    "GET /campaigns/{campaign}/contacts/{contact}/why": (None, 404, 200),
    "GET /campaigns/{campaign}/dispositions": (None, 404, 200),
    "GET /campaigns/{campaign}/pacing": (None, 404, 200),
    "GET /campaigns/{campaign}/penetration": (None, 404, 200),
    "GET /deliveries/{kind}": (None, 200, 200),
    "GET /events": (None, 200, 200),
    "GET /keys": (None, 200, 200),
    "GET /keys/{key}": (None, 404, 200),
    "GET /lists": (None, 200, 200),
    "GET /lists/{id}": (None, 404, 200),
    "GET /lists/{id}/penetration": (None, 404, 200),
    "GET /lists/{id}/rejected": (None, 404, 200),
    "GET /lists/{id}/report": (None, 404, 200),
    "GET /lists/{id}/report.csv": (None, 404, 200),
    "GET /live": (None, 200, 200),
    "GET /monitors": (None, 200, 200),
    "GET /recordings": (None, 200, 200),
    "GET /recordings/{recording}": (None, 404, 200),
    "GET /reports/abandonment": (None, 200, 200),
    "GET /reports/combined": (None, 200, 200),
    "GET /reports/indicators": (None, 200, 200),
    # For a token of the snippet alone.
    "GET /snippet/calls/{call}": (None, 404, 404),
    "GET /users": (None, 200, 200),
    "GET /users/{user}": (None, 404, 200),
    "GET /webhooks": (None, 200, 200),
    "GET /webhooks/{webhook}": (None, 404, 200),
    "POST /dnc/check": ({"phone": "+34600000091"}, 200, 200),
    "POST /dnc/list": ({}, 200, 200),
    "POST /history": ({"contact": "{contact}"}, 200, 200),
}
#: In an order in which the owner can ask for them one after the other.
WRITES: Final[dict[str, Expected]] = {
    "POST /users": ({"name": "acme--zoe", "role": "agent", "agent": "{agent}", "password": GOOD}, 422, 201),
    "POST /users/{user}/role": ({"role": "manager"}, 404, 200),
    "POST /users/{user}/password": ({"password": BETTER}, 404, 200),
    "POST /users/{user}/disable": (None, 404, 200),
    "POST /users/{user}/enable": (None, 404, 200),
    "DELETE /users/{user}/second-factor": (None, 404, 200),
    "POST /keys": ({"role": "agent", "name": "{agent}"}, 422, 201),
    "POST /keys/{key}/rotate": ({}, 404, 201),
    "POST /keys/{key}/revoke": (None, 404, 200),
    "POST /webhooks": ({"url": "https://crm.example/hook", "tenant": "acme"}, 422, 201),
    "PATCH /webhooks/{webhook}": ({"types": ["call.ended"]}, 404, 200),
    "POST /webhooks/{webhook}/rotate": ({}, 404, 201),
    "POST /deliveries/{kind}": ({}, 200, 200),
    "DELETE /webhooks/{webhook}": (None, 404, 204),
    "POST /campaigns": ({"id": "{campaign}"}, 422, 409),
    "PATCH /campaigns/{campaign}": ({"max_attempts": 4}, 404, 200),
    "POST /campaigns/{campaign}/contacts": ({"id": "new", "phones": ["+34600000071"]}, 404, 200),
    "POST /campaigns/{campaign}/lists": ("id,phone\nx,+34600000072\n", 404, 202),
    "POST /campaigns/{campaign}/filter-check": ({}, 404, 200),
    "POST /campaigns/{campaign}/reset": ({"outcomes": ["busy"]}, 404, 200),
    "POST /segments": ({"id": "s", "template": "{campaign}", "campaign": "acme--s", "start": False}, 422, 200),
    "PATCH /lists/{id}": ({"priority": 1}, 404, 200),
    "POST /lists/{id}/reset": ({"outcomes": ["busy"]}, 404, 200),
    "POST /lists/{id}/report": (None, 404, 202),
    "POST /removals": ({"removals": [{"campaign": "{campaign}", "contact": "gone"}]}, 422, 201),
    "POST /removals/bulk": ([{"campaign": "{campaign}", "contact": "gone"}], 200, 200),
    "POST /dnc": ({"entries": [{"phone": "+34600000073", "scope": "{campaign}"}]}, 422, 201),
    "POST /dnc/bulk": ([{"phone": "+34600000073", "scope": "{campaign}"}], 200, 200),
    "POST /callbacks": (
        {"campaign": "{campaign}", "contact": "later", "phone": "+34600000074", "at": "2090-01-01T10:00:00Z"},
        404,
        202,
    ),
    "POST /callbacks/bulk": (
        [{"campaign": "{campaign}", "contact": "later", "phone": "+34600000074", "at": "2090-01-01T10:00:00Z"}],
        200,
        200,
    ),
    "POST /calls-elsewhere": (
        {
            "calls": [
                {
                    "id": "e1",
                    "campaign": "{campaign}",
                    "phone": "+34600000075",
                    "started_at": "2026-01-01T10:00:00Z",
                }
            ]
        },
        422,
        201,
    ),
    "POST /calls": ({"agent": "{agent}", "campaign": "{campaign}", "contact": "{contact}"}, 404, 409),
    "POST /agents/{agent}/messages": ({"text": "hello"}, 404, 201),
    "POST /agents/{agent}/monitor": ({"mode": "listen", "extension": "agent09"}, 404, 202),
    "DELETE /agents/{agent}/monitor": (None, 404, 204),
    "POST /agents/{agent}/sign-in": ({"phone": "agent09", "campaigns": ["{campaign}"]}, 404, 409),
    "POST /agents/{agent}/preview": ({"answer": "call", "contact": "{contact}"}, 404, 409),
    "POST /agents/{agent}/ready": (None, 404, 409),
    "POST /agents/{agent}/snippet-token": ({"origin": "https://crm.example"}, 404, 409),
    "POST /snippet/token": (None, 403, 403),
    "POST /calls/{call}/recording": ({"order": "start"}, 404, 409),
    "POST /calls/{call}/do-not-call": ({}, 404, 201),
    "POST /dispositions": ({"call": "{call}", "code": "INFORMED"}, 404, 202),
    "POST /dispositions/bulk": ([{"call": "{call}", "code": "INFORMED"}], 200, 200),
    "POST /agents/{agent}/dispose": ({"code": "INFORMED"}, 404, 202),
    "POST /agents/{agent}/campaigns": ({"campaigns": ["{campaign}"]}, 404, 202),
    "POST /agents/{agent}/pause": ({"code": "tea"}, 404, 202),
    "POST /agents/{agent}/hangup": (None, 404, 202),
    "POST /calls/{call}/hangup": (None, 404, 409),
    "POST /agents/{agent}/sign-out": (None, 404, 202),
    "POST /campaigns/{campaign}/pause": (None, 404, 202),
    "POST /campaigns/{campaign}/start": (None, 404, 202),
    "POST /campaigns/{campaign}/drain": (None, 404, 202),
    "POST /campaigns/{campaign}/stop": (None, 404, 202),
}
TABLE: Final = {f"{name.replace(' ', ' /api/v1', 1)}": row for name, row in (READS | WRITES).items()}
#: Nobody need be known for these.
ANYBODY: Final = {route for route in OPEN if "/api/v1" not in route and "/console" not in route} | {
    "GET /api/v1/recordings/{recording}/audio",
    "GET /console/login",
    "POST /console/login",
    "GET /console/language/{name}",
    "GET /console/static/{version}/{path}",
}
#: Ends the session, which the others need.
LAST: Final = "POST /console/logout"


def routes() -> Iterator[str]:
    """All of the application: method and path."""
    node = FakeNode(Path())
    app = create_app(node.ports, Settings(), [router(Console(node.ports, b"x" * 32))])
    for route in app.routes:
        assert isinstance(route, HTTPRoute), "of another kind: tenants must be held back there too"
        for handler in route.route_handlers:
            yield from (f"{method} {route.path_format}" for method in handler.http_methods if method != "OPTIONS")


ROUTES: Final = frozenset(routes())
CLOSED: Final = sorted(ROUTES - OPEN)
PAGES: Final = sorted(route for route in OPEN - ANYBODY if "/console" in route and route != LAST)


def filled(site: Site, route: str, row: object) -> dict[str, Any]:
    """What is sent with a request."""
    text = json.dumps(row)
    for name, value in site.hers.items():
        text = text.replace(f"{{{name}}}", value)
    body = json.loads(text)
    if isinstance(body, str):
        return {"data": body.encode(), "headers": {"content-type": "text/csv"}}
    if isinstance(body, list):
        return {"data": "\n".join(map(json.dumps, body)).encode(), "headers": dict(_NDJSON)}
    return {"params": {"after": "0-0", "live": "false"}} if route.endswith("/events") else {"json": body}


def tells_of_her(site: Site, body: str, sent: object) -> str:
    """What of hers is in an answer, besides what was sent: the name that was asked for may come back."""
    numbers = [phone(number).removeprefix("+") for number in (1, 2, 91)]
    secrets = [SECRET, *numbers, named(HERS, ""), *site.hers.values()]
    return next((secret for secret in secrets if secret in body and secret not in str(sent)), "")


# ---- the tests


async def test_every_route_that_tenants_may_use_is_in_the_tables_and_there() -> None:
    assert {*TABLE, *PAGES, LAST} | ANYBODY == OPEN
    assert OPEN <= ROUTES, "a row of a route that is no more"


async def test_no_page_gets_round_its_visit() -> None:
    """Pages take their ports from the console that they are handed: those of a request come before its session."""
    for module in console_routes._MODULES:
        for handler in module.HANDLERS:
            assert "ports" not in handler.parsed_fn_signature.parameters


async def as_she_has_it(site: Site) -> dict[str, Any]:
    """What must not change by others' doing."""
    names = [route for route, (_, other, owner) in READS.items() if owner == 200 and other in {200, 404}]
    changing = ("/live", "/events", "/agents", "/pacing", "/reports", "/why", "/keys")
    found: dict[str, Any] = {}
    for name in names:
        route = site.path(name.replace(" ", " /api/v1", 1))
        if not any(part in name for part in changing):
            status, body = await site.ask(HERS, "manager", route, **filled(site, name, READS[name][0]))
            assert status == 200, (route, body)
            found[name] = json.loads(body) if body.startswith(("{", "[")) else body
            if name == "GET /campaigns/{campaign}":
                found[name].pop("live")
            if name == "GET /campaigns":
                found[name] = [row["settings"] for row in found[name]["items"]]
    agents = await site.json(HERS, "manager", "GET /api/v1/agents", 200)
    keys = await site.json(HERS, "manager", "GET /api/v1/keys", 200)
    found["keys"] = [(row["id"], row["state"], row["replaced_by"]) for row in keys["items"]]
    found["agents"] = [(row["id"], row["state"], row["campaigns"], row["call"]) for row in agents["items"]]
    return found


async def test_others_learn_and_change_nothing_by_the_api(site: Site) -> None:
    assert SECRET in json.dumps(site.before)
    told: list[object] = []
    for route, (row, other, _) in TABLE.items():
        asked = any(f"{{{name}}}" in route for name in site.hers)
        path, more = site.path(route), filled(site, route, row)
        for role in API_ROLES:
            status, body = await site.ask(MINE, role, path, **more)
            found = tells_of_her(site, body, (path, more))
            right = status == other if role == "manager" else status in {other, 403, 404, 409, 422}
            if found or not right or (asked and status < 300):
                told.append((route, role, status, found, body[:200]))
            if route.endswith("/bulk") and status == 200 and json.loads(body)["accepted"]:
                told.append((route, role, "took some", body))
    assert not told, "\n".join(map(str, told))
    assert await as_she_has_it(site) == site.before


async def test_what_is_closed_to_tenants_is_closed_to_all_of_them(site: Site) -> None:
    told = []
    for route in CLOSED:
        # By whom does not matter to the guard, which comes before those of the roles.
        for role in ("manager", "agent", "metrics") if "/console" not in route else ():
            status, body = await site.ask(MINE, role, site.path(route), json={} if route.startswith("POST") else None)
            # Uploads and forms say first that the body is none.
            if status not in {403, 415} or tells_of_her(site, body, site.path(route)):
                told.append((route, role, status, body[:200]))
    assert not told, "\n".join(map(str, told))


async def enter(site: Site, role: str) -> tuple[aiohttp.ClientSession, str]:
    """A browser of the other tenant's, and its token."""
    if role not in site.pages:
        jar = aiohttp.CookieJar(unsafe=True)
        http = aiohttp.ClientSession(cookie_jar=jar, headers={"Accept-Language": "en"})
        site.pages[role] = http
        status, _ = await site.answer(http, "POST", "/console/login", data={"key": site.keys[MINE, role]})
        assert status == 303
        home = "/console/desk" if role == "agent" else "/console/"
        _, page = await site.answer(http, "GET", home)
        token = re.search(r'name="csrf" content="([\w-]+)"', page)
        assert token is not None, page[:500]
        site.csrf[role] = token[1]
    return site.pages[role], site.csrf[role]


async def test_others_learn_and_change_nothing_by_the_console(site: Site) -> None:
    told: list[object] = []
    for role in PAGE_ROLES:
        http, csrf = await enter(site, role)
        closed = [route for route in CLOSED if "/console" in route and role == "manager"]
        for route in [*PAGES, *closed]:
            method, _, path = site.path(route).partition(" ")
            form = {"csrf": csrf, "contact": site.hers["contact"], "phone": phone(1), "campaign": site.hers["campaign"]}
            more: dict[str, Any] = {} if method == "GET" else {"data": form, "headers": {"sec-fetch-mode": "navigate"}}
            status, body = await site.answer(http, method, path, **more)
            found = tells_of_her(site, body, (path, more))
            hers = any(f"{{{name}}}" in route for name in site.hers)
            shut = route not in OPEN and status not in {403, 404, 415}
            if found or status >= 500 or shut or (hers and status < 400):
                told.append((route, role, status, found, body[-300:]))
    assert not told, "\n".join(map(str, told))
    assert await as_she_has_it(site) == site.before


async def test_nobody_elses_users_keys_and_webhooks_are_changed_by_the_console(site: Site) -> None:
    http, csrf = await enter(site, "manager")
    orders = [
        *(f"users/{site.hers['user']}/{verb}" for verb in ("disable", "enable", "role", "password", "no-code")),
        *(f"keys/{site.hers['key']}/{verb}" for verb in ("rotate", "revoke")),
        *(f"webhooks/{site.hers['webhook']}/{verb}" for verb in ("change", "rotate", "delete")),
    ]
    form = {"csrf": csrf, "role": "manager", "password": BETTER, "url": "https://beta.example/", "types": ""}
    for order in orders:
        status, body = await site.answer(http, "POST", f"/console/system/{order}", data=form)
        assert status == 404, (order, status, body)
    assert await as_she_has_it(site) == site.before


async def test_a_tenants_manager_runs_the_own_house_with_a_password(site: Site) -> None:
    person = {"name": "beta--boss", "role": "manager", "password": GOOD}
    await site.json(MINE, "manager", "POST /api/v1/users", 201, person)
    async with aiohttp.ClientSession(
        cookie_jar=aiohttp.CookieJar(unsafe=True), headers={"Accept-Language": "en"}
    ) as http:
        status, _ = await site.answer(http, "POST", "/console/login", data=person)
        assert status == 303
        _, home = await site.answer(http, "GET", "/console/")
        assert "Users and keys" in home
        assert 'href="/console/system"' not in home
        token = re.search(r'name="csrf" content="([\w-]+)"', home)
        assert token is not None
        csrf = {"csrf": token[1]}
        new = csrf | {"name": "beta--zoe", "role": "agent", "password": BETTER}
        for path, form, expected in (
            ("users", new, 303),
            ("users", new | {"name": "zoe"}, 422),
            ("users", new | {"name": "beta--tom", "tenant": HERS}, 422),
            ("users/beta--zoe/disable", csrf, 303),
            ("users/beta--boss/disable", csrf, 422),
            ("keys", csrf | {"role": "crm", "name": "sync"}, 200),
            ("keys", csrf | {"role": "crm", "name": "sync", "tenant": HERS}, 422),
            ("keys", csrf | {"role": "metrics", "name": "sync"}, 422),
            ("webhooks", csrf | {"url": "https://beta.example/hook", "types": "call.ended"}, 200),
            ("webhooks", csrf | {"url": "http://127.0.0.1/hook"}, 422),
        ):
            status, body = await site.answer(http, "POST", f"/console/system/{path}", data=form)
            assert status == expected, (path, form, body)
        for path, own in (("users", "beta--zoe"), ("keys", "sync"), ("webhooks", "beta.example"), ("deliveries", "W")):
            status, body = await site.answer(http, "GET", f"/console/system/{path}")
            assert status == 200
            assert own in body
            assert not tells_of_her(site, body, path)
        _, made = await site.answer(http, "POST", "/console/system/keys", data=csrf | {"role": "crm", "name": "other"})
        secret = re.search(r'id="made">(cad_[\w-]+)<', made)
        assert secret is not None
        site.keys[MINE, "made"] = secret[1]
        campaigns = await site.json(MINE, "made", "GET /api/v1/campaigns", 200)
        assert {tenant_of(row["id"]) for row in campaigns["items"]} == {MINE}


async def test_each_webhook_waits_for_its_own_tenants_results_alone(site: Site) -> None:
    async def results_of(tenant: str) -> list[Delivery]:
        page = await Webhooks(site.node.database).page_of(tenant, DeliveryState.WAITING)
        return [delivery for delivery in page.items if delivery.position]

    async def noted() -> bool:
        silent = [tenant for tenant in (HERS, MINE) if not await results_of(tenant)]
        for tenant in silent:
            # A webhook that has just been made hears of what happens some seconds later.
            entry = {"phone": phone(80), "scope": named(tenant, "winter"), "reason": "asked"}
            await site.json(tenant, "crm", "POST /api/v1/dnc", 201, {"entries": [entry]})
        return not silent

    await until(noted, "results on their way to the webhooks of both")
    for tenant in (HERS, MINE):
        for delivery in await results_of(tenant):
            result = json.loads(delivery.payload)
            assert tenant_of(delivery.url) == tenant
            assert tenant_of(result.get("campaign") or result["agent"]) == tenant
    whole = await site.json("", "crm", WAITING, 200)
    assert {tenant_of(row["to"]) for row in whole["items"]} == {HERS, MINE}


async def test_the_installation_sees_both(site: Site) -> None:
    campaigns = await site.json("", "supervisor", "GET /api/v1/campaigns", 200)
    assert [row["id"] for row in campaigns["items"]] == ["acme--winter", "beta--winter"]
    agents = await site.json("", "supervisor", "GET /api/v1/agents", 200)
    assert [row["id"] for row in agents["items"]] == ["acme--eva", "beta--eva"]


async def test_results_that_are_missed_are_each_tenants_own(site: Site) -> None:
    for tenant, other in ((HERS, MINE), (MINE, HERS)):
        _, heard = await site.ask(tenant, "crm", "GET /api/v1/events?after=0-0&live=true")
        assert f'"campaign":"{tenant}--winter"' in heard
        assert f'"{tenant}--eva"' in heard
        assert f"{other}--" not in heard


async def test_a_person_of_both_is_known_to_each_for_its_own_calls_alone(site: Site) -> None:
    entry = {"phone": phone(5), "scope": "*", "reason": "asked me"}
    await site.json(MINE, "crm", "POST /api/v1/dnc", 201, {"entries": [entry]})

    async def is_listed() -> bool:
        found = await site.json(MINE, "crm", "POST /api/v1/dnc/check", 200, {"phone": phone(5)})
        return bool(found["listed"])

    await until(is_listed, "the entry on record")
    listed = await site.json("", "crm", "POST /api/v1/dnc/check", 200, {"phone": phone(5)})
    assert [row["scope"] for row in listed["entries"]] == ["beta--*"]
    assert not (await site.json(HERS, "crm", "POST /api/v1/dnc/check", 200, {"phone": phone(5)}))["listed"]
    for whose, contacts in ((MINE, 1), (HERS, 0)):
        found = await site.json(whose, "supervisor", "POST /api/v1/history", 200, {"phone": phone(5)})
        assert len(found["contacts"]) == contacts
        assert [entry for entry in found["entries"] if entry["kind"] == "do_not_call"] == found["entries"][:contacts]


async def test_nobody_elses_agent_is_given_a_callback_or_work(site: Site) -> None:
    calls = await site.json(MINE, "supervisor", "GET /api/v1/calls/live", 200)
    wish = {"at": "2090-01-01T10:00:00Z", "agent": site.hers["agent"]}
    closing = {"call": calls["items"][0]["id"], "code": "CALLBACK", "callback": wish}
    await site.json(MINE, "supervisor", "POST /api/v1/dispositions", 404, closing)
    back = {"campaign": named(MINE, "winter"), "contact": "x", "phone": phone(60), **wish}
    await site.json(MINE, "crm", "POST /api/v1/callbacks", 422, back)
    _, body = await site.ask(MINE, "crm", "POST /api/v1/callbacks/bulk", data=json.dumps(back), headers=dict(_NDJSON))
    assert json.loads(body)["accepted"] == 0
    asked = {"agent": site.hers["agent"], "campaign": named(MINE, "winter"), "phone": phone(60)}
    await site.json(MINE, "supervisor", "POST /api/v1/calls", 404, asked)
    phone_of_hers = {"phone": "agent09", "campaigns": [named(MINE, "winter")]}
    await site.json(MINE, "supervisor", f"POST /api/v1/agents/{site.hers['agent']}/sign-in", 404, phone_of_hers)


async def test_a_campaign_is_called_as_its_tenant_has_it(site: Site) -> None:
    for name in ("spring", "acme--spring", "beta-spring", "betamax--spring"):
        found = await site.json(MINE, "manager", "POST /api/v1/campaigns", 422, {"id": name})
        assert "its names begin with beta--" in found["message"]
    taken = [site.hers["campaign"], "acme--nowhere"]
    for name in taken:
        like = {"id": "t", "template": name, "campaign": "beta--like", "start": False}
        found = await site.json(MINE, "crm", "POST /api/v1/segments", 422, like)
        assert found["message"].replace(name, "…") == (
            "template: '…' is none of the tenant 'beta': its names begin with beta--"
        )


async def test_lists_are_paged_within_the_tenant(site: Site) -> None:
    for name in ("b", "c", "d"):
        await site.json(MINE, "crm", "POST /api/v1/campaigns", 201, {"id": named(MINE, name)})
        await site.json(HERS, "crm", "POST /api/v1/campaigns", 201, {"id": named(HERS, name)})
    seen, cursor = [], ""
    while True:
        page = await site.json(MINE, "crm", f"GET /api/v1/campaigns?limit=1{cursor}", 200)
        seen += [row["id"] for row in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == [named(MINE, name) for name in ("b", "c", "d", "winter")]
