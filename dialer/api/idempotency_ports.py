"""Where the answers to writes are kept, so that one that is sent again is not carried out again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredReply:
    """The answer to a request that was carried out."""

    fingerprint: str
    status: int
    content_type: str
    body: bytes


class IdempotencyStore(Protocol):
    """Remembers which requests were carried out, bounded in number and in time."""

    async def begin(self, key: str, fingerprint: str, now: float) -> StoredReply | bool:
        """True: carry it out, then `finish` or `forget`. False: somebody is at it. Else: it was done, as this says."""

    async def finish(self, key: str, reply: StoredReply, now: float) -> None:
        """Keep the reply."""

    async def forget(self, key: str) -> None:
        """It was not carried out; the same key may be used again."""
