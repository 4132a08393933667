"""What a node says of itself, and what goes on there, as other nodes hear it: under seal (docs/adr/0013)."""

from __future__ import annotations

import msgspec
from msgspec import Struct, field

from dialer.projections.live_rows import CallRow, LiveSnapshot
from dialer.runtime.node_seals import Seal


class Neighbour(Struct, frozen=True, kw_only=True):
    """What a node says of itself."""

    node: str
    #: Its name for this run.
    boot: str
    #: URL of its API for other nodes; empty: they cannot reach it.
    address: str
    #: Unix seconds by the shared clock.
    until: float
    #: Asterisk servers that it is connected to.
    servers: tuple[str, ...] = ()
    agents: int = 0
    of_campaigns: dict[str, int] = field(default_factory=dict)
    #: The same agents by Asterisk server.
    on_servers: dict[str, int] = field(default_factory=dict)
    room_for: int = 0
    #: Name of the machine that it runs on; empty: of a version that does not say.
    machine: str = ""
    #: By how much its clock is ahead of the shared one; None: that is not known, or as above.
    clock_ahead_s: float | None = None
    #: With which generation of Redis' memory (`dialer.queues.redis_queues.RedisQueues.generation`) it works, and so
    #: knows what would be lost with it; empty: with none, or all that it knew is told.
    knows: str = ""
    #: Of which shard it is; empty: there is one Redis.
    shard: str = ""

    @property
    def run(self) -> str:
        """This process among all that there ever were."""
        return f"{self.node} {self.boot}"


def said_by(seal: Seal, sealed: bytes) -> Neighbour | None:
    """What a node says of itself in Redis; None: no node of this installation has said it."""
    content = seal.open(sealed)
    try:
        return None if content is None else msgspec.msgpack.decode(content, type=Neighbour)
    except msgspec.DecodeError:
        return None


def keep_latest(known: dict[str, Neighbour], one: Neighbour) -> None:
    """Note a node by its name; of two of its runs the one that said later that it lives."""
    before = known.get(one.node)
    if before is None or before.until < one.until:
        known[one.node] = one


def neighbour_seal(key: bytes) -> Seal:
    """The seal of what nodes say of themselves, with the key that they share."""
    return Seal(key, "cadencia-neighbour")


class Picture(Struct, frozen=True, kw_only=True):
    """What goes on at a node."""

    view: LiveSnapshot
    calls: list[CallRow]
