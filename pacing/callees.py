"""The people called, drawn in advance: the n-th call meets the n-th person whatever the method.

Each cause (does somebody answer, how long does it ring, how long do they talk, how long is the wrap-up, how does a
failed call end) has a random stream of its own, so two methods with the same seed face the same people, and a
difference between them is the method's. `source` picks what a floor describes: people drawn at random, people who were
really called, or a list that comes to an end.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from pacing.contacts import ContactBook
from pacing.contract import Outcome
from pacing.floor import Floor, Steps
from pacing.intervals import FloatArray

_BLOCK = 2_048
#: A call that the carrier refuses ends so many seconds after it was started.
_REFUSED_AFTER_S = 1.0
#: Who stands for somebody called now, once everybody of a recording has been called: whoever was within this of it.
_SAME_TIME_S = 1_800.0


@dataclass(slots=True)
class Callee:
    """What will happen to one call."""

    outcome: Outcome | None  # None: a live person answers
    after_s: float
    talk_s: float
    wrapup_s: float
    patience_s: float = math.inf
    segment: Hashable = None  # what the list says about how likely an answer is


class Source(Protocol):
    """Whoever is called next."""

    def call(self, now: float, factor: float = 1.0) -> Callee | None:
        """The next person, called at this moment; None: there is nobody to be called now.

        Args:
            now: Second of the day.
            factor: Multiplies the chance of a live answer.
        """


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
        self._fault_rng, self._false_rng, self._false_talk_rng, self._patience_rng = (
            np.random.default_rng(child) for child in seed.spawn(4)
        )
        mixes = [tuple(ending.share for ending in floor.endings), *(shares for _, shares in floor.mix)]
        self._mixes = [np.cumsum(shares) / sum(shares) for shares in mixes]
        self._mix_from = [time for time, _ in floor.mix]
        self._parts = np.cumsum([segment.share for segment in floor.segments])
        self._part_rng = np.random.default_rng(seed.spawn(1)[0])
        self._congested = _ever(floor.congestion)
        self._falsified = _ever(floor.false_answers)
        self._place = _BLOCK
        self._answer: FloatArray = np.empty(0)
        self._ring: FloatArray = np.empty(0)
        self._talk: FloatArray = np.empty(0)
        self._wrapup: FloatArray = np.empty(0)
        self._kind: FloatArray = np.empty(0)
        self._part: list[int] = []
        self._fault = self._false = self._false_talk = self._patience = np.empty(0)
        self._endings: list[FloatArray] = []

    def call(self, now: float, factor: float = 1.0) -> Callee:
        """The next person, called at this moment."""
        if self._place == _BLOCK:
            self._draw()
        place = self._place
        self._place += 1
        if not self._part:
            return self._person(now, place, factor)
        segment = self._floor.segments[self._part[place]]
        callee = self._person(now, place, factor * segment.factor)
        callee.segment = segment.name
        return callee

    def _person(self, now: float, place: int, factor: float) -> Callee:
        floor = self._floor
        delay_s = floor.carrier_delay_s.at(now)
        timeout_s = floor.ring_timeout_s
        if self._congested and self._fault[place] < floor.congestion.at(now):
            return Callee(Outcome.CONGESTION, _REFUSED_AFTER_S + delay_s, 0.0, 0.0)
        if self._answer[place] < floor.answer.at(now) * factor:
            ring_s = float(self._ring[place]) + delay_s
            if timeout_s is None or ring_s < timeout_s:
                talk_s = float(self._talk[place]) * floor.talk_scale.at(now)
                patience_s = math.inf if floor.patience is None else float(self._patience[place])
                return Callee(None, ring_s, talk_s, float(self._wrapup[place]), patience_s)
            return Callee(Outcome.NO_ANSWER, timeout_s, 0.0, 0.0)
        if self._falsified and self._false[place] < floor.false_answers.at(now):
            return Callee(None, float(self._ring[place]) + delay_s, float(self._false_talk[place]), 0.0)
        mix = self._mixes[bisect_right(self._mix_from, now)]
        kind = min(int(mix.searchsorted(self._kind[place], side="right")), len(mix) - 1)
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
        self._kind = self._kind_rng.random(_BLOCK)
        if floor.segments:
            runs = -(-_BLOCK // floor.segment_run)
            parts = self._parts[:-1].searchsorted(self._part_rng.random(runs) * self._parts[-1], side="right")
            self._part = np.repeat(parts, floor.segment_run)[:_BLOCK].tolist()
        if self._congested:
            self._fault = self._fault_rng.random(_BLOCK)
        if self._falsified:
            self._false = self._false_rng.random(_BLOCK)
            self._false_talk = floor.false_talk.sample(self._false_talk_rng, _BLOCK)
        if floor.patience is not None:
            self._patience = floor.patience.sample(self._patience_rng, _BLOCK)
        self._endings = [
            np.full(_BLOCK, np.inf) if ending.after is None else ending.after.sample(rng, _BLOCK)
            for ending, rng in zip(floor.endings, self._ending_rngs, strict=True)
        ]


class Recorded:
    """The people of a recording in their order; after the last one, somebody called at about the same time of the day.

    Args:
        floor: With `people`.
        seed: Fixes who stands for whom after the last one.
    """

    def __init__(self, floor: Floor, seed: np.random.SeedSequence) -> None:
        self._people = floor.people
        self._times = [person.at_s for person in floor.people]
        self._rng = np.random.default_rng(seed)
        self._timeout_s = math.inf if floor.ring_timeout_s is None else floor.ring_timeout_s
        self._next = 0

    def call(self, now: float, factor: float = 1.0) -> Callee:
        """The next person. A recording has nothing to multiply: `factor` does nothing."""
        place = self._next
        if place < len(self._people):
            self._next += 1
        else:
            first = bisect_left(self._times, now - _SAME_TIME_S)
            beyond = bisect_right(self._times, now + _SAME_TIME_S)
            if first == beyond:
                first, beyond = 0, len(self._people)
            place = int(self._rng.integers(first, beyond))
        person = self._people[place]
        if person.after_s >= self._timeout_s:
            return Callee(Outcome.NO_ANSWER, self._timeout_s, 0.0, 0.0)
        return Callee(person.outcome, person.after_s, person.talk_s, person.wrapup_s, person.patience_s)


class Listed:
    """The people of a list that comes to an end, each of them called as often as it says.

    Args:
        people: Who answers, and what happens.
        book: Who is still to be called.
        floor: With `contacts`: how the chance of an answer changes from attempt to attempt.
    """

    def __init__(self, people: Source, book: ContactBook, floor: Floor) -> None:
        assert floor.contacts is not None
        self._people = people
        self._book = book
        self._factor = floor.contacts.factor

    def call(self, now: float, factor: float = 1.0) -> Callee | None:
        """The next person of the list."""
        attempt = self._book.take(now)
        if attempt is None:
            return None
        callee = self._people.call(now, factor * self._factor(attempt))
        assert callee is not None
        callee.segment = (attempt, callee.segment)
        self._book.ended(attempt, callee.outcome, now + callee.after_s)
        return callee


def source(floor: Floor, seed: np.random.SeedSequence, book: ContactBook | None = None) -> Source:
    """Whoever is called on this floor; `book` is the list where the floor has one."""
    people: Source = Recorded(floor, seed) if floor.people else Callees(floor, seed)
    return people if book is None else Listed(people, book, floor)


def _ever(steps: Steps) -> bool:
    return steps.first > 0.0 or any(value > 0.0 for _, value in steps.changes)
