"""Requests that another node must carry out, handed on to it as they came.

Stands around the whole application, before anybody is asked for a key: what a request is about (`concerns`) decides on
the node, and that node looks at key, session, rules and audit as if it had been asked itself. A request is handed on
once at most, with a ticket (`dialer.runtime.node_seals`), and never sent again: where the other node is gone, or goes
while it is at it, the answer is 503 and says which, so that nothing is ever carried out twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Protocol, cast
from urllib.parse import parse_qs

import aiohttp
import msgspec
import structlog
from litestar.types import ASGIApp, HTTPScope, Receive, Scope, Send

from dialer.api.bodies import MAX_JSON_BYTES
from dialer.api.errors import ErrorBody
from dialer.core.events import CallDisposed
from dialer.core.ids import AgentId, CallId, valid_name
from dialer.errors import InputError, QueueError, RetryableError, StorageError
from dialer.runtime.concerns import About, concern
from dialer.runtime.neighbours import Neighbours
from dialer.runtime.node_client import DISPOSED, HEADER, NO_ANSWER, NOT_SENT, NodeClient, Refused
from dialer.runtime.pictures import Neighbour
from dialer.runtime.tasks import Tasks

_log = structlog.get_logger(__name__)

_HEADER: Final = HEADER.encode()
_RETRY_AFTER_S: Final = 2
#: Answers that go on and on.
_STREAMS: Final = "/console/stream/"
#: How often it is looked whether an agent is still at home where a stream about them comes from.
_LOOK_EVERY_S: Final = 0.5
#: Of one connection alone (RFC 9110, 7.6.1), or made anew for the other.
_OWN_HEADERS: Final = frozenset(
    {
        *("connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"),
        *("content-length", "expect", "host", "date", HEADER),
    }
)


class _SignIn(msgspec.Struct):
    """What of a sign-in decides where it belongs."""

    campaigns: tuple[str, ...] = ()
    server: str | None = None


class _Named(msgspec.Struct):
    """Whom a call is asked for, which call is closed, or which campaign is made."""

    agent: str | None = None
    call: str | None = None
    campaign: str | None = None
    id: str | int | None = None


class Visitors(Protocol):
    """Knows who asks, without asking for anything."""

    async def known(self, authorization: str, cookies: str, address: str) -> bool:
        """Whether these headers are those of somebody who may ask at all."""

    async def agent_of(self, cookies: str) -> AgentId | None:
        """The agent whose session it is; None: no agent's."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a request belongs."""

    #: None: here.
    home: Neighbour | None = None
    #: Whom it is about.
    agent: AgentId | None = None
    #: The campaign that it is about, where that belongs to another shard.
    campaign: str = ""


_HERE: Final = _Place()
#: What any node of one shard can carry out.
_OF_SHARDS: Final = frozenset({About.CAMPAIGN, About.BODY_CAMPAIGN})


