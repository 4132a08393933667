"""The installation as the console's system pages show it: nodes, servers, trunks, queues, findings, and keys."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from dialer.api.ports import Role
from dialer.api.system_ports import Examined, KeyEntry, NodeState, QueueState, ServerState, TrunkState
from dialer.core.ids import ServerName, TrunkName, valid_name
from dialer.errors import InputError
from dialer.intake.jobs import QUEUES
from dialer.queues.connection import redis_errors
from dialer.runtime.examination import examine
from dialer.runtime.node_figures import depths
from dialer.storage.keys import ApiKey, Keys

if TYPE_CHECKING:
    from dialer.runtime.node import Node

#: As RQ calls its lists.
_RQ: Final = "rq:queue:"
_MAX_NAME: Final = 100


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
                problem=seen.problem,
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
        troubles = {name: consumer.status.trouble or "" for name, consumer in self._node.consumers.items()}
        found = [
            QueueState(name=name, waiting=waiting, trouble=troubles.get("dnc" if name == "do_not_call" else name, ""))
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
        return [Examined(part=each.part, ok=each.ok, says=each.says, mend=each.mend) for each in found]


class StoredKeyBook:
    """`dialer.api.system_ports.KeyBook` on SQL."""

    def __init__(self, keys: Keys, now: Callable[[], float]) -> None:
        self._keys: Final = keys
        self._now: Final = now

    async def all(self) -> Sequence[KeyEntry]:
        """See `KeyBook`."""
        return [_entry(key) for key in await self._keys.all()]

    async def create(self, role: str, name: str, expires_at: float | None) -> tuple[KeyEntry, str]:
        """See `KeyBook`."""
        plain = name.strip()
        if role not in set(Role):
            raise InputError(f"role: must be {', '.join(Role)}", allowed=tuple(Role))
        if not plain or not plain.isprintable() or len(plain) > _MAX_NAME:
            raise InputError(f"name: 1 to {_MAX_NAME} printable characters")
        if role == Role.AGENT and not valid_name(plain):
            raise InputError("name: an agent's key is named after the agent: letters, digits, _ and -, at most 64")
        key, secret = await self._keys.create(role, plain, now=self._now(), expires_at=expires_at)
        return _entry(key), secret

    async def revoke(self, id: str) -> bool:
        """See `KeyBook`."""
        return await self._keys.revoke(id, self._now())


def _entry(key: ApiKey) -> KeyEntry:
    return KeyEntry(
        id=key.id,
        role=key.role,
        name=key.name,
        created_at=key.created_at,
        last_used_at=key.last_used_at,
        expires_at=key.expires_at,
        revoked_at=key.revoked_at,
    )
