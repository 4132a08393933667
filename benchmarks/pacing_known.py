"""The rule with nothing to learn: what is gained by asking what a call costs, and not whether it is lost itself.

    python -m benchmarks.pacing_known [--days 400] [--hours 8.25] [--row 5 60 .1 --row 15 120 .05 ...] [--json FILE]

The model of `benchmarks.pacing_optimum`, every clock and chance known from the first second; threshold and budget are
those of `predictive` (`pacing.methods.threshold`, `pacing.methods.spending`). Before each call the rule asks for:

- itself: the chance that the call finds nobody, exactly.
- worst: the worst moment while the call has its agent (`pacing.shortage`).
- path: what `predictive` asks, the same times the ratio of the whole path to its worst moment (`pacing.passage`).
- cost: by how much the call raises the number of people lost if nobody else is called, exactly, over its chance to be
  answered. Summed over the calls this is the number of people lost, so its mean forecasts abandonment without a bias.

"observed / forecast" is what the threshold has to learn: people lost over the sum of what was asked for the answered
calls. The first 15 minutes of a day count for its budget and not for its occupancy.
"""

from __future__ import annotations

import math
import random
from functools import cache
from typing import Final

import numpy as np

from benchmarks import pacing_jobs as jobs
from benchmarks.pacing_ceiling import HALF_HOUR_S, LIMIT, table_row
from benchmarks.pacing_optimum import RING_S, WARM_UP_S, Model, Stays
from pacing.budget import AbandonmentBudget
from pacing.intervals import FloatArray
from pacing.legal_window import LegalWindow
from pacing.methods.spending import Spending
from pacing.methods.threshold import Threshold
from pacing.shortage import Shortage, ShortageTable

ROWS: Final[tuple[Model, ...]] = ((5, 60.0, 0.1), (5, 300.0, 0.1), (15, 120.0, 0.05), (20, 60.0, 0.3))
ASKED: Final = ("itself", "worst", "path", "cost")
_CAREFUL_SHARE: Final = 0.05
_MOMENTS: Final = 8
#: Between these chances the ratio is taken: those of calls that a threshold decides on.
_DECIDED: Final = (0.005, 0.1)


@cache
def exact(row: Model, most_ringing: int) -> tuple[FloatArray, FloatArray]:
    """For one more call, by busy agents and ringing calls: its chance to find nobody, and what it costs in all.

    By first steps of the Markov chain in which nobody else is called; both for a call that is answered.
    """
    agents, handle_s, answer = row
    lost = np.zeros((agents + 1, most_ringing + 2))
    itself = np.zeros_like(lost)
    for ringing in range(most_ringing + 2):
        for busy in range(agents + 1):
            ends, rings = busy / handle_s, ringing / RING_S
            lost_sum, itself_sum = 0.0, float(busy == agents) / RING_S
            if busy:
                lost_sum += ends * lost[busy - 1, ringing]
                itself_sum += ends * itself[busy - 1, ringing]
            if ringing:
                taken, left = min(busy + 1, agents), ringing - 1
                one_more = float(busy == agents)
                lost_sum += rings * (answer * (one_more + lost[taken, left]) + (1.0 - answer) * lost[busy, left])
                itself_sum += rings * (answer * itself[taken, left] + (1.0 - answer) * itself[busy, left])
            lost[busy, ringing] = lost_sum / (ends + rings) if ends + rings else 0.0
            itself[busy, ringing] = itself_sum / (ends + rings + 1.0 / RING_S)
    return itself[:, :-1], np.diff(lost, axis=1) / answer


@cache
def worst(row: Model, most_ringing: int) -> FloatArray:
    """The chance of a shortage at the worst moment, in the same form."""
    ringing = range(most_ringing + 1)
    return np.array([[shortage.chance(calls) for calls in ringing] for shortage in shortages(row)])


@cache
def passage(row: Model, most_ringing: int) -> float:
    """How much more likely a shortage is at some time: the mean over the calls that a threshold decides on."""
    found = []
    for shortage in shortages(row):
        for ringing in range(most_ringing + 1):
            ratio = shortage.passage() if _DECIDED[0] <= shortage.chance(ringing) <= _DECIDED[1] else None
            if ratio is not None:
                found.append(math.log(ratio))
    return math.exp(math.fsum(found) / len(found))


def shortages(row: Model) -> list[Shortage]:
    """What `predictive` works out, by busy agents."""
    agents, handle_s, answer = row
    moments = -RING_S * np.log1p(-(np.arange(_MOMENTS) + 0.5) / _MOMENTS)
    # Answered by then, and the talk not over: the difference of two exponentials.
    talk, ring = np.exp(-moments / handle_s), np.exp(-moments / RING_S)
    occupied = answer * handle_s / (handle_s - RING_S) * (talk - ring)
    later_s = moments[None, :] - moments[:, None]
    still = np.where(later_s >= 0.0, np.exp(-np.maximum(later_s, 0.0) / handle_s), 0.0)
    table = ShortageTable(occupied[None, :], 1.0 - talk[None, :], occupied, np.full(_MOMENTS, 1.0 / _MOMENTS), still)
    return [table.given(np.ones(busy, dtype=np.int64), agents - busy) for busy in range(agents + 1)]


