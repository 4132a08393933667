"""The client for programs without an event loop: one connection, kept open; not for several threads at once."""

from __future__ import annotations

import http.client
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlsplit

from dialer.client import wire
from dialer.client.events import Event, EventReader, events_request
from dialer.client.wire import Item, Request, Row, Unreachable, Verdicts, Wait
from dialer.errors import ConfigError

_FAILED: Final = (OSError, http.client.HTTPException)


class Client:
    """The API of one dialer.

    Args:
        url: where a node is, such as ``http://127.0.0.1:8080``.
        key: an API key, mostly of role crm.
        tries: how often a request is sent before `Unreachable` is raised.
        timeout_s: of one answer.

    Raises (all methods):
        Refused: the API says no.
        Unreachable: there was no answer, or none but "not now", in all tries.
    """

    def __init__(self, url: str, key: str, *, tries: int = 6, timeout_s: float = 30.0) -> None:
        self._where: Final = where(url)
        self._headers: Final = {"Authorization": f"Bearer {key}"}
        self._tries: Final = tries
        self._timeout_s: Final = timeout_s
        self._connection: http.client.HTTPConnection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the connection; the next request opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    # ---- pushes

    def push(self, campaign: str, contacts: Iterable[Row]) -> Verdicts:
        """Add or update contacts of a campaign."""
        return self._bulk(f"/campaigns/{wire.part(campaign)}/contacts", contacts)

    def upload(self, campaign: str, path: Path, name: str | None = None) -> Mapping[str, Any]:
        """Send a CSV file, which is imported in the background; ask `list_import` how far it is."""
        where = f"/campaigns/{wire.part(campaign)}/lists"
        return self._object(wire.written("POST", where, path.read_bytes(), wire.CSV, name=name))

    def list_import(self, id: str) -> Mapping[str, Any]:
        """A list and how far its import is."""
        return self._object(wire.get(f"/lists/{wire.part(id)}"))

    def remove(self, removals: Iterable[Row]) -> Verdicts:
        """Withdraw contacts or numbers; what was accepted is not called any more when this returns."""
        return self._bulk("/removals/bulk", removals)

    def do_not_call(self, entries: Iterable[Row]) -> Verdicts:
        """Put numbers on do-not-call lists, or take them off (``"op": "remove"``)."""
        return self._bulk("/dnc/bulk", entries)

    def call_back(self, callbacks: Iterable[Row]) -> Verdicts:
        """Schedule callbacks."""
        return self._bulk("/callbacks/bulk", callbacks)

    def dispose(self, dispositions: Iterable[Row]) -> Verdicts:
        """Close calls with codes."""
        return self._bulk("/dispositions/bulk", dispositions)

    def segment(self, segment: Row) -> Mapping[str, Any]:
        """Make a campaign of a segment, load its contacts, start it."""
        return self._object(wire.send("POST", "/segments", segment))

    # ---- campaigns and calls

    def create_campaign(self, settings: Row) -> Mapping[str, Any]:
        """Create a campaign."""
        return self._object(wire.send("POST", "/campaigns", settings))

    def order(self, campaign: str, order: str) -> Mapping[str, Any]:
        """Start, pause, drain or stop a campaign."""
        return self._object(wire.send("POST", f"/campaigns/{wire.part(campaign)}/{order}"))

    def calls(self, **filters: object) -> Iterator[Mapping[str, Any]]:
        """Ended calls, newest first, page by page; filters as `GET /calls` has them."""
        return self.pages("/calls", **filters)

    def pages(self, path: str, **filters: object) -> Iterator[Mapping[str, Any]]:
        """The items of all pages below /api/v1."""
        cursor: str | None = None
        while True:
            page = self.request(wire.get(path, **filters, cursor=cursor))
            yield from page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return

    # ---- events

    def events(
        self, *, types: str = "", campaign: str | None = None, agent: str | None = None, after: str = ""
    ) -> Iterator[Event]:
        """Results as they come, for ever, over lost connections; `after` is the id of the last that was read."""
        reader = EventReader(after)
        failures = 0
        while True:
            connection = self._connect(timeout_s=2 * self._timeout_s)
            try:
                listen = events_request(types, campaign, agent, reader.last_id)
                connection.request(
                    listen.method, self._where.prefix + listen.path, headers=self._headers | dict(listen.headers)
                )
                answer = connection.getresponse()
                if answer.status != 200:
                    told = wire.meaning(answer.status, answer.read(), answer.headers.get("Retry-After"), failures + 1)
                    raise OSError(told.why if isinstance(told, Wait) else "no events")
                reader.begin()
                while chunk := answer.read1(65_536):
                    failures = 0
                    yield from reader.receive(chunk)
            except _FAILED as error:
                failures += 1
                if failures >= self._tries:
                    raise Unreachable(f"no events from the dialer: {error}") from error
            finally:
                connection.close()
            time.sleep(wire.pause_s(max(1, failures)))

    # ---- one request

    def request(self, request: Request) -> Any:
        """Send a request until it is answered; the answer's JSON."""
        why = ""
        for attempt in range(1, self._tries + 1):
            try:
                status, body, retry_after = self._once(request)
            except _FAILED as error:
                self.close()
                pause_s, why = wire.pause_s(attempt), str(error) or type(error).__name__
            else:
                told = wire.meaning(status, body, retry_after, attempt)
                if not isinstance(told, Wait):
                    return told
                pause_s, why = told.seconds, told.why
            if attempt < self._tries:
                time.sleep(pause_s)
        raise Unreachable(f"the dialer did not do it in {self._tries} tries: {why}")

    def _object(self, request: Request) -> Mapping[str, Any]:
        answer = self.request(request)
        return answer if isinstance(answer, dict) else {}

    def _once(self, request: Request) -> tuple[int, bytes, str | None]:
        if self._connection is None:
            self._connection = self._connect(self._timeout_s)
        headers = self._headers | dict(request.headers)
        self._connection.request(request.method, self._where.prefix + request.path, body=request.body, headers=headers)
        answer = self._connection.getresponse()
        return answer.status, answer.read(), answer.headers.get("Retry-After")

    def _connect(self, timeout_s: float) -> http.client.HTTPConnection:
        kind = http.client.HTTPSConnection if self._where.secure else http.client.HTTPConnection
        return kind(self._where.host, self._where.port, timeout=timeout_s)

    def _bulk(self, path: str, rows: Iterable[Row]) -> Verdicts:
        found: list[Item] = []
        for before, request in wire.bulk(path, rows):
            found += wire.items(before, self.request(request))
        return Verdicts(items=tuple(found))


class Where:
    """Where an API is."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ConfigError(f"{url!r} is no address of a dialer; it may be such as http://127.0.0.1:8080")
        self.secure: Final = parts.scheme == "https"
        self.host: Final = parts.hostname
        self.port: Final = parts.port
        #: A proxy may serve it below a path of its own.
        self.prefix: Final = parts.path.rstrip("/")


def where(url: str) -> Where:
    """The parts of an address.

    Raises:
        ConfigError: it is none.
    """
    return Where(url)
