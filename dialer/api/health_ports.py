"""How the parts are doing: for probes, people and Prometheus."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from dialer.projections.live_rows import LiveSnapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthCheck:
    """How one part is doing."""

    name: str
    ok: bool
    #: In words that say what to do; empty where all is well. The same for a catalogue.
    problem: str = ""
    code: str = ""
    arguments: Mapping[str, object] = field(default_factory=dict)


class Health(Protocol):
    """How the parts are doing."""

    async def checks(self) -> Sequence[HealthCheck]:
        """Redis, database, Asterisk servers, gate. Answers within a second or two, whatever is down."""


class Exposition(Protocol):
    """The metrics (`dialer.projections.metrics.Metrics`)."""

    def refresh(self, view: LiveSnapshot) -> None:
        """Set the gauges; called in the event loop."""

    def render(self) -> bytes:
        """The text; called in a thread."""
