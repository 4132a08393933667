"""Calling hours against an oracle that looks at every minute: random rules, zones, and nights when clocks change."""

from __future__ import annotations

from datetime import UTC, date, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from dialer.compliance.calendar import HolidayCalendar, segments
from dialer.compliance.hours import CallingHours, Timetable
from dialer.compliance.windows import Window, Windows, intersection
from tests.compliance_rules import hours_rule

#: With clocks that change at two, at midnight, by half an hour, by a whole day, and never.
ZONES = (
    "Europe/Madrid",
    "Atlantic/Canary",
    "America/New_York",
    "America/Sao_Paulo",
    "America/St_Johns",
    "America/Asuncion",
    "America/Havana",
    "America/Scoresbysund",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "Pacific/Apia",
    "UTC",
)
#: Days around which some of them change their clocks, holidays, ordinary days, and the day that Samoa left out.
DAYS = (
    date(2026, 3, 29),
    date(2026, 10, 25),
    date(2026, 3, 8),
    date(2026, 11, 1),
    date(2018, 11, 4),
    date(2018, 2, 18),
    date(2026, 4, 5),
    date(2026, 10, 4),
    date(2026, 12, 31),
    date(2011, 12, 30),
    date(2026, 6, 15),
)
MINUTES = 2 * 24 * 60

minutes = st.integers(0, 24 * 60)


@st.composite
def windows(draw: st.DrawFn) -> Windows:
    """Up to three windows of a day."""
    points = sorted(draw(st.sets(minutes, max_size=6)))
    points = points[: len(points) // 2 * 2]
    return tuple(Window(a, b) for a, b in zip(points[::2], points[1::2], strict=True))


@st.composite
def timetables(draw: st.DrawFn) -> Timetable:
    """One or two versions of a rule by one clock."""
    zone = draw(st.sampled_from(ZONES))
    change = draw(st.sampled_from(DAYS))
    day_windows = draw(st.lists(windows(), min_size=7, max_size=7))
    holiday = draw(st.none() | windows())
    rule = hours_rule(tuple(day_windows), holiday=holiday, from_day=date(2000, 1, 1))
    versions = [rule]
    if draw(st.booleans()):
        later = draw(st.lists(windows(), min_size=7, max_size=7))
        versions = [
            hours_rule(tuple(day_windows), holiday=holiday, from_day=date(2000, 1, 1), until_day=change),
            hours_rule(tuple(later), holiday=holiday, from_day=change),
        ]
    added = {draw(st.sampled_from(DAYS)): "holiday"}
    return Timetable(versions, zone, [HolidayCalendar("ES", added=added)])


def open_at(timetable: Timetable, at: int) -> bool:
    """What the clock on the wall says, minute by minute."""
    here = datetime.fromtimestamp(at, timetable.zone)
    rules = [rule for rule in timetable.versions if rule.in_force(here.date())]
    if not rules:
        return True
    allowed = rules[0].week[here.weekday()]
    if rules[0].holiday is not None and timetable.holiday_on(here.date()):
        allowed = intersection(allowed, rules[0].holiday)
    minute = here.hour * 60 + here.minute
    return any(window.start <= minute < window.end for window in allowed)


@settings(max_examples=60, deadline=None)
@given(
    tables=st.lists(timetables(), min_size=1, max_size=3),
    day=st.sampled_from(DAYS),
    ring_minutes=st.integers(1, 90),
    start_minute=st.integers(0, 24 * 60),
)
def test_hours_are_those_of_every_minute(
    tables: list[Timetable], day: date, ring_minutes: int, start_minute: int
) -> None:
    hours = CallingHours(tables)
    midnight = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())
    begin = midnight - 12 * 3600 + start_minute * 60
    wall = [all(open_at(table, begin + 60 * i) for table in tables) for i in range(MINUTES + ring_minutes)]
    closed_ahead = len(wall)
    allowed = [False] * MINUTES
    for i in reversed(range(len(wall))):
        closed_ahead = closed_ahead if wall[i] else i
        if i < MINUTES:
            allowed[i] = closed_ahead - i >= ring_minutes
    ring_s = ring_minutes * 60.0
    first = next((i for i, one in enumerate(allowed) if one), None)
    opening = hours.opening(begin, ring_s)
    if first is not None:
        assert opening.at == begin + 60 * first
        assert opening.until is not None
        last = first
        while last + 1 < MINUTES and allowed[last + 1]:
            last += 1
        assert last == MINUTES - 1 or opening.until == begin + 60 * last
    else:
        assert opening.at is None or opening.at >= begin + 60 * MINUTES
        assert (opening.at is None) == bool(opening.never)
    for i in range(0, MINUTES, 7):
        at = begin + 60 * i
        assert hours.allowed(at, ring_s) == allowed[i]
        assert bool(hours.reasons(at, ring_s)) != allowed[i]


@settings(max_examples=150, deadline=None)
@given(zone=st.sampled_from(ZONES), day=st.integers(14_000, 22_500))
def test_segments_cover_a_day_with_the_offset_of_each_moment(zone: str, day: int) -> None:
    parts = segments(ZoneInfo(zone), day)
    assert parts[0][0] == day * 86_400
    assert parts[-1][1] == (day + 1) * 86_400
    assert all(one[1] == other[0] for one, other in pairwise(parts))
    for start, end, offset in parts:
        for at in {start, (start + end) // 2, end - 1}:
            told = datetime.fromtimestamp(at, ZoneInfo(zone)).utcoffset()
            assert told is not None
            assert told.total_seconds() == offset


#: Those of an office that the law never lets be called, but once a year, when its holidays end.
_EVENINGS = tuple((Window(22 * 60, 23 * 60),) for _ in range(7))


@settings(max_examples=15)
@given(
    st.lists(st.tuples(st.sampled_from([0, 3_599, 3_600, 40_000, 86_399, 86_400, 200_000]), st.booleans()), min_size=2),
    st.booleans(),
)
def test_what_is_known_to_be_shut_is_what_a_fresh_look_finds(asked: list[tuple[int, bool]], rarely: bool) -> None:
    """Whatever was asked before, in whatever order, for a long ring or a short one."""
    days = tuple((Window(9 * 60, 21 * 60),) for _ in range(7))
    day = date(2026, 6, 16)
    rules = [hours_rule(days, from_day=date(2000, 1, 1))]
    if rarely:
        # For a single day, on the very day that is asked about.
        rules = [
            hours_rule(days, from_day=date(2000, 1, 1), until_day=day),
            hours_rule(_EVENINGS, from_day=day, until_day=date(2026, 6, 17)),
            hours_rule(days, from_day=date(2026, 6, 17)),
        ]
    own = hours_rule(_EVENINGS, from_day=date(2000, 1, 1))
    tables = [Timetable(rules, "Europe/Madrid", []), Timetable([own], "Europe/Madrid", [])]
    kept = CallingHours(tables)
    begin = int(datetime(2026, 6, 16, tzinfo=ZoneInfo("Europe/Madrid")).timestamp())
    for after_s, long in asked:
        at, ring_s = begin + after_s, 45.0 if long else 20.0
        assert kept.opening(at, ring_s) == CallingHours(tables).opening(at, ring_s)
