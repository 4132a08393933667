"""`cadencia campaign create`: a rule is set aside by somebody, for a reason."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from typer.testing import CliRunner

from dialer.cli.application import app


@contextmanager
def node(answer: dict[str, Any], status: int = 201) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """An API that takes whatever comes: its URL, and what came."""
    came: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            came.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", came
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def create(url: str, *words: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["campaign", "create", "spring", *words, "--api-url", url, "--api-key", "k"])
    return done.exit_code, " ".join(f"{done.output} {done.exception or ''}".split())


def test_who_and_why_go_with_the_rule_and_warnings_are_shown() -> None:
    with node({"warnings": ["caller_id: US-FED-caller-id@2020-01-01 [x]; set aside by Ana Ruiz"]}) as (url, came):
        code, said = create(url, "--override", "A", "--override", "B", "--by", "Ana Ruiz", "--why", "agreed")
    assert code == 0, said
    assert came[0]["override"] == [{"rule": rule, "by": "Ana Ruiz", "why": "agreed"} for rule in ("A", "B")]
    assert "US-FED-caller-id@2020-01-01 [x]; set aside by Ana Ruiz" in said


def test_a_refusal_is_told_in_its_words() -> None:
    refusal = {"error": "breaks_a_rule", "message": "ring_timeout_s: DE-code-ring@2020-01-01 (S): at most 40 s"}
    with node({**refusal, "details": {}}, status=422) as (url, _):
        code, said = create(url)
    assert code != 0
    assert "DE-code-ring@2020-01-01" in said


@pytest.mark.parametrize(
    "words", [("--override", "A"), ("--override", "A", "--by", "Ana"), ("--why", "x"), ("--by", "Ana")]
)
def test_a_rule_without_a_name_or_reason_is_wrong_usage(words: tuple[str, ...]) -> None:
    with node({}) as (url, came):
        code, said = create(url, *words)
    assert (code, came) == (2, []), said
