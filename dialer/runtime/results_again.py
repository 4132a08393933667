"""Results that Redis forgot before everybody had read them are told again, under the keys that they had (ADR 17).

Two sources: what this node has told in the last minutes, word by word; and the record, for what nobody remembers any
more. That looks back to the moment until which all groups had read the stream, which is noted in SQL, so that whichever
node comes first does it, also where all of them had died; and only once it is done is the mark moved.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec
import structlog

from dialer.core.attempt import Attempt
from dialer.core.shards import ONE_REDIS, Shards
from dialer.errors import QueueError, StorageError
from dialer.queues.connection import AsyncRedis, redis_errors
from dialer.queues.encoding import to_json
from dialer.queues.port import Publish
from dialer.queues.redis_queues import RedisQueues
from dialer.queues.result_keys import missing, result_key
from dialer.queues.result_stream import keys_told, newest_id, unread_s, was_set_back
from dialer.queues.results import call_disposed, call_ended, rfc3339, told_of
from dialer.runtime.outbox import Outbox
from dialer.storage.calls_told import CallsTold, Disposed
from dialer.storage.database import Database
from dialer.storage.result_marks import ResultMark, ResultMarks

if TYPE_CHECKING:
    from dialer.runtime.node import Node

_log = structlog.get_logger(__name__)

_LOOK_EVERY_S: Final = 1.0
_MARK_EVERY_S: Final = 10.0
#: By which clocks of nodes may differ, and how long a result may take from its moment to the stream.
_SLACK_S: Final = 60.0
#: Who is further behind than this reads calls from the API: telling all of it again could fill Redis.
_LONGEST_S: Final = 86_400.0
#: What stands in the stream is compared in pieces, so that there is room for it however much it is.
_SLICE_S: Final = 300.0
_AT_ONCE: Final = 500
#: Between two batches: calls that are made now come first.
_BREATH_S: Final = 0.02
_FLUSH_S: Final = 5.0


class ResultsAgain:
    """One a node.

    Args:
        queues: of this node; their server is the one that holds the record, where the gate is open.
        redis: connections to the same server, for reading.
        database: the record.
        outbox: what this node is about to tell anyhow.
        losses: how often this node has found that Redis is not the server that was prepared.
        now: the clock.
        gate: name of the server in the record; empty: the prefix of its keys.
        shards: results are told again of campaigns of the own one.
    """

    def __init__(
        self,
        *,
        queues: RedisQueues,
        redis: AsyncRedis,
        database: Database,
        outbox: Outbox,
        losses: Callable[[], int],
        now: Callable[[], float],
        gate: str = "",
        shards: Shards = ONE_REDIS,
    ) -> None:
        self._queues = queues
        self._redis = redis
        self._keys = queues.keys
        self._gate = gate or queues.keys.prefix
        self._shards = shards
        self._marks = ResultMarks(database)
        self._calls = CallsTold(database)
        self._outbox = outbox
        self._losses = losses
        #: How often the server was lost when this node last compared what it remembers, and what was loaded then.
        self._compared = (0, "")
        #: The newest result when this node last looked.
        self._newest = ""
        self._now = now

    async def run(self, wait_open: Callable[[], Awaitable[None]]) -> None:
        """Look after the stream while the gate is open, until cancelled."""
        clock = asyncio.get_running_loop().time
        due = 0.0
        while True:
            await wait_open()
            if clock() >= due or self._losses() != self._compared[0]:
                due = clock() + _MARK_EVERY_S
                try:
                    await self.look()
                except (QueueError, StorageError) as error:
                    _log.warning("results are not looked after, tried again", error=str(error))
            await asyncio.sleep(_LOOK_EVERY_S)

    async def look(self) -> None:
        """Tell again what the server has forgotten, then note how far it has been read.

        Raises:
            QueueError, StorageError: do it again; what has been told meanwhile is found.
        """
        generation = await self._loaded()
        if not generation:
            return  # it is being loaded, or will be
        # One that was set back without anybody's noticing: what its readers have read says nothing then.
        set_back = await was_set_back(self._redis, self._keys["results"], self._newest)
        state = (self._losses(), generation)
        if set_back or state != self._compared:
            await self._flush()
            await self._from_memory()
            self._compared = state
        mark = await self._marks.get(self._gate)
        if mark is not None and (set_back or mark.generation != generation):
            await self._flush()
            await self._from_record(mark.read_until)
        now = self._now()
        newest = await newest_id(self._redis, self._keys["results"])
        read_until = now - await unread_s(self._redis, self._keys["results"])
        reached = ResultMark(generation=generation, read_until=read_until)
        await self._marks.put(self._gate, reached, now, after=mark)
        self._newest = newest

    async def _loaded(self) -> str:
        """Which loading of the record the server holds; empty: none."""
        with redis_errors():
            found: Any = await self._redis.hget(self._keys["gate"], "generation")
        return "" if found is None else found.decode()

    async def _flush(self) -> None:
        """What waits to be written is told by that: in vain only where the server is away again."""
        await self._outbox.flush(_FLUSH_S)

    async def _from_memory(self) -> None:
        now = asyncio.get_running_loop().time()
        recent = self._queues.recent_results.all(now)
        if not recent:
            return
        told = await keys_told(self._redis, self._keys["results"], now - recent[0][0] + _SLACK_S)
        await self._tell(missing((data for _, data in recent), told), "this node")

    async def _from_record(self, read_until: float) -> None:
        now = self._now()
        since = max(read_until - _SLACK_S, now - _LONGEST_S)
        start = since
        while start < now + _SLACK_S:
            end = start + _SLICE_S
            told = await self._told_about(start, end, now)
            async for page in self._calls.ended(start, end):
                own = [ended for ended in page if self._shards.mine(ended[0].campaign)]
                results = [data for attempt, retry_at in own for data in _untold(attempt, retry_at, told, since)]
                await self._tell(missing(results, told), "the record")
            start = end
        told = await self._told_about(since, now, now)
        found: list[bytes] = []
        async for codes in self._calls.disposed(since):
            found += missing([_disposed(one) for one in codes if self._shards.mine(one.campaign)], told)
        await self._tell(found[::-1], "the record")

    async def _told_about(self, start: float, end: float, now: float) -> set[str]:
        """Keys of what was told from `start` to `end` by this node's clock, give or take a minute."""
        return await keys_told(
            self._redis, self._keys["results"], now - start + _SLACK_S, max(0.0, now - end - _SLACK_S)
        )

    async def _tell(self, results: Sequence[bytes], source: str) -> None:
        if results:
            _log.warning("Redis has lost results: told again", results=len(results), source=source)
        for start in range(0, len(results), _AT_ONCE):
            batch = results[start : start + _AT_ONCE]
            await self._queues.write([Publish(result=msgspec.json.decode(data)) for data in batch])
            await asyncio.sleep(_BREATH_S)


