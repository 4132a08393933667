"""How often detection errs, told from a sample, and abandonment with the error counted in."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialer.compliance.machine_error import AnswerCounts, says_machine, share


@pytest.mark.parametrize(
    ("found", "of", "low", "high"),
    # R. G. Newcombe, Statistics in Medicine 17 (1998), table I, method 3.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_the_interval_is_wilsons(found: int, of: int, low: float, high: float) -> None:
    told = share(found, of)
    assert told.low == pytest.approx(low, abs=5e-5)
    assert told.high == pytest.approx(high, abs=5e-5)
    assert told.value == found / of


def test_no_evidence_is_no_estimate() -> None:
    told = share(0, 0)
    assert (told.low, told.value, told.high) == (0.0, None, 1.0)
    for found, of in ((-1, 5), (6, 5)):
        with pytest.raises(ValueError, match="part of a sample"):
            share(found, of)


@given(st.integers(0, 500).flatmap(lambda of: st.tuples(st.integers(0, of), st.just(of))))
def test_the_estimate_lies_in_its_interval(sample: tuple[int, int]) -> None:
    told = share(*sample)
    assert 0.0 <= told.low <= told.high <= 1.0
    assert told.value is None or told.low <= told.value <= told.high


@given(
    counts=st.builds(
        lambda abandoned, connected, machines, people, judged: AnswerCounts(
            live_answers=abandoned + connected,
            abandoned=abandoned,
            hung_up_as_machine=machines,
            judged=people + judged,
            judged_people=people,
        ),
        *[st.integers(0, 1_000)] * 5,
    )
)
def test_a_correction_never_makes_abandonment_smaller(counts: AnswerCounts) -> None:
    corrected = counts.corrected
    assert 0.0 <= corrected.low <= corrected.high <= 1.0
    assert corrected.low >= (counts.ratio or 0.0) - 1e-12
    if corrected.value is not None:
        assert corrected.low - 1e-12 <= corrected.value <= corrected.high + 1e-12


def test_the_formula() -> None:
    counts = AnswerCounts(live_answers=1_000, abandoned=20, hung_up_as_machine=400, judged=40, judged_people=2)
    assert counts.ratio == 0.02
    assert counts.false_machines.value == pytest.approx(20.0)
    assert counts.corrected.value == pytest.approx((20 + 20) / (1_000 + 20))
    assert counts.corrected.high == pytest.approx((20 + 400 * share(2, 40).high) / (1_000 + 400 * share(2, 40).high))


def test_without_machines_there_is_nothing_to_correct() -> None:
    corrected = AnswerCounts(live_answers=100, abandoned=3).corrected
    assert (corrected.low, corrected.value, corrected.high) == (0.03, 0.03, 0.03)
    nobody = AnswerCounts()
    assert (nobody.ratio, nobody.corrected.value) == (None, 0.0)


def test_a_centre_is_the_sum_of_its_campaigns() -> None:
    one = AnswerCounts(live_answers=100, abandoned=3, hung_up_as_machine=10, judged=2, judged_people=1)
    other = AnswerCounts(live_answers=50, judged=3)
    assert one + other == AnswerCounts(live_answers=150, abandoned=3, hung_up_as_machine=10, judged=5, judged_people=1)


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    random = np.random.default_rng(5)
    true_share, trials = 0.06, 2_000
    held = 0
    for found in random.binomial(60, true_share, size=trials):
        told = share(int(found), 60)
        held += told.low <= true_share <= told.high
    # 95 %, give or take the steps of a small sample and four standard errors.
    assert 0.92 < held / trials < 0.99


@pytest.mark.parametrize(
    ("code", "machine"),
    [("MACHINE", True), (" machine ", True), ("Answering machine", True), ("VOICEMAIL", True), ("SALE", False),
     ("NOT_A_MACHINE", False), ("", False)],
)  # fmt: skip
def test_what_a_disposition_says(code: str, machine: bool) -> None:
    assert says_machine(code) is machine


@given(drops=st.integers(0, 500), machines=st.integers(0, 500), people=st.integers(1, 500))
def test_drops_less_the_machines_that_agents_see_give_the_share_as_counted(
    drops: int, machines: int, people: int
) -> None:
    counted = AnswerCounts(live_answers=drops + machines + people, abandoned=drops)
    real = drops * (1 - machines / (machines + people))
    assert counted.ratio == pytest.approx(real / (real + people))
