"""The installation as the console's system pages show it: nodes, servers, trunks, queues, and findings."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from dialer.api.system_ports import Examined, NodeState, QueueState, ServerState, TrunkState
from dialer.core.ids import ServerName, TrunkName
from dialer.core.saying import NOTHING, Saying
from dialer.intake.jobs import QUEUES
from dialer.queues.connection import redis_errors
from dialer.runtime.examination import examine
from dialer.runtime.node_figures import depths
from dialer.storage.stream_consumer import ConsumerStatus

if TYPE_CHECKING:
    from dialer.runtime.node import Node

#: As RQ calls its lists.
_RQ: Final = "rq:queue:"


class SystemView:
    """`dialer.api.system_ports.System` of one node."""

    def __init__(self, node: Node) -> None:
        self._node: Final = node
        #: Two at once would look at the same.
        self._examining: Final = asyncio.Lock()

    async def nodes(self) -> Sequence[NodeState]:
        """See `System`."""
        now = self._node.clock.now()
        with redis_errors():
            found: Any = await self._node.redis.zrange(self._node.keys["nodes"], 0, -1, withscores=True)
        # An owner is a node and a number of its start: the latest start of each counts.
        until: dict[str, float] = {}
        for owner, score in found:
            name = owner.decode().partition("#")[0]
            until[name] = max(score, until.get(name, score))
        return [
            NodeState(name=name, here=name == self._node.settings.node, alive_until=at, alive=at > now)
            for name, at in sorted(until.items())
        ]

    def servers(self) -> Sequence[ServerState]:
        """See `System`."""
        status, used = self._node.switch.status(), self._node.dispatcher.engine.floor.trunks.channels()
        return [
            ServerState(
                name=server.name,
                connected=seen.connected,
                version=seen.version,
                problem=Saying(seen.problem, seen.code, seen.arguments),
                reconnects=seen.reconnects,
                round_trip_s=seen.round_trip_s,
                trunks=[
                    TrunkState(
                        name=trunk.name,
                        channels=used.get((ServerName(server.name), TrunkName(trunk.name)), 0),
                        max_channels=trunk.max_channels,
                        max_calls_per_second=trunk.max_calls_per_second,
                    )
                    for trunk in server.trunks
                ],
            )
            for server in self._node.settings.asterisk
            if (seen := status.get(ServerName(server.name))) is not None
        ]

    async def queues(self) -> Sequence[QueueState]:
        """See `System`."""
        troubles = {name: _trouble(consumer.status) for name, consumer in self._node.consumers.items()}
        found = [
            QueueState(
                name=name, waiting=waiting, trouble=troubles.get("dnc" if name == "do_not_call" else name, NOTHING)
            )
            for name, waiting in depths(self._node).items()
        ]
        with redis_errors():
            pipeline = self._node.redis.pipeline(transaction=False)
            for queue in QUEUES:
                pipeline.llen(_RQ + queue)
            lengths = await pipeline.execute()
        jobs = [QueueState(name=queue, waiting=waiting) for queue, waiting in zip(QUEUES, lengths, strict=True)]
        return [*found, *jobs]

    async def examine(self) -> Sequence[Examined]:
        """See `System`."""
        async with self._examining:
            found = await examine(self._node.settings)
        return [Examined(part=each.part, ok=each.ok, says=each.said, mend=each.fix) for each in found]


def _trouble(seen: ConsumerStatus) -> Saying:
    return Saying(seen.trouble or "", seen.code, seen.arguments)