def results_again(node: Node) -> ResultsAgain:
    """What looks after the results of `node`."""
    return ResultsAgain(
        queues=node.queues,
        redis=node.redis,
        database=node.database,
        outbox=node.outbox,
        losses=lambda: node.gatekeeper.losses,
        now=node.clock.now,
        gate=node.settings.redis.gate,
        shards=node.shards,
    )


def _untold(attempt: Attempt, retry_at: float | None, told: set[str], since: float) -> list[bytes]:
    """What of a call's results is missing: nothing, where its end was told, behind which there is nothing."""
    if result_key(to_json(call_ended(attempt, retry_at))) in told:
        return []
    first = rfc3339(since)  # as text, moments sort as they are
    found = [to_json(result) for result in told_of(attempt, retry_at) if str(result["at"]) >= first]
    return missing(found, told)


def _disposed(one: Disposed) -> bytes:
    given = one.disposition
    return to_json(
        call_disposed(
            given.at,
            campaign=one.campaign,
            contact=one.contact,
            phone=one.phone,
            call=given.call,
            agent=given.agent,
            ref=given.ref,
            code=given.code,
            category=given.category,
            is_sale=given.is_sale,
            is_contact=given.is_contact,
            amount=given.amount,
            currency=given.currency,
            notes=given.notes,
            by=given.by,
        )
    )
