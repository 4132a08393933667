"""The legal windows of a campaign as its pacer needs them: the rule, and what each holds already."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, tzinfo
from typing import Final

from dialer.core.campaign import AbandonmentWindow, Campaign
from dialer.projections.abandonment import DAY_S, LEGAL_WINDOW_S, AbandonmentTracker
from pacing.legal_window import Held, LegalWindow

#: A pacer forgets a rolling window in pieces: history comes in about as many.
_PIECES: Final = 120
#: Ends of months that a pacer is told ahead; it is told again whenever the campaign is configured.
_MONTHS: Final = 24


def legal_windows(tracker: AbandonmentTracker, campaign: Campaign, now: float, zone: tzinfo) -> tuple[LegalWindow, ...]:
    """The windows that `campaign` is held to, with what the tracker has counted up to `now`.

    Args:
        tracker: has been given the campaign's history.
        campaign: whose.
        now: unix seconds, which is the pacers' clock too.
        zone: where calendar months begin.
    """
    return tuple(_window(kind, tracker, campaign, now, zone) for kind in campaign.abandonment_windows)


def begin_of(kind: AbandonmentWindow, now: float, zone: tzinfo) -> float:
    """When a window that is open `now` began, in unix seconds; 0: with the campaign."""
    match kind:
        case AbandonmentWindow.DAY:
            return now - DAY_S
        case AbandonmentWindow.DAYS_30:
            return now - LEGAL_WINDOW_S
        case AbandonmentWindow.MONTH:
            return _months(now, zone)[0]
        case AbandonmentWindow.CAMPAIGN:
            return 0.0


def _window(
    kind: AbandonmentWindow, tracker: AbandonmentTracker, campaign: Campaign, now: float, zone: tzinfo
) -> LegalWindow:
    hours = tracker.hours(campaign.id, now)
    match kind:
        case AbandonmentWindow.DAY:
            return LegalWindow(name="24 hours", length_s=DAY_S, held=_rolling(hours, DAY_S, now))
        case AbandonmentWindow.DAYS_30:
            return LegalWindow(name="30 days", length_s=LEGAL_WINDOW_S, held=_rolling(hours, LEGAL_WINDOW_S, now))
        case AbandonmentWindow.MONTH:
            begins, *ends = _months(now, zone)
            return LegalWindow(
                name="this month",
                resets_at=tuple(ends),
                held=_together([held for held in hours if held.at is None or held.at > begins], now),
            )
        case AbandonmentWindow.CAMPAIGN:
            spent = tracker.ever(campaign.id)
            whole = Held(answers=spent.live_answers, abandoned=spent.abandoned, at=now)
            return LegalWindow(name="this campaign", held=(whole,) if spent.live_answers else ())


def _rolling(hours: Sequence[Held], length_s: float, now: float) -> tuple[Held, ...]:
    """Hours joined into pieces; each is known by its end, so that none is forgotten too early."""
    pieces: dict[int, list[Held]] = {}
    for held in hours:
        assert held.at is not None
        if held.at > now - length_s:
            pieces.setdefault(int(held.at // (length_s / _PIECES)), []).append(held)
    return tuple(found for _, piece in sorted(pieces.items()) for found in _together(piece, piece[-1].at))


def _together(piece: Sequence[Held], at: float | None) -> tuple[Held, ...]:
    answers = sum(held.answers for held in piece)
    return (Held(answers=answers, abandoned=sum(held.abandoned for held in piece), at=at),) if answers else ()


def _months(now: float, zone: tzinfo) -> list[float]:
    """When the present month began, and when the next ones do."""
    today = datetime.fromtimestamp(now, zone)
    first = today.year * 12 + today.month - 1
    return [
        datetime(month // 12, month % 12 + 1, 1, tzinfo=zone).timestamp() for month in range(first, first + 1 + _MONTHS)
    ]
