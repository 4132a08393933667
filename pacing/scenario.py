"""A floor described in plain values, as a TOML file holds them: checked key by key, and turned into a `Floor`.

Pure: the text of a file comes in as a mapping; columns of CSV files through a function that the caller gives.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pacing.contract import Outcome
from pacing.distributions import Distribution, Exponential, LogNormal
from pacing.durations import NO_COLUMNS, Columns, distribution
from pacing.floor import NOBODY_THERE, Breaks, ContactList, Ending, Floor, Segment, Shift, Steps
from pacing.registry import build, method_names
from pacing.tables import ScenarioError, Table, clock_s, listed

__all__ = ["Columns", "Scenario", "ScenarioError", "read_scenario"]

#: Beyond these a simulation would take hours or all the memory: a slip of the finger rather than a call centre.
MOST_AGENTS = 20_000
MOST_DAYS = 366
MOST_CONTACTS = 50_000_000

_DEFAULT_METHODS = ("predictive", "progressive", "ratio")
_OUTCOMES = tuple(outcome.value for outcome in Outcome if outcome not in {Outcome.CANCELLED, Outcome.CONGESTION})
_DEFAULT_SHARES = {ending.outcome.value: ending for ending in NOBODY_THERE}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """What is to be simulated.

    Attributes:
        floor: The call centre.
        name, description: For people.
        methods: Pacing methods to be compared on the same people.
        pacing: Settings of the methods.
        days: How many days, each with people of its own; a list goes on from day to day.
        seed: Of the first day.
        starts_at_s: Clock time of the beginning of the day, in seconds after midnight.
    """

    floor: Floor
    name: str = ""
    description: str = ""
    methods: tuple[str, ...] = _DEFAULT_METHODS
    pacing: Mapping[str, float] = field(default_factory=dict)
    days: int = 1
    seed: int = 1
    starts_at_s: float = 9 * 3_600.0

    @property
    def agents(self) -> int:
        """The most agents on duty at once."""
        shifts = self.floor.shifts
        return max(
            sum(other.agents for other in shifts if other.begins_s <= shift.begins_s < other.ends_s) for shift in shifts
        )

    def settings(self, method: str) -> dict[str, float]:
        """Settings of one method. `ratio` is for the method of that name: to the others it is a factor of their own."""
        given = dict(self.pacing) | {"connect_within_s": self.floor.connect_within_s}
        if self.floor.ring_timeout_s is not None:
            given["ring_timeout_s"] = max(self.floor.ring_timeout_s, 1.0)
        if method != "ratio":
            given.pop("ratio", None)
        return given

    def with_agents(self, agents: int) -> Scenario:
        """The same with another number of agents at the fullest moment; shifts keep their proportions.

        Raises:
            ScenarioError: it cannot be done with less than one agent, or with so many.
        """
        if not 1 <= agents <= MOST_AGENTS:
            raise ScenarioError("agents", agents, f"a whole number from 1 to {MOST_AGENTS:,}")
        before = self.agents
        shifts = self.floor.shifts
        if len(shifts) == 1:
            shares = [agents]
        else:
            # The largest remainders get what rounding leaves, so that the proportions are kept and none is lost.
            exact = [shift.agents * agents / before for shift in shifts]
            shares = [int(value) for value in exact]
            missing = round(sum(exact)) - sum(shares)
            order = sorted(range(len(exact)), key=lambda place: (shares[place] - exact[place], place))
            for place in order[:missing]:
                shares[place] += 1
        scaled = tuple(replace(shift, agents=count) for shift, count in zip(shifts, shares, strict=True))
        return replace(self, floor=replace(self.floor, shifts=scaled))


def read_scenario(raw: Mapping[str, Any], columns: Columns = NO_COLUMNS) -> Scenario:
    """The scenario that a mapping describes; docs/simulate.md has every key.

    Args:
        raw: What a TOML file holds.
        columns: Gives the numbers of a column of a CSV file, by path and column.

    Raises:
        ScenarioError: a key is unknown or a value cannot be used; the text names the key and what it may be.
    """
    top = Table(raw, "")
    starts_at_s = top.clock("starts_at", "09:00")
    hours = top.number("hours", 8.0, low=0.05, high=24.0)
    clock = _Clock(starts_at_s, hours * 3_600.0)
    pacing = _pacing(top.table("pacing"))
    endings, mix = _endings(top.tables("outcomes"), clock)
    ring, talk, carrier = top.table("ring"), top.table("talk"), top.table("carrier")
    timeout_s = ring.number("timeout_s", 26.0, low=1.0, high=300.0)
    rings = distribution(ring.table("answered"), columns) if "answered" in ring else None
    ring.end()
    wrapup = None
    if "wrapup" in top:
        wrapup = distribution(top.table("wrapup"), columns)
    talk_scale = _steps(talk, "scale_by_hour", 1.0, clock, high=100.0)
    talk_given = distribution(talk, columns, more=("scale_by_hour",)) if talk.given - {"scale_by_hour"} else None
    answer = top.table("answer")
    answer_rate = answer.number("rate", 0.25, low=0.0, high=1.0)
    answer_steps = _steps(answer, "by_hour", answer_rate, clock, high=1.0)
    answer.end()
    false_talk = distribution(carrier.table("false_talk"), columns) if "false_talk" in carrier else None
    defaults = Floor(shifts=(Shift(agents=1),), answer=Steps(0.0))
    floor = Floor(
        shifts=_shifts(top, clock),
        answer=answer_steps,
        rings=rings or defaults.rings,
        endings=endings,
        mix=mix,
        talk=talk_given or LogNormal(150.0, 0.9),
        talk_scale=talk_scale,
        wrapup=wrapup if "wrapup" in top else LogNormal(20.0, 0.5),
        ring_timeout_s=timeout_s,
        carrier_delay_s=_periods(carrier, "delay", clock, high=120.0),
        congestion=_periods(carrier, "congestion", clock, high=1.0),
        false_answers=_periods(carrier, "false_answers", clock, high=1.0),
        false_talk=false_talk or defaults.false_talk,
        connect_within_s=top.number("connect_within_s", 2.0, low=0.0, high=60.0),
        breaks=_breaks(top.table("breaks"), columns) if "breaks" in top else None,
        patience=distribution(top.table("patience"), columns) if "patience" in top else None,
        contacts=_contacts(top.table("list")) if "list" in top else None,
        segments=_segments(top.tables("segments")),
        segment_run=top.whole("segment_run", 1, low=1, high=MOST_CONTACTS),
        hours=hours,
    )
    carrier.end()
    scenario = Scenario(
        floor=floor,
        name=top.text("name", ""),
        description=top.text("description", ""),
        methods=_methods(top),
        pacing=pacing,
        days=top.whole("days", 1, low=1, high=MOST_DAYS),
        seed=top.whole("seed", 1, low=0, high=2**31),
        starts_at_s=starts_at_s,
    )
    top.end()
    for method in scenario.methods:
        try:
            build(method, **scenario.settings(method))
        except ValueError as error:
            raise ScenarioError("pacing", dict(pacing), f"settings that {method} takes ({error})") from error
    return scenario


@dataclass(frozen=True, slots=True)
class _Clock:
    """Turns clock times into seconds of the day that is simulated."""

    starts_at_s: float
    length_s: float

    def second(self, table: Table, key: str, value: object) -> float:
        """A clock time as a second of the day, at most its end.

        Raises:
            ScenarioError: it is none, or lies before the day.
        """
        at_s = clock_s(table.path(key), value) - self.starts_at_s
        if at_s < 0.0:
            # A day that goes on after midnight.
            at_s += 86_400.0
        if at_s > self.length_s:
            raise ScenarioError(
                table.path(key), value, f"a clock time within the day: starts_at and hours give {self.describe()}"
            )
        return at_s

    def describe(self) -> str:
        """From when to when."""
        begin, end = self.starts_at_s, (self.starts_at_s + self.length_s) % 86_400.0
        return " to ".join(f"{int(at // 3_600):02}:{int(at % 3_600 // 60):02}" for at in (begin, end))


def _shifts(top: Table, clock: _Clock) -> tuple[Shift, ...]:
    """`agents` all day, `[[shifts]]`, or both."""
    shifts: list[Shift] = []
    tables = top.tables("shifts")
    if "agents" in top or not tables:
        shifts.append(Shift(agents=top.whole("agents", 20, low=1, high=MOST_AGENTS)))
    for table in tables:
        agents = table.whole("agents", None, low=1, high=MOST_AGENTS)
        begins_s = clock.second(table, "from", table.take("from")) if "from" in table else 0.0
        # No end: until the day is over.
        ends_s = clock.second(table, "to", table.take("to")) if "to" in table else float("inf")
        if ends_s <= begins_s:
            raise ScenarioError(table.path("to"), table.value("to"), "a clock time after the shift's `from`")
        announced = table.flag("announced", default=False)
        table.end()
        shifts.append(Shift(agents=agents, begins_s=begins_s, ends_s=ends_s, announced=announced))
    if sum(shift.agents for shift in shifts) > MOST_AGENTS:
        raise ScenarioError("shifts", sum(shift.agents for shift in shifts), f"at most {MOST_AGENTS:,} agents in all")
    return tuple(shifts)


def _breaks(table: Table, columns: Columns) -> Breaks:
    breaks = Breaks(
        every=distribution(table.table("every"), columns) if "every" in table else Exponential(7_200.0),
        length=distribution(table.table("length"), columns) if "length" in table else LogNormal(600.0, 0.3),
    )
    table.end()
    return breaks


def _endings(
    tables: Sequence[Table], clock: _Clock
) -> tuple[tuple[Ending, ...], tuple[tuple[float, tuple[float, ...]], ...]]:
    if not tables:
        return NOBODY_THERE, ()
    endings: list[Ending] = []
    changes: list[Steps] = []
    for table in tables:
        outcome = Outcome(table.choice("outcome", None, _OUTCOMES))
        share = table.number("share", None, low=0.0, high=1e9)
        default = _DEFAULT_SHARES.get(outcome.value)
        after: Distribution | None
        if "after" in table:
            after = distribution(table.table("after"), NO_COLUMNS)
        else:
            after = default.after if default is not None else Exponential(5.0)
        steps = _steps(table, "by_hour", share, clock, high=1e9)
        table.end()
        endings.append(Ending(outcome=outcome, share=share, after=after))
        changes.append(steps)
    if sum(ending.share for ending in endings) <= 0.0:
        raise ScenarioError("outcomes.share", 0, "a positive number for at least one outcome")
    times = sorted({at for steps in changes for at, _ in steps.changes})
    mix = tuple((at, tuple(steps.at(at) for steps in changes)) for at in times)
    for _, shares in mix:
        if sum(shares) <= 0.0:
            raise ScenarioError("outcomes.by_hour", 0, "a positive number for at least one outcome at any time")
    return tuple(endings), mix


def _steps(table: Table, key: str, first: float, clock: _Clock, *, high: float) -> Steps:
    """`{ "09:00" = 0.2, "12:00" = 0.3 }`: the value from each clock time on; before the first, `first`."""
    if key not in table:
        return Steps(first)
    inner = table.table(key)
    changes = []
    for name in sorted(inner.given):
        at_s = clock.second(inner, name, name)
        changes.append((at_s, inner.number(name, None, low=0.0, high=high)))
    changes.sort()
    if changes and changes[0][0] == 0.0:
        return Steps(changes[0][1], tuple(changes[1:]))
    return Steps(first, tuple(changes))


def _periods(table: Table, key: str, clock: _Clock, *, high: float) -> Steps:
    """`[{ from = "11:00", to = "12:00", value = 0.5 }]`, or one value for all day."""
    if key not in table:
        return Steps(0.0)
    if not isinstance(table.value(key), list):
        return Steps(table.number(key, None, low=0.0, high=high))
    changes: list[tuple[float, float]] = []
    before = 0.0
    for period in sorted(table.tables(key), key=lambda period: clock.second(period, "from", period.take("from"))):
        begin = clock.second(period, "from", period.value("from"))
        end = clock.second(period, "to", period.take("to"))
        if end <= begin or begin < before:
            raise ScenarioError(period.path("to"), period.value("to"), "after `from`, in periods that do not overlap")
        value = period.number("value", None, low=0.0, high=high)
        period.end()
        if changes and changes[-1][0] == begin:
            changes.pop()
        changes += [(begin, value), (end, 0.0)]
        before = end
    return Steps(0.0, tuple(changes))


def _contacts(table: Table) -> ContactList:
    contacts = ContactList(
        contacts=table.whole("contacts", None, low=1, high=MOST_CONTACTS),
        attempts=table.whole("attempts", 3, low=1, high=100),
        retry_after_s=table.number("retry_after_s", 3_600.0, low=0.0, high=30 * 86_400.0),
        answer_factors=table.numbers("answer_factors", (), low=0.0, high=100.0),
        ends_day=table.choice("when_through", "end", ("end", "idle")) == "end",
    )
    table.end()
    return contacts


def _segments(tables: Sequence[Table]) -> tuple[Segment, ...]:
    segments: list[Segment] = []
    for table in tables:
        segments.append(
            Segment(
                name=table.text("name", f"segment {len(segments) + 1}"),
                share=table.number("share", 1.0, low=0.0, high=1e9),
                factor=table.number("factor", 1.0, low=0.0, high=100.0),
            )
        )
        table.end()
    if segments and not any(segment.share for segment in segments):
        raise ScenarioError("segments.share", 0, "a positive number for at least one segment")
    return tuple(segments)


def _methods(top: Table) -> tuple[str, ...]:
    known = method_names()
    given = top.texts("methods", _DEFAULT_METHODS)
    if not given:
        raise ScenarioError("methods", given, f"at least one of {listed(known)}")
    for method in given:
        if method not in known:
            raise ScenarioError("methods", method, f"one of {listed(known)}", known)
    return tuple(dict.fromkeys(given))


_PACING: Mapping[str, Callable[[Table], float]] = {
    "max_abandonment": lambda table: table.number("max_abandonment", 0.03, low=0.0, high=1.0),
    "ratio": lambda table: table.number("ratio", 1.5, low=0.0, high=100.0),
    "max_lines": lambda table: table.whole("max_lines", None, low=0, high=1_000_000),
    "max_lines_per_agent": lambda table: table.number("max_lines_per_agent", None, low=0.0, high=1_000.0),
}


def _pacing(table: Table) -> dict[str, float]:
    found = {key: read(table) for key, read in _PACING.items() if key in table}
    table.end(_PACING)
    return {"max_abandonment": 0.03} | found
