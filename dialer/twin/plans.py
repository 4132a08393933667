"""A manager's questions: how many agents for this list by Friday, what a lower limit costs, what one more brings."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final

from dialer.errors import InputError
from dialer.twin.cells import Cell, scenario_in
from dialer.twin.crew import Crew, Progress, quiet
from pacing.floor import ContactList
from pacing.planning import guess_agents, smallest, talks_in_list
from pacing.scenario import MOST_AGENTS
from pacing.trials import Trial, half_width

_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
#: A number of agents is enough when the list is through with this many different lots of people.
_LOTS: Final = 3
_LONGEST_DAYS: Final = 366


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer.

    Attributes:
        question: As it was asked.
        words: The answer in sentences.
        rows: The numbers behind it.
        result: For machines.
    """

    question: str
    words: tuple[str, ...]
    rows: tuple[dict[str, str], ...]
    result: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkingTime:
    """When the floor works until a deadline.

    Attributes:
        days: The working days, in order.
        hours: Length of each but the last.
        last_hours: Length of the last one.
    """

    days: tuple[date, ...]
    hours: float
    last_hours: float

    @property
    def total_s(self) -> float:
        """All of it."""
        return ((len(self.days) - 1) * self.hours + self.last_hours) * 3_600.0


def working_days(text: str) -> frozenset[int]:
    """Weekdays such as "mon-fri" or "mon,wed,sat", Monday is 0.

    Raises:
        InputError: it cannot be understood.
    """
    found: set[int] = set()
    for part in text.lower().split(","):
        first, _, last = part.strip().partition("-")
        try:
            low = _DAYS.index(first.strip())
            high = _DAYS.index(last.strip()) if last else low
        except ValueError as error:
            raise InputError(f"working days {text!r} cannot be understood: write mon-fri or mon,wed,sat") from error
        found |= set(range(low, high + 1)) if low <= high else {*range(low, 7), *range(high + 1)}
    return frozenset(found)


def working_time(
    begin: datetime, by: datetime, *, starts_at_s: float, hours: float, weekdays: frozenset[int], closed: Iterable[date]
) -> WorkingTime:
    """The working days from a moment to a deadline; a day that has begun already does not count.

    Raises:
        InputError: there is none, or the deadline is more than a year away.
    """
    shut = frozenset(closed)
    if (by - begin).days > _LONGEST_DAYS:
        raise InputError(f"the deadline {by:%Y-%m-%d} is more than a year away")
    days: list[date] = []
    last_hours = hours
    day = begin.date()
    while day <= by.date():
        opens = datetime(day.year, day.month, day.day, tzinfo=begin.tzinfo) + timedelta(seconds=starts_at_s)
        left_h = (by - opens).total_seconds() / 3_600.0
        if day.weekday() in weekdays and day not in shut and opens >= begin and left_h > 0.05:
            days.append(day)
            last_hours = min(hours, left_h)
        day += timedelta(days=1)
    if not days:
        raise InputError(f"there is no working day between {begin:%Y-%m-%d %H:%M} and {by:%Y-%m-%d %H:%M}")
    return WorkingTime(days=tuple(days), hours=hours, last_hours=last_hours)


