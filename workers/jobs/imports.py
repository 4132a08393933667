"""Imports of lists. The dotted names of this package stand in Redis: they never change."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from redis.exceptions import RedisError
from rq import get_current_job

from dialer.core.ids import CampaignId, NodeName
from dialer.core.shards import check_here
from dialer.errors import GateNotReady, InputError
from dialer.intake.importer import ContactStore, Importer, ImportOrder, ImportProgress, Read
from dialer.intake.jobs import check_list, enqueue
from dialer.intake.reading import read_apart, reading_without
from dialer.queues.redis_queues import RedisQueues
from dialer.runtime.clock import Clock
from dialer.settings import Settings
from dialer.storage.contact_scan import ContactScan
from dialer.storage.contacts import Contacts
from dialer.storage.database import BULK_CACHE_MB
from dialer.storage.lists import Lists
from dialer.storage.opening import open_database
from dialer.storage.suppressions import SuppressionStore
from dialer.tracing.arrivals import ListArrivals
from workers.settings import load_settings
from workers.tracing import TracedContacts, tracing

_META_EVERY_S: Final = 0.5


def import_list(
    list_id: str, campaign: str, path: str, name: str = "", delete: bool = False, refuse_duplicates: bool = False
) -> dict[str, object]:
    """Import the file at `path` as a list of a campaign; the same call again changes nothing.

    How far it is stands in the job's meta under ``progress`` and in the record of the list. A file that cannot be used
    is a result (``error``), not a failure: trying again would not help.

    Args:
        list_id: of the list.
        campaign: whose contacts these become.
        path: of a file that this worker can read.
        name: of the list; the file's where empty.
        delete: the file is the importer's, and goes when it has been read.
        refuse_duplicates: reject rows all of whose numbers other contacts of the campaign have.

    Raises:
        QueueError: Redis is out of reach or not ready; RQ tries again.
        StorageError: the database is; likewise.
    """
    order = ImportOrder(
        list_id=list_id,
        campaign=CampaignId(campaign),
        path=Path(path),
        name=name,
        refuse_duplicates=refuse_duplicates,
    )
    settings = load_settings()
    try:
        check_here(settings.redis.table, campaign)
        result = as_json(asyncio.run(_run(settings, order)))
    except InputError as error:
        result = {"error": str(error)}
    if delete:
        order.path.unlink(missing_ok=True)
    job = get_current_job()
    if job is not None and "error" not in result:
        # Nothing waits for it, and it can be asked for at any time.
        with contextlib.suppress(RedisError, OSError):
            enqueue(job.connection, [check_list(list_id)])
    return result


async def _run(settings: Settings, order: ImportOrder) -> ImportProgress:
    clock = Clock()
    database = open_database(settings, cache_mb=BULK_CACHE_MB)
    job = get_current_job()
    worker = NodeName(f"import-{job.id if job is not None else order.list_id}"[:64])
    try:
        queues = RedisQueues.from_url(settings.redis.url, node=worker, prefix=settings.redis.prefix, strict_gate=False)
        try:
            if not await queues.prepare():
                raise GateNotReady("no node has loaded the record into Redis yet: start one (cadencia serve)")
            with TemporaryDirectory(prefix="cadencia-erased-") as folder:
                read: Read = read_apart
                if erased := await SuppressionStore(database).all():
                    file = Path(folder) / "hashes"
                    file.write_text("\n".join(erased), "ascii")
                    read = reading_without(file, settings.compliance.suppression_key)
                async with tracing(settings, database, clock.now) as site:
                    contacts: ContactStore = Contacts(database)
                    traces: ListArrivals | None = None
                    if site is not None:
                        traces = ListArrivals(site.places, site.outlet.put, clock.now, order.list_id)
                        contacts = TracedContacts(contacts, traces, clock.now)
                    importer = Importer(
                        contacts, Lists(database), queues, clock.now, read, numbers=ContactScan(database)
                    )
                    progress = await importer.run(_order(settings, order), _telling(clock))
                    if traces is not None:
                        counts = progress.counts
                        traces.imported(
                            order.campaign, read=counts.read, accepted=counts.accepted, rejected=counts.rejected
                        )
                    return progress
        finally:
            await queues.close()
    finally:
        await database.close()


def _order(settings: Settings, order: ImportOrder) -> ImportOrder:
    job = get_current_job()
    return replace(order, region=settings.default_region, tried_again=job is not None and bool(job.retries_left))


def _telling(clock: Clock) -> Callable[[ImportProgress], None]:
    """Puts progress into the meta of the job that runs, twice a second at most."""
    job = get_current_job()
    told_at = 0.0

    def tell(progress: ImportProgress) -> None:
        nonlocal told_at
        now = clock.now()
        if job is not None and now - told_at >= _META_EVERY_S:
            told_at = now
            job.meta["progress"] = as_json(progress)
            # Some hundred microseconds, twice a second, in a process that does only this import. Whether Redis is
            # there is for the import itself to notice; how far it is need not be told for it to go on.
            with contextlib.suppress(RedisError, OSError):
                job.save_meta()  # type: ignore[no-untyped-call]  # of rq

    return tell


def as_json(progress: ImportProgress) -> dict[str, object]:
    """Progress in JSON's own types."""
    counts = progress.counts
    return {
        "read": counts.read,
        "accepted": counts.accepted,
        "rejected": counts.rejected,
        "reasons": dict(counts.reasons),
        "partial": progress.partial,
        "offered": progress.offered,
        "answers": dict(progress.answers),
        "bytes_read": progress.bytes_read,
        "bytes_total": progress.bytes_total,
        "seconds": round(progress.seconds, 3),
    }
