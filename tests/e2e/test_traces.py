"""A call from the push to its disposition and to the webhook, as a collector sees it; and nobody's number among it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from dialer.client.wire import send
from dialer.core.ids import CallId, ContactId
from dialer.queues.embedded import EmbeddedServer
from dialer.settings import Outbound, Tracing, Webhook
from dialer.simulation.world import Fate, Reaction
from dialer.tracing.places import read_traceparent
from dialer.tracing.site import TracingSite
from tests.collector import Collector, Received, collector
from tests.e2e.floor import CAMPAIGN, Floor, database_url, floor, person, phone, until
from tests.e2e.test_crm import crm_of
from workers.jobs.imports import import_list
from workers.jobs.webhooks import deliver_due

pytestmark = pytest.mark.slow

#: As the CRM's own tracing would write it.
ASKED = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
#: A CRM may well take the number for an id.
WHO = "+34611222333"
CODES = [{"code": "SOLD", "category": "sale", "is_sale": True, "is_contact": True}]


class Crm:
    """Takes results, but for one."""

    def __init__(self) -> None:
        self.url = ""
        self.got: list[tuple[str, dict[str, Any]]] = []

    async def handle(self, request: web.Request) -> web.Response:
        result = json.loads(await request.text())
        self.got.append((request.headers.get("traceparent", ""), result))
        return web.Response(status=500 if result.get("ref") == "d-2" else 200)


@asynccontextmanager
async def crm() -> AsyncIterator[Crm]:
    made = Crm()
    application = web.Application()
    application.router.add_post("/hook/a-token-in-the-path", made.handle)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        made.url = f"http://{host}:{port}/hook/a-token-in-the-path"
        yield made
    finally:
        await runner.cleanup()


def configure(folder: Path, site: Floor, there: Collector, hook: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings file of the workers."""
    (folder / "cadencia.toml").write_text(
        f"""
[database]
url = "{database_url(folder)}"
[redis]
url = "{site.server.url}"
[outbound]
internal = ["127.0.0.0/8"]
[[webhooks]]
url = "{hook}"
types = ["call.connected", "call.ended", "call.disposed"]
[tracing]
endpoint = "{there.url}"
headers.authorization = "Bearer sesame"
""",
        encoding="utf-8",
    )
    monkeypatch.setenv("CADENCIA_CONFIG", str(folder / "cadencia.toml"))


