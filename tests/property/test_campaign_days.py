"""The days of a campaign against the dates that calendars show: in every zone, in the nights when clocks change."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialer.campaigns import change_campaign, parse_campaign
from dialer.compliance.hours import CallingHours, day_timetables
from dialer.errors import InputError

#: With clocks that go back over midnight, change by half an hour, leave out a whole day, and never change.
ZONES = ("Europe/Madrid", "America/Havana", "America/Santiago", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Kathmandu")
#: Around nights in which some of them change.
DAYS = (date(2026, 10, 25), date(2026, 11, 1), date(2026, 4, 5), date(2024, 4, 7), date(2011, 12, 30))

near = st.builds(
    lambda day, apart: day + timedelta(days=apart),
    st.sampled_from(DAYS),
    st.integers(-2, 2),
)


@given(
    zones=st.lists(st.sampled_from(ZONES), min_size=1, max_size=3, unique=True).map(tuple),
    ends=st.tuples(st.none() | near, st.none() | near),
    day=near,
    second=st.integers(0, 86_399),
    ring_s=st.sampled_from([0.5, 25.0, 59.0]),
)
def test_it_may_ring_only_on_days_that_every_clock_shows(
    zones: tuple[str, ...], ends: tuple[date | None, date | None], day: date, second: int, ring_s: float
) -> None:
    first, last = ends
    hours = CallingHours(day_timetables(first, last, zones))
    at = datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() + second

    def shown(moment: float) -> bool:
        dates = [datetime.fromtimestamp(moment, ZoneInfo(zone)).date() for zone in zones]
        return all((first is None or first <= one) and (last is None or one <= last) for one in dates)

    # A ring is shorter than a minute, and no clock changes within one.
    rings = shown(at) and shown(at + ring_s - 0.001)
    assert hours.allowed(at, ring_s) == rings
    opening = hours.opening(at, ring_s)
    assert (opening.at == at) == rings
    if opening.at is not None:
        assert shown(opening.at)
        assert shown(opening.at + ring_s - 0.001)
        assert opening.at == at or not hours.allowed(opening.at - 1.0, ring_s)
    elif first is None or (last is not None and last < first):
        assert not shown(at + 3 * 86_400.0), "it does not open again"


@given(first=near, last=near)
def test_a_campaign_ends_no_sooner_than_it_begins(first: date, last: date) -> None:
    days = {"first_day": first.isoformat(), "last_day": last.isoformat()}
    if last < first:
        with pytest.raises(InputError, match="last_day: is before first_day"):
            parse_campaign({"id": "winter", **days})
        return
    made = parse_campaign({"id": "winter", **days})
    assert (made.first_day, made.last_day) == (first, last)
    assert change_campaign(made, {"first_day": ""}).first_day is None
    with pytest.raises(InputError, match="last_day: is before first_day"):
        change_campaign(made, {"last_day": (first - timedelta(days=1)).isoformat()})
