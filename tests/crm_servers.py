"""Servers that stand for CRMs in tests: real HTTP on the loopback, behaving as their public documentation says.

`Dataverse`: Web API 9.2 of Microsoft Dynamics 365, as far as phone calls go: OAuth, `Prefer: odata.maxpagesize`,
`@odata.nextLink`, change tracking with `@odata.deltaLink`, ETags and `If-Match`, service protection (429).
`Salesforce`: REST API: OAuth without a lifetime, `query` with `nextRecordsUrl`, `sobjects`, errors as lists.
`TwoFunctions`: a CRM of somebody's own, in JSON and in SOAP.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from aiohttp import web

Fault = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Server:
    """What all of them share: requests seen, faults to come, a key that changes."""

    url: str = ""
    seen: list[tuple[str, str, dict[str, str], str]] = field(default_factory=list)
    #: The next requests meet these instead of the CRM; None lets one through.
    faults: list[Fault | None] = field(default_factory=list)
    #: Every one does, as long as it stands.
    always: Fault | None = None
    tokens: int = 0
    token_lifetime_s: int | None = 3_600
    client_secret: str = "s3cret"

    def __post_init__(self) -> None:
        self.app = web.Application(client_max_size=32 * 1024 * 1024)
        self.app.router.add_post("/oauth/token", self._token)
        self.routes()
        self.app.router.add_route("*", "/{rest:.*}", self._nothing)

    def routes(self) -> None:
        """Add the CRM's own."""

    def route(self, method: str, path: str, handler: Fault) -> None:
        """A route that knows its visitors and may fail."""

        async def guarded(request: web.Request) -> web.StreamResponse:
            body = await request.text()
            headers = {name.lower(): value for name, value in request.headers.items()}
            self.seen.append((request.method, unquote(str(request.rel_url)), headers, body))
            fault = self.faults.pop(0) if self.faults else self.always
            if fault is not None:
                return await fault(request)
            if not self.welcome(request):
                return self.unknown()
            return await handler(request)

        self.app.router.add_route(method, path, guarded)

    def welcome(self, request: web.Request) -> bool:
        """Whether the key is right."""
        return request.headers.get("Authorization") == f"Bearer token-{self.tokens}"

    def unknown(self) -> web.Response:
        """The answer to a wrong key."""
        return web.Response(status=401)

    def asked(self, method: str) -> list[tuple[str, dict[str, str], str]]:
        """Requests of a method: path, headers, body."""
        return [(path, headers, body) for verb, path, headers, body in self.seen if verb == method]

    async def _token(self, request: web.Request) -> web.Response:
        form = await request.post()
        if form.get("grant_type") != "client_credentials" or form.get("client_secret") != self.client_secret:
            return web.json_response({"error": "invalid_client", "error_description": "secret stuff"}, status=401)
        self.tokens += 1
        lifetime = {} if self.token_lifetime_s is None else {"expires_in": self.token_lifetime_s}
        return web.json_response({"access_token": f"token-{self.tokens}", "token_type": "Bearer"} | lifetime)

    async def _nothing(self, request: web.Request) -> web.Response:
        return web.Response(status=404, text="nothing here")


