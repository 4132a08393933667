"""How a node speaks to another: requests handed on as they came, and errands of its own, each once at most.

Nothing is ever sent again. Each request has a connection to itself: one that had been kept may be dead, and a client
that finds out would not know whether its request had arrived.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final, Protocol

import aiohttp
import msgspec
from msgspec import Struct
from yarl import URL

from dialer.core.events import CallDisposed
from dialer.errors import InputError, QueueError
from dialer.runtime.neighbours import Neighbours
from dialer.runtime.node_seals import Ticket, Tickets
from dialer.runtime.pictures import Neighbour

#: The header that carries a ticket.
HEADER: Final = "cadencia-forwarded"
#: Errands, which nobody can ask for without a ticket.
DISPOSED: Final = "/nodes/v1/disposed"
#: What another node raises before it is known that anything arrived there.
NOT_SENT: Final = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)
NO_ANSWER: Final = (aiohttp.ClientError, TimeoutError, OSError)
_CONNECT_S: Final = 2.0
#: What the client would add by itself: requests go on as they came.
_LEFT_OUT: Final = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")


class Refused(Struct, frozen=True, kw_only=True):
    """Why an errand cannot be done, as `InputError` has it."""

    says: str
    word: str
    allowed: tuple[str, ...] = ()


class Figures(Protocol):
    """Counts what goes from node to node."""

    def handed_on(self, outcome: str, answer_s: float | None = None) -> None:
        """A request of another node was answered (the answer began after `answer_s`), or why it was not."""

    def taken(self, outcome: str) -> None:
        """A request that says that it was handed on was taken, or refused."""


class NodeClient:
    """Sends requests to other nodes.

    Args:
        neighbours: who they are.
        key: that all nodes share.
        ca_file: PEM of who may have signed their certificates; empty: whom this machine trusts.
        timeout_s: for so long another node may say nothing.
        figures: are told what came of it.
    """

    def __init__(self, neighbours: Neighbours, key: bytes, *, ca_file: str, timeout_s: float, figures: Figures) -> None:
        self._neighbours: Final = neighbours
        self.figures: Final = figures
        self.tickets: Final = Tickets(key)
        self._ca_file: Final = ca_file
        self._timeout: Final = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S, sock_read=timeout_s)
        self._client: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close all connections."""
        if self._client is not None:
            await self._client.close()

    @asynccontextmanager
    async def request(
        self,
        home: Neighbour,
        method: str,
        target: str,
        content: bytes,
        *,
        headers: Sequence[tuple[str, str]] = (),
        address: str = "",
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """One request to another node; the answer, as soon as it begins.

        Args:
            home: which says where it is reached.
            method: in capitals.
            target: path and query, as they were asked for.
            content: the body.
            headers: of the request.
            address: whose request it is.

        Raises:
            NOT_SENT: nothing has arrived there.
            NO_ANSWER: it is not known what has.
        """
        ticket = Ticket(
            node=home.node,
            boot=home.boot,
            method=method,
            target=target,
            body=hashlib.sha256(content).hexdigest(),
            address=address,
            at=self._neighbours.clock_of(home),
            nonce=secrets.token_hex(8),
        )
        loop = asyncio.get_running_loop()
        begun = loop.time()
        try:
            answer = await self._session().request(
                method,
                # Not taken apart and put together again: the ticket is for exactly this.
                URL(home.address.rstrip("/") + target, encoded=True),
                data=content or None,
                headers=[*headers, (HEADER, self.tickets.write(ticket))],
                skip_auto_headers=_LEFT_OUT,
                allow_redirects=False,
                timeout=self._timeout,
            )
        except NOT_SENT:
            self.figures.handed_on("unreachable")
            raise
        except NO_ANSWER:
            self.figures.handed_on("unanswered")
            raise
        self.figures.handed_on("answered", loop.time() - begun)
        async with answer:
            yield answer

    async def dispose(self, event: CallDisposed) -> bool:
        """Have a call closed by the node that made it; False: that is this one, or it is no more.

        Raises:
            InputError: what that node has to say about it.
            QueueError: it cannot be reached, or has not answered: do it again, which changes nothing where it was done.
        """
        home = await self._neighbours.maker_of_call(event.call)
        if home is None:
            return False
        if not home.address:
            self.figures.handed_on("no_address")
            raise QueueError(f"node {home.node} has this call and does not say where it is reached (cluster.address)")
        try:
            async with self.request(home, "POST", DISPOSED, msgspec.json.encode(event)) as answer:
                status, content = answer.status, await answer.read()
        except NO_ANSWER as error:
            raise QueueError(f"node {home.node} has this call and does not answer: {type(error).__name__}") from error
        if status == 422:
            refused = msgspec.json.decode(content, type=Refused)
            raise InputError(refused.says, word=refused.word, allowed=refused.allowed)
        if status != 204:
            raise QueueError(f"node {home.node} could not close this call (HTTP {status})")
        return True

    def _session(self) -> aiohttp.ClientSession:
        if self._client is None:
            context = ssl.create_default_context(cafile=self._ca_file) if self._ca_file else True
            connector = aiohttp.TCPConnector(ssl=context, force_close=True, limit=0)
            self._client = aiohttp.ClientSession(
                connector=connector, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar()
            )
        return self._client
