"""A day on record under other methods and limits, beside what really happened and the model's own account of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import tzinfo
from functools import partial

from dialer.errors import InputError
from dialer.twin.comparison import describe, remarks, row_of, shown_row
from dialer.twin.crew import Progress, processors, quiet, spread
from dialer.twin.picture import Picture, frontier, over_the_day
from dialer.twin.record import Record, clock_s
from pacing.registry import build, method_names
from pacing.replaying import NothingToReplay, Yesterday, yesterday
from pacing.scenario import Scenario
from pacing.trials import Trial, run_days

REALLY = "really"
#: A model that misses occupancy by more than this many points is not to be trusted with smaller differences.
_TRUSTED_POINTS = 0.05
#: Methods that do not look at the limit: one run of each says all.
_WITHOUT_LIMIT = frozenset({"preview", "progressive", "ratio", "vicidial_ratio", "issabel", "wombat"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """A day and what it would have been.

    Attributes:
        record, day: What was read, and what was made of it.
        scenario: Its floor with the settings in force.
        trials: What really happened first, then the method in force simulated, then the others.
        check: The method in force, simulated; None where the record does not say which it was.
    """

    record: Record
    day: Yesterday
    scenario: Scenario
    trials: tuple[Trial, ...]
    check: Trial | None


def replay(
    record: Record,
    *,
    zone: tzinfo,
    methods: Sequence[str],
    limits: Sequence[float],
    in_force: str | None = None,
    ratio: float | None = None,
    wrapup_s: float | None = None,
    seed: int = 1,
    processes: int | None = None,
    progress: Progress = quiet,
) -> Replay:
    """Simulate a day on record under each method and limit.

    Args:
        record: The day.
        zone: Of the clock times that are shown.
        methods: What else might have been in force.
        limits: Largest shares of live answers that may be abandoned; empty: the one in force.
        in_force: The method that was; None: what the record says.
        ratio: Lines per idle agent, for the method of that name; None: what the record says.
        wrapup_s: Mean wrap-up where it is not on record; None: taken from the gaps between calls.
        seed: Fixes who is called once everybody on record has been.
        processes: Of this machine, at once; None: one for each processor.
        progress: Told after every simulated day.

    Raises:
        InputError: the record holds no day that can be replayed, or a method or limit is not known.
    """
    method = in_force or record.method
    wanted = list(dict.fromkeys([*([method] if method else []), *methods]))
    for name in wanted:
        if name not in method_names():
            raise InputError(f"there is no pacing method {name!r}; there are {', '.join(method_names())}")
    if not wanted:
        raise InputError("no method to be replayed: give --method")
    limit = record.max_abandonment if record.max_abandonment is not None else 0.03
    try:
        day = yesterday(record.rows, connect_within_s=record.connect_within_s or 2.0, wrapup_s=wrapup_s)
    except NothingToReplay as error:
        raise InputError(f"{record.name} cannot be replayed: {error}") from error
    lines = ratio if ratio is not None else record.ratio
    scenario = Scenario(
        floor=day.floor,
        name=f"Replay of {record.name}",
        methods=tuple(wanted),
        pacing={"max_abandonment": limit} | ({} if lines is None else {"ratio": lines}),
        seed=seed,
        starts_at_s=clock_s(day.begins_s, zone),
    )
    variants = _variants(scenario, wanted, limits, method, limit)
    done = spread(
        [partial(run_days, changed, name, label=label, watch=True) for label, name, changed in variants],
        processes or processors(),
        progress,
    )
    simulated = [done[place] for place in range(len(variants))]
    really = Trial(
        label=REALLY,
        method=method or "",
        limit=limit,
        agents=scenario.agents,
        days=(day.really,),
        moments=day.moments,
    )
    return Replay(
        record=record,
        day=day,
        scenario=scenario,
        trials=(really, *simulated),
        check=simulated[0] if method else None,
    )


def _variants(
    scenario: Scenario, methods: Sequence[str], limits: Sequence[float], in_force: str | None, limit: float
) -> list[tuple[str, str, Scenario]]:
    """(label, method, scenario): the one in force as it was first, then each method under each limit."""
    variants = []
    for name in methods:
        tried = () if name in _WITHOUT_LIMIT else limits
        for value in dict.fromkeys([*([limit] if name == in_force or not tried else []), *tried]):
            changed = replace(scenario, pacing={**scenario.pacing, "max_abandonment": value})
            try:
                build(name, **changed.settings(name))
            except ValueError as error:
                raise InputError(str(error)) from error
            label = f"{name}, simulated" if name == in_force and value == limit else name
            variants.append((label if value == limit else f"{name}, {100 * value:g} %", name, changed))
    return variants


def said_of(done: Replay) -> list[str]:
    """What the table means, and how far it can be trusted, in sentences."""
    really, simulated = done.trials[0], done.trials[1:]
    said = []
    if done.check is not None:
        off = done.check.occupancy - really.occupancy
        lost = done.check.abandonment - really.abandonment
        verdict = (
            "close enough to compare with"
            if abs(off) <= _TRUSTED_POINTS
            else "too far apart to trust small differences: agents may have been on breaks, shared between campaigns, "
            "or short of lines, none of which the record shows"
        )
        said.append(
            f"Check of the model: {done.check.method} simulated gives {100 * done.check.occupancy:.1f} % occupancy "
            f"where {100 * really.occupancy:.1f} % was real ({100 * off:+.1f} points), and "
            f"{100 * done.check.abandonment:.2f} % abandoned where {100 * really.abandonment:.2f} % was "
            f"({100 * lost:+.2f}): {verdict}."
        )
    said += remarks(simulated)
    if done.day.wrapup_s is not None:
        said.append(
            f"Wrap-up is not on record for all calls; {done.day.wrapup_s:.0f} s is reckoned with (--wrapup sets it)."
        )
    said += [
        f"{count:,} {'row' if count == 1 else 'rows'} set aside: {reason}{f', first: {first}' if first else ''}."
        for reason, (count, first) in done.day.set_aside.items()
    ]
    if done.record.limits:
        said.append(f"What held calls back, as the pacing journal has it: {_shares(done.record.limits)}.")
    if done.record.limits and done.check is not None and done.check.limits:
        total = sum(done.check.limits.values())
        ordered = sorted(done.check.limits.items(), key=lambda item: -item[1])
        said.append(f"The same, simulated: {_shares({name: count / total for name, count in ordered})}.")
    return said


def _shares(limits: Mapping[str, float]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {100 * value:.0f} %" for name, value in list(limits.items())[:5])


def shown_rows(done: Replay) -> list[dict[str, str]]:
    """The table, for people."""
    return [shown_row(row_of(trial)) for trial in done.trials]


def picture_of(done: Replay) -> Picture:
    """Everything that is drawn of a replay."""
    rows = shown_rows(done)
    return Picture(
        title=done.scenario.name,
        subtitle=describe(done.scenario, 1),
        columns=tuple(rows[0]),
        rows=tuple(tuple(row.values()) for row in rows),
        charts=(frontier(done.trials, []), *over_the_day(done.trials, done.scenario.starts_at_s)),
        remarks=tuple(said_of(done)),
    )
