"""Which number a call shows: local presence, an even load, a cap a day, and rest for one that people stop answering.

A campaign has a pool of numbers; what they have been used for is counted in one `CallerIdLedger` for all campaigns of
a node, since a carrier that marks a number as a nuisance does not ask which campaign it was.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from dialer.core.ids import Phone
from dialer.core.outcome import Outcome

_DAY_S: Final = 86_400.0
#: Calls that count half after so many more: what carriers and people think of a number changes within days.
_MEMORY_CALLS: Final = 400.0
#: Calls of a number before its answer rate says anything.
_LEAST_CALLS: Final = 60.0
#: A number rests when it is answered a fifth less than the others, and chance would do that once in a thousand times.
_DEVIATIONS: Final = 3.1
_WORSE_BY: Final = 0.8

#: Whether an outcome says that the person called took the call; outcomes that say nothing of it are not here. Whoever
#: does not trust a number does not pick up, refuses, or leaves it to the answering machine.
_TAKEN: Final[Mapping[Outcome, bool]] = {
    Outcome.CONNECTED: True,
    Outcome.ABANDONED: True,
    Outcome.HUNG_UP: True,
    Outcome.MACHINE: False,
    Outcome.BUSY: False,
    Outcome.NO_ANSWER: False,
    Outcome.REJECTED: False,
}


class CallerIdState(StrEnum):
    """Whether calls can be made from a number now."""

    USABLE = "usable"
    #: It has made as many calls today as it may.
    CAPPED = "capped"
    #: People answer it less than the others of its pool.
    RESTING = "resting"


@dataclass(frozen=True, slots=True, kw_only=True)
class CallerId:
    """One number of a campaign's pool."""

    number: Phone
    #: E.164 with the plus sign: numbers that begin like this are preferably called from here. Empty: all alike.
    prefixes: tuple[str, ...] = ()
    #: None: no cap.
    max_calls_per_day: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallerIdStanding:
    """How one number of a pool stands."""

    number: Phone
    state: CallerIdState
    calls_today: int
    max_calls_per_day: int | None
    #: Share of its latest calls that people took; None before any has ended.
    answer_rate: float | None
    #: Unix seconds; None where it does not rest.
    rests_until: float | None


@dataclass(slots=True)
class _Use:
    """What became of the calls from one number."""

    day: int = -1
    today: int = 0
    #: Fading counts.
    ended: float = 0.0
    answered: float = 0.0
    rests_until: float = -math.inf