async def test_a_call_is_one_trace_from_push_to_webhook(
    tmp_path: Path, own_valkey: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy = Fate(reaction=Reaction.BUSY, post_dial_s=0.05, ring_s=0.0, talk_s=0.0, patience_s=0.0)
    fates = {1: person(ring_s=0.2, talk_s=0.3), 2: busy}
    with collector() as there:
        async with crm() as receiver:
            more = {
                "tracing": Tracing(endpoint=there.url, headers={"authorization": "Bearer sesame"}),
                "webhooks": (Webhook(url=receiver.url, types=("call.connected", "call.ended", "call.disposed")),),
                "outbound": Outbound(internal=("127.0.0.0/8",)),
            }
            async with floor(tmp_path, own_valkey, fates=fates, more=more) as site, crm_of(site) as (client, key):
                configure(tmp_path, site, there, receiver.url, monkeypatch)
                await site.begin(agents=1, campaign={"dispositions": CODES, "wrapup_limit_s": None})
                await site.node.gatekeeper.wait_open()
                # one by REST, by a CRM that traces too
                row = {"id": WHO, "phones": [phone(1)], "name": "Núria Puig", "fields": {"debt": "D-77431"}}
                async with (
                    aiohttp.ClientSession() as session,
                    session.post(
                        f"{site.node.api_url}/api/v1/campaigns/{CAMPAIGN}/contacts",
                        data=json.dumps(row),
                        headers={
                            "authorization": f"Bearer {key}",
                            "content-type": "application/x-ndjson",
                            "traceparent": ASKED,
                        },
                    ) as answer,
                ):
                    assert answer.status == 200, await answer.text()
                talked = (await site.wait("call.connected", contact=WHO))["call"]
                await site.wait("call.ended", call=talked)
                sold = {"call": talked, "code": "SOLD", "notes": "paid by Núria", "id": "d-1"}
                await client.request(send("POST", "/dispositions", sold))
                await site.wait("call.disposed", ref="d-1")
                floor_now = site.node.dispatcher.engine.floor
                await until(lambda: all(agent.call is None for agent in floor_now.roster), "the wrap-up's end")
                # a change when all is over, of which the engine does not tell
                await client.request(send("POST", "/dispositions", {**sold, "id": "d-2"}))
                await site.wait("call.disposed", ref="d-2")
                # one from a file
                (tmp_path / "list.csv").write_text(f"id,phone\ncrm-2,{phone(2)}\n", encoding="utf-8")
                read = await asyncio.to_thread(import_list, "list-1", CAMPAIGN, str(tmp_path / "list.csv"))
                assert read["accepted"] == 1, read
                engaged = (await site.wait("call.ended", contact="crm-2"))["call"]

                async def delivered() -> bool:
                    await asyncio.to_thread(deliver_due)
                    got = [result for _, result in receiver.got]
                    return any(x["call"] == engaged for x in got) and any(x.get("ref") == "d-2" for x in got)

                await until(delivered, "webhooks")
                await site.settle()
                attempts = {attempt.call: attempt for attempt in await site.attempts()}
                opened = await TracingSite.open(site.settings, site.node.database, lambda _outcome, _count: None, 0.0)
                assert opened is not None
                await opened.close()
        # closed: everything has been sent
        check(there, receiver, opened, attempts, talked, engaged)
        for secret in (
            *(WHO, WHO[1:], phone(1), phone(1)[1:], phone(2), phone(2)[1:], "Núria", "Puig", "D-77431"),
            *("agent01", "sesame", key, "a-token-in-the-path", "paid by", str(tmp_path)),
        ):
            assert all(secret.encode() not in body for body in there.bodies), secret
        assert all(headers["authorization"] == "Bearer sesame" for headers in there.headers)


def check(
    there: Collector, receiver: Crm, opened: TracingSite, attempts: dict[CallId, Any], talked: str, engaged: str
) -> None:
    places, spans = opened.places, there.spans
    assert len({span.place for span in spans}) == len(spans), "each span is one"

    def of(call: str) -> dict[str, list[Received]]:
        found: dict[str, list[Received]] = {}
        for span in spans:
            if span.place.trace == places.call(CallId(call)).trace:
                found.setdefault(span.name, []).append(span)
        return found

    # how they came
    came = {span.place: span for span in spans if span.name == "contact"}
    pushed = came[places.contact(CAMPAIGN, ContactId(WHO))]
    assert pushed.links == (read_traceparent(ASKED),)
    assert pushed.attributes == {"cadencia.campaign": CAMPAIGN, "cadencia.offered": "added"}
    imported = came[places.contact(CAMPAIGN, ContactId("crm-2"))]
    [whole] = [span for span in spans if span.name == "import"]
    assert imported.links == (whole.place,) == (places.list("list-1"),)
    assert (whole.attributes["cadencia.accepted"], whole.attributes["cadencia.list"]) == (1, "list-1")
    # the talk
    steps = of(talked)
    assert {name: len(found) for name, found in steps.items() if name != "deliver"} == {
        **dict.fromkeys(("attempt", "request", "gate", "dial", "ring", "wait", "agent", "talk"), 1),
        "wrap-up": 1,
        "disposition": 2,
    }
    [root], attempt = steps["attempt"], attempts[CallId(talked)]
    assert (root.place, root.parent, root.links) == (places.call(CallId(talked)), 0, (pushed.place,))
    assert {span.parent for found in steps.values() for span in found} == {0, root.place.span}
    assert root.attributes["cadencia.outcome"] == "connected"
    assert root.attributes["cadencia.call"] == talked
    assert root.attributes["cadencia.trunk"] == "carrier"
    assert root.resource["service.instance.id"] == "n1"
    for name, began_at, over_at in (
        ("dial", attempt.started_at, attempt.ringing_at),
        ("ring", attempt.ringing_at, attempt.answered_at),
        ("talk", attempt.connected_at, attempt.ended_at),
    ):
        [step] = steps[name]
        assert (step.started_ns, step.ended_ns) == (round(began_at * 1e6) * 1_000, round(over_at * 1e6) * 1_000)
    [asked], [gate], [dial] = steps["request"], steps["gate"], steps["dial"]
    assert root.started_ns == asked.started_ns <= asked.ended_ns == gate.started_ns
    assert gate.ended_ns == dial.started_ns
    assert (asked.attributes["cadencia.requested"], gate.attributes["cadencia.granted"]) == (1, 1)
    assert gate.attributes["cadencia.zones"] == ("Europe/Madrid",)
    assert gate.attributes["cadencia.rule_book"]
    [wrapup] = steps["wrap-up"]
    assert wrapup.started_ns >= root.ended_ns
    assert {span.attributes["cadencia.code"] for span in steps["disposition"]} == {"SOLD"}
    # what the CRM was told of it, and may go on with
    told = {header for header, result in receiver.got if result.get("call") == talked}
    made = {read_traceparent(header) for header in told}
    assert made == {span.place for span in steps["deliver"]}
    assert {span.kind for span in steps["deliver"]} == {3}
    tries = [span for span in steps["deliver"] if span.failed]
    assert [(span.error, span.attributes["cadencia.try"]) for span in tries] == [("the receiver answered 500", 1)]
    assert {span.attributes["server.address"] for span in steps["deliver"]} == {"127.0.0.1"}
    assert {span.attributes["cadencia.result"] for span in steps["deliver"]} == {
        *("call.connected", "call.ended", "call.disposed")
    }
    # the one that was engaged
    steps = of(engaged)
    assert {"attempt", "request", "gate", "dial", "deliver"} <= set(steps)
    assert not {"talk", "wait", "wrap-up", "disposition"} & set(steps)
    [root] = steps["attempt"]
    assert (root.attributes["cadencia.outcome"], root.links) == ("busy", (imported.place,))


async def test_calls_go_on_while_the_collector_hangs(tmp_path: Path, own_valkey: EmbeddedServer) -> None:
    with collector() as there:
        there.answers.clear()
        more = {"tracing": Tracing(endpoint=there.url, timeout_s=0.2)}
        fates = {number: person(talk_s=0.1) for number in range(5)}
        async with floor(tmp_path, own_valkey, fates=fates, more=more) as site:
            await site.begin(agents=2)
            await site.push(range(5))
            await site.wait("call.ended", 5, outcome="connected")

            async def lost() -> float:
                async with aiohttp.ClientSession() as session, session.get(f"{site.node.api_url}/metrics") as answer:
                    lines = (await answer.text()).splitlines()
                return next(float(x.split()[1]) for x in lines if x.startswith('cadencia_trace_spans_total{outcome="f'))

            await until(lost, "what is lost is counted")
            await site.settle()
        assert there.spans == []
