"""What makes several nodes one installation, put together for a node: the key that they share, who the others are, and
requests that are handed on.
"""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from litestar.types import ASGIApp

from dialer.api.auth import Authenticator
from dialer.api.ports import ApiPorts
from dialer.api.snippet_tokens import PREFIX
from dialer.console.sessions import former_secret
from dialer.console.site import Console
from dialer.core.ids import AgentId
from dialer.runtime.forwarding import Forwarding
from dialer.runtime.neighbours import Neighbours
from dialer.runtime.node_client import NodeClient
from dialer.runtime.pictures import neighbour_seal
from dialer.settings import Settings
from dialer.storage.database import Database
from dialer.storage.shared_keys import KEY_BYTES, NODES, SharedKeys

if TYPE_CHECKING:
    from dialer.runtime.node import Node

#: Every address of the machine: none that another one could use.
_EVERYWHERE: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 - nothing listens here


async def shared_key(database: Database, data: Path, now: float) -> bytes:
    """The key of all nodes; the first one makes it, of what it signed sessions with before there was one.

    Raises:
        StorageError: the database is out of reach, or holds what is no key.
    """
    return await SharedKeys(database).get(NODES, former_secret(data) or secrets.token_bytes(KEY_BYTES), now)


def address(settings: Settings, listens: str) -> str:
    """Where other nodes reach this one; empty: nobody has said so.

    Args:
        settings: of the node.
        listens: URL that its API listens at.
    """
    if settings.cluster.address:
        return settings.cluster.address
    return "" if urlsplit(listens).hostname in _EVERYWHERE else listens


def neighbours(node: Node, boot: str) -> Neighbours:
    """The other nodes of `node`, whose name for this run is `boot`."""
    cluster = node.settings.cluster
    return Neighbours(
        node=node.settings.node,
        boot=boot,
        address="",
        redis=node.redis,
        keys=node.keys,
        key=node.shared_key,
        live=node.live,
        servers=lambda: [name for name, status in node.switch.status().items() if status.connected],
        room_for=cluster.agents_per_node,
        policy=cluster.sign_in,
        now=node.clock.now,
        generation=lambda: node.queues.generation,
        shards=node.shards,
        abroad=() if node.sharding is None else node.sharding.listen(neighbour_seal(node.shared_key)),
    )


def node_client(node: Node) -> NodeClient:
    """What speaks to the other nodes."""
    cluster = node.settings.cluster
    return NodeClient(
        node.neighbours,
        node.shared_key,
        ca_file=cluster.ca_file,
        timeout_s=cluster.timeout_s,
        figures=node.metrics,
    )


class KnownVisitors:
    """`dialer.runtime.forwarding.Visitors`: keys, tokens of the snippet, and sessions of the console."""

    def __init__(self, ports: ApiPorts, console: Console) -> None:
        self._ports: Final = ports
        self._console: Final = console
        self._keys: Final = Authenticator(ports.keys, ports.clock, ports.guesses)

    async def known(self, authorization: str, cookies: str, address: str) -> bool:
        """See `Visitors`."""
        secret = authorization.partition(" ")[2].strip()
        if secret.startswith(PREFIX):
            tokens = self._ports.snippet
            return tokens is not None and tokens.read(secret, self._ports.clock.now()) is not None
        if authorization:
            return await self._keys.recognises(authorization, address)
        return await self._console.door.holder_of(cookies) is not None

    async def agent_of(self, cookies: str) -> AgentId | None:
        """See `Visitors`."""
        holder = await self._console.door.holder_of(cookies)
        return None if holder is None else holder.agent


def forwarding(app: ASGIApp, node: Node, ports: ApiPorts, console: Console) -> Forwarding:
    """The application with whatever belongs to other nodes handed on to them."""
    return Forwarding(app, node.neighbours, node.node_client, KnownVisitors(ports, console), node.control.dispose_here)
