"""How the workers fare, as Redis has it: who is there, what waits for them, what became of their traces."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import redis
import structlog
from redis.exceptions import RedisError
from rq import Queue, Worker
from rq.serializers import JSONSerializer

from dialer.intake.jobs import QUEUES
from dialer.queues.connection import connect_blocking

_log: Final = structlog.get_logger(__name__)
_EVERY_S: Final = 10.0
#: Hash beside RQ's own keys: what became of steps of traces -> of how many. The process of a job is gone before it can
#: be asked.
_SPANS: Final = "rq:cadencia:spans"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerFigures:
    """Workers, their jobs by state (queued, scheduled, started, failed: each from 0), steps of traces by outcome."""

    workers: int
    jobs: Mapping[str, int]
    #: Since Redis came up empty; an outcome that there was none of is not in it.
    spans: Mapping[str, int]


def look(client: redis.Redis) -> WorkerFigures:
    """Count; blocks for some round trips, changes nothing.

    Raises:
        RedisError: out of reach.
    """
    jobs = {"queued": 0, "scheduled": 0, "started": 0, "failed": 0}
    for name in QUEUES:
        queue = Queue(name, connection=client, serializer=JSONSerializer)
        jobs["queued"] += queue.count
        # A count that tidies up first would do the workers' work.
        jobs["scheduled"] += queue.scheduled_job_registry.get_job_count(cleanup=False)
        jobs["started"] += queue.started_job_registry.get_job_count(cleanup=False)
        jobs["failed"] += queue.failed_job_registry.get_job_count(cleanup=False)
    spans: Any = client.hgetall(_SPANS)
    return WorkerFigures(
        workers=Worker.count(connection=client),
        jobs=jobs,
        spans={outcome.decode(): int(count) for outcome, count in spans.items()},
    )


def add_spans(client: redis.Redis, spans: Mapping[str, int]) -> None:
    """Add what became of the steps of traces of one job, by outcome; blocks for a round trip.

    Raises:
        RedisError: out of reach.
    """
    with client.pipeline(transaction=False) as pipeline:
        for outcome, count in spans.items():
            pipeline.hincrby(_SPANS, outcome, count)
        pipeline.execute()


async def watch_workers(url: str, tell: Callable[[int, Mapping[str, int], Mapping[str, int]], None]) -> None:
    """Tell `tell` every ten seconds, until cancelled; figures stay as they were while Redis is away.

    Args:
        url: of Redis.
        tell: takes how many workers there are, their jobs by state, and steps of traces by outcome.
    """
    client = connect_blocking(url, protocol=2, socket_timeout=5.0, socket_connect_timeout=3.0)
    try:
        while True:
            try:
                found = await asyncio.to_thread(look, client)
            except (RedisError, OSError) as error:
                _log.warning("workers are not counted", error=str(error) or type(error).__name__)
            else:
                tell(found.workers, found.jobs, found.spans)
            await asyncio.sleep(_EVERY_S)
    finally:
        client.close()
