"""A day that was really called, as a floor: the same people and agents, and what came of it beside what might have.

The n-th call of a simulation meets the n-th person who was really called, with their own time of ringing, outcome, talk
and wrap-up. What the record cannot know is filled in from what it does: somebody who was abandoned would have talked as
long as somebody served at that hour.
"""

from __future__ import annotations

import itertools
import math
import statistics
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pacing.contract import Outcome
from pacing.distributions import Observed
from pacing.floor import Ending, Floor, Person, Shift, Steps
from pacing.simulate import SLICE_S
from pacing.trials import DayTotals
from pacing.watched import Moment

#: Words of the record in which a live person answered.
LIVE: Final = frozenset({"connected", "abandoned", "hung_up"})
#: Words of the record for calls that nobody answered, and what they are to a pacer.
ENDINGS: Final[Mapping[str, Outcome]] = {
    "machine": Outcome.MACHINE,
    "busy": Outcome.BUSY,
    "rejected": Outcome.BUSY,
    "no_answer": Outcome.NO_ANSWER,
    "invalid": Outcome.INVALID,
    "congestion": Outcome.CONGESTION,
    "failed": Outcome.FAILED,
}
#: Words that say nothing about whoever was called: such calls are left out.
SILENT: Final = frozenset({"cancelled", "lost"})
#: An agent who did nothing for longer than this was away.
GAP_S: Final = 900.0
_LONGEST_DAY_S: Final = 24 * 3_600.0
_LONGEST_CALL_S: Final = 6 * 3_600.0
#: Where wrap-up is not on record: this share of the gaps between an agent's calls are shorter than it.
_WRAPUP_QUANTILE: Final = 0.03
_MOST_WRAPUP_S: Final = 120.0
_FIRST_ANSWERS: Final = 200
_MINUTE_S: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRow:
    """One call of the record; moments in seconds on any clock.

    Attributes:
        start_s, end_s: Of the call.
        answer_s: When a live person or a machine answered; None where nobody did.
        connect_s: When the agent had the person; None: at the answer.
        outcome: A word of `LIVE`, `ENDINGS` or `SILENT`.
        agent: Who talked; "" where nobody did.
        wrapup_s: Of that agent after the call; None where it is not on record.
        line: Where the row stands, for people.
    """

    start_s: float
    answer_s: float | None
    end_s: float
    outcome: str
    agent: str = ""
    connect_s: float | None = None
    wrapup_s: float | None = None
    line: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Yesterday:
    """A day of the record, ready to be simulated.

    Attributes:
        floor: Its people and agents.
        begins_s: Second 0 of the floor on the record's clock.
        really: What came of it.
        moments: The same, minute by minute.
        set_aside: Rows that could not be used, by reason, with the first of each.
        wrapup_s: The wrap-up reckoned with where none is on record; None where it was not needed.
    """

    floor: Floor
    begins_s: float
    really: DayTotals
    moments: tuple[Moment, ...]
    agents: int
    set_aside: Mapping[str, tuple[int, str]]
    wrapup_s: float | None


class NothingToReplay(ValueError):
    """The record holds no day that can be simulated; the text says what is missing."""


