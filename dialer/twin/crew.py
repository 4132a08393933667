"""Who simulates the cells: this process, processes of this machine, or RQ workers. The same code in all of them."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path
from typing import Final, Protocol

import redis
from redis.exceptions import RedisError
from rq import Worker
from rq.exceptions import NoSuchJobError
from rq.job import Job, JobStatus
from rq.serializers import JSONSerializer

from dialer.errors import ConfigError, DialerError, QueueError
from dialer.intake import jobs
from dialer.queues.connection import connect_blocking
from dialer.settings import Settings
from dialer.twin.cells import Cell, by_day, decode_trial, encode, run_cell, together
from pacing.trials import Trial

#: Told after every piece: how many are done, of how many.
Progress = Callable[[int, int], None]

_POLL_S: Final = 0.2
_CONNECT_S: Final = 3.0


def quiet(_done: int, _of: int) -> None:
    """Tells nobody."""


class Crew(Protocol):
    """Whoever simulates."""

    #: For people.
    name: str

    def run(self, cells: Sequence[Cell], progress: Progress = quiet) -> list[Trial]:
        """One trial for each cell, in the same order.

        Raises:
            DialerError: a scenario cannot be used, or whoever simulates is gone.
        """


class LocalCrew:
    """Processes of this machine; a single piece is done in this one.

    Args:
        processes: How many at once; None: as many as there are processors.
    """

    def __init__(self, processes: int | None = None) -> None:
        self._processes = processes or processors()
        self.name = "1 process" if self._processes == 1 else f"{self._processes} processes"

    def run(self, cells: Sequence[Cell], progress: Progress = quiet) -> list[Trial]:
        """As in `Crew`."""
        pieces = by_day(cells)
        done = spread([partial(run_cell, piece) for piece in pieces], self._processes, progress)
        return together(pieces, done)


def spread(tasks: Sequence[Callable[[], Trial]], processes: int, progress: Progress = quiet) -> dict[int, Trial]:
    """What tasks that can be pickled return, by their places; done by so many processes of this machine.

    Raises:
        DialerError: a process was killed.
    """
    done: dict[int, Trial] = {}
    if processes == 1 or len(tasks) <= 1:
        for place, task in enumerate(tasks):
            done[place] = task()
            progress(len(done), len(tasks))
        return done
    # Spawned, not forked: the caller may have threads, and a fork would inherit their locks.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(processes, len(tasks)), mp_context=context) as pool:
        places = {pool.submit(task): place for place, task in enumerate(tasks)}
        try:
            for future in as_completed(places):
                done[places[future]] = future.result()
                progress(len(done), len(tasks))
        except BrokenProcessPool as error:
            raise DialerError("a process that simulated was killed: is there enough memory?") from error
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return done


def processors() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class RqCrew:
    """RQ workers on a Redis; results and jobs are gone when `run` returns.

    Args:
        client: Of the Redis whose queues the workers look at.
    """

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self.name = "RQ workers"

    def workers(self) -> int:
        """How many look at the queue of sweeps now."""
        queue_of = [worker.queue_names() for worker in Worker.all(connection=self._client, serializer=JSONSerializer)]
        return sum(jobs.SWEEPS in names for names in queue_of)

    def run(self, cells: Sequence[Cell], progress: Progress = quiet) -> list[Trial]:
        """As in `Crew`.

        Raises:
            QueueError: Redis is out of reach, or the last worker has gone.
        """
        pieces = by_day(cells)
        sweep = secrets.token_hex(6)
        names = {f"sweep-{sweep}-{place}": place for place in range(len(pieces))}
        try:
            jobs.enqueue(
                self._client,
                [jobs.simulate_cell(job_id=name, cell=encode(pieces[place])) for name, place in names.items()],
            )
            return together(pieces, self._collect(names, progress))
        except (RedisError, OSError) as error:
            raise QueueError(f"the sweep has lost its Redis: start it again ({error})") from error
        finally:
            with contextlib.suppress(RedisError, OSError):
                self._clear(names)

    def _collect(self, names: dict[str, int], progress: Progress) -> dict[int, Trial]:
        done: dict[int, Trial] = {}
        waiting = dict(names)
        while waiting:
            for name, trial in self._finished(waiting):
                done[waiting.pop(name)] = trial
                progress(len(done), len(names))
            if waiting:
                if not self.workers():
                    raise QueueError("the last worker has gone: start one (cadencia worker), or use --on local")
                time.sleep(_POLL_S)
        return done

    def _finished(self, waiting: dict[str, int]) -> Iterator[tuple[str, Trial]]:
        found = Job.fetch_many(list(waiting), connection=self._client, serializer=JSONSerializer)
        for name, job in zip(list(waiting), found, strict=True):
            if job is None:
                raise QueueError("a piece of the sweep has vanished from Redis: start it again")
            status = job.get_status(refresh=False)
            if status == JobStatus.FINISHED:
                answer = job.return_value()
                if not isinstance(answer, str):
                    raise DialerError("a worker of another version answered: restart it")
                if "error" in (failed := json.loads(answer)):
                    raise DialerError(str(failed["error"]))
                yield name, decode_trial(answer)
            elif status in {JobStatus.FAILED, JobStatus.STOPPED, JobStatus.CANCELED}:
                raise DialerError("a worker could not simulate its piece: its log says why")

    def _clear(self, names: dict[str, int]) -> None:
        for name in names:
            with contextlib.suppress(NoSuchJobError):
                Job.fetch(name, connection=self._client, serializer=JSONSerializer).delete()


def choose(on: str, settings: Settings | None, processes: int | None = None) -> Crew:
    """Who simulates.

    Args:
        on: "local", "rq", or "auto": RQ workers where settings name a Redis with some, else processes here.
        settings: Of the node; None: there are none.
        processes: Of a local crew.

    Raises:
        QueueError: "rq", and Redis is out of reach or nobody works there.
    """
    if on == "local" or (on == "auto" and settings is None):
        return LocalCrew(processes)
    assert settings is not None, "asked for RQ workers without settings"
    try:
        crew = RqCrew(_client(settings))
        workers = crew.workers()
    except (ConfigError, RedisError, OSError) as error:
        if on == "auto":
            return LocalCrew(processes)
        raise QueueError(f"Redis is out of reach: start it, or use --on local ({error})") from error
    if not workers:
        if on == "auto":
            return LocalCrew(processes)
        raise QueueError("no worker looks at the queue of sweeps: start one (cadencia worker), or use --on local")
    return crew


def _client(settings: Settings) -> redis.Redis:
    """A client of the Redis that the settings name; the embedded one while its node runs."""
    url = settings.redis.url
    if url != "embedded":
        return connect_blocking(url, protocol=2, socket_connect_timeout=_CONNECT_S)
    folder = (Path(settings.data_dir) / "redis").resolve()
    try:
        password = json.loads((folder / "redis.json").read_text(encoding="utf-8"))["password"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"the embedded Redis of {settings.data_dir} has never run") from error
    # Our own file names it; the password goes nowhere else.
    return redis.Redis(unix_socket_path=str(folder / "redis.sock"), password=str(password), protocol=2)
