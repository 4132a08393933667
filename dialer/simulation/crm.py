"""A stub CRM: pushes a list, takes people off it, and reads the results, with a Redis client and nothing else.

It knows what every CRM knows, the names of the streams and the JSON in them (docs/crm.md), and is built on none of
the dialer's own code for queues, so that a demo with it shows the contract at work.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final

import msgspec
from redis.asyncio import Redis

from dialer.simulation.world import World

#: Contacts in one message; the dialer takes no more.
BATCH: Final = 1_000
#: Spanish mobiles are +346 and eight digits. This many numbers come before one comes twice.
NUMBERS: Final = 100_000_000
#: Odd and no multiple of five, so multiplying by it modulo 10^8 hits every number once.
_STEP: Final = 61_803_399
_NAMES: Final = ("Alba", "Álvaro", "Begoña", "Carmen", "Daniel", "Elena", "Íñigo", "Javier", "Lucía", "María", "Núria")
_SURNAMES: Final = ("García", "Muñoz", "Pérez", "Ibáñez", "Rodríguez", "Núñez", "Soler", "Etxeberria", "Vázquez")
_PRODUCTS: Final = ("fibra", "móvil", "energía", "seguro de hogar")
_REASONS: Final = ("paid", "complaint", "moved away", "already a customer")


class StubCrm:
    """One CRM with one list for one campaign."""

    def __init__(
        self,
        redis: Redis,
        world: World,
        campaign: str,
        *,
        prefix: str = "cadencia:",
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """A CRM that has not pushed anything.

        Args:
            redis: a client of the server where the streams are; `close` closes it.
            world: whose seed names the contacts.
            campaign: for whom they are.
            prefix: of the streams.
            sleep: waits so many seconds.
        """
        self._redis = redis
        self._world = world
        self._campaign = campaign
        self._prefix = prefix
        self._sleep = sleep
        self._offset = int(world.uniforms("crm")[0] * NUMBERS)
        self._messages = 0
        self._last_result = "0-0"
        #: Contacts pushed so far.
        self.pushed = 0
        #: Ids of contacts removed and phones blocked, in this order.
        self.removed: list[str] = []
        self.blocked: list[str] = []
        #: Results read, by type, and those of ``call.ended`` by outcome.
        self.results: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter()
        #: Results that could not be read: must stay 0.
        self.unreadable = 0

    async def close(self) -> None:
        """Close the client of Redis."""
        await self._redis.aclose()

    def contact(self, number: int) -> dict[str, Any]:
        """The `number`-th contact of the list, from 0; always the same."""
        u = self._world.uniforms("contact", number)
        subscriber = (self._offset + number * _STEP) % NUMBERS
        given, family = _NAMES[int(u[0] * len(_NAMES))], _SURNAMES[int(u[1] * len(_SURNAMES))]
        return {
            "id": f"crm-{number}",
            "phones": [f"+346{subscriber:08d}"],
            "name": f"{given} {family}",
            "priority": int(u[2] * 10),
            "timezone": "Europe/Madrid",
            "fields": {"product": _PRODUCTS[int(u[3] * len(_PRODUCTS))], "debt": f"{u[4] * 900:.2f}"},
        }

    async def push(self, count: int) -> None:
        """Push the next `count` contacts, up to a thousand in a message."""
        for batch in self._batches(count):
            await self._write("contacts", {"campaign": self._campaign, "contacts": batch})
            self.pushed += len(batch)

    def _batches(self, count: int) -> Iterator[list[dict[str, Any]]]:
        end = self.pushed + count
        for start in range(self.pushed, end, BATCH):
            yield [self.contact(number) for number in range(start, min(start + BATCH, end))]

    async def remove(self, contact: str, reason: str = "paid") -> str:
        """Withdraw one contact; the id of the message."""
        message = self._message_id("removal")
        await self._write("removals", {"id": message, "campaign": self._campaign, "contact": contact, "reason": reason})
        self.removed.append(contact)
        return message

    async def block(self, phone: str, reason: str = "asked not to be called") -> str:
        """Never call a number again; the id of the message."""
        message = self._message_id("dnc")
        await self._write("dnc", {"id": message, "op": "add", "phone": phone, "scope": "*", "reason": reason})
        self.blocked.append(phone)
        return message

    async def live(self, *, removal_every_s: float = 5.0, block_every_s: float = 15.0) -> None:
        """Until cancelled: now and then remove somebody of the list, and now and then block a number."""
        due_removal, due_block, elapsed_s = removal_every_s, block_every_s, 0.0
        turn = 0
        while True:
            due = min(due_removal, due_block)
            await self._sleep(due - elapsed_s)
            elapsed_s = due
            turn += 1
            u = self._world.uniforms("crm", turn)
            if self.pushed == 0:
                due_removal, due_block = (
                    max(due_removal, due + removal_every_s),
                    max(due_block, due + block_every_s),
                )
                continue
            contact = self.contact(int(u[0] * self.pushed))
            if due == due_removal:
                due_removal += removal_every_s
                await self.remove(contact["id"], _REASONS[int(u[1] * len(_REASONS))])
            else:
                due_block += block_every_s
                await self.block(contact["phones"][0])

    async def read(self, *, block_ms: int | None = 1_000, count: int = 1_000) -> int:
        """Read the results that came since the last time, and count them; how many there were."""
        name = f"{self._prefix}results"
        answer: Any = await self._redis.xread({name: self._last_result}, count=count, block=block_ms)
        entries = [entry for _, stream in _streams(answer) for entry in stream]
        for entry_id, fields in entries:
            self._last_result = entry_id.decode() if isinstance(entry_id, bytes) else str(entry_id)
            self._count(fields.get(b"data", fields.get("data")))
        return len(entries)

    async def read_for_ever(self) -> None:
        """Until cancelled: read results."""
        while True:
            await self.read()

    def _count(self, data: bytes | str | None) -> None:
        try:
            result = msgspec.json.decode(data or b"", type=dict[str, Any])
            kind = result["type"]
        except (msgspec.DecodeError, KeyError):
            self.unreadable += 1
            return
        self.results[kind] += 1
        if kind == "call.ended":
            self.outcomes[str(result.get("outcome"))] += 1

    def _message_id(self, kind: str) -> str:
        self._messages += 1
        return f"{kind}-{self._messages}"

    async def _write(self, stream: str, data: dict[str, Any]) -> None:
        await self._redis.xadd(f"{self._prefix}{stream}", {"data": msgspec.json.encode(data)})


def _streams(answer: Any) -> list[tuple[Any, list[tuple[Any, dict[Any, Any]]]]]:
    """The answer to XREAD, which is a list of pairs in RESP 2, a dictionary in RESP 3, and None for nothing."""
    if not answer:
        return []
    if isinstance(answer, dict):
        # RESP 3 puts the entries of a stream into one more list.
        return [(name, entries[0] if entries else []) for name, entries in answer.items()]
    return [(name, entries) for name, entries in answer]
