"""Calling hours on the days that are hard: clocks that change, holidays, versions, rules that contradict."""

from __future__ import annotations

import time
from datetime import date, datetime
from typing import Any

import pytest

from dialer.compliance.calendar import HolidayCalendar, same_clock
from dialer.compliance.hours import HORIZON_DAYS, CallingHours, Timetable, calling_hours
from dialer.compliance.rules import Basis, HoursRule, Party, Purpose
from dialer.compliance.windows import ALL_DAY, Window
from tests.compliance_rules import book_of, hours_rule, shipped_book, spain_table

NINE_TO_NINE = (Window(540, 1260),)


def at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def hours_of(place: str, zone: str, purpose: Purpose = Purpose.MARKETING, *zones: str) -> CallingHours:
    book = shipped_book()
    return calling_hours(book, [book.named(place)], [zone, *zones], purpose, Party.CONSUMER)


def table(week: Any, zone: str = "Europe/Madrid", **given: Any) -> Timetable:
    return Timetable([hours_rule(week, **given)], zone, [HolidayCalendar("ES")])


def test_no_call_is_started_that_could_still_ring_after_the_hours() -> None:
    hours = hours_of("ES-MD", "Europe/Madrid")
    assert hours.allowed(at("2026-11-23T20:59:35+01:00"), 25)
    assert not hours.allowed(at("2026-11-23T20:59:35.001+01:00"), 25)
    ((_, rule, why),) = hours.reasons(at("2026-11-23T20:59:40+01:00"), 25)
    assert rule.id == "ES-marketing-hours"
    assert "less than a ring of 25 s" in why
    opening = hours.opening(at("2026-11-23T20:59:40+01:00"), 25)
    assert opening.at == at("2026-11-24T09:00:00+01:00")
    assert opening.until == at("2026-11-24T20:59:35+01:00")


@pytest.mark.parametrize(
    ("moment", "why"),
    [
        ("2026-11-22T12:00:00+01:00", "Sunday"),
        ("2026-11-23T08:59:59+01:00", "Monday before 09:00"),
        ("2026-11-23T21:00:00+01:00", "Monday after 21:00"),
        ("2026-12-08T12:00:00+01:00", "holiday (Immaculate Conception)"),
        # The holiday of Madrid is a Saturday: the weekday is the nearer reason.
        ("2026-05-02T12:00:00+02:00", "Saturday"),
    ],
)
def test_reasons_in_words(moment: str, why: str) -> None:
    ((_, _, told),) = hours_of("ES-MD", "Europe/Madrid").reasons(at(moment), 25)
    assert told == why


def test_a_break_at_noon_is_between_hours() -> None:
    ((_, _, why),) = hours_of("FR-MET", "Europe/Paris").reasons(at("2026-11-23T13:30:00+01:00"), 25)
    assert why == "Monday between calling hours"


def test_regional_holidays_count_where_the_person_may_be() -> None:
    diada = at("2026-09-11T12:00:00+02:00")
    assert not hours_of("ES-CT", "Europe/Madrid").allowed(diada, 25)
    assert hours_of("ES-MD", "Europe/Madrid").allowed(diada, 25)
    ((_, _, why),) = hours_of("ES-CT", "Europe/Madrid").reasons(diada, 25)
    assert why.endswith(", CT)")


def test_all_zones_must_agree() -> None:
    hours = hours_of("ES", "Europe/Madrid", Purpose.MARKETING, "Atlantic/Canary")
    assert hours.opening(at("2026-11-23T07:00:00+01:00"), 25).at == at("2026-11-23T10:00:00+01:00")
    assert hours.opening(at("2026-11-23T10:00:00+01:00"), 25).until == at("2026-11-23T20:59:35+01:00")


def test_a_night_in_which_clocks_go_forward_loses_the_hour() -> None:
    """On 2026-03-29 it is never between two and three in Madrid."""
    hours = CallingHours([table(((Window(90, 210),),) * 7)])
    start = at("2026-03-29T01:30:00+01:00")
    assert hours.opening(start, 60).at == start
    assert hours.opening(start, 60).until == at("2026-03-29T03:29:00+02:00")
    assert at("2026-03-29T03:29:00+02:00") - start == 59 * 60
    lost = CallingHours([table(((Window(125, 175),),) * 7)])
    assert lost.opening(start, 60).at == at("2026-03-30T02:05:00+02:00")


