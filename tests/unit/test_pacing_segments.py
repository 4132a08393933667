"""Segments: numbers for hints, and rates shrunk to the campaign's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacing import Pacer, build
from pacing.segments import MOST_SEGMENTS, SegmentRates, SegmentSlots


def test_a_hint_keeps_its_number_and_the_oldest_makes_room() -> None:
    slots = SegmentSlots()
    assert slots.slot(None) == (0, False)
    numbers = [slots.slot(("hour", hour)) for hour in range(MOST_SEGMENTS)]
    assert numbers == [(hour + 1, True) for hour in range(MOST_SEGMENTS)]
    assert slots.slot(("hour", 0)) == (1, False)
    assert slots.slot("one more") == (2, True)  # that of ("hour", 1), dialed longest ago
    assert slots.slot(("hour", 0)) == (1, False)


def _ratio(rates: SegmentRates, segment: int) -> float:
    return float(rates.of(np.array([segment]))[0])


def test_a_segment_speaks_for_itself_as_far_as_it_has_been_heard() -> None:
    rates = SegmentRates()
    for _ in range(10):
        rates.resolved(1, 0.2, answered=True)
    few = _ratio(rates, 1)
    assert 1.3 < few < 3.0  # ten of ten, where two were expected: five times as often, shrunk
    for _ in range(200):
        rates.resolved(0, 0.2, answered=False)
        for place in range(5):
            rates.resolved(2, 0.2, answered=place < 1)
    assert _ratio(rates, 2) == pytest.approx(_ratio(rates, 0))  # one in five, like all of them
    for place in range(4_000):
        rates.resolved(2, 0.2, answered=place % 10 < 1)
        rates.resolved(0, 0.2, answered=place % 10 < 3)
    assert 0.3 < _ratio(rates, 2) / _ratio(rates, 0) < 0.65
    assert _ratio(rates, 3) == _ratio(rates, 0)
    rates.forget(1)
    assert _ratio(rates, 1) == _ratio(rates, 0)


def test_a_segment_that_changes_is_followed() -> None:
    rates = SegmentRates()
    for share in (1, 4):
        for place in range(5_000):
            rates.resolved(1, 0.2, answered=place % 10 < share)
            rates.resolved(0, 0.2, answered=place % 10 < 4 - share)
    # Nearly four in ten against none.
    assert _ratio(rates, 1) / _ratio(rates, 0) > 1.7


def test_the_rate_of_a_campaign_is_that_of_the_segments_called_lately() -> None:
    rates = SegmentRates()
    for place in range(4_000):
        rates.started(1 + place % 2)
        rates.resolved(1 + place % 2, 0.25, answered=place % 5 < 2 if place % 2 else place % 20 == 0)
    apart = _ratio(rates, 2) / _ratio(rates, 1)
    assert apart > 2.5  # .4 against .1
    # Now the poor ones alone: the campaign's rate falls to theirs, and a ratio to it must not count that twice.
    for place in range(2_000):
        rates.started(1)
        rates.resolved(1, 0.1, answered=place % 10 == 0)
    assert _ratio(rates, 1) == pytest.approx(1.0, abs=0.05)
    assert rates.mix == pytest.approx(1.0, abs=0.05)
    assert _ratio(rates, 2) > 2.0


@given(st.lists(st.tuples(st.integers(0, 5), st.floats(0.0, 1.0), st.booleans()), max_size=300))
def test_ratios_stay_within_reason(resolved: list[tuple[int, float, bool]]) -> None:
    rates = SegmentRates()
    for segment, rate, answered in resolved:
        rates.started(segment)
        rates.resolved(segment, rate, answered=answered)
        ratios = rates.of(np.arange(6))
        assert np.all((ratios >= 0.01) & (ratios <= 60.0))
        assert 0.01 <= rates.mix <= 60.0


def _trained(pacer: Pacer) -> float:
    """Calls of "warm" people are answered every other time, of "cold" ones never; the moment it ends."""
    now = 0.0
    for agent in range(10):
        pacer.agent_changed(now, agent, "idle")
    for call in range(1_200):
        warm = call % 2 == 0
        pacer.call_started(now, call, "warm" if warm else "cold")
        now += 8.0
        if call % 4 == 0:
            pacer.agent_changed(now, call % 10, "talking")
            pacer.call_connected(now, call, call % 10)
            pacer.agent_changed(now + 7.0, call % 10, "idle")
        else:
            pacer.call_ended(now, call, "no_answer")
        pacer.decide(now + 7.5)
    return now + 8.0


@pytest.mark.parametrize("segment", ["warm", "cold"])
def test_ringing_calls_count_by_their_segment(segment: str) -> None:
    pacer, plain = build("predictive"), build("predictive")
    now = _trained(pacer)
    assert _trained(plain) == now
    for call in range(12):
        pacer.call_started(now, ("ringing", call), segment)
        plain.call_started(now, ("ringing", call))
    hinted, unhinted = pacer.decide(now + 1.0).dial, plain.decide(now + 1.0).dial
    # Warm people will take the agents; cold ones will not.
    assert hinted < unhinted if segment == "warm" else hinted > unhinted
