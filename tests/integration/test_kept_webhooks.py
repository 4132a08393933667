"""Webhooks made while the node runs: to a real HTTP server, signed and sealed, and never into the own house."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
from sqlalchemy import text

from dialer.api.app import create_app
from dialer.api.key_ports import Role
from dialer.crm.webhooks import WebhookFeed
from dialer.queues.streams import Message
from dialer.runtime.webhooks import StoredWebhookBook
from dialer.settings import Outbound, Settings
from dialer.storage.database import Database
from dialer.storage.field_seal import FieldSeal
from dialer.storage.resealing import reseal, unsealed_webhooks
from dialer.storage.tenants import Tenants
from dialer.storage.webhook_book import WebhookBook
from dialer.storage.webhooks import DeliveryState, Webhooks
from dialer.testing import FakeNode
from tests.asgi import client
from tests.integration.test_webhook_deliveries import Receiver, deliver, receiving

LOOPBACK: Final = ("127.0.0.0/8", "::1")
FIRST_KEY, SECOND_KEY = b"1" * 32, b"2" * 32


@pytest.fixture
async def database(tmp_path: Path, sqlite_url: str) -> AsyncIterator[Database]:
    database = Database(sqlite_url)
    try:
        await Tenants(database).create("acme", 1.0)
        yield database
    finally:
        await database.close()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as found:
        yield found


@pytest.fixture
def configure(tmp_path: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Writes the settings file that jobs read."""

    def write(**outbound: tuple[str, ...]) -> None:
        lines = [f'[database]\nurl = "{sqlite_url}"\n[redis]\nurl = "redis://127.0.0.1:1/0"\n[outbound]']
        lines += [f"{name} = {json.dumps(list(networks))}" for name, networks in outbound.items()]
        path = tmp_path / "jobs.toml"
        path.write_text("\n".join(lines), encoding="utf-8")
        monkeypatch.setenv("CADENCIA_CONFIG", str(path))

    return write


def book(database: Database, now: float = 1.0, **outbound: tuple[str, ...]) -> StoredWebhookBook:
    return StoredWebhookBook(database, Outbound(**outbound), lambda: now)


async def tell(database: Database, number: int = 1) -> None:
    """A result of the tenant's, onto the way to its webhooks."""
    result = {"type": "call.ended", "campaign": "acme--winter", "contact": f"crm-{number}"}
    feed = WebhookFeed([], Webhooks(database), lambda: None, lambda: 1_000.0, WebhookBook(database))
    await feed.handle_results([Message(id=f"177237720000{number}-0", data=json.dumps(result).encode())])


def signed_with(secret: str, headers: dict[str, str], body: str) -> bool:
    key = base64.b64decode(secret.removeprefix("whsec_"))
    text = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.{body}"
    digest = base64.b64encode(hmac.digest(key, text.encode(), "sha256")).decode()
    return f"v1,{digest}" in headers["webhook-signature"].split(" ")


# ---- on the wire


async def test_it_is_told_with_a_secret_of_its_own_and_with_two_while_they_change(
    database: Database, receiver: Receiver, configure: Callable[..., None]
) -> None:
    configure(for_tenants=LOOPBACK)
    hooks = book(database, for_tenants=LOOPBACK)
    made, secret = await hooks.create(receiver.url, ["call.ended"], tenant="acme")
    await tell(database)
    assert await deliver() == {"delivered": 1}
    rotated = await hooks.rotate(made.id, 1e12)
    assert rotated is not None
    await tell(database, 2)
    assert await deliver() == {"delivered": 1}
    assert await hooks.rotate(made.id, 0.0) is not None
    await tell(database, 3)
    assert await deliver() == {"delivered": 1}
    signatures = [[signed_with(key, *request) for key in (secret, rotated[1])] for request in receiver.requests]
    assert signatures == [[True, False], [True, True], [False, False]]


async def test_a_tenant_is_not_led_where_the_installation_may_go(
    database: Database, receiver: Receiver, configure: Callable[..., None]
) -> None:
    configure(internal=LOOPBACK)
    # A name is not looked up until it is called.
    named = receiver.url.replace("127.0.0.1", "localhost")
    made, _ = await book(database).create(named, [], tenant="acme")
    await tell(database)
    assert await deliver() == {"put_off": 1}
    assert receiver.requests == []
    (waiting,) = (await Webhooks(database).page_of("acme", DeliveryState.WAITING)).items
    assert waiting.url == made.id
    assert "internal address" in waiting.last_error.says


async def test_what_waits_goes_to_the_new_address_and_ends_with_the_webhook(
    database: Database, receiver: Receiver, configure: Callable[..., None]
) -> None:
    configure(for_tenants=LOOPBACK)
    hooks = book(database, for_tenants=LOOPBACK)
    made, _ = await hooks.create("http://127.0.0.1:1/old", [], tenant="acme")
    await tell(database)
    assert await deliver() == {"put_off": 1}
    assert await hooks.change(made.id, receiver.url, []) is not None
    async with database.write() as connection:
        await connection.execute(text("UPDATE webhook_deliveries SET next_at = 0"))
    assert await deliver() == {"delivered": 1}
    assert len(receiver.requests) == 1
    await tell(database, 2)
    assert await hooks.delete(made.id)
    assert await deliver() == {"given_up": 1}
    await tell(database, 3)
    assert await deliver() == {}
    assert await Webhooks(database).again_of("beta", None, 0.0) == 0
    assert await Webhooks(database).again_of("acme", None, 0.0) == 1


