"""What it brings to be told of which part of the list each call is, and when shifts end: the same days without.

    python -m benchmarks.pacing_told [--hours 4] [--seeds 10] [--floors NAME ...] [--json FILE] [--days-file FILE]

Occupancy and abandonment pool all seeds; "gain" is the occupancy that knowing brings, each day against the same day
without, with the interval over seeds; "over" counts days above 3.0 %; "at shift ends" has the people abandoned of those
who answered within 40 seconds of one. Occupancy and abandonment belong together: a rule that abandons more may be
busier. Where all parts are alike there is nothing to be gained; that row shows the price.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable
from typing import Any

from benchmarks import pacing_jobs as jobs
from pacing import Pacer, build
from pacing.floor import ContactList, Floor, Segment, Shift, Steps
from pacing.simulate import simulate
from pacing.watched import Watched


def _parts(**parts: tuple[float, float]) -> tuple[Segment, ...]:
    return tuple(Segment(name=name, share=share, factor=factor) for name, (share, factor) in parts.items())


JUST_AFTER_S = 40.0
ALL_DAY = (Shift(agents=20),)
FLOORS: dict[str, dict[str, Any]] = {
    "eight parts, all alike": {
        "shifts": ALL_DAY,
        "segments": _parts(**{f"part {place}": (1.0, 1.0) for place in range(8)}),
    },
    "half answer .40, half .10": {"shifts": ALL_DAY, "segments": _parts(warm=(0.5, 1.6), cold=(0.5, 0.4))},
    "a fifth answer .70, the others .10": {
        "shifts": ALL_DAY,
        "segments": _parts(warm=(0.2, 2.8), cold=(0.8, 0.4)),
    },
    "half .40, half .10, 150 calls in a row": {
        "shifts": ALL_DAY,
        "segments": _parts(warm=(0.5, 1.6), cold=(0.5, 0.4)),
        "segment_run": 150,
    },
    "three attempts, .25, .12, .06": {
        "shifts": ALL_DAY,
        "contacts": ContactList(
            contacts=6_000, attempts=3, retry_after_s=2_400.0, answer_factors=(1.0, 0.5, 0.25), ends_day=False
        ),
    },
    "half go home every other half hour": {
        "shifts": (
            Shift(agents=10),
            *(
                Shift(agents=10, begins_s=at_s, ends_s=at_s + 1_800.0, announced=True)
                for at_s in (0.0, 3_600.0, 7_200.0, 10_800.0)
            ),
        )
    },
}


class Told(Watched):
    """A pacer that is told of parts of the list and of shift ends, or is not, and what happens just after those ends.

    Args:
        pacer: Decides.
        told: Whether it is told.
        ends_s: When shifts end.
    """

    def __init__(self, pacer: Pacer, *, told: bool, ends_s: Collection[float]) -> None:
        super().__init__(pacer)
        self._told = told
        self._ends_s = ends_s
        self.answered_at_ends = self.abandoned_at_ends = 0

    def agent_leaving(self, now: float, agent: Hashable, leaving: bool = True, at: float | None = None) -> None:
        if self._told or at is None:
            super().agent_leaving(now, agent, leaving, at)

    def call_started(self, now: float, call: Hashable, segment: Hashable = None) -> None:
        super().call_started(now, call, segment if self._told else None)

    def call_answered(self, now: float, call: Hashable) -> None:
        self.answered_at_ends += self._at_an_end(now)
        super().call_answered(now, call)

    def call_abandoned(self, now: float, call: Hashable) -> None:
        self.abandoned_at_ends += self._at_an_end(now)
        super().call_abandoned(now, call)

    def _at_an_end(self, now: float) -> bool:
        return any(0.0 <= now - end_s <= JUST_AFTER_S for end_s in self._ends_s)


def one_day(job: tuple[str, bool, float, int]) -> jobs.Result:
    """A day of one floor, with or without being told, with one seed."""
    name, told, hours, seed = job
    floor = Floor(**FLOORS[name], answer=Steps(0.25), hours=hours)
    ends_s = {shift.ends_s for shift in floor.shifts}
    pacer = Told(build("predictive", ring_timeout_s=26.0), told=told, ends_s=ends_s)
    result = jobs.of_day(simulate(floor, pacer, seed=seed, decide_every_s=1.0))
    return result | {"answered_at_ends": pacer.answered_at_ends, "abandoned_at_ends": pacer.abandoned_at_ends}


def _at_shift_ends(days: list[jobs.Result]) -> str:
    lost, answered = (sum(day[what] for day in days) for what in ("abandoned_at_ends", "answered_at_ends"))
    return f"{lost} of {answered}"


def main() -> None:
    arguments = jobs.common_options("What being told of parts of the list and of shift ends brings.")
    arguments.add_argument("--hours", type=float, default=4.0)
    arguments.add_argument("--seeds", type=int, default=10)
    arguments.add_argument("--floors", nargs="+", choices=FLOORS, default=list(FLOORS))
    options = arguments.parse_args()
    seeds = range(1, options.seeds + 1)
    todo = [(name, told, options.hours, seed) for name in options.floors for told in (False, True) for seed in seeds]
    days = iter(jobs.run(one_day, todo, processes=options.processes, days_file=options.days_file))
    rows = []
    for name in options.floors:
        without = [next(days) for _ in seeds]
        for told, measured in ((False, without), (True, [next(days) for _ in seeds])):
            gains = [jobs.occupancy([a]) - jobs.occupancy([b]) for a, b in zip(measured, without, strict=True)]
            rows.append(
                {
                    "floor": name,
                    "told": told,
                    "occupancy": round(jobs.occupancy(measured), 4),
                    "abandoned %": round(100.0 * jobs.abandonment(measured), 2),
                    "gain": round(sum(gains) / len(gains), 4),
                    "+-": round(jobs.half_width(gains), 4),
                    "over": sum(jobs.abandonment([day]) > 0.03 for day in measured),
                    "at shift ends": _at_shift_ends(measured),
                    "worst half hour %": round(100.0 * max(day["worst_half_hour"] for day in measured), 1),
                }
            )
    jobs.show(rows)
    jobs.write(options.json, settings={"hours": options.hours, "seeds": options.seeds}, rows=rows)


if __name__ == "__main__":
    main()
