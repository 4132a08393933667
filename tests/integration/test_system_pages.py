"""The system pages on the real server: who may see and do what, bad input, and a file that no spreadsheet obeys."""

from __future__ import annotations

import csv
import inspect
import io
import re
import shutil
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from litestar import Litestar
from litestar.routes import HTTPRoute
from markupsafe import escape
from sqlalchemy import text

from dialer.api.app import create_app
from dialer.api.delivery_ports import CrmState, DeliveryEntry, DeliveryKind
from dialer.api.key_ports import Role
from dialer.api.system_ports import Examined, NodeState, QueueState, ServerState, TrunkState
from dialer.console.routes import router
from dialer.console.site import Console
from dialer.core.audit_note import AuditNote
from dialer.core.ids import AgentId
from dialer.core.saying import NOTHING, Saying, say
from dialer.errors import InputError
from dialer.runtime.key_book import StoredKeyBook
from dialer.runtime.webhooks import StoredWebhookBook
from dialer.settings import Outbound, Settings
from dialer.storage.database import Database
from dialer.storage.keys import Keys
from dialer.storage.webhook_book import WebhookBook
from dialer.testing import FakeNode
from tests.accounts import BETTER, GOOD, desk
from tests.integration.test_console import SECRET, Visitor, csrf_of, serving

HOSTILE = "<script>alert(1)</script>"
#: Nobody need be known for these.
OPEN = {"/console/login", "/console/language/{name:str}", "/console/static/{version:str}/{path:path}"}


class FakeSystem:
    """An installation with something wrong."""

    async def nodes(self) -> Sequence[NodeState]:
        return [
            NodeState(name="n1", here=True, alive_until=2e9, alive=True),
            NodeState(name="n2", here=False, alive_until=1.0, alive=False),
        ]

    def servers(self) -> Sequence[ServerState]:
        trunk = TrunkState(name="out", channels=3, max_channels=30, max_calls_per_second=2.5)
        return [
            ServerState(
                name="pbx",
                connected=False,
                version="",
                problem=Saying(HOSTILE),
                reconnects=4,
                round_trip_s=None,
                trunks=[trunk],
            ),
            ServerState(
                name="pbx2",
                connected=True,
                version="22.1",
                problem=NOTHING,
                reconnects=0,
                round_trip_s=0.0012,
                trunks=[],
            ),
        ]

    async def queues(self) -> Sequence[QueueState]:
        return [
            QueueState(name="engine", waiting=1_234),
            QueueState(name="new one", waiting=0, trouble=Saying("disk is full")),
        ]

    async def examine(self) -> Sequence[Examined]:
        return [
            Examined(
                part="redis",
                ok=False,
                says=say("keeps nothing over a restart", code="redis_forgets"),
                mend=say("set appendonly yes", code="mend_redis_forgets"),
            )
        ]


@dataclass
class FakeDeliveries:
    """One webhook that failed."""

    replayed: list[tuple[DeliveryKind, Sequence[str] | None]] = field(default_factory=list)

    async def page(
        self, kind: DeliveryKind, state: str, cursor: str | None, limit: int, *, tenant: str = ""
    ) -> tuple[Sequence[DeliveryEntry], str | None]:
        if state not in {"failed", "waiting", "delivered"} or cursor == "none of ours":
            raise InputError("status: there is no such state")
        entry = DeliveryEntry(
            id="d1",
            to="https://crm.example",
            type="call.ended",
            contact=HOSTILE,
            state=state,
            attempts=9,
            next_at=1.0,
            last_error=say("the receiver answered 500", code="receiver_answered", status=500),
        )
        return [entry], "more"

    async def replay(self, kind: DeliveryKind, ids: Sequence[str] | None, *, tenant: str = "") -> int:
        self.replayed.append((kind, ids))
        return 1

    async def crms(self) -> Sequence[CrmState]:
        return [
            CrmState(
                name="suite",
                completed_at=None,
                next_at=1.0,
                failures=2,
                last_error=say("the CRM answered 503: too much at once", code="crm_too_much", status=503),
                waiting=3,
                failed=4,
                counts={},
            )
        ]


