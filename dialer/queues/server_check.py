"""Is this the server that holds the record? Asked before its gate is opened."""

from __future__ import annotations

from dataclasses import dataclass

from dialer.errors import QueueError
from dialer.queues.connection import AsyncRedis
from dialer.queues.keys import Keys

#: Grows with every change of what the scripts keep in Redis, and how.
LAYOUT = "5"


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


async def check_server(client: AsyncRedis, keys: Keys, highest_token: int) -> ServerIdentity:
    """Look at a server, whose counter of tokens should have come at least to `highest_token`.

    One that has been restarted is believed only where it keeps an append-only file: a snapshot may be minutes old, and
    the removals of those minutes would be lost. A replica that became primary may lack the last writes as well.

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
    return ServerIdentity(
        run_id=run_id,
        generation=generation,
        holds_record=not reason,
        reason=reason,
    )
