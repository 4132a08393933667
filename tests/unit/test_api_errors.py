"""Hostile and mistaken requests: always the same form of error, which says what to do; nothing is done by mistake."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from litestar.testing import TestClient

from dialer.api.app import create_app
from dialer.api.health_ports import HealthCheck
from dialer.api.key_ports import Role
from dialer.core.ids import AgentId
from dialer.errors import QueueError, StorageError
from dialer.settings import Settings
from dialer.testing import FakeNode


class Client:
    """A client with a manager's key."""

    def __init__(self, node: FakeNode, http: TestClient[Any]) -> None:
        self.node = node
        self._http = http

    def __call__(self, method: str, path: str, *, key: str | None = "manager", **request: Any) -> httpx.Response:
        headers = request.pop("headers", {}) | ({} if key is None else {"Authorization": f"Bearer {key}"})
        return self._http.request(method, path, headers=headers, **request)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    node = FakeNode(tmp_path_factory.mktemp("uploads"))
    for role in Role:
        node.keys.issue(role.value, role, agent=AgentId("anna") if role is Role.AGENT else None)
    with TestClient(create_app(node.ports, Settings()), raise_server_exceptions=False) as http:
        yield Client(node, http)


@pytest.fixture
def ask(client: Client) -> Client:
    """The one client, its node as it was at the beginning: with one campaign."""
    fresh = FakeNode(client.node.intake.upload_folder())
    client.node.control.__dict__.update(fresh.control.__dict__)
    client.node.campaigns.__dict__.update(fresh.campaigns.__dict__)
    client.node.intake.__dict__.update(fresh.intake.__dict__)
    client.node.purges.__dict__.update(fresh.purges.__dict__)
    client.node.health.__dict__.update(fresh.health.__dict__)
    assert client("POST", "/api/v1/campaigns", json={"id": "winter"}).status_code == 201
    client.node.control.events.clear()
    return client


def error(response: httpx.Response, status: int, slug: str) -> dict[str, Any]:
    body = response.json()
    assert (response.status_code, body.get("error")) == (status, slug), body
    assert set(body) == {"error", "message", "details"}
    assert body["message"]
    assert isinstance(body["details"], dict)
    return dict(body)


NDJSON = {"Content-Type": "application/x-ndjson"}
JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("body", "slug"),
    [
        (b"", "not_json"),
        (b"{", "not_json"),
        (b'{"id": "x"', "not_json"),
        (b"id=x", "not_json"),
        (b'{"id": "\xff\xfe"}', "not_utf8"),
        ('{"id": "x"}'.encode("utf-16"), "not_utf8"),
        (b"[" * 100_000, "not_json"),
        (b'{"id": "x", "retries": ' + b'{"a":' * 50_000, "not_json"),
    ],
)
def test_what_is_not_json_is_refused(ask: Client, body: bytes, slug: str) -> None:
    error(ask("POST", "/api/v1/campaigns", content=body, headers=JSON), 400, slug)
    assert len(ask.node.campaigns.rows) == 1


def test_valid_json_nested_beyond_reason_is_refused(ask: Client) -> None:
    deep = b'{"id": "x", "retries": ' + b'{"a":' * 20_000 + b"1" + b"}" * 20_001
    assert "nested" in error(ask("POST", "/api/v1/campaigns", content=deep, headers=JSON), 400, "not_json")["message"]


@pytest.mark.parametrize("given", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_a_wrong_content_type_is_refused_with_the_right_one(ask: Client, given: str) -> None:
    response = ask("POST", "/api/v1/campaigns", content=b'{"id": "x"}', headers={"Content-Type": given})
    assert error(response, 415, "unsupported_media_type")["details"] == {"accepted": ["application/json"]}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, ""),
        ({"id": "x", "max_lines": "many"}, "max_lines"),
        ({"id": "x y"}, "id"),
        ({"id": "x\r\nSet-Cookie: a=b"}, "id"),
        ({"id": "x", "connect_within_s": 3}, "connect_within_s"),
        ({"id": "x", "machine_detection": {"deadline_s": 9}}, "machine_detection.deadline_s"),
    ],
)
def test_a_wrong_field_is_named(ask: Client, body: dict[str, Any], field: str) -> None:
    answer = error(ask("POST", "/api/v1/campaigns", json=body), 422, "invalid")
    assert [item["field"] for item in answer["details"]["fields"]] == [field]
    assert ask.node.control.events == []