def furnish(node: FakeNode, database: Database) -> FakeDeliveries:
    deliveries = FakeDeliveries()
    users = desk(database, node.clock)
    node.ports = replace(
        node.ports,
        users=users,
        user_book=users,
        system=FakeSystem(),
        key_book=StoredKeyBook(database, node.clock.now),
        webhook_book=StoredWebhookBook(database, Outbound(), node.clock.now),
        deliveries=deliveries,
    )
    return deliveries


class Manager(Visitor):
    """A manager at a browser."""

    csrf = ""
    database: Database
    deliveries: FakeDeliveries

    async def post(self, path: str, status: int = 303, **form: str) -> str:
        given = {"csrf": self.csrf} | form
        async with self.http.post(self.url + path, data=given, allow_redirects=False) as answer:
            text = await answer.text()
            assert answer.status == status, text
            return text

    async def become(self, key: str) -> None:
        await self.sign_in(key)
        self.csrf = csrf_of(await self.page("/console/account"))


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> AsyncIterator[Manager]:
    folder = tmp_path_factory.mktemp("system")
    database = Database(f"sqlite:///{shutil.copy(sqlite_template, folder / 'cadencia.db')}")
    made: list[FakeDeliveries] = []
    async with serving(folder, lambda node: made.append(furnish(node, database))) as visitor:
        visitor.node.keys.issue("adam", Role.AGENT, agent=AgentId("adam"))
        found = Manager(visitor.node, visitor.console, visitor.http, visitor.url)
        found.database, found.deliveries = database, made[0]
        yield found
    await database.close()


@pytest_asyncio.fixture(loop_scope="module")
async def site(served: Manager) -> Manager:
    """A manager who has just signed in, and nobody else on record."""
    served.http.cookie_jar.clear()
    served.node.clock.advance(1_000.0)
    async with served.database.write() as connection:
        for table in ("users", "api_keys"):
            await connection.execute(text(f"DELETE FROM {table}"))
    await served.become("boss")
    served.node.audit.notes.clear()
    return served


# ---- who may do what


def console_routes(app: Litestar) -> list[tuple[str, str, frozenset[str]]]:
    """Method, path and parameters of every route under ``/console``."""
    return [
        (
            method,
            route.path_format if "{" not in route.path else route.path,
            frozenset(inspect.signature(handler.fn).parameters),
        )
        for route in app.routes
        if isinstance(route, HTTPRoute) and route.path.startswith("/console")
        for method, (handler, _) in route.route_handler_map.items()
        if method != "OPTIONS"
    ]


async def test_every_route_of_the_console_lets_in_whom_it_says(site: Manager) -> None:
    app = create_app(site.node.ports, Settings(), [router(Console(site.node.ports, SECRET))])
    found = console_routes(app)
    assert len(found) > 20
    asked: dict[str, str] = {}
    for method, path, parameters in found:
        who = parameters & {"visit", "staff", "manager"}
        assert (len(who) == 1) != (path in OPEN), path
        if who:
            asked[f"{method} {path}"] = next(iter(who))
    mine = {
        "GET /console/account": "visit",
        "POST /console/account/password": "visit",
        "GET /console/system": "staff",
        "GET /console/system/doctor": "manager",
        "GET /console/system/deliveries": "staff",
        "POST /console/system/deliveries/{kind:str}": "manager",
        "GET /console/system/users": "manager",
        "POST /console/system/users": "manager",
        "POST /console/system/users/{user:str}/{verb:str}": "manager",
        "GET /console/system/keys": "manager",
        "POST /console/system/keys": "manager",
        "POST /console/system/keys/{key:str}/revoke": "manager",
        "POST /console/system/keys/{key:str}/rotate": "manager",
        "GET /console/system/webhooks": "manager",
        "POST /console/system/webhooks": "manager",
        "POST /console/system/webhooks/{webhook:str}/{verb:str}": "manager",
        "GET /console/system/audit": "manager",
        "GET /console/system/audit.csv": "manager",
    }
    assert {route: asked[route] for route in mine} == mine
    # What the signature says is what the server does.
    refused = 0
    for key, denied in (("adam", {"staff", "manager"}), ("eyes", {"manager"})):
        await site.become(key)
        for route, whom in asked.items():
            if whom in denied and route != "GET /console/":  # an agent is led to their own page there
                method, _, path = route.partition(" ")
                url = site.url + re.sub(r"{\w+:\w+}", "x", path)
                data = None if method == "GET" else {"csrf": site.csrf}
                async with site.http.request(method, url, data=data, allow_redirects=False) as answer:
                    # Some want a body or a parameter of another form before anything else.
                    assert answer.status in {400, 403, 415}, (key, route, answer.status)
                    refused += answer.status == 403
    assert refused > 15
    site.http.cookie_jar.clear()
    for route in asked:
        method, _, path = route.partition(" ")
        async with site.http.request(
            method,
            site.url + re.sub(r"{\w+:\w+}", "x", path),
            data=None if method == "GET" else {"csrf": "x"},
            allow_redirects=False,
        ) as answer:
            assert answer.status in {303, 400, 401, 415}, (route, answer.status)
            assert urlsplit(answer.headers.get("location", "/console/login")).path == "/console/login"