class Dataverse(Server):
    """Phone calls of one organisation."""

    def routes(self) -> None:
        self.calls: dict[str, dict[str, Any]] = {}
        self.versions: dict[str, int] = {}
        #: Every change: (id, deleted).
        self.log: list[tuple[str, bool]] = []
        self.counter = 0
        base = "/api/data/v9.2"
        self.route("GET", f"{base}/phonecalls", self._list)
        self.route("GET", base + "/phonecalls({id})", self._get)
        self.route("PATCH", base + "/phonecalls({id})", self._patch)

    def put(self, id: str, phone: str, **values: Any) -> None:
        """A call as somebody enters or changes it."""
        known = self.calls.get(id, {"statecode": 0, "statuscode": 1, "directioncode": True, "prioritycode": 1})
        self.calls[id] = known | {"activityid": id, "phonenumber": phone, "subject": f"Call {id}"} | values
        self._touch(id)

    def delete(self, id: str) -> None:
        """Somebody deletes it."""
        del self.calls[id]
        self.log.append((id, True))

    def _touch(self, id: str) -> None:
        self.counter += 1
        self.versions[id] = self.counter
        self.log.append((id, False))

    def _row(self, id: str) -> dict[str, Any]:
        return {"@odata.etag": f'W/"{self.versions[id]}"'} | self.calls[id]

    async def _list(self, request: web.Request) -> web.Response:
        prefer = request.headers.get("Prefer", "")
        size = int(match[1]) if (match := re.search(r"maxpagesize=(\d+)", prefer)) else 5_000
        query = request.query
        tracking = "track-changes" in prefer or "$deltatoken" in query
        if tracking and "$filter" in query:
            return _odata_error(400, "0x80060888", "$filter is not supported with change tracking")
        until = int(query.get("$until", len(self.log)))
        if "$deltatoken" in query:
            since = int(query["$deltatoken"])
            if since < 0 or since > len(self.log):
                return _odata_error(410, "0x80044352", "the token has expired")
            latest = dict(self.log[since:until])
            rows = [
                {"@odata.context": "#phonecalls/$deletedEntity", "id": id, "reason": "deleted"}
                if deleted
                else self._row(id)
                for id, deleted in latest.items()
                if deleted or id in self.calls
            ]
        else:
            wanted = sorted(self.calls)
            if "statecode eq 0" in query.get("$filter", ""):
                wanted = [id for id in wanted if self.calls[id]["statecode"] == 0]
            rows = [self._row(id) for id in wanted]
        start = int(query.get("$skiptoken", "0"))
        page = rows[start : start + size]
        answer: dict[str, Any] = {"@odata.context": f"{self.url}/api/data/v9.2/$metadata#phonecalls", "value": page}
        link = f"{self.url}/api/data/v9.2/phonecalls?" + "&".join(
            f"{name}={value}" for name, value in query.items() if name not in {"$skiptoken", "$until"}
        ).replace(" ", "%20")
        if start + size < len(rows):
            answer["@odata.nextLink"] = f"{link}&$skiptoken={start + size}&$until={until}"
        elif tracking:
            answer["@odata.deltaLink"] = f"{self.url}/api/data/v9.2/phonecalls?$select=x&$deltatoken={until}"
        return web.json_response(answer)

    async def _get(self, request: web.Request) -> web.Response:
        id = request.match_info["id"]
        return web.json_response(self._row(id)) if id in self.calls else _odata_error(404, "0x80040217", "not there")

    async def _patch(self, request: web.Request) -> web.Response:
        id = request.match_info["id"]
        match = request.headers.get("If-Match")
        if id not in self.calls:
            # Without If-Match a PATCH would make a new record.
            assert match is not None
            return _odata_error(404, "0x80040217", "phonecall does not exist")
        if match not in {"*", f'W/"{self.versions[id]}"'}:
            return _odata_error(412, "0x80060882", "the version of the record does not match")
        body = json.loads(await request.text())
        unknown = set(body) - {"description", "statecode", "statuscode", "actualdurationminutes", "subject"}
        if unknown:
            return _odata_error(400, "0x80048d19", f"invalid property {unknown}")
        self.calls[id] |= body
        self._touch(id)
        return web.Response(status=204, headers={"OData-EntityId": f"{self.url}/api/data/v9.2/phonecalls({id})"})


def _odata_error(status: int, code: str, message: str) -> web.Response:
    return web.json_response({"error": {"code": code, "message": message}}, status=status)


class Salesforce(Server):
    """Tasks and leads of one organisation."""

    def routes(self) -> None:
        self.records: dict[str, dict[str, dict[str, Any]]] = {"Task": {}, "Lead": {}}
        self.page_size = 2_000
        self.stamp = 0
        self.cursors: dict[str, list[dict[str, Any]]] = {}
        base = "/services/data/v62.0"
        for verb in ("query", "queryAll"):
            self.route("GET", f"{base}/{verb}", self._query)
            self.route("GET", f"{base}/{verb}/{{cursor}}", self._more)
        self.route("GET", base + "/sobjects/{kind}/{id}", self._get)
        self.route("PATCH", base + "/sobjects/{kind}/{id}", self._patch)

    def unknown(self) -> web.Response:
        return web.json_response([{"message": "Session expired", "errorCode": "INVALID_SESSION_ID"}], status=401)

    def put(self, kind: str, id: str, **values: Any) -> None:
        """A record as somebody enters or changes it."""
        self.stamp += 1
        stamp = f"2026-03-01T10:{self.stamp // 60:02d}:{self.stamp % 60:02d}.000+0000"
        defaults: dict[str, Any] = {"Id": id, "attributes": {"type": kind}}
        if kind == "Lead":
            defaults |= {"IsConverted": False, "IsDeleted": False, "DoNotCall": False}
            defaults |= {"Status": "Open - Not Contacted", "SystemModstamp": stamp}
        else:
            defaults |= {"IsClosed": False, "Status": "Not Started", "LastModifiedDate": stamp}
        moved = {"SystemModstamp": stamp} if kind == "Lead" else {"LastModifiedDate": stamp}
        self.records[kind][id] = defaults | self.records[kind].get(id, {}) | values | moved

    async def _query(self, request: web.Request) -> web.Response:
        text = request.query["q"]
        match = re.search(r"FROM (Task|Lead)", text)
        assert match is not None, text
        rows = list(self.records[match[1]].values())
        if match[1] == "Task":
            rows = [row for row in rows if not row["IsClosed"]]
        else:
            since = re.search(r"SystemModstamp>=(\S+)", text)
            assert since is not None, text
            rows = [row for row in rows if row["SystemModstamp"] >= since[1]]
            rows.sort(key=lambda row: (row["SystemModstamp"], row["Id"]))
        return self._answer(rows, 0, len(rows), f"01g{len(self.cursors)}")

    async def _more(self, request: web.Request) -> web.Response:
        cursor, _, start = request.match_info["cursor"].partition("-")
        if cursor not in self.cursors:
            return web.json_response([{"message": "gone", "errorCode": "INVALID_QUERY_LOCATOR"}], status=400)
        rows = self.cursors[cursor]
        return self._answer(rows, int(start), len(rows), cursor)

    def _answer(self, rows: list[dict[str, Any]], start: int, total: int, cursor: str) -> web.Response:
        page = rows[start : start + self.page_size]
        done = start + self.page_size >= total
        answer: dict[str, Any] = {"totalSize": total, "done": done, "records": page}
        if not done:
            self.cursors[cursor] = rows
            answer["nextRecordsUrl"] = f"/services/data/v62.0/query/{cursor}-{start + self.page_size}"
        return web.json_response(answer)

    async def _get(self, request: web.Request) -> web.Response:
        row = self.records[request.match_info["kind"]].get(request.match_info["id"])
        return self._missing() if row is None else web.json_response(row)

    async def _patch(self, request: web.Request) -> web.Response:
        kind, id = request.match_info["kind"], request.match_info["id"]
        row = self.records[kind].get(id)
        if row is None:
            return self._missing()
        body = json.loads(await request.text())
        self.put(kind, id, **body)
        if body.get("Status") == "Completed":
            self.records[kind][id]["IsClosed"] = True
        return web.Response(status=204)

    @staticmethod
    def _missing() -> web.Response:
        error = {"errorCode": "NOT_FOUND", "message": "The requested resource does not exist"}
        return web.json_response([error], status=404)


