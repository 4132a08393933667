"""Notices in, rows of the pacing journal out: what is worth a row, and no more than one a second.

A row is written when the reason has changed or calls were started, but not within a second of the one before; and at
least every ten seconds while nothing changes, so that a reader sees agents and budget move and can tell "nothing
happened" from "nobody wrote". A campaign that stops dialing gets a last row at once, so that the calls of its rows add
up to the calls that were made. A busy campaign of eight hours a day so makes at most 28,800 rows a day.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from dialer.core.campaign import CampaignState
from dialer.core.ids import CampaignId, NodeName
from dialer.core.notices import AnyNotice, CallStarted, CampaignChanged, PaceDecided
from dialer.core.pacing_entry import PacingEntry

NOT_WITHIN_S: Final = 1.0
AT_LEAST_EVERY_S: Final = 10.0


@dataclass(slots=True)
class _Open:
    """What has happened to one campaign since its last row."""

    written_at: float = -math.inf
    limit: str = ""
    dial: int = 0
    started: int = 0
    last: PaceDecided | None = None


class PacingEntries:
    """Makes the rows of every campaign of one node; memory is bounded by the campaigns that there are."""

    def __init__(self, node: NodeName) -> None:
        self._node: Final = node
        self._open: Final[dict[CampaignId, _Open]] = {}

    def apply(self, notice: AnyNotice) -> PacingEntry | None:
        """Take a notice in; the row that is due with it, if one is."""
        match notice:
            case PaceDecided():
                return self._decided(notice)
            case CallStarted():
                opened = self._open.get(notice.campaign)
                if opened is None:
                    opened = self._open[notice.campaign] = _Open()
                opened.started += 1
            case CampaignChanged() if notice.state is not CampaignState.RUNNING:
                opened = self._open.get(notice.campaign)
                return None if opened is None else self._last_row(opened, notice.at)
            case _:
                pass
        return None

    def close(self) -> list[PacingEntry]:
        """The last rows of whatever runs: the node stops."""
        rows = [self._last_row(opened, -math.inf) for opened in self._open.values()]
        return [row for row in rows if row is not None]

    def _last_row(self, opened: _Open, at: float) -> PacingEntry | None:
        if opened.last is None or not (opened.started or opened.dial):
            return None
        # The moment itself may have its row already, and a row is known by its moment.
        at = max(at, opened.last.at, math.nextafter(opened.written_at, math.inf))
        return self._close(opened, opened.last, at, limit="")

    def _decided(self, notice: PaceDecided) -> PacingEntry | None:
        opened = self._open.get(notice.campaign)
        if opened is None:
            opened = self._open[notice.campaign] = _Open()
        opened.last = notice
        opened.dial += notice.decision.dial
        since_s = notice.at - opened.written_at
        changed = opened.started > 0 or opened.dial > 0 or notice.decision.limit != opened.limit
        if since_s < NOT_WITHIN_S or (not changed and since_s < AT_LEAST_EVERY_S):
            return None
        return self._close(opened, notice, notice.at, limit=notice.decision.limit)

    def _close(self, opened: _Open, notice: PaceDecided, at: float, *, limit: str) -> PacingEntry:
        entry = self._entry(opened, notice, at)
        opened.written_at, opened.limit = at, limit
        opened.dial = opened.started = 0
        return entry

    def _entry(self, opened: _Open, notice: PaceDecided, at: float) -> PacingEntry:
        decision = notice.decision
        return PacingEntry(
            at=at,
            campaign=notice.campaign,
            node=self._node,
            method=notice.method,
            dial=opened.dial,
            started=opened.started,
            limit=decision.limit,
            explanation=decision.explanation,
            expected_abandonment=_finite(decision.expected_abandonment) or 0.0,
            threshold=_finite(decision.threshold) or 0.0,
            budget_left=_finite(decision.budget_left),
            idle=decision.idle,
            busy=decision.busy,
            waiting=decision.waiting,
            in_flight=decision.in_flight,
            answer_rate=_finite(decision.answer_rate),
            mean_talk_s=_finite(decision.mean_talk_s),
            mean_wrapup_s=_finite(decision.mean_wrapup_s),
        )


def _finite(value: float | None) -> float | None:
    """An estimate that is no number says nothing; a database would make something else of it."""
    return value if value is not None and math.isfinite(value) else None
