"""The way to simulations of campaigns: a job of the workers, under a name; nothing here knows the twin."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Callable
from typing import Final

import msgspec
from redis.exceptions import RedisError
from rq import Queue
from rq.exceptions import NoSuchJobError
from rq.job import Job, JobStatus
from rq.serializers import JSONSerializer

from dialer.api.what_if_ports import WhatIfAnswer, WhatIfFound
from dialer.campaigns import dump_campaign
from dialer.core.campaign import Campaign
from dialer.errors import InputError, QueueError
from dialer.intake import jobs
from dialer.queues.connection import connect_blocking

#: Simulations that may wait for a worker.
MOST_WAITING: Final = 5
#: The same question gets the same answer for so long.
_SLOT_S: Final = 600
_ID: Final = re.compile(r"what-if-[0-9a-f]{32}")
_ENDED: Final = frozenset({JobStatus.FAILED, JobStatus.STOPPED, JobStatus.CANCELED})


class WhatIfDesk:
    """`dialer.api.what_if_ports.WhatIf` on RQ.

    Args:
        url: of the Redis whose queues the workers look at.
        wake: starts the node's own worker, where it has one.
        now: the clock.
    """

    def __init__(self, url: str, wake: Callable[[], None], now: Callable[[], float]) -> None:
        self._client = connect_blocking(url, protocol=2, socket_timeout=5.0, socket_connect_timeout=3.0)
        self._wake = wake
        self._now = now

    async def ask(self, campaign: Campaign, agents: int, other_agents: int, other_limit: float) -> str:
        """Hand it to the workers; asked again within some minutes it is the same simulation."""
        now = self._now()
        of = (agents, other_agents, other_limit, int(now // _SLOT_S), dump_campaign(campaign))
        job = jobs.what_if(
            job_id=f"what-if-{hashlib.sha256(msgspec.json.encode(of, order='deterministic')).hexdigest()[:32]}",
            campaign=campaign.id,
            agents=agents,
            other_agents=other_agents,
            other_limit=other_limit,
            now=now,
        )
        try:
            if not await asyncio.to_thread(self._enqueue, job):
                raise InputError("too many simulations wait already; ask again in a minute", word="whatif.busy")
        except (RedisError, OSError) as error:
            raise QueueError(f"the simulation cannot be asked for: Redis is out of reach ({error})") from error
        self._wake()
        return job.id

    def _enqueue(self, job: jobs.Job) -> bool:
        queue = Queue(job.queue, connection=self._client, serializer=JSONSerializer)
        if queue.count >= MOST_WAITING and not Job.exists(job.id, connection=self._client):
            return False
        jobs.enqueue(self._client, [job])
        return True

    async def answer(self, campaign: Campaign, id: str) -> WhatIfAnswer | None:
        """How far it is."""
        if not _ID.fullmatch(id):
            return None
        try:
            return await asyncio.to_thread(self._answer, campaign, id)
        except (RedisError, OSError) as error:
            raise QueueError(f"the simulation cannot be looked at: Redis is out of reach ({error})") from error

    def _answer(self, campaign: Campaign, id: str) -> WhatIfAnswer | None:
        try:
            job = Job.fetch(id, connection=self._client, serializer=JSONSerializer)
        except NoSuchJobError:
            return None
        if job.kwargs.get("campaign") != campaign.id:
            return None
        status = job.get_status()
        if status == JobStatus.FINISHED:
            try:
                found = msgspec.json.decode(str(job.return_value()), type=WhatIfFound)
            except msgspec.DecodeError:
                return WhatIfAnswer(state="failed")  # of a worker of another version
            return WhatIfAnswer(state="failed" if found.error else "done", found=found)
        if status in _ENDED:
            return WhatIfAnswer(state="failed")
        state = "running" if status == JobStatus.STARTED else "waiting"
        return WhatIfAnswer(state=state, done=int(job.meta.get("done", 0)), total=int(job.meta.get("total", 0)))

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
