"""The exact optimum of the Markov model of a dialer: what no pacing rule can beat.

N agents, handle time exponential with mean 1/mu, ring time exponential with mean 1/rho, a ringing call is answered with
chance p; who is answered and finds no free agent is lost at once. State: (busy agents b, ringing calls c). At any
moment further calls may be started. To be found: the largest mean number of busy agents with at most a share alpha of
the answered calls lost.

With a price on each lost call above the share allowed this is an ordinary average-reward decision process. Its best
policy is of the form "dial up to S(b) ringing calls when b agents are busy"; policy iteration finds it, each policy
being evaluated exactly by a block-tridiagonal solve over the levels b. The price is found by bisection; the optimum
mixes the two policies on either side of the limit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pacing.intervals import FloatArray

_MOST_IMPROVEMENTS = 200
_BISECTIONS = 40
# Policies on either side of the limit that differ by less than this share of the agents leave nothing to find.
_CLOSE = 2e-5


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkovModel:
    """The loss model with exponential clocks.

    Attributes:
        agents: N, at least 1.
        handle_s: Mean handle time.
        ring_s: Mean time until a call is answered or fails.
        answer_probability: Chance that it is answered.
    """

    agents: int
    handle_s: float
    ring_s: float
    answer_probability: float

    def __post_init__(self) -> None:
        if self.agents < 1:
            raise ValueError(f"at least one agent is needed, not {self.agents}")
        if not (self.handle_s > 0.0 and self.ring_s > 0.0):
            raise ValueError(f"handle_s and ring_s must be positive, not {self.handle_s} and {self.ring_s}")
        if not 0.0 < self.answer_probability <= 1.0:
            raise ValueError(f"answer_probability must lie in (0, 1], not {self.answer_probability}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A dial-up-to policy and what it comes to in the long run.

    Attributes:
        levels: S(b) for b = 0 to N busy agents.
        occupancy: Mean share of agents busy.
        abandonment: Lost over answered.
        answers_per_s: Answered calls per second.
    """

    levels: tuple[int, ...]
    occupancy: float
    abandonment: float
    answers_per_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Optimum:
    """The best that is possible.

    Attributes:
        occupancy: Of the best mixture of policies: an upper bound for every rule that sees busy agents and ringing
            calls.
        abandonment: Of that mixture: the limit, or less where the limit does not bind.
        best: The best single policy within the limit.
        over: The policy just over the limit, the other part of the mixture; None when the limit does not bind.
    """

    occupancy: float
    abandonment: float
    best: Policy
    over: Policy | None


def solve(model: MarkovModel, max_abandonment: float) -> Optimum:
    """The optimum for a limit on abandonment.

    Args:
        model: The floor.
        max_abandonment: Largest share of answered calls that may be lost, between 0 and 1 (exclusive).
    """
    if not 0.0 < max_abandonment < 1.0:
        raise ValueError(f"max_abandonment must lie between 0 and 1, not {max_abandonment}")
    low, high = 0.0, float(model.agents) * model.handle_s
    levels = _first_levels(model)
    over = _best_for_price(model, low, max_abandonment, levels)
    if over.abandonment <= max_abandonment:
        return Optimum(occupancy=over.occupancy, abandonment=over.abandonment, best=over, over=None)
    best = _best_for_price(model, high, max_abandonment, levels)
    while best.abandonment > max_abandonment:
        low, over, high = high, best, 4.0 * high
        best = _best_for_price(model, high, max_abandonment, best.levels)
    for _ in range(_BISECTIONS):
        if over.occupancy - best.occupancy < _CLOSE:
            break
        price = 0.5 * (low + high)
        policy = _best_for_price(model, price, max_abandonment, best.levels)
        if policy.levels in (best.levels, over.levels) and high - low < 1e-3 * high:
            break
        if policy.abandonment > max_abandonment:
            low, over = price, policy
        else:
            high, best = price, policy
    # Time shares mix linearly: lost and answered calls per second, and busy agents.
    slack = best.answers_per_s * (max_abandonment - best.abandonment)
    excess = over.answers_per_s * (over.abandonment - max_abandonment)
    share = slack / (slack + excess)
    return Optimum(
        occupancy=(1.0 - share) * best.occupancy + share * over.occupancy,
        abandonment=max_abandonment,
        best=best,
        over=over,
    )


def evaluate(model: MarkovModel, levels: tuple[int, ...]) -> Policy:
    """What a dial-up-to policy comes to.

    Args:
        model: The floor.
        levels: S(b) for b = 0 to N; S(0) at least 1, or nobody would ever be called.
    """
    if len(levels) != model.agents + 1 or min(levels) < 0 or levels[0] < 1:
        raise ValueError(f"one level for each of 0 to {model.agents} busy agents is needed, the first at least 1")
    gains, _ = _evaluate(model, np.array(levels), max(levels) + 1)
    return _policy(model, levels, gains)


def _first_levels(model: MarkovModel) -> tuple[int, ...]:
    return tuple(max(model.agents - busy, 1 if busy == 0 else 0) for busy in range(model.agents + 1))


