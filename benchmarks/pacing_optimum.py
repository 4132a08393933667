"""`predictive`, learning from nothing, against the exact optimum of the Markov model.

    python -m benchmarks.pacing_optimum [--hours 8] [--seeds 10] [--agents 5 8 ...] [--json FILE] [--days-file FILE]

Exponential clocks, no wrap-up, nobody waits: the model that `pacing.optimum` solves. The first 15 minutes are not
counted. "share" is the occupancy over that of the optimum with the same abandonment: points on the frontier are
compared, so that neither caution nor excess counts as skill.

What callees do on a day moves that by one or two points with few agents, ten times as much as what is to be measured.
So it is watched in which states (busy agents, ringing calls) the days are spent and in which calls are started, and
each is charged what it costs against the optimum (`pacing.optimum.regret`). "Expected share" is one less the mean of
that: the same quantity without the luck, with an interval over seeds. Under the optimal policy it is 1 on every single
day (`--method optimum`).

The rows are those of a grid (5 to 50 agents, talk 60, 120 and 300 s, answers .1, .3 and .6) and, with --between, some
in between and beyond.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable
from functools import cache
from typing import Any

from benchmarks import pacing_jobs as jobs
from pacing import Decision, build
from pacing.contract import Pacer
from pacing.floor import markov
from pacing.optimum import MarkovModel, Optimum, regret, solve
from pacing.simulate import simulate

RING_S = 12.0
WARM_UP_S = 900.0
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
State = tuple[int, int]


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


class Stays:
    """In which states of the model time was spent, and in which calls were started.

    Args:
        measure_from_s: What was before does not count.
    """

    def __init__(self, measure_from_s: float) -> None:
        self._measure_from_s = measure_from_s
        self._seconds: defaultdict[State, float] = defaultdict(float)
        self._starts: defaultdict[State, int] = defaultdict(int)
        self._first: State | None = None

    def stayed(self, state: State, since: float, until: float) -> None:
        """The floor was in this state for so long."""
        since = max(since, self._measure_from_s)
        if until > since:
            self._seconds[state] += until - since
            self._first = self._first or state

    def started(self, state: State, at: float) -> None:
        """A call was started in this state."""
        if at >= self._measure_from_s:
            self._starts[state] += 1

    def result(self, last: State) -> jobs.Result:
        """What `lacking` asks of a day that ended in this state."""
        states = sorted(self._seconds.keys() | self._starts.keys())
        visits = [[*state, round(self._seconds[state], 3), self._starts[state]] for state in states]
        return {"visits": visits, "first": self._first, "last": last}


class Visits:
    """A pacer, and what it made of the states of the model.

    Args:
        pacer: The one that decides.
        measure_from_s: What is before does not count.
    """

    def __init__(self, pacer: Pacer, measure_from_s: float) -> None:
        self._pacer = pacer
        self._talking: set[Hashable] = set()
        self._ringing = 0
        self._at = 0.0
        self.stays = Stays(measure_from_s)

    @property
    def state(self) -> State:
        """Busy agents and ringing calls."""
        return len(self._talking), self._ringing

    def until(self, now: float) -> None:
        """Nothing has changed until now."""
        self.stays.stayed(self.state, self._at, now)
        self._at = now

    def agent_changed(self, now: float, agent: Hashable, state: str) -> None:
        self.until(now)
        self._pacer.agent_changed(now, agent, state)
        if state == "talking":
            self._talking.add(agent)
        else:
            self._talking.discard(agent)

    def agent_leaving(self, now: float, agent: Hashable, leaving: bool = True, at: float | None = None) -> None:
        self._pacer.agent_leaving(now, agent, leaving, at)

    def call_started(self, now: float, call: Hashable, segment: Hashable = None) -> None:
        self.until(now)
        self._pacer.call_started(now, call, segment)
        self.stays.started(self.state, now)
        self._ringing += 1

    def call_ended(self, now: float, call: Hashable, outcome: str) -> None:
        self.until(now)
        self._pacer.call_ended(now, call, outcome)
        self._ringing -= 1

    def call_answered(self, now: float, call: Hashable) -> None:
        self.until(now)
        self._pacer.call_answered(now, call)
        self._ringing -= 1

    def call_connected(self, now: float, call: Hashable, agent: Hashable) -> None:
        self._pacer.call_connected(now, call, agent)

    def call_abandoned(self, now: float, call: Hashable) -> None:
        self._pacer.call_abandoned(now, call)

    def decide(self, now: float) -> Decision:
        return self._pacer.decide(now)

    def snapshot(self) -> dict[str, object]:
        return self._pacer.snapshot()


def model_of(row: Model) -> MarkovModel:
    """The model of a row."""
    agents, handle_s, answer = row
    return MarkovModel(agents=agents, handle_s=handle_s, ring_s=RING_S, answer_probability=answer)


@cache
def optimum(row: Model, max_abandonment: float) -> Optimum:
    """The exact optimum of a row; each process solves it once."""
    return solve(model_of(row), max_abandonment)


def one_day(job: tuple[str, Model, float, int]) -> jobs.Result:
    """A day of one model under a method, or under the optimal policy ("optimum"), with one seed."""
    method, row, hours, seed = job
    agents, handle_s, answer = row
    floor = markov(agents=agents, handle_s=handle_s, ring_s=RING_S, answer=answer, hours=hours + 0.25)
    if method == "optimum":
        pacer: Any = LevelPacer(optimum(row, 0.03).best.levels)
    else:
        # Nothing is ever given up in this model; five mean rings is as good as for ever.
        pacer = build(method, ring_timeout_s=5 * RING_S, connect_within_s=0.0)
    visits = Visits(pacer, WARM_UP_S)
    day = simulate(floor, visits, seed=seed, decide_every_s=1.0, decide_on_events=True, measure_from_s=WARM_UP_S)
    visits.until(floor.hours * 3_600.0)
    return {**jobs.of_day(day), **visits.stays.result(visits.state)}


def lacking(row: Model, best: Optimum, days: list[jobs.Result]) -> list[float]:
    """Share of the optimum that each day is expected to lack by what was done."""
    most = max(ringing for day in days for _, ringing, _, _ in day["visits"]) + 1
    costs = regret(model_of(row), best, most)
    shares = []
    for day in days:
        lost_s = [
            seconds * costs.waiting[busy, ringing] + (starts * costs.starting[busy, ringing] if starts else 0.0)
            for busy, ringing, seconds, starts in day["visits"]
        ]
        ends_better_s = costs.worth[tuple(day["last"])] - costs.worth[tuple(day["first"])]
        length_s = day["staffed_s"] / row[0]
        shares.append((math.fsum(lost_s) + ends_better_s) / (length_s * costs.gain))
    return shares


def table_row(row: Model, days: list[jobs.Result]) -> jobs.Result:
    """One row of the table."""
    occupancy, abandonment = jobs.occupancy(days), jobs.abandonment(days)
    same = optimum(row, max(abandonment, 1e-4))
    shares = [1.0 - share for share in lacking(row, same, days)]
    return {
        "agents": row[0],
        "handle s": row[1],
        "answer": row[2],
        "seeds": len(days),
        "occupancy": round(occupancy, 4),
        "abandoned %": round(100.0 * abandonment, 2),
        "optimum at 3 %": round(optimum(row, 0.03).occupancy, 4),
        "optimum at the same": round(same.occupancy, 4),
        "share": round(occupancy / same.occupancy, 4),
        "expected share": round(math.fsum(shares) / len(shares), 4),
        "+-": round(jobs.half_width(shares), 4),
    }


def main() -> None:
    arguments = jobs.common_options("predictive against the exact optimum.")
    arguments.add_argument("--hours", type=float, default=8.0)
    arguments.add_argument("--seeds", type=int, default=10)
    arguments.add_argument("--agents", type=int, nargs="*", default=list(AGENTS))
    arguments.add_argument("--handle-s", type=float, nargs="+", default=list(HANDLE_S))
    arguments.add_argument("--answer", type=float, nargs="+", default=list(ANSWER))
    arguments.add_argument("--between", action="store_true", help="rows between and beyond the grid too")
    arguments.add_argument("--method", default="predictive", help='"optimum": the optimal policy itself')
    options = arguments.parse_args()
    models: list[Model] = [(a, h, p) for a in options.agents for h in options.handle_s for p in options.answer]
    if options.between:
        models += BETWEEN
    seeds = range(1, options.seeds + 1)
    todo = [(options.method, model, options.hours, seed) for model in models for seed in seeds]
    days = iter(jobs.run(one_day, todo, processes=options.processes, days_file=options.days_file))
    rows = [table_row(model, [next(days) for _ in seeds]) for model in models]
    jobs.show(rows)
    shares = [row["expected share"] for row in rows]
    print(f"{sum(share >= 0.99 for share in shares)} of {len(shares)} rows at 99 % or more; least {min(shares):.4f}")
    settings = {"hours": options.hours, "ring_s": RING_S}
    jobs.write(options.json, settings=settings, rows=rows)


if __name__ == "__main__":
    main()