@dataclass(slots=True)
class CallerIdLedger:
    """How much each number has been used, and how it fares.

    Attributes:
        utc_offset_s: of the zone in which a day begins.
        rest_s: how long a number rests.
    """

    utc_offset_s: float = 0.0
    rest_s: float = _DAY_S
    _uses: dict[Phone, _Use] = field(default_factory=dict)

    def choose(self, pool: Sequence[CallerId], phone: Phone, now: float) -> CallerId | None:
        """The number to call `phone` from; None where all have reached their cap or rest.

        The longest prefix in common wins; among equals the one used least today, in the order of the pool.
        """
        best: CallerId | None = None
        best_near, least = 0, 0
        day = self._day(now)
        # Asked before every call, of hundreds of numbers: plain comparisons, and prefixes looked at where one fits.
        for candidate in pool:
            use = self._use_on(candidate.number, day)
            if now < use.rests_until:
                continue
            if candidate.max_calls_per_day is not None and use.today >= candidate.max_calls_per_day:
                continue
            near = 0
            if candidate.prefixes and phone.startswith(candidate.prefixes):
                near = max(len(prefix) for prefix in candidate.prefixes if phone.startswith(prefix))
            if best is None or near > best_near or (near == best_near and use.today < least):
                best, best_near, least = candidate, near, use.today
        return best

    def left(self, pool: Sequence[CallerId], now: float) -> float:
        """Calls that may still be made from these numbers today; infinite where one of them has no cap."""
        calls = 0
        day = self._day(now)
        for one in pool:
            use = self._use_on(one.number, day)
            if now >= use.rests_until:
                if one.max_calls_per_day is None:
                    return math.inf
                calls += max(0, one.max_calls_per_day - use.today)
        return calls

    def started(self, number: Phone, now: float) -> None:
        """A call from it was started, or is about to be."""
        self._use(number, now).today += 1

    def not_started(self, number: Phone | None, now: float) -> None:
        """The call that was about to be was not started after all."""
        if number is not None:
            use = self._use(number, now)
            use.today = max(0, use.today - 1)

    def call_ended(self, pool: Sequence[CallerId], number: Phone | None, outcome: Outcome, now: float) -> bool:
        """A call from it ended like this; whether the number rests from now on (see `ended`)."""
        taken = _TAKEN.get(outcome)
        return number is not None and taken is not None and self.ended(pool, number, now, answered=taken)

    def ended(self, pool: Sequence[CallerId], number: Phone, now: float, *, answered: bool) -> bool:
        """A call from it ended after it had been answered, or not; whether the number rests from now on.

        It is compared with the others of its pool. The last one that does not rest is never sent to rest: calling less
        is a decision for people.
        """
        use = self._use(number, now)
        keep = 1.0 - 1.0 / _MEMORY_CALLS
        use.ended = use.ended * keep + 1.0
        use.answered = use.answered * keep + answered
        if use.ended < _LEAST_CALLS or now < use.rests_until:
            return False
        day = self._day(now)
        others = [self._use_on(other.number, day) for other in pool if other.number != number]
        awake = [other for other in others if now >= other.rests_until]
        ended = sum(other.ended for other in awake)
        if ended < _LEAST_CALLS:
            return False
        usual = sum(other.answered for other in awake) / ended
        # Both rates are estimates: the spread of their difference.
        spread = math.sqrt(usual * (1.0 - usual) * (1.0 / use.ended + 1.0 / ended))
        rate = use.answered / use.ended
        if rate >= usual * _WORSE_BY or rate >= usual - _DEVIATIONS * spread:
            return False
        use.rests_until = now + self.rest_s
        # Afterwards it begins anew.
        use.ended = use.answered = 0.0
        return True

    def used_today(self, number: Phone, now: float) -> int:
        """Calls from it since the day began."""
        return self._use(number, now).today

    def rests(self, number: Phone, now: float) -> bool:
        """Whether it rests."""
        return now < self._use(number, now).rests_until

    def standing(self, pool: Sequence[CallerId], now: float) -> list[CallerIdStanding]:
        """How each number of a pool stands, in its order."""
        return [self._standing(one, now) for one in pool]

    def _standing(self, one: CallerId, now: float) -> CallerIdStanding:
        use = self._use(one.number, now)
        state = CallerIdState.USABLE
        if now < use.rests_until:
            state = CallerIdState.RESTING
        elif one.max_calls_per_day is not None and use.today >= one.max_calls_per_day:
            state = CallerIdState.CAPPED
        return CallerIdStanding(
            number=one.number,
            state=state,
            calls_today=use.today,
            max_calls_per_day=one.max_calls_per_day,
            answer_rate=use.answered / use.ended if use.ended else None,
            rests_until=use.rests_until if now < use.rests_until else None,
        )

    def day_began(self, now: float) -> float:
        """Unix seconds at which the present day began."""
        return (now + self.utc_offset_s) // _DAY_S * _DAY_S - self.utc_offset_s

    def restore(self, number: Phone, calls_today: int, now: float) -> None:
        """Calls of today that are on record, of earlier processes and other nodes; what is known is not added again."""
        use = self._use(number, now)
        use.today = max(use.today, calls_today)

    def _day(self, now: float) -> int:
        return int((now + self.utc_offset_s) // _DAY_S)

    def _use(self, number: Phone, now: float) -> _Use:
        return self._use_on(number, self._day(now))

    def _use_on(self, number: Phone, day: int) -> _Use:
        use = self._uses.get(number)
        if use is None:
            use = self._uses[number] = _Use()
        # A clock that is set back does not begin the day again.
        if day > use.day:
            use.day, use.today = day, 0
        return use
