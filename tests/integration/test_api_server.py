"""The real server on a loopback socket, with a real HTTP client: the main flows."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from dialer.api import live_routes
from dialer.api.app import create_app
from dialer.api.intake_ports import RejectedRow
from dialer.api.key_ports import Role
from dialer.api.server import ApiServer
from dialer.core.agent import AgentState
from dialer.core.caller_ids import CallerIdLedger
from dialer.core.events import AgentSignedIn, CampaignConfigured, CampaignOrdered, HangupAsked
from dialer.core.ids import AgentId, CallId, CampaignId, ContactId, Phone, ServerName, TrunkName
from dialer.core.notices import AgentChanged, CallStarted
from dialer.errors import ConfigError
from dialer.settings import Api, Settings
from dialer.testing import FakeNode
from tests.patience import PATIENCE_S

MANAGER = {"Authorization": "Bearer manager-secret"}
CRM = {"Authorization": "Bearer crm-secret"}


async def eventually(true: Callable[[], bool]) -> None:
    """Return when `true()` is; fail when it does not come."""
    deadline = asyncio.get_running_loop().time() + PATIENCE_S
    while not true():
        assert asyncio.get_running_loop().time() < deadline, "it never became true"
        await asyncio.sleep(0.005)


class Running:
    """A server with its fakes and a client."""

    def __init__(self, node: FakeNode, http: aiohttp.ClientSession, url: str) -> None:
        self.node = node
        self.http = http
        self.url = url

    async def post(self, path: str, data: Any, *, status: int, headers: dict[str, str] = MANAGER) -> Any:
        async with self.http.post(self.url + path, json=data, headers=headers) as response:
            body = await response.json()
            assert response.status == status, body
            return body

    async def get(self, path: str, *, status: int = 200, headers: dict[str, str] = MANAGER) -> Any:
        async with self.http.get(self.url + path, headers=headers) as response:
            body = await response.json()
            assert response.status == status, body
            return body


@asynccontextmanager
async def running(folder: Path, **api: Any) -> AsyncIterator[Running]:
    node = FakeNode(folder)
    node.keys.issue("manager-secret", Role.MANAGER)
    node.keys.issue("crm-secret", Role.CRM)
    server = ApiServer(create_app(node.ports, Settings(api=Api(**api))), "127.0.0.1", 0)
    url = server.bind()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(server.run())
        await server.wait_started()
        try:
            async with aiohttp.ClientSession() as http:
                yield Running(node, http, url)
        finally:
            server.stop()


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path) as run:
        yield run


async def test_campaign_from_creation_to_stop(api: Running) -> None:
    made = await api.post("/api/v1/campaigns", {"id": "winter", "method": "ratio", "ratio": 2}, status=201)
    assert (made["state"], made["settings"]["ratio"], made["live"]["today"]["started"]) == ("draft", 2.0, 0)
    async with api.http.patch(
        api.url + "/api/v1/campaigns/winter", json={"ring_timeout_s": 30}, headers=MANAGER
    ) as response:
        changed = await response.json()
    assert changed["settings"] == made["settings"] | {"ring_timeout_s": 30.0}
    await api.post("/api/v1/campaigns/winter/start", None, status=202)
    assert (await api.get("/api/v1/campaigns/winter"))["state"] == "running"
    await api.post("/api/v1/campaigns/winter/pause", None, status=202)
    await api.post("/api/v1/campaigns/winter/drain", None, status=202)
    await api.post("/api/v1/campaigns/winter/stop", None, status=202)
    refused = await api.post("/api/v1/campaigns/winter/pause", None, status=409)
    assert (refused["error"], refused["details"]["possible"]) == ("wrong_state", ["running"])
    kinds = [type(event) for event in api.node.control.events]
    assert kinds == [CampaignConfigured] * 2 + [CampaignOrdered] * 4


async def test_campaigns_are_paged(api: Running) -> None:
    for i in range(5):
        await api.post("/api/v1/campaigns", {"id": f"c{i}"}, status=201)
    first = await api.get("/api/v1/campaigns?limit=2")
    second = await api.get(f"/api/v1/campaigns?limit=2&cursor={first['next_cursor']}")
    third = await api.get(f"/api/v1/campaigns?limit=2&cursor={second['next_cursor']}")
    pages = [[item["id"] for item in page["items"]] for page in (first, second, third)]
    assert (pages, third["next_cursor"]) == ([["c0", "c1"], ["c2", "c3"], ["c4"]], None)


async def test_contacts_as_ndjson_get_a_verdict_each(api: Running) -> None:
    await api.post("/api/v1/campaigns", {"id": "winter"}, status=201)
    rows = [json.dumps({"id": f"k{i}", "phones": ["+34600111222"]}).encode() for i in range(1_200)]
    rows[7] = b"{not json"
    rows[600] = b'{"id": "fat", "x": "' + b"y" * 70_000 + b'"}'
    async with api.http.post(
        api.url + "/api/v1/campaigns/winter/contacts",
        data=b"\n".join(rows),
        headers=CRM | {"Content-Type": "application/x-ndjson"},
    ) as response:
        body = await response.json()
        assert response.status == 200, body
    assert (body["accepted"], body["rejected"]) == (1_198, 2)
    assert [item["line"] for item in body["items"]] == list(range(1, 1_201))
    assert {item["line"]: item["reason"] for item in body["items"] if item["status"] == "rejected"} == {
        8: "not_json",
        601: "too_large",
    }
    assert max(api.node.intake.batches) <= 1_000
    one = await api.post(
        "/api/v1/campaigns/winter/contacts", {"id": "k0", "phones": ["+34600111222"]}, status=200, headers=CRM
    )
    assert one["items"] == [{"line": 1, "status": "accepted", "reason": "updated", "id": "k0"}]


async def test_a_list_is_streamed_to_a_file_and_its_rejected_rows_come_back(api: Running, tmp_path: Path) -> None:
    await api.post("/api/v1/campaigns", {"id": "winter"}, status=201)
    content = b"id,phone\n" + b"".join(b"%d,600111%03d\n" % (i, i % 1_000) for i in range(200_000))

    async def in_pieces() -> AsyncIterator[bytes]:
        for begin in range(0, len(content), 100_000):
            yield content[begin : begin + 100_000]

    async with api.http.post(
        api.url + "/api/v1/campaigns/winter/lists?name=May",
        data=in_pieces(),
        headers=CRM | {"Content-Type": "text/csv; charset=utf-8"},
    ) as response:
        made = await response.json()
        assert response.status == 202, made
    assert api.node.intake.files[made["id"]].read_bytes() == content
    assert (await api.get(f"/api/v1/lists/{made['id']}"))["state"] == "waiting"
    assert [row["name"] for row in (await api.get("/api/v1/lists?campaign=winter"))["items"]] == ["May"]
    api.node.intake.rejected_rows[made["id"]] = [
        RejectedRow(row=i, code="invalid_phone", message="no such number", raw='=cmd(),"x"') for i in range(1_100)
    ]
    async with api.http.get(f"{api.url}/api/v1/lists/{made['id']}/rejected", headers=CRM) as response:
        text = await response.text()
        assert (response.status, response.content_type) == (200, "text/csv")
        assert "attachment" in response.headers["content-disposition"]
    rows = text.splitlines()
    assert (len(rows), rows[0]) == (1_101, "row,reason,problem,raw")
    # A spreadsheet must not take what somebody wrote into a list for a formula.
    assert rows[1] == '0,invalid_phone,no such number,"\'=cmd(),""x"""'


