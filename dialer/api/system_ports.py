"""What the console needs of the rest for its system pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from dialer.core.saying import NOTHING, Saying


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeState:
    """One node that has given a sign of life today."""

    name: str
    #: The node that was asked.
    here: bool
    #: Its last sign of life is good until then, unix seconds.
    alive_until: float
    alive: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TrunkState:
    """One trunk, as this node uses it."""

    name: str
    #: Channels in use, and as many as it bears.
    channels: int
    max_channels: int
    max_calls_per_second: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerState:
    """One Asterisk server, as this node sees it."""

    name: str
    connected: bool
    version: str
    #: In words that say what to do; nothing where all is well.
    problem: Saying
    reconnects: int
    round_trip_s: float | None
    trunks: Sequence[TrunkState]


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueState:
    """What waits somewhere."""

    #: Of `dialer.projections.metric_families.QueueName`, or a queue of the workers (`dialer.intake.jobs.QUEUES`).
    name: str
    waiting: int
    #: What stands in the way.
    trouble: Saying = NOTHING


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """What `cadencia doctor` says of one part."""

    part: str
    ok: bool
    says: Saying
    #: What to do; nothing where all is well.
    mend: Saying = NOTHING


class System(Protocol):
    """The installation (`dialer.runtime.system_view.SystemView`)."""

    async def nodes(self) -> Sequence[NodeState]:
        """Nodes by name.

        Raises:
            QueueError: Redis is out of reach.
        """

    def servers(self) -> Sequence[ServerState]:
        """Asterisk servers in the order of the settings."""

    async def queues(self) -> Sequence[QueueState]:
        """What waits in this node, and for the workers of all.

        Raises:
            QueueError: Redis is out of reach.
        """

    async def examine(self) -> Sequence[Examined]:
        """What `cadencia doctor` finds; takes seconds."""