def yesterday(rows: Iterable[CallRow], *, connect_within_s: float = 2.0, wrapup_s: float | None = None) -> Yesterday:
    """The floor of a record.

    Args:
        rows: Calls in any order.
        connect_within_s: What the law allows, for simulations of it.
        wrapup_s: Mean wrap-up where it is not on record; None: taken from the gaps between an agent's calls.

    Raises:
        NothingToReplay: no usable calls, no live answers or no agents, or more than a day.
    """
    usable, set_aside = _usable(rows)
    if not usable:
        raise NothingToReplay(f"no call can be replayed{_why(set_aside)}")
    usable.sort(key=lambda row: row.start_s)
    begins_s = usable[0].start_s
    ends_s = max(row.end_s for row in usable)
    if ends_s - begins_s > _LONGEST_DAY_S:
        raise NothingToReplay(
            f"the calls span {(ends_s - begins_s) / 3_600:.0f} hours: a replay is of one day, at most 24 hours"
        )
    served = [row for row in usable if row.outcome == "connected"]
    if not served:
        raise NothingToReplay(f"nobody talked with an agent: there is no floor to replay{_why(set_aside)}")
    by_agent = _without_overlaps(served, set_aside)
    if not any(row.outcome == "connected" for agent in by_agent.values() for row in agent):
        raise NothingToReplay(f"no talk can be used{_why(set_aside)}")
    known = [row.wrapup_s for row in served if row.wrapup_s is not None]
    assumed = None
    if len(known) < len(served):
        # Once part of the wrap-ups are on record, they say more than gaps do.
        found = statistics.fmean(known) if known else _wrapup_from_gaps(by_agent)
        assumed = found if wrapup_s is None else wrapup_s
    talks = _Talks(by_agent, assumed or 0.0)
    people = tuple(_person(row, begins_s, talks) for row in usable)
    shifts, busy = _presence(by_agent, begins_s, assumed or 0.0)
    staffed_s, busy_s = (
        sum(shift.ends_s - shift.begins_s for shift in shifts),
        sum(last - first for first, last in busy),
    )
    length_s = max(ends_s - begins_s, *(shift.ends_s for shift in shifts))
    return Yesterday(
        floor=_floor(people, shifts, length_s, connect_within_s),
        begins_s=begins_s,
        really=_really(usable, begins_s, length_s, busy_s, staffed_s),
        moments=_moments(usable, begins_s, length_s, shifts, busy),
        agents=len(by_agent),
        set_aside=dict(set_aside),
        wrapup_s=assumed,
    )


def _usable(rows: Iterable[CallRow]) -> tuple[list[CallRow], dict[str, tuple[int, str]]]:
    set_aside: dict[str, tuple[int, str]] = {}
    usable = []
    for row in rows:
        reason = _refusal(row)
        if reason:
            _aside(set_aside, reason, row)
        else:
            usable.append(row)
    return usable, set_aside


def _refusal(row: CallRow) -> str:
    moments = [row.start_s, row.end_s, *(at for at in (row.answer_s, row.connect_s) if at is not None)]
    if not all(math.isfinite(at) for at in moments):
        return "a moment that is no number"
    if row.outcome in SILENT:
        return f"{row.outcome}: says nothing about the person called"
    if row.outcome not in LIVE and row.outcome not in ENDINGS:
        return "an outcome that is not known"
    if row.end_s < row.start_s:
        return "ends before it starts"
    if row.end_s - row.start_s > _LONGEST_CALL_S:
        return "lasts longer than six hours"
    if row.answer_s is not None and not row.start_s <= row.answer_s <= row.end_s:
        return "answered before it starts or after it ends"
    if row.outcome in LIVE and row.answer_s is None:
        return "a live person without the moment of the answer"
    if row.outcome == "connected" and not row.agent:
        return "connected without an agent"
    if row.connect_s is not None and not (row.answer_s or row.start_s) <= row.connect_s <= row.end_s:
        return "connected before the answer or after the end"
    if row.wrapup_s is not None and not 0.0 <= row.wrapup_s <= _LONGEST_CALL_S:
        return "a wrap-up that is no number of seconds from 0 to six hours"
    return ""


def _aside(set_aside: dict[str, tuple[int, str]], reason: str, row: CallRow) -> None:
    count, first = set_aside.get(reason, (0, row.line))
    set_aside[reason] = (count + 1, first)


def _why(set_aside: Mapping[str, tuple[int, str]]) -> str:
    if not set_aside:
        return ": the day is empty"
    reasons = ", ".join(
        f"{count} {'call' if count == 1 else 'calls'} {reason}{f' ({first})' if first else ''}"
        for reason, (count, first) in set_aside.items()
    )
    return f": set aside were {reasons}"


def _talk_begin(row: CallRow) -> float:
    begin = row.connect_s if row.connect_s is not None else row.answer_s
    assert begin is not None, "a live call has an answer"
    return begin


def _without_overlaps(served: Sequence[CallRow], set_aside: dict[str, tuple[int, str]]) -> dict[str, list[CallRow]]:
    """Talks by agent, in order; of two at the same time the later one counts as the person's, not as the agent's."""
    by_agent: dict[str, list[CallRow]] = defaultdict(list)
    for row in sorted(served, key=_talk_begin):
        talks = by_agent[row.agent]
        if talks and _talk_begin(row) < talks[-1].end_s - 1e-6:
            _aside(set_aside, "an agent who was in another talk: counted for the person, not for the agent", row)
            continue
        talks.append(row)
    return by_agent


