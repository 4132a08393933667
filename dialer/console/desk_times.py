"""Callbacks by the clock of the person called: their coming days with calling hours, and what was picked; pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from dialer.api.desk_ports import CallingTimes
from dialer.errors import InputError

#: How far ahead a callback is offered.
DAYS: Final = 14


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """One day of the person's calendar."""

    #: YYYY-MM-DD.
    iso: str
    #: Times at which calls may be started, such as 09:00–20:59; empty: none.
    hours: tuple[str, ...]


def calendar(times: CallingTimes, now: float) -> list[Day]:
    """The coming days by the person's clock, today first."""
    zone = ZoneInfo(times.zone)
    today = datetime.fromtimestamp(now, zone).date()
    days = [today + timedelta(days=ahead) for ahead in range(DAYS)]
    found: dict[date, list[str]] = {day: [] for day in days}
    for begin, end in times.spans:
        for day, first, last in _by_day(begin, end, zone):
            if day in found:
                found[day].append(f"{first:%H:%M}–{last:%H:%M}")
    return [Day(iso=day.isoformat(), hours=tuple(found[day])) for day in days]


def picked(day: str, hour: str, zone: str, now: float) -> float:
    """The moment that was picked, unix seconds.

    Raises:
        InputError: it is none, does not exist by that clock, or is over.
    """
    try:
        clock = time.fromisoformat(hour)
        if clock.tzinfo is not None:
            raise ValueError("the zone is the person's")
        local = datetime.combine(date.fromisoformat(day), clock, ZoneInfo(zone))
        at = local.timestamp()
    except (ValueError, OverflowError) as error:
        raise InputError("callback: pick a day and an hour such as 16:30") from error
    if datetime.fromtimestamp(at, ZoneInfo(zone)).replace(tzinfo=None) != local.replace(tzinfo=None):
        raise InputError(f"callback: the clocks of {zone} leave out {hour} on {day}")
    if at <= now:
        raise InputError("callback: that moment is over")
    return at


def shift_end(hour: str, zone: str, now: float) -> float:
    """The next moment at which the clock of `zone` shows `hour`, unix seconds: a shift may go past midnight.

    Raises:
        InputError: it is no hour.
    """
    try:
        clock = time.fromisoformat(hour)
        if clock.tzinfo is not None:
            raise ValueError("the zone is known")
    except ValueError as error:
        raise InputError("shift_ends_at: write an hour such as 16:30") from error
    today = datetime.fromtimestamp(now, ZoneInfo(zone)).date()
    days = (today + timedelta(days=ahead) for ahead in (0, 1))
    ends = [datetime.combine(day, clock, ZoneInfo(zone)).timestamp() for day in days]
    return ends[0] if ends[0] > now else ends[1]


def _by_day(begin: float, end: float, zone: ZoneInfo) -> Iterator[tuple[date, time, time]]:
    """The parts of a span by civil day."""
    at = datetime.fromtimestamp(begin, zone)
    last = datetime.fromtimestamp(end, zone)
    while at.date() < last.date():
        yield at.date(), at.time(), time(23, 59)
        at = datetime.combine(at.date() + timedelta(days=1), time(0), zone)
    yield at.date(), at.time(), last.time()
