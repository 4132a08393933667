"""What a budget must cost: the exact policies of a floor, chosen by what is left of a budget that the day has to earn.

    python -m benchmarks.pacing_ceiling [--days 1000] [--hours 8.25] [--row 5 60 .1 --row 8 120 .1 ...] [--json FILE]

Nothing is to be learned here: floor and frontier are known from the first second. With every answer a law says, by how
many answers and how many abandoned people there were, which of the exact policies (`pacing.optimum`, by the share that
they lose in the long run) goes on. Laws:

- constant: the policy of 3 %, whatever happens; there is no budget.
- curve: what `predictive` aims at, `pacing.methods.spending`, by what is left of the day's budget.
- brake: the same, held down by the last half hour, as it is in `predictive`.
- planned: by dynamic programming, with a price on every answer from the 200th on at which more than 3 % are abandoned.
  Losses are taken for independent there; in the days that are played they come in bunches, as on any floor.

The first 15 minutes of a day count for its budget and not for its occupancy, as in `benchmarks.pacing_optimum`.
"""

from __future__ import annotations

import math
import random
from functools import cache
from typing import Final

import numpy as np

from benchmarks import pacing_jobs as jobs
from benchmarks.pacing_optimum import RING_S, WARM_UP_S, Model, Stays, lacking, model_of, optimum
from pacing.budget import AbandonmentBudget
from pacing.intervals import FloatArray
from pacing.legal_window import LegalWindow
from pacing.methods.spending import Spending
from pacing.optimum import Optimum, Policy, evaluate, solve

ROWS: Final[tuple[Model, ...]] = (
    (5, 60.0, 0.1), (5, 120.0, 0.1), (5, 300.0, 0.1), (8, 60.0, 0.1), (8, 120.0, 0.1), (20, 60.0, 0.1),
)  # fmt: skip
LAWS: Final = ("constant", "planned", "curve", "brake")
LIMIT: Final = 0.03
HALF_HOUR_S: Final = 1_800.0
#: Shares lost in the long run of the policies to choose from.
_SHARES: Final = (0.0005, 0.001, 0.002, 0.003, 0.004, *(x / 2_000 for x in range(10, 81)))
#: From so many answers on the limit counts.
_COUNTS_FROM: Final = 200
_MOST_LEFT: Final = 40
#: For each answer at which the limit is exceeded; an answer is worth the occupancy under which it was had.
_PRICE: Final = 0.1


@cache
def policies(row: Model) -> tuple[Policy, ...]:
    """The exact policies of a floor, by the share that they lose."""
    found: list[Policy] = []
    near: Optimum | None = None
    for share in _SHARES:
        near = solve(model_of(row), share, near=near)
        found.append(evaluate(model_of(row), near.best.levels))
    return tuple(found)


@cache
def frontier(row: Model) -> tuple[FloatArray, FloatArray]:
    """Shares lost, and the occupancy that goes with each."""
    return (
        np.array([policy.abandonment for policy in policies(row)]),
        np.array([policy.occupancy for policy in policies(row)]),
    )


@cache
def planned_law(row: Model, answers: int) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    """Which policy to take after n answers with a people abandoned, as [n, a].

    With a price on the share lost (the slope of the frontier a little below the limit) only what the policy loses by
    not being steady counts, so that neither caution nor excess is skill.
    """
    lost, occupancy = frontier(row)
    slope = float(np.interp(0.95 * LIMIT, lost, occupancy) - np.interp(0.85 * LIMIT, lost, occupancy)) / (0.1 * LIMIT)
    gained = occupancy - slope * lost
    people = np.arange(int(LIMIT * answers) + _MOST_LEFT)
    value = np.zeros(len(people))
    law = np.zeros((answers, len(people)), dtype=np.int64)
    for n in range(answers - 1, -1, -1):
        one_more = np.append(value[1:], value[-1] - _PRICE * answers)
        worth = gained[:, None] + (1.0 - lost)[:, None] * value[None, :] + lost[:, None] * one_more[None, :]
        law[n] = worth.argmax(axis=0)
        value = worth.max(axis=0)
        if n >= _COUNTS_FROM:
            value -= np.where(people > LIMIT * n, _PRICE, 0.0)
    return law


