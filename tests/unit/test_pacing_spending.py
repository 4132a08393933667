"""How much of the limit is aimed at, by what is left of the budget and of the last half hour."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacing.budget import AbandonmentBudget
from pacing.legal_window import Held, LegalWindow
from pacing.methods.spending import Aim, Spending, share_of_limit


def spending(
    *, answers: int, abandoned: int = 0, limit: float = 0.03, every_s: float = 10.0
) -> tuple[Spending, AbandonmentBudget]:
    """After so many answers, one every `every_s`, of which the last ones were abandoned."""
    budget = AbandonmentBudget([LegalWindow(name="a")], limit)
    made = Spending(budget)
    for answer in range(answers):
        budget.answered(answer * every_s)
        made.answered(answer * every_s)
    for _ in range(abandoned):
        budget.abandon(answers * every_s)
        made.abandoned(answers * every_s)
    return made, budget


@given(st.floats(-50.0, 100.0), st.floats(0.0, 10.0))
def test_more_left_is_never_less_aimed_at(left: float, more: float) -> None:
    assert 0.15 <= share_of_limit(left) <= share_of_limit(left + more) <= 1.12


@given(st.floats(-1.0, 30.0))
def test_the_curve_has_no_jumps(left: float) -> None:
    assert share_of_limit(left + 1e-6) - share_of_limit(left) < 1e-6


def test_the_whole_limit_is_aimed_at_with_the_reserve_left() -> None:
    made, _ = spending(answers=1)
    assert made.reserve == 14.0
    assert share_of_limit(made.reserve) == pytest.approx(1.0)


@given(st.floats(0.0, 20.0), st.floats(0.0, 20.0), st.integers(0, 5), st.integers(0, 5))
def test_what_is_under_way_counts(risk: float, more: float, waiting: int, others: int) -> None:
    made, _ = spending(answers=400)
    before, after = made.aim(risk, waiting), made.aim(risk + more, waiting + others)
    assert after.windows <= before.windows
    assert after.half_hour <= before.half_hour
    assert after.share == min(after.windows, after.half_hour)


@pytest.mark.parametrize(
    ("answers", "abandoned", "overdrawn"),
    [
        (0, 0, True),  # nobody has answered, nothing is earned
        (10, 1, False),  # a part of a person is missing
        (10, 2, True),
        (100, 3, False),
        (100, 4, True),
        (460, 14, False),
        (500, 15, True),  # fourteen were earned, and fifteen spent
        (500, 14, False),
    ],
)
def test_of_the_first_answers_one_person_may_be_abandoned_in_advance(
    answers: int, abandoned: int, overdrawn: bool
) -> None:
    made, budget = spending(answers=answers, abandoned=abandoned)
    assert made.overdrawn is overdrawn
    assert budget.left > -1.0 or overdrawn


def test_a_young_window_lends_nothing_to_one_that_has_earned_its_people() -> None:
    windows = [
        LegalWindow(name="30 days", held=(Held(answers=1_000, abandoned=29),)),
        LegalWindow(name="month"),
    ]
    budget = AbandonmentBudget(windows, 0.03)
    made = Spending(budget)
    for answer in range(10):
        budget.answered(float(answer))
    assert not made.overdrawn
    budget.abandon(10.0)
    assert not made.overdrawn  # 0.3 are left of the 30 days, and the month, 0.7 over, is young
    budget.abandon(11.0)
    assert made.overdrawn
    older = LegalWindow(name="30 days", held=(Held(answers=1_010, abandoned=30),))
    spent = AbandonmentBudget([older, windows[1]], 0.03)
    for answer in range(10):
        spent.answered(float(answer))
    spent.abandon(10.0)
    assert spent.left_of_each == pytest.approx([-0.4, -0.7])
    assert spent.tightest.name == "month"
    assert Spending(spent).overdrawn  # by the 30 days, though the month alone would let it pass


@given(st.integers(0, 3_000), st.integers(0, 100))
def test_a_limit_of_nothing_is_always_overdrawn(answers: int, abandoned: int) -> None:
    assert spending(answers=answers, abandoned=abandoned, limit=0.0)[0].overdrawn


def test_a_big_floor_keeps_more_in_hand() -> None:
    reserves = [spending(answers=9_000, every_s=every_s)[0].reserve for every_s in (10.0, 1.0, 0.1, 0.01)]
    assert reserves[0] < 15.0
    assert all(small < big for small, big in itertools.pairwise(reserves))


def test_nobody_more_is_risked_once_a_half_hour_has_seen_twice_the_limit() -> None:
    made, _ = spending(answers=180, abandoned=0)
    assert made.aim(0.0).half_hour == 1.0
    made, _ = spending(answers=180, abandoned=11)  # twice 3 % of 180 are 10.8
    assert made.aim(0.0).half_hour == 0.0
    made.expire(180 * 10.0 + 1_800.0 + 60.0)
    assert made.aim(0.0).half_hour == 1.0


@pytest.mark.parametrize("limit", [0.01, 0.03, 0.05])
def test_of_few_answers_six_people_are_no_rate(limit: float) -> None:
    answers = int(3.0 / limit)  # the half hour of which six people are twice the limit
    seen = [spending(answers=answers, abandoned=lost, limit=limit, every_s=1_790.0 / answers)[0] for lost in range(11)]
    aims = [made.aim(0.0).half_hour for made in seen]
    assert aims[4] == 1.0
    assert 0.0 < aims[8] < aims[7] < aims[6] < aims[5] < 1.0
    assert aims[9] == aims[10] == 0.0


def test_where_fewer_answers_are_expected_more_people_are_let_pass() -> None:
    """A half hour that will not have answers enough is not judged by its rate."""
    few, _ = spending(answers=30, abandoned=6, every_s=60.0)
    hardly, _ = spending(answers=120, abandoned=6, every_s=14.9)
    many, _ = spending(answers=132, abandoned=7, every_s=13.5)
    assert few.aim(0.0).half_hour == 1.0
    assert 0.0 < hardly.aim(0.0).half_hour < 0.5
    assert many.aim(0.0).half_hour == 0.0


def test_of_what_a_big_floor_may_see_a_part_is_kept_back() -> None:
    made, _ = spending(answers=1_000, abandoned=56, every_s=1.7)
    assert made.aim(0.0).half_hour == 0.0  # 0.92 of twice 3 % of 1,000
    made, _ = spending(answers=1_000, abandoned=54, every_s=1.7)
    assert 0.0 < made.aim(0.0).half_hour < 0.1


def test_of_the_first_answers_no_more_than_the_limit_of_them() -> None:
    before, _ = spending(answers=190, abandoned=5)
    assert not before.overdrawn
    spent, budget = spending(answers=190, abandoned=6)
    assert budget.left > -1.0
    assert spent.overdrawn  # the seventh of the first 200 would be one too many
    after, _ = spending(answers=201, abandoned=6)
    assert not after.overdrawn


def test_a_limit_of_nothing_aims_at_next_to_nothing() -> None:
    made, _ = spending(answers=500, limit=0.0)
    assert made.aim(0.0) == Aim(windows=0.15, half_hour=1.0)  # of nothing