async def test_an_upload_above_the_limit_leaves_no_file(tmp_path: Path) -> None:
    async with running(tmp_path, max_body_bytes=1_024) as api:
        await api.post("/api/v1/campaigns", {"id": "winter"}, status=201)

        async def endless() -> AsyncIterator[bytes]:
            for _ in range(64):
                yield b"x" * 1_024

        async with api.http.post(
            api.url + "/api/v1/campaigns/winter/lists", data=endless(), headers=CRM | {"Content-Type": "text/csv"}
        ) as response:
            body = await response.json()
        assert (response.status, body["error"]) == (413, "too_large")
        assert api.node.intake.imports == {}
    assert os.listdir(tmp_path) == []


async def test_removals_and_do_not_call_are_written_before_the_answer(api: Running) -> None:
    body = {"removals": [{"campaign": "*", "contact": "crm-17", "id": "m1"}, {"campaign": "w", "phone": "600 111 222"}]}
    written = await api.post("/api/v1/removals", body, status=201, headers=CRM)
    assert written["ids"][0] == "m1"
    assert api.node.purges.removals == [
        {"id": "m1", "campaign": "*", "contact": "crm-17", "reason": ""},
        {"id": written["ids"][1], "campaign": "w", "phone": "+34600111222", "reason": ""},
    ]
    entry = {"phone": "+34600111222", "reason": "asked", "expires": "2030-01-01T00:00:00+01:00"}
    await api.post("/api/v1/dnc", {"entries": [entry]}, status=201, headers=CRM)
    assert api.node.purges.do_not_calls[0]["expires"] == "2029-12-31T23:00:00.000000Z"
    found = await api.post("/api/v1/dnc/check", {"phone": "600111222"}, status=200, headers=CRM)
    assert (found["listed"], found["entries"][0]["scope"]) == (True, "*")


