"""The client: what it sends again, what it gives up on, and events over connections that are lost."""

from __future__ import annotations

import asyncio
import http.server
import json
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialer.client import AsyncClient, Client, Refused, Unreachable
from dialer.client.events import EventReader
from dialer.client.redis_push import batches, key
from dialer.client.wire import LINES_AT_ONCE, Wait, bulk, get, items, meaning, part, pause_s
from dialer.errors import ConfigError

STREAM = (
    b": still here\n\n"
    b'id: 1-0\nevent: result\ndata: {"type": "call.started"}\n\n'
    b'event: live\r\ndata: {"at": 1}\r\n\r\n'
    b"id: 2-0\nevent: result\ndata: not json\n\n"
    b'id: 3-0\nevent: result\ndata: {"type":\ndata: "call.ended"}\n\n'
)


@given(cuts=st.lists(st.integers(0, len(STREAM)), max_size=8))
def test_events_are_the_same_however_the_bytes_come(cuts: list[int]) -> None:
    reader = EventReader()
    ends = [0, *sorted(cuts), len(STREAM)]
    found = [event for a, b in pairwise(ends) for event in reader.receive(STREAM[a:b])]
    assert [(event.id, event.name, event.data) for event in found] == [
        ("1-0", "result", {"type": "call.started"}),
        ("", "live", {"at": 1}),
        ("3-0", "result", {"type": "call.ended"}),
    ]
    assert reader.last_id == "3-0"


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_what_may_succeed_later_is_waited_for(status: int) -> None:
    assert meaning(status, b"<html>", None, 3) == Wait(seconds=pause_s(3), why=f"status {status}")
    assert meaning(status, b'{"message": "busy"}', "7", 1) == Wait(seconds=7.0, why="busy")
    assert meaning(status, b"", "Wed, 21 Oct", 1).seconds == pause_s(1)
    assert meaning(status, b"", "1e9", 1).seconds == 60.0


def test_what_an_answer_means() -> None:
    assert meaning(200, b'{"a": 1}', None, 1) == {"a": 1}
    assert meaning(202, b"", None, 1) is None
    assert isinstance(meaning(409, b'{"error": "in_progress"}', "1", 1), Wait)
    for status, body, error in (
        (422, b'{"error": "unknown_code", "message": "no", "details": {"allowed": ["A"]}}', "unknown_code"),
        (409, b'{"error": "exists"}', "exists"),
        (500, b"<html>oops", "unexpected"),
        (404, b"[1]", "unexpected"),
        (200, b"<html>hello", "not_json"),
        (302, b"", "unexpected"),
    ):
        with pytest.raises(Refused) as refused:
            meaning(status, body, None, 1)
        assert (refused.value.status, refused.value.error) == (status, error)
        assert str(refused.value)


def test_requests_carry_keys_of_their_own_and_lines_count_over_all() -> None:
    requests = list(bulk("/removals/bulk", ({"n": n} for n in range(LINES_AT_ONCE + 1))))
    assert [before for before, _ in requests] == [0, LINES_AT_ONCE]
    assert len({request.headers["Idempotency-Key"] for _, request in requests}) == 2
    (item,) = items(1_000, {"items": [{"line": 1, "status": "rejected", "reason": "x"}]})
    assert (item.line, item.accepted, item.reason, item.problem, item.id) == (1_001, False, "x", "", None)
    assert get("/calls", campaign="a b", agent=None, cursor="").path == "/api/v1/calls?campaign=a+b"
    assert part("a/../b?") == "a%2F..%2Fb%3F"


def test_messages_for_the_streams() -> None:
    made = list(batches("winter", ({"id": n} for n in range(1_001)), "p-1"))
    assert [(message["id"], len(message["contacts"])) for message in made] == [("p-1", 1_000), ("p-1", 1)]
    assert key("x:", "dnc") == "x:dnc"
    with pytest.raises(ValueError, match="it may be callbacks"):
        key("x:", "results")


@pytest.mark.parametrize("url", ["127.0.0.1:8080", "ftp://x", "http://"])
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(ConfigError, match="no address of a dialer"):
        Client(url, "k")