def one_day(job: tuple[Model, str, float, int]) -> jobs.Result:
    """A day of a floor under a law, with one seed."""
    row, law, hours, seed = job
    agents, handle_s, answer = row
    levels = [policy.levels for policy in policies(row)]
    lost, occupancy = frontier(row)
    length_s = hours * 3_600.0
    most = int(1.5 * length_s * agents * occupancy[-1] / handle_s) + 100
    table = planned_law(row, most) if law == "planned" else None
    steady = _nearest(lost, LIMIT)
    chance = random.Random(seed)
    busy = ringing = answered = abandoned = 0
    at = busy_s = 0.0
    slices = np.zeros((2, int(length_s // HALF_HOUR_S) + 1), dtype=np.int64)
    counted = np.zeros(2, dtype=np.int64)
    level = levels[0]
    budget = AbandonmentBudget([LegalWindow(name="day")], LIMIT)
    spending, aimed = Spending(budget), 0.0
    stays = Stays(WARM_UP_S)
    while True:
        for more in range(ringing, level[busy]):
            stays.started((busy, more), at)
        ringing = max(ringing, level[busy])
        ends, rings = busy / handle_s, ringing / RING_S
        before, at = at, at + chance.expovariate(ends + rings)
        busy_s += busy * max(min(at, length_s) - max(before, WARM_UP_S), 0.0)
        stays.stayed((busy, ringing), before, min(at, length_s))
        if at >= length_s:
            break
        if chance.random() * (ends + rings) < ends:
            busy -= 1
            continue
        ringing -= 1
        if chance.random() >= answer:
            continue
        answered += 1
        missed = int(busy == agents)
        busy, abandoned = busy + 1 - missed, abandoned + missed
        slices[:, int(at // HALF_HOUR_S)] += (1, missed)
        if at >= WARM_UP_S:
            counted += (1, missed)
        if law in ("curve", "brake"):
            for count in (budget, spending):
                count.answered(at)
                count.expire(at)
            if missed:
                budget.abandon(at)
                spending.abandoned(at)
            aim = spending.aim(ringing * answer * aimed)
            aimed = LIMIT * (aim.share if law == "brake" else aim.windows)
            level = levels[_nearest(lost, aimed)]
        elif table is not None:
            level = levels[table[min(answered, most - 1), min(abandoned, table.shape[1] - 1)]]
        else:
            level = levels[steady]
    return {
        **stays.result((busy, ringing)),
        "busy_s": busy_s,
        "staffed_s": agents * (length_s - WARM_UP_S),
        "answered": int(counted[0]),
        "abandoned": int(counted[1]),
        "all_answered": answered,
        "all_abandoned": abandoned,
        "slice_answered": slices[0].tolist(),
        "slice_abandoned": slices[1].tolist(),
    }


def _nearest(lost: FloatArray, share: float) -> int:
    return int(np.abs(lost - share).argmin())


def table_row(row: Model, law: str, days: list[jobs.Result]) -> jobs.Result:
    """One row of the table."""
    share = jobs.abandonment(days)
    shares = [1.0 - lacks for lacks in lacking(row, optimum(row, share), days)]
    rates = [day["all_abandoned"] / max(day["all_answered"], 1) for day in days]
    halves = [
        abandoned / answered
        for day in days
        for answered, abandoned in zip(day["slice_answered"], day["slice_abandoned"], strict=True)
        if answered >= 100
    ]
    return {
        "agents": row[0],
        "handle s": row[1],
        "answer": row[2],
        "law": law,
        "occupancy": round(jobs.occupancy(days), 4),
        "abandoned %": round(100.0 * share, 2),
        "expected share": round(math.fsum(shares) / len(shares), 4),
        "+-": round(jobs.half_width(shares), 4),
        "days over 3 %": round(100.0 * sum(rate > LIMIT for rate in rates) / len(days), 1),
        "over 3.5 %": round(100.0 * sum(rate > 0.035 for rate in rates) / len(days), 1),
        "half hours over 6 %": f"{sum(rate > 0.06 for rate in halves)} of {len(halves)}",
    }


def main() -> None:
    arguments = jobs.common_options("What a budget must cost.")
    arguments.add_argument("--days", type=int, default=1_000)
    arguments.add_argument("--hours", type=float, default=8.25)
    arguments.add_argument("--row", type=float, nargs=3, action="append", metavar=("AGENTS", "HANDLE_S", "ANSWER"))
    options = arguments.parse_args()
    rows = [(int(agents), handle_s, answer) for agents, handle_s, answer in options.row or ROWS]
    todo = [(row, law, options.hours, seed) for row in rows for law in LAWS for seed in range(options.days)]
    days = iter(jobs.run(one_day, todo, processes=options.processes, days_file=options.days_file))
    table = [table_row(row, law, [next(days) for _ in range(options.days)]) for row in rows for law in LAWS]
    jobs.show(table)
    jobs.write(options.json, settings={"hours": options.hours, "days": options.days}, rows=table)


if __name__ == "__main__":
    main()