def _wrapup_from_gaps(by_agent: Mapping[str, Sequence[CallRow]]) -> float:
    """What the shortest gaps between an agent's calls look like: wrap-up and hardly any waiting."""
    gaps = [
        _talk_begin(after) - before.end_s
        for talks in by_agent.values()
        for before, after in itertools.pairwise(talks)
        if _talk_begin(after) - before.end_s <= GAP_S
    ]
    if not gaps:
        return 0.0
    gaps.sort()
    return min(gaps[int(_WRAPUP_QUANTILE * (len(gaps) - 1))], _MOST_WRAPUP_S)


class _Talks:
    """Talk and wrap-up of whoever was served nearest in time: for those who were not."""

    def __init__(self, by_agent: Mapping[str, Sequence[CallRow]], assumed_s: float) -> None:
        served = sorted((row for talks in by_agent.values() for row in talks), key=_talk_begin)
        self._times = [_talk_begin(row) for row in served]
        self._rows = served
        self._assumed_s = assumed_s
        self._used: Counter[int] = Counter()

    def of(self, row: CallRow) -> tuple[float, float]:
        """Talk and wrap-up of a served person."""
        return row.end_s - _talk_begin(row), self._assumed_s if row.wrapup_s is None else row.wrapup_s

    def near(self, at_s: float) -> tuple[float, float]:
        """Of somebody served at about this moment: each of the nearest in turn, so that no one talk stands for many."""
        place = bisect_left(self._times, at_s)
        nearby = range(max(place - 3, 0), min(place + 3, len(self._rows))) or range(len(self._rows))
        chosen = min(nearby, key=lambda index: (self._used[index], abs(self._times[index] - at_s)))
        self._used[chosen] += 1
        return self.of(self._rows[chosen])


def _person(row: CallRow, begins_s: float, talks: _Talks) -> Person:
    at_s = row.start_s - begins_s
    if row.outcome not in LIVE:
        ended_s = row.answer_s if row.outcome == "machine" and row.answer_s is not None else row.end_s
        return Person(at_s=at_s, outcome=ENDINGS[row.outcome], after_s=ended_s - row.start_s)
    assert row.answer_s is not None, "checked in _refusal"
    talk_s, wrapup_s = talks.of(row) if row.outcome == "connected" else talks.near(row.answer_s)
    return Person(
        at_s=at_s,
        outcome=None,
        after_s=row.answer_s - row.start_s,
        talk_s=talk_s,
        wrapup_s=wrapup_s,
        patience_s=row.end_s - row.answer_s if row.outcome == "hung_up" else math.inf,
    )


def _presence(
    by_agent: Mapping[str, Sequence[CallRow]], begins_s: float, assumed_s: float
) -> tuple[tuple[Shift, ...], list[tuple[float, float]]]:
    """Shifts from each agent's first to last activity, in pieces where there is a gap; and when they were busy.

    The gap before the first talk is not on record: an agent is there half a mean gap before it.
    """
    gaps = [
        max(_talk_begin(after) - before.end_s, 0.0)
        for talks in by_agent.values()
        for before, after in itertools.pairwise(talks)
        if _talk_begin(after) - before.end_s <= GAP_S
    ]
    lead_s = statistics.fmean(gaps) / 2.0 if gaps else 0.0
    shifts: list[Shift] = []
    busy: list[tuple[float, float]] = []
    for talks in by_agent.values():
        pieces: list[list[float]] = []
        for place, row in enumerate(talks):
            begin = _talk_begin(row)
            wrapped = row.end_s + (assumed_s if row.wrapup_s is None else row.wrapup_s)
            if place + 1 < len(talks):
                # Whoever is in the next talk has done with the last one.
                wrapped = min(wrapped, max(_talk_begin(talks[place + 1]), row.end_s))
            busy.append((begin - begins_s, wrapped - begins_s))
            if pieces and begin - pieces[-1][1] <= GAP_S:
                pieces[-1][1] = wrapped
            else:
                pieces.append([max(begin - lead_s, begins_s), wrapped])
        for first, last in pieces:
            if last > first:
                shifts.append(Shift(agents=1, begins_s=first - begins_s, ends_s=last - begins_s))
    if not shifts:
        raise NothingToReplay("every talk lasted no time at all: there is no floor to replay")
    return tuple(shifts), busy


