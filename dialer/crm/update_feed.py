"""Results to updates: from the stream into the record of what is to be written to CRMs that are asked for their calls.

    cadencia:results ─ group "crm" ─► updates in SQL (id = CRM, kind and call) ─► job for RQ

As with webhooks the record stands between: a result is acknowledged when its update is in SQL, and an update is done
when the CRM has said so. Results of contacts that did not come from the CRM are not for it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Protocol

from dialer.crm.mapping import CrmMapping
from dialer.crm.updates import ToldResult, told, update_key
from dialer.queues.result_keys import result_key
from dialer.queues.streams import Message
from dialer.settings import CrmPull
from dialer.storage.crm_sources import KnownCall
from dialer.storage.crm_updates import StoredUpdate
from dialer.storage.do_not_call import position_of


class UpdateStore(Protocol):
    """Where updates are kept (`dialer.storage.crm_updates.CrmUpdates`)."""

    async def add(self, batch: Sequence[StoredUpdate], now: float) -> None:
        """Keep updates to be written; one whose id is known is left as it is."""

    async def known(self, ids: Collection[str]) -> set[str]:
        """Which of these are kept already."""


class CallStore(Protocol):
    """Which contacts came from where (`dialer.storage.crm_sources.CrmSources`)."""

    async def known(self, name: str, ids: Iterable[str]) -> Mapping[str, KnownCall]:
        """Those of these contacts that came from this source, by id."""


class UpdateFeed:
    """Handler for the stream ``results``.

    Args:
        pulls: of the settings, each with its mapping.
        calls: which contacts came from where.
        updates: the record.
        wake: tells the workers that something is to be written to this CRM.
        now: the clock.
    """

    def __init__(
        self,
        pulls: Sequence[tuple[CrmPull, CrmMapping]],
        calls: CallStore,
        updates: UpdateStore,
        wake: Callable[[CrmPull], None],
        now: Callable[[], float],
    ) -> None:
        self._pulls = tuple(pulls)
        self._calls = calls
        self._updates = updates
        self._wake = wake
        self._now = now

    async def handle_results(self, messages: Sequence[Message]) -> None:
        """Note the updates of some results.

        Raises:
            StorageError: hand the whole batch in again.
        """
        read = [(message, result) for message in messages if (result := told(message.data)) is not None]
        for pull, mapping in self._pulls:
            mine = [
                (message, result)
                for message, result in read
                if result.campaign == pull.campaign and result.type in mapping.types
            ]
            if not mine:
                continue
            known = await self._calls.known(pull.name, [result.contact for _, result in mine])
            its = [(message, result) for message, result in mine if result.contact in known]
            due = [_update(pull, message, result, self._now()) for message, result in its]
            # Handed out before, perhaps to an earlier version, which went by the place in the stream.
            former = {
                update_key(pull.name, result, result_key(message.data)): update_key(pull.name, result, message.id)
                for message, result in its
                if message.deliveries > 1
            }
            if former:
                kept = await self._updates.known(former.values())
                due = [each for each in due if former.get(each.id) not in kept]
            if due:
                await self._updates.add(due, self._now())
                self._wake(pull)


def _update(pull: CrmPull, message: Message, result: ToldResult, now: float) -> StoredUpdate:
    return StoredUpdate(
        id=update_key(pull.name, result, result_key(message.data)),
        source=pull.name,
        contact=result.contact,
        type=result.type,
        position=position_of(message.id),
        result=message.data.decode(),
        next_at=now,
    )
