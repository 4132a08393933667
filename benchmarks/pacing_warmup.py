"""How soon is `predictive` as busy as it will be, when it starts from nothing?

    python -m benchmarks.pacing_warmup [--agents 20] [--answer 0.25] [--seeds 10] [--json FILE] [--days-file FILE]

Occupancy of each five minutes of the first half hour, over that of the second and third hour of the same day with the
same people; pooled over seeds, the interval over seeds. "abandoned" counts from the first call to the end of the row.
"""

from __future__ import annotations

from benchmarks import pacing_jobs as jobs
from pacing import build
from pacing.floor import Floor, Shift, Steps
from pacing.simulate import simulate

WINDOW_S = 300.0
WINDOWS = tuple(WINDOW_S * place for place in range(6))
FINAL = (3_600.0, 10_800.0)


def one_day(job: tuple[int, float, float, float, int]) -> jobs.Result:
    """A day that ends at a moment, measured from another one on."""
    agents, answer, begins_s, ends_s, seed = job
    floor = Floor(shifts=(Shift(agents=agents),), answer=Steps(answer), hours=ends_s / 3_600.0)
    return jobs.of_day(simulate(floor, build("predictive", ring_timeout_s=26.0), seed=seed, measure_from_s=begins_s))


def main() -> None:
    arguments = jobs.common_options("How soon predictive is as busy as it will be.")
    arguments.add_argument("--agents", type=int, default=20)
    arguments.add_argument("--answer", type=float, default=0.25)
    arguments.add_argument("--seeds", type=int, default=10)
    options = arguments.parse_args()
    seeds = range(1, options.seeds + 1)
    spans = [*((begins_s, begins_s + WINDOW_S) for begins_s in WINDOWS), FINAL]
    todo = [(options.agents, options.answer, *span, seed) for span in spans for seed in seeds]
    days = jobs.run(one_day, todo, processes=options.processes, days_file=options.days_file)
    by_span = [days[place : place + len(seeds)] for place in range(0, len(days), len(seeds))]
    final = by_span.pop()
    rows = []
    for begins_s, measured in zip(WINDOWS, by_span, strict=True):
        shares = [jobs.occupancy([a]) / jobs.occupancy([b]) for a, b in zip(measured, final, strict=True)]
        abandoned = sum(sum(day["slice_abandoned"]) for day in measured)
        answered = sum(sum(day["slice_answered"]) for day in measured)
        rows.append(
            {
                "minutes": f"{begins_s / 60.0:.0f} to {(begins_s + WINDOW_S) / 60.0:.0f}",
                "occupancy": round(jobs.occupancy(measured), 4),
                "of the final": round(sum(shares) / len(shares), 4),
                "+-": round(jobs.half_width(shares), 4),
                "abandoned %": round(100.0 * abandoned / max(answered, 1), 2),
            }
        )
    jobs.show(rows)
    settings = {"agents": options.agents, "answer": options.answer, "seeds": options.seeds}
    jobs.write(options.json, settings=settings, rows=rows, final=round(jobs.occupancy(final), 4))


if __name__ == "__main__":
    main()
