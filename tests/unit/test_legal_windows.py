"""The legal windows that a pacer is given: what they hold, and when they forget it."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from dialer.campaigns import dump_campaign, parse_campaign
from dialer.core.campaign import AbandonmentWindow, Campaign
from dialer.core.events import CampaignConfigured
from dialer.core.ids import CampaignId
from dialer.core.pacers import build_pacer
from dialer.errors import InputError
from dialer.projections.abandonment import AbandonmentTracker
from dialer.projections.legal_windows import legal_windows
from pacing.legal_window import LegalWindow

W = CampaignId("winter")
NOW = datetime(2026, 5, 10, 12, 30, tzinfo=UTC).timestamp()
HOUR, DAY = 3_600.0, 86_400.0
ALL = tuple(AbandonmentWindow)


def tracker(*history: tuple[float, int, int]) -> AbandonmentTracker:
    """Answers and abandoned people so many seconds ago."""
    made = AbandonmentTracker()
    for ago_s, answers, abandoned in history:
        made.restore(W, NOW - ago_s, answers, abandoned)
    return made


def windows(made: AbandonmentTracker, *kinds: AbandonmentWindow, zone: str = "UTC") -> dict[str, LegalWindow]:
    campaign = Campaign(id=W, abandonment_windows=kinds or ALL)
    return {window.name: window for window in legal_windows(made, campaign, NOW, ZoneInfo(zone))}


def held(window: LegalWindow) -> tuple[int, int]:
    return sum(part.answers for part in window.held), sum(part.abandoned for part in window.held)


def test_each_window_holds_what_happened_in_it() -> None:
    made = tracker((HOUR, 1, 1), (23 * HOUR, 10, 0), (5 * DAY, 100, 2), (20 * DAY, 1_000, 20))
    made.restore_older(W, 10_000, 100)
    assert {name: held(window) for name, window in windows(made).items()} == {
        "24 hours": (11, 1),
        "30 days": (1_111, 23),
        "this month": (111, 3),
        "this campaign": (11_111, 123),
    }


def test_rolling_windows_know_when_to_forget_and_are_not_in_too_many_pieces() -> None:
    made = tracker(*((hour * HOUR, 1, 0) for hour in range(29 * 24)))
    days = windows(made, AbandonmentWindow.DAYS_30)["30 days"]
    assert days.length_s == 30 * DAY
    assert 100 <= len(days.held) <= 125
    moments = [part.at for part in days.held if part.at is not None]
    assert moments == sorted(moments)
    assert moments[-1] <= NOW
    # A piece is dropped when its end has left the window, never before all of its people have.
    assert moments[0] >= NOW - 29 * DAY


@pytest.mark.parametrize(
    ("zone", "begins"), [("UTC", "2026-05-01T00:00:00+00:00"), ("Asia/Tokyo", "2026-05-01T00:00:00+09:00")]
)
def test_a_month_begins_at_the_sites_midnight(zone: str, begins: str) -> None:
    first = datetime.fromisoformat(begins).timestamp()
    made = tracker((NOW - first - HOUR / 2, 5, 1), (NOW - first + HOUR / 2, 7, 2))
    month = windows(made, AbandonmentWindow.MONTH, zone=zone)["this month"]
    assert held(month) == (5, 1)
    assert [datetime.fromtimestamp(at, ZoneInfo(zone)).isoformat()[:19] for at in month.resets_at[:2]] == [
        "2026-06-01T00:00:00",
        "2026-07-01T00:00:00",
    ]


def test_nothing_has_happened_yet() -> None:
    assert {name: window.held for name, window in windows(AbandonmentTracker()).items()} == {
        "24 hours": (),
        "30 days": (),
        "this month": (),
        "this campaign": (),
    }


def test_the_pacer_is_held_to_the_tightest_of_them() -> None:
    made = tracker((HOUR, 100, 3), (10 * DAY, 10_000, 0))

    def budget_left(*kinds: AbandonmentWindow) -> float:
        campaign = Campaign(id=W, abandonment_windows=kinds)
        pacer = build_pacer(
            CampaignConfigured(at=NOW, campaign=campaign, windows=legal_windows(made, campaign, NOW, UTC))
        )
        pacer.agent_changed(NOW, "anna", "idle")
        left = pacer.decide(NOW).budget_left
        assert left is not None
        return left

    month = budget_left(AbandonmentWindow.DAYS_30)
    assert budget_left(AbandonmentWindow.DAYS_30, AbandonmentWindow.DAY) == budget_left(AbandonmentWindow.DAY) < month


def test_a_campaign_says_which_windows_it_is_held_to() -> None:
    assert parse_campaign({"id": "w"}).abandonment_windows == (AbandonmentWindow.DAYS_30, AbandonmentWindow.CAMPAIGN)
    made = parse_campaign({"id": "w", "abandonment_windows": ["month", "24_hours", "month"]})
    assert made.abandonment_windows == (AbandonmentWindow.MONTH, AbandonmentWindow.DAY)
    assert parse_campaign(dump_campaign(made)) == made
    for wrong in ([], ["year"], "month"):
        with pytest.raises(InputError, match="abandonment_windows"):
            parse_campaign({"id": "w", "abandonment_windows": wrong})


def test_a_forgotten_campaign_leaves_nothing() -> None:
    made = tracker((HOUR, 5, 1))
    made.forget(W)
    assert (made.hours(W, NOW), made.ever(W).live_answers) == ([], 0)
