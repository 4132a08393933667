"""The exact optimum of the Markov model against known optima."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import pacing_jobs as jobs
from benchmarks.pacing_optimum import lacking, model_of, one_day
from benchmarks.pacing_optimum import optimum as optimum_of
from pacing.erlang import progressive_occupancy
from pacing.optimum import MarkovModel, Optimum, Regret, evaluate, regret, solve

# Occupancy at 3 % and ring times of 12 s, for answer chances .1, .3 and .6, from an independent value iteration that
# interpolates between policies by abandonment; with one or two agents these lie far apart, and that is not the mixture
# over time.
ANSWERS = (0.1, 0.3, 0.6)
TABLE = {
    (1, 60): (0.39833, 0.6225, 0.75964),
    (1, 120): (0.56, 0.765, 0.86275),
    (1, 300): (0.755, 0.88974, 0.93998),
    (2, 60): (0.49891, 0.65357, 0.76595),
    (2, 120): (0.62707, 0.77914, 0.86552),
    (2, 300): (0.78096, 0.89324, 0.94063),
    (5, 60): (0.6646, 0.7218, 0.78661),
    (5, 120): (0.73802, 0.81128, 0.87129),
    (5, 300): (0.83158, 0.90265, 0.94185),
    (8, 60): (0.73786, 0.76896, 0.81028),
    (8, 120): (0.79297, 0.83462, 0.87852),
    (8, 300): (0.86026, 0.90976, 0.94297),
    (10, 60): (0.76853, 0.79277, 0.82463),
    (10, 120): (0.81628, 0.84721, 0.88357),
    (10, 300): (0.87363, 0.91371, 0.94381),
    (20, 60): (0.84679, 0.8573, 0.87177),
    (20, 120): (0.87634, 0.88932, 0.90663),
    (20, 300): (0.91187, 0.9294, 0.94846),
    (50, 60): (0.91513, 0.91875, 0.92386),
    (50, 120): (0.93039, 0.93469, 0.94075),
    (50, 300): (0.94846, 0.95389, 0.96119),
}
KNOWN = [
    pytest.param(agents, handle_s, answer, occupancy, marks=pytest.mark.slow if agents > 8 else ())
    for (agents, handle_s), row in TABLE.items()
    for answer, occupancy in zip(ANSWERS, row, strict=True)
]


def _at_three_percent(optimum: Optimum) -> float:
    """Occupancy at 3 % on the straight line between the two policies mixed, by abandonment."""
    best, over = optimum.best, optimum.over
    assert over is not None
    share = (0.03 - best.abandonment) / (over.abandonment - best.abandonment)
    return best.occupancy + share * (over.occupancy - best.occupancy)


@pytest.mark.parametrize(("agents", "handle_s", "answer", "occupancy"), KNOWN)
def test_known_optima(agents: int, handle_s: float, answer: float, occupancy: float) -> None:
    optimum = solve(MarkovModel(agents=agents, handle_s=handle_s, ring_s=12.0, answer_probability=answer), 0.03)
    assert _at_three_percent(optimum) == pytest.approx(occupancy, abs=1e-3)
    assert optimum.best.abandonment <= 0.03 == optimum.abandonment
    if agents >= 5:
        assert optimum.occupancy == pytest.approx(occupancy, abs=1e-3)


@pytest.mark.parametrize(
    ("handle_s", "agents", "answer", "levels"),
    [
        (60.0, 10, 0.3, (30, 27, 24, 21, 18, 14, 11, 8, 4, 1, 0)),
        (180.0, 10, 0.3, (25, 22, 20, 17, 14, 11, 8, 6, 3, 1, 0)),
        (60.0, 5, 0.3, (12, 9, 6, 3, 1, 0)),
        (60.0, 2, 0.3, (3, 1, 0)),
        (60.0, 3, 0.3, (6, 3, 1, 0)),
        (60.0, 10, 0.5, (20, 18, 16, 14, 12, 10, 8, 5, 3, 1, 0)),
    ],
)
def test_dial_up_to_levels(handle_s: float, agents: int, answer: float, levels: tuple[int, ...]) -> None:
    model = MarkovModel(agents=agents, handle_s=handle_s, ring_s=15.0, answer_probability=answer)
    known, best = evaluate(model, levels), solve(model, 0.03).best
    # States that are hardly ever visited may differ by a call without anybody noticing.
    assert best.levels[agents // 2 :] == levels[agents // 2 :]
    assert best.occupancy == pytest.approx(known.occupancy, abs=1e-4)


def test_a_policy_is_evaluated_exactly() -> None:
    model = MarkovModel(agents=10, handle_s=60.0, ring_s=15.0, answer_probability=0.3)
    policy = evaluate(model, (30, 27, 24, 21, 18, 14, 11, 8, 4, 1, 0))
    assert policy.occupancy == pytest.approx(0.7730, abs=5e-5)
    assert policy.abandonment == pytest.approx(0.0287, abs=5e-5)


def test_one_call_per_idle_agent_abandons_nobody() -> None:
    model = MarkovModel(agents=6, handle_s=90.0, ring_s=12.0, answer_probability=0.4)
    policy = evaluate(model, tuple(range(6, -1, -1)))
    assert policy.abandonment == pytest.approx(0.0, abs=1e-12)
    assert policy.occupancy == pytest.approx(progressive_occupancy(90.0, 12.0, 0.4), rel=1e-9)


def test_served_people_keep_agents_busy() -> None:
    model = MarkovModel(agents=4, handle_s=90.0, ring_s=12.0, answer_probability=0.4)
    policy = evaluate(model, (12, 8, 5, 3, 2))
    served_per_s = policy.answers_per_s * (1.0 - policy.abandonment)
    assert served_per_s * 90.0 / 4 == pytest.approx(policy.occupancy, rel=1e-9)


def test_a_limit_that_does_not_bind_is_not_spent() -> None:
    optimum = solve(MarkovModel(agents=1, handle_s=60.0, ring_s=12.0, answer_probability=0.3), 0.999)
    assert optimum.abandonment <= 0.999


def test_nonsense_is_refused_in_words() -> None:
    with pytest.raises(ValueError, match="at least one agent"):
        MarkovModel(agents=0, handle_s=60.0, ring_s=12.0, answer_probability=0.3)
    with pytest.raises(ValueError, match="must be positive"):
        MarkovModel(agents=1, handle_s=0.0, ring_s=12.0, answer_probability=0.3)
    with pytest.raises(ValueError, match="answer_probability"):
        MarkovModel(agents=1, handle_s=60.0, ring_s=12.0, answer_probability=0.0)
    model = MarkovModel(agents=2, handle_s=60.0, ring_s=12.0, answer_probability=0.3)
    with pytest.raises(ValueError, match="max_abandonment"):
        solve(model, 0.0)
    with pytest.raises(ValueError, match="one level for each"):
        evaluate(model, (1, 0))
    with pytest.raises(ValueError, match="first at least 1"):
        evaluate(model, (0, 0, 0))


SMALL = MarkovModel(agents=3, handle_s=60.0, ring_s=12.0, answer_probability=0.4)


def _mean_regret(model: MarkovModel, levels: list[int], costs: Regret) -> float:
    """What a dial-up-to policy costs in the long run, from the stationary distribution of its states."""
    states = [(busy, ringing) for busy in range(model.agents + 1) for ringing in range(levels[busy], max(levels) + 1)]
    place = {state: number for number, state in enumerate(states)}
    rates = np.zeros((len(states), len(states)))
    paid = np.zeros(len(states))
    for (busy, ringing), number in place.items():
        paid[number] = costs.waiting[busy, ringing]
        resolved, answer = ringing / model.ring_s, model.answer_probability
        for rate, then, calls in (
            (busy / model.handle_s, busy - 1, ringing),
            (resolved * (1.0 - answer), busy, ringing - 1),
            (resolved * answer, min(busy + 1, model.agents), ringing - 1),
        ):
            if rate:
                up_to = max(calls, levels[then])
                paid[number] += rate * costs.starting[then, calls:up_to].sum()
                rates[number, place[then, up_to]] += rate
                rates[number, number] -= rate
    system = np.vstack([rates.T, np.ones(len(states))])
    stationary = np.linalg.lstsq(system, np.append(np.zeros(len(states)), 1.0), rcond=None)[0]
    return float(stationary @ paid)


@given(st.lists(st.integers(0, 9), min_size=4, max_size=4), st.sampled_from([0.003, 0.03, 0.2]))
def test_what_a_policy_lacks_is_the_mean_of_what_its_doings_cost(levels: list[int], limit: float) -> None:
    levels[0] = max(levels[0], 1)
    optimum = solve(SMALL, limit)
    costs = regret(SMALL, optimum, 12)
    policy = evaluate(SMALL, tuple(levels))
    worth = SMALL.agents * policy.occupancy - costs.price * policy.answers_per_s * (policy.abandonment - limit)
    assert _mean_regret(SMALL, levels, costs) == pytest.approx(costs.gain - worth, abs=1e-9)
    assert costs.gain == pytest.approx(SMALL.agents * optimum.occupancy, abs=1e-6)


@pytest.mark.parametrize("limit", [0.003, 0.03, 0.2])
def test_the_optimum_regrets_nothing_and_nobody_gains_on_it(limit: float) -> None:
    optimum = solve(SMALL, limit)
    costs = regret(SMALL, optimum, 30)
    assert costs.waiting.shape == costs.worth.shape
    assert costs.waiting.min() > -1e-6
    assert costs.starting.min() > -1e-6
    for policy in (optimum.best, optimum.over):
        assert policy is not None
        assert _mean_regret(SMALL, list(policy.levels), costs) == pytest.approx(0.0, abs=1e-6)


def test_where_the_limit_does_not_bind_a_lost_call_costs_nothing() -> None:
    optimum = solve(SMALL, 0.99)
    assert optimum.over is None
    assert regret(SMALL, optimum, 30).price == 0.0


def test_days_of_the_optimal_policy_lack_nothing_however_lucky_they_were() -> None:
    row = (5, 60.0, 0.3)
    days = [one_day(("optimum", row, 2.0, seed)) for seed in range(6)]
    busy = [jobs.occupancy([day]) for day in days]
    assert max(busy) - min(busy) > 0.01
    assert lacking(row, optimum_of(row, 0.03), days) == pytest.approx([0.0] * 6, abs=0.004)  # how they began and ended


def test_days_of_another_policy_lack_what_it_lacks_in_the_long_run() -> None:
    row = (5, 60.0, 0.3)
    days = [one_day(("progressive", row, 4.0, seed)) for seed in range(8)]
    best = optimum_of(row, 0.03)
    policy = evaluate(model_of(row), (5, 4, 3, 2, 1, 0))
    costs = regret(model_of(row), best, 20)
    worth = 5 * policy.occupancy - costs.price * policy.answers_per_s * (policy.abandonment - 0.03)
    lacks = lacking(row, best, days)
    assert sum(lacks) / len(lacks) == pytest.approx(1.0 - worth / costs.gain, abs=1.5 * jobs.half_width(lacks))
    assert jobs.half_width(lacks) < 0.01