async def test_no_write_without_the_token_of_our_own_page(site: Manager) -> None:
    site.csrf = "nonsense"
    for path in (
        "/console/system/deliveries/webhooks",
        "/console/system/users",
        "/console/system/users/marta/disable",
        "/console/system/keys",
        "/console/system/keys/x/revoke",
        "/console/system/keys/x/rotate",
        "/console/system/webhooks",
        "/console/system/webhooks/x/delete",
        "/console/account/password",
        "/console/account/second-factor",
        "/console/account/second-factor/confirm",
        "/console/account/second-factor/off",
    ):
        await site.post(path, 403, name="marta", role="agent", password=GOOD)
    assert await Keys(site.database).all() == []
    assert await site.node.ports.users.all() == []  # type: ignore[union-attr]


# ---- pages


async def test_the_overview_shows_what_is_wrong(site: Manager) -> None:
    page = await site.page("/console/system")
    assert "&lt;script&gt;alert(1)" in page
    assert HOSTILE not in page
    for shown in ("n2", "3 of 30 channels", "1.2 ms", "1,234", "disk is full", "Events for the engine", "new one"):
        assert shown in page
    assert "set appendonly yes" not in page
    assert "set appendonly yes" in await site.page("/console/system/doctor")
    await site.become("eyes")
    seen = await site.page("/console/system")
    assert "/console/system/users" not in seen
    assert "/console/system/doctor" not in seen


async def test_deliveries_that_failed_are_told_again(site: Manager) -> None:
    page = await site.page("/console/system/deliveries")
    assert HOSTILE not in page
    assert "cursor=more" in page
    assert "suite" in await site.page("/console/system/deliveries?kind=crm")
    await site.post("/console/system/deliveries/webhooks", id="d1")
    await site.post("/console/system/deliveries/crm")
    assert site.deliveries.replayed == [(DeliveryKind.WEBHOOKS, ["d1"]), (DeliveryKind.CRM, None)]
    for path in ("?kind=pigeon", "?status=lost", "?cursor=none%20of%20ours"):
        await site.page(f"/console/system/deliveries{path}", 404 if "kind" in path else 422)
    await site.post("/console/system/deliveries/pigeon", 404)
    await site.become("eyes")
    assert "<button>Send again" not in await site.page("/console/system/deliveries")


