"""Windows of a civil day, as they are written in the files: ``mon-fri = ["09:00-13:00", "14:00-20:00"]``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from dialer.errors import ConfigError

DAY_MINUTES: Final = 24 * 60
DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_NAMES: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

_WINDOW: Final = re.compile(r"([0-9]{2}):([0-9]{2})-([0-9]{2}):([0-9]{2})", re.ASCII)


@dataclass(frozen=True, slots=True, order=True)
class Window:
    """From minute `start` of the day, included, to minute `end`, excluded; 0 ≤ start < end ≤ 1440."""

    start: int
    end: int

    def __str__(self) -> str:
        return f"{clock_text(self.start)}-{clock_text(self.end)}"


#: Ascending, none touching another.
Windows = tuple[Window, ...]
#: Seven of them, Monday first.
Week = tuple[Windows, ...]

ALL_DAY: Final[Windows] = (Window(0, DAY_MINUTES),)


def clock_text(minute: int) -> str:
    """09:30 of 570."""
    return f"{minute // 60:02}:{minute % 60:02}"


def parse_window(text: str) -> Window:
    """One window.

    Raises:
        ConfigError: it is none, is empty, or goes over midnight.
    """
    found = _WINDOW.fullmatch(text)
    if found is None:
        raise ConfigError(f"{text!r} is no window; write it as 09:00-21:00")
    from_hour, from_minute, to_hour, to_minute = map(int, found.groups())
    start, end = from_hour * 60 + from_minute, to_hour * 60 + to_minute
    if from_minute > 59 or to_minute > 59 or start > DAY_MINUTES or end > DAY_MINUTES:
        raise ConfigError(f"{text!r} has a time that no clock shows; 00:00 to 24:00 are possible")
    if start == end:
        raise ConfigError(f"{text!r} is empty; a day without calls is written as []")
    if start > end:
        split = f'"{clock_text(start)}-24:00" on this day' + (
            f' and "00:00-{clock_text(end)}" on the next' if end else ""
        )
        raise ConfigError(f"{text!r} goes over midnight; write {split}")
    return Window(start, end)


def parse_windows(texts: Sequence[str]) -> Windows:
    """The windows of one day; those that touch become one.

    Raises:
        ConfigError: one of them is wrong, or two overlap.
    """
    windows = sorted(parse_window(text) for text in texts)
    merged: list[Window] = []
    for window in windows:
        if merged and window.start < merged[-1].end:
            raise ConfigError(f"{merged[-1]} and {window} overlap; one of them is not what was meant")
        if merged and window.start == merged[-1].end:
            merged[-1] = Window(merged[-1].start, window.end)
        else:
            merged.append(window)
    return tuple(merged)


def parse_week(table: Mapping[str, Sequence[str]]) -> tuple[Week, Windows | None]:
    """The windows of the seven days, and those of holidays where the table has them.

    Keys are days (``sat``), ranges (``mon-fri``) and ``holiday``; each day exactly once.

    Raises:
        ConfigError: names the key that is wrong, or the days that are missing.
    """
    week: dict[int, Windows] = {}
    holiday: Windows | None = None
    for key, texts in table.items():
        try:
            windows = parse_windows(texts)
        except ConfigError as error:
            raise ConfigError(f"{key}: {error}") from error
        if key == "holiday":
            holiday = windows
            continue
        for day in _days(key):
            if day in week:
                raise ConfigError(f"{key}: {DAY_NAMES[day]} has been given before")
            week[day] = windows
    if missing := [DAYS[day] for day in range(7) if day not in week]:
        raise ConfigError(f"says nothing about {', '.join(missing)}; a day without calls is written as []")
    return tuple(week[day] for day in range(7)), holiday


def _days(key: str) -> range:
    first, dash, last = key.partition("-")
    if first in DAYS and (last in DAYS if dash else True):
        start = DAYS.index(first)
        end = DAYS.index(last) if dash else start
        if start <= end:
            return range(start, end + 1)
    raise ConfigError(f"{key!r} is no day; write {', '.join(DAYS)}, a range such as mon-fri, or holiday")


def intersection(first: Windows, second: Windows) -> Windows:
    """What both leave open."""
    return tuple(
        Window(max(a.start, b.start), min(a.end, b.end))
        for a in first
        for b in second
        if max(a.start, b.start) < min(a.end, b.end)
    )


def windows_text(windows: Iterable[Window]) -> str:
    """For people; "closed" where there is none."""
    return ", ".join(map(str, windows)) or "closed"
