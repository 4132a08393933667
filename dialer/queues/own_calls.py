"""The calls of one node, as it knows them itself: what a server has forgotten of them can be told to it again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import repeat

from dialer.core.ids import CallId
from dialer.core.permit import Permit
from dialer.queues import wire


class OwnCalls:
    """Calls from their reservation to their end."""

    def __init__(self) -> None:
        #: Calls under way; those that no more is known of than when they were reserved are kept as they came.
        self.outstanding: dict[CallId, wire.Outstanding] = {}
        self.reserved: dict[CallId, tuple[Permit, float, str]] = {}
        #: Calls of reservations whose answer never came; they are given back before anything else is reserved.
        self.doubtful: list[CallId] = []
        #: Calls whose end was written, and perhaps not heard: it will be written again.
        self.ending: set[CallId] = set()
        #: Beginnings of the ids of calls that were reserved here, up to their number.
        self._made: set[str] = set()

    def ask_for(self, calls: Sequence[CallId]) -> None:
        """They are about to be reserved, and are in doubt until the answer comes."""
        self.doubtful.extend(calls)
        self._made.update({call.rpartition("-")[0] + "-" for call in calls})

    def reserve(self, permits: Iterable[Permit], calls: Sequence[CallId], at: float, ledgers: Iterable[str]) -> None:
        """The answer has come: permits for the first of `calls`, and the names of the ledgers of each."""
        self.reserved.update(zip(calls, zip(permits, repeat(at), ledgers, strict=False), strict=False))

    def under_way(self, call: CallId) -> wire.Outstanding | None:
        """A call of which more is known now than that it was reserved."""
        fresh = self.reserved.pop(call, None)
        if fresh is not None:
            self.outstanding[call] = wire.Outstanding(*fresh)
        return self.outstanding.get(call)

    def all_under_way(self) -> dict[CallId, wire.Outstanding]:
        """All calls from their reservation on."""
        for call in tuple(self.reserved):
            self.under_way(call)
        return self.outstanding

    def forget(self, call: CallId) -> None:
        """It is over."""
        self.reserved.pop(call, None)
        self.outstanding.pop(call, None)

    def reservation(self, call: CallId) -> tuple[float, str] | None:
        """When a call of ours was reserved, and the names of its ledgers."""
        if call in self.reserved:
            return self.reserved[call][1:]
        known = self.outstanding.get(call)
        return None if known is None else (known.reserved_at, known.ledgers)

    def names(self) -> tuple[str, ...]:
        """Beginnings of the ids of all calls made here, as a text, and those that are under way or in doubt."""
        return ("\n".join(sorted(self._made)), *self.all_under_way(), *self.doubtful)
