"""`predictive`, learning from nothing, against the exact optimum of the Markov model.

    python -m benchmarks.pacing_optimum [--hours 8] [--seeds 10] [--agents 5 8 ...] [--json FILE] [--days-file FILE]

Exponential clocks, no wrap-up, nobody waits: the model that `pacing.optimum` solves. The first 15 minutes are not
counted. "share" is the occupancy over that of the optimum with the same abandonment: points on the frontier are
compared, so that neither caution nor excess counts as skill.

Some days are luckier than others, for every policy. So the optimal policy itself, which knows the model and sees busy
agents and ringing calls, is run against the same people, and its luck (occupancy reached over occupancy expected) is
taken out of "fair share"; its interval is over seeds. The rows are those of a grid (5 to 50 agents, talk 60, 120 and
300 s, answers .1, .3 and .6) and, with --between, some in between and beyond.
"""

from __future__ import annotations

from collections.abc import Hashable
from functools import cache
from typing import Any

from benchmarks import pacing_jobs as jobs
from pacing import Decision, build
from pacing.floor import markov
from pacing.optimum import MarkovModel, Optimum, Policy, evaluate, solve
from pacing.simulate import simulate

RING_S = 12.0
AGENTS = (5, 8, 10, 20, 50)
HANDLE_S = (60.0, 120.0, 300.0)
ANSWER = (0.1, 0.3, 0.6)
# Between and beyond the grid.
BETWEEN = (
    (15, 45.0, 0.2),
    (15, 200.0, 0.45),
    (15, 400.0, 0.8),
    (15, 120.0, 0.05),
    (35, 45.0, 0.45),
    (35, 200.0, 0.2),
    (35, 400.0, 0.05),
    (35, 90.0, 0.8),
    (7, 90.0, 0.2),
    (7, 200.0, 0.45),
    (100, 45.0, 0.8),
    (100, 200.0, 0.2),
    (100, 400.0, 0.45),
)

Model = tuple[int, float, float]


class LevelPacer:
    """The optimal policy: dials up to a level of ringing calls by the number of busy agents."""

    def __init__(self, levels: tuple[int, ...]) -> None:
        self._levels = levels
        self._talking: set[Hashable] = set()
        self._ringing: set[Hashable] = set()

    def agent_changed(self, now: float, agent: Hashable, state: str) -> None:
        if state == "talking":
            self._talking.add(agent)
        else:
            self._talking.discard(agent)

    def agent_leaving(self, now: float, agent: Hashable, leaving: bool = True, at: float | None = None) -> None:
        """The model knows no leaving."""

    def call_started(self, now: float, call: Hashable, segment: Hashable = None) -> None:
        self._ringing.add(call)

    def call_ended(self, now: float, call: Hashable, outcome: str) -> None:
        self._ringing.discard(call)

    def call_answered(self, now: float, call: Hashable) -> None:
        self._ringing.discard(call)

    def call_connected(self, now: float, call: Hashable, agent: Hashable) -> None:
        """Told by the agent's own change."""

    def call_abandoned(self, now: float, call: Hashable) -> None:
        """Not looked at: the policy is fixed."""

    def decide(self, now: float) -> Decision:
        dial = max(self._levels[len(self._talking)] - len(self._ringing), 0)
        return Decision(dial=dial, limit="level", explanation="the optimal policy")

    def snapshot(self) -> dict[str, object]:
        return {}


def model_of(row: Model) -> MarkovModel:
    """The model of a row."""
    agents, handle_s, answer = row
    return MarkovModel(agents=agents, handle_s=handle_s, ring_s=RING_S, answer_probability=answer)


@cache
def optimum(row: Model, max_abandonment: float) -> Optimum:
    """The exact optimum of a row; each process solves it once."""
    return solve(model_of(row), max_abandonment)


def one_day(job: tuple[str, Model, float, int]) -> jobs.Result:
    """A day of one model under `predictive`, or under the optimal policy ("optimum"), with one seed."""
    method, row, hours, seed = job
    agents, handle_s, answer = row
    floor = markov(agents=agents, handle_s=handle_s, ring_s=RING_S, answer=answer, hours=hours + 0.25)
    if method == "optimum":
        pacer: Any = LevelPacer(optimum(row, 0.03).best.levels)
    else:
        # Nothing is ever given up in this model; five mean rings is as good as for ever.
        pacer = build(method, ring_timeout_s=5 * RING_S, connect_within_s=0.0)
    day = simulate(floor, pacer, seed=seed, decide_every_s=1.0, decide_on_events=True, measure_from_s=900.0)
    return jobs.of_day(day)


def table_row(row: Model, ours: list[jobs.Result], optimal: list[jobs.Result]) -> jobs.Result:
    """One row of the table."""
    model = model_of(row)
    occupancy, abandonment = jobs.occupancy(ours), jobs.abandonment(ours)
    limit = optimum(row, 0.03)
    same = optimum(row, max(abandonment, 1e-4)).occupancy
    expected: Policy = evaluate(model, limit.best.levels)
    luck = jobs.occupancy(optimal) / expected.occupancy
    slope = (same - optimum(row, max(0.8 * abandonment, 8e-5)).occupancy) / max(0.2 * abandonment, 2e-5)
    shares = []
    for day, reference in zip(ours, optimal, strict=True):
        # The frontier is all but straight between a day's abandonment and that of all days.
        of_day = jobs.occupancy([day]) / (jobs.occupancy([reference]) / expected.occupancy)
        shares.append(of_day / (same + slope * (jobs.abandonment([day]) - abandonment)))
    return {
        "agents": row[0],
        "handle s": row[1],
        "answer": row[2],
        "occupancy": round(occupancy, 4),
        "abandoned %": round(100.0 * abandonment, 2),
        "optimum at 3 %": round(limit.occupancy, 4),
        "optimum at the same": round(same, 4),
        "share": round(occupancy / same, 4),
        "fair share": round(occupancy / luck / same, 4),
        "+-": round(jobs.half_width(shares), 4),
    }


def main() -> None:
    arguments = jobs.common_options("predictive against the exact optimum.")
    arguments.add_argument("--hours", type=float, default=8.0)
    arguments.add_argument("--seeds", type=int, default=10)
    arguments.add_argument("--agents", type=int, nargs="+", default=list(AGENTS))
    arguments.add_argument("--handle-s", type=float, nargs="+", default=list(HANDLE_S))
    arguments.add_argument("--answer", type=float, nargs="+", default=list(ANSWER))
    arguments.add_argument("--between", action="store_true", help="rows between and beyond the grid too")
    options = arguments.parse_args()
    models: list[Model] = [(a, h, p) for a in options.agents for h in options.handle_s for p in options.answer]
    if options.between:
        models += BETWEEN
    seeds = range(1, options.seeds + 1)
    methods = ("predictive", "optimum")
    todo = [(method, model, options.hours, seed) for model in models for method in methods for seed in seeds]
    days = iter(jobs.run(one_day, todo, processes=options.processes, days_file=options.days_file))
    rows = []
    for model in models:
        ours, optimal = ([next(days) for _ in seeds] for _ in methods)
        rows.append(table_row(model, ours, optimal))
    jobs.show(rows)
    shares = [row["fair share"] for row in rows]
    print(f"{sum(share >= 0.99 for share in shares)} of {len(shares)} rows at 99 % or more; least {min(shares):.4f}")
    settings = {"hours": options.hours, "seeds": options.seeds, "ring_s": RING_S}
    jobs.write(options.json, settings=settings, rows=rows)


if __name__ == "__main__":
    main()