async def test_users_are_made_changed_and_shut_out(site: Manager) -> None:
    users = site.node.ports.users
    assert users is not None
    assert "Nobody signs in with a password yet" in await site.page("/console/system/users")
    await site.post("/console/system/users", name="Marta", role="manager", password=GOOD)
    await site.post("/console/system/users", name="eva", role="agent", agent="eva-2", password=GOOD)
    for form, says in (
        ({"name": "marta", "role": "agent", "password": GOOD}, "there is a user"),
        ({"name": HOSTILE, "role": "agent", "password": GOOD}, "letters"),
        ({"name": "x" * 2_000, "role": "agent", "password": GOOD}, "letters"),
        ({"name": "adam", "role": "crm", "password": GOOD}, "role"),
        ({"name": "adam", "role": "agent", "password": "short"}, "at least 12 characters"),
        ({}, "role"),
    ):
        page = await site.post("/console/system/users", 422, **form)
        assert says in page
        assert HOSTILE not in page
    page = await site.page("/console/system/users")
    assert GOOD not in page
    await site.post("/console/system/users/eva/role", role="supervisor")
    await site.post("/console/system/users/eva/password", password=BETTER)
    await site.post("/console/system/users/eva/disable")
    eva = await users.find("eva")
    assert eva is not None
    assert (eva.role, eva.agent, eva.state) == (Role.SUPERVISOR, None, "disabled")
    await site.post("/console/system/users/eva/enable")
    await site.post("/console/system/users/eva/no-code")
    await site.post("/console/system/users/eva/role", 422, role="crm")
    await site.post("/console/system/users/eva/password", 422, password="eva")
    await site.post("/console/system/users/eva/explode", 404)
    await site.post("/console/system/users/nobody/disable", 404)
    assert await users.sign_in("eva", BETTER, "") is not None
    done = [
        (note.action, note.object, note.outcome) for note in site.node.audit.notes if note.action.startswith("user.")
    ]
    assert done == [
        ("user.created", "user:marta", "ok"),
        ("user.created", "user:eva", "ok"),
        *[("user.created", "", "invalid")] * 6,
        ("user.role", "user:eva", "ok"),
        ("user.password", "user:eva", "ok"),
        ("user.disabled", "user:eva", "ok"),
        ("user.enabled", "user:eva", "ok"),
        ("user.second_factor_off", "user:eva", "ok"),
        ("user.role", "user:eva", "invalid"),
        ("user.password", "user:eva", "invalid"),
        ("user.disabled", "", "not_found"),
    ]


async def test_a_manager_cannot_shut_themselves_out(site: Manager) -> None:
    await site.post("/console/system/users", name="marta", role="manager", password=GOOD)
    async with site.http.post(f"{site.url}/console/login", data={"name": "marta", "password": GOOD}):
        pass
    site.csrf = csrf_of(await site.page("/console/account"))
    for verb in ("disable", "role", "password"):
        assert "another manager" in await site.post(
            f"/console/system/users/marta/{verb}", 422, role="agent", password=BETTER
        )
    await site.page("/console/system/users")


async def test_a_key_is_shown_once_and_ends_when_it_is_revoked(site: Manager) -> None:
    page = await site.post("/console/system/keys", 200, role="crm", name=HOSTILE, days="30")
    assert HOSTILE not in page
    secret = re.search(r'<code class="secret" id="made">(cad_[\w-]+)</code>', page)
    assert secret is not None
    assert secret[1] not in await site.page("/console/system/keys")
    assert secret[1] not in str(site.node.audit.notes)
    (key,) = await Keys(site.database).all()
    assert key.expires_at == site.node.clock.now() + 30 * 86_400
    for form, says in (
        ({"role": "crm", "name": "x", "days": "-1"}, "more than 0"),
        ({"role": "crm", "name": "x", "days": "nan"}, "more than 0"),
        ({"role": "crm", "name": "x", "days": "many"}, "more than 0"),
        ({"role": "king", "name": "x"}, "role"),
        ({"role": "crm", "name": " "}, "name"),
        ({"role": "agent", "name": "e v a"}, "agent"),
    ):
        assert says in await site.post("/console/system/keys", 422, **form)
    # Who reads the log sees whose key that was; its filter takes what is on record.
    site.node.clock.advance(10.0)
    for asked in ("", f"?object=key:{key.id}"):
        log = await site.page(f"/console/system/audit{asked}")
        assert f'key:{key.id} <bdi class="quiet">{escape(HOSTILE)}</bdi>' in log
    page = await site.post(f"/console/system/keys/{key.id}/rotate", 200)
    other = re.search(r'<code class="secret" id="made">(cad_[\w-]+)</code>', page)
    assert other is not None
    await site.post(f"/console/system/keys/{key.id}/rotate", 409)
    await site.post(f"/console/system/keys/{key.id}/revoke")
    await site.post("/console/system/keys/none/revoke", 404)
    assert await Keys(site.database).find(secret[1], site.node.clock.now()) is None
    assert await Keys(site.database).find(other[1], site.node.clock.now()) is not None