def agents_by(raw: Mapping[str, Any], method: str, time: WorkingTime, crew: Crew, progress: Progress = quiet) -> Answer:
    """The smallest number of agents who get the list through by the deadline.

    Raises:
        InputError: the scenario has no list, or no number of agents is enough.
    """
    scenario = scenario_in(Cell(scenario=dict(raw), method=method))
    contacts = scenario.floor.contacts
    if contacts is None:
        raise InputError("how many agents by when? It takes a list: give --contacts, or [list] in the scenario")
    first = guess_agents(scenario.floor, contacts, time.total_s)
    if first > MOST_AGENTS:
        raise InputError(
            f"a list of {contacts.contacts:,} in {time.total_s / 3_600:.0f} working hours would take about {first:,} "
            "agents: take a later deadline or a shorter list"
        )
    guess = _calibrated(raw, method, first, time, contacts, crew)
    asked: dict[int, list[Trial]] = {}

    def enough(agents: int) -> bool:
        cells = [
            Cell(
                scenario=dict(raw),
                method=method,
                agents=agents,
                days=len(time.days),
                last_day_hours=time.last_hours,
                seed=scenario.seed + 1_000 * lot,
                key=f"{agents}-{lot}",
            )
            for lot in range(_LOTS)
        ]
        asked[agents] = crew.run(cells, progress)
        return all(trial.days[-1].left == 0 for trial in asked[agents])

    found = smallest(enough, guess=guess, most=MOST_AGENTS)
    rows = tuple(_list_row(agents, trials, len(time.days)) for agents, trials in sorted(asked.items()))
    span = f"{len(time.days)} working day{'s' if len(time.days) > 1 else ''} ({time.total_s / 3_600:.0f} hours)"
    if found is None:
        raise InputError(
            f"no number of agents gets a list of {contacts.contacts:,} through in {span}: contacts that wait "
            f"{contacts.retry_after_s / 3_600:g} h to be called again take longer; lower list.retry_after_s or attempts"
        )
    trial = asked[found][0]
    words = (
        (
            f"{found:,} agents get the list of {contacts.contacts:,} through in {span}, until "
            f"{time.days[-1]:%A %d %B}, with {method}."
        ),
        (
            f"They reach {trial.total(lambda day: day.answered):,.0f} people, talk with "
            f"{trial.total(lambda day: day.connected):,.0f} of them, and are busy {100 * trial.occupancy:.0f} % of "
            f"their time; {100 * trial.abandonment:.1f} % of the answers are abandoned."
        ),
        *([f"{found - 1:,} would not be enough: see the table."] if found - 1 in asked else []),
    )
    return Answer(
        question="How many agents for this list by then?",
        words=words,
        rows=rows,
        result={"agents": found, "working_days": len(time.days), "working_hours": round(time.total_s / 3_600, 2)},
    )


def _calibrated(
    raw: Mapping[str, Any], method: str, first: int, time: WorkingTime, contacts: ContactList, crew: Crew
) -> int:
    """A better guess, from what agents of the first guess get done on a day."""
    trial = crew.run([Cell(scenario=_without_list(raw), method=method, agents=first, days=1)])[0]
    if trial.talks_per_agent_hour <= 0.0:
        return first
    talks, _ = talks_in_list(scenario_in(Cell(scenario=dict(raw), method=method)).floor, contacts)
    exact = talks / (trial.talks_per_agent_hour * time.total_s / 3_600.0)
    return min(max(math.ceil(exact), 1), MOST_AGENTS)


def _list_row(agents: int, trials: list[Trial], days: int) -> dict[str, str]:
    left = [trial.days[-1].left or 0 for trial in trials]
    through = [trial for trial, rest in zip(trials, left, strict=True) if not rest]
    ends = max((len(trial.days) for trial in through), default=0)
    return {
        "agents": f"{agents:,}",
        "list": f"through on day {ends} of {days}" if len(through) == len(trials) else f"{max(left):,} contacts left",
        "occupancy": f"{100 * sum(trial.occupancy for trial in trials) / len(trials):.1f} %",
        "abandoned": f"{100 * max(trial.abandonment for trial in trials):.2f} %",
    }


