"""Contacts, attempts and a stream for the tests of the record."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from dialer.core.attempt import Attempt
from dialer.core.contact import Contact
from dialer.core.ids import CallId, CampaignId, ContactId, Phone
from dialer.core.outcome import Outcome
from dialer.errors import QueueError
from dialer.queues.journal import JournalEntry, encode_entry
from tests.patience import PATIENCE_S

CAMPAIGN = CampaignId("winter")


def contact(number: int, **changes: Any) -> Contact:
    """One contact of the campaign winter."""
    values: dict[str, Any] = {
        "campaign": CAMPAIGN,
        "id": ContactId(f"crm-{number}"),
        "phones": (Phone(f"+346{number:08d}"),),
        "name": f"Person {number}",
    }
    return Contact(**{**values, **changes})


def attempt(number: int, **changes: Any) -> Attempt:
    """One attempt at the contact of the same number."""
    values: dict[str, Any] = {
        "call": CallId(f"call-{number}"),
        "campaign": CAMPAIGN,
        "contact": ContactId(f"crm-{number}"),
        "phone": Phone(f"+346{number:08d}"),
        "attempt_number": 1,
        "outcome": Outcome.NO_ANSWER,
        "reason": "ring time-out",
        "started_at": 1_700_000_000.0 + number,
        "ended_at": 1_700_000_025.0 + number,
    }
    return Attempt(**{**values, **changes})


def journal_entry(made: Attempt, retry_at: float | None = None, *, token: int = 1) -> bytes:
    """One entry of the stream of attempts."""
    return encode_entry(JournalEntry(attempt=made, retry_at=retry_at, fencing_token=token))


class Stream:
    """A stream with one consumer group, in memory; what was not acknowledged is given again to the next consumer."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, bytes]] = []
        self.acked: list[str] = []
        self.reads = 0
        #: While it is set reading and acknowledging fail, as with a Redis out of reach.
        self.down = False
        #: What an acknowledgement waits for; a test can hold it back.
        self.may_ack = asyncio.Event()
        self.may_ack.set()
        self.acking = asyncio.Event()
        self._pending: list[tuple[str, bytes]] = []
        self._next = 0

    def add(self, *data: bytes) -> None:
        """Entries with ids as a server gives them."""
        for item in data:
            self.entries.append((f"1700000000000-{len(self.entries)}", item))

    def consumer(self) -> Consumer:
        """A consumer as after a start of its process."""
        self._pending = [entry for entry in self.entries[: self._next] if entry[0] not in self.acked]
        return Consumer(self)

    @property
    def unacked(self) -> int:
        """Entries not acknowledged, given or not."""
        return len(self.entries) - len(set(self.acked))

    def take(self, count: int) -> list[tuple[str, bytes]]:
        """What a read gives."""
        if self._pending:
            taken, self._pending = self._pending[:count], self._pending[count:]
            return taken
        taken = self.entries[self._next : self._next + count]
        self._next += len(taken)
        return taken


class Consumer:
    """A `JournalReader` of a `Stream`."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    async def read(self, count: int, wait_s: float) -> Sequence[tuple[str, bytes]]:
        """See `dialer.storage.journal.JournalReader`."""
        assert wait_s > 0, "0 would mean for ever"
        self._stream.reads += 1
        if self._stream.down:
            raise QueueError("Redis is out of reach")
        taken = self._stream.take(count)
        if not taken:
            await asyncio.sleep(min(wait_s, 0.005))
        return taken

    async def put_back(self, data: Sequence[bytes]) -> None:
        """See `dialer.storage.journal.JournalReader`."""
        if self._stream.down:
            raise QueueError("Redis is out of reach")
        self._stream.add(*data)

    async def ack(self, ids: Sequence[str]) -> None:
        """See `dialer.storage.journal.JournalReader`."""
        self._stream.acking.set()
        await self._stream.may_ack.wait()
        if self._stream.down:
            raise QueueError("Redis is out of reach")
        self._stream.acked.extend(ids)


async def eventually(condition: Any, timeout_s: float = PATIENCE_S) -> None:
    """Wait until `condition()` holds.

    Raises:
        TimeoutError: it did not in time.
    """
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - any condition, of whatever the test looks at
            await asyncio.sleep(0.005)