async def test_a_webhook_is_made_changed_and_deleted(site: Manager) -> None:
    assert "Results are posted nowhere" in await site.page("/console/system/webhooks")
    url = f"https://crm.example/{HOSTILE}"
    page = await site.post("/console/system/webhooks", 200, url=url, types="call.ended, call.disposed call.ended")
    assert HOSTILE not in page
    secret = re.search(r'<code class="secret" id="made">(whsec_[\w+/=]+)</code>', page)
    assert secret is not None
    assert secret[1] not in await site.page("/console/system/webhooks")
    (made,) = await WebhookBook(site.database).all()
    assert (made.url, made.types, made.secret) == (url, ("call.ended", "call.disposed"), secret[1])
    own = f"/console/system/webhooks/{made.id}"
    for path, form, says in (
        ("/console/system/webhooks", {"url": "http://127.0.0.1/"}, "internal address"),
        ("/console/system/webhooks", {"url": HOSTILE}, "must be an address"),
        (f"{own}/change", {"url": url, "types": HOSTILE}, "no results of the type"),
    ):
        page = await site.post(path, 422, **form)
        assert says in page
        assert HOSTILE not in page
    await site.post(f"{own}/change", url="https://crm.example/b", types="")
    page = await site.post(f"{own}/rotate", 200)
    (changed,) = await WebhookBook(site.database).all()
    assert (changed.url, changed.types, changed.former_secret) == ("https://crm.example/b", (), secret[1])
    assert changed.secret in page
    await site.post(f"{own}/explode", 404)
    await site.post(f"{own}/delete")
    await site.post(f"{own}/delete", 404)
    assert await WebhookBook(site.database).all() == []


# ---- the audit log


async def test_the_log_is_filtered_paged_and_saved(site: Manager) -> None:
    trail, day = site.node.audit, 1_700_000_000.0
    trail.notes.clear()
    trail.notes += [AuditNote(at=day + n, who=f"user:u{n % 3}", action="POST /x", object=str(n)) for n in range(150)]
    trail.notes.append(
        AuditNote(at=day + 1e6, who=HOSTILE, action="=cmd|' /C calc'!A0", object="@SUM(1)", details={"a": "b"})
    )
    first = await site.page("/console/system/audit")
    assert HOSTILE not in first
    older = re.search(r'href="(/console/system/audit\?before=\d+)"', first)
    assert older is not None
    assert "u0" in await site.page(older[1])
    assert "user:u1" not in await site.page("/console/system/audit?who=user:u2")
    assert "Nothing is on record" in await site.page("/console/system/audit?outcome=forbidden")
    assert "user:u1" not in await site.page("/console/system/audit?since=2023-11-20")
    assert HOSTILE[:9] not in await site.page("/console/system/audit?until=2023-11-15")
    for bad in ("?since=yesterday", "?until=2023-13-01", "?before=0", f"?before={2**70}"):
        await site.page(f"/console/system/audit{bad}", 422)
    saved = await site.page("/console/system/audit.csv?action=%3D")
    (header, row) = csv.reader(io.StringIO(saved.removeprefix("\ufeff")))
    cells: Mapping[str, str] = dict(zip(header, row, strict=True))
    assert cells["action"] == "'=cmd|' /C calc'!A0"
    assert cells["object"] == "'@SUM(1)"
    assert cells["details"] == '{"a":"b"}'
    assert trail.notes[-1].action == "GET /console/system/audit.csv"  # a copy of the log is in the log
    assert len((await site.page("/console/system/audit.csv?who=user:u0")).splitlines()) == 51


async def test_every_page_in_both_languages_keeps_to_the_policy(site: Manager) -> None:
    await site.post("/console/system/users", name="marta", role="manager", password=GOOD)
    for language in ("en", "es"):
        await site.page(f"/console/language/{language}", 303)
        for path in ("", "/doctor", "/deliveries", "/users", "/keys", "/audit"):
            page = await site.page(f"/console/system{path}")
            assert f'<html lang="{language}">' in page
            assert not re.search(r"<script(?![^>]*\bsrc=)|\bon\w+=|style=", page)
            # Every field has a label.
            labels = set(re.findall(r'<label for="(\w+)"', page))
            for field_tag in re.findall(r"<(?:input|select)\b[^>]*>", page):
                named = re.search(r'\bid="(\w+)"', field_tag)
                assert 'type="hidden"' in field_tag or "aria-label=" in field_tag or (named and named[1] in labels), (
                    field_tag
                )