def cost_of_limit(
    raw: Mapping[str, Any], method: str, limits: tuple[float, float], crew: Crew, progress: Progress = quiet
) -> Answer:
    """What a lower limit of abandonment costs."""
    high, low = max(limits), min(limits)
    if high == low:
        raise InputError("two different limits are needed, such as --max-abandonment 0.03 --against 0.01")
    without = _without_list(raw)
    cells = [Cell(scenario=without, method=method, pacing={"max_abandonment": limit}) for limit in (high, low)]
    loose, tight = crew.run(cells, progress)
    talks = _a_day(loose)
    change, doubt = _difference(tight, loose)
    missing = loose.agents * (loose.talks_per_agent_hour / max(tight.talks_per_agent_hour, 1e-9) - 1.0)
    words = (
        (
            f"{100 * low:g} % instead of {100 * high:g} % costs {_signed(-change)} talks a day{doubt} of {talks:,.0f} "
            f"({100 * change / max(talks, 1):+.1f} %): occupancy goes from {100 * loose.occupancy:.1f} to "
            f"{100 * tight.occupancy:.1f} %, and an agent waits {tight.wait_between_talks_s:.0f} s between two calls "
            f"instead of {loose.wait_between_talks_s:.0f}."
        ),
        f"To talk with as many people it would take about {max(missing, 0.0):.1f} more agents than {loose.agents:,}.",
        f"{(_a_day(loose, 'abandoned') - _a_day(tight, 'abandoned')):,.0f} people a day fewer find nobody.",
    )
    rows = tuple(_row(f"{100 * trial.limit:g} %", "limit", trial) for trial in (loose, tight))
    return Answer(
        question=f"What does {100 * low:g} % instead of {100 * high:g} % cost?",
        words=words,
        rows=rows,
        result={
            "talks_a_day": change,
            "occupancy": tight.occupancy - loose.occupancy,
            "agents_to_make_up": missing,
            "limits": [high, low],
        },
    )


def one_more_agent(raw: Mapping[str, Any], method: str, crew: Crew, progress: Progress = quiet) -> Answer:
    """What one more agent brings."""
    agents = scenario_in(Cell(scenario=dict(raw), method=method)).agents
    cells = [Cell(scenario=_without_list(raw), method=method, agents=number) for number in (agents, agents + 1)]
    now, then = crew.run(cells, progress)
    change, doubt = _difference(then, now)
    mean = _a_day(now) / max(agents, 1)
    words = (
        (
            f"Agent number {agents + 1:,} brings {_signed(change)} talks a day{doubt}; each of the {agents:,} has "
            f"{mean:,.0f} now."
        ),
        f"Occupancy goes from {100 * now.occupancy:.1f} to {100 * then.occupancy:.1f} %: the more agents, the better a "
        "dialer can foresee when one of them will be free."
        if then.occupancy >= now.occupancy
        else f"Occupancy goes from {100 * now.occupancy:.1f} to {100 * then.occupancy:.1f} %.",
    )
    rows = tuple(_row(f"{trial.agents:,}", "agents", trial) for trial in (now, then))
    return Answer(
        question="What does one more agent bring?",
        words=words,
        rows=rows,
        result={"agents": agents + 1, "talks_a_day": change, "occupancy": then.occupancy - now.occupancy},
    )


def _without_list(raw: Mapping[str, Any]) -> dict[str, Any]:
    """A day that is not over when a list is: what a day of talks is worth does not depend on one."""
    return {key: value for key, value in raw.items() if key != "list"}


def _a_day(trial: Trial, what: str = "connected") -> float:
    return trial.total(lambda day: float(getattr(day, what))) / len(trial.days)


def _difference(one: Trial, other: Trial) -> tuple[float, str]:
    """Talks a day more, and how sure that is: by pairs of days with the same people."""
    pairs = [float(a.connected - b.connected) for a, b in zip(one.days, other.days, strict=False)]
    half = half_width(pairs)
    return sum(pairs) / len(pairs), f" (± {half:,.0f})" if math.isfinite(half) else ""


def _signed(value: float) -> str:
    text = f"{abs(value):,.0f}"
    return f"−{text}" if value < 0.0 and text != "0" else text


def _row(name: str, column: str, trial: Trial) -> dict[str, str]:
    return {
        column: name,
        "occupancy": f"{100 * trial.occupancy:.1f} %",
        "abandoned": f"{100 * trial.abandonment:.2f} %",
        "talks a day": f"{_a_day(trial):,.0f}",
        "talks/agent·h": f"{trial.talks_per_agent_hour:.1f}",
        "wait between": f"{trial.wait_between_talks_s:.0f} s",
    }
