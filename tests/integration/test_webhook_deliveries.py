"""Results to webhooks, from the stream to a real HTTP server, with receivers that fail in every way."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from dialer.core.saying import Saying
from dialer.crm.webhooks import (
    RETRIES_S,
    WebhookFeed,
    check_webhook,
    delivery_id,
    former_id,
    headers_of,
    retry_at,
)
from dialer.errors import ConfigError
from dialer.queues.result_keys import result_key
from dialer.queues.streams import Message
from dialer.settings import Webhook
from dialer.storage.database import Database
from dialer.storage.schema import migrate
from dialer.storage.webhooks import Delivery, DeliveryState, Webhooks
from tests.e2e.floor import until
from tests.patience import PATIENCE_S
from workers.jobs.webhooks import deliver_due

SECRET = "whsec_" + base64.b64encode(b"a secret of some length").decode()


class Receiver:
    """A CRM's side: answers with the statuses it was given, then with 200."""

    def __init__(self) -> None:
        self.requests: list[tuple[dict[str, str], str]] = []
        self.answers: list[web.Response] = []
        self.url = ""
        self.delay_s = 0.0
        #: Whoever asks with ``?slow`` is answered then, and refused.
        self.slow_may_end = asyncio.Event()
        self.refuse: Callable[[Any], bool] | None = None

    async def handle(self, request: web.Request) -> web.Response:
        headers = {k.lower(): v for k, v in request.headers.items()} | {"x-query": request.query_string}
        body = await request.text()
        self.requests.append((headers, body))
        if "slow" in request.query:
            await self.slow_may_end.wait()
            return web.Response(status=500)
        await asyncio.sleep(self.delay_s)
        if self.refuse is not None and self.refuse(json.loads(body)):
            return web.Response(status=500)
        return self.answers.pop(0) if self.answers else web.Response()


