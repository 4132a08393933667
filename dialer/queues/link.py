"""What all parts of the port on Redis share: a node's way to the server, and what it has seen there."""

from __future__ import annotations

import secrets
from typing import Any

from dialer.core.ids import NodeName
from dialer.queues.connection import AsyncRedis
from dialer.queues.keys import Keys
from dialer.queues.scripts import Scripts


class Link:
    """A node's link to the server that `client` leads to.

    Args:
        client: from `dialer.queues.connection.connect`.
        node: this node's name.
        keys: names of all keys.
        keep_ms: results older than this are trimmed.
        highest_token: the highest fencing token that the record in SQL knows.
    """

    def __init__(self, client: AsyncRedis, *, node: NodeName, keys: Keys, keep_ms: int, highest_token: int) -> None:
        self.client = client
        self.node = node
        #: Of calls: this process, which another of the same name is not.
        self.owner = f"{node}#{secrets.token_hex(4)}"
        self.keys = keys
        self.keep_ms = keep_ms
        self.scripts = Scripts(keys)
        #: The highest fencing token that was seen.
        self.highest_token = highest_token
        #: Which loading of the record was last seen; empty: none yet.
        self.generation = ""

    def heard_of(self, token: int) -> None:
        """A fencing token was seen: a server that knows of lower ones only is stale."""
        self.highest_token = max(self.highest_token, token)

    async def run(self, script: str, *args: Any) -> Any:
        """Call a script."""
        return await self.command("EVALSHA", self.scripts[script], 0, *args)

    async def command(self, *parts: Any) -> Any:
        """Send a command."""
        return await self.client.execute_command(*parts)  # type: ignore[no-untyped-call]  # redis-py

    async def load_scripts(self) -> None:
        """Make the scripts known to the server."""
        pipeline = self.client.pipeline(transaction=False)
        for script in self.scripts.all():
            pipeline.execute_command("SCRIPT", "LOAD", script.text)
        await pipeline.execute()
