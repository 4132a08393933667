"""Pushes by Redis instead of HTTP: one message of a stream each, answered on the stream of results."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import redis
import redis.asyncio

from dialer.client.wire import Row

#: What one message of contacts may hold.
CONTACTS_AT_ONCE: Final = 1_000
#: Streams that a CRM writes to.
STREAMS: Final = frozenset({"contacts", "removals", "dnc", "callbacks", "dispositions", "segments"})


class RedisPush:
    """Writes messages; a removal or do-not-call entry holds when the write returns.

    Args:
        url: of the dialer's Redis, such as ``redis://127.0.0.1:6379/0``.
        prefix: as `redis.prefix` of the dialer's settings.
    """

    def __init__(self, url: str, prefix: str = "cadencia:") -> None:
        self._client: Final = redis.Redis.from_url(url)
        self._prefix: Final = prefix

    def close(self) -> None:
        """End the connection."""
        self._client.close()

    def push(self, campaign: str, contacts: Iterable[Row], ref: str | None = None) -> int:
        """Write contacts, a thousand a message; how many messages that were. `ref` names them in results."""
        return self.write("contacts", batches(campaign, contacts, ref))

    def write(self, stream: str, messages: Iterable[Row]) -> int:
        """Write messages of one stream; how many that were."""
        entries = [fields(message) for message in messages]
        pipeline = self._client.pipeline(transaction=False)
        for entry in entries:
            pipeline.xadd(key(self._prefix, stream), entry)  # type: ignore[arg-type]  # a dictionary is invariant
        pipeline.execute()
        return len(entries)


class AsyncRedisPush:
    """The same for asyncio."""

    def __init__(self, url: str, prefix: str = "cadencia:") -> None:
        self._client: Final = redis.asyncio.Redis.from_url(url)
        self._prefix: Final = prefix

    async def close(self) -> None:
        """End the connections."""
        await self._client.aclose()

    async def push(self, campaign: str, contacts: Iterable[Row], ref: str | None = None) -> int:
        """Write contacts, a thousand a message; how many messages that were. `ref` names them in results."""
        return await self.write("contacts", batches(campaign, contacts, ref))

    async def write(self, stream: str, messages: Iterable[Row]) -> int:
        """Write messages of one stream; how many that were."""
        entries = [fields(message) for message in messages]
        pipeline = self._client.pipeline(transaction=False)
        for entry in entries:
            pipeline.xadd(key(self._prefix, stream), entry)  # type: ignore[arg-type]  # a dictionary is invariant
        await pipeline.execute()
        return len(entries)


def batches(campaign: str, contacts: Iterable[Row], ref: str | None) -> Iterator[dict[str, Any]]:
    """Contacts as messages."""
    held: list[Row] = []
    for contact in contacts:
        held.append(contact)
        if len(held) == CONTACTS_AT_ONCE:
            yield _message(campaign, held, ref)
            held = []
    if held:
        yield _message(campaign, held, ref)


def fields(message: Row) -> dict[str, str]:
    """The fields of a stream's entry."""
    return {"data": json.dumps(message, ensure_ascii=False)}


def key(prefix: str, stream: str) -> str:
    """The key of a stream.

    Raises:
        ValueError: a CRM writes to no such stream.
    """
    if stream not in STREAMS:
        raise ValueError(f"{stream!r} is no stream that a CRM writes to; it may be {', '.join(sorted(STREAMS))}")
    return prefix + stream


def _message(campaign: str, contacts: Sequence[Row], ref: str | None) -> dict[str, Any]:
    message: dict[str, Any] = {"campaign": campaign, "contacts": contacts}
    return message if ref is None else {"id": ref, **message}
