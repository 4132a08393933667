"""What is due when: each channel has exactly one timer, and whatever happens to it makes the former one void."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable
from typing import Final

from dialer.simulation.channels import Channel

#: From the action to the channel (0.5 to 2 ms measured), and from the answer or a Redirect to the dialplan's step.
SETUP_S: Final = (0.0005, 0.0015)
STEP_S: Final = (0.0003, 0.0012)

#: Is given the channel and the time.
Step = Callable[[Channel, float], None]


class Timers:
    """The timers of all channels; times are the scheduler's, in seconds."""

    def __init__(self) -> None:
        self._due: list[tuple[float, int, int, Channel, Step]] = []
        self._sequence = itertools.count()

    def next_deadline(self) -> float | None:
        """When `advance` has something to do."""
        due = self._due
        while due and due[0][2] != due[0][3].epoch:
            heapq.heappop(due)
        return due[0][0] if due else None

    def advance(self, now: float) -> None:
        """Do what is due at `now`."""
        due = self._due
        while due and due[0][0] <= now:
            _, _, epoch, channel, step = heapq.heappop(due)
            if epoch == channel.epoch:
                step(channel, now)

    def set(self, channel: Channel, due: float, step: Step) -> None:
        """Do `step` at `due` instead of what was to be done; never, where it is infinite."""
        channel.epoch += 1
        if due != math.inf:
            heapq.heappush(self._due, (due, next(self._sequence), channel.epoch, channel, step))

    def clear(self) -> None:
        """Nothing is due any more."""
        for _, _, _, channel, _ in self._due:
            channel.epoch += 1
        self._due.clear()
