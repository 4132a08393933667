"""Users and keys by the API: what managers may order, what is told of it, and that tenants reach their own alone."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
from litestar import Litestar

from dialer.api.app import create_app
from dialer.api.idempotency import MemoryIdempotency
from dialer.api.key_ports import Role
from dialer.runtime.api_ports import StoredKeys
from dialer.runtime.key_book import StoredKeyBook
from dialer.settings import Settings
from dialer.storage.database import Database
from dialer.storage.keys import Keys
from dialer.storage.tenants import Tenants
from dialer.testing import FakeNode
from tests.accounts import BETTER, GOOD, desk
from tests.asgi import client

#: Longer than a node trusts a key without another look.
TRUST_S: Final = 6.0
DAY_S: Final = 86_400.0


class Server:
    """The application on a real database, and keys: of the installation, and of two tenants."""

    def __init__(self, folder: Path, database: Database) -> None:
        self.node = FakeNode(folder)
        self.database = database
        self.users = desk(database, self.node.clock)
        self.idempotency = MemoryIdempotency()
        self.node.ports = replace(
            self.node.ports,
            keys=StoredKeys(Keys(database), self.node.clock.now),
            idempotency=self.idempotency,
            users=self.users,
            user_book=self.users,
            key_book=StoredKeyBook(database, self.node.clock.now),
        )
        self.app: Litestar = create_app(self.node.ports, Settings())
        self.keys: dict[str, str] = {}

    async def furnish(self) -> None:
        for tenant in ("acme", "beta"):
            await Tenants(self.database).create(tenant, self.node.clock.now())
        for tenant in ("", "acme", "beta"):
            _, self.keys[tenant] = await Keys(self.database).create(
                "manager", f"boss {tenant}", now=self.node.clock.now(), tenant=tenant
            )

    async def ask(self, route: str, status: int, body: object = None, whose: str = "", **headers: str) -> Any:
        """The answer to a manager of a tenant, or of the installation."""
        return await self.by(self.keys[whose], route, status, body, **headers)

    async def by(self, key: str, route: str, status: int, body: object = None, **headers: str) -> Any:
        method, _, path = route.partition(" ")
        given = {"Authorization": f"Bearer {key}"} | {name.replace("_", "-"): text for name, text in headers.items()}
        async with client(self.app) as http:
            options = {} if body is None else {"json": body}
            answer = await http.request(method, f"/api/v1{path}", headers=given, **options)  # type: ignore[arg-type]
        assert answer.status_code == status, (route, answer.status_code, answer.text)
        return answer.json()

    def deeds(self) -> list[tuple[str, str, str]]:
        notes, self.node.audit.notes[:] = list(self.node.audit.notes), []
        return [(note.action, note.object, note.outcome) for note in notes]


@pytest.fixture
async def server(tmp_path: Path, sqlite_url: str) -> AsyncIterator[Server]:
    database = Database(sqlite_url)
    try:
        made = Server(tmp_path, database)
        await made.furnish()
        yield made
    finally:
        await database.close()


def person(name: str, **more: object) -> dict[str, object]:
    return {"name": name, "role": "supervisor", "password": GOOD} | more


# ---- users


async def test_a_user_is_made_changed_and_let_in_no_more(server: Server) -> None:
    made = await server.ask("POST /users", 201, person(" Marta ", role="agent", agent="eva"))
    assert made | {"created_at": "", "password_changed_at": ""} == {
        "name": "marta",
        "role": "agent",
        "agent": "eva",
        "tenant": "",
        "state": "active",
        "second_factor": False,
        "created_at": "",
        "password_changed_at": "",
        "signed_in_at": None,
    }
    assert await server.ask("GET /users/marta", 200) == made
    assert await server.users.sign_in("marta", GOOD, "") is not None
    await server.ask("POST /users/marta/password", 200, {"password": BETTER})
    assert await server.users.sign_in("marta", GOOD, "") is None
    assert (await server.ask("POST /users/marta/role", 200, {"role": "manager"}))["agent"] is None
    assert (await server.ask("POST /users/marta/disable", 200))["state"] == "disabled"
    assert await server.users.sign_in("marta", BETTER, "") is None
    assert (await server.ask("POST /users/marta/enable", 200))["state"] == "active"
    assert (await server.ask("DELETE /users/marta/second-factor", 200))["second_factor"] is False
    found = await server.users.sign_in("marta", BETTER, "")
    assert found is not None
    assert found.role is Role.MANAGER
    assert server.deeds() == [
        ("user.created", "user:marta", "ok"),
        ("user.password", "user:marta", "ok"),
        ("user.role", "user:marta", "ok"),
        ("user.disabled", "user:marta", "ok"),
        ("user.enabled", "user:marta", "ok"),
        ("user.second_factor_off", "user:marta", "ok"),
    ]


#: Body, the field that is named, and the code; none: what the description of the body says itself.
BAD_USERS: Final[list[tuple[dict[str, object], str, str]]] = [
    (person("marta", password="pineapple"), "password", "password_short"),
    (person("marta", password="martamarta12"), "password", "password_name"),
    (person("marta", password="password1234"), "password", "password_common"),
    (person("<b>"), "name", "not_a_name"),
    (person("x" * 65), "name", ""),
    (person(""), "name", ""),
    (person("taken"), "name", "user_exists"),
    (person("marta", role="crm"), "role", "user_role"),
    (person("marta", role="emperor"), "role", ""),
    (person("marta", role="agent", agent="no agent!"), "agent", "not_a_name"),
    (person("marta", tenant="nowhere"), "tenant", "no_tenant"),
    (person("marta", role="agent", tenant="acme"), "agent", "agent_of_tenant"),
    (person("acme--eva"), "name", "name_of_tenant"),
    (person("marta", admin=True), "", ""),
]


async def test_what_cannot_be_a_user_is_said_by_field_and_code(server: Server) -> None:
    await server.ask("POST /users", 201, person("taken"))
    before = await server.ask("GET /users", 200)
    for body, field, code in BAD_USERS:
        answer = await server.ask("POST /users", 422, body)
        assert answer["details"].get("code", "") == code
        if field:
            assert [row["field"] for row in answer["details"]["fields"]] == [field]
        assert str(body["password"]) not in json.dumps(answer)
    assert await server.ask("GET /users", 200) == before


async def test_a_user_who_is_not_there_is_not_changed(server: Server) -> None:
    for route, body in (
        ("GET /users/nobody", None),
        ("POST /users/nobody/disable", None),
        ("POST /users/nobody/role", {"role": "manager"}),
        ("POST /users/nobody/password", {"password": BETTER}),
        ("DELETE /users/nobody/second-factor", None),
    ):
        assert (await server.ask(route, 404, body))["details"]["code"] == "no_user"


async def test_who_is_no_manager_makes_nobody_and_nothing(server: Server) -> None:
    for role in set(Role) - {Role.MANAGER}:
        name = "eva" if role is Role.AGENT else "somebody"
        made = await server.ask("POST /keys", 201, {"role": role, "name": name})
        for route in ("GET /users", "GET /keys", f"GET /keys/{made['id']}", f"POST /keys/{made['id']}/revoke"):
            await server.by(made["key"], route, 403)
        await server.by(made["key"], "POST /users", 403, person("marta"))
        await server.by(made["key"], "POST /keys", 403, {"role": "manager", "name": "me"})
        await server.by(made["key"], f"POST /keys/{made['id']}/rotate", 403, {})


# ---- keys


async def test_a_key_opens_what_its_role_does_until_it_is_revoked(server: Server) -> None:
    made = await server.ask("POST /keys", 201, {"role": "crm", "name": "sync"})
    await server.by(made["key"], "GET /campaigns", 200)
    known = await server.ask(f"GET /keys/{made['id']}", 200)
    assert made["key"] not in json.dumps(known)
    assert (known["state"], known["last_used_at"] is None) == ("good", False)
    revoked = await server.ask(f"POST /keys/{made['id']}/revoke", 200)
    assert revoked["state"] == "revoked"
    assert await server.ask(f"POST /keys/{made['id']}/revoke", 200) == revoked
    server.node.clock.advance(TRUST_S)
    await server.by(made["key"], "GET /campaigns", 401)
    assert (await server.ask(f"POST /keys/{made['id']}/rotate", 409, {}))["details"]["code"] == "key_ended"


async def test_a_rotated_key_is_good_until_its_successor_is_in_place(server: Server) -> None:
    old = await server.ask("POST /keys", 201, {"role": "crm", "name": "sync", "days": 30})
    server.node.clock.advance(20 * DAY_S)
    new = await server.ask(f"POST /keys/{old['id']}/rotate", 201, {"overlap_s": 3_600})
    assert (new["role"], new["name"], new["tenant"]) == ("crm", "sync", "")
    stored = await Keys(server.database).get(new["id"])
    assert stored is not None
    assert stored.expires_at == server.node.clock.now() + 30 * DAY_S
    for key in (old["key"], new["key"]):
        await server.by(key, "GET /campaigns", 200)
    assert (await server.ask(f"GET /keys/{old['id']}", 200))["replaced_by"] == new["id"]
    await server.ask(f"POST /keys/{old['id']}/rotate", 409, {})
    server.node.clock.advance(3_600.0)
    await server.by(old["key"], "GET /campaigns", 401)
    await server.by(new["key"], "GET /campaigns", 200)
    assert (await server.ask(f"GET /keys/{old['id']}", 200))["state"] == "expired"


async def test_a_key_that_ends_sooner_than_its_overlap_ends_when_it_would_have(server: Server) -> None:
    old = await server.ask("POST /keys", 201, {"role": "crm", "name": "sync", "days": 1})
    await server.ask(f"POST /keys/{old['id']}/rotate", 201, {"overlap_s": 30 * DAY_S})
    assert (await server.ask(f"GET /keys/{old['id']}", 200))["expires_at"] == old["expires_at"]


async def test_two_rotations_at_once_make_one_key(database: Database) -> None:
    old, _ = await Keys(database).create("crm", "sync", now=1.0)
    made = await asyncio.gather(*(Keys(database).rotate(old.id, 2.0, 10.0) for _ in range(4)))
    (new,) = [key for key in made if key is not None]
    assert {key.id for key in await Keys(database).all()} == {old.id, new[0].id}


BAD_KEYS: Final[list[tuple[dict[str, object], str, str]]] = [
    ({"role": "crm", "name": " "}, "name", "key_name"),
    ({"role": "crm", "name": "a\x00b"}, "name", "key_name"),
    ({"role": "crm", "name": "x" * 101}, "name", ""),
    ({"role": "agent", "name": "no agent!"}, "name", "key_of_agent"),
    ({"role": "god", "name": "x"}, "role", ""),
    ({"role": "crm", "name": "x", "days": 0}, "days", ""),
    ({"role": "crm", "name": "x", "days": 1e9}, "days", ""),
    ({"role": "crm", "name": "x", "tenant": "nowhere"}, "tenant", "no_tenant"),
    ({"role": "metrics", "name": "x", "tenant": "acme"}, "role", "key_metrics"),
    ({"role": "agent", "name": "eva", "tenant": "acme"}, "agent", "agent_of_tenant"),
]


async def test_what_cannot_be_a_key_is_said_by_field_and_code(server: Server) -> None:
    for body, field, code in BAD_KEYS:
        answer = await server.ask("POST /keys", 422, body)
        assert answer["details"].get("code", "") == code
        assert [row["field"] for row in answer["details"]["fields"]] == [field]
    assert len((await server.ask("GET /keys", 200))["items"]) == len(server.keys)


async def test_an_overlap_is_some_seconds(server: Server) -> None:
    made = await server.ask("POST /keys", 201, {"role": "crm", "name": "sync"})
    for overlap_s in (-1, 1e12, "soon", None):
        await server.ask(f"POST /keys/{made['id']}/rotate", 422, {"overlap_s": overlap_s})
    assert (await server.ask(f"GET /keys/{made['id']}", 200))["replaced_by"] is None


# ---- what is kept of secrets, and how often


async def test_a_repeated_request_makes_one_key_and_tells_it_once(server: Server) -> None:
    body = {"role": "crm", "name": "sync"}
    first = await server.ask("POST /keys", 201, body, Idempotency_Key="once")
    again = await server.ask("POST /keys", 201, body, Idempotency_Key="once")
    assert again == first | {"key": None}
    assert len((await server.ask("GET /keys", 200))["items"]) == len(server.keys) + 1
    for secret in (first["key"], *server.keys.values()):
        assert secret.encode() not in repr(server.idempotency._entries).encode()


async def test_nothing_of_a_password_is_kept_with_an_idempotency_key(server: Server) -> None:
    await server.ask("POST /users", 201, person("marta"), Idempotency_Key="once")
    other = str(GOOD).swapcase()
    again = await server.ask("POST /users", 201, person("marta", password=other), Idempotency_Key="once")
    assert again["name"] == "marta"  # told apart by length alone: there is no hash that could be tried out
    await server.ask("POST /users", 409, person("marta", password=other + "!"), Idempotency_Key="once")


async def test_whoever_orders_too_much_waits_and_the_others_do_not(server: Server) -> None:
    for _ in range(60):
        await server.ask("POST /keys/none/revoke", 404)
    answer = await server.ask("POST /users", 429, person("marta"))
    assert answer["details"]["code"] == "too_many_orders"
    await server.ask("POST /keys/none/revoke", 404, whose="acme")
    server.node.clock.advance(2.0)
    await server.ask("POST /users", 201, person("marta"))


async def test_pages_are_whole(server: Server) -> None:
    for n in range(5):
        server.node.clock.advance(1.0)
        await server.ask("POST /users", 201, person(f"user-{n}"))
    for what, name in (("users", "name"), ("keys", "id")):
        every = [row[name] for row in (await server.ask(f"GET /{what}", 200))["items"]]
        seen, cursor = [], ""
        while cursor is not None:
            page = await server.ask(f"GET /{what}?limit=2{cursor and f'&cursor={cursor}'}", 200)
            seen += [row[name] for row in page["items"]]
            cursor = page["next_cursor"]
        assert seen == every
        assert len(seen) >= 3
        await server.ask(f"GET /{what}?cursor=bm90aGluZw", 422)


# ---- tenants


async def test_a_tenants_manager_makes_its_own_alone(server: Server) -> None:
    key = await server.ask("POST /keys", 201, {"role": "crm", "name": "sync"}, "acme")
    assert key["tenant"] == "acme"
    user = await server.ask("POST /users", 201, person("acme--ana", role="manager"), "acme")
    assert user["tenant"] == "acme"
    for whose in ("beta", "nowhere"):
        for route, body in (
            ("POST /keys", {"role": "crm", "name": "x"}),
            ("POST /users", person("acme--x")),
        ):
            answer = await server.ask(route, 422, body | {"tenant": whose}, "acme")
            assert answer["details"]["code"] == "own_tenant"
    for name in ("ana", "beta--ana", "acme-ana"):
        answer = await server.ask("POST /users", 422, person(name), "acme")
        assert answer["details"] == {
            "code": "own_names",
            "arguments": {"beginning": "acme--"},
            "fields": answer["details"]["fields"],
        }
    await server.ask("POST /keys", 422, {"role": "agent", "name": "beta--eva"}, "acme")
    await server.ask("POST /users", 422, person("acme--eva", role="agent", agent="beta--eva"), "acme")
    await server.ask("POST /users/acme--ana/role", 422, {"role": "agent", "agent": "beta--eva"}, "acme")


async def test_a_tenants_manager_finds_and_changes_its_own_alone(server: Server) -> None:
    await server.ask("POST /users", 201, person("beta--ben"), "beta")
    await server.ask("POST /users", 201, person("marta"))
    theirs = [
        (await server.ask("POST /keys", 201, {"role": "crm", "name": "Magpie"}, whose))["id"] for whose in ("beta", "")
    ]
    before = await everything(server)
    for route, body in (
        ("GET /users/{}", None),
        ("POST /users/{}/disable", None),
        ("POST /users/{}/enable", None),
        ("POST /users/{}/role", {"role": "manager"}),
        ("POST /users/{}/password", {"password": BETTER}),
        ("DELETE /users/{}/second-factor", None),
    ):
        nobody = await server.ask(route.format("nobody"), 404, body, "acme")
        for name in ("beta--ben", "marta"):
            answer = await server.ask(route.format(name), 404, body, "acme")
            assert json.dumps(answer).replace(name, "nobody") == json.dumps(nobody)
    for route, body in (("GET /keys/{}", None), ("POST /keys/{}/rotate", {}), ("POST /keys/{}/revoke", None)):
        nothing = await server.ask(route.format("none"), 404, body, "acme")
        for id in theirs:
            answer = await server.ask(route.format(id), 404, body, "acme")
            assert json.dumps(answer).replace(id, "none") == json.dumps(nothing)
    for what in ("users", "keys"):
        found = (await server.ask(f"GET /{what}", 200, whose="acme"))["items"]
        assert {row["tenant"] for row in found} <= {"acme"}
    assert await everything(server) == before


async def everything(server: Server) -> list[dict[str, object]]:
    """All users and keys, but for when they were last used."""
    pages = [await server.ask(f"GET /{what}", 200) for what in ("users", "keys")]
    return [row | {"last_used_at": None} for page in pages for row in page["items"]]


async def test_the_installation_makes_users_and_keys_for_tenants(server: Server) -> None:
    await server.ask("POST /users", 201, person("ana", role="manager", tenant="acme"))
    made = await server.ask("POST /keys", 201, {"role": "manager", "name": "ana", "tenant": "acme"})
    found = (await server.by(made["key"], "GET /users", 200))["items"]
    assert [row["name"] for row in found] == ["ana"]
    new = await server.by(made["key"], f"POST /keys/{made['id']}/rotate", 201, {})
    assert new["tenant"] == "acme"
