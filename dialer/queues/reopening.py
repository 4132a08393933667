"""Contacts that are done are made callable again, for a list that is called once more."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Protocol

from dialer.core.contact import Contact
from dialer.core.ids import CampaignId, ContactId
from dialer.queues.connection import AsyncRedis, redis_errors
from dialer.queues.keys import Keys
from dialer.queues.port import Offered


class Hopper(Protocol):
    """Where contacts wait (`dialer.queues.port.Queues`)."""

    async def offer(self, contacts: Sequence[Contact]) -> list[Offered]:
        """Upsert contacts by (campaign, id)."""


class Reopening:
    """Reopens contacts in Redis."""

    def __init__(self, client: AsyncRedis, keys: Keys, hopper: Hopper) -> None:
        self._client = client
        self._keys = keys
        self._hopper = hopper

    async def reopen(self, contacts: Sequence[Contact]) -> list[Offered]:
        """Offer contacts as if they had never been called; at most 1,000 at once. Can be repeated.

        Removals and do-not-call entries count as for any other offer. Whoever was forgotten as done and then not
        offered, because Redis went away in between, is called no sooner than somebody offers them.

        Raises:
            QueueError: out of reach; repeat.
        """
        done: dict[CampaignId, list[ContactId]] = defaultdict(list)
        for contact in contacts:
            done[contact.campaign].append(contact.id)
        with redis_errors():
            pipeline = self._client.pipeline(transaction=False)
            for campaign, ids in done.items():
                pipeline.srem(self._keys.of("finished", campaign), *ids)
            await pipeline.execute()
        return await self._hopper.offer(contacts)
