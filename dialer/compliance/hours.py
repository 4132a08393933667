"""When it may ring: the calling hours of every rule, clock and calendar that may count, taken together.

A moment is open where each rule in force leaves the minute open which the clocks show, be it the first or the second
time that they show it in a night when they go back. A call may be started where all the time that it may ring is open.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from dialer.compliance.calendar import DAY_S, HolidayCalendar, civil, day_of_ordinal, same_clock, segments, zone_of
from dialer.compliance.own_hours import own_week
from dialer.compliance.rulebook import RuleBook, Seat
from dialer.compliance.rules import Basis, HolidayScope, HoursRule, Mark, Party, Purpose
from dialer.compliance.windows import ALL_DAY, DAYS, Week, Windows, intersection
from dialer.core.saying import NOTHING, Saying, say

#: How far ahead an opening is looked for: a year with all its holidays, and a month.
HORIZON_DAYS: Final = 400
_KEPT_DAYS: Final = 1_000
#: Campaigns differ in it, but not much.
_KEPT_RINGS: Final = 100

#: Ids of what a campaign's own days say.
BEFORE_FIRST_DAY: Final = "before_first_day"
AFTER_LAST_DAY: Final = "after_last_day"
_CLOSED: Final[Week] = ((),) * len(DAYS)

#: Moments, unix seconds, half-open, ascending, none touching another.
Spans = tuple[tuple[int, int], ...]


class Timetable:
    """The versions of one rule of hours, by one clock and with the holidays that may count.

    On a day without version in force it leaves everything open; so it does where one of `unless` is in force.
    """

    def __init__(
        self,
        versions: Sequence[HoursRule],
        zone: str,
        calendars: Sequence[HolidayCalendar],
        unless: Sequence[HoursRule] = (),
    ) -> None:
        self.versions = tuple(versions)
        self.zone: ZoneInfo = zone_of(versions[0].clock or zone)
        self._calendars = tuple(calendars)
        self._unless = tuple(unless)
        self._windows: dict[date, Windows] = {}
        self._open: dict[int, Spans] = {}

    def rule_on(self, day: date) -> HoursRule | None:
        """The version in force on a civil day."""
        if any(rule.in_force(day) for rule in self._unless):
            return None
        return next((rule for rule in self.versions if rule.in_force(day)), None)

    def holiday_on(self, day: date) -> tuple[str, str | None] | None:
        """Name of the holiday, and the subdivision that has it (None: the nation); None: it is none."""
        for calendar in self._calendars:
            if (name := calendar.name(day)) is not None:
                return name, calendar.subdivision
        return None

    def windows_on(self, day: date) -> Windows:
        """What a civil day leaves open. A holiday takes from the windows of its weekday, and never adds to them."""
        try:
            return self._windows[day]
        except KeyError:
            windows = self._windows_on(day)
            if len(self._windows) > _KEPT_DAYS:
                self._windows.clear()
            self._windows[day] = windows
            return windows

    def _windows_on(self, day: date) -> Windows:
        rule = self.rule_on(day)
        if rule is None:
            return ALL_DAY
        windows = rule.week[day.weekday()]
        if rule.holiday is not None and windows and self.holiday_on(day) is not None:
            return intersection(windows, rule.holiday)
        return windows

    def open_in(self, utc_day: int) -> Spans:
        """What is open of a UTC day (days since 1970)."""
        try:
            return self._open[utc_day]
        except KeyError:
            found: list[tuple[int, int]] = []
            for start, end, offset in segments(self.zone, utc_day):
                for ordinal in range((start + offset) // DAY_S, (end + offset - 1) // DAY_S + 1):
                    midnight = ordinal * DAY_S - offset
                    for window in self.windows_on(day_of_ordinal(ordinal)):
                        opens = max(start, midnight + window.start * 60)
                        closes = min(end, midnight + window.end * 60)
                        if opens < closes:
                            found.append((opens, closes))
            spans = _merged(sorted(found))
            if len(self._open) > _KEPT_DAYS:
                self._open.clear()
            self._open[utc_day] = spans
            return spans

    def reason(self, at: float, ring_s: float) -> tuple[HoursRule, str] | None:
        """The rule that forbids to start a call, and why in a few words; None: this timetable allows it."""
        if _starts(self._ahead(at), at, ring_s) == at:
            return None
        here = civil(self.zone, at)
        minute = here.hour * 60 + here.minute
        windows = self.windows_on(here.date())
        rule = self.rule_on(here.date())
        if rule is None or any(w.start <= minute < w.end for w in windows):
            # Open now, but not for as long as it may ring.
            later = civil(self.zone, at + ring_s)
            closing = rule or self.rule_on(later.date()) or self.versions[-1]
            return closing, f"less than a ring of {ring_s:g} s is left of {here:%A}'s calling hours"
        holiday = self.holiday_on(here.date()) if rule.holiday is not None else None
        if not rule.week[here.weekday()]:
            return rule, here.strftime("%A")
        if holiday is not None and windows != rule.week[here.weekday()]:
            name, subdivision = holiday
            return rule, f"holiday ({name}{', ' + subdivision if subdivision else ''})"
        if minute < windows[0].start:
            return rule, f"{here:%A} before {_hour(windows[0].start)}"
        if minute >= windows[-1].end:
            return rule, f"{here:%A} after {_hour(windows[-1].end)}"
        return rule, f"{here:%A} between calling hours"

    def _ahead(self, at: float) -> Iterator[tuple[int, int]]:
        return _joined(self.open_in(day) for day in _days(at))

    def ever_opens(self, at: float, ring_s: float) -> bool:
        """Whether a call could be started by this timetable alone, within the horizon."""
        return _starts(self._ahead(at), at, ring_s) is not None


@dataclass(frozen=True, slots=True)
class Opening:
    """Whether a call may be started at a moment."""

    #: Exactly the moment asked about where it may; else the first later one at which it may; None: see `never`.
    at: float | None
    #: Last moment, included, of the unbroken time of starting calls that begins with `at`.
    until: float | None
    #: Why it will not be possible within the horizon; nothing where it will.
    never: Saying = NOTHING


class CallingHours:
    """All timetables that count for one person and purpose: what they allow together."""

    def __init__(self, timetables: Iterable[Timetable]) -> None:
        self.timetables = tuple(timetables)
        self._open: dict[int, Spans] = {}
        #: By how long it may ring: since when it is known that it never opens, and why. Looking for that takes
        #: milliseconds, and whole lists have the same hours.
        self._shut: dict[float, tuple[float, Saying]] = {}

    def open_in(self, utc_day: int) -> Spans:
        """What all of them leave open of a UTC day (days since 1970)."""
        try:
            return self._open[utc_day]
        except KeyError:
            spans: Spans = ((utc_day * DAY_S, (utc_day + 1) * DAY_S),)
            for timetable in self.timetables:
                if not spans:
                    break
                spans = _common(spans, timetable.open_in(utc_day))
            if len(self._open) > _KEPT_DAYS:
                self._open.clear()
            self._open[utc_day] = spans
            return spans

    def opening(self, at: float, ring_s: float) -> Opening:
        """The first moment from `at` on at which a call that may ring for `ring_s` seconds may be started."""
        known = self._shut.get(ring_s)
        # Asked later on the same day there is nothing else to look at.
        if known is not None and known[0] <= at < (known[0] // DAY_S + 1) * DAY_S:
            return Opening(None, None, known[1])
        for start, end in _joined(self.open_in(day) for day in _days(at)):
            first = max(at, start)
            if _fits(first, end, ring_s):
                return Opening(first, end - ring_s)
        never = self._never(at, ring_s)
        if len(self._shut) > _KEPT_RINGS:
            self._shut.clear()
        self._shut[ring_s] = at, never
        return Opening(None, None, never)

    def allowed(self, at: float, ring_s: float) -> bool:
        """Whether a call may be started at `at`."""
        spans = self.open_in(int(at // DAY_S))
        for start, end in spans:
            if start <= at < end:
                # One that ends with the UTC day goes on in the next, perhaps.
                return _fits(at, end, ring_s) or (end % DAY_S == 0 and self.opening(at, ring_s).at == at)
        return False

    def reasons(self, at: float, ring_s: float) -> list[tuple[Timetable, HoursRule, str]]:
        """Which timetables forbid to start a call at `at`, by which rule, and why; each rule once."""
        found: dict[str, tuple[Timetable, HoursRule, str]] = {}
        for timetable in self.timetables:
            reason = timetable.reason(at, ring_s)
            if reason is not None:
                found.setdefault(reason[0].version, (timetable, *reason))
        return list(found.values())

    def _never(self, at: float, ring_s: float) -> Saying:
        span = f"within {HORIZON_DAYS} days"
        left: list[Spans] = [((day * DAY_S, (day + 1) * DAY_S),) for day in _days(at)]
        for place, timetable in enumerate(self.timetables):
            if not timetable.ever_opens(at, ring_s):
                rule = timetable.rule_on(civil(timetable.zone, at).date()) or timetable.versions[-1]
                if rule.id == AFTER_LAST_DAY:
                    return say("the campaign's last day has passed", code="after_last_day")
                return say(
                    f"{rule.version} leaves no time in which a call could ring for {ring_s:g} s {span}",
                    code="hours_too_short",
                    rule=rule.version,
                    ring_s=ring_s,
                    days=HORIZON_DAYS,
                )
            left = [_common(spans, timetable.open_in(day)) for spans, day in zip(left, _days(at), strict=True)]
            if _starts(_joined(left), at, ring_s) is not None:
                continue
            for other in self.timetables[:place]:
                both = (_common(other.open_in(day), timetable.open_in(day)) for day in _days(at))
                if _starts(_joined(both), at, ring_s) is None:
                    ids = [f"{one.versions[-1].id} ({one.zone.key})" for one in (other, timetable)]
                    return say(
                        f"{' and '.join(ids)} contradict each other: no moment {span} is within the hours of both",
                        code="hours_contradict",
                        rules=ids,
                        days=HORIZON_DAYS,
                    )
            break
        return say(f"no moment {span} is within the hours of all rules together", code="hours_never", days=HORIZON_DAYS)


def calling_hours(
    book: RuleBook,
    seats: Sequence[Seat],
    zones: Sequence[str],
    purpose: Purpose,
    party: Party,
    bases: frozenset[Basis] = frozenset(),
    *,
    called_seats: int = 1,
) -> CallingHours:
    """The hours of all `seats` by all `zones`.

    The first `called_seats` are those where the person may be, the others those of centre and campaign. A rule of some
    subdivisions alone goes by the clocks that these have, for who is elsewhere is not its concern; unless it is that
    of a centre, whose rules go with its calls to wherever the person is.

    The policy counts on days on which the country of the first seat has no rule for all of it. A rule that one of
    `bases` lifts is left out.
    """
    timetables: list[Timetable] = []
    nationwide: list[HoursRule] = []
    for place, seat in enumerate(seats):
        own = book.rules(HoursRule, [seat], purpose, party)
        if place == 0:
            nationwide = [rule for rule in own if not rule.where]
        timetables += _timetables(own, seat, zones, bases, there=place < called_seats)
    policy = book.policy_rules(HoursRule, purpose, party)
    timetables += _timetables(policy, seats[0], zones, bases, unless=nationwide)
    return CallingHours(timetables)


@lru_cache(maxsize=1_024)
def own_timetables(hours: tuple[str, ...], zones: tuple[str, ...]) -> tuple[Timetable, ...]:
    """A campaign's or a number's own hours (`dialer.compliance.own_hours`), by each clock that may be the person's."""
    rule = _own_rule("own_hours", own_week(hours))
    return tuple(Timetable([rule], zone, ()) for zone in zones)


