"""By how much a zone is ahead of UTC over a period: what a database needs to tell days and hours of a place."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from typing import Final

#: No zone changes its offset twice within so short a time.
_STEP_S: Final = 21_600


def offsets(zone: tzinfo, since: float, until: float) -> tuple[tuple[float, int], ...]:
    """The offsets of `zone` over ``since <= at < until`` in seconds, each with the moment (unix) from which it holds.

    The first holds from `since` on.
    """
    at, last = since, _offset(zone, since)
    found = [(since, last)]
    while at < until:
        following = min(at + _STEP_S, until)
        offset = _offset(zone, following)
        if offset != last:
            begins = _change(zone, int(at), int(following) + 1, last)
            if begins < until:
                found.append((float(begins), offset))
            last = offset
        at = following
    return tuple(found)


def _change(zone: tzinfo, before: int, after: int, old: int) -> int:
    """The first whole second after `before` at which the offset is not `old` any more."""
    while after - before > 1:
        middle = (before + after) // 2
        if _offset(zone, middle) == old:
            before = middle
        else:
            after = middle
    return after


def _offset(zone: tzinfo, at: float) -> int:
    ahead = datetime.fromtimestamp(at, UTC).astimezone(zone).utcoffset()
    assert ahead is not None, "an aware moment has an offset"
    return int(ahead.total_seconds())
