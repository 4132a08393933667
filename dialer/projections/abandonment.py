"""Abandoned calls as a share of the calls that live people answered, per campaign, over the windows that rules name.

Counted when it is known: a person who got an agent or was abandoned at that moment, one who hung up before either at
the end of the call. Who got an agent later than the campaign allows counts as abandoned, as for the pacer's budget.
Machines and unanswered calls do not count; how many people may be among the calls hung up as machines is told apart
(`AbandonmentTracker.corrected`), by what agents say of the sampled ones since this process began. Two windows: 24 hours
(kept by the minute) and 30 days (kept by the hour; a campaign younger than that is judged by all of its time).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from dialer.compliance.machine_error import AnswerCounts, says_machine
from dialer.core.ids import CallId, CampaignId
from dialer.core.notices import AnyNotice, CallConnected, CallEnded, CallWasAbandoned, CallWasDisposed
from dialer.core.outcome import LIVE, Outcome
from dialer.projections.rolling import RollingSums
from pacing.legal_window import Held

DAY_S: Final = 86_400.0
LEGAL_WINDOW_S: Final = 30 * DAY_S
#: Sampled calls whose disposition is waited for; of more, the oldest will never be disposed.
_UNJUDGED: Final = 10_000


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
        # Hung up as machines; sampled calls that an agent judged, and those of them that were people.
        self._verdicts: Final[dict[CampaignId, RollingSums]] = {}
        # Sampled calls that an agent got and has not judged yet.
        self._unjudged: Final[dict[CallId, CampaignId]] = {}
        # Calls in flight that are counted already; an entry leaves with its call.
        self._counted: Final[set[CallId]] = set()

    def apply(self, notice: AnyNotice) -> None:
        """Take a notice in; those that say nothing of live answers are passed over."""
        match notice:
            case CallConnected():
                self._count(notice.call, notice.campaign, notice.at, abandoned=notice.late)
                if notice.machine_sampled:
                    self._unjudged[notice.call] = notice.campaign
                    if len(self._unjudged) > _UNJUDGED:
                        del self._unjudged[next(iter(self._unjudged))]
            case CallWasDisposed():
                if self._unjudged.pop(notice.call, None) is not None:
                    self.restore_verdicts(notice.campaign, notice.at, 0, 1, int(not says_machine(notice.code)))
            case CallWasAbandoned():
                self._count(notice.call, notice.campaign, notice.at, abandoned=True)
            case CallEnded(attempt=attempt):
                if attempt.call not in self._counted and attempt.outcome in LIVE:
                    lost = attempt.outcome is Outcome.ABANDONED or attempt.late
                    self.restore(attempt.campaign, attempt.ended_at, 1, int(lost))
                if attempt.outcome is Outcome.MACHINE:
                    self.restore_verdicts(attempt.campaign, attempt.ended_at, 1, 0, 0)
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

    def restore_verdicts(
        self, campaign: CampaignId, at: float, hung_up_as_machine: int, judged: int, judged_people: int
    ) -> None:
        """Add history of detection's verdicts."""
        sums = self._verdicts.get(campaign)
        if sums is None:
            sums = self._verdicts[campaign] = RollingSums(bucket_s=3_600.0, buckets=720, columns=3)
        sums.add(at, hung_up_as_machine, judged, judged_people)

    def corrected(self, campaign: CampaignId | None, now: float) -> AnswerCounts:
        """The last 30 days of a campaign, or (None) of all of them, with what is known of detection's errors."""
        names = sorted({*self._legal, *self._verdicts}) if campaign is None else [campaign]
        return sum((self._counts(name, now) for name in names), AnswerCounts())

    def centre_day(self, now: float) -> Abandonment:
        """The last 24 hours of all campaigns together."""
        return _sum(self.day(campaign, now) for campaign in self._day)

    def centre_legal(self, now: float) -> Abandonment:
        """The last 30 days of all campaigns together."""
        return _sum(self.legal(campaign, now) for campaign in self._legal)

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
        self._verdicts.pop(campaign, None)

    def _counts(self, campaign: CampaignId, now: float) -> AnswerCounts:
        counted, verdicts = self.legal(campaign, now), self._verdicts.get(campaign)
        machines, judged, people = (0, 0, 0) if verdicts is None else verdicts.totals(now)
        return AnswerCounts(
            live_answers=counted.live_answers,
            abandoned=counted.abandoned,
            hung_up_as_machine=machines,
            judged=judged,
            judged_people=people,
        )

    def _count(self, call: CallId, campaign: CampaignId, at: float, *, abandoned: bool) -> None:
        if call not in self._counted:
            self._counted.add(call)
            self.restore(campaign, at, 1, int(abandoned))


def _sum(parts: Iterable[Abandonment]) -> Abandonment:
    rows = list(parts)
    return Abandonment(live_answers=sum(row.live_answers for row in rows), abandoned=sum(row.abandoned for row in rows))


def _read(sums: RollingSums | None, now: float) -> Abandonment:
    if sums is None:
        return Abandonment()
    live_answers, abandoned = sums.totals(now)
    return Abandonment(live_answers=live_answers, abandoned=abandoned)
