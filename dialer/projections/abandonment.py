"""Abandoned calls as a share of the calls that live people answered, per campaign, over the windows that rules name.

Counted when it is known: a person who got an agent or was abandoned at that moment, one who hung up before either at
the end of the call. Who got an agent later than the campaign allows counts as abandoned, as for the pacer's budget.
Machines and unanswered calls do not count. Two windows: 24 hours (kept by the minute) and 30 days (kept by the hour; a
campaign younger than that is judged by all of its time).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from dialer.core.ids import CallId, CampaignId
from dialer.core.notices import AnyNotice, CallConnected, CallEnded, CallWasAbandoned
from dialer.core.outcome import LIVE, Outcome
from dialer.projections.rolling import RollingSums
from pacing.legal_window import Held

DAY_S: Final = 86_400.0
LEGAL_WINDOW_S: Final = 30 * DAY_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Abandonment:
    """What happened to the live people of one window."""

    live_answers: int = 0
    abandoned: int = 0

    @property
    def ratio(self) -> float:
        """Abandoned calls per live answer, 0 to 1; 0 where nobody has answered."""
        return self.abandoned / self.live_answers if self.live_answers else 0.0

    def budget_left(self, max_ratio: float) -> int:
        """How many more people could be abandoned now within `max_ratio`; negative: by how many it was exceeded.

        Each of them is also a live answer, so the n more satisfy ``abandoned + n <= max_ratio * (live_answers + n)``.
        """
        if max_ratio >= 1.0:
            return self.live_answers
        spare = max_ratio * self.live_answers - self.abandoned
        return math.floor(spare / (1.0 - max_ratio) + 1e-9) if spare >= 0 else math.floor(spare + 1e-9)


class AbandonmentTracker:
    """Abandonment of every campaign; feed it all notices, or history with `restore`."""

    def __init__(self) -> None:
        self._day: Final[dict[CampaignId, RollingSums]] = {}
        self._legal: Final[dict[CampaignId, RollingSums]] = {}
        # For pacers, whose longest window is the calendar month; a month that loses an hour to summer time included.
        self._hours: Final[dict[CampaignId, RollingSums]] = {}
        self._ever: Final[dict[CampaignId, Abandonment]] = {}
        # Calls in flight that are counted already; an entry leaves with its call.
        self._counted: Final[set[CallId]] = set()

    def apply(self, notice: AnyNotice) -> None:
        """Take a notice in; those that say nothing of live answers are passed over."""
        match notice:
            case CallConnected():
                self._count(notice.call, notice.campaign, notice.at, abandoned=notice.late)
            case CallWasAbandoned():
                self._count(notice.call, notice.campaign, notice.at, abandoned=True)
            case CallEnded(attempt=attempt):
                if attempt.call not in self._counted and attempt.outcome in LIVE:
                    lost = attempt.outcome is Outcome.ABANDONED or attempt.late
                    self.restore(attempt.campaign, attempt.ended_at, 1, int(lost))
                self._counted.discard(attempt.call)
            case _:
                pass

    def restore(self, campaign: CampaignId, at: float, live_answers: int, abandoned: int) -> None:
        """Add history, such as one hour's totals from the record after a restart."""
        self.restore_older(campaign, live_answers, abandoned)
        for windows, bucket_s, buckets in (
            (self._day, 60.0, 1_440),
            (self._legal, 3_600.0, 720),
            (self._hours, 3_600.0, 745),
        ):
            sums = windows.get(campaign)
            if sums is None:
                sums = windows[campaign] = RollingSums(bucket_s=bucket_s, buckets=buckets, columns=2)
            sums.add(at, live_answers, abandoned)

    def restore_older(self, campaign: CampaignId, live_answers: int, abandoned: int) -> None:
        """Add history older than any window: it counts since the campaign began, and nowhere else."""
        before = self.ever(campaign)
        self._ever[campaign] = Abandonment(
            live_answers=before.live_answers + live_answers, abandoned=before.abandoned + abandoned
        )

    def hours(self, campaign: CampaignId, now: float) -> list[Held]:
        """The hours of the last 31 days in which somebody answered, oldest first, each known by its end."""
        sums = self._hours.get(campaign)
        return [
            Held(answers=answers, abandoned=abandoned, at=min(end, now))
            for end, (answers, abandoned) in ([] if sums is None else sums.rows(now))
        ]

    def ever(self, campaign: CampaignId) -> Abandonment:
        """Since the campaign began."""
        return self._ever.get(campaign, Abandonment())

    def day(self, campaign: CampaignId, now: float) -> Abandonment:
        """The last 24 hours."""
        return _read(self._day.get(campaign), now)

    def legal(self, campaign: CampaignId, now: float) -> Abandonment:
        """The last 30 days."""
        return _read(self._legal.get(campaign), now)

    def forget(self, campaign: CampaignId) -> None:
        """Drop a campaign that exists no more."""
        self._day.pop(campaign, None)
        self._legal.pop(campaign, None)
        self._hours.pop(campaign, None)
        self._ever.pop(campaign, None)

    def _count(self, call: CallId, campaign: CampaignId, at: float, *, abandoned: bool) -> None:
        if call not in self._counted:
            self._counted.add(call)
            self.restore(campaign, at, 1, int(abandoned))


def _read(sums: RollingSums | None, now: float) -> Abandonment:
    if sums is None:
        return Abandonment()
    live_answers, abandoned = sums.totals(now)
    return Abandonment(live_answers=live_answers, abandoned=abandoned)
