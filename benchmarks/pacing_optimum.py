"""`predictive`, learning from nothing, against the exact optimum of the Markov model.

    python benchmarks/pacing_optimum.py [--hours 8] [--seeds 10] [--agents 5 10 20] [--json FILE]

Exponential clocks, no wrap-up, nobody waits: the model that `pacing.optimum` solves. The first 15 minutes are not
counted. "share" is the occupancy over that of the optimum with the same abandonment: points on the frontier are
compared, so that neither caution nor excess counts as skill.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from pacing import build
from pacing.floor import markov
from pacing.optimum import MarkovModel, solve
from pacing.simulate import Day, simulate

RING_S = 12.0


def one_day(job: tuple[int, float, float, float, int]) -> Day:
    """A day of one model with one seed."""
    agents, handle_s, answer, hours, seed = job
    floor = markov(agents=agents, handle_s=handle_s, ring_s=RING_S, answer=answer, hours=hours + 0.25)
    # Nothing is ever given up in this model; five mean rings is as good as for ever.
    pacer = build("predictive", ring_timeout_s=5 * RING_S, connect_within_s=0.0)
    return simulate(floor, pacer, seed=seed, decide_every_s=1.0, decide_on_events=True, measure_from_s=900.0)


def row(agents: int, handle_s: float, answer: float, days: list[Day]) -> dict[str, Any]:
    """One row of the table."""
    occupancy = sum(day.busy_s for day in days) / sum(day.staffed_s for day in days)
    abandonment = sum(day.abandoned for day in days) / sum(day.answered for day in days)
    model = MarkovModel(agents=agents, handle_s=handle_s, ring_s=RING_S, answer_probability=answer)
    limit = solve(model, 0.03).occupancy
    same = solve(model, max(abandonment, 1e-6)).occupancy
    return {
        "agents": agents,
        "handle s": handle_s,
        "answer": answer,
        "occupancy": round(occupancy, 4),
        "abandoned %": round(100.0 * abandonment, 2),
        "optimum at 3 %": round(limit, 4),
        "optimum at the same": round(same, 4),
        "share": round(occupancy / same, 4),
    }


def main() -> None:
    arguments = argparse.ArgumentParser(description="predictive against the exact optimum.")
    arguments.add_argument("--hours", type=float, default=8.0)
    arguments.add_argument("--seeds", type=int, default=10)
    arguments.add_argument("--agents", type=int, nargs="+", default=[5, 8, 10, 20])
    arguments.add_argument("--handle-s", type=float, nargs="+", default=[60.0, 120.0, 300.0])
    arguments.add_argument("--answer", type=float, nargs="+", default=[0.1, 0.3, 0.6])
    arguments.add_argument("--processes", type=int, default=os.cpu_count())
    arguments.add_argument("--json", type=Path)
    options = arguments.parse_args()
    models = [(a, h, p) for a in options.agents for h in options.handle_s for p in options.answer]
    jobs = [(*model, options.hours, seed) for model in models for seed in range(1, options.seeds + 1)]
    rows = []
    with ProcessPoolExecutor(options.processes) as pool:
        days = pool.map(one_day, jobs)
        for model in models:
            rows.append(row(*model, [next(days) for _ in range(options.seeds)]))
            if len(rows) == 1:
                print(" | ".join(rows[0]))
            print(" | ".join(str(value) for value in rows[-1].values()), flush=True)
    if options.json:
        machine = {"python": platform.python_version(), "machine": platform.machine(), "cores": os.cpu_count()}
        options.json.write_text(json.dumps({"machine": machine, "ring_s": RING_S, "rows": rows}, indent=2))


if __name__ == "__main__":
    main()
