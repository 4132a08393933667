"""Carries what a CRM wrote into another shard's streams into those of the own one (docs/adr/0020).

Each node looks after its own shard, together with the others there: one that dies leaves what it had read to them, and
whoever reads it again enters it once more, which changes nothing. What takes an entry off a list is never carried: it
might take off one that came since. Nor is what was taken off meanwhile, as far as the record knows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import structlog

from dialer.core.shards import Shards
from dialer.errors import InputError, QueueError
from dialer.queues.carrying import Entered, Entrance
from dialer.queues.connection import AsyncRedis, redis_errors
from dialer.queues.removals import DoNotCall, Removal, parse_do_not_call, parse_removal
from dialer.queues.shard_links import EVERYWHERE
from dialer.queues.streams import StreamReader
from dialer.storage.database import Database
from dialer.storage.do_not_call import DoNotCallList, position_of
from dialer.storage.recorder import nobody
from dialer.storage.set_aside import SetAside
from dialer.storage.stream_consumer import Entry, StreamConsumer

_log: Final = structlog.get_logger(__name__)

#: What a dead node had read is taken over after it.
CLAIM_AFTER_S: Final = 5.0
#: How long an entry waits in the other shard for others to be carried with it.
_LINGER_S: Final = 0.05
#: Clocks of two servers may differ by as much: who was taken off in doubt stays on the list.
_CLOCKS_S: Final = 5.0
#: Longer than it takes from a stream into the record.
_RECORDED_S: Final = 2.5
_AGAIN_S: Final = 0.02
_AGAIN_TIMES: Final = 100


def group_of(shard: str) -> str:
    """Under which name a shard's nodes read the streams of the others."""
    return f"to-{shard}"


@dataclass(frozen=True, slots=True)
class _Found:
    """An entry that keeps somebody of the own shard from being called."""

    entry: str
    data: bytes
    message: Removal | DoNotCall

    @property
    def told(self) -> bool:
        """Whether its writer was to write it into all shards by itself."""
        return EVERYWHERE.encode() in self.data

    @property
    def scope(self) -> str:
        return self.message.campaign if isinstance(self.message, Removal) else self.message.scope

    @property
    def phone(self) -> str:
        return self.message.phone or ""


class Carrier(StreamConsumer):
    """From one stream of one other shard into the own one.

    Args:
        database: tells what was taken off a list.
        reader: of the stream there, which gives no data of what was itself carried there.
        now: the clock.
        source: the other shard.
        stream: removals or dnc.
        shards: the table.
        entrance: of the own shard.
        there: a client of the other shard.
        key: of the stream there.
    """

    erased: Callable[[str], bool] = staticmethod(nobody)

    def __init__(
        self,
        database: Database,
        reader: StreamReader,
        now: Callable[[], float],
        *,
        source: str,
        stream: str,
        shards: Shards,
        entrance: Entrance,
        there: AsyncRedis,
        key: str,
    ) -> None:
        super().__init__(database, reader, now, linger_s=_LINGER_S)
        self.stream = f"{stream} of {source}"
        self._parse = parse_removal if stream == "removals" else parse_do_not_call
        self._stream_reader: Final = reader
        self._source: Final = source
        self._shards: Final = shards
        self._entrance: Final = entrance
        self._there: Final = there
        self._key: Final = key

    async def begin_again(self, within_s: float) -> bool:
        """Before the own shard is loaded from the record: have all that is left in the other one's stream again.

        What is not there any more is on record by then. False: the other shard did not answer; it is done once it does.
        """
        self._stream_reader.begin_again()
        try:
            async with asyncio.timeout(within_s):
                while not self._stream_reader.has_begun:  # noqa: ASYNC110 - the reader has no event for it
                    await asyncio.sleep(_AGAIN_S)
        except TimeoutError:
            return False
        return True

    async def is_behind(self) -> bool:
        """Whether something waits in the other shard.

        Raises:
            QueueError: it is out of reach.
        """
        with redis_errors():
            if not await self._there.exists(self._key):
                return True  # the reader makes it, with its group
            groups: Any = await self._there.xinfo_groups(self._key)
            own = next((group for group in groups if group["name"].decode() == group_of(self._shards.own)), None)
            if own is None or own["pending"] > 0:
                return True
            return bool(await self._there.xrange(self._key, min=f"({own['last-delivered-id'].decode()}", count=1))

    async def _store(self, entries: Sequence[Entry]) -> Sequence[SetAside]:
        """Enter what concerns the own shard; of what cannot be read the other shard's own nodes tell."""
        read = ((entry, data, self._barring(data)) for entry, data in dict(entries).items())
        found = [_Found(entry, data, message) for entry, data, message in read if message is not None]
        taken_back = await self._taken_back(found)
        wanted = [(each.data, each.message) for each in found if each.entry not in taken_back]
        for _ in range(_AGAIN_TIMES):
            answers = await self._entrance.enter(wanted, source=self._source)
            written = answers.count(Entered.WRITTEN)
            if written:
                _log.info("entries of another shard hold here too", shard=self._source, entries=written)
            wanted = [each for each, answer in zip(wanted, answers, strict=True) if answer is Entered.LATER]
            if not wanted:
                return ()
            await asyncio.sleep(_AGAIN_S)
        raise QueueError("entries that hold for a time wait until those before them have been drained")

    def _barring(self, data: bytes) -> Removal | DoNotCall | None:
        """What keeps somebody of the own shard from being called; None: nothing does."""
        try:
            message = self._parse(data)
        except InputError:
            return None
        if isinstance(message, DoNotCall) and not message.add:
            return None
        scope = message.campaign if isinstance(message, Removal) else message.scope
        return message if self._shards.here(scope) and not self.erased(message.phone or "") else None

    async def _taken_back(self, found: Sequence[_Found]) -> set[str]:
        """Entries that would have to be written, and were taken off since."""
        new = await self._new([each for each in found if isinstance(each.message, DoNotCall)])
        until = asyncio.get_running_loop().time() + _RECORDED_S
        while any(each.told for each in new) and asyncio.get_running_loop().time() < until:
            # On its way into the lists here too. Or taken off again, which is on record soon; or its writer has died.
            await asyncio.sleep(_AGAIN_S)
            new = await self._new(new)
        known = await DoNotCallList(self._database).of({(each.scope, each.phone) for each in new})
        return {
            each.entry
            for each in new
            if (held := known.get((each.scope, each.phone))) is not None
            and not held.active
            and _moment_s(held.position) > _moment_s(position_of(each.entry)) + (0.0 if each.told else _CLOCKS_S)
        }

    async def _new(self, listed: Sequence[_Found]) -> list[_Found]:
        answers = await self._entrance.enter([(each.data, each.message) for each in listed], look=True)
        return [each for each, answer in zip(listed, answers, strict=True) if answer is not Entered.KNOWN]


def _moment_s(position: str) -> float:
    return int(position.partition("-")[0]) / 1_000
