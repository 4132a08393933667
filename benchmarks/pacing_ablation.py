"""What each part of `predictive` brings: the same days with one part at a time switched off.

    python -m benchmarks.pacing_ablation [--hours 8] [--seeds 10] [--floors NAME ...] [--json FILE] [--days-file FILE]

Occupancy and abandonment pool all seeds; "lost" is the occupancy that goes with the part, each day against the same
day of the whole rule, with the interval over seeds; "over" counts days above 3.0 %. A rule that abandons more may be
busier: both columns belong together.
"""

from __future__ import annotations

import dataclasses

from benchmarks import pacing_jobs as jobs
from benchmarks.pacing_floors import FLOORS, floor
from pacing.methods.parts import ALL_PARTS, Parts
from pacing.methods.predictive import Predictive
from pacing.paced import RulePacer
from pacing.settings import PacingSettings
from pacing.simulate import simulate

NAMES = ("nothing", *(field.name for field in dataclasses.fields(Parts)))
ON = (
    "20 agents, answer .25",
    "12 agents, answer .62, talk 60 s",
    "10 agents, long wrap-up",
    "15 agents, answer .30 to .12 to .38",
)


def one_day(job: tuple[str, str, float, int]) -> jobs.Result:
    """A day of one floor without one part with one seed."""
    name, without, hours, seed = job
    parts = ALL_PARTS if without == "nothing" else dataclasses.replace(ALL_PARTS, **{without: False})
    settings = PacingSettings(ring_timeout_s=26.0, connect_within_s=2.0)
    pacer = RulePacer("predictive", Predictive(settings, parts), settings)
    return jobs.of_day(simulate(floor(name, hours), pacer, seed=seed))


def main() -> None:
    arguments = jobs.common_options("What each part of predictive brings.")
    arguments.add_argument("--hours", type=float, default=8.0)
    arguments.add_argument("--seeds", type=int, default=10)
    arguments.add_argument("--floors", nargs="+", choices=FLOORS, default=list(ON))
    options = arguments.parse_args()
    seeds = range(1, options.seeds + 1)
    todo = [(name, without, options.hours, seed) for name in options.floors for without in NAMES for seed in seeds]
    days = iter(jobs.run(one_day, todo, processes=options.processes, days_file=options.days_file))
    rows = []
    for name in options.floors:
        whole: list[jobs.Result] = []
        for without in NAMES:
            ablated = [next(days) for _ in seeds]
            whole = whole or ablated
            lost = [jobs.occupancy([a]) - jobs.occupancy([b]) for a, b in zip(whole, ablated, strict=True)]
            rows.append(
                {
                    "floor": name,
                    "without": without,
                    "occupancy": round(jobs.occupancy(ablated), 4),
                    "abandoned %": round(100.0 * jobs.abandonment(ablated), 2),
                    "lost": round(sum(lost) / len(lost), 4),
                    "+-": round(jobs.half_width(lost), 4),
                    "over": sum(jobs.abandonment([day]) > 0.03 for day in ablated),
                    "worst half hour %": round(100.0 * max(day["worst_half_hour"] for day in ablated), 1),
                }
            )
    jobs.show(rows)
    jobs.write(options.json, settings={"hours": options.hours, "seeds": options.seeds}, rows=rows)


if __name__ == "__main__":
    main()
