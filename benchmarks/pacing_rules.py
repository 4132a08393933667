"""`predictive` against the rules of known dialers, the same people called, on several floors.

    python -m benchmarks.pacing_rules [--hours 8] [--seeds 10] [--floors NAME ...] [--methods NAME ...] [--json FILE]
                                      [--days-file FILE]

Occupancy is time talking or in wrap-up over time on duty; abandoned is over live answers, of whom nobody took care
within two seconds; both count from the first minute and pool all seeds, occupancy with its 95 % interval over seeds.
"over" counts days above 3.0 %, "worst" is the worst half hour with 100 answers or more, "> 6 %" how many were above
6 %, "first 200" the most people abandoned among the first 200 answers of a day, "warm-up" the occupancy of the second
half hour over that of the second half of the day.

"best ratio" is the fixed number of lines per idle agent that turns out best in hindsight: the frontier of ratios, fine
where it matters, read at the very abandonment that `predictive` came to. "gain" is over that; its interval is over
seeds, the same people each.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks import pacing_jobs as jobs
from benchmarks.pacing_floors import FLOORS, floor
from pacing import build
from pacing.simulate import simulate

METHODS = (
    "predictive",
    "progressive",
    "vicidial_ratio",
    "vicidial_hard_limit",
    "vicidial_average",
    "vicidial_tapered",
    "issabel",
    "omnidialer",
    "wombat",
    "impact",
    "pi",
)
# What a manager might type, to find where the frontier crosses the abandonment that `predictive` came to, ...
COARSE = (1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 7.0, 9.0, 12.0)
COARSE_SEEDS = 1
# ... and into how many steps the gap between two of them is cut there.
FINE = 5


def one_day(job: tuple[str, str, float | None, float, int]) -> jobs.Result:
    """A day of one floor under one method with one seed."""
    name, method, ratio, hours, seed = job
    pacer = build(method, ring_timeout_s=26.0, connect_within_s=2.0, ratio=ratio)
    return jobs.of_day(simulate(floor(name, hours), pacer, seed=seed, decide_every_s=0.5))


def fine_ratios(frontier: list[tuple[float, float]], abandonment: float) -> list[float]:
    """Ratios about the place where the frontier of (ratio, abandoned) crosses an abandonment."""
    below = [ratio for ratio, lost in frontier if lost <= abandonment]
    above = [ratio for ratio, lost in frontier if lost > abandonment]
    low = max(below, default=frontier[0][0])
    high = min((ratio for ratio in above if ratio > low), default=1.5 * low)
    step = (high - low) / FINE
    return [round(low + step * place, 3) for place in range(-1, FINE + 2) if low + step * place >= 1.0]


def at_abandonment(points: list[tuple[float, float]], abandonment: float) -> float:
    """Occupancy of the frontier of (abandoned, occupancy) at an abandonment: its upper hull."""
    points = sorted(points)
    best = 0.0
    for lost, busy in points:
        if lost <= abandonment:
            best = max(best, busy)
    for first_lost, first_busy in points:
        for lost, busy in points:
            if first_lost <= abandonment < lost:
                share = (abandonment - first_lost) / (lost - first_lost)
                best = max(best, first_busy + share * (busy - first_busy))
    return best


def row(name: str, method: str, days: list[jobs.Result]) -> jobs.Result:
    """One row of the table."""
    half_hours = [
        (lost, of)
        for day in days
        for lost, of in zip(day["slice_abandoned"], day["slice_answered"], strict=True)
        if of >= 100
    ]
    return {
        "floor": name,
        "method": method,
        "occupancy": round(jobs.occupancy(days), 4),
        "+-": round(jobs.half_width([jobs.occupancy([day]) for day in days]), 4),
        "abandoned %": round(100.0 * jobs.abandonment(days), 2),
        "over": sum(jobs.abandonment([day]) > 0.03 for day in days),
        "worst %": round(100.0 * max((lost / of for lost, of in half_hours), default=0.0), 1),
        "> 6 %": sum(lost > 0.06 * of for lost, of in half_hours),
        "first 200": max(day["first_200_abandoned"] for day in days),
        "warm-up": round(_warm_up(days), 3),
    }


def _warm_up(days: list[jobs.Result]) -> float:
    """Occupancy of the second half hour over that of the second half of the day."""
    busy = np.sum([day["slice_busy_s"] for day in days], axis=0)
    staffed = np.sum([day["slice_staffed_s"] for day in days], axis=0)
    if len(busy) < 4:
        return float("nan")
    half = len(busy) // 2
    return float((busy[1] / staffed[1]) / (busy[half:].sum() / staffed[half:].sum()))


def main() -> None:
    arguments = jobs.common_options("Pacing rules on the same floors with the same people.")
    arguments.add_argument("--hours", type=float, default=8.0)
    arguments.add_argument("--seeds", type=int, default=10)
    arguments.add_argument("--floors", nargs="+", choices=FLOORS, default=list(FLOORS))
    arguments.add_argument("--methods", nargs="+", default=list(METHODS))
    options = arguments.parse_args()
    seeds = range(1, options.seeds + 1)

    def days_of(contenders: list[tuple[str, str, float | None]], of: range) -> list[list[jobs.Result]]:
        todo = [(*contender, options.hours, seed) for contender in contenders for seed in of]
        days = jobs.run(one_day, todo, processes=options.processes, days_file=options.days_file)
        return [days[place : place + len(of)] for place in range(0, len(days), len(of))]

    rows: list[jobs.Result] = []
    gains: list[jobs.Result] = []
    for name in options.floors:
        methods = days_of([(name, method, None) for method in options.methods], seeds)
        by_method = dict(zip(options.methods, methods, strict=True))
        rows += [row(name, method, days) for method, days in by_method.items()]
        if "predictive" not in by_method:
            continue
        ours = by_method["predictive"]
        target = jobs.abandonment(ours)
        coarse = days_of([(name, "ratio", ratio) for ratio in COARSE], range(1, min(COARSE_SEEDS, len(seeds)) + 1))
        frontier = [(ratio, jobs.abandonment(days)) for ratio, days in zip(COARSE, coarse, strict=True)]
        rows += [row(name, f"ratio {ratio:g}", days) for ratio, days in zip(COARSE, coarse, strict=True)]
        ratios = fine_ratios(frontier, target)
        fine = dict(zip(ratios, days_of([(name, "ratio", ratio) for ratio in ratios], seeds), strict=True))
        rows += [row(name, f"ratio {ratio:g}", days) for ratio, days in fine.items()]
        gains.append(_gain(name, ours, list(fine.values()), target, [r for r in rows if r["floor"] == name]))
    jobs.show(rows)
    print()
    jobs.show(gains)
    settings = {"hours": options.hours, "seeds": options.seeds}
    jobs.write(options.json, settings=settings, rows=rows, gains=gains)


def _gain(
    name: str, ours: list[jobs.Result], ratios: list[list[jobs.Result]], target: float, rows: list[jobs.Result]
) -> dict[str, Any]:
    """`predictive` over the best fixed ratio in hindsight, and over the best rule within 3 %."""
    best = at_abandonment([(jobs.abandonment(days), jobs.occupancy(days)) for days in ratios], target)
    # Seed by seed against the ratio nearest in abandonment, for the width of the interval.
    near = min(ratios, key=lambda days: abs(jobs.abandonment(days) - target))
    differences = [jobs.occupancy([a]) - jobs.occupancy([b]) for a, b in zip(ours, near, strict=True)]
    others = [r for r in rows if r["method"] != "predictive" and not r["method"].startswith("ratio ")]
    within = [r for r in others if r["abandoned %"] <= 3.0]
    rule = max(within, key=lambda r: float(r["occupancy"]), default=None)
    return {
        "floor": name,
        "predictive": round(jobs.occupancy(ours), 4),
        "abandoned %": round(100.0 * target, 2),
        "best ratio": round(best, 4),
        "gain": round(jobs.occupancy(ours) - best, 4),
        "+-": round(jobs.half_width(differences), 4),
        "best rule": "none" if rule is None else rule["method"],
        "its occupancy": "" if rule is None else rule["occupancy"],
    }


if __name__ == "__main__":
    main()
