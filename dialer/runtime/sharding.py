"""What makes several Redis one installation, put together for a node (docs/adr/0020)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

import structlog

from dialer.core.shards import Shards
from dialer.errors import QueueError
from dialer.queues.carrying import Entrance
from dialer.queues.redis_queues import RedisQueues
from dialer.queues.removals import parse_do_not_call
from dialer.queues.shard_links import ShardLinks
from dialer.queues.shard_mark import ShardMark
from dialer.queues.streams import StreamReader
from dialer.runtime.api_ports import StreamPurges
from dialer.runtime.carrier import CLAIM_AFTER_S, Carrier, group_of
from dialer.runtime.disposing import CrmStreams
from dialer.runtime.node_seals import Seal
from dialer.runtime.opt_outs import DoNotCallStream
from dialer.runtime.shard_neighbours import ShardNeighbours
from dialer.settings import Redis
from dialer.storage.do_not_call import DoNotCallList

if TYPE_CHECKING:
    from dialer.runtime.node import Node

_log: Final = structlog.get_logger(__name__)

_STREAMS: Final = ("removals", "dnc")
#: A shard that is well answers at once; one that is not must not keep this one from dialing.
_WAIT_S: Final = 3.0
_LOOK_EVERY_S: Final = 0.02


def urls_of(redis: Redis) -> dict[str, str]:
    """Where each shard is."""
    return {shard.name: shard.url for shard in redis.shards}


class EngineStreams:
    """Where a node writes what it learned itself: do-not-call entries into its own shard, from which others take them.

    Args:
        own: the streams of the own shard.
        whole: those of all.
    """

    def __init__(self, own: StreamPurges, whole: StreamPurges) -> None:
        self._own: Final = own
        self._whole: Final = whole

    async def do_not_call(self, messages: Sequence[Mapping[str, object]]) -> None:
        """From the return on they hold here, however the other shards are."""
        await self._own.do_not_call(messages)

    async def call_back(self, messages: Sequence[Mapping[str, object]]) -> None:
        """Write each where its campaign is."""
        await self._whole.call_back(messages)


class Promised:
    """`dialer.runtime.opt_outs.DoNotCallStream`: the own shard first, and no promise before all of them have it."""

    def __init__(self, links: ShardLinks) -> None:
        self._links: Final = links
        self._entrances: Final = {name: Entrance(client, links.keys) for name, client in links.clients.items()}

    async def do_not_call(self, messages: Sequence[Mapping[str, object]]) -> None:
        """Write them; where a shard is away those that have them are not told again by the next try.

        Raises:
            QueueError: not all shards have them.
        """
        own = self._links.shards.own
        for name in (own, *self._links.shards.others):
            data = [json.dumps(one).encode() for one in messages if name in self._links.concerned("dnc", one)]
            entries = [(one, parse_do_not_call(one)) for one in data]
            await self._entrances[name].enter(entries, source="" if name == own else own)


class NodeShards:
    """What a node does for its shard and towards the others.

    Args:
        node: whose redis, keys, database and clock are there.
        links: to all shards.
    """

    def __init__(self, node: Node, links: ShardLinks) -> None:
        self.links: Final = links
        self._now: Final = node.clock.now
        self.mark: Final = ShardMark(node.redis, node.keys, links.shards)
        entrance = Entrance(node.redis, node.keys)
        own = links.shards.own
        self.neighbours: list[ShardNeighbours] = []
        self.carriers: Final[list[Carrier]] = []
        for source in links.shards.others:
            for stream in _STREAMS:
                reader = StreamReader(
                    links.clients[source],
                    links.keys,
                    stream=stream,
                    group=group_of(own),
                    consumer=node.settings.node,
                    now=node.clock.now,
                    claim_after_s=CLAIM_AFTER_S,
                    trim=False,
                    written_here=True,
                )
                carrier = Carrier(
                    node.database,
                    reader,
                    node.clock.now,
                    source=source,
                    stream=stream,
                    shards=links.shards,
                    entrance=entrance,
                    there=links.clients[source],
                    key=links.keys[stream],
                )
                carrier.erased = node.suppressed.cover
                self.carriers.append(carrier)

    def listen(self, seal: Seal) -> list[ShardNeighbours]:
        """Those who listen to the nodes of the other shards; run each."""
        self.neighbours = [
            ShardNeighbours(name, self.links.clients[name], self.links.keys, seal, self._now)
            for name in self.links.shards.others
        ]
        return self.neighbours

    async def before_record(self) -> None:
        """Before the own shard is loaded: what the others' streams still have is to come again.

        Raises:
            QueueError: this Redis is another shard's, or out of reach.
        """
        await self.mark.set()
        begun = await asyncio.gather(*(carrier.begin_again(_WAIT_S) for carrier in self.carriers))
        away = sorted({carrier.stream for carrier, done in zip(self.carriers, begun, strict=True) if not done})
        if away:
            _log.warning("another shard is out of reach: what was written there comes when it is back", streams=away)

    async def before_open(self) -> None:
        """Before the gate opens: this is the right Redis, and it has what the others were told, unless they are away.

        Raises:
            GateNotReady, QueueError: as `ShardMark.check`.
        """
        await self.mark.check()
        clock = asyncio.get_running_loop().time
        until = clock() + _WAIT_S
        for carrier in self.carriers:
            try:
                while (behind := await carrier.is_behind()) and clock() < until:  # noqa: ASYNC110 - no event for it
                    await asyncio.sleep(_LOOK_EVERY_S)
            except QueueError as error:
                _log.warning("another shard is away: what it was told last is not known", error=str(error))
                continue
            if behind:
                _log.warning("not all that another shard was told holds here yet", stream=carrier.stream)


def node_shards(node: Node) -> NodeShards | None:
    """What `node` does about shards; None: its installation has one Redis."""
    settings = node.settings.redis
    shards = settings.table
    if not shards.several:
        return None
    links = ShardLinks(
        shards, urls_of(settings), node.redis, node.queues, node=node.settings.node, prefix=settings.prefix
    )
    return NodeShards(node, links)


def groups_beside(shards: Shards) -> tuple[str, ...]:
    """By which the other shards read the streams of the own one."""
    return tuple(group_of(other) for other in shards.others)


def purges_of(node: Node) -> StreamPurges:
    """Where the API of a node writes: what it acknowledges holds in every shard."""
    links = None if node.sharding is None else node.sharding.links
    return StreamPurges(node.redis, node.keys, DoNotCallList(node.database), node.clock.now, links)


def engine_streams_of(node: Node) -> CrmStreams:
    """Where a node writes what its agents have found out."""
    if node.sharding is None:
        return node.purges
    own = StreamPurges(node.redis, node.keys, DoNotCallList(node.database), node.clock.now)
    return EngineStreams(own, node.purges)


def opt_outs_of(node: Node) -> DoNotCallStream:
    """Where a node writes objections by key."""
    return node.purges if node.sharding is None else Promised(node.sharding.links)


def hoppers_of(node: Node) -> RedisQueues | ShardLinks:
    """Where somebody who is erased is forgotten, and calls of others than us are counted."""
    return node.queues if node.sharding is None else node.sharding.links