def asked(row: Model, name: str) -> FloatArray:
    """The table that the rule asks."""
    most_ringing = int(3 * row[0] / row[2]) + 60
    if name == "worst":
        return worst(row, most_ringing)
    if name == "path":
        return np.minimum(worst(row, most_ringing) * passage(row, most_ringing), 1.0)
    itself, cost = exact(row, most_ringing)
    return {"itself": itself, "cost": cost}[name]


def one_day(job: tuple[Model, str, float, int]) -> jobs.Result:
    """A day of a floor, with one seed."""
    row, name, hours, seed = job
    agents, handle_s, answer = row
    table: list[list[float]] = asked(row, name).tolist()
    length_s = hours * 3_600.0
    chance = random.Random(seed)
    threshold, budget = Threshold(), AbandonmentBudget([LegalWindow(name="day")], LIMIT)
    spending = Spending(budget)
    busy = answered = abandoned = 0
    at = busy_s = at_risk = forecast = 0.0
    slices = np.zeros((2, int(length_s // HALF_HOUR_S) + 1), dtype=np.int64)
    counted = np.zeros(2, dtype=np.int64)
    ringing: list[float] = []
    stays = Stays(WARM_UP_S)
    while True:
        aim = spending.aim(threshold.correction * at_risk * answer).share
        most = -1.0 if spending.overdrawn else max(threshold.value * aim, LIMIT * _CAREFUL_SHARE)
        started = []
        while table[busy][len(ringing)] <= most or len(ringing) < agents - busy:
            stays.started((busy, len(ringing)), at)
            started.append(table[busy][len(ringing)])
            ringing.append(started[-1])
        if started:
            at_risk += math.fsum(started)
            if most > 0.0:
                mean, share = math.fsum(started) / len(started), max(aim, _CAREFUL_SHARE)
                threshold.started(len(started), mean, answer, aim=share, limit=LIMIT, bound=True)
        ends, rings = busy / handle_s, len(ringing) / RING_S
        before, at = at, at + chance.expovariate(ends + rings)
        busy_s += busy * max(min(at, length_s) - max(before, WARM_UP_S), 0.0)
        stays.stayed((busy, len(ringing)), before, min(at, length_s))
        if at >= length_s:
            break
        if chance.random() * (ends + rings) < ends:
            busy -= 1
            continue
        place = chance.randrange(len(ringing))
        ringing[place], ringing[-1] = ringing[-1], ringing[place]
        risk = ringing.pop()
        at_risk = max(at_risk - risk, 0.0)
        if chance.random() >= answer:
            continue
        answered += 1
        missed = int(busy == agents)
        busy, abandoned, forecast = busy + 1 - missed, abandoned + missed, forecast + risk
        slices[:, int(at // HALF_HOUR_S)] += (1, missed)
        if at >= WARM_UP_S:
            counted += (1, missed)
        threshold.answered(risk)
        for count in (budget, spending):
            count.answered(at)
            count.expire(at)
        if missed:
            budget.abandon(at)
            spending.abandoned(at)
            threshold.abandoned()
    return {
        **stays.result((busy, len(ringing))),
        "busy_s": busy_s,
        "staffed_s": agents * (length_s - WARM_UP_S),
        "answered": int(counted[0]),
        "abandoned": int(counted[1]),
        "all_answered": answered,
        "all_abandoned": abandoned,
        "forecast": forecast,
        "slice_answered": slices[0].tolist(),
        "slice_abandoned": slices[1].tolist(),
    }


def main() -> None:
    arguments = jobs.common_options("The rule with nothing to learn.")
    arguments.add_argument("--days", type=int, default=400)
    arguments.add_argument("--hours", type=float, default=8.25)
    arguments.add_argument("--row", type=float, nargs=3, action="append", metavar=("AGENTS", "HANDLE_S", "ANSWER"))
    options = arguments.parse_args()
    rows = [(int(agents), handle_s, answer) for agents, handle_s, answer in options.row or ROWS]
    todo = [(row, name, options.hours, seed) for row in rows for name in ASKED for seed in range(options.days)]
    days = iter(jobs.run(one_day, todo, processes=options.processes, days_file=options.days_file))
    table = []
    for row in rows:
        for name in ASKED:
            played = [next(days) for _ in range(options.days)]
            bias = sum(day["all_abandoned"] for day in played) / sum(day["forecast"] for day in played)
            table.append({**table_row(row, name, played), "observed / forecast": round(bias, 2)})
    jobs.show(table)
    jobs.write(options.json, settings={"hours": options.hours, "days": options.days}, rows=table)


if __name__ == "__main__":
    main()
