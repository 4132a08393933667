"""The worker process: takes jobs from Redis and runs each in a process of its own, until it is told to stop."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Final
from urllib.parse import urlsplit

import redis
import structlog
from redis.exceptions import RedisError
from rq import Queue, Worker
from rq.exceptions import NoSuchJobError
from rq.job import Job
from rq.scheduler import RQScheduler
from rq.serializers import JSONSerializer

from dialer.errors import ConfigError, QueueError
from dialer.intake.jobs import QUEUES
from dialer.queues.connection import connect_blocking
from dialer.queues.sentinel import SCHEMES
from dialer.runtime import logs
from dialer.settings import Settings
from workers.settings import load_settings

_log: Final = structlog.get_logger(__name__)

#: RQ's scheduler is a process of its own, and ends where Redis goes away in the middle of its books. The worker starts
#: it again when it looks after things, this often, but not while a job runs. RQ's own 600 s held results back as long.
LOOK_EVERY_S: Final = 30
#: An idle worker looks after nothing until its wait for a job is over: its time to live less this.
_RQ_WAITS_LESS_S: Final = 15


def run(settings: Settings | None = None, *, burst: bool = False, alone: bool = False) -> None:
    """Run jobs. SIGTERM or Ctrl-C: the job under way is ended first; a second one ends it at once.

    Args:
        settings: of this process; jobs read the same ones again, from the file named by ``CADENCIA_CONFIG``.
        burst: end when no job is left.
        alone: no other worker shares this Redis: jobs that a killed one left half-done are begun again at once.

    Raises:
        ConfigError: the settings name no Redis that can be shared.
        QueueError: Redis is out of reach.
    """
    # Until RQ has handlers of its own, in its loop: an end that is asked for is not a failure.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    settings = load_settings() if settings is None or settings.redis.url == "embedded" else settings
    logs.configure(settings.log)
    if settings.tracing.endpoint:
        # Once, and not in the process of each job; and what is missing for it is told now.
        import dialer.tracing.otlp  # noqa: F401, PLC0415
    client = connect(settings.redis.url)
    try:
        client.ping()
    except (RedisError, OSError) as error:
        raise QueueError(f"Redis is out of reach: start it, or correct redis.url ({error})") from error
    queues = [Queue(name, connection=client, serializer=JSONSerializer) for name in QUEUES]
    if alone:
        take_over(client, queues)
    worker = Worker(
        queues,
        connection=client,
        name=f"{settings.node}-{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(2)}",
        serializer=JSONSerializer,
        maintenance_interval=LOOK_EVERY_S,
        worker_ttl=LOOK_EVERY_S + _RQ_WAITS_LESS_S,
    )
    _log.info("worker is up", worker=worker.name)
    # What RQ tells of itself, seven lines in half a minute without work, is for whoever looks for a fault.
    level = "WARNING" if settings.log.level == "info" else settings.log.level.upper()
    # The scheduler brings back jobs that are to be tried again later.
    worker.work(with_scheduler=True, burst=burst, logging_level=level)


def take_over(client: redis.Redis, queues: Sequence[Queue]) -> None:
    """Put the jobs of a worker that was killed back into their queues: RQ itself would wait for minutes.

    Every job may be run twice; only the one worker of a Redis may call this.
    """
    for queue in queues:
        # The lock of the dead worker's scheduler would hold back what is to be tried again later.
        client.delete(RQScheduler.get_locking_key(queue.name))
        registry = queue.started_job_registry
        left = set(registry.get_job_ids(cleanup=False))
        client.delete(registry.key)
        for job_id in left:
            with suppress(NoSuchJobError):
                queue.enqueue_job(Job.fetch(job_id, connection=client, serializer=JSONSerializer), at_front=True)


def connect(url: str) -> redis.Redis:
    """A synchronous client as RQ needs it.

    Raises:
        ConfigError: the URL is none of Redis.
    """
    if urlsplit(url).scheme not in {"redis", "rediss", "unix", *SCHEMES}:
        raise ConfigError("redis.url must begin with redis://, rediss://, unix:// or redis+sentinel://")
    try:
        return connect_blocking(url, protocol=2, socket_connect_timeout=3.0)
    except ValueError as error:
        raise ConfigError(f"redis.url cannot be understood: {error}") from error


def main() -> None:
    """``python -m workers.app``: the worker that a node with a Redis of its own starts for itself."""
    run(alone=True)


if __name__ == "__main__":
    main()
