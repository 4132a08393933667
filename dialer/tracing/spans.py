"""One step of a trace, as a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dialer.tracing.places import Place

Value = str | int | float | bool | tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """What was done from one moment to another; a moment by itself where both are the same."""

    name: str
    place: Place
    #: None: it is the first of its trace.
    parent: Place | None = None
    #: Unix seconds.
    started_at: float
    ended_at: float
    attributes: Mapping[str, Value] = field(default_factory=dict)
    #: Spans of other traces that led to it.
    links: tuple[Place, ...] = ()
    #: A request that was sent to somebody.
    request: bool = False
    #: What went wrong, in a word; empty: nothing did.
    error: str = ""
