"""What is told to the CRM, as listeners of the API hear it: from now on, and once more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from dialer.api.broadcast import Told


class Subscription(Protocol):
    """One listener's results, in order."""

    @property
    def dropped(self) -> bool:
        """Whether results were lost because the listener was too slow; none come any more."""

    async def next(self, timeout_s: float) -> Told | None:
        """The next result with its id; None where none came in time, or where there are none any more."""

    def close(self) -> None:
        """No more results are wanted."""


class Results(Protocol):
    """Results as they go to the CRM (`dialer.api.broadcast.Broadcast`)."""

    def subscribe(self, capacity: int) -> Subscription | None:
        """Listen from now on, with room for `capacity` results; None where too many listen already."""

    async def position(self) -> str:
        """The id up to which results have been handed out; whoever listens now hears all that is behind it."""


class ResultHistory(Protocol):
    """Results that have been told already (`dialer.runtime.results_feed.ResultHistory`)."""

    async def between(self, after: str, until: str, count: int) -> Sequence[tuple[str, Mapping[str, object]]]:
        """Up to `count` results behind the id `after` and up to `until`, the oldest first."""

    async def oldest(self) -> str | None:
        """The id of the oldest result that is kept."""
