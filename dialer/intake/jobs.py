"""The way of work to the RQ workers: by dotted name, through a bounded queue, enqueued in a thread.

Nothing in the dialer imports `workers`; a test resolves every name of `FUNCTIONS`. Jobs carry primitives only and are
written as JSON, never as pickle. RQ's enqueue is synchronous: it must not run in the event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import redis
import structlog
from redis.exceptions import RedisError
from rq import Queue, Retry
from rq.exceptions import DuplicateJobError
from rq.serializers import JSONSerializer

from dialer.errors import QueueError
from dialer.queues.connection import connect_blocking

_log = structlog.get_logger(__name__)

IMPORT_LIST: Final = "workers.jobs.imports.import_list"
CHECK_LIST: Final = "workers.jobs.list_checks.check_list"
MAKE_REPORT: Final = "workers.jobs.reports.make_report"
DELIVER_WEBHOOKS: Final = "workers.jobs.webhooks.deliver_due"
EXCHANGE_WITH_CRM: Final = "workers.jobs.crm.exchange"
SIMULATE_CELL: Final = "workers.jobs.sweeps.simulate_cell"
WHAT_IF: Final = "workers.jobs.what_if.what_if"
BUILD_REGISTRY: Final = "workers.jobs.registries.build_registry"
MOVE_RECORDINGS: Final = "workers.jobs.recordings.move_due"
EXPIRE_RECORDINGS: Final = "workers.jobs.recordings.expire"
APPLY_RETENTION: Final = "workers.jobs.retention.apply_retention"
#: Every function that is called by its name.
FUNCTIONS: Final = (
    APPLY_RETENTION,
    BUILD_REGISTRY,
    CHECK_LIST,
    IMPORT_LIST,
    MAKE_REPORT,
    DELIVER_WEBHOOKS,
    EXCHANGE_WITH_CRM,
    SIMULATE_CELL,
    WHAT_IF,
    EXPIRE_RECORDINGS,
    MOVE_RECORDINGS,
)

IMPORTS: Final = "cadencia-imports"
WEBHOOKS: Final = "cadencia-webhooks"
CRM: Final = "cadencia-crm"
CHECKS: Final = "cadencia-checks"
SWEEPS: Final = "cadencia-sweeps"
RECORDINGS: Final = "cadencia-recordings"
#: Queues in the order in which a worker looks at them.
QUEUES: Final = (WEBHOOKS, CRM, RECORDINGS, IMPORTS, CHECKS, SWEEPS)

#: Seconds before an import that failed for want of Redis or the database is tried again.
_IMPORT_RETRIES_S: Final = (5, 15, 60, 300, 900)
_IMPORT_TIMEOUT_S: Final = 6 * 3_600
_IMPORT_KEPT_S: Final = 7 * 86_400
#: Seconds before a look through a list is tried again.
_CHECK_RETRIES_S: Final = (30, 300, 1_800)
_CHECK_TIMEOUT_S: Final = 2 * 3_600
_WEBHOOKS_TIMEOUT_S: Final = 120
#: A turn takes up nothing further after 20 s; what it is at may take some requests more.
_CRM_TIMEOUT_S: Final = 300
#: A turn is unique within so many seconds.
_CRM_SLOT_S: Final = 5
_REGISTRY_TIMEOUT_S: Final = 4 * 3_600
_REGISTRY_KEPT_S: Final = 7 * 86_400
#: Seconds before a report that could not be made or sent is tried again.
_REPORT_RETRIES_S: Final = (60, 300, 1_800, 7_200)
_REPORT_TIMEOUT_S: Final = 1_800
#: Longer than a node that was down makes up for: until then the id tells that it was made.
_REPORT_KEPT_S: Final = 2 * 86_400
_RECORDINGS_TIMEOUT_S: Final = 900
#: One that died holds back the next no longer than this.
_RECORDINGS_SLOT_S: Final = 60
_RETENTION_TIMEOUT_S: Final = 6 * 3_600
_RETENTION_SLOT_S: Final = 86_400
_SWEEP_TIMEOUT_S: Final = 2 * 3_600
#: Somebody looks at a page that waits for it.
_WHAT_IF_TIMEOUT_S: Final = 300
#: Whoever waits for it takes it within seconds.
_SWEEP_KEPT_S: Final = 3_600
#: A wake-up is unique within so many seconds: one that hangs or died holds back the next no longer than that.
_WAKE_SLOT_S: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One piece of work; `id` makes it unique: enqueued twice, it is done once."""

    id: str
    function: str
    queue: str
    arguments: Mapping[str, str | int | float | bool | None]
    timeout_s: int
    retries_s: tuple[int, ...] = ()
    #: How long RQ remembers that it was done; 0: not at all, so that the id is free again.
    result_kept_s: int = 0
    failure_kept_s: int = 1
    meta: Mapping[str, object] = field(default_factory=dict)


