"""What held a campaign's pace back, summed up from its pacing journal."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import datetime
from typing import Any, Final

from dialer.cli.client import Api

_PAGE: Final = 500
#: A row is due at least every ten seconds; a longer silence is a campaign or a node that stood still.
_LONGEST_S: Final = 15.0


def pace_held(api: Api, campaign: str, since: str | None, until: str | None) -> list[dict[str, Any]]:
    """For each reason, the longest first: minutes, share of the time, calls started, and its words at some moment.

    Between two rows of a node the former's reason counts. Without `since` it is the last hour.
    """
    seconds: defaultdict[str, float] = defaultdict(float)
    started: Counter[str] = Counter()
    examples: dict[str, str] = {}
    before: dict[str, tuple[str, float]] = {}
    cursor = None
    while True:
        page = api.get(f"/campaigns/{campaign}/pacing", since=since, until=until, cursor=cursor, limit=_PAGE)
        for row in page["items"]:
            at, limit = datetime.fromisoformat(row["at"]).timestamp(), row["limit"]
            former, former_at = before.get(row["node"], (limit, at))
            seconds[former] += min(at - former_at, _LONGEST_S)
            started[limit] += row["started"]
            examples[limit] = row["explanation"]
            before[row["node"]] = (limit, at)
        cursor = page["next_cursor"]
        if not cursor:
            break
    total = sum(seconds.values())
    return [
        {
            "limit": limit,
            "minutes": round(seconds[limit] / 60.0, 2),
            "share": seconds[limit] / total if total else None,
            "started": started[limit],
            "example": examples[limit],
        }
        for limit in sorted(examples, key=lambda name: (-seconds[name], name))
    ]
