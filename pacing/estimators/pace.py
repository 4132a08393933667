"""How much faster than the slowly learned hazards things happen just now.

Two estimates stand side by side. The steady one fades with time and puts one standard error down to chance: it is quiet
while nothing changes, and takes dozens of events to follow a change. The alert one weighs every moment at which a
change may have happened and follows a clear one within a handful of events. Who misses that calls are answered three
times as often loses people; who misses the reverse lets agents wait a while. So the alert one is asked for rises only:
the higher of the two is believed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

# How often a list, an hour or a script changes what is going on, by belief.
_CHANGE_EVERY_S = 3_600.0
# Events' worth of belief that after a change things are as they were: little, it may be anything.
_AFTER_CHANGE = 1.5
# Moments of a change that are told apart.
_MOST_MOMENTS = 12
_LEAST_WEIGHT = 1e-12
_SLOWEST, _FASTEST = 0.2, 5.0


class Pace:
    """A fast multiplier on slowly learned hazards: events seen against events that the hazards expected.

    Counting what was expected of every open interval (its compensator) and not only of the finished ones keeps calls
    that still ring, and talks that still run, from biasing it.

    Args:
        prior: Events' worth of belief that the multiplier is 1.
        memory: Expected events after which the past counts 1/e.
        memory_s: The same in seconds; the longer of the two holds, so that a big floor does not chase its own noise.
        alert: Believe a rise as soon as it is likely.
    """

    __slots__ = ("_changes", "_expected", "_memory", "_memory_s", "_prior", "_seen", "_since_fading")

    def __init__(self, *, prior: float, memory: float, memory_s: float, alert: bool = False) -> None:
        self._prior = prior
        self._memory = memory
        self._memory_s = memory_s
        self._seen = 0.0
        self._expected = 0.0
        self._since_fading = 0.0
        self._changes = _Changes(prior) if alert else None

    def saw(self) -> None:
        """One event happened."""
        self._seen += 1.0
        if self._changes is not None:
            self._changes.seen += 1.0

    def expected(self, events: float) -> None:
        """So many more events were expected."""
        self._expected += events
        self._since_fading += events

    def fade(self, elapsed_s: float) -> None:
        """Let the past fade, `elapsed_s` after the last time."""
        elapsed_s = max(elapsed_s, 0.0)
        expected = max(self._since_fading, 0.0)
        kept = math.exp(-min(expected / self._memory, elapsed_s / self._memory_s))
        self._since_fading = 0.0
        self._seen *= kept
        self._expected *= kept
        if self._changes is not None:
            self._changes.weigh(expected, elapsed_s, kept)

    def rebase(self, ratio: float) -> None:
        """The slow hazards have been learned anew and now expect `ratio` times as much of the same past."""
        self._expected *= ratio
        if self._changes is not None:
            self._changes.rebase(ratio)

    @property
    def factor(self) -> float:
        """By how much events come faster than the slow hazards say; between a fifth and five times."""
        expected = max(self._expected, 0.0) + self._prior
        seen = self._seen + self._prior
        told = math.log(seen / expected)
        believed = max(abs(told) - math.sqrt(1.0 / max(seen, expected)), 0.0)
        factor = math.exp(math.copysign(believed, told))
        if self._changes is not None:
            factor = max(factor, self._changes.factor)
        return min(max(factor, _SLOWEST), _FASTEST)


@dataclass(slots=True)
class _Moment:
    """The last change was then, with this probability; what was seen and expected since."""

    weight: float
    prior: float
    seen: float = 0.0
    expected: float = 0.0

    @property
    def surely(self) -> float:
        """The multiplier since then, less one standard error of its gamma posterior."""
        shape = self.seen + self.prior
        return shape / (self.expected + self.prior) * math.exp(-1.0 / math.sqrt(shape))

    def foretold(self, seen: float, expected: float) -> float:
        """Log chance of so many events where so many were expected, less what is the same for all moments."""
        shape, rate = self.seen + self.prior, self.expected + self.prior
        return (
            math.lgamma(shape + seen)
            - math.lgamma(shape)
            + shape * math.log(rate / (rate + expected))
            + seen * math.log(expected / (rate + expected))
        )


class _Changes:
    """When the multiplier last changed, and what it is since: each moment with its probability.

    Adams and MacKay (2007), "Bayesian online changepoint detection", for events with a compensator: between changes the
    multiplier is gamma distributed, so the events since a moment tell both what it is and how likely that moment was.
    """

    __slots__ = ("_moments", "seen")

    def __init__(self, prior: float) -> None:
        self.seen = 0.0
        self._moments = [_Moment(1.0, prior)]

    def weigh(self, expected: float, elapsed_s: float, kept: float) -> None:
        """Weigh the events seen since the last time, and let the past of every moment fade."""
        seen, self.seen = self.seen, 0.0
        expected = max(expected, 1e-6)
        moments = self._moments
        changed = -math.expm1(-elapsed_s / _CHANGE_EVERY_S)
        if changed > 0.0:
            for moment in moments:
                moment.weight *= 1.0 - changed
            moments.append(_Moment(changed, _AFTER_CHANGE))
        logs = [math.log(max(moment.weight, _LEAST_WEIGHT)) + moment.foretold(seen, expected) for moment in moments]
        most = max(logs)
        total = math.fsum(math.exp(log - most) for log in logs)
        for moment, log in zip(moments, logs, strict=True):
            moment.weight = math.exp(log - most) / total
            moment.seen = kept * (moment.seen + seen)
            moment.expected = kept * (moment.expected + expected)
        if len(moments) > _MOST_MOMENTS:
            self._join_two()

    def rebase(self, ratio: float) -> None:
        """What the hazards expected of the past has changed."""
        for moment in self._moments:
            moment.expected *= ratio

    @property
    def factor(self) -> float:
        """The multiplier: its median over the moments, one standard error of each put down to chance."""
        so_far = 0.0
        for moment in sorted(self._moments, key=lambda moment: moment.surely):
            so_far += moment.weight
            if so_far >= 0.5:
                break
        return moment.surely

    def _join_two(self) -> None:
        """Of two neighbours between which next to nothing was expected, the later joins the earlier.

        So moments lie the closer together, the less long ago they were, and a young one is not given up before it could
        speak.
        """
        moments = self._moments
        place = min(
            range(1, len(moments)),
            key=lambda place: (moments[place - 1].expected + 1.0) / (moments[place].expected + 1.0),
        )
        moments[place - 1].weight += moments[place].weight
        del moments[place]