def _moments(
    rows: Sequence[CallRow],
    begins_s: float,
    length_s: float,
    shifts: Sequence[Shift],
    busy: Sequence[tuple[float, float]],
) -> tuple[Moment, ...]:
    """What the floor was like, minute by minute."""
    spans = max(math.ceil(length_s / _MINUTE_S), 1)

    def mean(intervals: Iterable[tuple[float, float]]) -> list[float]:
        found = [0.0] * spans
        for first, last in intervals:
            for place in range(int(first // _MINUTE_S), min(int(last // _MINUTE_S), spans - 1) + 1):
                found[place] += min(last, (place + 1) * _MINUTE_S) - max(first, place * _MINUTE_S)
        # The last one ends with the day.
        widths = [_MINUTE_S] * (spans - 1) + [max(length_s - (spans - 1) * _MINUTE_S, 1.0)]
        return [value / width for value, width in zip(found, widths, strict=True)]

    def ringing(row: CallRow) -> tuple[float, float]:
        return row.start_s - begins_s, (row.end_s if row.answer_s is None else row.answer_s) - begins_s

    live = [row for row in rows if row.outcome in LIVE and row.answer_s is not None]
    waiting = mean(
        ((row.answer_s or 0.0) - begins_s, (_talk_begin(row) if row.outcome == "connected" else row.end_s) - begins_s)
        for row in live
    )
    in_flight, working = mean(map(ringing, rows)), mean(busy)
    present = mean((shift.begins_s, shift.ends_s) for shift in shifts)
    answered, abandoned = [0] * spans, [0] * spans
    for row in live:
        place = min(int(((row.answer_s or 0.0) - begins_s) // _MINUTE_S), spans - 1)
        answered[place] += 1
        abandoned[place] += row.outcome == "abandoned"
    return tuple(
        Moment(
            at_s=(place + 1) * _MINUTE_S,
            idle=max(present[place] - working[place], 0.0),
            busy=working[place],
            waiting=waiting[place],
            in_flight=in_flight[place],
            answered=so_far,
            abandoned=lost,
            threshold=0.0,
        )
        for place, (so_far, lost) in enumerate(
            zip(itertools.accumulate(answered), itertools.accumulate(abandoned), strict=True)
        )
    )


def _floor(people: tuple[Person, ...], shifts: tuple[Shift, ...], length_s: float, connect_within_s: float) -> Floor:
    answered = sum(person.outcome is None for person in people)
    longest_s = max(person.after_s for person in people)
    return Floor(
        shifts=shifts,
        answer=Steps(answered / len(people)),
        rings=Observed(tuple(person.after_s for person in people if person.outcome is None)),
        endings=(Ending(outcome=Outcome.NO_ANSWER, share=1.0, after=None),),
        # As long as a pacer can be told that a phone may ring.
        ring_timeout_s=min(longest_s + 1.0, 300.0),
        connect_within_s=connect_within_s,
        hours=max(length_s / 3_600.0, 0.01),
        people=people,
    )


def _really(rows: Sequence[CallRow], begins_s: float, length_s: float, busy_s: float, staffed_s: float) -> DayTotals:
    counts = Counter(row.outcome for row in rows)
    slices = max(math.ceil(length_s / SLICE_S), 1)
    answered, abandoned = [0] * slices, [0] * slices
    live = sorted((row for row in rows if row.outcome in LIVE), key=lambda row: row.answer_s or 0.0)
    for row in live:
        assert row.answer_s is not None, "checked in _refusal"
        place = min(int((row.answer_s - begins_s) // SLICE_S), slices - 1)
        answered[place] += 1
        abandoned[place] += row.outcome == "abandoned"
    return DayTotals(
        seed=0,
        dialed=len(rows),
        answered=len(live),
        abandoned=counts["abandoned"],
        connected=counts["connected"],
        hung_up=counts["hung_up"],
        busy_s=busy_s,
        staffed_s=staffed_s,
        ended_s=length_s,
        first_answers_abandoned=sum(row.outcome == "abandoned" for row in live[:_FIRST_ANSWERS]),
        slice_answered=tuple(answered),
        slice_abandoned=tuple(abandoned),
    )