def import_list(
    *, list_id: str, campaign: str, path: str, name: str, delete: bool, refuse_duplicates: bool = False
) -> Job:
    """Import a file that the workers can read.

    Args:
        list_id: of the list.
        campaign: whose contacts these become.
        path: of the file.
        name: of the list; the file's where empty.
        delete: the file is theirs, and goes when it has been imported.
        refuse_duplicates: reject rows all of whose numbers other contacts of the campaign have.
    """
    return Job(
        id=f"import-{list_id}",
        function=IMPORT_LIST,
        queue=IMPORTS,
        arguments={
            "list_id": list_id,
            "campaign": campaign,
            "path": path,
            "name": name,
            "delete": delete,
            "refuse_duplicates": refuse_duplicates,
        },
        timeout_s=_IMPORT_TIMEOUT_S,
        retries_s=_IMPORT_RETRIES_S,
        result_kept_s=_IMPORT_KEPT_S,
        failure_kept_s=_IMPORT_KEPT_S,
    )


def check_list(list_id: str) -> Job:
    """Look through the contacts of a list; asked for again while it waits, it is done once."""
    return Job(
        id=f"check-{list_id}",
        function=CHECK_LIST,
        queue=CHECKS,
        arguments={"list_id": list_id},
        timeout_s=_CHECK_TIMEOUT_S,
        retries_s=_CHECK_RETRIES_S,
    )


def build_registry(
    *,
    job_id: str,
    name: str,
    path: str,
    source_date: str,
    source: str = "",
    column: str = "",
    region: str = "",
    max_bad_share: float = 0.01,
    max_shrink: float = 0.1,
    use: bool = True,
) -> Job:
    """Build a version of a do-not-call registry from a file that the workers can read (`source_date`: ISO 8601)."""
    return Job(
        id=job_id,
        function=BUILD_REGISTRY,
        queue=IMPORTS,
        arguments={
            "name": name,
            "path": path,
            "source_date": source_date,
            "source": source,
            "column": column,
            "region": region,
            "max_bad_share": max_bad_share,
            "max_shrink": max_shrink,
            "use": use,
        },
        timeout_s=_REGISTRY_TIMEOUT_S,
        result_kept_s=_REGISTRY_KEPT_S,
        failure_kept_s=_REGISTRY_KEPT_S,
    )


def deliver_webhooks(now: float) -> Job:
    """Deliver what is due."""
    return Job(
        id=f"webhooks-{int(now // _WAKE_SLOT_S)}",
        function=DELIVER_WEBHOOKS,
        queue=WEBHOOKS,
        arguments={},
        timeout_s=_WEBHOOKS_TIMEOUT_S,
    )


def exchange_with_crm(source: str, now: float) -> Job:
    """Write to a CRM what is due, and ask it for its pending calls."""
    return Job(
        id=f"crm-{source}-{int(now // _CRM_SLOT_S)}",
        function=EXCHANGE_WITH_CRM,
        queue=CRM,
        arguments={"source": source},
        timeout_s=_CRM_TIMEOUT_S,
    )


def make_report(schedule: str, due_at: float) -> Job:
    """Make the report that was due at that moment (unix seconds), and send it; once, whoever asks for it."""
    return Job(
        id=f"report-{schedule}-{int(due_at)}",
        function=MAKE_REPORT,
        queue=CHECKS,
        arguments={"schedule": schedule, "due_at": due_at},
        timeout_s=_REPORT_TIMEOUT_S,
        retries_s=_REPORT_RETRIES_S,
        result_kept_s=_REPORT_KEPT_S,
        failure_kept_s=_REPORT_KEPT_S,
    )


def move_recordings(now: float) -> Job:
    """Move finished recordings into their store."""
    return Job(
        id=f"recordings-{int(now // _RECORDINGS_SLOT_S)}",
        function=MOVE_RECORDINGS,
        queue=RECORDINGS,
        arguments={},
        timeout_s=_RECORDINGS_TIMEOUT_S,
    )


def expire_recordings(now: float) -> Job:
    """Delete recordings whose time is over."""
    return Job(
        id=f"recordings-expire-{int(now // _RECORDINGS_SLOT_S)}",
        function=EXPIRE_RECORDINGS,
        queue=RECORDINGS,
        arguments={},
        timeout_s=_RECORDINGS_TIMEOUT_S,
    )


def apply_retention(now: float) -> Job:
    """Take people out of records that the law no longer wants kept; once a day, whichever node asks."""
    return Job(
        id=f"retention-{int(now // _RETENTION_SLOT_S)}",
        function=APPLY_RETENTION,
        queue=CHECKS,
        arguments={},
        timeout_s=_RETENTION_TIMEOUT_S,
        result_kept_s=_RETENTION_SLOT_S,
    )