def test_nothing_there_and_not_possible_there(ask: Client) -> None:
    error(ask("GET", "/nope"), 404, "not_found")
    error(ask("GET", "/api/v1/campaigns/summer"), 404, "not_found")
    error(ask("GET", "/api/v1/campaigns/%0d%0aX-Evil:%201"), 404, "not_found")
    error(ask("GET", "/api/v1/lists/..%2f..%2fetc"), 404, "not_found")
    error(ask("GET", "/api/v1/calls/" + "x" * 5_000), 404, "not_found")
    error(ask("PUT", "/api/v1/campaigns/winter"), 405, "method_not_allowed")
    error(ask("POST", "/api/v1/agents/a%0ab/ready"), 422, "invalid")
    error(ask("POST", "/api/v1/campaigns", json={"id": "winter"}), 409, "exists")


@pytest.mark.parametrize("query", ["limit=0", "limit=501", "limit=x", "cursor=%00", "cursor=eyJhIjoxfQ", "cursor=é"])
def test_wrong_paging_is_refused(ask: Client, query: str) -> None:
    error(ask("GET", f"/api/v1/calls?{query}"), 422, "invalid")
    error(ask("GET", f"/api/v1/campaigns?{query}"), 422, "invalid")


@pytest.mark.parametrize("at", ["yesterday", "2026-05-04T09:30:00", "99999-01-01T00:00:00Z"])
def test_a_moment_needs_a_zone(ask: Client, at: str) -> None:
    error(ask("GET", "/api/v1/calls", params={"ended_from": at}), 422, "invalid")


def test_a_large_json_body_is_refused(ask: Client) -> None:
    body = b'{"id": "' + b"x" * 2_000_000 + b'"}'
    assert error(ask("POST", "/api/v1/campaigns", content=body, headers=JSON), 413, "too_large")


def test_a_line_of_ten_megabytes_spoils_only_itself(ask: Client) -> None:
    lines = [b'{"id": "a", "phones": ["+34600111222"]}', b"x" * 10_000_000, b"\xff\xfe", b"[" * 60_000, b""]
    lines.append(b'{"id": "b", "phones": ["+34600111222"]}\r')
    response = ask("POST", "/api/v1/campaigns/winter/contacts", content=b"\n".join(lines), headers=NDJSON)
    body = response.json()
    assert (response.status_code, body["accepted"], body["rejected"]) == (200, 2, 3)
    assert [(item["line"], item["reason"]) for item in body["items"]] == [
        (1, "added"),
        (2, "too_large"),
        (3, "not_json"),
        (4, "not_json"),
        (6, "added"),
    ]


def test_too_many_lines_are_refused_and_those_before_are_taken(ask: Client) -> None:
    lines = b"".join(b'{"id": "k%d", "phones": ["+34600111222"]}\n' % i for i in range(10_050))
    response = ask("POST", "/api/v1/campaigns/winter/contacts", content=lines, headers=NDJSON)
    answer = error(response, 413, "too_large")
    assert answer["details"] == {"lines_taken": 10_000}
    assert len(ask.node.intake.contacts) == 10_000


def test_an_empty_upload_and_one_of_a_wrong_type_leave_no_file(ask: Client) -> None:
    path = "/api/v1/campaigns/winter/lists"
    error(ask("POST", path, content=b"", headers={"Content-Type": "text/csv"}), 422, "invalid")
    error(ask("POST", path, files={"file": b"id,phone"}), 415, "unsupported_media_type")
    ask.node.intake.fail_with = StorageError("the database is out of reach")
    error(ask("POST", path, content=b"id,phone\n", headers={"Content-Type": "text/csv"}), 503, "unavailable")
    assert list(ask.node.intake.upload_folder().iterdir()) == []


