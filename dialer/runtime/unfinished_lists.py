"""Lists whose import is no more, and uploads that nobody will read: found, told of, and cleared away.

A job may die with all its retries before the importer could say so, or be lost with Redis' memory; a crash of the node
may cut an upload off. The first leaves a list that seems to load for ever, each of them a file of people's numbers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import redis
import structlog
from redis.exceptions import RedisError
from rq import Queue
from rq.job import Job
from rq.serializers import JSONSerializer

from dialer.core.saying import say
from dialer.core.shards import ONE_REDIS, Shards
from dialer.errors import StorageError
from dialer.intake.jobs import IMPORT_LIST, IMPORTS
from dialer.queues.connection import connect_blocking
from dialer.storage.lists import Lists

_log: Final = structlog.get_logger(__name__)

_LOOK_EVERY_S: Final = 60.0
#: An upload may be under way for hours, and is written to all the while.
OLD_S: Final = 86_400.0
CUT_OFF: Final = say(
    "the import was cut off and is not tried again; what it had read by then is loaded: load the list again",
    code="list_cut_off",
)


def imports_to_come(client: redis.Redis) -> dict[str, str]:
    """Imports that wait or run: by list, the file that each reads; blocks for some round trips, changes nothing.

    Raises:
        RedisError: out of reach.
    """
    queue = Queue(IMPORTS, connection=client, serializer=JSONSerializer)
    registries = (queue.started_job_registry, queue.scheduled_job_registry, queue.deferred_job_registry)
    ids = [*queue.get_job_ids(), *(one for registry in registries for one in registry.get_job_ids(cleanup=False))]
    found = Job.fetch_many(ids, connection=client, serializer=JSONSerializer)
    imports = [job.kwargs for job in found if job is not None and job.func_name == IMPORT_LIST]
    return {str(arguments["list_id"]): str(arguments["path"]) for arguments in imports}


class UnfinishedLists:
    """Looks after the lists of an installation, and the uploads of this node.

    Args:
        lists: the record of imports.
        to_come: tells which imports wait or run; called in a thread.
        folder: where uploads are written.
        now: the clock.
        shards: lists of campaigns of the own one have their jobs here.
    """

    def __init__(
        self,
        lists: Lists,
        to_come: Callable[[], Mapping[str, str]],
        folder: Path,
        now: Callable[[], float],
        shards: Shards = ONE_REDIS,
    ) -> None:
        self._shards = shards
        self._lists = lists
        self._to_come = to_come
        self._folder = folder
        self._now = now
        #: Lists without a job at the last look. A job on its way from one queue to another may be seen in neither.
        self._missed: frozenset[str] = frozenset()

    async def run(self) -> None:
        """Look every minute, until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            try:
                await self.look()
            except (RedisError, StorageError, OSError) as error:
                _log.warning("unfinished lists are not looked after", error=str(error) or type(error).__name__)

    async def look(self) -> None:
        """Look once; a list without a job at two looks in a row has failed.

        Raises:
            RedisError: Redis is out of reach; nothing was changed.
            StorageError: the database is.
            OSError: uploads cannot be listed or deleted.
        """
        loading = [id for id, campaign in await self._lists.uploads_loading() if self._shards.mine(campaign)]
        to_come = await asyncio.to_thread(self._to_come)
        missed = frozenset(loading) - to_come.keys()
        for list_id in sorted(missed & self._missed):
            if await self._lists.fail_loading(list_id, now=self._now(), error=CUT_OFF):
                _log.warning("the import of a list was cut off", list=list_id)
        self._missed = missed
        removed = await asyncio.to_thread(self._clear_away, {Path(path).name for path in to_come.values()})
        if removed:
            _log.info("uploads that nobody will read were removed", files=removed)

    def _clear_away(self, wanted: set[str]) -> int:
        """Delete old uploads but those that are `wanted`; how many."""
        removed = 0
        if self._folder.is_dir():
            for file in self._folder.glob("*.csv"):
                if file.name not in wanted and self._now() - file.stat().st_mtime > OLD_S:
                    file.unlink(missing_ok=True)
                    removed += 1
        return removed


async def look_after_lists(
    url: str, lists: Lists, folder: Path, now: Callable[[], float], shards: Shards = ONE_REDIS
) -> None:
    """`UnfinishedLists.run` with the jobs of the Redis at `url`."""
    client = connect_blocking(url, protocol=2, socket_timeout=5.0, socket_connect_timeout=3.0)
    try:
        await UnfinishedLists(lists, lambda: imports_to_come(client), folder, now, shards).run()
    finally:
        client.close()
