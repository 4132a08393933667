"""Misfortunes that a test can order, while the exchange runs."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True, kw_only=True)
class Faults:
    """Standing faults: set a field and it holds until it is set back. Single ones are methods of `Exchange`."""

    #: Connections are accepted, but nothing is read and nothing is sent, not even the banner.
    stalled: bool = False
    #: Every n-th event is sent twice; 0: none.
    duplicate_every: int = 0
    #: Events come this much late, in order.
    delay_s: float = 0.0
    #: Events come up to this much late, each by itself, so that their order is lost.
    reorder_s: float = 0.0
    #: Text of the error with which every Originate is refused; empty: none is.
    refuse_originates: str = ""
    #: Every Originate is accepted, and fails before any channel exists.
    fail_originates: bool = False
    #: Trunks whose carrier never says a word; "*" stands for all.
    silent_trunks: set[str] = field(default_factory=set)
    #: Phones of agents that cannot be reached.
    dead_phones: set[str] = field(default_factory=set)

    @property
    def disturbs_events(self) -> bool:
        """Whether events need more than being sent."""
        return bool(self.duplicate_every or self.delay_s or self.reorder_s)
