"""Many removals, entries, callbacks and dispositions in one request: each has a verdict, a bad one spoils no other."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from dialer.core.events import CallDisposed
from dialer.core.ids import CallId, CampaignId, ContactId, Phone, ServerName
from dialer.core.notices import CallStarted
from dialer.errors import QueueError
from tests.integration.test_api_server import CRM, Running, running


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path) as run:
        yield run


async def push(
    api: Running, path: str, body: bytes, *, kind: str = "application/x-ndjson", status: int = 200
) -> dict[str, Any]:
    headers = CRM | {"Content-Type": kind}
    async with api.http.post(f"{api.url}/api/v1{path}", data=body, headers=headers) as response:
        answer: dict[str, Any] = await response.json()
        assert response.status == status, answer
        return answer


def verdicts(answer: dict[str, Any]) -> list[tuple[int, str, str]]:
    assert answer["accepted"] + answer["rejected"] == len(answer["items"])
    return [(item["line"], item["status"], item.get("reason", "")) for item in answer["items"]]


async def test_removals_line_by_line(api: Running) -> None:
    lines = [
        b'{"campaign": "*", "contact": "crm-17", "id": "m1"}',
        b"{no json",
        b"",
        b'{"campaign": "*"}',
        b'{"campaign": "*", "phone": "123"}',
        b'{"campaign": "a b", "contact": "x"}',
        b'{"campaign": "*", "contact": "x", "colour": "red"}',
        b'{"campaign": "*", "contact": 17}',
        b"[" * 5_000,
        b"\xff\xfe",
        b'{"campaign": "w", "phone": "600 111 222", "reason": "paid"}\r',
        b'{"campaign": "*", "contact": "' + b"x" * 70_000 + b'"}',
    ]
    answer = await push(api, "/removals/bulk", b"\n".join(lines))
    assert verdicts(answer) == [
        (1, "accepted", ""),
        (2, "rejected", "not_json"),
        (4, "rejected", "invalid"),
        (5, "rejected", "invalid"),
        (6, "rejected", "invalid"),
        (7, "rejected", "invalid"),
        (8, "rejected", "invalid"),
        (9, "rejected", "invalid"),
        (10, "rejected", "not_json"),
        (11, "accepted", ""),
        (12, "rejected", "too_large"),
    ]
    assert answer["items"][0]["id"] == "m1"
    assert [message.get("phone") for message in api.node.purges.removals] == [None, "+34600111222"]


async def test_entries_as_csv(api: Running) -> None:
    text = (
        "\ufeffPhone,op,scope,reason,expires\r\n"
        '600111222,add,*,"asked, twice",\r\n'
        "600111223,remove,winter,,\r\n"
        "600111224,maybe,*,,\r\n"
        "600111225,add,*,,tomorrow\r\n"
        "600111226\r\n"
        "600111227,add,*,,,more\r\n"
        '600111228,add,"*,,\r\n'
    )
    answer = await push(api, "/dnc/bulk", text.encode(), kind="text/csv; charset=utf-8")
    assert [(line, status) for line, status, _ in verdicts(answer)] == [
        (2, "accepted"),
        (3, "accepted"),
        (4, "rejected"),
        (5, "rejected"),
        (6, "accepted"),
        (7, "rejected"),
        (8, "rejected"),
    ]
    written = [(m["phone"], m["op"], m["reason"]) for m in api.node.purges.do_not_calls]
    assert written == [
        ("+34600111222", "add", "asked, twice"),
        ("+34600111223", "remove", ""),
        ("+34600111226", "add", ""),
    ]


async def test_callbacks_one_and_many(api: Running) -> None:
    await api.post("/api/v1/campaigns", {"id": "winter"}, status=201)
    good = {"campaign": "winter", "contact": "k", "phone": "600111222", "at": "2030-03-02T16:00:00+01:00", "id": "cb"}
    assert await api.post("/api/v1/callbacks", good | {"agent": "anna"}, status=202) == {"ids": ["cb"]}
    assert api.node.purges.callbacks == [
        {
            "id": "cb",
            "campaign": "winter",
            "contact": "k",
            "phone": "+34600111222",
            "at": "2030-03-02T15:00:00.000000Z",
            "agent": "anna",
        }
    ]
    await api.post("/api/v1/callbacks", good | {"campaign": "summer"}, status=404)
    for wrong in ({"at": "tomorrow"}, {"at": "2030-03-02T16:00:00"}, {"phone": "x"}, {"agent": "a b"}, {"contact": ""}):
        await api.post("/api/v1/callbacks", good | wrong, status=422)
    rows = [good, good | {"campaign": "summer"}, good | {"at": 5}, {k: v for k, v in good.items() if k != "id"}]
    answer = await push(api, "/callbacks/bulk", b"\n".join(json.dumps(row).encode() for row in rows))
    assert verdicts(answer) == [
        (1, "accepted", ""),
        (2, "rejected", "unknown_campaign"),
        (3, "rejected", "invalid"),
        (4, "accepted", ""),
    ]
    assert len(api.node.purges.callbacks) == 3


async def test_dispositions_line_by_line(api: Running) -> None:
    started = CallStarted(
        at=api.node.clock.now(),
        call=CallId("c1"),
        campaign=CampaignId("winter"),
        contact=ContactId("k"),
        phone=Phone("+34600111222"),
        server=ServerName("a1"),
        trunk=None,
        attempt_number=1,
    )
    api.node.control.view.apply(started)
    rows = [
        {"call": "c1", "code": "SALE", "amount": 12.5, "id": "d-1"},
        {"call": "c2", "code": "SALE"},
        {"call": "c1", "code": " "},
        {"call": "c1", "code": "LATER", "callback_agent": "anna"},
        {"call": "c1", "code": "LATER", "callback_at": "2030-03-02T16:00:00Z", "callback_phone": "600111223"},
        {"call": "c1", "code": "LATER", "callback_at": "soon"},
    ]
    answer = await push(api, "/dispositions/bulk", b"\n".join(json.dumps(row).encode() for row in rows))
    assert [(line, status) for line, status, _ in verdicts(answer)] == [
        (1, "accepted"),
        (2, "rejected"),
        (3, "rejected"),
        (4, "rejected"),
        (5, "accepted"),
        (6, "rejected"),
    ]
    first, second = [event for event in api.node.control.events if isinstance(event, CallDisposed)]
    assert (first.amount, first.ref, first.by) == ("12.5", "d-1", "key-1")
    assert second.callback is not None
    assert (second.callback.phone, second.callback.agent) == ("+34600111223", None)
    csv = b"call,code,amount\nc1,SALE,3\n"
    assert (await push(api, "/dispositions/bulk", csv, kind="text/csv"))["accepted"] == 1


async def test_too_many_lines_do_nothing(api: Running) -> None:
    line = b'{"campaign": "*", "contact": "crm-17"}\n'
    refused = await push(api, "/removals/bulk", line * 10_001, status=413)
    assert "nothing was taken" in refused["message"]
    assert api.node.purges.removals == []
    assert (await push(api, "/removals/bulk", line * 10_000))["accepted"] == 10_000
    csv = b"campaign,contact\n" + b"*,crm-17\n" * 10_000
    assert (await push(api, "/removals/bulk", csv, kind="text/csv"))["accepted"] == 10_000


async def test_what_is_no_list_of_lines(api: Running) -> None:
    assert await push(api, "/removals/bulk", b"") == {"accepted": 0, "rejected": 0, "items": []}
    assert (await push(api, "/removals/bulk", b'"a,b\n', kind="text/csv", status=400))["error"] == "not_csv"
    await push(api, "/removals/bulk", b"{}", kind="application/json", status=415)
    api.node.purges.fail_with = QueueError("Redis is away")
    line = b'{"campaign": "*", "contact": "crm-17"}'
    assert (await push(api, "/removals/bulk", line, status=503))["details"] == {"retryable": True}
