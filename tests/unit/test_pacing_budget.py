"""The abandonment budget of one window and of several."""

from __future__ import annotations

import pytest

from pacing import build
from pacing.budget import AbandonmentBudget, WindowCount
from pacing.legal_window import Held, LegalWindow
from pacing.settings import PacingSettings

DAY_S = 86_400.0


def _window(length_s: float | None = None, *held: Held, resets_at: tuple[float, ...] = ()) -> WindowCount:
    return WindowCount(LegalWindow(name="window", length_s=length_s, held=held, resets_at=resets_at), 0.03)


def test_the_budget_grows_with_answers_and_shrinks_with_the_abandoned() -> None:
    window = _window()
    for _ in range(100):
        window.answered(0.0)
    assert window.left(0.0) == pytest.approx(3.0)
    window.abandon(0.0)
    assert window.left(0.0) == pytest.approx(2.0)
    assert window.rate == pytest.approx(0.01)


def test_what_a_rolling_window_held_counts_and_leaves_with_it() -> None:
    window = _window(60.0, Held(answers=1_000, abandoned=29))
    assert window.left(0.0) == pytest.approx(1.0)
    window.answered(10.0)  # the counts of an unknown time count from here
    window.expire(69.0)
    assert window.answers == 1_001
    window.expire(72.0)
    assert (window.answers, window.abandoned) == (0, 0)


def test_each_day_that_a_window_held_leaves_in_its_turn() -> None:
    window = _window(
        30 * DAY_S,
        Held(answers=100, abandoned=9, at=-29.5 * DAY_S),
        Held(answers=200, abandoned=2, at=-3 * DAY_S),
    )
    window.expire(0.0)
    assert (window.answers, window.abandoned) == (300, 11)
    window.expire(DAY_S)
    assert (window.answers, window.abandoned) == (200, 2)


def test_old_pieces_leave_and_young_ones_stay() -> None:
    window = _window(3_600.0)
    for minute in range(120):
        window.answered(60.0 * minute)
        window.expire(60.0 * minute)
        assert window.answers <= 62
    assert window.answers >= 60


def test_a_piece_that_is_half_gone_counts_as_whichever_is_worse() -> None:
    window = _window(6_000.0)  # pieces of a hundred seconds
    for _ in range(100):
        window.answered(0.0)
    window.answered(90.0)
    for _ in range(100):
        window.answered(3_000.0)
    window.abandon(3_000.0)
    window.expire(6_050.0)
    assert window.answers == 201
    assert window.left(6_050.0) == pytest.approx(0.03 * 100 - 1)


def test_a_calendar_month_starts_afresh_when_it_is_told_to_and_then_counts_on() -> None:
    window = _window(None, Held(answers=500, abandoned=20), resets_at=(100.0, 200.0))
    window.expire(99.0)
    assert window.left(99.0) == pytest.approx(-5.0)
    window.expire(100.0)
    assert (window.answers, window.abandoned) == (0, 0)
    window.answered(150.0)
    window.expire(250.0)
    window.answered(250.0)
    window.expire(1e9)
    assert window.answers == 1


def test_a_window_without_end_never_forgets_and_stays_small() -> None:
    window = _window()
    for day in range(1_000):
        window.answered(DAY_S * day)
        window.expire(DAY_S * day)
    assert window.answers == 1_000
    assert len(window._pieces) == 1


def test_the_tightest_of_several_windows_governs() -> None:
    budget = AbandonmentBudget(
        (
            LegalWindow(name="30 days", length_s=30 * DAY_S, held=(Held(answers=10_000, abandoned=250),)),
            LegalWindow(name="24 hours", length_s=DAY_S, held=(Held(answers=200, abandoned=3),)),
            LegalWindow(name="November", limit=0.05, resets_at=(20 * DAY_S,), held=(Held(answers=900, abandoned=0),)),
        ),
        0.03,
    )
    assert budget.tightest.name == "24 hours"
    assert budget.left == pytest.approx(3.0)
    budget.answered(0.0)
    budget.expire(2 * DAY_S)
    assert budget.tightest.name == "24 hours"
    for _ in range(2_000):
        budget.answered(2 * DAY_S)
    for _ in range(40):
        budget.abandon(2 * DAY_S)
    assert budget.tightest.name == "24 hours"
    budget.expire(4 * DAY_S)
    assert budget.tightest.name == "24 hours"  # empty: nobody may be abandoned in it before anybody has answered
    assert budget.left == pytest.approx(0.0)


def test_a_pacer_says_which_window_holds_it_back() -> None:
    pacer = build(
        "predictive",
        windows=(
            LegalWindow(name="30 days", length_s=30 * DAY_S, held=(Held(answers=10_000, abandoned=50),)),
            LegalWindow(name="since the start", held=(Held(answers=400, abandoned=15),)),
        ),
    )
    pacer.agent_changed(0.0, "anna", "idle")
    for call in range(60):
        pacer.call_started(call, call)
        pacer.agent_changed(call, "anna", "talking")
        pacer.call_connected(call, call, "anna")
        pacer.agent_changed(call + 0.5, "anna", "idle")
    decision = pacer.decide(61.0)
    assert (decision.dial, decision.limit) == (1, "budget")
    assert "15 of 460 answered calls abandoned (since the start), 3.0 % allowed" in decision.explanation


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"windows": [LegalWindow(name="a")]}, "tuple of LegalWindow"),
        ({"windows": ("30 days",)}, "tuple of LegalWindow"),
    ],
)
def test_windows_that_are_none_are_refused(settings: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        build("predictive", **settings)


def test_windows_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="not both"):
        LegalWindow(name="a", length_s=DAY_S, resets_at=(1.0,))
    with pytest.raises(ValueError, match="limit must be between 0 and 1"):
        LegalWindow(name="a", limit=3.0)
    with pytest.raises(ValueError, match="length_s must be between"):
        LegalWindow(name="a", length_s=1.0)
    with pytest.raises(ValueError, match="resets_at must be in order"):
        LegalWindow(name="a", resets_at=(2.0, 1.0))
    with pytest.raises(ValueError, match="finite"):
        LegalWindow(name="a", resets_at=(float("nan"),))
    with pytest.raises(ValueError, match="held must be in order"):
        LegalWindow(name="a", held=(Held(answers=1, abandoned=0, at=5.0), Held(answers=1, abandoned=0, at=4.0)))
    with pytest.raises(ValueError, match="abandoned <= answers"):
        Held(answers=1, abandoned=2)


def test_one_window_is_what_the_simple_settings_say() -> None:
    (window,) = PacingSettings(window_s=DAY_S, answers_before=10, abandoned_before=1).legal_windows
    assert (window.name, window.length_s, window.held) == ("24 hours", DAY_S, (Held(answers=10, abandoned=1),))
    (window,) = PacingSettings(window_s=None).legal_windows
    assert (window.name, window.length_s) == ("since the start", None)
