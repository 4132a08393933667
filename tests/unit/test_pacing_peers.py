"""The comparisons do what the descriptions of those dialers say."""

from __future__ import annotations

import pytest

from pacing import Pacer, build


def _idle(method: str, agents: int, **settings: object) -> Pacer:
    pacer = build(method, **settings)
    for agent in range(agents):
        pacer.agent_changed(0.0, agent, "idle")
    return pacer


def _start(pacer: Pacer, now: float, calls: range) -> None:
    for call in calls:
        pacer.call_started(now, call)


def _serve(pacer: Pacer, now: float, call: int, agent: int) -> None:
    pacer.call_started(now - 8.0, call)
    pacer.call_answered(now, call)
    pacer.agent_changed(now, agent, "talking")
    pacer.call_connected(now, call, agent)


def test_vicidial_counts_connected_calls_against_its_level() -> None:
    pacer = _idle("vicidial_ratio", 4, ratio=2.0)
    assert pacer.decide(0.0).dial == 8
    assert pacer.decide(1.0).dial == 0  # its loop sleeps two and a half seconds
    _serve(pacer, 3.0, 1, 0)
    assert pacer.decide(3.0).dial == 7


def test_vicidial_keeps_lines_ringing_with_nobody_free() -> None:
    pacer = _idle("vicidial_ratio", 4, ratio=2.0)
    for agent in range(4):
        _serve(pacer, 10.0, agent, agent)
    decision = pacer.decide(10.0)
    assert (decision.idle, decision.dial) == (0, 4)


def test_vicidial_at_level_one_is_progressive() -> None:
    pacer = _idle("vicidial_hard_limit", 5)
    _serve(pacer, 5.0, 1, 0)
    assert pacer.decide(5.0).dial == 4


def _adapt(method: str, *, hours: float, lost: int, seconds: int = 60) -> float:
    """The level after a minute of three idle agents out of four, with some of a hundred answered people lost before."""
    pacer = _idle(method, 4)
    for call in range(100):
        pacer.call_started(0.0, call)
        if call < lost:
            pacer.call_abandoned(0.0, call)
        else:
            pacer.call_connected(0.0, call, 0)
    pacer.agent_changed(0.0, 0, "talking")
    for second in range(seconds):
        pacer.decide(hours * 3_600.0 + second)
    level = pacer.snapshot()["level"]
    assert isinstance(level, float)
    return level


@pytest.mark.parametrize("method", ["vicidial_hard_limit", "vicidial_average", "vicidial_tapered"])
def test_vicidial_raises_its_level_while_agents_wait_up_to_its_maximum(method: str) -> None:
    assert _adapt(method, hours=1.0, lost=0) == 3.0


def test_vicidial_limiters_over_the_limit() -> None:
    assert _adapt("vicidial_hard_limit", hours=1.0, lost=10) == 1.0
    assert _adapt("vicidial_average", hours=1.0, lost=10) == 1.0
    # Hours are subtracted as written on a clock: 10:00 to 21:00 are "1100", and nothing is cut.
    assert _adapt("vicidial_tapered", hours=1.0, lost=10) == 3.0
    assert _adapt("vicidial_tapered", hours=11.0, lost=10) < 1.5
    assert _adapt("vicidial_tapered", hours=13.0, lost=10) == 1.0


def test_vicidial_forgets_at_midnight() -> None:
    assert _adapt("vicidial_hard_limit", hours=24.0, lost=10) == 3.0


def test_issabel_counts_an_agent_as_soon_free_after_three_and_a_half_mean_calls() -> None:
    pacer = _idle("issabel", 1)
    for call in range(12):
        _serve(pacer, 100.0 * call + 8.0, call, 0)
        pacer.agent_changed(100.0 * call + 68.0, 0, "idle")
    pacer.agent_changed(2_000.0, 0, "talking")
    # Mean call 60 s, mean ring 8 s: 1 - exp(-(elapsed + 8) / 60) passes 0.97 at 202 s.
    assert pacer.decide(2_200.0).dial == 0
    assert pacer.decide(2_206.0).dial == 1


def test_issabel_overcommits_by_the_answers_of_the_last_half_hour_but_fivefold_at_most() -> None:
    pacer = _idle("issabel", 4)
    _start(pacer, 0.0, range(40))
    for call in range(40):
        if call % 2:
            pacer.call_ended(5.0, call, "no_answer")
        else:
            pacer.call_ended(5.0, call, "machine")
    assert pacer.decide(6.0).dial == 8
    assert pacer.decide(6.5).dial == 0  # its cycle is five seconds
    _start(pacer, 7.0, range(100, 1_100))
    for call in range(100, 1_100):
        pacer.call_ended(8.0, call, "no_answer")
    assert pacer.decide(12.0).dial == 20


def test_omnidialer_is_progressive_until_fifty_calls_are_handled() -> None:
    pacer = _idle("omnidialer", 6)
    assert pacer.decide(0.0).dial == 6
    for call in range(50):
        _serve(pacer, 10.0 + call, call, 0)
        pacer.agent_changed(10.5 + call, 0, "idle")
    for call in range(1_000, 1_010):
        pacer.call_started(70.0, call)
        pacer.call_ended(71.0, call, "no_answer")
    assert pacer.decide(72.0).dial > 10


def test_omnidialer_brakes_after_one_abandoned_call() -> None:
    pacer = _idle("omnidialer", 6)
    for call in range(60):
        _serve(pacer, 10.0 + call, call, 0)
        pacer.agent_changed(10.5 + call, 0, "idle")
    pacer.call_abandoned(80.0, "lost")
    first = pacer.decide(81.0).dial
    assert first == 1  # a fifth of six agents expected, all of whom answer
    for second in range(82, 90):
        pacer.decide(float(second))
    assert pacer.decide(90.0).limit == "idle"  # latched


def test_wombat_multiplies_free_agents_and_stops_while_somebody_waits() -> None:
    pacer = _idle("wombat", 3)
    assert pacer.decide(0.0).dial == 7
    pacer.call_answered(1.0, "somebody")
    assert pacer.decide(1.0).dial == 0


def test_impact_tries_ratios_on_recorded_calls() -> None:
    pacer = _idle("impact", 10)
    now = 0.0
    for call in range(120):
        now += 5.0
        if call % 3:
            pacer.call_started(now, call)
            pacer.call_ended(now + 2.0, call, "no_answer")
        else:
            _serve(pacer, now, call, call % 10)
            pacer.agent_changed(now + 4.0, call % 10, "idle")
    for agent in range(6):
        pacer.agent_changed(now, agent, "talking")
    pacer.decide(now)
    ratio = pacer.snapshot()["ratio"]
    assert isinstance(ratio, float)
    assert 1.0 < ratio <= 3.0


def test_pi_moves_its_adjustment_by_blocks_of_a_hundred_answers() -> None:
    spared, punished = _idle("pi", 5), _idle("pi", 5)
    for call in range(100):
        spared.call_started(0.0, call)
        spared.call_connected(8.0, call, 0)
        punished.call_started(0.0, call)
        if call < 10:
            punished.call_abandoned(8.0, call)
        else:
            punished.call_connected(8.0, call, 0)
    better, worse = spared.snapshot()["adjustment"], punished.snapshot()["adjustment"]
    assert isinstance(better, float)
    assert isinstance(worse, float)
    assert better > 150.0 > worse
    assert punished.decide(9.0).limit == "idle"  # over the day's limit: no over-dialing
