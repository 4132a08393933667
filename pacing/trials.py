"""Days of a scenario under one method: what came of them, as plain values that can be added up, kept and sent."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from pacing.contacts import ContactBook
from pacing.contract import Pacer
from pacing.registry import build
from pacing.scenario import Scenario
from pacing.settings import PacingSettings
from pacing.simulate import SLICE_S, Day, simulate
from pacing.watched import Moment, Watched

#: Two-sided 95 % points of Student's t by degrees of freedom (1 to 30); beyond, the normal distribution's.
_T95 = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228),
    *(2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086),
    *(2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042),
)
_DECIDE_EVERY_S = 1.0
_DEFAULT_LIMIT = PacingSettings().max_abandonment


@dataclass(frozen=True, slots=True, kw_only=True)
class DayTotals:
    """One simulated (or real) day in numbers; see `pacing.simulate.Day`.

    Attributes:
        left: Contacts of the list that may still be called; None without a list.
        slice_answered, slice_abandoned: By half hour from the beginning of the day.
    """

    seed: int
    dialed: int
    answered: int
    abandoned: int
    connected: int
    hung_up: int
    busy_s: float
    staffed_s: float
    ended_s: float
    first_answers_abandoned: int = 0
    most_in_flight: int = 0
    left: int | None = None
    slice_answered: tuple[int, ...] = ()
    slice_abandoned: tuple[int, ...] = ()

    @property
    def occupancy(self) -> float:
        """Time talking or in wrap-up over time on duty."""
        return self.busy_s / self.staffed_s if self.staffed_s else 0.0

    @property
    def abandonment(self) -> float:
        """Abandoned over live answers."""
        return self.abandoned / self.answered if self.answered else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """Some days under one method.

    Attributes:
        label: For people: the method, or what makes it differ from others.
        method: Its name.
        limit: Largest share of live answers that may be abandoned.
        agents: The most on duty at once.
        days: In order.
        moments: The first day minute by minute; empty where nobody watched.
        limits: What stopped a decision of that day, by how often.
    """

    label: str
    method: str
    limit: float
    agents: int
    days: tuple[DayTotals, ...]
    moments: tuple[Moment, ...] = ()
    limits: dict[str, int] = field(default_factory=dict)
    pacing: dict[str, float] = field(default_factory=dict)

    def total(self, of: Callable[[DayTotals], float]) -> float:
        """A number added up over the days."""
        return sum(of(day) for day in self.days)

    @property
    def occupancy(self) -> float:
        """Over all days."""
        staffed_s = self.total(lambda day: day.staffed_s)
        return self.total(lambda day: day.busy_s) / staffed_s if staffed_s else 0.0

    @property
    def abandonment(self) -> float:
        """Over all days."""
        answered = self.total(lambda day: day.answered)
        return self.total(lambda day: day.abandoned) / answered if answered else 0.0

    @property
    def worst_day(self) -> float:
        """The largest abandonment of a day."""
        return max((day.abandonment for day in self.days), default=0.0)

    @property
    def worst_half_hour(self) -> float:
        """The largest abandonment of a half hour with 100 answers or more; 0 if there is none."""
        return max(
            (
                lost / answered
                for day in self.days
                for answered, lost in zip(day.slice_answered, day.slice_abandoned, strict=True)
                if answered >= 100
            ),
            default=0.0,
        )

    @property
    def talks_per_agent_hour(self) -> float:
        """People talked with by an agent in an hour on duty."""
        staffed_s = self.total(lambda day: day.staffed_s)
        return 3_600.0 * self.total(lambda day: day.connected) / staffed_s if staffed_s else 0.0

    @property
    def wait_between_talks_s(self) -> float:
        """Mean seconds that an agent is free between two calls."""
        talks = self.total(lambda day: day.connected)
        return self.total(lambda day: day.staffed_s - day.busy_s) / talks if talks else 0.0

    def half_width(self, of: Callable[[DayTotals], float]) -> float:
        """Half the 95 % confidence interval of a day's number; infinite with a single day."""
        return half_width([of(day) for day in self.days])


