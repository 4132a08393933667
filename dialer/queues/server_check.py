"""Is this the server that holds the record? Asked before its gate is opened."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from dialer.errors import QueueError
from dialer.queues.connection import AsyncRedis
from dialer.queues.keys import Keys

#: Grows with every change of what the scripts keep in Redis, and how.
LAYOUT = "5"
#: Longer than any node is silent that is not dead.
_REMEMBERED_BEATS: Final = 60
_SHUT: Final = """
if redis.call('HGET', KEYS[1], 'generation') ~= ARGV[1] then return 0 end
return redis.call('HDEL', KEYS[1], 'generation')
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerIdentity:
    """What a server says of itself."""

    #: Changes with every start of the server.
    run_id: str
    #: Of the record it was loaded with; empty where it never was.
    generation: str
    holds_record: bool
    #: Why not, in words; empty where it does.
    reason: str = ""


class Company:
    """The other nodes, those of late too: a server that was set back may have forgotten one.

    Args:
        node: this one.
    """

    def __init__(self, node: str) -> None:
        self.node = node
        #: How many more heartbeats each is remembered for.
        self._beats: dict[str, int] = {}

    async def look(self, client: AsyncRedis, keys: Keys, now: float) -> None:
        """Hear who lives, with each heartbeat of this node."""
        before = {name: beats - 1 for name, beats in self._beats.items() if beats > 1}
        self._beats = before | dict.fromkeys(await self._owners(client, keys, f"({now}"), _REMEMBERED_BEATS)

    async def others(self, client: AsyncRedis, keys: Keys) -> set[str]:
        """Whoever may have calls on a server, by this node's memory and by its own of the last day."""
        return {*self._beats, *await self._owners(client, keys, "-inf")} - {self.node}

    @staticmethod
    async def _owners(client: AsyncRedis, keys: Keys, since: str) -> list[str]:
        found: Any = await client.zrangebyscore(keys["nodes"], since, "+inf")
        return [owner.decode().rpartition("#")[0] for owner in found]


async def check_server(client: AsyncRedis, keys: Keys, highest_token: int, company: Company) -> ServerIdentity:
    """Look at a server, whose counter of tokens should have come at least to `highest_token`.

    One that has been restarted is believed only where it keeps an append-only file: a snapshot may be minutes old, and
    the removals of those minutes would be lost. A replica that became primary may lack the last writes as well.

    Nor is it believed where there are other nodes: what it has forgotten may be their calls, which this one does not
    miss (docs/adr/0018).

    Raises:
        QueueError: its data was laid out by another version, whose marks this one would misread.
    """
    info = await client.info()
    run_id = str(info.get("run_id", ""))
    generation, known_run, fence, layout = (
        value.decode() if isinstance(value, bytes) else ""
        for value in await client.hmget(keys["gate"], ["generation", "run_id", "fence", "layout"])
    )
    if generation and layout != LAYOUT:
        raise QueueError(
            f"Redis holds data of another version (layout {layout or 'unknown'}, this one needs {LAYOUT}): stop all"
            " nodes, empty it (FLUSHDB) and start again; the record is in the database and will be loaded",
            retryable=False,
        )
    reason = ""
    if not generation:
        reason = "it was never loaded, or has been emptied"
    elif int(fence or 0) < highest_token:
        reason = "it has forgotten reservations that the record knows of"
    elif known_run != run_id:
        if not int(info.get("aof_enabled", 0)):
            reason = "it was restarted, and keeps no append-only file"
        elif info.get("role") != "master" or str(info.get("master_replid2", "")).strip("0"):
            reason = "it is a replica, or was one"
        elif await company.others(client, keys):
            reason = "it was restarted, and may have forgotten calls of other nodes"
    return ServerIdentity(
        run_id=run_id,
        generation=generation,
        holds_record=not reason,
        reason=reason,
    )


async def shut(client: AsyncRedis, keys: Keys, generation: str) -> None:
    """Shut the gate of a server whose record is this one; not of one that another node has opened meanwhile."""
    asked: Any = client  # its types know no scripts that are awaited
    await asked.eval(_SHUT, 1, keys["gate"], generation)
