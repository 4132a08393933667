"""Parts of the day: whoever was not reached in the morning may be in the evening.

People keep to their habits, so the next attempt after one that failed has a better chance at another time of day.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from datetime import UTC, datetime, time, timedelta, tzinfo
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

#: Hours at which morning, midday, afternoon and evening begin; after the last one nobody is called.
PARTS: Final = (9, 12, 15, 18)
_END: Final = 21


def part_of_day(at: float, timezone: str | None = None) -> int | None:
    """Place in `PARTS` of the part in which `at` lies; None at night."""
    hour = datetime.fromtimestamp(at, _zone(timezone)).hour
    if not PARTS[0] <= hour < _END:
        return None
    return sum(hour >= begin for begin in PARTS) - 1


def another_part_of_day(earliest: float, tried: Collection[float], timezone: str | None = None) -> float:
    """The first moment, not before `earliest`, in that part of the day in which the fewest attempts were made.

    Of several such parts the one that follows the latest attempt's comes first: where only that attempt is known,
    attempts still go through all parts of the day. A function of its arguments alone.

    Args:
        earliest: unix seconds.
        tried: when the attempts so far were made, unix seconds; all of them, or those that are known.
        timezone: IANA name; UTC where None, or where it is no zone.
    """
    zone = _zone(timezone)
    made = Counter(part_of_day(at, timezone) for at in tried)
    last = part_of_day(max(tried), timezone) if tried else None
    candidates: list[tuple[int, int, float]] = []

    def add(part: int, at: float) -> None:
        after_last = 0 if last is None else (part - last - 1) % len(PARTS)
        candidates.append((made[part], after_last, at))

    now_in = part_of_day(earliest, timezone)
    if now_in is not None:
        add(now_in, earliest)
    day = datetime.fromtimestamp(earliest, zone).date()
    for days in range(3):
        for part, hour in enumerate(PARTS):
            begins_at = datetime.combine(day + timedelta(days=days), time(hour), zone).timestamp()
            if begins_at > earliest and len(candidates) <= len(PARTS):
                add(part, begins_at)
    return min(candidates)[2]


@lru_cache(maxsize=1_000)
def _zone(timezone: str | None) -> tzinfo:
    if timezone is None:
        return UTC
    try:
        return ZoneInfo(timezone)
    except (KeyError, ValueError, OSError):  # unknown, or no name of a zone at all
        return UTC
