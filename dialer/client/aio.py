"""The client for asyncio. Methods and errors are those of `dialer.client.blocking.Client`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import aiohttp

from dialer.client import wire
from dialer.client.events import Event, EventReader, events_request
from dialer.client.wire import Item, Request, Row, Unreachable, Verdicts, Wait

_FAILED: Final = (OSError, aiohttp.ClientError, TimeoutError)


class AsyncClient:
    """The API of one dialer, from one event loop; as many requests at once as one likes."""

    def __init__(self, url: str, key: str, *, tries: int = 6, timeout_s: float = 30.0) -> None:
        self._url: Final = url.rstrip("/")
        self._headers: Final = {"Authorization": f"Bearer {key}"}
        self._tries: Final = tries
        self._timeout_s: Final = timeout_s
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End all connections; the next request opens others."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    # ---- pushes

    async def push(self, campaign: str, contacts: Iterable[Row]) -> Verdicts:
        """Add or update contacts of a campaign."""
        return await self._bulk(f"/campaigns/{wire.part(campaign)}/contacts", contacts)

    async def upload(self, campaign: str, path: Path, name: str | None = None) -> Mapping[str, Any]:
        """Send a CSV file, which is imported in the background; ask `list_import` how far it is."""
        body = await asyncio.to_thread(path.read_bytes)
        where = f"/campaigns/{wire.part(campaign)}/lists"
        return await self._object(wire.written("POST", where, body, wire.CSV, name=name))

    async def list_import(self, id: str) -> Mapping[str, Any]:
        """A list and how far its import is."""
        return await self._object(wire.get(f"/lists/{wire.part(id)}"))

    async def remove(self, removals: Iterable[Row]) -> Verdicts:
        """Withdraw contacts or numbers; what was accepted is not called any more when this returns."""
        return await self._bulk("/removals/bulk", removals)

    async def do_not_call(self, entries: Iterable[Row]) -> Verdicts:
        """Put numbers on do-not-call lists, or take them off (``"op": "remove"``)."""
        return await self._bulk("/dnc/bulk", entries)

    async def call_back(self, callbacks: Iterable[Row]) -> Verdicts:
        """Schedule callbacks."""
        return await self._bulk("/callbacks/bulk", callbacks)

    async def dispose(self, dispositions: Iterable[Row]) -> Verdicts:
        """Close calls with codes."""
        return await self._bulk("/dispositions/bulk", dispositions)

    async def segment(self, segment: Row) -> Mapping[str, Any]:
        """Make a campaign of a segment, load its contacts, start it."""
        return await self._object(wire.send("POST", "/segments", segment))

    # ---- campaigns and calls

    async def create_campaign(self, settings: Row) -> Mapping[str, Any]:
        """Create a campaign."""
        return await self._object(wire.send("POST", "/campaigns", settings))

    async def order(self, campaign: str, order: str) -> Mapping[str, Any]:
        """Start, pause, drain or stop a campaign."""
        return await self._object(wire.send("POST", f"/campaigns/{wire.part(campaign)}/{order}"))

    def calls(self, **filters: object) -> AsyncIterator[Mapping[str, Any]]:
        """Ended calls, newest first, page by page; filters as `GET /calls` has them."""
        return self.pages("/calls", **filters)

    async def pages(self, path: str, **filters: object) -> AsyncIterator[Mapping[str, Any]]:
        """The items of all pages below /api/v1."""
        cursor: str | None = None
        while True:
            page = await self.request(wire.get(path, **filters, cursor=cursor))
            for item in page["items"]:
                yield item
            cursor = page["next_cursor"]
            if cursor is None:
                return

    # ---- events

    async def events(
        self, *, types: str = "", campaign: str | None = None, agent: str | None = None, after: str = ""
    ) -> AsyncIterator[Event]:
        """Results as they come, for ever, over lost connections; `after` is the id of the last that was read."""
        reader = EventReader(after)
        failures = 0
        quiet = aiohttp.ClientTimeout(total=None, sock_connect=self._timeout_s, sock_read=2 * self._timeout_s)
        while True:
            listen = events_request(types, campaign, agent, reader.last_id)
            try:
                async with self._open().get(self._url + listen.path, headers=listen.headers, timeout=quiet) as answer:
                    if answer.status != 200:
                        body = await answer.read()
                        told = wire.meaning(answer.status, body, answer.headers.get("Retry-After"), failures + 1)
                        raise OSError(told.why if isinstance(told, Wait) else "no events")
                    reader.begin()
                    async for chunk in answer.content.iter_any():
                        failures = 0
                        for event in reader.receive(chunk):
                            yield event
            except _FAILED as error:
                failures += 1
                if failures >= self._tries:
                    raise Unreachable(f"no events from the dialer: {error}") from error
            await asyncio.sleep(wire.pause_s(max(1, failures)))

    # ---- one request

    async def request(self, request: Request) -> Any:
        """Send a request until it is answered; the answer's JSON."""
        why = ""
        for attempt in range(1, self._tries + 1):
            try:
                status, body, retry_after = await self._once(request)
            except _FAILED as error:
                pause_s, why = wire.pause_s(attempt), str(error) or type(error).__name__
            else:
                told = wire.meaning(status, body, retry_after, attempt)
                if not isinstance(told, Wait):
                    return told
                pause_s, why = told.seconds, told.why
            if attempt < self._tries:
                await asyncio.sleep(pause_s)
        raise Unreachable(f"the dialer did not do it in {self._tries} tries: {why}")

    async def _object(self, request: Request) -> Mapping[str, Any]:
        answer = await self.request(request)
        return answer if isinstance(answer, dict) else {}

    async def _once(self, request: Request) -> tuple[int, bytes, str | None]:
        url = self._url + request.path
        async with self._open().request(request.method, url, data=request.body, headers=request.headers) as answer:
            return answer.status, await answer.read(), answer.headers.get("Retry-After")

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=self._timeout_s)
            self._session = aiohttp.ClientSession(headers=self._headers, timeout=timeout)
        return self._session

    async def _bulk(self, path: str, rows: Iterable[Row]) -> Verdicts:
        found: list[Item] = []
        for before, request in wire.bulk(path, rows):
            found += wire.items(before, await self.request(request))
        return Verdicts(items=tuple(found))
