"""A call centre to be simulated: who works when, who answers, how long everything takes, and what goes wrong."""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass, field

from pacing.contract import Outcome
from pacing.distributions import Distribution, Exponential, Gamma, LogNormal, Uniform


@dataclass(frozen=True, slots=True)
class Steps:
    """A value that changes at given moments.

    Attributes:
        first: The value from the beginning.
        changes: (second, value from then on), in order of time.
    """

    first: float
    changes: tuple[tuple[float, float], ...] = ()

    def __post_init__(self) -> None:
        times = [time for time, _ in self.changes]
        if times != sorted(times):
            raise ValueError(f"changes must be in order of time, not {times}")

    def at(self, time: float) -> float:
        """The value at this second."""
        place = bisect_right(self.changes, (time, math.inf))
        return self.first if place == 0 else self.changes[place - 1][1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """One way in which a call fails to reach a live person.

    Attributes:
        outcome: What is reported.
        share: Share of the calls that no live person answers, 0 to 1.
        after: Seconds from the start of the call to its end; None: it rings until the time-out.
    """

    outcome: Outcome
    share: float
    after: Distribution | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """Agents on duty from one second to another; whoever is busy at the end finishes first.

    `announced` says that the pacer knows the end beforehand.
    """

    agents: int
    begins_s: float = 0.0
    ends_s: float = math.inf
    announced: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaks:
    """Breaks that every agent takes, when free."""

    every: Distribution
    length: Distribution


NOBODY_THERE = (
    Ending(outcome=Outcome.NO_ANSWER, share=0.55, after=None),
    Ending(outcome=Outcome.MACHINE, share=0.25, after=Gamma(18.0, 6.0)),
    Ending(outcome=Outcome.BUSY, share=0.12, after=Uniform(1.0, 5.0)),
    Ending(outcome=Outcome.INVALID, share=0.08, after=Uniform(0.5, 3.0)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactList:
    """A list that comes to an end: who is reached is done, whoever is not is called again a while later.

    Attributes:
        contacts: People on it.
        attempts: Calls to one contact, at most.
        retry_after_s: Seconds from the end of a call that reached nobody to the next one to the same contact.
        answer_factors: Multiply the chance of a live answer at the first, second, ... attempt; the last one goes for
            all that follow, and empty is 1.
        ends_day: Whether the day ends when everybody is through; otherwise the agents sit idle until the evening.
    """

    contacts: int
    attempts: int = 3
    retry_after_s: float = 3_600.0
    answer_factors: tuple[float, ...] = ()
    ends_day: bool = True

    def __post_init__(self) -> None:
        if self.contacts < 1 or self.attempts < 1:
            raise ValueError("a list needs at least one contact and one attempt")
        if self.retry_after_s < 0.0 or any(factor < 0.0 for factor in self.answer_factors):
            raise ValueError("retry_after_s and answer_factors must not be negative")

    def factor(self, attempt: int) -> float:
        """What the chance of an answer is multiplied by at the n-th attempt, counted from 1."""
        factors = self.answer_factors
        return factors[min(attempt, len(factors)) - 1] if factors else 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A part of those who are called, told to the pacer with each call.

    Attributes:
        name: What it is called; the same name twice is one part to the pacer.
        share: Weight of the part among all of them.
        factor: Multiplies the chance of a live answer.
    """

    name: str
    share: float
    factor: float

    def __post_init__(self) -> None:
        if not (0.0 <= self.share < math.inf and 0.0 <= self.factor < math.inf):
            raise ValueError(f"a segment needs a share and a factor of at least 0, not {self}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody who was really called, and what happened.

    Attributes:
        at_s: Second of the day at which they were called.
        outcome: How the call ended; None: a live person answered.
        after_s: Seconds from the start of the call to the answer or the end.
        talk_s, wrapup_s: Of the call with an agent.
        patience_s: Seconds after which the person hangs up before having been connected.
    """

    at_s: float
    outcome: Outcome | None
    after_s: float
    talk_s: float = 0.0
    wrapup_s: float = 0.0
    patience_s: float = math.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """A call centre.

    Attributes:
        shifts: Agents on duty.
        answer: Chance that a call is answered by a live person.
        rings: Seconds to a live answer.
        endings: What happens to the other calls; shares are normalised.
        talk: Seconds of talk.
        talk_scale: Multiplies the talk times of calls started from a moment on.
        wrapup: Seconds of wrap-up; None for none.
        ring_timeout_s: When an unanswered call is given up; None: never.
        carrier_delay_s: Added to the time to every answer and ending of calls started from a moment on.
        connect_within_s: Seconds that a person who answered waits before being abandoned; 0: not at all.
        breaks: Breaks of the agents; None for none.
        hours: Length of the day.
        mix: Other shares of the endings from a moment on: (second, share of each ending), in order of time.
        patience: Seconds that somebody who answered waits before hanging up; None: for as long as they are let.
        congestion: Share of calls that the carrier refuses at once.
        false_answers: Share of calls that the carrier reports as answered by a live person where nobody is.
        false_talk: How long an agent takes to find that out.
        contacts: A list that comes to an end; None: there is always somebody to be called.
        segments: Parts of those who are called, mixed at random by their shares; empty: all are alike.
        segment_run: So many calls in a row are to the same segment, as in a list that was sorted.
        people: Who was really called, in order; the n-th call meets the n-th of them, and once they are through,
            somebody called at about the same time of the day. Then none of what describes people above counts.
    """

    shifts: tuple[Shift, ...]
    answer: Steps
    rings: Distribution = field(default_factory=lambda: Gamma(10.0, 3.0))
    endings: tuple[Ending, ...] = NOBODY_THERE
    talk: Distribution = field(default_factory=lambda: LogNormal(150.0, 0.9))
    talk_scale: Steps = field(default_factory=lambda: Steps(1.0))
    wrapup: Distribution | None = field(default_factory=lambda: LogNormal(20.0, 0.5))
    ring_timeout_s: float | None = 26.0
    carrier_delay_s: Steps = field(default_factory=lambda: Steps(0.0))
    connect_within_s: float = 2.0
    breaks: Breaks | None = None
    hours: float = 8.0
    mix: tuple[tuple[float, tuple[float, ...]], ...] = ()
    patience: Distribution | None = None
    congestion: Steps = field(default_factory=lambda: Steps(0.0))
    false_answers: Steps = field(default_factory=lambda: Steps(0.0))
    false_talk: Distribution = field(default_factory=lambda: LogNormal(6.0, 0.4))
    contacts: ContactList | None = None
    segments: tuple[Segment, ...] = ()
    segment_run: int = 1
    people: tuple[Person, ...] = ()

    def __post_init__(self) -> None:
        if not self.shifts or any(shift.agents < 0 for shift in self.shifts):
            raise ValueError("a floor needs at least one shift, with no negative number of agents")
        if not self.endings or sum(ending.share for ending in self.endings) <= 0.0:
            raise ValueError("a floor needs at least one ending with a positive share")
        if self.ring_timeout_s is None and any(ending.after is None for ending in self.endings):
            raise ValueError("an ending that rings until the time-out needs ring_timeout_s")
        times = [time for time, _ in self.mix]
        if times != sorted(times):
            raise ValueError(f"mix must be in order of time, not {times}")
        if any(len(shares) != len(self.endings) or sum(shares) <= 0.0 or min(shares) < 0.0 for _, shares in self.mix):
            raise ValueError("each mix needs one share for each ending, none negative and not all of them 0")
        if self.segments and sum(segment.share for segment in self.segments) <= 0.0:
            raise ValueError("segments need a positive share for at least one of them")
        if self.segment_run < 1:
            raise ValueError(f"segment_run must be at least 1, not {self.segment_run}")
        if [person.at_s for person in self.people] != sorted(person.at_s for person in self.people):
            raise ValueError("people must be in the order in which they were called")


def markov(*, agents: int, handle_s: float, ring_s: float, answer: float, hours: float) -> Floor:
    """The loss model with exponential clocks that the theory solves.

    No wrap-up, nobody waits, and answers take as long as failures.
    """
    ring = Exponential(ring_s)
    return Floor(
        shifts=(Shift(agents=agents),),
        answer=Steps(answer),
        rings=ring,
        endings=(Ending(outcome=Outcome.FAILED, share=1.0, after=ring),),
        talk=Exponential(handle_s),
        wrapup=None,
        ring_timeout_s=None,
        connect_within_s=0.0,
        hours=hours,
    )