# ---- at rest


async def test_secrets_are_sealed_and_sealed_anew(database: Database, sqlite_url: str) -> None:
    made, secret = await book(database).create("https://crm.example/", [], tenant="acme")
    for keys, unsealed in (([FIRST_KEY], 1), ([SECOND_KEY, FIRST_KEY], 2)):
        seal = FieldSeal(keys)
        sealed = Database(sqlite_url, seal=seal)
        try:
            assert await unsealed_webhooks(sealed, seal) == unsealed
            assert (await reseal(sealed)).webhooks == 1
            assert await unsealed_webhooks(sealed, seal) == 0
            rotated = await book(sealed).rotate(made.id, 1e12)
            assert rotated is not None
            kept = await WebhookBook(sealed).get(made.id)
            assert kept is not None
            assert kept.secrets_at(1.0) == (rotated[1], secret)
            async with database.read() as connection:
                row = (await connection.execute(text("SELECT secret, former_secret FROM webhooks"))).one()
            assert all(each.startswith("sealed:v1:") for each in row)
            secret = rotated[1]
        finally:
            await sealed.close()


# ---- by the API

BAD_URLS: Final = (
    "ftp://crm.example/x",
    "javascript:alert(1)",
    "https://",
    "https:///x",
    "https://user:word@crm.example/x",
    "https://crm.example:99999/x",
    "https://crm.example/x#part",
    "https://crm.example/a b",
    "https://crm.example/\r\nX-Header: 1",
    "https://crm.example/ñ",
    "http://127.0.0.1/x",
    "http://[::1]/x",
    "http://10.0.0.8/x",
    "http://169.254.169.254/latest",
    "http://[::ffff:127.0.0.1]/x",
    "http://2130706433/x",
    "http://0/x",
    "https://crm.example/" + "x" * 2_000,
    "",
)


class Api:
    """The routes on a database, and a manager of the tenant."""

    def __init__(self, folder: Path, database: Database) -> None:
        node = FakeNode(folder)
        self.node, self.clock = node, node.clock
        issued = node.keys.issue("boss", Role.MANAGER)
        node.keys.keys[issued.digest] = replace(issued, tenant="acme")
        node.ports = replace(node.ports, webhook_book=StoredWebhookBook(database, Outbound(), node.clock.now))
        self.app = create_app(node.ports, Settings())

    async def ask(self, route: str, status: int, body: object = None) -> Any:
        method, _, path = route.partition(" ")
        async with client(self.app) as http:
            options: Any = {} if body is None else {"json": body}
            headers = {"Authorization": "Bearer boss"}
            answer = await http.request(method, f"/api/v1{path}", headers=headers, **options)
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None


@pytest.fixture
def api(tmp_path: Path, database: Database) -> Api:
    return Api(tmp_path, database)


async def test_only_an_address_outside_can_be_told(api: Api) -> None:
    for url in BAD_URLS:
        answer = await api.ask("POST /webhooks", 422, {"url": url})
        assert [row["field"] for row in answer["details"]["fields"]] == ["url"], url
    for types in (["call.exploded"], [7], "call.ended"):
        await api.ask("POST /webhooks", 422, {"url": "https://crm.example/", "types": types})
    assert (await api.ask("GET /webhooks", 200))["items"] == []


async def test_a_secret_is_told_once_and_the_address_is_in_no_log(api: Api) -> None:
    body = {"url": "https://crm.example/hook?key=Magpie", "types": ["call.ended", "call.ended"]}
    made = await api.ask("POST /webhooks", 201, body)
    assert made["types"] == ["call.ended"]
    changed = await api.ask(f"PATCH /webhooks/{made['id']}", 200, {"types": []})
    assert (changed["url"], changed["types"]) == (body["url"], [])
    rotated = await api.ask(f"POST /webhooks/{made['id']}/rotate", 201, {"overlap_s": 60})
    assert rotated["secret"] != made["secret"]
    found = await api.ask(f"GET /webhooks/{made['id']}", 200)
    assert "secret" not in found
    assert found["former_until"] is not None
    api.clock.advance(60.0)
    assert (await api.ask(f"GET /webhooks/{made['id']}", 200))["former_until"] is None
    await api.ask(f"DELETE /webhooks/{made['id']}", 204)
    for route, more in (("GET", None), ("PATCH", {}), ("DELETE", None)):
        answer = await api.ask(f"{route} /webhooks/{made['id']}", 404, more)
        assert answer["details"]["code"] == "no_webhook"
    noted = [(note.action, note.object) for note in api.node.audit.notes if note.outcome == "ok"]
    done = ("created", "changed", "rotated", "deleted")
    assert noted == [(f"webhook.{what}", f"webhook:{made['id']}") for what in done]
    assert "Magpie" not in repr(api.node.audit.notes)


async def test_there_is_an_end_to_how_many(api: Api) -> None:
    for n in range(20):
        await api.ask("POST /webhooks", 201, {"url": f"https://crm.example/{n}"})
    answer = await api.ask("POST /webhooks", 422, {"url": "https://crm.example/one-more"})
    assert answer["details"]["code"] == "webhooks_full"
