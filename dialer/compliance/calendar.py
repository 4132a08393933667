"""Civil days: holidays by country and subdivision, and what a zone's clock shows when."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

import holidays

from dialer.errors import ConfigError

DAY_S: Final = 86_400
_EPOCH: Final = date(1970, 1, 1).toordinal()


class HolidayCalendar:
    """The public holidays of a country, or of one of its subdivisions with those of the country.

    Source: the package ``holidays``, corrected by the days of the jurisdiction's file. Names are English where the
    package has them in English.

    Raises:
        ConfigError: there is no such country or subdivision.
    """

    def __init__(
        self,
        country: str,
        subdivision: str | None = None,
        *,
        added: Mapping[date, str] | None = None,
        removed: frozenset[date] = frozenset(),
    ) -> None:
        self._days = _public_holidays(country, subdivision)
        self._added = dict(added or {})
        self._removed = removed
        self.subdivision = subdivision
        self._names: dict[date, str | None] = {}

    def name(self, day: date) -> str | None:
        """Name of the holiday that `day` is; None: it is none."""
        try:
            return self._names[day]
        except KeyError:
            name = self._added.get(day)
            if name is None and day not in self._removed:
                name = self._days.get(day)
            if len(self._names) > 5_000:
                self._names.clear()
            self._names[day] = name
            return name


@lru_cache(maxsize=512)
def _public_holidays(country: str, subdivision: str | None) -> holidays.HolidayBase:
    supported = holidays.list_supported_countries(include_aliases=False)
    if country not in supported:
        raise ConfigError(f"there is no calendar of holidays for the country {country!r}")
    if subdivision is not None and subdivision not in supported[country]:
        known = ", ".join(supported[country]) or "none"
        raise ConfigError(f"there is no calendar of holidays for {subdivision!r} in {country}; known are: {known}")
    calendar = holidays.country_holidays(country, subdiv=subdivision)
    if "en_US" in calendar.supported_languages and calendar.default_language != "en_US":
        calendar = holidays.country_holidays(country, subdiv=subdivision, language="en_US")
    return calendar


@lru_cache(maxsize=1_024)
def zone_of(name: str) -> ZoneInfo:
    """The zone of an IANA name.

    Raises:
        ConfigError: there is none.
    """
    try:
        return ZoneInfo(name)
    # A directory of the database, a path out of it, a name with NUL: ZoneInfo has an error for each.
    except (ValueError, OSError, KeyError, UnicodeError) as error:
        raise ConfigError(f"{name[:64]!r} is no IANA zone such as Europe/Madrid") from error


def offset_s(zone: ZoneInfo, at: float) -> int:
    """Seconds that the clocks of `zone` are ahead of UTC at the moment `at`."""
    delta = datetime.fromtimestamp(at, zone).utcoffset()
    assert delta is not None, "a ZoneInfo always has an offset"
    return round(delta.total_seconds())


def civil(zone: ZoneInfo, at: float) -> datetime:
    """What the clocks of `zone` show at `at`."""
    return datetime.fromtimestamp(at, zone)


def day_start(zone: ZoneInfo, day: date) -> float:
    """The first moment of the civil day; where clocks jump over midnight, the moment of the jump."""
    return datetime(day.year, day.month, day.day, tzinfo=zone).timestamp()


def day_of_ordinal(days_since_1970: int) -> date:
    """The date that is so many days after 1970-01-01."""
    return date.fromordinal(_EPOCH + days_since_1970)


@lru_cache(maxsize=65_536)
def segments(zone: ZoneInfo, utc_day: int) -> tuple[tuple[int, int, int], ...]:
    """A UTC day (days since 1970) cut where the clocks of `zone` change: (from, to, offset) in unix seconds."""
    start, end = utc_day * DAY_S, (utc_day + 1) * DAY_S
    # Clocks change at most once within twelve hours: never was it otherwise.
    found: list[tuple[int, int, int]] = []
    begun, offset = start, offset_s(zone, start)
    for low, high in ((start, start + DAY_S // 2), (start + DAY_S // 2, end)):
        if offset_s(zone, high) == offset:
            continue
        before, after = low, high
        while after - before > 1:
            middle = (before + after) // 2
            if offset_s(zone, middle) == offset:
                before = middle
            else:
                after = middle
        if after < end:
            found.append((begun, after, offset))
            begun, offset = after, offset_s(zone, after)
    found.append((begun, end, offset))
    return tuple(found)


@lru_cache(maxsize=65_536)
def same_clock(first: str, second: str, year: int) -> bool:
    """Whether two zones show the same time all through `year` and the next: one is as good as the other."""
    if first == second:
        return True
    one, other = zone_of(first), zone_of(second)
    moment = datetime(year, 1, 1, tzinfo=UTC)
    moments = (int((moment + timedelta(days=days)).timestamp()) for days in range(0, 731, 5))
    return all(offset_s(one, at) == offset_s(other, at) for at in moments)


def distinct_clocks(zones: tuple[str, ...], year: int) -> tuple[str, ...]:
    """`zones` without those whose clocks show what an earlier one's show."""
    kept: list[str] = []
    for zone in zones:
        if not any(same_clock(zone, other, year) for other in kept):
            kept.append(zone)
    return tuple(kept)