def test_a_night_in_which_clocks_go_back_has_the_hour_twice() -> None:
    """On 2026-10-25 it is twice between two and three in Madrid; a window until half past two closes in between."""
    hours = CallingHours([table(((Window(60, 150),),) * 7)])
    first = hours.opening(at("2026-10-25T01:00:00+02:00"), 60)
    assert first.until == at("2026-10-25T02:29:00+02:00")
    again = hours.opening(at("2026-10-25T02:30:00+02:00"), 60)
    assert again.at == at("2026-10-25T02:00:00+01:00")
    assert again.until == at("2026-10-25T02:29:00+01:00")
    whole = CallingHours([table(((Window(60, 240),),) * 7)])
    opening = whole.opening(at("2026-10-25T01:00:00+02:00"), 60)
    assert opening.until is not None
    assert opening.until - at("2026-10-25T01:00:00+02:00") == 4 * 3600 - 60


def test_a_clock_that_jumps_changes_the_answer_and_nothing_else() -> None:
    """The answer depends on the moment alone: asked out of order, or of a moment that has passed, it is the same."""
    hours = hours_of("ES-MD", "Europe/Madrid")
    moments = [at("2026-11-23T12:00:00+01:00"), at("2020-01-02T12:00:00+01:00"), at("2026-11-23T12:00:00+01:00")]
    assert [hours.allowed(moment, 25) for moment in moments] == [True, True, True]
    assert hours.opening(at("2026-11-22T12:00:00+01:00"), 25) == hours.opening(at("2026-11-22T23:59:59+01:00"), 25)


def test_windows_before_and_after_midnight_are_one() -> None:
    late = CallingHours([table(((Window(0, 60), Window(1320, 1440)),) * 7)])
    opening = late.opening(at("2026-11-23T23:59:50+01:00"), 25)
    assert opening.at == at("2026-11-23T23:59:50+01:00")
    assert opening.until == at("2026-11-24T00:59:35+01:00")
    assert late.allowed(at("2026-11-24T00:59:50+01:00"), 5)


def test_versions_change_at_the_midnight_of_the_person() -> None:
    change = date(2026, 11, 24)
    versions = [
        hours_rule((NINE_TO_NINE,) * 7, until_day=change),
        hours_rule(((Window(600, 720),),) * 7, from_day=change),
    ]
    hours = CallingHours([Timetable(versions, "America/New_York", [])])
    assert hours.opening(at("2026-11-23T20:00:00-05:00"), 25).at == at("2026-11-23T20:00:00-05:00")
    opening = hours.opening(at("2026-11-23T21:00:00-05:00"), 25)
    assert opening.at == at("2026-11-24T10:00:00-05:00")
    ((_, rule, _),) = hours.reasons(at("2026-11-24T09:30:00-05:00"), 25)
    assert rule is versions[1]


def test_a_holiday_takes_from_its_weekday_and_never_adds() -> None:
    week = ((NINE_TO_NINE,) * 5) + ((), ())
    hours = CallingHours([table(week, holiday=(Window(480, 600),))])
    assert hours.opening(at("2026-12-08T00:00:00+01:00"), 25).at == at("2026-12-08T09:00:00+01:00")
    assert hours.opening(at("2026-12-08T00:00:00+01:00"), 25).until == at("2026-12-08T09:59:35+01:00")
    # All Saints' is a Sunday in 2026.
    assert hours.opening(at("2026-11-01T00:00:00+01:00"), 25).at == at("2026-11-02T09:00:00+01:00")


def test_rules_that_contradict_say_so_and_do_not_search_for_ever() -> None:
    morning = table(((Window(480, 720),),) * 7, id="TEST-morning")
    evening = table(((Window(720, 1200),),) * 7, id="TEST-evening")
    anything = table((ALL_DAY,) * 7, id="TEST-anything")
    began = time.process_time()
    opening = CallingHours([anything, morning, evening]).opening(at("2026-11-23T12:00:00+01:00"), 25)
    assert time.process_time() - began < 2
    assert opening.at is None
    assert "TEST-morning (Europe/Madrid) and TEST-evening (Europe/Madrid) contradict each other" in opening.never.says


def test_three_rules_that_contradict_only_together() -> None:
    two = [
        (Window(480, 600), Window(720, 840)),
        (Window(720, 840), Window(960, 1080)),
        (Window(480, 600), Window(960, 1080)),
    ]
    tables = [table((windows,) * 7, id=f"TEST-{i}") for i, windows in enumerate(two)]
    assert "all rules together" in CallingHours(tables).opening(at("2026-11-23T12:00:00+01:00"), 25).never.says


def test_a_ring_that_fits_no_window_is_never() -> None:
    opening = CallingHours([table(((Window(540, 541),),) * 7)]).opening(at("2026-11-23T12:00:00+01:00"), 61)
    assert opening.at is None
    assert "could ring for 61 s" in opening.never.says


def test_hours_that_are_always_open_end_with_the_horizon() -> None:
    hours = CallingHours([table((ALL_DAY,) * 7)])
    now = at("2026-11-23T12:00:00+01:00")
    opening = hours.opening(now, 25)
    assert opening.at == now
    assert opening.until is not None
    assert opening.until > now + (HORIZON_DAYS - 2) * 86_400


