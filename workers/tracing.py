"""Traces of what jobs do; off unless the settings name a collector."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final

import structlog
from redis.exceptions import RedisError
from rq import get_current_job

from dialer.intake.importer import ContactStore
from dialer.runtime.worker_figures import add_spans
from dialer.settings import Settings
from dialer.storage.contact_rows import ContactRow
from dialer.storage.database import Database
from dialer.tracing.arrivals import ListArrivals
from dialer.tracing.outlet import EXPORTED, FAILED
from dialer.tracing.site import TracingSite

_log = structlog.get_logger(__name__)


@asynccontextmanager
async def tracing(
    settings: Settings, database: Database, now: Callable[[], float]
) -> AsyncIterator[TracingSite | None]:
    """The traces of one job: sent when it ends, what is lost of them is logged and counted; None: nothing is traced.

    Raises:
        ConfigError: the packages for it are missing.
        StorageError: the database is out of reach.
    """
    counts: Counter[str] = Counter()

    def count(outcome: str, spans: int) -> None:
        counts[outcome] += spans

    site = await TracingSite.open(settings, database, count, now())
    try:
        yield site
    finally:
        if site is not None:
            await site.close()
            # What a collector that hangs keeps waiting ends with the process.
            counts[FAILED] += len(site.outlet)
            lost = counts.total() - counts[EXPORTED]
            if lost:
                _log.warning("steps of a job are missing in traces", lost=lost, sent=counts[EXPORTED])
            _tell(+counts)


def _tell(counts: Mapping[str, int]) -> None:
    """Have the nodes export it: this process is gone before anybody asks it."""
    job = get_current_job()
    if job is None or not counts:
        return
    try:
        add_spans(job.connection, counts)
    except (RedisError, OSError) as error:
        _log.warning("steps of traces are not counted", error=str(error) or type(error).__name__)


class TracedContacts:
    """The record of contacts (`dialer.intake.importer.ContactStore`), with each row that is written told to the traces.

    Args:
        contacts: the record.
        traces: of the list.
        now: the clock.
    """

    def __init__(self, contacts: ContactStore, traces: ListArrivals, now: Callable[[], float]) -> None:
        self._contacts: Final = contacts
        self._traces: Final = traces
        self._now: Final = now

    async def upsert_rows(self, rows: Sequence[ContactRow], *, fresh: bool = False) -> bool:
        """Add or update contacts; whether to expect that those of the next batch are new."""
        began_at = self._now()
        expect = await self._contacts.upsert_rows(rows, fresh=fresh)
        self._traces.stored([(row[0], row[1]) for row in rows], began_at)
        return expect