def _best_for_price(model: MarkovModel, price: float, limit: float, levels: tuple[int, ...]) -> Policy:
    """Policy iteration for: busy agents - price * (lost - limit * answered) per second."""
    chosen = np.array(levels)
    most = int(max(np.ceil(1.2 * model.agents / model.answer_probability) + 12, chosen.max() + 2))
    # The price is paid per call, the reward per second of a busy agent.
    weights = np.array([1.0, -price, price * limit])
    gains = np.zeros(3)
    for _ in range(_MOST_IMPROVEMENTS):
        gains, values = _evaluate(model, chosen, most)
        gain = float(gains @ weights)
        relative = values @ weights
        better = _improve(model, chosen, relative, gain, price, limit)
        if np.array_equal(better, chosen):
            break
        chosen = better
        if chosen.max() >= most - 1 and most < 4 * model.agents / model.answer_probability + 60:
            most = int(1.5 * most)
    return _policy(model, tuple(int(level) for level in chosen), gains)


def _policy(model: MarkovModel, levels: tuple[int, ...], gains: FloatArray) -> Policy:
    busy, lost, answered = (float(gain) for gain in gains)
    return Policy(
        levels=levels, occupancy=busy / model.agents, abandonment=max(lost / answered, 0.0), answers_per_s=answered
    )


def _evaluate(model: MarkovModel, levels: np.ndarray, most: int) -> tuple[FloatArray, FloatArray]:
    """Long-run gains per second and relative values, both of (busy agents, lost calls, answered calls).

    Returns:
        Gains, shape (3,); values, shape (N + 1, most + 1, 3), zero at (N, S(N)).
    """
    agents, answer = model.agents, model.answer_probability
    freeing, resolving = 1.0 / model.handle_s, 1.0 / model.ring_s
    calls = np.arange(most + 1)
    size = most + 1
    reference = int(levels[agents])
    # Eliminate level by level: values(b) = eliminated(b) @ values(b + 1) + constant(b).
    eliminated: list[FloatArray] = []
    constants: list[FloatArray] = []
    shift = np.zeros((size, size))
    shift[calls[1:], calls[:-1]] = 1.0
    reference_row = np.zeros(size)
    reference_right = np.zeros(4)
    for busy in range(agents + 1):
        waits = calls >= levels[busy]
        down = np.where(waits, busy * freeing, 0.0)
        ends = np.where(waits, calls * resolving, 0.0)
        own = np.diag(np.where(waits, busy * freeing + calls * resolving, 1.0))
        stays = (1.0 - answer) if busy < agents else 1.0
        own -= stays * ends[:, None] * shift
        own[~waits, levels[busy]] -= 1.0
        # Rewards: busy agents, lost calls, answered calls; the last column is the time that the gain is charged for.
        right = np.zeros((size, 4))
        right[:, 0] = np.where(waits, busy, 0.0)
        right[:, 1] = answer * ends if busy == agents else 0.0
        right[:, 2] = answer * ends
        right[:, 3] = waits
        if busy:
            own -= down[:, None] * eliminated[busy - 1]
            right += down[:, None] * constants[busy - 1]
        if busy == agents:
            # The equation of the reference state is kept aside for the gain; its value is 0.
            reference_row, reference_right = own[reference].copy(), right[reference].copy()
            own[reference] = 0.0
            own[reference, reference] = 1.0
            right[reference] = 0.0
            constants.append(np.linalg.solve(own, right))
        else:
            up = answer * ends[:, None] * shift
            solved = np.linalg.solve(own, np.hstack([up, right]))
            eliminated.append(solved[:, :size])
            constants.append(solved[:, size:])
    values = np.empty((agents + 1, size, 4))
    values[agents] = constants[agents]
    for busy in range(agents - 1, -1, -1):
        values[busy] = eliminated[busy] @ values[busy + 1] + constants[busy]
    # Values are rewards - gain * time; the gain is what makes the equation of the reference state hold.
    residual = reference_right - reference_row @ constants[agents]
    gains = residual[:3] / residual[3]
    return gains, values[:, :, :3] - gains * values[:, :, 3:]


def _improve(
    model: MarkovModel, levels: np.ndarray, relative: FloatArray, gain: float, price: float, limit: float
) -> np.ndarray:
    """For each number of busy agents, the number of ringing calls with the largest value."""
    agents, answer = model.agents, model.answer_probability
    freeing, resolving = 1.0 / model.handle_s, 1.0 / model.ring_s
    calls = np.arange(relative.shape[1])
    better = levels.copy()
    for busy in range(agents + 1):
        down = relative[busy - 1] if busy else relative[0]
        fewer = np.concatenate([[0.0], relative[busy, :-1]])
        answered = np.concatenate([[0.0], relative[min(busy + 1, agents), :-1]])
        reward = busy - gain + price * limit * answer * resolving * calls
        if busy == agents:
            reward = reward - price * answer * resolving * calls
        rate = busy * freeing + calls * resolving
        after = busy * freeing * down + resolving * calls * ((1.0 - answer) * fewer + answer * answered)
        value = np.full(len(calls), -np.inf)
        np.divide(reward + after, rate, out=value, where=rate > 0.0)
        current = value[levels[busy]]
        best = int(np.argmax(value))
        if value[best] > current + 1e-9 * max(1.0, abs(current)):
            better[busy] = best
    return better