class Forwarding:
    """The application, with whatever belongs to other nodes handed on to them.

    Args:
        app: the application.
        neighbours: the other nodes.
        client: speaks to them.
        visitors: knows who asks.
        dispose: closes a call of this node for another one.
    """

    def __init__(
        self,
        app: ASGIApp,
        neighbours: Neighbours,
        client: NodeClient,
        visitors: Visitors,
        dispose: Callable[[CallDisposed], Awaitable[None]],
    ) -> None:
        self._app: Final = app
        self._neighbours: Final = neighbours
        self._client: Final = client
        self._visitors: Final = visitors
        self._dispose: Final = dispose

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Carry a request out here, or have it carried out."""
        if str(scope["type"]) != "http":
            await self._app(scope, receive, send)
            return
        scope = cast("HTTPScope", scope)
        ticket = next((value for name, value in scope["headers"] if name == _HEADER), None)
        if ticket is not None:
            await self._take(ticket, scope, receive, send)
            return
        body = _Body(receive)
        if not self._neighbours.others() and not self._neighbours.shards.several:
            await self._app(scope, body.again, send)
            return
        try:
            place = await self._place(scope, body)
        except (QueueError, StorageError) as error:
            _log.warning("it is not known which node a request is for", error=str(error))
            self._client.figures.handed_on("home_unknown")
            await _unavailable(scope, send, "it cannot be found out which node has this; nothing was done, try again")
            return
        if place.campaign and place.home is None:
            shard = self._neighbours.shards.of(place.campaign)
            says = f"campaign {place.campaign} belongs to shard {shard}, none of whose nodes answers; nothing was done"
            await _unavailable(scope, send, says, carried_out="no")
        elif place.home is not None:
            await self._hand_on(place, place.home, scope, body, send)
        elif place.agent is not None and scope["path"].startswith(_STREAMS):
            await self._stay(place.agent, scope, body, send)
        else:
            await self._app(scope, body.again, send)

    # ---- from another node

    async def _take(self, ticket: bytes, scope: HTTPScope, receive: Receive, send: Send) -> None:
        body = _Body(receive)
        address = self._client.tickets.take(
            ticket.decode("latin-1"),
            node=self._neighbours.node,
            boot=self._neighbours.boot,
            method=scope["method"],
            target=_target(scope),
            body=await body.read() if await body.fits() else b"",
            now=self._neighbours.shared_now(),
        )
        if address is None:
            _log.warning("a request with a wrong ticket", address=_address(scope))
            self._client.figures.taken("refused")
            await _answer(scope, send, 403, "forbidden", "this was not handed on by a node of this installation")
            return
        self._client.figures.taken("taken")
        if scope["path"] == DISPOSED:
            await self._errand(await body.read(), send)
            return
        headers = [(name, value) for name, value in scope["headers"] if name != _HEADER]
        # One hop is all: whoever is not here is nowhere, and the application says so.
        own = cast("Scope", {**scope, "headers": headers, "client": (address, 0)})
        await self._app(own, body.again, send)

    async def _errand(self, content: bytes, send: Send) -> None:
        """Close a call that is ours, of which another node was told."""
        status, body = 204, b""
        try:
            await self._dispose(msgspec.json.decode(content, type=CallDisposed))
        except InputError as error:
            status, body = 422, msgspec.json.encode(Refused(says=str(error), word=error.word, allowed=error.allowed))
        except (RetryableError, msgspec.DecodeError) as error:
            _log.warning("a call was not closed for another node", error=type(error).__name__)
            status = 503
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": body, "more_body": False})

    # ---- to another node

    async def _place(self, scope: HTTPScope, body: _Body) -> _Place:
        about = concern(scope["method"], scope["path"])
        if about.about is About.ANYBODY or (about.about in {About.AGENT, About.SIGN_IN} and not valid_name(about.name)):
            return _HERE
        if about.about in _OF_SHARDS and not self._neighbours.shards.several:
            return _HERE
        cookies = _header(scope, b"cookie")
        if not await self._visitors.known(_header(scope, b"authorization"), cookies, _address(scope)):
            # Strangers move nothing, here or elsewhere: the application turns them away.
            return _HERE
        if about.about is About.CAMPAIGN:
            return self._of_campaign(about.name)
        if about.about is About.CALL:
            return _Place(self._neighbours.home_of_call(CallId(about.name)))
        if about.about in {About.BODY_AGENT, About.BODY_CALL, About.BODY_CAMPAIGN}:
            named = _decoded(await body.read(), _Named) if await body.fits() else None
            if named is not None and about.about is About.BODY_CAMPAIGN:
                return self._of_campaign(str(named.campaign or named.id or ""))
            if named is not None and about.about is About.BODY_CALL and named.call:
                return _Place(await self._neighbours.maker_of_call(CallId(named.call)))
            if named is not None and about.about is About.BODY_AGENT and named.agent and valid_name(named.agent):
                return _Place(await self._neighbours.home_of_agent(AgentId(named.agent)))
            return _HERE
        agent: AgentId | None = AgentId(about.name)
        if about.about in {About.OWN_DESK, About.OWN_SIGN_IN}:
            agent = await self._visitors.agent_of(cookies)
        if agent is None:
            return _HERE
        if about.about is About.OWN_SIGN_IN:
            form = parse_qs((await body.read()).decode("utf-8", "replace")) if await body.fits() else {}
            return _Place(await self._neighbours.sign_in_at(agent, form.get("campaign", []), None), agent)
        if about.about is About.SIGN_IN:
            wish = _decoded(await body.read(), _SignIn) if await body.fits() else None
            if wish is None:
                return _HERE
            return _Place(await self._neighbours.sign_in_at(agent, wish.campaigns, wish.server), agent)
        return _Place(await self._neighbours.home_of_agent(agent), agent)

    def _of_campaign(self, campaign: str) -> _Place:
        """Of a campaign of the own shard, or of none, the application here knows as much as any."""
        if self._neighbours.shards.mine(campaign) or not valid_name(campaign):
            return _HERE
        return _Place(self._neighbours.home_of_campaign(campaign), campaign=campaign)

    async def _stay(self, agent: AgentId, scope: HTTPScope, body: _Body, send: Send) -> None:
        """Answer with a stream about an agent, until they are at home elsewhere: whoever listens comes again."""
        begun = ended = False

        async def see(message: Any) -> None:
            nonlocal begun, ended
            begun = True
            ended = message["type"] == "http.response.body" and not message.get("more_body", False)
            await send(message)

        async with Tasks() as tasks:
            moved = tasks.start("agent moves", self._moved(agent, self._neighbours.node))

            async def receive() -> Any:
                if moved.done():
                    return {"type": "http.disconnect"}
                async with Tasks() as listening:
                    hearing = listening.start("client", body.again())
                    await asyncio.wait({hearing, moved}, return_when=asyncio.FIRST_COMPLETED)
                    return hearing.result() if hearing.done() else {"type": "http.disconnect"}

            await self._app(scope, receive, see)
        if begun and not ended:
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _moved(self, agent: AgentId, at: str) -> None:
        """Return when an agent is at home at another node than `at`."""
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            with suppress(QueueError):
                if await self._neighbours.place_of(agent) not in {"", at}:
                    return

    async def _hand_on(self, place: _Place, home: Neighbour, scope: HTTPScope, body: _Body, send: Send) -> None:
        if not await body.fits():
            says = f"a request of this kind has at most {MAX_JSON_BYTES} bytes"
            if place.campaign:
                says = f"campaign {place.campaign} is of shard {home.shard}: send this to a node there ({home.node})"
            await _answer(scope, send, 413, "too_large", says)
            return
        if not home.address:
            self._client.figures.handed_on("no_address")
            says = f"node {home.node} has this, and says not where it is reached: set cluster.address there"
            await _unavailable(scope, send, says, node=home.node)
            return
        content, target = await body.read(), _target(scope)
        headers = [
            (name.decode("latin-1"), value.decode("latin-1"))
            for name, value in scope["headers"]
            if name.decode("latin-1") not in _OWN_HEADERS
        ]
        begun = False

        async def started(message: Any) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            async with self._client.request(
                home, scope["method"], target, content, headers=headers, address=_address(scope)
            ) as response:
                streams = place.agent is not None and scope["path"].startswith(_STREAMS)
                moved = self._moved(place.agent, home.node) if streams and place.agent is not None else None
                await _pass_on(response, body, started, moved)
        except NOT_SENT as error:
            _log.warning("a request could not be handed on", node=home.node, error=type(error).__name__)
            says = f"node {home.node} has this and cannot be reached; nothing was done, try again"
            await _unavailable(scope, send, says, node=home.node, carried_out="no")
        except NO_ANSWER as error:
            _log.warning("a request was handed on and not answered", node=home.node, error=type(error).__name__)
            if begun and place.agent is not None and scope["path"].startswith(_STREAMS):
                await send({"type": "http.response.body", "body": b"", "more_body": False})
                return  # whoever listens comes again
            if begun:
                raise  # half an answer: the server closes the connection
            says = f"node {home.node} was asked and did not answer; look whether it was done before you ask again"
            await _unavailable(scope, send, says, node=home.node, carried_out="unknown")


class _Body:
    """The body of a request, read once and given as often as is wanted."""

    def __init__(self, receive: Receive) -> None:
        self._receive: Final = receive
        self._chunks: Final[list[bytes]] = []
        self._size = 0
        self._complete = False
        self._given = False
        self._left = False

    async def fits(self) -> bool:
        """Whether it is short enough to be held; it is read as far as it takes to tell."""
        while not self._complete and not self._left and self._size <= MAX_JSON_BYTES:
            message = await self._receive()
            if message["type"] != "http.request":
                self._left = True
                break
            self._chunks.append(message["body"])
            self._size += len(message["body"])
            self._complete = not message["more_body"]
        return self._complete and self._size <= MAX_JSON_BYTES

    async def read(self) -> bytes:
        """All of it, where it `fits`."""
        return b"".join(self._chunks)

    async def again(self) -> Any:
        """What the application receives: what was read, then the rest."""
        if not self._given and (self._chunks or self._complete):
            self._given = True
            return {"type": "http.request", "body": b"".join(self._chunks), "more_body": not self._complete}
        if self._left:
            return {"type": "http.disconnect"}
        return await self._receive()

    async def gone(self) -> None:
        """Return when the client has left."""
        while not self._left:
            message = await self._receive()
            self._left = message["type"] == "http.disconnect"


async def _pass_on(
    response: aiohttp.ClientResponse, body: _Body, send: Send, enough: Coroutine[Any, Any, None] | None
) -> None:
    """Give an answer on as it comes, until it ends, nobody listens any more, or `enough` says so."""

    async def write() -> None:
        headers = [
            (name.lower(), value)
            for name, value in response.raw_headers
            if name.lower() == b"content-length" or name.lower().decode("latin-1") not in _OWN_HEADERS
        ]
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        async for chunk in response.content.iter_any():
            await send({"type": "http.response.body", "body": chunk, "more_body": True})

    async with Tasks() as tasks:
        writing, left = tasks.start("answer", write()), tasks.start("client", body.gone())
        ends = {writing, left} if enough is None else {writing, left, tasks.start("enough", enough)}
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        nobody_listens = left.done()
        if writing.done():
            writing.result()
    if not nobody_listens:
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _target(scope: HTTPScope) -> str:
    path = scope.get("raw_path") or scope["path"].encode()
    query = scope["query_string"]
    return (path.partition(b"?")[0] + (b"?" + query if query else b"")).decode("latin-1")


def _address(scope: HTTPScope) -> str:
    client = scope.get("client")
    return client[0] if client else ""


def _header(scope: HTTPScope, wanted: bytes) -> str:
    return next((value.decode("latin-1") for name, value in scope["headers"] if name == wanted), "")


def _decoded(content: bytes, kind: type[Any]) -> Any:
    """What of a body is of interest; None: it is not what it should be, which the application says better."""
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.DecodeError, RecursionError):
        return None


async def _unavailable(scope: HTTPScope, send: Send, says: str, **details: str) -> None:
    await _answer(scope, send, 503, "unavailable", says, **details)


async def _answer(scope: HTTPScope, send: Send, status: int, error: str, says: str, **details: str) -> None:
    if scope["path"].startswith("/console/"):
        body, media_type = says.encode(), b"text/plain; charset=utf-8"
    else:
        body = msgspec.json.encode(ErrorBody(error=error, message=says, details=dict(details)))
        media_type = b"application/json"
    headers = [
        (b"content-type", media_type),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
    ]
    if status == 503:
        headers.append((b"retry-after", str(_RETRY_AFTER_S).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