async def test_agent_signs_in_and_a_call_is_hung_up(api: Running) -> None:
    await api.post("/api/v1/campaigns", {"id": "winter"}, status=201)
    order = {"phone": "agent01", "campaigns": ["winter"]}
    await api.post("/api/v1/agents/anna/sign-in", order, status=202)
    assert [event for event in api.node.control.events if isinstance(event, AgentSignedIn)]
    now = api.node.clock.now()
    anna = AgentId("anna")
    api.node.control.view.apply(
        AgentChanged(
            at=now,
            agent=anna,
            state=AgentState.IDLE,
            previous=AgentState.CONNECTING,
            previous_s=1.0,
            campaigns=(CampaignId("winter"),),
        )
    )
    assert (await api.get("/api/v1/agents"))["items"][0]["state"] == "idle"
    await api.post("/api/v1/agents/anna/sign-in", order, status=409)
    await api.post("/api/v1/agents/anna/hangup", None, status=409)
    await api.post("/api/v1/agents/anna/pause", {"code": "lunch"}, status=202)
    await api.post("/api/v1/agents/bert/pause", {"code": "lunch"}, status=404)
    api.node.control.view.apply(
        CallStarted(
            at=now,
            call=CallId("c1"),
            campaign=CampaignId("winter"),
            contact=ContactId("k"),
            phone=Phone("+34600111222"),
            server=ServerName("a1"),
            trunk=TrunkName("t"),
            attempt_number=1,
        )
    )
    assert (await api.get("/api/v1/calls/live"))["total"] == 1
    await api.post("/api/v1/calls/c1/hangup", None, status=202)
    assert api.node.control.events[-1] == HangupAsked(at=now, call=CallId("c1"), by="key-0")
    await api.post("/api/v1/calls/nope/hangup", None, status=404)


async def read_event(response: aiohttp.ClientResponse) -> tuple[str, Any]:
    """The next event, comments passed over."""
    name, data = "", ""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            line = (await response.content.readline()).decode().rstrip("\n")
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                data = line.removeprefix("data: ")
            elif not line and name:
                return name, json.loads(data)


async def test_events_are_delivered_and_filtered(api: Running) -> None:
    url = f"{api.url}/api/v1/events?types=call.*,removal.applied&campaign=winter"
    async with api.http.get(url, headers=CRM) as response:
        await response.content.readline()
        api.node.results.publish({"type": "call.started", "campaign": "summer", "call": "a"})
        api.node.results.publish({"type": "contact.accepted", "campaign": "winter"})
        api.node.results.publish({"type": "call.ended", "campaign": "winter", "call": "b", "phone": "+34600111222"})
        assert await read_event(response) == (
            "result",
            {"type": "call.ended", "campaign": "winter", "call": "b", "phone": "+34600111222"},
        )
    await eventually(lambda: len(api.node.results) == 0)


async def test_the_live_view_comes_as_events_when_it_changes(api: Running) -> None:
    async with api.http.get(f"{api.url}/api/v1/events?live=true", headers=MANAGER) as response:
        name, snapshot = await read_event(response)
        assert (name, snapshot["campaigns"]) == ("live", [])
        await api.post("/api/v1/campaigns", {"id": "winter"}, status=201)
        api.node.clock.advance(1.0)
        name, snapshot = await read_event(response)
        assert (name, snapshot["campaigns"][0]["id"]) == ("live", "winter")


