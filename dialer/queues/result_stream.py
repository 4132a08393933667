"""The stream of results as those who look after it see it: what stands in it, and how far its readers are.

Moments are ages, by the server's own clock: whoever asks may have another one.
"""

from __future__ import annotations

from typing import Any, Final

from redis import exceptions

from dialer.queues.connection import AsyncRedis, redis_errors
from dialer.queues.result_keys import result_key

_AT_ONCE: Final = 1_000


async def keys_told(client: AsyncRedis, stream: str, since_s: float, until_s: float = 0.0) -> set[str]:
    """Keys of the results that were written from `since_s` to `until_s` seconds ago.

    Raises:
        QueueError: Redis is out of reach.
    """
    with redis_errors():
        now_ms = await _now_ms(client)
        first = str(max(0, int(now_ms - since_s * 1_000)))
        last = str(max(0, int(now_ms - until_s * 1_000))) if until_s > 0.0 else "+"
        told: set[str] = set()
        while True:
            entries: Any = await client.xrange(stream, min=first, max=last, count=_AT_ONCE)
            told.update(result_key(fields.get(b"data", b"")) for _, fields in entries)
            if len(entries) < _AT_ONCE:
                return told
            first = f"({entries[-1][0].decode()}"


async def newest_id(client: AsyncRedis, stream: str) -> str:
    """The id of the newest result; empty: there is none.

    Raises:
        QueueError: Redis is out of reach.
    """
    with redis_errors():
        entries: Any = await client.xrevrange(stream, count=1)
    return entries[0][0].decode() if entries else ""


async def was_set_back(client: AsyncRedis, stream: str, newest: str) -> bool:
    """Whether the stream lacks a result that it had (its id; empty: none), though nobody has taken it out.

    Readers may delete what they have dealt with, and cut off what is old. A server before Redis 7 does not tell what
    was deleted: of such a one it is never said.

    Raises:
        QueueError: Redis is out of reach.
    """
    if not newest:
        return False
    with redis_errors():
        if await client.xrange(stream, min=newest, max=newest):
            return False
        try:
            info: Any = await client.xinfo_stream(stream)
        except exceptions.ResponseError:
            return False  # it is gone as a whole: all that there was is loaded anew
    first, deleted = info["first-entry"], info.get("max-deleted-entry-id")
    if first is None or deleted is None:
        return False
    return max(_place(first[0]), _place(deleted)) < _place(newest.encode())


async def unread_s(client: AsyncRedis, stream: str) -> float:
    """How long the oldest result has been there that a group of readers has not acknowledged; 0: there is none.

    Raises:
        QueueError: Redis is out of reach.
    """
    with redis_errors():
        try:
            groups: Any = await client.xinfo_groups(stream)
        except exceptions.ResponseError:
            return 0.0  # nothing was ever told, and nobody waits for anything
        oldest: list[bytes] = []
        for group in groups:
            pending: Any = await client.xpending(stream, group["name"]) if group["pending"] else {}
            if pending.get("min") is not None:
                oldest.append(pending["min"])
                continue
            after = group["last-delivered-id"]
            entries: Any = await client.xrange(stream, min=f"({after.decode()}", count=1)
            oldest += [entry for entry, _ in entries]
        if not oldest:
            return 0.0
        told_ms = min(int(entry.partition(b"-")[0]) for entry in oldest)
        return max(0.0, (await _now_ms(client) - told_ms) / 1_000)


def _place(entry: bytes) -> tuple[int, int]:
    milliseconds, _, number = entry.partition(b"-")
    return int(milliseconds), int(number)


async def _now_ms(client: AsyncRedis) -> float:
    seconds, microseconds = await client.time()
    return float(seconds) * 1_000 + microseconds / 1_000
