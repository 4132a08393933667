"""The people called, drawn in advance: the n-th call meets the n-th person whatever the method.

Each cause (does somebody answer, how long does it ring, how long do they talk, how long is the wrap-up, how does a
failed call end) has a random stream of its own, so two methods with the same seed face the same people, and a
difference between them is the method's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pacing.contract import Outcome
from pacing.floor import Floor
from pacing.intervals import FloatArray

_BLOCK = 2_048


@dataclass(slots=True)
class Callee:
    """What will happen to one call."""

    outcome: Outcome | None  # None: a live person answers
    after_s: float
    talk_s: float
    wrapup_s: float


class Callees:
    """An endless list of people for one floor and one seed.

    Args:
        floor: The call centre.
        seed: The same for every method that is compared.
    """

    def __init__(self, floor: Floor, seed: np.random.SeedSequence) -> None:
        self._floor = floor
        streams = [np.random.default_rng(child) for child in seed.spawn(6 + len(floor.endings))]
        self._answer_rng, self._ring_rng, self._talk_rng, self._wrap_rng, self._kind_rng, _spare = streams[:6]
        self._ending_rngs = streams[6:]
        shares = np.array([ending.share for ending in floor.endings])
        self._shares = np.cumsum(shares) / shares.sum()
        self._place = _BLOCK
        self._answer: FloatArray = np.empty(0)
        self._ring: FloatArray = np.empty(0)
        self._talk: FloatArray = np.empty(0)
        self._wrapup: FloatArray = np.empty(0)
        self._kind = np.empty(0, dtype=np.int64)
        self._endings: list[FloatArray] = []

    def call(self, now: float) -> Callee:
        """The next person, called at this moment."""
        if self._place == _BLOCK:
            self._draw()
        place = self._place
        self._place += 1
        floor = self._floor
        delay_s = floor.carrier_delay_s.at(now)
        timeout_s = floor.ring_timeout_s
        if self._answer[place] < floor.answer.at(now):
            ring_s = float(self._ring[place]) + delay_s
            if timeout_s is None or ring_s < timeout_s:
                talk_s = float(self._talk[place]) * floor.talk_scale.at(now)
                return Callee(None, ring_s, talk_s, float(self._wrapup[place]))
            return Callee(Outcome.NO_ANSWER, timeout_s, 0.0, 0.0)
        kind = int(self._kind[place])
        after_s = float(self._endings[kind][place]) + delay_s
        if timeout_s is not None and after_s >= timeout_s:
            return Callee(Outcome.NO_ANSWER, timeout_s, 0.0, 0.0)
        return Callee(floor.endings[kind].outcome, after_s, 0.0, 0.0)

    def _draw(self) -> None:
        floor = self._floor
        self._place = 0
        self._answer = self._answer_rng.random(_BLOCK)
        self._ring = floor.rings.sample(self._ring_rng, _BLOCK)
        self._talk = floor.talk.sample(self._talk_rng, _BLOCK)
        self._wrapup = np.zeros(_BLOCK) if floor.wrapup is None else floor.wrapup.sample(self._wrap_rng, _BLOCK)
        last = len(self._shares) - 1
        self._kind = np.minimum(np.searchsorted(self._shares, self._kind_rng.random(_BLOCK), side="right"), last)
        self._endings = [
            np.full(_BLOCK, np.inf) if ending.after is None else ending.after.sample(rng, _BLOCK)
            for ending, rng in zip(floor.endings, self._ending_rngs, strict=True)
        ]