async def test_a_client_that_does_not_keep_up_is_told_and_hung_up_on(api: Running) -> None:
    async with api.http.get(f"{api.url}/api/v1/events", headers=CRM) as response:
        await response.content.readline()
        # More than fits into the queue, all before the server may send any.
        for i in range(live_routes.CAPACITY + 1):
            api.node.results.publish({"type": "call.started", "call": f"c{i}"})
        name, data = await read_event(response)
        assert name == "dropped"
        assert "results stream" in data["message"]
        assert await response.content.read() == b""
    assert len(api.node.results) == 0


async def test_a_client_that_never_reads_does_not_hold_its_place(api: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_routes, "WRITE_TIMEOUT_S", 0.2)
    host, port = api.url.removeprefix("http://").split(":")
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        client.setblocking(False)
        await asyncio.get_running_loop().sock_connect(client, (host, int(port)))
        await asyncio.get_running_loop().sock_sendall(
            client,
            f"GET /api/v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: {CRM['Authorization']}\r\n\r\n".encode(),
        )
        await eventually(lambda: len(api.node.results) == 1)

        def gone() -> bool:
            api.node.results.publish({"type": "call.ended", "notes": "n" * 50_000})
            return len(api.node.results) == 0

        await eventually(gone)


async def test_small_answers_do_not_wait_for_acknowledgements(tmp_path: Path) -> None:
    """An event that waits for the acknowledgement of the one before is 40 ms late."""
    node = FakeNode(tmp_path)
    server = ApiServer(create_app(node.ports, Settings()), "127.0.0.1", 0)
    url = server.bind()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(server.run())
        await server.wait_started()
        try:
            async with aiohttp.ClientSession() as http, http.get(f"{url}/healthz") as answer:
                assert answer.status == 200
                (connection,) = server._server.server_state.connections
                accepted = connection.transport.get_extra_info("socket")
                assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        finally:
            server.stop()


async def test_a_stopped_server_does_not_wait_for_listeners(tmp_path: Path) -> None:
    async with asyncio.timeout(PATIENCE_S):
        async with running(tmp_path) as api:
            response = await api.http.get(f"{api.url}/api/v1/events", headers=CRM)
            await response.content.readline()
        response.close()


async def test_metrics_with_a_key_and_open(tmp_path: Path) -> None:
    async with running(tmp_path) as api:
        api.node.keys.issue("scraper", Role.METRICS)
        assert (await api.get("/metrics", headers={}, status=401))["error"] == "unauthorized"
        assert (await api.get("/metrics", headers=CRM, status=403))["error"] == "forbidden"
        async with api.http.get(api.url + "/metrics", headers={"Authorization": "Bearer scraper"}) as response:
            assert response.content_type == "text/plain"
            assert 'cadencia_node_info{node="test"} 1.0' in await response.text()
    async with running(tmp_path, open_metrics=True) as api, api.http.get(api.url + "/metrics") as response:
        assert response.status == 200


def test_a_taken_port_is_explained(tmp_path: Path) -> None:
    app = create_app(FakeNode(tmp_path).ports, Settings())
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(ConfigError, match=r"port \d+: .*change api\.host or api\.port"):
            ApiServer(app, "127.0.0.1", other.getsockname()[1]).bind()


async def test_the_numbers_of_a_campaign_are_shown_with_their_use(api: Running) -> None:
    pool = [{"number": "+34910000001", "max_calls_per_day": 1}, {"number": "+34910000002"}]
    await api.post("/api/v1/campaigns", {"id": "winter", "caller_ids": pool}, status=201)
    assert await api.get("/api/v1/campaigns/winter/caller-ids") == []
    ledger, now = CallerIdLedger(), api.node.clock.now()
    ledger.started(Phone("+34910000001"), now)
    campaign = api.node.campaigns.rows[CampaignId("winter")].campaign
    api.node.control.view.caller_ids(campaign.id, ledger.standing(campaign.pool, now))
    rows = await api.get("/api/v1/campaigns/winter/caller-ids")
    assert [(row["number"], row["state"], row["calls_today"]) for row in rows] == [
        ("+34910000001", "capped", 1),
        ("+34910000002", "usable", 0),
    ]
    assert (await api.get("/api/v1/campaigns/winter"))["live"]["caller_ids"] == {"capped": 1, "usable": 1}
    await api.get("/api/v1/campaigns/summer/caller-ids", status=404)
