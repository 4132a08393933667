"""Erlang B, C and A, Engset, and M/M/N with a deterministic patience, with their inverses.

Notation: `agents` N, `load` A in erlangs (arrival rate times mean handle time), rates per second. Sources: Erlang
(1917); Engset (1918); Palm (1957) and Garnett, Mandelbaum, Reiman (2002) for A; the recursions are the stable ones, in
inverse form where the direct one underflows, so thousands of agents are no difficulty.

Why a dialer cares: dialing at a constant rate, whatever the state, is exactly Erlang B with any ring and talk times,
so it gives the floor that any feedback must beat; a fixed number of lines that redial at once is Engset.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass


def erlang_b(agents: int, load: float) -> float:
    """Chance (0 to 1) that an arrival finds all agents busy and is lost.

    Raises:
        ValueError: Negative agents or load.
    """
    _check(agents, load)
    if load == 0.0:
        return 1.0 if agents == 0 else 0.0
    # 1/B(n) = 1 + n/A * 1/B(n-1) grows without bound where B vanishes; a float reaches infinity, and 1/inf is right.
    inverse = 1.0
    for n in range(1, agents + 1):
        inverse = 1.0 + n / load * inverse
    return 1.0 / inverse


def erlang_b_derivative(agents: int, load: float) -> float:
    """dB/dA, for a load above 0."""
    if load <= 0.0:
        raise ValueError(f"the load must be positive, not {load}")
    blocked = erlang_b(agents, load)
    return blocked * (agents / load - 1.0 + blocked)


def erlang_c(agents: int, load: float) -> float:
    """Chance that an arrival has to wait, with no limit to its patience; 1 when the load is not below the agents."""
    _check(agents, load)
    if load >= agents:
        return 1.0
    blocked = erlang_b(agents, load)
    return blocked / (1.0 - load / agents * (1.0 - blocked))


def erlang_c_wait(agents: int, load: float, handle_s: float) -> float:
    """Mean wait in seconds; infinite when the load is not below the agents."""
    _check_positive(handle_s=handle_s)
    if load >= agents:
        return math.inf
    return erlang_c(agents, load) * handle_s / (agents - load)


def erlang_c_service_level(agents: int, load: float, handle_s: float, within_s: float) -> float:
    """Chance to be served within so many seconds."""
    _check_positive(handle_s=handle_s)
    if within_s < 0.0:
        raise ValueError(f"within_s must not be negative, not {within_s}")
    if load >= agents:
        return 0.0
    return 1.0 - erlang_c(agents, load) * math.exp(-(agents - load) * within_s / handle_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class ErlangA:
    """The outcome of Erlang A.

    Attributes:
        waits: Chance that an arrival has to wait.
        abandons: Chance that it gives up.
        mean_wait_s: Mean wait of all arrivals, in the unit of 1 / rates.
        occupancy: Share of time that an agent is busy.
    """

    waits: float
    abandons: float
    mean_wait_s: float
    occupancy: float


def erlang_a(agents: int, arrival_rate: float, service_rate: float, patience_rate: float) -> ErlangA:
    """M/M/N with exponential patience; the limits of the patience rate, 0 and infinity, are Erlang C and B.

    Raises:
        ValueError: No agents, a rate that is not positive.
    """
    if agents < 1:
        raise ValueError(f"at least one agent is needed, not {agents}")
    _check_positive(arrival_rate=arrival_rate, service_rate=service_rate, patience_rate=patience_rate)
    load = arrival_rate / service_rate
    blocked = erlang_b(agents, load)
    if blocked < 1e-300:
        return ErlangA(waits=0.0, abandons=0.0, mean_wait_s=0.0, occupancy=load / agents)
    # Weights of the states relative to state N, outwards until they no longer matter.
    below = 1.0 / blocked  # all states up to N
    weight = 1.0
    above = queue = 0.0
    waiting = 0
    while True:
        waiting += 1
        weight *= arrival_rate / (agents * service_rate + waiting * patience_rate)
        above += weight
        queue += waiting * weight
        falling = agents * service_rate + (waiting + 1) * patience_rate > arrival_rate
        if falling and weight * waiting < 1e-17 * (below + above):
            break
    total = below + above
    abandons = min(patience_rate * queue / total / arrival_rate, 1.0)
    return ErlangA(
        waits=(above + 1.0) / total,
        abandons=abandons,
        mean_wait_s=abandons / patience_rate,
        occupancy=load * (1.0 - abandons) / agents,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadlineQueue:
    """The outcome of M/M/N+D: whoever is not served within the deadline is dropped.

    Attributes:
        waits: Chance that an arrival has to wait.
        abandons: Chance that it is dropped.
        occupancy: Share of time that an agent is busy.
    """

    waits: float
    abandons: float
    occupancy: float


def deadline_queue(agents: int, load: float, handle_s: float, within_s: float) -> DeadlineQueue:
    """M/M/N where people wait for at most `within_s`; 0 gives Erlang B.

    The two-second rule is a deadline, not an exponential patience: see Baccelli and Hebuterne (1981) for the
    virtual-wait argument. With lambda the arrival rate and J, D the masses of the offered wait below and above
    the deadline, the share dropped is D / (1 / B(N-1) + J + D).
    """
    if agents < 1:
        raise ValueError(f"at least one agent is needed, not {agents}")
    _check(agents, load)
    _check_positive(handle_s=handle_s)
    if within_s < 0.0:
        raise ValueError(f"within_s must not be negative, not {within_s}")
    if load == 0.0:
        return DeadlineQueue(waits=0.0, abandons=0.0, occupancy=0.0)
    slack = (agents - load) * within_s / handle_s
    # (1 - e^-x) / x, continuous at 0. Far above capacity the exponential is divided out to stay finite.
    scaled = load * within_s / handle_s
    if slack < -700.0:
        lost = 1.0 - agents / load
        return DeadlineQueue(waits=1.0, abandons=lost, occupancy=1.0)
    inside = scaled if slack == 0.0 else -scaled * math.expm1(-slack) / slack
    outside = load / agents * math.exp(-slack)
    blocked = erlang_b(agents - 1, load)
    total = (1.0 / blocked if blocked > 0.0 else math.inf) + inside + outside
    abandons = outside / total
    return DeadlineQueue(
        waits=(inside + outside) / total, abandons=abandons, occupancy=load * (1.0 - abandons) / agents
    )


def engset(sources: int, agents: int, load_per_source: float) -> float:
    """Time congestion of Engset: share of time that all agents are busy.

    Args:
        sources: Lines that each ask again as soon as they are idle.
        agents: Agents.
        load_per_source: Rate at which an idle source asks, times the mean handle time.
    """
    if sources < 0:
        raise ValueError(f"sources must not be negative, not {sources}")
    _check(agents, load_per_source)
    if agents > sources:
        return 0.0
    if load_per_source == 0.0:
        return 1.0 if agents == 0 else 0.0
    inverse = 1.0
    for n in range(1, agents + 1):
        inverse = 1.0 + n / ((sources - n + 1) * load_per_source) * inverse
    return 1.0 / inverse


def engset_call_congestion(sources: int, agents: int, load_per_source: float) -> float:
    """Share of the calls that find all agents busy: an asking source sees only the others."""
    return engset(max(sources - 1, 0), agents, load_per_source) if sources else 0.0


def progressive_occupancy(handle_s: float, ring_s: float, answer_probability: float) -> float:
    """Occupancy of one line per idle agent, which abandons nobody."""
    _check_positive(handle_s=handle_s, answer_probability=answer_probability)
    if ring_s < 0.0:
        raise ValueError(f"ring_s must not be negative, not {ring_s}")
    return handle_s / (handle_s + ring_s / answer_probability)


# Inverses ----------------------------------------------------------------------------------------------------------


def load_for_blocking(agents: int, blocking: float) -> float:
    """The load at which Erlang B blocks exactly this share (between 0 and 1, exclusive)."""
    _check_share(blocking=blocking)
    if agents < 1:
        raise ValueError(f"at least one agent is needed, not {agents}")
    return _root(lambda load: erlang_b(agents, load) - blocking, agents / (1.0 - blocking) + 1.0)


def agents_for_blocking(load: float, blocking: float) -> int:
    """The fewest agents with which Erlang B blocks at most this share."""
    _check_share(blocking=blocking)
    _check(0, load)
    inverse, agents = 1.0, 0
    if load == 0.0:
        return 1
    while inverse * blocking < 1.0:
        agents += 1
        inverse = 1.0 + agents / load * inverse
    return agents


def agents_for_service_level(load: float, handle_s: float, within_s: float, level: float) -> int:
    """The fewest agents that serve this share of arrivals within so many seconds (Erlang C)."""
    _check_share(level=level)
    agents = max(math.floor(load) + 1, 1)
    while erlang_c_service_level(agents, load, handle_s, within_s) < level:
        agents += 1
    return agents


def load_for_abandonment(agents: int, handle_s: float, within_s: float, abandonment: float) -> float:
    """The load at which M/M/N+D drops exactly this share."""
    _check_share(abandonment=abandonment)
    return _root(
        lambda load: deadline_queue(agents, load, handle_s, within_s).abandons - abandonment,
        agents / (1.0 - abandonment) + 1.0,
    )


def _root(rising: Callable[[float], float], upper: float) -> float:
    """The zero of a rising function on (0, upper], by bisection to the last digits."""
    low, high = 0.0, upper
    while rising(high) < 0.0:
        low, high = high, 2.0 * high
    for _ in range(200):
        middle = 0.5 * (low + high)
        if middle in (low, high):
            break
        if rising(middle) < 0.0:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)


def _check(agents: int, load: float) -> None:
    if agents < 0:
        raise ValueError(f"agents must not be negative, not {agents}")
    if not 0.0 <= load < math.inf:
        raise ValueError(f"the load must be a number of erlangs from 0 up, not {load}")


def _check_positive(**values: float) -> None:
    for name, value in values.items():
        if not 0.0 < value < math.inf:
            raise ValueError(f"{name} must be positive and finite, not {value}")


def _check_share(**values: float) -> None:
    for name, value in values.items():
        if not 0.0 < value < 1.0:
            raise ValueError(f"{name} must lie between 0 and 1, not {value}")
