"""The exact optimum of the Markov model of a dialer: what no pacing rule can beat.

N agents, handle time exponential with mean 1/mu, ring time exponential with mean 1/rho, a ringing call is answered with
chance p; who is answered and finds no free agent is lost at once. State: (busy agents b, ringing calls c). At any
moment further calls may be started. To be found: the largest mean number of busy agents with at most a share alpha of
the answered calls lost.

With a price on each lost call above the share allowed this is an ordinary average-reward decision process. Its best
policy is of the form "dial up to S(b) ringing calls when b agents are busy"; policy iteration finds it. Under such a
policy ringing calls only ever become fewer, until the floor is back at one of the N + 1 states (b, S(b)). So every
value is a mixture of the values of these, worked out from few ringing calls to many, and what is left to solve is one
system of N + 1 equations: exact, and quick enough for a hundred agents. The optimum mixes the policies on either side
of the limit; the price at which the two are worth the same is the next to be tried, until there is no better policy at
that price.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pacing.intervals import FloatArray

_MOST_IMPROVEMENTS = 200
_MOST_PRICES = 60
# A policy that is better by less than this share of the agents leaves nothing to find.
_CLOSE = 1e-7
# The first price tried is a talk for a lost call; from there up and down in steps of this factor.
_PRICE_STEP = 3.0
_LEAST_PRICE = 1e-4


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Regret:
    """What it costs to do otherwise than the optimum does, in seconds of one busy agent.

    Whatever a rule does, its mean of these costs is exactly what it lacks to the optimum at the price of a lost call
    that goes with the limit: the difference of performance of two policies (Howard 1960; Kakade and Langford 2002).
    What callees happened to do is in none of them, so a few days tell what hundreds of occupancies would (Henderson and
    Glynn 2002, "Approximating martingales for variance reduction in Markov process simulation").

    Attributes:
        price: Of a lost call above the share that the limit allows.
        gain: Agents whom the optimum keeps busy.
        waiting: Of each second with b busy agents and c ringing calls, shape (N + 1, c); 0 from S(b) ringing calls on.
        starting: Of each call started there, shape (N + 1, c - 1).
        worth: Of being there, for the beginning and the end of a time that is looked at, shape (N + 1, c).
    """

    price: float
    gain: float
    waiting: FloatArray
    starting: FloatArray
    worth: FloatArray


def regret(model: MarkovModel, optimum: Optimum, most_ringing: int) -> Regret:
    """What it costs to do otherwise than an optimum.

    Args:
        model: The floor.
        optimum: Of this model.
        most_ringing: Costs are given for up to so many ringing calls; at least as many as the optimum has.
    """
    best, limit = optimum.best, optimum.abandonment
    price = 0.0
    if optimum.over is not None:
        gained = model.agents * (optimum.over.occupancy - best.occupancy)
        price = max(gained / (_excess(optimum.over, limit) - _excess(best, limit)), 0.0)
    gains, values = _evaluate(model, np.array(best.levels), max(most_ringing, *best.levels) + 1)
    weights = np.array([1.0, -price, price * limit])
    gain, worth = float(gains @ weights), values @ weights
    busy = np.arange(model.agents + 1)[:, None]
    ringing = np.arange(worth.shape[1])[None, :]
    answers = model.answer_probability / model.ring_s * ringing
    failures = ringing / model.ring_s - answers
    reward = busy - price * answers * ((busy == model.agents) - limit)
    freed = np.vstack([worth[:1], worth[:-1]])
    failed = np.hstack([worth[:, :1], worth[:, :-1]])
    reached = np.vstack([failed[1:], failed[-1:]])
    change = busy / model.handle_s * (freed - worth) + failures * (failed - worth) + answers * (reached - worth)
    waiting: FloatArray = gain - reward - change
    return Regret(price=price, gain=gain, waiting=waiting, starting=-np.diff(worth, axis=1), worth=worth)


def solve(model: MarkovModel, max_abandonment: float, *, near: Optimum | None = None) -> Optimum:
    """The optimum for a limit on abandonment.

    Args:
        model: The floor.
        max_abandonment: Largest share of answered calls that may be lost, between 0 and 1 (exclusive).
        near: The optimum of the same model for another limit: a good start, nothing else.
    """
    if not 0.0 < max_abandonment < 1.0:
        raise ValueError(f"max_abandonment must lie between 0 and 1, not {max_abandonment}")
    price = model.handle_s
    levels = _first_levels(model) if near is None else near.best.levels
    best: Policy | None = None
    over: Policy | None = None
    while best is None or over is None:
        policy = _best_for_price(model, price, max_abandonment, levels)
        levels = policy.levels
        if policy.abandonment > max_abandonment:
            over = policy
            price *= _PRICE_STEP
        else:
            best = policy
            if price == 0.0:
                return Optimum(occupancy=best.occupancy, abandonment=best.abandonment, best=best, over=None)
            price = price / _PRICE_STEP if price > _LEAST_PRICE * model.handle_s else 0.0
    for _ in range(_MOST_PRICES):
        gained = model.agents * (over.occupancy - best.occupancy)
        excess, slack = _excess(over, max_abandonment), _excess(best, max_abandonment)
        price = max(gained / (excess - slack), 0.0)
        policy = _best_for_price(model, price, max_abandonment, best.levels)
        worth = model.agents * policy.occupancy - price * _excess(policy, max_abandonment)
        if worth <= model.agents * (best.occupancy + _CLOSE) - price * slack:
            break
        if policy.abandonment > max_abandonment:
            over = policy
        else:
            best = policy
    # Time shares mix linearly: lost and answered calls per second, and busy agents.
    excess, slack = _excess(over, max_abandonment), -_excess(best, max_abandonment)
    share = slack / (slack + excess)
    return Optimum(
        occupancy=(1.0 - share) * best.occupancy + share * over.occupancy,
        abandonment=max_abandonment,
        best=best,
        over=over,
    )


def _excess(policy: Policy, limit: float) -> float:
    """Lost calls per second above those that the limit allows."""
    return policy.answers_per_s * (policy.abandonment - limit)


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
    size = most + 1
    busy = np.arange(agents + 1)
    calls = np.arange(size)
    freeing, resolving = busy / model.handle_s, calls / model.ring_s
    rate = freeing[:, None] + resolving[None, :]
    rate[0, 0] = 1.0
    frees = freeing[:, None] / rate
    reached = answer * resolving[None, :] / rate
    fails = (1.0 - answer) * resolving[None, :] / rate
    # A state is worth a mixture of the entry states (b, S(b)), then busy agents, lost and answered calls, and time.
    own = np.zeros((agents + 1, size, 4))
    own[:, :, 0] = busy[:, None] / rate
    own[agents, :, 1] = reached[agents]
    own[:, :, 2] = reached
    own[:, :, 3] = 1.0 / rate
    worth = np.zeros((agents + 1, size, agents + 5))
    worth[busy, :, busy] = calls[None, :] <= levels[:, None]
    # The state before (b, c) is (b - 1, c), (b, c - 1) or (b + 1, c - 1): all those with one 2 c + b at once, in order.
    for wave in range(2 * most + agents + 1):
        at = np.arange(max((wave - agents + 1) // 2, 1), min(wave // 2, most) + 1)
        place = wave - 2 * at
        waits = at > levels[place]
        at, place = at[waits], place[waits]
        if len(at):
            worth[place, at] = (
                frees[place, at, None] * worth[place - 1, at]
                + fails[place, at, None] * worth[place, at - 1]
                + reached[place, at, None] * worth[np.minimum(place + 1, agents), at - 1]
            )
            worth[place, at, agents + 1 :] += own[place, at]
    # The same of the entry states themselves, where a call more is started as soon as one is over.
    below = np.maximum(levels - 1, 0)
    entry = (
        frees[busy, levels, None] * worth[busy - 1, levels]
        + fails[busy, levels, None] * worth[busy, below]
        + reached[busy, levels, None] * worth[np.minimum(busy + 1, agents), below]
    )
    entry[:, agents + 1 :] += own[busy, levels]
    # Unknown are the values of all but the last entry state, which is 0, and the gain, which time is charged for.
    system = np.eye(agents + 1) - entry[:, : agents + 1]
    system[:, agents] = entry[:, -1]
    solved = np.linalg.solve(system, entry[:, agents + 1 : -1])
    gains: FloatArray = solved[agents].copy()
    solved[agents] = 0.0
    values: FloatArray = worth[:, :, : agents + 1] @ solved + worth[:, :, agents + 1 : -1] - gains * worth[:, :, -1:]
    return gains, values


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
