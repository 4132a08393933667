"""What the record needs of a stream that it consumes; `dialer.queues` has the streams themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class JournalReader(Protocol):
    """One consumer of one stream whose entries are kept until they have been acknowledged."""

    async def read(self, count: int, wait_s: float) -> Sequence[tuple[str, bytes]]:
        """Up to `count` entries as (entry id, data), in order; empty after `wait_s` without any.

        The first reads after the start give those that this consumer, before it was killed, had been given and never
        acknowledged. Data is empty where an entry has no field ``data``.

        Raises:
            QueueError: out of reach.
        """

    async def put_back(self, data: Sequence[bytes]) -> None:
        """Append entries with these data, in order: all groups read them, as they may have done before.

        Raises:
            QueueError: out of reach.
        """

    async def ack(self, ids: Sequence[str]) -> None:
        """Never give these again; repeating it is harmless.

        Raises:
            QueueError: out of reach.
        """
