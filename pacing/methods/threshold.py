"""The threshold: how large a chance to leave somebody without an agent the next call may have, moved by what happens.

Each call is started because its chance P to leave somebody without an agent, itself or one who answers after it, was at
most the threshold. The mean of P over answered calls is the forecast abandonment: adding one call to m others raises
the expected number of abandoned people by q * P (q: the chance that it is answered), so the sum over calls telescopes
to the whole. The chance that a call is lost itself would not do: it is less than half of that, and on a full floor a
tenth (`benchmarks.pacing_known`). The threshold is moved so that the mean, corrected by what really happened, equals
what is aimed at. That uses every call and not only the rare abandoned ones, so it settles soon and trembles little.

What is moved is the threshold for the whole limit. Where less is aimed at (`pacing.methods.spending`), that share of it
is used, at once, and compared with that share of the limit; so a bad half hour does not wind it up.
"""

from __future__ import annotations

import math

_START = 0.03
_LOWEST = 1e-4
_HIGHEST = 0.4
# Per answer expected; the step of the stochastic approximation.
_GAIN = 0.015
_LARGEST_STEP = 0.05
# The correction is observed over forecast abandonment. It starts above 1, for what a call costs is a little more than
# the forecast knows of (`pacing.passage` takes steps for independent), and weighs so many people that luck moves it
# little.
_CORRECTION_PRIOR = 40.0
_CORRECTION_START = 1.2
_CORRECTION_MEMORY = 30.0
_CORRECTION_LEAST, _CORRECTION_MOST = 0.4, 4.0


class Threshold:
    """Steers the threshold by forecast and outcomes."""

    def __init__(self) -> None:
        self._log = math.log(_START)
        self._forecast = _CORRECTION_PRIOR / _CORRECTION_START
        self._observed = _CORRECTION_PRIOR

    @property
    def value(self) -> float:
        """The threshold at which the whole limit is spent."""
        return math.exp(self._log)

    @property
    def correction(self) -> float:
        """By how much real abandonment exceeds the forecast."""
        return min(max(self._observed / self._forecast, _CORRECTION_LEAST), _CORRECTION_MOST)

    def started(
        self, calls: int, mean_chance: float, answer_rate: float, *, aim: float, limit: float, bound: bool
    ) -> None:
        """Calls were started.

        Args:
            calls: How many.
            mean_chance: Mean chance that one of them is lost if answered.
            answer_rate: Chance that one is answered.
            aim: Share of the limit that they were meant for.
            limit: The largest abandonment allowed.
            bound: The threshold is what stopped further calls. Where something else did (lines, an empty list) the
                forecast abandonment is low for that reason, and raising the threshold would only wind it up.
        """
        if limit <= 0.0:
            return
        step = _GAIN * calls * answer_rate * (aim - self.correction * mean_chance / limit)
        if step > 0.0 and not bound:
            return
        self._log += min(max(step, -_LARGEST_STEP), _LARGEST_STEP)
        self._log = min(max(self._log, math.log(_LOWEST)), math.log(_HIGHEST))

    def answered(self, chance: float) -> None:
        """A call that was started with this chance to be lost was answered."""
        self._forecast += chance
        fade = math.exp(-chance / _CORRECTION_MEMORY)
        self._forecast *= fade
        self._observed *= fade

    def abandoned(self) -> None:
        """Such a call found nobody."""
        self._observed += 1.0