@lru_cache(maxsize=1_024)
def day_timetables(first: date | None, last: date | None, zones: tuple[str, ...]) -> tuple[Timetable, ...]:
    """The days of a campaign, both included, by each clock that may be the person's; all others are closed."""
    rules = []
    if first is not None:
        rules.append(_own_rule(BEFORE_FIRST_DAY, _CLOSED, until_day=first))
    if last is not None:
        rules.append(_own_rule(AFTER_LAST_DAY, _CLOSED, from_day=last + timedelta(days=1)))
    return tuple(Timetable(rules, zone, ()) for zone in zones) if rules else ()


def _own_rule(id: str, week: Week, *, from_day: date = date.min, until_day: date | None = None) -> HoursRule:
    return HoursRule(
        id=id,
        jurisdiction="",
        from_day=from_day,
        until_day=until_day,
        purposes=frozenset(),
        parties=frozenset(),
        where=frozenset(),
        lifted_by=frozenset(),
        source="",
        mark=Mark.POLICY,
        note="",
        week=week,
        holiday=None,
        holidays=HolidayScope.NATIONAL,
        clock=None,
    )


def _timetables(
    rules: Sequence[HoursRule],
    seat: Seat,
    zones: Sequence[str],
    bases: frozenset[Basis],
    unless: Sequence[HoursRule] = (),
    *,
    there: bool = True,
) -> Iterator[Timetable]:
    by_id: dict[str, list[HoursRule]] = {}
    for rule in rules:
        if not rule.lifted_by & bases:
            by_id.setdefault(rule.id, []).append(rule)
    for versions in by_id.values():
        calendars = _calendars(versions[0], seat)
        clocks = zones[:1] if versions[0].clock else _clocks(versions[0], seat, zones) if there else zones
        for zone in clocks:
            yield Timetable(versions, zone, calendars, unless)