class TwoFunctions(Server):
    """Somebody's own CRM."""

    def routes(self) -> None:
        self.calls: list[dict[str, Any]] = []
        self.updates: dict[str, dict[str, Any]] = {}
        #: Times that each key was heard.
        self.heard: dict[str, int] = {}
        self.page_size = 500
        self.soap_page_size = 2
        self.route("GET", "/pending-calls", self._list)
        self.route("POST", "/calls/{id}", self.update)
        self.route("POST", "/service", self._soap)

    def welcome(self, request: web.Request) -> bool:
        return request.headers.get("X-API-Key") == "key"

    async def _list(self, request: web.Request) -> web.Response:
        start = int(request.query.get("after") or 0)
        end = start + self.page_size
        page = self.calls[start:end]
        return web.json_response({"calls": page, "next": str(end) if end < len(self.calls) else None})

    async def update(self, request: web.Request) -> web.Response:
        """`Update this call`."""
        body = json.loads(await request.text())
        key = request.headers["Idempotency-Key"]
        assert body["key"] == key
        self.heard[key] = self.heard.get(key, 0) + 1
        self.updates.setdefault(key, body | {"id": request.match_info["id"]})
        return web.json_response({"ok": True})

    async def _soap(self, request: web.Request) -> web.Response:
        body = await request.text()
        if request.headers["SOAPAction"] == '"urn:GetPendingCalls"':
            match = re.search(r"<page>(\d+)</page>", body)
            assert match is not None
            start = (int(match[1]) - 1) * self.soap_page_size
            calls = "".join(
                f'<call version="{call.get("version", 1)}"><id>{call["id"]}</id><phone>{call["phone"]}</phone>'
                f"<debt>{call.get('amount', '')}</debt></call>"
                for call in self.calls[start : start + self.soap_page_size]
            )
            return soap_answer(
                f'<GetPendingCallsResponse xmlns="urn:calls"><calls>{calls}</calls></GetPendingCallsResponse>'
            )
        assert request.headers["SOAPAction"] == '"urn:UpdateCall"'
        found = dict(re.findall(r"<([a-z]+)>([^<]*)</", body))
        self.updates[found["key"]] = found
        return soap_answer('<UpdateCallResponse xmlns="urn:calls"><result>ok</result></UpdateCallResponse>')


def soap_answer(body: str, status: int = 200, before: str = "") -> web.Response:
    """`body` in an envelope."""
    text = (
        f'<?xml version="1.0"?>{before}<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/">'
        f"<s:Body>{body}</s:Body></s:Envelope>"
    )
    return web.Response(status=status, text=text, content_type="text/xml")


def answers(status: int = 200, text: str = "", **headers: str) -> Fault:
    """A fault: this answer."""

    async def fault(_: web.Request) -> web.StreamResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(status=status, text=text, headers=named)

    return fault


async def never(_: web.Request) -> web.StreamResponse:
    """A fault: no answer, until the visitor goes."""
    await asyncio.Event().wait()
    raise AssertionError("this can't happen")


async def half(request: web.Request) -> web.StreamResponse:
    """A fault: half of the body that was announced."""
    response = web.StreamResponse(headers={"Content-Length": "1000", "Content-Type": "application/json"})
    await response.prepare(request)
    await response.write(b'{"calls": [{"id": "1",')
    assert request.transport is not None
    request.transport.close()
    return response


@asynccontextmanager
async def serving(server: Server) -> AsyncIterator[None]:
    """The server on a port of the loopback."""
    runner = web.AppRunner(server.app, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        server.url = f"http://{host}:{port}"
        yield
    finally:
        await runner.cleanup()