def half_width(values: Sequence[float]) -> float:
    """Half the 95 % confidence interval of a mean; infinite with a single value."""
    count = len(values)
    if count < 2:
        return math.inf
    mean = sum(values) / count
    variance = sum((value - mean) ** 2 for value in values) / (count - 1)
    return (_T95[count - 2] if count - 2 < len(_T95) else 1.96) * math.sqrt(variance / count)


def run_days(
    scenario: Scenario,
    method: str,
    *,
    label: str = "",
    first_day: int = 0,
    days: int | None = None,
    last_day_hours: float | None = None,
    watch: bool = False,
) -> Trial:
    """Simulate some days of a scenario under one method.

    Without a list the days are independent of each other, so they can be simulated in any order and elsewhere. With one
    it goes on from day to day, and so does what the law's window holds.

    Args:
        scenario: What is simulated.
        method: One of `pacing.method_names()`.
        label: For people; empty: the method's name.
        first_day: The first of them, from 0; with a list it must be 0.
        days: How many; None: as many as the scenario has.
        last_day_hours: Length of the last of them; None: like the others.
        watch: Whether to keep the first of these days minute by minute.
    """
    book = None if scenario.floor.contacts is None else ContactBook(scenario.floor.contacts)
    assert book is None or first_day == 0, "a list begins on its first day"
    settings = scenario.settings(method)
    totals: list[DayTotals] = []
    moments: tuple[Moment, ...] = ()
    limits: dict[str, int] = {}
    answers = abandoned = 0
    last = first_day + (scenario.days if days is None else days) - 1
    for number in range(first_day, last + 1):
        floor = scenario.floor
        if number == last and last_day_hours is not None:
            floor = replace(floor, hours=last_day_hours)
        before = {} if book is None else {"answers_before": answers, "abandoned_before": abandoned}
        pacer: Pacer = build(method, **settings, **before)
        watched = Watched(pacer) if watch and number == first_day else None
        seed = scenario.seed + number
        day = simulate(floor, watched or pacer, seed=seed, decide_every_s=_DECIDE_EVERY_S, book=book)
        if watched is not None:
            moments, limits = tuple(watched.moments), dict(watched.limits)
        totals.append(_totals(day, seed, None if book is None else book.left))
        answers += day.answered
        abandoned += day.abandoned
        if book is not None:
            if not book.left:
                break
            book.new_day()
    return Trial(
        label=label or method,
        method=method,
        limit=settings.get("max_abandonment", _DEFAULT_LIMIT),
        agents=scenario.agents,
        days=tuple(totals),
        moments=moments,
        limits=limits,
        pacing=settings,
    )


def joined(trials: Sequence[Trial]) -> Trial:
    """Trials of the same thing on different days as one; the first one's moments are kept."""
    watched = next((trial for trial in trials if trial.moments), trials[0])
    days = sorted((day for trial in trials for day in trial.days), key=lambda day: day.seed)
    return replace(watched, days=tuple(days))


def _totals(day: Day, seed: int, left: int | None) -> DayTotals:
    slices = math.ceil(day.ended_s / SLICE_S)
    return DayTotals(
        seed=seed,
        dialed=day.dialed,
        answered=day.answered,
        abandoned=day.abandoned,
        connected=day.connected,
        hung_up=day.hung_up,
        busy_s=day.busy_s,
        staffed_s=day.staffed_s,
        ended_s=day.ended_s,
        first_answers_abandoned=day.first_answers_abandoned,
        most_in_flight=day.most_in_flight,
        left=left,
        slice_answered=tuple(int(count) for count in day.slice_answered[:slices]),
        slice_abandoned=tuple(int(count) for count in day.slice_abandoned[:slices]),
    )
