"""Does the limit hold on bad days? Many short days, each with shocks, under `predictive`.

    python benchmarks/pacing_guard.py [--days 100] [--hours 4] [--json FILE]

Every day draws a floor of 8 to 25 agents and, at random moments, three jumps of the answer rate by 0.4 or 2.5 times, a
doubling or halving of talk times, two fifths of the agents going home together, and a carrier that adds six seconds to
every call for twenty minutes. The progressive column is the occupancy of the same day with one call per idle agent.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from pacing import build
from pacing.floor import Floor, Shift, Steps
from pacing.simulate import simulate

HOUR_S = 3_600.0


def shocked(seed: int, hours: float) -> Floor:
    """A floor with a bad day."""
    rng = np.random.default_rng(np.random.SeedSequence((2, seed)))
    agents = int(rng.choice([8, 12, 15, 25]))
    leaving = int(0.4 * agents)
    first = answer = float(rng.uniform(0.1, 0.5))
    at, jumps = 0.0, []
    for _ in range(3):
        at += float(rng.uniform(0.12, 0.3)) * hours * HOUR_S
        answer = float(np.clip(answer * rng.choice([0.4, 2.5]), 0.05, 0.7))
        jumps.append((at, answer))
    leave, stretch, delay = (float(moment) * hours * HOUR_S for moment in rng.uniform(0.25, 0.85, size=3))
    return Floor(
        shifts=(Shift(agents=agents - leaving), Shift(agents=leaving, ends_s=leave)),
        answer=Steps(first, tuple(jumps)),
        talk_scale=Steps(1.0, ((stretch, float(rng.choice([0.5, 2.0]))),)),
        carrier_delay_s=Steps(0.0, ((delay, 6.0), (delay + 1_200.0, 0.0))),
        hours=hours,
    )


def one_day(job: tuple[int, float]) -> dict[str, Any]:
    """What one bad day came to."""
    seed, hours = job
    floor = shocked(seed, hours)
    day = simulate(floor, build("predictive", ring_timeout_s=26.0), seed=seed)
    plain = simulate(floor, build("progressive", ring_timeout_s=26.0), seed=seed)
    return {
        "day": seed,
        "agents": sum(shift.agents for shift in floor.shifts),
        "answered": day.answered,
        "abandoned %": round(100.0 * day.abandonment, 2),
        "worst half hour %": round(100.0 * day.worst_slice, 1),
        "first 200": day.first_answers_abandoned,
        "occupancy": round(day.occupancy, 4),
        "progressive": round(plain.occupancy, 4),
    }


def main() -> None:
    arguments = argparse.ArgumentParser(description="Abandonment on days with shocks.")
    arguments.add_argument("--days", type=int, default=100)
    arguments.add_argument("--hours", type=float, default=4.0)
    arguments.add_argument("--processes", type=int, default=os.cpu_count())
    arguments.add_argument("--json", type=Path)
    options = arguments.parse_args()
    with ProcessPoolExecutor(options.processes) as pool:
        rows = list(pool.map(one_day, [(day, options.hours) for day in range(options.days)]))
    counted = [row for row in rows if row["answered"] >= 200]
    summary = {
        "days": len(rows),
        "with 200 answers": len(counted),
        "over 3.0 %": sum(row["abandoned %"] > 3.0 for row in counted),
        "over 3.5 %": sum(row["abandoned %"] > 3.5 for row in counted),
        "worst day %": max((row["abandoned %"] for row in counted), default=0.0),
        "worst half hour %": max(row["worst half hour %"] for row in rows),
        "first 200, most": max(row["first 200"] for row in rows),
        "occupancy": round(float(np.mean([row["occupancy"] for row in rows])), 4),
        "progressive": round(float(np.mean([row["progressive"] for row in rows])), 4),
    }
    print(" | ".join(summary))
    print(" | ".join(str(value) for value in summary.values()))
    if options.json:
        machine = {"python": platform.python_version(), "machine": platform.machine(), "cores": os.cpu_count()}
        options.json.write_text(json.dumps({"machine": machine, "summary": summary, "rows": rows}, indent=2))


if __name__ == "__main__":
    main()
