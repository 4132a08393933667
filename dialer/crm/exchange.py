"""One turn with one CRM: first what is to be written, then what is to be read; trouble waits, and is on record."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final

import structlog

from dialer.core.saying import of_error
from dialer.crm.client import CrmClient
from dialer.crm.puller import Puller
from dialer.crm.update_writer import UpdateWriter
from dialer.errors import CrmError, InputError
from dialer.settings import CrmPull
from dialer.storage.crm_sources import CrmSources, Source

_log = structlog.get_logger(__name__)

#: Seconds until a CRM is asked again after the first, second, … failure in a row.
FAILURE_DELAYS_S: Final = (5.0, 15.0, 60.0, 300.0, 900.0)
#: Seconds in which a turn takes up further work.
BUDGET_S: Final = 20.0
#: Of the statuses by which a CRM says that it does not know a link or cursor of its own (any more).
_LOST_PLACE: Final = frozenset({400, 404, 410})
#: A listing that fails so often in a row at one place begins anew.
_RESTART_AFTER: Final = 5


class CrmExchange:
    """Turns with one CRM.

    Args:
        pull: of the settings.
        client: the way to it; opened here.
        sources: the record.
        writer: writes updates.
        puller: reads pending calls.
        owner: who does this, as no other worker is called.
        now: the clock.
    """

    def __init__(
        self,
        *,
        pull: CrmPull,
        client: CrmClient,
        sources: CrmSources,
        writer: UpdateWriter,
        puller: Puller,
        owner: str,
        now: Callable[[], float],
    ) -> None:
        self._pull = pull
        self._client = client
        self._sources = sources
        self._writer = writer
        self._puller = puller
        self._owner = owner
        self._now = now

    async def turn(self) -> dict[str, int]:
        """One turn; what was done, by what it was. Trouble with the CRM is a count (``failed``), and on record.

        Raises:
            QueueError, StorageError: Redis or the database is out of reach.
        """
        started_at = self._now()
        lease_s = BUDGET_S + 6 * self._pull.timeout_s + 30.0
        source = await self._sources.lease(self._pull.name, self._owner, started_at, lease_s)
        if source is None:
            return {"busy": 1}
        told: Counter[str] = Counter()
        try:
            if source.failures and source.next_at > started_at:
                return {"waiting": 1}
            async with self._client:
                try:
                    done = await self._writer.run(started_at + BUDGET_S)
                    written = Counter({f"update_{verdict}": count for verdict, count in done.items()})
                    told += written
                    if written:
                        await self._sources.counted(source.name, self._owner, written, self._now())
                    if source.next_at <= started_at:
                        told += await self._puller.run(source, self._owner, started_at + BUDGET_S)
                except (CrmError, InputError) as error:
                    await self._failed(source, error)
                    told["failed"] += 1
        finally:
            await self._sources.release(self._pull.name, self._owner)
        return dict(told)

    async def _failed(self, source: Source, error: CrmError | InputError) -> None:
        now = self._now()
        wait_s = FAILURE_DELAYS_S[min(source.failures, len(FAILURE_DELAYS_S) - 1)]
        status: int | None = None
        if isinstance(error, CrmError):
            wait_s, status = max(wait_s, error.wait_s or 0.0), error.status
        lost = status in _LOST_PLACE
        _log.warning("a CRM failed", source=self._pull.name, problem=str(error), again_in_s=round(wait_s))
        await self._sources.failed(
            self._pull.name,
            self._owner,
            of_error(error),
            next_at=now + wait_s,
            now=now,
            restart=lost or (source.failures + 1) % _RESTART_AFTER == 0,
            forget_cursor=lost and status == 410,
        )
