"""The two adapters of the queues' port, seen alike: what a CRM writes and reads, and nodes on one shared state."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Protocol

from dialer.core.attempt import Attempt
from dialer.core.contact import Contact
from dialer.core.ids import CallId, CampaignId, ContactId, NodeName, Phone
from dialer.core.outcome import Outcome
from dialer.core.permit import Permit
from dialer.queues.cap_law import CapLaw
from dialer.queues.connection import AsyncRedis, connect
from dialer.queues.journal import JournalEntry, RefusalEntry, decode_entry, decode_refusal
from dialer.queues.memory import MemoryQueues
from dialer.queues.memory_server import MemoryServer
from dialer.queues.port import Finish, Queues, Record, Reservation
from dialer.queues.redis_queues import RedisQueues

NOW = 1_800_000_000.0
WINTER = CampaignId("winter")


class Pages:
    """Pages of a record, for `Queues.rebuild`."""

    def __init__(self, *pages: Record) -> None:
        self._pages = list(pages)

    def __aiter__(self) -> Pages:
        return self

    async def __anext__(self) -> Record:
        if not self._pages:
            raise StopAsyncIteration
        return self._pages.pop(0)


def phone(n: int) -> Phone:
    """The n-th number."""
    return Phone(f"+34600{n:06d}")


def contact(n: int, *phones: int, campaign: CampaignId = WINTER, **more: Any) -> Contact:
    """The n-th contact, with the n-th number or those given."""
    return Contact(campaign=campaign, id=ContactId(f"c{n}"), phones=tuple(phone(k) for k in phones or (n,)), **more)


def finish(
    permit: Permit, *, retry_at: float | None = None, outcome: Outcome = Outcome.BUSY, at: float = NOW
) -> Finish:
    """The end of the attempt that `permit` allowed."""
    attempt = Attempt(
        call=permit.call,
        campaign=permit.campaign,
        contact=permit.contact,
        phone=permit.phone,
        attempt_number=permit.attempt_number,
        outcome=outcome,
        reason="test",
        started_at=at,
        ended_at=at + 5,
    )
    return Finish(attempt=attempt, fencing_token=permit.fencing_token, retry_at=retry_at)


class World(Protocol):
    """One shared state."""

    async def node(self, name: str, *, opened: bool = True) -> Queues:
        """A node on it; `opened`: the gate of an empty record."""

    async def push(self, stream: str, message: object) -> None:
        """Write as a CRM does: JSON of `message`, or its bytes."""

    async def results(self) -> list[dict[str, Any]]:
        """What the CRM can read."""

    async def rejected(self) -> list[bytes]:
        """Messages kept aside."""

    async def journal(self) -> list[JournalEntry]:
        """Ended attempts on their way into SQL."""

    async def refusals(self) -> list[RefusalEntry]:
        """Refusals on their way into SQL."""

    async def close(self) -> None:
        """Close all nodes."""


def _bytes(message: object) -> bytes:
    return message if isinstance(message, bytes) else json.dumps(message).encode()


class MemoryWorld:
    """`World` in memory."""

    def __init__(self) -> None:
        self.server = MemoryServer(lambda: NOW)

    async def node(self, name: str, *, opened: bool = True) -> Queues:
        queues = MemoryQueues(self.server, node=NodeName(name))
        if opened and not await queues.prepare():
            await queues.rebuild(Pages())
        return queues

    async def push(self, stream: str, message: object) -> None:
        await self.server.add(stream, _bytes(message))

    async def results(self) -> list[dict[str, Any]]:
        return [dict(result) for result in self.server.results]

    async def rejected(self) -> list[bytes]:
        return [data for _, data, _ in self.server.rejected]

    async def journal(self) -> list[JournalEntry]:
        return list(self.server.journal)

    async def refusals(self) -> list[RefusalEntry]:
        return list(self.server.refusals)

    async def close(self) -> None:
        pass


class RedisWorld:
    """`World` on a real server."""

    def __init__(self, client: AsyncRedis, url: str, prefix: str = "cadencia:", *, strict_gate: bool = True) -> None:
        self.client = client
        self.url = url
        self.prefix = prefix
        self.strict_gate = strict_gate
        self.nodes: list[RedisQueues] = []

    async def node(self, name: str, *, opened: bool = True) -> RedisQueues:
        queues = RedisQueues(
            connect(self.url, name=f"test-{name}"),
            node=NodeName(name),
            prefix=self.prefix,
            strict_gate=self.strict_gate,
        )
        self.nodes.append(queues)
        if opened and not await queues.prepare():
            await queues.rebuild(Pages())
        return queues

    async def push(self, stream: str, message: object) -> None:
        await self.client.xadd(f"{self.prefix}{stream}", {"data": _bytes(message)})

    async def results(self) -> list[dict[str, Any]]:
        rows: Any = await self.client.xrange(f"{self.prefix}results")
        return [json.loads(fields[b"data"]) for _, fields in rows]

    async def rejected(self) -> list[bytes]:
        rows: Any = await self.client.xrange(f"{self.prefix}rejected")
        return [fields[b"data"] for _, fields in rows]

    async def journal(self) -> list[JournalEntry]:
        rows: Any = await self.client.xrange(f"{self.prefix}attempts")
        return [decode_entry(fields[b"data"]) for _, fields in rows]

    async def refusals(self) -> list[RefusalEntry]:
        rows: Any = await self.client.xrange(f"{self.prefix}refusals")
        return [decode_refusal(fields[b"data"]) for _, fields in rows]

    async def close(self) -> None:
        for queues in self.nodes:
            await queues.close()


class Caller:
    """Reserves with call ids of its own; leaves the context at once."""

    def __init__(self, queues: Queues, name: str = "k") -> None:
        self.queues = queues
        self._name = name
        self._n = 0

    def calls(self, count: int) -> list[CallId]:
        """New call ids."""
        self._n += count
        return [CallId(f"{self._name}-{n}") for n in range(self._n - count, self._n)]

    async def __call__(
        self, count: int = 10, *, now: float = NOW, campaign: CampaignId = WINTER, caps: CapLaw | None = None
    ) -> Reservation:
        async with self.queues.reserve(campaign, self.calls(count), now, caps=caps) as reservation:
            return reservation


def granted(reservation: Reservation) -> list[str]:
    """Ids of the contacts that were reserved."""
    return [permit.contact for permit in reservation.granted.permits]


def kinds(results: Sequence[dict[str, Any]]) -> list[str]:
    """Types of results."""
    return [str(result["type"]) for result in results]