def simulate_cell(*, job_id: str, cell: str) -> Job:
    """Simulate one cell of a sweep; its result is what the job returns."""
    return Job(
        id=job_id,
        function=SIMULATE_CELL,
        queue=SWEEPS,
        arguments={"cell": cell},
        timeout_s=_SWEEP_TIMEOUT_S,
        result_kept_s=_SWEEP_KEPT_S,
        failure_kept_s=_SWEEP_KEPT_S,
    )


def what_if(*, job_id: str, campaign: str, agents: int, other_agents: int, other_limit: float, now: float) -> Job:
    """Simulate a campaign as it is, and with other agents under another limit; its result is what the job returns."""
    return Job(
        id=job_id,
        function=WHAT_IF,
        queue=SWEEPS,
        arguments={
            "campaign": campaign,
            "agents": agents,
            "other_agents": other_agents,
            "other_limit": other_limit,
            "now": now,
        },
        timeout_s=_WHAT_IF_TIMEOUT_S,
        result_kept_s=_SWEEP_KEPT_S,
        failure_kept_s=_SWEEP_KEPT_S,
    )


def enqueue(client: redis.Redis, jobs: Sequence[Job]) -> int:
    """Enqueue jobs, synchronously; how many were not there already.

    Raises:
        RedisError: out of reach; enqueue all of them again.
    """
    fresh = 0
    for job in jobs:
        queue = Queue(job.queue, connection=client, serializer=JSONSerializer)
        options: dict[str, Any] = {}
        if job.retries_s:
            options["retry"] = Retry(max=len(job.retries_s), interval=list(job.retries_s))
        try:
            queue.enqueue_call(
                job.function,
                kwargs=dict(job.arguments),
                timeout=job.timeout_s,
                result_ttl=job.result_kept_s,
                failure_ttl=job.failure_kept_s,
                job_id=job.id,
                description=job.id,
                meta=dict(job.meta),
                unique=True,
                **options,
            )
        except DuplicateJobError:
            continue
        fresh += 1
    return fresh


def wake_at(client: redis.Redis, at: float) -> None:
    """Have RQ's scheduler bring `deliver_webhooks` back at unix second `at`; one wake-up for each span of seconds."""
    job = deliver_webhooks(at + _WAKE_SLOT_S)
    queue = Queue(job.queue, connection=client, serializer=JSONSerializer)
    with contextlib.suppress(DuplicateJobError):
        queue.enqueue_at(
            datetime.fromtimestamp(at, UTC),
            job.function,
            job_id=f"{job.id}-later",
            job_timeout=job.timeout_s,
            result_ttl=job.result_kept_s,
            failure_ttl=job.failure_kept_s,
            description=job.id,
            unique=True,
        )


class JobOutbox:
    """Jobs on their way to Redis: a bounded queue, one thread at a time, tried again until they are there.

    Args:
        url: of Redis (redis, rediss or unix).
        capacity: jobs that may wait; beyond, `put` refuses, since something is badly wrong.
    """

    def __init__(self, url: str, capacity: int = 1_000) -> None:
        # Two attempts of RQ on one connection must not overlap: `run` is the only user.
        self._client = connect_blocking(url, protocol=2, socket_timeout=5.0, socket_connect_timeout=3.0)
        self._waiting: asyncio.Queue[Job] = asyncio.Queue(maxsize=capacity)

    def __len__(self) -> int:
        return self._waiting.qsize()

    def put(self, job: Job) -> None:
        """Hand over a job; it is enqueued as soon as Redis can be reached.

        Raises:
            QueueError: too many wait already.
        """
        try:
            self._waiting.put_nowait(job)
        except asyncio.QueueFull as error:
            raise QueueError("too many jobs wait to be enqueued: Redis has been out of reach for long") from error

    async def send(self, job: Job) -> bool:
        """Enqueue a job now, and return when it is there; False where it was there already.

        Raises:
            QueueError: Redis is out of reach.
        """
        try:
            return await asyncio.to_thread(enqueue, self._client, [job]) == 1
        except (RedisError, OSError) as error:
            raise QueueError(f"the job cannot be enqueued: Redis is out of reach ({error})") from error

    async def run(self, *, retry_s: float = 0.5, retry_max_s: float = 10.0) -> None:
        """Enqueue what was put, until cancelled."""
        while True:
            job = await self._waiting.get()
            delay_s = retry_s
            while True:
                try:
                    await asyncio.to_thread(enqueue, self._client, [job])
                    break
                except (RedisError, OSError) as error:
                    _log.warning("job not enqueued, kept and tried again", job=job.id, error=str(error))
                    await asyncio.sleep(delay_s)
                    delay_s = min(2 * delay_s, retry_max_s)
            self._waiting.task_done()

    async def flush(self, timeout_s: float) -> bool:
        """Wait until all that was put is enqueued; False when `timeout_s` passed first."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._waiting.join()
        except TimeoutError:
            return False
        return True

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
