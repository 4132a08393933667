"""Has reports made when they are due: by the workers, each moment of a schedule once, however many nodes there are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import structlog

from dialer.errors import QueueError
from dialer.intake.jobs import Job, make_report
from dialer.reporting.schedule import Schedule

_log = structlog.get_logger(__name__)

_EVERY_S: Final = 20.0
#: A node that was down for longer than this does not make up for the reports of that time.
_LATE_S: Final = 6 * 3_600.0


class Jobs(Protocol):
    """The way to the workers (`dialer.intake.jobs.JobOutbox`)."""

    def put(self, job: Job) -> None:
        """Hand over a job."""


class ReportClock:
    """Watches the schedules.

    Args:
        schedules: of the settings.
        jobs: takes what is due.
        wake: tells a worker beside this node that there is work.
        now: the clock.
    """

    def __init__(
        self, schedules: Sequence[Schedule], jobs: Jobs, wake: Callable[[], None], now: Callable[[], float]
    ) -> None:
        self._schedules = tuple(schedules)
        self._jobs = jobs
        self._wake = wake
        self._now = now
        #: The last moment of each schedule that was handed over.
        self._done: dict[str, float] = {}

    async def run(self) -> None:
        """Hand over what is due, until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(_EVERY_S)

    def look(self) -> int:
        """Hand over what has become due since the last look; how many jobs."""
        now, put = self._now(), 0
        for schedule in self._schedules:
            due_at = schedule.last_before(now)
            if due_at <= self._done.get(schedule.name, now - _LATE_S):
                continue
            try:
                # Another node has put the same, and so has this one before a restart: the id makes it one.
                self._jobs.put(make_report(schedule.name, due_at))
            except QueueError as error:
                _log.warning("a report is not made yet", schedule=schedule.name, error=str(error))
                continue
            self._done[schedule.name] = due_at
            put += 1
        if put:
            self._wake()
        return put