def test_a_full_disk_says_so(ask: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ask.node.intake, "upload_folder", lambda: Path("/dev/full-not"))
    response = ask("POST", "/api/v1/campaigns/winter/lists", content=b"id\n", headers={"Content-Type": "text/csv"})
    assert "cannot be written" in error(response, 503, "unavailable")["message"]


def test_removals_are_written_all_or_none(ask: Client) -> None:
    good = {"campaign": "*", "contact": "k"}
    for wrong, field in (
        ({"campaign": "*"}, "removals[1]"),
        ({"campaign": "*", "contact": "k", "phone": "+34600111222"}, "removals[1]"),
        ({"campaign": "a b", "contact": "k"}, "removals[1].campaign"),
        ({"campaign": "*", "phone": "tomorrow"}, "removals[1].phone"),
        ({"campaign": "*", "contact": "k\r\n"}, "removals[1].contact"),
        ({"campaign": "*", "contact": "k", "id": "\x00"}, "removals[1].id"),
    ):
        answer = error(ask("POST", "/api/v1/removals", json={"removals": [good, wrong]}), 422, "invalid")
        assert answer["details"]["fields"][0]["field"] == field
    error(ask("POST", "/api/v1/removals", json={"removals": [good] * 1_001}), 422, "invalid")
    error(ask("POST", "/api/v1/removals", json={"removals": []}), 422, "invalid")
    assert ask.node.purges.removals == []


def test_a_part_out_of_reach_is_a_503_that_may_be_repeated(ask: Client) -> None:
    ask.node.purges.fail_with = QueueError("Redis is out of reach")
    response = ask("POST", "/api/v1/removals", json={"removals": [{"campaign": "*", "contact": "k"}]})
    assert error(response, 503, "unavailable")["details"] == {"retryable": True}
    assert response.headers["retry-after"] == "1"


def test_a_bug_is_a_500_that_tells_nothing(ask: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise RuntimeError("secret of the house")

    monkeypatch.setattr(ask.node.control, "live", broken)
    response = ask("GET", "/api/v1/live")
    error(response, 500, "internal")
    assert "secret" not in response.text


def test_an_agent_acts_for_nobody_else(ask: Client) -> None:
    body = {"phone": "agent01", "campaigns": ["winter"]}
    assert ask("POST", "/api/v1/agents/anna/sign-in", key="agent", json=body).status_code == 202
    error(ask("POST", "/api/v1/agents/bert/sign-in", key="agent", json=body), 403, "forbidden")
    error(ask("GET", "/api/v1/agents/bert", key="agent"), 403, "forbidden")
    error(ask("GET", "/api/v1/agents", key="agent"), 403, "forbidden")
    error(ask("GET", "/api/v1/events?live=true", key="agent"), 403, "forbidden")


@pytest.mark.parametrize("phone", ["agent01&Local/x", "a/b", "x\r\nAction: Logoff", "", "a b", "agent01\n"])
def test_an_agents_phone_cannot_carry_anything_else(ask: Client, phone: str) -> None:
    body = {"phone": phone, "campaigns": ["winter"]}
    answer = error(ask("POST", "/api/v1/agents/anna/sign-in", json=body), 422, "invalid")
    assert answer["details"]["fields"][0]["field"] == "phone"


def test_health_needs_no_key_and_says_what_is_missing(ask: Client) -> None:
    assert ask("GET", "/healthz", key=None).json() == {"status": "alive"}
    assert ask("GET", "/readyz", key=None).status_code == 200
    ask.node.health.rows.append(HealthCheck(name="asterisk a1", ok=False, problem="start it"))
    response = ask("GET", "/readyz", key=None)
    assert (response.status_code, response.json()["checks"][1]["problem"]) == (503, "start it")
