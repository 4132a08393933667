"""What goes into the audit log: every write whatever comes of it, every refusal, and nothing personal."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from litestar import Litestar
from litestar.routes import HTTPRoute

from dialer.api.app import create_app
from dialer.api.key_ports import Role
from dialer.console.routes import router
from dialer.console.site import Console
from dialer.core.campaign import Campaign
from dialer.core.ids import CampaignId
from dialer.errors import StorageError
from dialer.settings import Settings
from dialer.testing import FakeNode
from tests.asgi import client

PHONE = "+34600111222"


class Server:
    """The application, and the log behind it."""

    def __init__(self, node: FakeNode, app: Litestar) -> None:
        self.node = node
        self.app = app

    async def ask(self, method: str, path: str, key: str | None = "boss", **options: Any) -> int:
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        async with client(self.app) as http:
            return (await http.request(method, path, headers=headers, **options)).status_code

    def taken(self) -> list[tuple[str, str, str, str, str]]:
        notes, self.node.audit.notes[:] = list(self.node.audit.notes), []
        return [(note.who, note.role, note.action, note.object, note.outcome) for note in notes]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Server:
    node = FakeNode(tmp_path_factory.mktemp("node"))
    node.keys.issue("boss", Role.MANAGER)
    node.keys.issue("sync", Role.CRM)
    return Server(node, create_app(node.ports, Settings(), [router(Console(node.ports, b"s" * 32))]))


@pytest.fixture
def server(served: Server) -> Iterator[Server]:
    served.node.audit.notes.clear()
    yield served
    served.node.purges.fail_with = None


def writes(app: Litestar) -> list[tuple[str, str]]:
    """Method and path of every route that changes something."""
    return [
        (method, route.path)
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for method in route.route_handler_map
        if method not in {"GET", "HEAD", "OPTIONS"}
    ]


async def test_every_write_there_is_leaves_one_row(server: Server) -> None:
    found = writes(server.app)
    assert len(found) > 40
    for method, path in found:
        filled = re.sub(r"{(\w+):\w+}", r"x-\1", path)
        status = await server.ask(method, filled, json={})
        (note,) = server.taken()
        who, role, action, _, outcome = note
        if path.startswith("/api/"):
            assert (who, role) == ("key:key-0", "manager"), path
        if path != "/console/login":
            named = re.sub(r":\w+}", "}", path)
            assert action == f"{method} {named}" or re.fullmatch(r"[a-z_]+\.[a-z_]+", action), action
        assert (outcome == "ok") == (status < 400), (path, status, outcome)


async def test_reading_leaves_none_unless_it_is_refused(server: Server) -> None:
    assert await server.ask("GET", "/api/v1/campaigns") == 200
    assert await server.ask("GET", "/api/v1/audit") == 200
    assert server.taken() == []
    assert await server.ask("GET", "/api/v1/audit", "sync") == 403
    assert await server.ask("GET", "/api/v1/campaigns", "wrong") == 401
    assert server.taken() == [
        ("key:key-1", "crm", "GET /api/v1/audit", "", "forbidden"),
        ("", "", "GET /api/v1/campaigns", "", "unauthorized"),
    ]


async def test_what_came_of_it_is_said_in_a_word(server: Server) -> None:
    await server.node.campaigns.create(Campaign(id=CampaignId("winter")), 1.0)
    removal = {"removals": [{"campaign": "winter", "contact": "c1"}]}
    assert await server.ask("POST", "/api/v1/campaigns/winter/pause") == 409
    assert await server.ask("POST", "/api/v1/campaigns/summer/pause") == 404
    assert await server.ask("PATCH", "/api/v1/campaigns/winter", json={"max_abandonment": 7}) == 422
    assert await server.ask("POST", "/api/v1/campaigns", json={"id": "autumn"}) == 201
    server.node.purges.fail_with = StorageError("away")
    assert await server.ask("POST", "/api/v1/removals", json=removal) == 503
    told = server.taken()
    assert [outcome for *_, outcome in told] == ["conflict", "not_found", "invalid", "ok", "unavailable"]
    assert told[0][2:4] == ("POST /api/v1/campaigns/{campaign}/pause", "campaign:winter")


async def test_nothing_personal_goes_in(server: Server) -> None:
    await server.ask("POST", "/api/v1/dnc", json={"entries": [{"phone": PHONE, "scope": "*"}]})
    await server.ask("POST", "/api/v1/campaigns/winter/contacts/crm-4711/erase", json={})
    for method, path in writes(server.app):
        await server.ask(
            method,
            re.sub(r"{(?:contact|phone|campaign|agent):\w+}", PHONE, path).replace("{", "").replace("}", ""),
            json={},
        )
    assert PHONE not in str(server.node.audit.notes)
    assert "crm-4711" not in str(server.node.audit.notes)


async def test_a_stranger_cannot_fill_it(server: Server) -> None:
    server.node.clock.advance(1_000.0)
    statuses = {await server.ask("POST", "/api/v1/dnc", None, json={}) for _ in range(60)}
    assert statuses == {401}
    assert len(server.taken()) == 20
    server.node.clock.advance(4.0)
    for _ in range(10):
        await server.ask("POST", "/api/v1/dnc", None, json={})
    assert len(server.taken()) == 2
    # Whoever is known is always recorded.
    for _ in range(30):
        await server.ask("POST", "/api/v1/dnc", json={})
    assert len(server.taken()) == 30


async def test_the_log_is_read_page_by_page(server: Server) -> None:
    for _ in range(5):
        await server.ask("POST", "/api/v1/campaigns/summer/pause")
    async with client(server.app) as http:
        http.headers["Authorization"] = "Bearer boss"
        seen: list[int] = []
        cursor: dict[str, str] = {}
        while True:
            page = (await http.get("/api/v1/audit", params={"limit": "2", "outcome": "not_found"} | cursor)).json()
            seen += [item["number"] for item in page["items"]]
            assert all(item["object"] == "campaign:summer" for item in page["items"])
            if page["next_cursor"] is None:
                break
            cursor = {"cursor": page["next_cursor"]}
        assert seen == sorted(seen, reverse=True)
        assert len(seen) == 5
        for bad in ({"cursor": "x"}, {"cursor": "WzEsIiJd"}, {"since": "yesterday"}, {"limit": "0"}):
            assert (await http.get("/api/v1/audit", params=bad)).status_code == 422, bad
        assert (await http.get("/api/v1/audit", params={"since": "2099-01-01T00:00:00Z"})).json()["items"] == []
