"""The abandonment budget of a window."""

from __future__ import annotations

import pytest

from pacing.budget import AbandonmentBudget


def test_the_budget_grows_with_answers_and_shrinks_with_the_abandoned() -> None:
    budget = AbandonmentBudget(limit=0.03, window_s=None)
    for _ in range(100):
        budget.answered(0.0)
    assert budget.left == pytest.approx(3.0)
    budget.abandon(0.0)
    assert budget.left == pytest.approx(2.0)
    assert budget.rate == pytest.approx(0.01)


def test_what_the_window_held_before_counts_and_leaves_with_it() -> None:
    budget = AbandonmentBudget(limit=0.03, window_s=60.0, answers=1_000, abandoned=29)
    assert budget.left == pytest.approx(1.0)
    budget.answered(10.0)
    budget.expire(60.0)
    assert budget.answers == 1_001
    budget.expire(71.0)
    assert (budget.answers, budget.abandoned) == (0, 0)


def test_old_pieces_leave_and_young_ones_stay() -> None:
    budget = AbandonmentBudget(limit=0.03, window_s=3_600.0)
    for minute in range(120):
        budget.answered(60.0 * minute)
        budget.expire(60.0 * minute)
        assert budget.answers <= 61
    assert budget.answers == 61


def test_a_window_without_end_never_forgets_and_stays_small() -> None:
    budget = AbandonmentBudget(limit=0.03, window_s=None)
    for day in range(1_000):
        budget.answered(86_400.0 * day)
        budget.expire(86_400.0 * day)
    assert budget.answers == 1_000
