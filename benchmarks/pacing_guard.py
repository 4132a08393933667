"""Does the limit hold on bad days? Many short days, each with shocks, under `predictive`.

    python -m benchmarks.pacing_guard [--days 1000] [--hours 4] [--json FILE] [--days-file FILE]

Every day draws a floor of 8 to 25 agents and, at random moments, three jumps of the answer rate by 0.4 or 2.5 times, a
doubling or halving of talk times, two fifths of the agents going home together without a word, and a carrier that adds
six seconds to every call for twenty minutes; every third day, for twenty minutes, one in ten calls is answered by a
voice that is gone after three seconds (a carrier that answers falsely). Decisions are made once a second. The
progressive column is the occupancy of the same day with one call per idle agent.
"""

from __future__ import annotations

import numpy as np

from benchmarks import pacing_jobs as jobs
from pacing import build
from pacing.distributions import Uniform
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
    leave, stretch, delay, false = (float(moment) * hours * HOUR_S for moment in rng.uniform(0.25, 0.85, size=4))
    falsely = Steps(0.0, ((false, 0.1), (false + 1_200.0, 0.0))) if seed % 3 == 0 else Steps(0.0)
    return Floor(
        shifts=(Shift(agents=agents - leaving), Shift(agents=leaving, ends_s=leave)),
        answer=Steps(first, tuple(jumps)),
        talk_scale=Steps(1.0, ((stretch, float(rng.choice([0.5, 2.0]))),)),
        carrier_delay_s=Steps(0.0, ((delay, 6.0), (delay + 1_200.0, 0.0))),
        false_answers=falsely,
        false_talk=Uniform(1.0, 5.0),
        hours=hours,
    )


def one_day(job: tuple[int, str, float]) -> jobs.Result:
    """What one bad day came to under a method."""
    seed, method, hours = job
    floor = shocked(seed, hours)
    day = simulate(floor, build(method, ring_timeout_s=26.0), seed=seed, decide_every_s=1.0)
    return {"day": seed, "agents": sum(shift.agents for shift in floor.shifts), **jobs.of_day(day)}


def main() -> None:
    arguments = jobs.common_options("Abandonment on days with shocks.")
    arguments.add_argument("--days", type=int, default=100)
    arguments.add_argument("--first-day", type=int, default=0)
    arguments.add_argument("--hours", type=float, default=4.0)
    options = arguments.parse_args()
    numbers = range(options.first_day, options.first_day + options.days)
    # Both methods of a day one after the other: a run that was stopped has whole days to show.
    todo = [(day, method, options.hours) for day in numbers for method in ("predictive", "progressive")]
    days = jobs.run(one_day, todo, processes=options.processes, days_file=options.days_file)
    ours, plain = days[::2], days[1::2]
    counted = [day for day in ours if day["answered"] >= 200]
    percents = [100.0 * day["abandoned"] / day["answered"] for day in counted]
    half_hours = [100.0 * day["worst_half_hour"] for day in ours]
    summary = {
        "days": len(ours),
        "with 200 answers": len(counted),
        "over 3.0 %": sum(percent > 3.0 for percent in percents),
        "over 3.5 %": sum(percent > 3.5 for percent in percents),
        "worst day %": round(max(percents, default=0.0), 2),
        "pooled %": round(100.0 * jobs.abandonment(ours), 2),
        "half hours over 6 %": sum(lost > 0.06 * of for day in ours for lost, of in _half_hours(day) if of >= 100),
        "worst half hour %": round(max(half_hours), 1),
        "first 200, most": max(day["first_200_abandoned"] for day in ours),
        "occupancy": round(float(np.mean([jobs.occupancy([day]) for day in ours])), 4),
        "progressive": round(float(np.mean([jobs.occupancy([day]) for day in plain])), 4),
    }
    jobs.show([summary])
    rows = [
        {
            "day": day["day"],
            "agents": day["agents"],
            "answered": day["answered"],
            "abandoned": day["abandoned"],
            "worst_half_hour": round(day["worst_half_hour"], 4),
            "first_200_abandoned": day["first_200_abandoned"],
            "occupancy": round(jobs.occupancy([day]), 4),
            "progressive": round(jobs.occupancy([same]), 4),
        }
        for day, same in zip(ours, plain, strict=True)
    ]
    jobs.write(options.json, settings={"hours": options.hours}, summary=summary, rows=rows)


def _half_hours(day: jobs.Result) -> list[tuple[float, float]]:
    return list(zip(day["slice_abandoned"], day["slice_answered"], strict=True))


if __name__ == "__main__":
    main()