class Script(http.server.BaseHTTPRequestHandler):
    """Answers from a list; None hangs up without a word."""

    answers: ClassVar[list[tuple[int, bytes] | None]] = []
    seen: ClassVar[list[tuple[str, str | None, str | None]]] = []

    def do_GET(self) -> None:
        """Answer."""
        self._answer()

    def do_POST(self) -> None:
        """Answer."""
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self._answer()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def _answer(self) -> None:
        self.seen.append((self.path, self.headers.get("Idempotency-Key"), self.headers.get("Last-Event-ID")))
        answer = self.answers.pop(0) if self.answers else None
        self.close_connection = True
        if answer is None:
            return
        self.send_response(answer[0])
        self.end_headers()
        self.wfile.write(answer[1])


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr("dialer.client.wire.pause_s", lambda attempt: 0.001 * attempt)
    monkeypatch.setattr(Script, "answers", [])
    monkeypatch.setattr(Script, "seen", [])
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Script)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/below"
    server.shutdown()
    thread.join()
    server.server_close()


def of_both(url: str, work: str, *, tries: int = 4) -> Any:
    """What the client makes of the script, with a loop and without one; both must be the same."""
    told: list[Any] = []
    script = list(Script.answers)
    with Client(url, "k", tries=tries, timeout_s=5.0) as client:
        try:
            told.append(next(client.events(after="9-0")).id if work == "events" else client.order("c", "start"))
        except (Refused, Unreachable) as error:
            told.append(type(error))
    Script.answers[:] = script

    async def with_loop() -> Any:
        async with AsyncClient(url, "k", tries=tries, timeout_s=5.0) as client:
            try:
                if work == "events":
                    events = client.events(after="9-0")
                    try:
                        return (await anext(events)).id
                    finally:
                        await events.aclose()  # type: ignore[attr-defined]  # it is a generator
                return await client.order("c", "start")
            except (Refused, Unreachable) as error:
                return type(error)

    told.append(asyncio.run(with_loop()))
    assert told[0] == told[1]
    return told[0]


def test_a_write_is_sent_again_with_the_same_key(url: str) -> None:
    Script.answers[:] = [None, (503, b""), (200, b'{"state": "running"}')]
    assert of_both(url, "order") == {"state": "running"}
    assert [path for path, _, _ in Script.seen] == ["/below/api/v1/campaigns/c/start"] * 6
    assert len({key for _, key, _ in Script.seen[:3]}) == len({key for _, key, _ in Script.seen[3:]}) == 1


@pytest.mark.parametrize(
    ("answers", "error"),
    [([(503, b"")] * 4, Unreachable), ([None] * 4, Unreachable), ([(422, b"{}")], Refused), ([(200, b"<p>")], Refused)],
)
def test_when_it_gives_up(url: str, answers: list[Any], error: type[Exception]) -> None:
    Script.answers[:] = answers
    assert of_both(url, "order") is error
    assert len(Script.seen) >= 2 * len(answers)


def test_nobody_at_home() -> None:
    began = time.monotonic()
    with pytest.raises(Unreachable, match="in 1 tries"):
        Client("http://127.0.0.1:9", "k", tries=1).order("c", "start")
    assert time.monotonic() - began < 5


def test_events_go_on_behind_the_last_one(url: str) -> None:
    told = json.dumps({"type": "call.ended"}).encode()
    Script.answers[:] = [
        None,
        (503, b""),
        (200, b": still here\n\nid: 10-"),
        (200, b"id: 11-0\ndata: " + told + b"\n\n"),
    ]
    assert of_both(url, "events", tries=5) == "11-0"
    assert {last for _, _, last in Script.seen} == {"9-0"}


@pytest.mark.parametrize(("answers", "error"), [([(403, b"{}")], Refused), ([None] * 4, Unreachable)])
def test_when_events_are_given_up(url: str, answers: list[Any], error: type[Exception]) -> None:
    Script.answers[:] = answers
    assert of_both(url, "events") is error
