"""Requests of the API and what their answers mean; pure: no connection, no clock.

A `Request` says all that is sent, its idempotency key included, so that the very same can be sent again. `meaning`
turns an answer into a value, an error, or the seconds to wait before the next try.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote, urlencode

from dialer.errors import DialerError, RetryableError

JSON: Final = "application/json"
NDJSON: Final = "application/x-ndjson"
CSV: Final = "text/csv"
#: Lines of one request; the API takes up to ten times as many, but answers sooner for fewer.
LINES_AT_ONCE: Final = 1_000
_FIRST_WAIT_S: Final = 0.2
_LONGEST_WAIT_S: Final = 10.0
#: Answers after which the same request may succeed.
_AGAIN: Final = frozenset({429, 502, 503, 504})

Row = Mapping[str, Any]


class Refused(DialerError):
    """The API does not do this; `error` says why to machines, the text to people."""

    def __init__(self, status: int, error: str, message: str, details: Mapping[str, Any]) -> None:
        super().__init__(message or error)
        self.status = status
        self.error = error
        self.details = details


class Unreachable(RetryableError):
    """The API could not be reached, or was not ready, however often it was tried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """What became of one line."""

    line: int
    accepted: bool
    id: str | None
    reason: str
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdicts:
    """What became of many things that were pushed; lines count over all of them, from 1."""

    items: tuple[Item, ...] = ()

    @property
    def accepted(self) -> int:
        """How many were taken."""
        return sum(item.accepted for item in self.items)

    @property
    def rejected(self) -> tuple[Item, ...]:
        """Those that were not, each with its reason."""
        return tuple(item for item in self.items if not item.accepted)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request, however often it is sent."""

    method: str
    #: With its query.
    path: str
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Send it again after so many seconds."""

    seconds: float
    why: str


def get(path: str, **query: object) -> Request:
    """Read something below /api/v1."""
    return Request(method="GET", path=_path(path, query))


def send(method: str, path: str, body: object = None) -> Request:
    """Write something below /api/v1, as JSON."""
    return written(method, path, b"" if body is None else json.dumps(body, ensure_ascii=False).encode(), JSON)


def written(method: str, path: str, body: bytes, content_type: str, **query: object) -> Request:
    """Write something, with an idempotency key of its own."""
    headers = {"Content-Type": content_type, "Idempotency-Key": uuid.uuid4().hex}
    return Request(method=method, path=_path(path, query), body=body, headers=headers)


def bulk(path: str, rows: Iterable[Row]) -> Iterator[tuple[int, Request]]:
    """Rows as requests of NDJSON, each with the number of rows before it."""
    held: list[bytes] = []
    before = 0
    for row in rows:
        held.append(json.dumps(row, ensure_ascii=False).encode())
        if len(held) == LINES_AT_ONCE:
            yield before, written("POST", path, b"\n".join(held), NDJSON)
            before += len(held)
            held = []
    if held:
        yield before, written("POST", path, b"\n".join(held), NDJSON)


def items(before: int, answer: Mapping[str, Any]) -> list[Item]:
    """The verdicts of one such request."""
    return [
        Item(
            line=before + int(item["line"]),
            accepted=item["status"] == "accepted",
            id=item.get("id"),
            reason=item.get("reason", ""),
            problem=item.get("problem", ""),
        )
        for item in answer["items"]
    ]


def meaning(status: int, body: bytes, retry_after: str | None, attempt: int) -> Any:
    """What an answer means: its JSON, None for an empty one, or `Wait`.

    Args:
        status: of HTTP.
        body: all of it.
        retry_after: the header.
        attempt: how often the request has been sent, this time included.

    Raises:
        Refused: it will not be done, or the answer is not one of this API.
    """
    try:
        found: Any = json.loads(body) if body else None
    except ValueError:
        found = None
        if status < 400:
            raise Refused(status, "not_json", "the answer is no JSON; is this the dialer's address?", {}) from None
    if status < 300:
        return found
    told = found if isinstance(found, dict) else {}
    error, message = str(told.get("error", "")), str(told.get("message", ""))
    if status in _AGAIN or error == "in_progress":
        return Wait(seconds=max(pause_s(attempt), _seconds(retry_after)), why=message or f"status {status}")
    details = told.get("details")
    raise Refused(
        status,
        error or "unexpected",
        message or f"unexpected answer with status {status}",
        details if isinstance(details, dict) else {},
    )


def pause_s(attempt: int) -> float:
    """Seconds to wait after so many failures in a row."""
    return float(min(_FIRST_WAIT_S * 2 ** (attempt - 1), _LONGEST_WAIT_S))


def part(text: str) -> str:
    """A name as one part of a path."""
    return quote(text, safe="")


def _seconds(text: str | None) -> float:
    try:
        return min(float(text or 0), 60.0)
    except ValueError:
        return 0.0


def _path(path: str, query: Mapping[str, object]) -> str:
    given = {name: str(value) for name, value in query.items() if value is not None and value != ""}
    return f"/api/v1{path}" + (f"?{urlencode(given)}" if given else "")
