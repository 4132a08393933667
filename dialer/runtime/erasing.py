"""Erasing a person while nodes dial: first nobody calls or takes in the numbers any more, then they are forgotten."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from dialer.api.purge_ports import ErasedPerson
from dialer.core.ids import Phone
from dialer.errors import InputError
from dialer.runtime.suppressed import SuppressedNumbers
from dialer.storage.database import Database
from dialer.storage.erasure import Erasure

#: What has to be set before anybody can be erased.
NO_KEY = "set compliance.suppression_key (32 characters or more, the same on all nodes) before erasing anybody"


class Erasing(Protocol):
    """Where numbers are forgotten (`dialer.queues.redis_queues.RedisQueues`, or all shards)."""

    async def erase(self, phones: Sequence[Phone]) -> int:
        """Forget numbers, wherever they stand; how many contacts were forgotten."""


class NodeErasures:
    """`dialer.api.purge_ports.Erasures` of one node."""

    def __init__(
        self,
        database: Database,
        queues: Erasing,
        suppressed: SuppressedNumbers,
        key: str,
        now: Callable[[], float],
    ) -> None:
        self._erasure = Erasure(database, key)
        self._queues = queues
        self._suppressed = suppressed
        self._has_key = bool(key)
        self._now = now

    async def erase(self, phones: Sequence[Phone], *, who: str, all_numbers: bool) -> ErasedPerson:
        """See the port."""
        if not self._has_key:
            raise InputError(NO_KEY)
        person = await self._erasure.find(phones, all_numbers=all_numbers)
        # The hashes, then Redis: whoever reserves after the latter reads the former before anything is dialed.
        await self._erasure.suppress(person, self._now())
        await self._suppressed.read()
        await self._queues.erase(person.phones)
        erased = await self._erasure.erase(person, at=self._now(), who=who)
        return ErasedPerson(numbers=len(person.phones), others=len(erased.others), rows=erased.rows)