@contextlib.asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """A receiver on a port of its own."""
    receiver = Receiver()
    application = web.Application()
    application.router.add_post("/hook", receiver.handle)
    runner = web.AppRunner(application, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    receiver.url = f"http://{host}:{port}/hook"
    try:
        yield receiver
    finally:
        await runner.cleanup()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as found:
        yield found


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(f"sqlite:///{tmp_path}/record.db")
    await migrate(database)
    yield database
    await database.close()


@pytest.fixture
def configure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Writes the settings file that jobs read."""

    def write(*webhooks: Webhook, internal: Sequence[str] = ("127.0.0.0/8", "::1")) -> None:
        lines = [f'[database]\nurl = "sqlite:///{tmp_path}/record.db"\n[redis]\nurl = "redis://127.0.0.1:1/0"']
        lines.append(f"[outbound]\ninternal = {json.dumps(list(internal))}")
        lines += [
            f'[[webhooks]]\nurl = "{hook.url}"\nsecret = "{hook.secret}"\ntimeout_s = {hook.timeout_s}'
            for hook in webhooks
        ]
        path = tmp_path / "cadencia.toml"
        path.write_text("\n".join(lines), encoding="utf-8")
        monkeypatch.setenv("CADENCIA_CONFIG", str(path))

    return write


def result(number: int, kind: str = "call.ended") -> Message:
    data = json.dumps({"type": kind, "at": "2026-03-01T15:00:00.000000Z", "contact": f"crm-{number}", "name": "Ñ"})
    return Message(id=f"177237720000{number}-0", data=data.encode())


def id_of(message: Message, url: str) -> str:
    return delivery_id(result_key(message.data), url)


class Wakes:
    """Counts how often the workers were woken."""

    def __init__(self) -> None:
        self.count = 0
        self.some = asyncio.Event()

    def __call__(self) -> None:
        self.count += 1
        self.some.set()


def feed(database: Database, *webhooks: Webhook, wake: Wakes | None = None) -> WebhookFeed:
    return WebhookFeed(webhooks, Webhooks(database), wake or Wakes(), lambda: 1_000.0)


async def deliver() -> dict[str, int]:
    # As a worker does: in a process without a running loop.
    return await asyncio.to_thread(deliver_due)


async def test_a_result_is_delivered_once_signed_and_with_its_key(
    database: Database, receiver: Receiver, configure: Callable[..., None]
) -> None:
    webhook, wake = Webhook(url=receiver.url, secret=SECRET), Wakes()
    configure(webhook)
    feeding = feed(database, webhook, wake=wake)
    await feeding.handle_results([result(1)])
    await feeding.handle_results([result(1)])  # the stream hands it out again after a crash
    assert wake.count

    assert await deliver() == {"delivered": 1}
    assert await deliver() == {}
    ((headers, body),) = receiver.requests
    assert body == result(1).data.decode()
    key = id_of(result(1), receiver.url)
    assert headers["idempotency-key"] == headers["webhook-id"] == key
    signed = f"{key}.{headers['webhook-timestamp']}.{body}".encode()
    expected = base64.b64encode(hmac.new(b"a secret of some length", signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    delivery = await Webhooks(database).get(key)
    assert delivery is not None
    assert delivery.state is DeliveryState.DELIVERED


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (web.Response(status=500), "the receiver answered 500"),
        (web.Response(status=404), "the receiver answered 404"),
        (web.Response(status=302, headers={"location": "/hook"}), "the receiver answered 302"),
        (web.Response(status=429, headers={"retry-after": "3600"}), "the receiver answered 429"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_refusal_is_noted_and_tried_again_later(
    database: Database, receiver: Receiver, configure: Callable[..., None], answer: web.Response, error: str
) -> None:
    webhook = Webhook(url=receiver.url)
    configure(webhook)
    await feed(database, webhook).handle_results([result(1)])
    receiver.answers = [answer]
    assert await deliver() == {"put_off": 1}
    assert len(receiver.requests) == 1
    record = Webhooks(database)
    key = id_of(result(1), receiver.url)
    delivery = await record.get(key)
    assert delivery is not None
    assert (delivery.state, delivery.attempts, delivery.last_error.says) == (DeliveryState.WAITING, 1, error)
    # Not due yet; when it is, the receiver gets the same request again, and has it.
    assert await deliver() == {}
    await record.failed(key, Saying(error), now=0.0, retry_at=0.0)
    assert await deliver() == {"delivered": 1}
    assert receiver.requests[0][0]["idempotency-key"] == receiver.requests[1][0]["idempotency-key"]


async def test_a_receiver_that_is_not_there_or_never_answers_is_told_without_its_address(
    database: Database, receiver: Receiver, configure: Callable[..., None]
) -> None:
    nobody = Webhook(url="http://127.0.0.1:1/token-in-the-path")
    slow = Webhook(url=receiver.url, timeout_s=0.2)
    receiver.delay_s = 0.5
    configure(nobody, slow)
    await feed(database, nobody, slow).handle_results([result(1)])
    assert await deliver() == {"put_off": 2}
    errors = []
    for webhook in (nobody, slow):
        delivery = await Webhooks(database).get(id_of(result(1), webhook.url))
        assert delivery is not None
        errors.append(delivery.last_error.says)
    assert "token" not in errors[0]
    assert errors[0].startswith("ClientConnectorError")
    assert errors[1] == "no answer within 0.2 s"


async def test_what_is_told_of_one_contact_comes_in_order_and_holds_back_nobody_else(
    database: Database, receiver: Receiver, configure: Callable[..., None]
) -> None:
    webhook = Webhook(url=receiver.url)
    configure(webhook)

    def told(number: int, contact: str) -> Message:
        data = {"type": "t", "campaign": "winter", "contact": contact, "n": number}
        return Message(id=f"1000-{number}", data=json.dumps(data).encode())

    messages = [told(n, "a" if n % 2 else "b") for n in range(20)]
    await feed(database, webhook).handle_results(messages[::-1])  # read in whatever order
    receiver.refuse = lambda body: body["n"] == 5
    assert await deliver() == {"delivered": 12, "put_off": 1}
    numbers = [json.loads(body)["n"] for _, body in receiver.requests]
    assert [n for n in numbers if n % 2 == 0] == list(range(0, 20, 2))
    assert [n for n in numbers if n % 2] == [1, 3, 5]
    receiver.requests.clear()
    receiver.refuse = None
    record = Webhooks(database)
    await record.failed(id_of(told(5, "a"), receiver.url), Saying("before"), now=0.0, retry_at=0.0)
    assert await deliver() == {"delivered": 8}
    assert [json.loads(body)["n"] for _, body in receiver.requests] == list(range(5, 20, 2))


async def test_a_result_that_is_told_again_is_the_delivery_that_it_was(database: Database) -> None:
    """Its place in the stream is another one."""
    webhook, record = Webhook(url="http://a.example/"), Webhooks(database)
    ended = b'{"type": "call.ended", "call": "n-1", "at": "2026-03-01T15:00:00.000000Z", "contact": "crm-1"}'
    closed = ended.replace(b"ended", b"disposed")
    again = [ended, closed, ended.replace(b"crm-1", b"crm-1 "), closed, closed.replace(b"15:00", b"15:01")]
    await feed(database, webhook).handle_results([Message(id="1000-0", data=ended), Message(id="1000-1", data=closed)])
    (first, _) = (await record.page(DeliveryState.WAITING)).items
    await record.delivered(first.id, 1_001.0)
    await feed(database, webhook).handle_results([Message(id=f"2000-{n}", data=data) for n, data in enumerate(again)])
    # Of the code that was given at another moment, there is one more.
    waiting = (await record.page(DeliveryState.WAITING)).items
    assert sorted(each.position.lstrip("0")[:4] for each in waiting) == ["1000", "2000"]
    assert (await record.page(DeliveryState.DELIVERED)).items[0].id == first.id


async def test_what_an_earlier_version_noted_is_not_delivered_once_more(database: Database) -> None:
    """It died, or was replaced, before it could acknowledge."""
    webhook, record = Webhook(url="http://a.example/"), Webhooks(database)
    noted, other = result(1), result(2)
    former = former_id(noted.id, webhook.url)
    await record.add([Delivery(id=former, url=webhook.url, type="call.ended", payload="{}", next_at=1.0)], 1.0)
    await feed(database, webhook).handle_results([replace(noted, deliveries=2), replace(other, deliveries=2)])
    waiting = (await record.page(DeliveryState.WAITING)).items
    assert [each.id for each in waiting] == [former, id_of(other, webhook.url)]


async def test_a_slow_receiver_takes_nothing_from_the_others(
    database: Database, receiver: Receiver, configure: Callable[..., None]
) -> None:
    slow, quick = Webhook(url=f"{receiver.url}?slow=1", timeout_s=30.0), Webhook(url=receiver.url)
    configure(slow, quick)
    messages = [Message(id=f"{n}-0", data=json.dumps({"type": "t", "n": n}).encode()) for n in range(16)]
    await feed(database, slow, quick).handle_results(messages)
    late = asyncio.ensure_future(deliver())

    def told() -> list[int]:
        return [json.loads(body)["n"] for headers, body in receiver.requests if headers["x-query"] == ""]

    # Told while the slow one is being waited for, in the very same job.
    await until(lambda: len(told()) == 16, "all for the quick one")
    await feed(database, quick).handle_results([Message(id="99-0", data=b'{"type": "t", "n": 99}')])
    await until(lambda: 99 in told(), "what came meanwhile")
    assert not late.done()
    receiver.slow_may_end.set()
    assert await late == {"delivered": 17, "put_off": 16}
    assert sorted(told()) == [*range(16), 99]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"])
async def test_an_internal_address_is_refused_unless_it_is_allowed(
    database: Database, receiver: Receiver, configure: Callable[..., None], host: str
) -> None:
    webhook = Webhook(url=receiver.url.replace("127.0.0.1", host))
    configure(webhook, internal=["10.0.0.0/8"])
    await feed(database, webhook).handle_results([result(1)])
    assert await deliver() == {"put_off": 1}
    assert not receiver.requests
    record = Webhooks(database)
    (delivery,) = (await record.page(DeliveryState.WAITING)).items
    assert "internal address" in delivery.last_error.says
    if "ffff" not in host:  # the receiver listens on IPv4 alone
        configure(webhook)
        await record.failed(delivery.id, Saying("before"), now=0.0, retry_at=0.0)
        assert await deliver() == {"delivered": 1}


async def test_keys_are_changed_without_a_gap(
    database: Database, receiver: Receiver, configure: Callable[..., None]
) -> None:
    delivery = Delivery(id="d", url="", type="t", payload="{}", next_at=0.0)
    (old,) = headers_of(delivery, ["old"], 1_000.0)["webhook-signature"].split()
    (new,) = headers_of(delivery, ["new"], 1_000.0)["webhook-signature"].split()
    assert headers_of(delivery, ["new", "old"], 1_000.0)["webhook-signature"].split() == [new, old]
    assert "webhook-signature" not in headers_of(delivery, [""], 1_000.0)


async def test_what_was_given_up_is_taken_up_again(
    database: Database, receiver: Receiver, configure: Callable[..., None]
) -> None:
    configure()
    await feed(database, Webhook(url=receiver.url)).handle_results([result(1), result(2)])
    assert await deliver() == {"given_up": 2}
    record = Webhooks(database)
    first = await record.page(DeliveryState.FAILED, limit=1)
    second = await record.page(DeliveryState.FAILED, limit=1, cursor=first.next)
    assert second.next is None
    assert {first.items[0].last_error.says, second.items[0].last_error.says} == {"there is no such webhook any more"}
    configure(Webhook(url=receiver.url))
    assert await record.again([first.items[0].id, "nobody"], 0.0) == 1
    assert await deliver() == {"delivered": 1}
    assert await record.again(None, 0.0) == 1
    assert await deliver() == {"delivered": 1}
    assert len({headers["webhook-id"] for headers, _ in receiver.requests}) == 2


async def test_what_fails_for_days_is_given_up_and_kept(
    database: Database, receiver: Receiver, configure: Callable[..., None]
) -> None:
    webhook = Webhook(url=receiver.url)
    configure(webhook)
    record = Webhooks(database)
    await feed(database, webhook).handle_results([result(1)])
    key = id_of(result(1), receiver.url)
    for _ in RETRIES_S:
        await record.failed(key, Saying("before"), now=0.0, retry_at=0.0)
    receiver.answers = [web.Response(status=503)]
    assert await deliver() == {"given_up": 1}
    delivery = await record.get(key)
    assert delivery is not None
    assert (delivery.state, delivery.last_error.says) == (DeliveryState.FAILED, "the receiver answered 503")
    assert await deliver() == {}


async def test_a_webhook_that_left_the_settings_gets_nothing(
    database: Database, receiver: Receiver, configure: Callable[..., None]
) -> None:
    configure()
    await feed(database, Webhook(url=receiver.url)).handle_results([result(1)])
    assert await deliver() == {"given_up": 1}
    assert not receiver.requests


async def test_each_webhook_gets_the_types_it_wants_and_garbage_goes_nowhere(database: Database) -> None:
    everything = Webhook(url="http://a.example/")
    ends = Webhook(url="http://b.example/", types=("call.ended",))
    messages = [
        result(1),
        result(2, "call.started"),
        Message(id="1-0", data=b"not json"),
        Message(id="2-0", data=b'{"type": 17}'),
    ]
    await feed(database, everything, ends).handle_results(messages)
    record = Webhooks(database)
    due = [d for hook in (everything, ends) for d in await record.claim(hook.url, 2_000.0, 100, 10.0)]
    assert [(d.url, d.type) for d in sorted(due, key=lambda d: (d.url, d.position))] == [
        ("http://a.example/", "call.ended"),
        ("http://a.example/", "call.started"),
        ("http://b.example/", "call.ended"),
    ]


async def test_hundreds_are_delivered_by_one_job(
    database: Database, receiver: Receiver, configure: Callable[..., None]
) -> None:
    webhook = Webhook(url=receiver.url, secret="plain")
    configure(webhook)
    messages = [Message(id=f"{n}-0", data=json.dumps({"type": "t", "n": n}).encode()) for n in range(450)]
    await feed(database, webhook).handle_results(messages)
    assert await deliver() == {"delivered": 450}
    assert sorted(json.loads(body)["n"] for _, body in receiver.requests) == list(range(450))


async def test_workers_are_woken_for_retries(database: Database) -> None:
    wake = Wakes()
    waking = asyncio.ensure_future(feed(database, wake=wake).wake_regularly(every_s=0.001))
    async with asyncio.timeout(PATIENCE_S):
        await wake.some.wait()
    waking.cancel()
    assert wake.count


def test_the_delays_grow_and_end() -> None:
    moments = [retry_at(attempts, 0.0) for attempts in range(1, len(RETRIES_S) + 2)]
    assert moments[:-1] == [float(delay) for delay in RETRIES_S] == sorted(float(delay) for delay in RETRIES_S)
    assert moments[-1] is None
    assert retry_at(1, 0.0, asked_s=3_600.0) == 3_600.0
    assert retry_at(1, 0.0, asked_s=1e12) == 86_400.0


@pytest.mark.parametrize(
    ("webhook", "says"),
    [
        (Webhook(url="ftp://x"), "http://"),
        (Webhook(url="crm.example"), "http://"),
        (Webhook(url="https://x", secret="whsec_???"), "base64"),
    ],
)
def test_a_webhook_that_cannot_be_called_stops_the_start(webhook: Webhook, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        check_webhook(webhook)


def test_the_signature_is_that_of_the_standard() -> None:
    # Example of the specification of Standard Webhooks 1.0, "Signature scheme".
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    payload = '{"test": 2432232314}'
    delivery: Any = Delivery(id="msg_p5jXN8AQM9LWM0D4loKWxJek", url="", type="", payload=payload, next_at=0.0)
    headers = headers_of(delivery, [secret], 1_614_265_330.0)
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
