"""Segments: numbers for hints, and rates shrunk to the campaign's."""

from __future__ import annotations

import numpy as np
import pytest

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


def test_a_segment_speaks_for_itself_as_far_as_it_has_been_heard() -> None:
    rates = SegmentRates()
    for _ in range(10):
        rates.resolved(1, 0.2, answered=True)
    few = float(rates.ratios[1])
    assert 1.5 < few < 3.0  # ten of ten, where two were expected: five times as often, shrunk
    for place in range(1_000):
        rates.resolved(2, 0.2, answered=place % 10 < 1)
    assert float(rates.ratios[2]) == pytest.approx(0.5, abs=0.06)
    rates.resolved(0, 0.2, answered=True)
    assert rates.of(np.array([0, 1, 3])).tolist() == [1.0, few, 1.0]
    rates.forget(1)
    assert float(rates.ratios[1]) == 1.0


def test_a_segment_that_changes_is_followed() -> None:
    rates = SegmentRates()
    for place in range(5_000):
        rates.resolved(1, 0.2, answered=place % 10 < 1)
    for place in range(5_000):
        rates.resolved(1, 0.2, answered=place % 10 < 4)
    assert float(rates.ratios[1]) == pytest.approx(2.0, abs=0.15)


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