def test_a_rule_with_a_clock_of_its_own_goes_by_it() -> None:
    """Mississippi says Central time, whatever the person's clock shows."""
    hours = hours_of("US-MS", "America/Chicago")
    assert hours.opening(at("2026-11-23T05:00:00-06:00"), 25).at == at("2026-11-23T08:00:00-06:00")
    abroad = Timetable([hours_rule((NINE_TO_NINE,) * 7, clock="America/Chicago")], "America/New_York", [])
    assert abroad.zone.key == "America/Chicago"


@pytest.mark.parametrize(
    ("state", "zone", "opens"),
    [
        ("KY", "America/New_York", "2026-11-23T10:00:00-05:00"),
        ("CT", "America/New_York", "2026-11-23T09:00:00-05:00"),
        ("NY", "America/New_York", "2026-11-23T08:00:00-05:00"),
        ("TX", "America/Chicago", "2026-11-22T12:00:00-06:00"),
        ("AL", "America/Chicago", "2026-11-23T08:00:00-06:00"),
    ],
)
def test_the_state_and_the_nation_both_count(state: str, zone: str, opens: str) -> None:
    """Asked on a Saturday night after nine: Sundays are closed in some, and open late in others."""
    sunday_too = {"TX": "2026-11-21T23:00:00-06:00"}.get(state, "2026-11-22T22:00:00-05:00")
    assert hours_of(f"US-{state}", zone).opening(at(sunday_too), 25).at == at(opens)


def test_a_rule_of_some_states_goes_by_their_clocks_alone() -> None:
    """Who may be in Florida or in California is not called at half past seven of either; Nevada's nine is no matter."""
    book = shipped_book()
    seat = type(book.named("US"))(book.countries["US"], frozenset({"NV", "NY"}))
    zones = ["America/New_York", "America/Los_Angeles"]
    hours = calling_hours(book, [seat], zones, Purpose.MARKETING, Party.CONSUMER)
    assert {t.zone.key for t in hours.timetables if t.versions[0].id == "US-NV-hours"} == {"America/Los_Angeles"}
    assert hours.opening(at("2026-11-23T04:00:00-08:00"), 25).at == at("2026-11-23T09:00:00-08:00")


def test_a_claim_lifts_only_the_rule_that_says_so() -> None:
    book = shipped_book()
    seat = [book.named("FR-MET")]
    agreed = frozenset({Basis.HOURS_AGREED})
    hours = calling_hours(book, seat, ["Europe/Paris"], Purpose.MARKETING, Party.CONSUMER, agreed)
    assert hours.allowed(at("2026-11-23T21:00:00+01:00"), 25)
    spain = calling_hours(book, [book.named("ES-MD")], ["Europe/Madrid"], Purpose.MARKETING, Party.CONSUMER, agreed)
    assert not spain.allowed(at("2026-11-23T22:00:00+01:00"), 25)


def test_the_policy_ends_where_the_first_nationwide_rule_begins() -> None:
    """Colombia's hours came on 2023-10-10: until then the house policy, which closes at eight and not at seven."""
    hours = hours_of("CO", "America/Bogota")
    assert hours.allowed(at("2023-10-09T19:30:00-05:00"), 25)
    assert not hours.allowed(at("2023-10-10T19:30:00-05:00"), 25)
    assert hours.allowed(at("2023-10-10T07:30:00-05:00"), 25)
    assert not hours.allowed(at("2023-10-09T07:30:00-05:00"), 25)


def test_days_added_and_taken_away_by_a_file() -> None:
    rule = {
        "id": "ES-hours",
        "from": date(2020, 1, 1),
        "purposes": ["marketing"],
        "source": "test",
        "mark": "M",
        "week": {"mon-sun": ["09:00-21:00"], "holiday": []},
    }
    book = book_of(
        spain_table(
            hours=[rule],
            added_holidays=[{"date": date(2026, 5, 15), "name": "San Isidro", "source": "test"}],
            removed_holidays=[{"date": date(2026, 12, 8), "name": "Immaculate", "source": "test"}],
        )
    )
    hours = calling_hours(book, [book.named("ES")], ["Europe/Madrid"], Purpose.MARKETING, Party.CONSUMER)
    ((_, told, why),) = hours.reasons(at("2026-05-15T12:00:00+02:00"), 25)
    assert isinstance(told, HoursRule)
    assert why == "holiday (San Isidro)"
    assert hours.allowed(at("2026-12-08T12:00:00+01:00"), 25)


def test_zones_that_show_the_same() -> None:
    assert same_clock("Europe/Madrid", "Africa/Ceuta", 2026)
    assert same_clock("America/New_York", "US/Eastern", 2026)
    assert not same_clock("America/Phoenix", "America/Denver", 2026)
