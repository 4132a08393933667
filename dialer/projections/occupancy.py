"""Occupancy: the share of their working time that agents spend with customers (reserved, talking, wrap-up).

Breaks, sign-in and lost phones count for nothing: ``busy / (busy + idle)``. An agent of several campaigns counts in
each of them, and once for the whole floor.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from dialer.core.agent import AgentState
from dialer.core.ids import AgentId, CampaignId
from dialer.core.notices import AgentChanged
from dialer.projections.rolling import RollingSums

_BUSY: Final = frozenset({AgentState.RESERVED, AgentState.TALKING, AgentState.WRAPUP})
_WORKING: Final = _BUSY | {AgentState.IDLE}


class _Floor:
    """Agents of one campaign, or of all: how many are busy and idle, and since when that was written down."""

    __slots__ = ("busy", "hour", "idle", "recent", "written_at")

    def __init__(self, at: float) -> None:
        self.busy = 0
        self.idle = 0
        self.written_at = at
        self.recent = RollingSums(bucket_s=5.0, buckets=60, columns=2)
        self.hour = RollingSums(bucket_s=60.0, buckets=60, columns=2)

    def write_down(self, now: float) -> None:
        """Spread the time since the last change over the buckets, in milliseconds."""
        if now <= self.written_at:
            return
        if self.busy or self.idle:
            for sums in (self.recent, self.hour):
                # What lies before the window would be dropped anyway: after a long silence begin at its edge.
                at = max(self.written_at, now - sums.bucket_s * 60)
                while at < now:
                    end = min(now, (at // sums.bucket_s + 1) * sums.bucket_s)
                    spent_ms = round((end - at) * 1_000)
                    sums.add(at, self.busy * spent_ms, self.idle * spent_ms)
                    at = end
        self.written_at = now


class OccupancyTracker:
    """Occupancy of every campaign and of the floor over the last five minutes and the last hour."""

    def __init__(self) -> None:
        self._floors: Final[dict[CampaignId | None, _Floor]] = {}
        self._agents: Final[dict[AgentId, tuple[bool, tuple[CampaignId, ...]]]] = {}

    def apply(self, notice: AgentChanged) -> None:
        """Take a change of one agent in."""
        before = self._agents.pop(notice.agent, None)
        if before is not None:
            busy, campaigns = before
            self._shift(campaigns, notice.at, busy=busy, by=-1)
        if notice.state in _WORKING:
            busy = notice.state in _BUSY
            self._agents[notice.agent] = (busy, notice.campaigns)
            self._shift(notice.campaigns, notice.at, busy=busy, by=1)

    def recent(self, campaign: CampaignId | None, now: float) -> float | None:
        """Occupancy over the last five minutes (None: of the floor); None where nobody worked."""
        floor = self._floors.get(campaign)
        if floor is None:
            return None
        floor.write_down(now)
        return _ratio(floor.recent.totals(now))

    def hour(self, campaign: CampaignId | None, now: float) -> float | None:
        """The same over the last hour."""
        floor = self._floors.get(campaign)
        if floor is None:
            return None
        floor.write_down(now)
        return _ratio(floor.hour.totals(now))

    def idle_s(self, campaign: CampaignId, now: float) -> float:
        """Seconds that its agents have been idle in the last hour, all together."""
        floor = self._floors.get(campaign)
        if floor is None:
            return 0.0
        floor.write_down(now)
        _, idle_ms = floor.hour.totals(now)
        return idle_ms / 1_000

    def forget(self, campaign: CampaignId) -> None:
        """Drop a campaign that exists no more."""
        self._floors.pop(campaign, None)

    def _shift(self, campaigns: Iterable[CampaignId], at: float, *, busy: bool, by: int) -> None:
        for key in (None, *campaigns):
            floor = self._floors.get(key)
            if floor is None:
                if by < 0:
                    continue
                floor = self._floors[key] = _Floor(at)
            floor.write_down(at)
            if busy:
                floor.busy = max(0, floor.busy + by)
            else:
                floor.idle = max(0, floor.idle + by)


def _ratio(totals: tuple[int, ...]) -> float | None:
    busy, idle = totals
    return busy / (busy + idle) if busy + idle else None
