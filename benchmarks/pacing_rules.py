"""`predictive` against the rules of known dialers, the same people called, on several floors.

    python benchmarks/pacing_rules.py [--hours 8] [--seeds 10] [--floors NAME ...] [--methods NAME ...] [--json FILE]

Occupancy is time talking or in wrap-up over time on duty; abandoned is over live answers, of whom nobody took care
within two seconds; both count from the first minute and pool all seeds, occupancy with its 95 % interval over seeds.
"over" counts days above 3.0 %, "worst" is the worst half hour with 100 answers or more, "first 200" the most people
abandoned among the first 200 answers of a day.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import statistics
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from pacing import build
from pacing.distributions import Exponential, LogNormal, Mixture, Uniform
from pacing.floor import Breaks, Floor, Shift, Steps
from pacing.simulate import Day, simulate

HOUR_S = 3_600.0
FLOORS: dict[str, dict[str, Any]] = {
    "20 agents, answer .25": {"shifts": (Shift(agents=20),), "answer": Steps(0.25)},
    "50 agents, answer .10": {"shifts": (Shift(agents=50),), "answer": Steps(0.10)},
    "8 agents, answer .20": {"shifts": (Shift(agents=8),), "answer": Steps(0.20)},
    "3 agents, answer .25, talk 180 s": {
        "shifts": (Shift(agents=3),),
        "answer": Steps(0.25),
        "talk": LogNormal(180.0, 0.9),
    },
    "12 agents, answer .62, talk 60 s": {
        "shifts": (Shift(agents=12),),
        "answer": Steps(0.62),
        "talk": LogNormal(60.0, 0.9),
    },
    "20 agents, a third talk under 5 s": {
        "shifts": (Shift(agents=20),),
        "answer": Steps(0.25),
        "talk": Mixture(0.33, Uniform(1.0, 5.0), LogNormal(150.0, 0.9)),
    },
    "25 agents, shifts and breaks": {
        "shifts": (Shift(agents=15), Shift(agents=10, begins_s=2 * HOUR_S, ends_s=6 * HOUR_S)),
        "answer": Steps(0.20),
        "breaks": Breaks(every=Exponential(5_400.0), length=LogNormal(600.0, 0.4)),
    },
    "15 agents, answer .30 to .12 to .38": {
        "shifts": (Shift(agents=15),),
        "answer": Steps(0.30, tuple((hour * HOUR_S, (0.30, 0.12, 0.38)[hour % 3]) for hour in range(1, 8))),
    },
    "15 agents, talk twice as long for two hours": {
        "shifts": (Shift(agents=15),),
        "answer": Steps(0.28),
        "talk_scale": Steps(1.0, ((2 * HOUR_S, 2.0), (4 * HOUR_S, 1.0))),
    },
}
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
# What a manager with perfect knowledge might type.
RATIOS = (1.25, 1.5, 1.75, 2.0, 2.5, 3.0, 4.0, 5.0, 7.0, 9.0, 12.0)


def one_day(job: tuple[str, str, float | None, float, int]) -> Day:
    """A day of one floor under one method with one seed."""
    name, method, ratio, hours, seed = job
    floor = Floor(**FLOORS[name], hours=hours)
    pacer = build(method, ring_timeout_s=26.0, connect_within_s=2.0, ratio=ratio)
    return simulate(floor, pacer, seed=seed, decide_every_s=0.5)


def row(name: str, method: str, days: list[Day]) -> dict[str, Any]:
    """One row of the table."""
    occupancies = [day.occupancy for day in days]
    spread = 1.96 * statistics.stdev(occupancies) / math.sqrt(len(days)) if len(days) > 1 else math.nan
    return {
        "floor": name,
        "method": method,
        "occupancy": round(sum(day.busy_s for day in days) / sum(day.staffed_s for day in days), 4),
        "+-": round(spread, 4),
        "abandoned %": round(100.0 * sum(day.abandoned for day in days) / max(sum(day.answered for day in days), 1), 2),
        "over": sum(day.abandonment > 0.03 for day in days),
        "worst %": round(100.0 * max(day.worst_slice for day in days), 1),
        "first 200": max(day.first_answers_abandoned for day in days),
    }


def best_ratio(rows: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """The best fixed ratio in hindsight: occupancy at exactly 3 %, between the two ratios around it."""
    below = [r for r in rows if r["abandoned %"] <= 3.0]
    best = max(below, key=lambda r: r["occupancy"])
    above = [r for r in rows if r["abandoned %"] > 3.0]
    occupancy, abandoned = best["occupancy"], best["abandoned %"]
    if above:
        over = min(above, key=lambda r: r["abandoned %"])
        share = (3.0 - abandoned) / (over["abandoned %"] - abandoned)
        occupancy, abandoned = occupancy + share * (over["occupancy"] - occupancy), 3.0
    return {**best, "floor": name, "method": "best ratio", "occupancy": round(occupancy, 4), "abandoned %": abandoned}


def main() -> None:
    arguments = argparse.ArgumentParser(description="Pacing rules on the same floors with the same people.")
    arguments.add_argument("--hours", type=float, default=8.0)
    arguments.add_argument("--seeds", type=int, default=10)
    arguments.add_argument("--floors", nargs="+", choices=FLOORS, default=list(FLOORS))
    arguments.add_argument("--methods", nargs="+", default=list(METHODS))
    arguments.add_argument("--processes", type=int, default=os.cpu_count())
    arguments.add_argument("--json", type=Path)
    options = arguments.parse_args()
    contenders: list[tuple[str, float | None]] = [(method, None) for method in options.methods]
    contenders += [("ratio", ratio) for ratio in RATIOS]
    seeds = range(1, options.seeds + 1)
    jobs = [
        (name, method, ratio, options.hours, seed)
        for name in options.floors
        for method, ratio in contenders
        for seed in seeds
    ]
    rows: list[dict[str, Any]] = []
    with ProcessPoolExecutor(options.processes) as pool:
        days = pool.map(one_day, jobs)
        for name in options.floors:
            ratios = []
            for method, ratio in contenders:
                result = row(name, method, [next(days) for _ in seeds])
                if ratio is None:
                    rows.append(result)
                    _show(rows)
                else:
                    ratios.append(result)
            rows.append(best_ratio(ratios, name))
            _show(rows)
    if options.json:
        machine = {"python": platform.python_version(), "machine": platform.machine(), "cores": os.cpu_count()}
        settings = {"hours": options.hours, "seeds": options.seeds}
        options.json.write_text(json.dumps({"machine": machine, "settings": settings, "rows": rows}, indent=2))


def _show(rows: list[dict[str, Any]]) -> None:
    if len(rows) == 1:
        print(" | ".join(rows[0]))
    print(" | ".join(str(value) for value in rows[-1].values()), flush=True)


if __name__ == "__main__":
    main()