def _clocks(rule: HoursRule, seat: Seat, zones: Sequence[str]) -> Sequence[str]:
    """Those of `zones` that are used where the rule holds; all, where none is (a trusted zone may be elsewhere)."""
    own = [zone for code in sorted(rule.where) for zone in seat.jurisdiction.subdivisions[code].zones]
    year = seat.jurisdiction.reviewed.year
    return [zone for zone in zones if any(same_clock(zone, other, year) for other in own)] or zones


def _calendars(rule: HoursRule, seat: Seat) -> list[HolidayCalendar]:
    calendars = [seat.jurisdiction.calendar(None)]
    if rule.holidays is HolidayScope.REGIONAL:
        within = seat.subdivisions & rule.where if rule.where else seat.subdivisions
        calendars += [seat.jurisdiction.calendar(code) for code in sorted(within)]
    return list(dict.fromkeys(calendar for calendar in calendars if calendar is not None))


def _days(at: float) -> range:
    first = int(at // DAY_S)
    return range(first, first + HORIZON_DAYS)


def _fits(start: float, end: float, ring_s: float) -> bool:
    return start < end and start + ring_s <= end


def _starts(spans: Iterable[tuple[int, int]], at: float, ring_s: float) -> float | None:
    for start, end in spans:
        first = max(at, start)
        if _fits(first, end, ring_s):
            return first
    return None


def _joined(days: Iterable[Spans]) -> Iterator[tuple[int, int]]:
    """The spans of successive days, joined where one ends as the next begins."""
    open_start: int | None = None
    open_end = 0
    for spans in days:
        for start, end in spans:
            if open_start is not None and start == open_end:
                open_end = end
                continue
            if open_start is not None:
                yield open_start, open_end
            open_start, open_end = start, end
        if open_start is not None and (not spans or spans[-1][1] % DAY_S):
            yield open_start, open_end
            open_start = None
    if open_start is not None:
        yield open_start, open_end


def _merged(spans: Sequence[tuple[int, int]]) -> Spans:
    merged: list[tuple[int, int]] = []
    for start, end in spans:
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return tuple(merged)


def _common(first: Spans, second: Spans) -> Spans:
    found: list[tuple[int, int]] = []
    i = j = 0
    while i < len(first) and j < len(second):
        start, end = max(first[i][0], second[j][0]), min(first[i][1], second[j][1])
        if start < end:
            found.append((start, end))
        if first[i][1] < second[j][1]:
            i += 1
        else:
            j += 1
    return tuple(found)


def _hour(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"
