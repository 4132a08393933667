"""Hours and days of a campaign, and hours that a contact has for one of its numbers: an office, open until three.

They are written as ``mon-fri 09:00-17:00``, or without days for all of them, in the called person's civil time, and
only take from what the law leaves open: where the person may be in several zones, the window must be open in each.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from contextlib import suppress
from datetime import date
from functools import lru_cache
from typing import Final

from dialer.compliance.windows import DAYS, Week, parse_windows
from dialer.errors import ConfigError, InputError

#: Three a day.
MAX_WINDOWS: Final = 21
_MAX_TEXT: Final = 60
_WINDOW: Final = re.compile(
    r"(?:(?P<days>[a-z,-]+)\s+)?(?P<from>[0-9]{1,2}:[0-9]{2})-(?P<to>[0-9]{1,2}:[0-9]{2})", re.ASCII
)
_DAY: Final = re.compile(r"2[0-9]{3}-[0-9]{2}-[0-9]{2}", re.ASCII)
#: As lists in Spanish have them.
_DAYS: Final = {
    **{day: place for place, day in enumerate(DAYS)},
    **{day: place for place, day in enumerate(("lun", "mar", "mie", "jue", "vie", "sab", "dom"))},
}


def read_own_hours(texts: Sequence[str]) -> tuple[str, ...]:
    """Windows as they are kept: one text for days that are alike, Monday first.

    Raises:
        InputError: one of them is no window, goes over midnight or overlaps another; or there is none, or far too many.
    """
    return _texts(_week(texts))


def read_days(first: str, last: str) -> tuple[date | None, date | None]:
    """The first and the last day of a campaign, each ``2026-12-01`` or empty where there is none.

    Raises:
        InputError: one of them is no day, or the last one is before the first.
    """
    begins, ends = _day("first_day", first), _day("last_day", last)
    if begins is not None and ends is not None and ends < begins:
        raise InputError("last_day: is before first_day", code="days_backwards")
    return begins, ends


def _day(field: str, text: str) -> date | None:
    if not text:
        return None
    if _DAY.fullmatch(text):
        with suppress(ValueError):
            return date.fromisoformat(text)
    raise InputError(f"{field}: {text[:_MAX_TEXT]!r} is no day; write it as 2026-12-31", code="not_a_day")


@lru_cache(maxsize=1_024)
def own_week(hours: tuple[str, ...]) -> Week:
    """What hours that `read_own_hours` gave leave open of each day, Monday first."""
    try:
        return _week(hours)
    except InputError:
        # Kept by another version: rather nobody is called than somebody at a wrong hour.
        return ((),) * len(DAYS)


def _week(texts: Sequence[str]) -> Week:
    if not texts:
        raise InputError("hours is empty: leave it out where there are none", code="hours_empty")
    if len(texts) > MAX_WINDOWS:
        raise InputError(f"hours has {len(texts)} windows; at most {MAX_WINDOWS}", code="too_long", bound=MAX_WINDOWS)
    windows: list[list[str]] = [[] for _ in DAYS]
    for text in texts:
        # Without accents: sáb, mié.
        parts = unicodedata.normalize("NFKD", text.strip().casefold()[:_MAX_TEXT])
        found = _WINDOW.fullmatch("".join(char for char in parts if not unicodedata.combining(char)))
        if found is None or len(text) > _MAX_TEXT:
            raise InputError(
                f"hours: {text[:_MAX_TEXT]!r} is no window; write it as mon-fri 09:00-17:00",
                code="not_hours",
                window=text[:_MAX_TEXT],
            )
        window = f"{found['from']:0>5}-{found['to']:0>5}"
        for day in _days_of(found["days"], text):
            windows[day].append(window)
    try:
        return tuple(parse_windows(day) for day in windows)
    except ConfigError as error:
        raise InputError(f"hours: {error}", code="hours_wrong", problem=str(error)) from error


def _days_of(days: str | None, text: str) -> set[int]:
    if days is None:
        return set(range(len(DAYS)))
    found: set[int] = set()
    for part in days.split(","):
        first, dash, last = part.partition("-")
        start, end = _DAYS.get(first), _DAYS.get(last if dash else first)
        if start is None or end is None or start > end:
            raise InputError(
                f"hours: {text!r} names no day; write mon, mon-fri or mon,wed before the time",
                code="not_hours",
                window=text,
            )
        found.update(range(start, end + 1))
    return found


def _texts(week: Week) -> tuple[str, ...]:
    by_windows: dict[str, list[int]] = {}
    for day, windows in enumerate(week):
        for window in windows:
            by_windows.setdefault(str(window), []).append(day)
    return tuple(f"{_days_text(days)}{window}" for window, days in by_windows.items())


def _days_text(days: Sequence[int]) -> str:
    if len(days) == len(DAYS):
        return ""
    runs: list[list[int]] = []
    for day in days:
        if runs and runs[-1][-1] == day - 1:
            runs[-1].append(day)
        else:
            runs.append([day])
    parts = [DAYS[run[0]] if len(run) == 1 else f"{DAYS[run[0]]}-{DAYS[run[-1]]}" for run in runs]
    return ",".join(parts) + " "
