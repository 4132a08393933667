"""What the console needs of the rest for its system pages (`dialer.api.ports` has the other ports)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


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
    #: In words that say what to do; empty where all is well.
    problem: str
    reconnects: int
    round_trip_s: float | None
    trunks: Sequence[TrunkState]


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueState:
    """What waits somewhere."""

    #: Of `dialer.projections.metric_families.QueueName`, or a queue of the workers (`dialer.intake.jobs.QUEUES`).
    name: str
    waiting: int
    #: What stands in the way; empty: nothing.
    trouble: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """What `cadencia doctor` says of one part."""

    part: str
    ok: bool
    says: str
    mend: str


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


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyEntry:
    """What is known of an API key; not the key."""

    id: str
    role: str
    name: str
    created_at: float
    last_used_at: float | None
    expires_at: float | None
    revoked_at: float | None


class KeyBook(Protocol):
    """API keys as managers see them (`dialer.runtime.system_view.StoredKeyBook`)."""

    async def all(self) -> Sequence[KeyEntry]:
        """Every key, revoked and expired ones included, the oldest first."""

    async def create(self, role: str, name: str, expires_at: float | None) -> tuple[KeyEntry, str]:
        """Make a key; the second part is the key itself, which cannot be had again.

        Raises:
            InputError: nobody can have such a key.
        """

    async def revoke(self, id: str) -> bool:
        """Make a key worthless; False where there is none that is good."""
