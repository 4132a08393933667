"""The predictive method: what it waits for, what stops it, what it says."""

from __future__ import annotations

import dataclasses

import pytest

from pacing import Pacer, build
from pacing.distributions import LogNormal
from pacing.floor import Floor, Shift, Steps
from pacing.legal_window import Held, LegalWindow
from pacing.methods.parts import Parts
from pacing.methods.predictive import Predictive
from pacing.paced import RulePacer
from pacing.settings import PacingSettings
from pacing.simulate import simulate


def _trained(pacer: Pacer, *, agents: int = 10, answers: int = 200, abandoned: int = 0, answer_every: int = 4) -> float:
    """Let `answers` people answer, every n-th call, ten seconds each, talks of 100 s; the moment it ends."""
    now, call = 0.0, 0
    for agent in range(agents):
        pacer.agent_changed(now, agent, "idle")
    for answer in range(answers):
        for _ in range(answer_every):
            pacer.call_started(now, call)
            call += 1
        now += 10.0
        for lost in range(call - answer_every + 1, call):
            pacer.call_ended(now, lost, "no_answer")
        first = call - answer_every
        pacer.call_answered(now, first)
        agent = answer % agents
        if answer < abandoned:
            pacer.call_abandoned(now + 2.0, first)
        else:
            pacer.agent_changed(now, agent, "talking")
            pacer.call_connected(now, first, agent)
            pacer.agent_changed(now + 9.0, agent, "idle")
        pacer.decide(now + 9.0)
    return now + 10.0


def test_it_starts_progressive_until_it_knows_the_list_and_the_agents() -> None:
    pacer = build("predictive")
    for agent in range(7):
        pacer.agent_changed(0.0, agent, "idle")
    decision = pacer.decide(0.0)
    assert (decision.dial, decision.limit) == (7, "warming_up")
    assert "getting to know" in decision.explanation


def test_it_dials_more_than_one_call_per_idle_agent_once_it_knows() -> None:
    pacer = build("predictive")
    now = _trained(pacer)
    decision = pacer.decide(now)
    assert decision.idle == 10
    assert 15 <= decision.dial <= 40  # a quarter answer
    assert decision.limit == "threshold"
    assert 0.0 < decision.expected_abandonment <= decision.threshold
    assert decision.answer_rate is not None
    assert 0.2 < decision.answer_rate < 0.4
    assert "chance that the last leaves somebody without an agent" in decision.explanation
    assert "budget left 5" in decision.explanation


def test_an_overdrawn_budget_leaves_one_call_per_idle_agent() -> None:
    pacer = build("predictive")
    now = _trained(pacer, answers=200, abandoned=9)
    decision = pacer.decide(now)
    assert (decision.dial, decision.limit) == (10, "budget")
    assert "9 of 200 answered calls abandoned (30 days), 3.0 % allowed" in decision.explanation
    assert decision.budget_left is not None
    assert decision.budget_left < 0.0


def test_it_recovers_by_itself_when_the_window_has_passed() -> None:
    pacer = build("predictive", window_s=3_600.0)
    now = _trained(pacer, answers=200, abandoned=9)
    assert pacer.decide(now).limit == "budget"
    for agent in range(10):
        pacer.agent_changed(now, agent, "idle")
    call = 1_000_000
    for step in range(300):
        now += 10.0
        pacer.call_started(now, call + step)
        pacer.call_answered(now + 8.0, call + step)
        pacer.call_connected(now + 8.0, call + step, 0)
    assert pacer.decide(now + 1_000.0).limit == "threshold"


def test_what_the_window_held_before_a_restart_counts() -> None:
    fresh, spent = build("predictive"), build("predictive", answers_before=1_000, abandoned_before=40)
    assert pacer_limit(fresh) == "threshold"
    assert pacer_limit(spent) == "budget"


def pacer_limit(pacer: Pacer) -> str:
    """Which limit binds after some training."""
    return pacer.decide(_trained(pacer)).limit


def test_a_limit_of_nothing_is_progressive_for_ever() -> None:
    pacer = build("predictive", max_abandonment=0.0)
    decision = pacer.decide(_trained(pacer))
    assert decision.dial == 10
    assert decision.limit in ("budget", "warming_up")


def test_people_already_waiting_are_served_before_anybody_is_called() -> None:
    pacer = build("predictive")
    now = _trained(pacer)
    eager = pacer.decide(now).dial
    for call in range(8):
        pacer.call_answered(now, ("waiting", call))
    assert pacer.decide(now).dial < eager / 2


def test_nobody_is_dialed_when_everybody_has_just_begun_to_talk() -> None:
    pacer = build("predictive")
    now = _trained(pacer)
    for agent in range(10):
        pacer.agent_changed(now, agent, "away")
    for agent in range(10):
        pacer.agent_changed(now, agent, "talking")
    # The talks that it knows last nine seconds; a second after they began nobody is about to be free at once.
    for call in range(60):
        pacer.call_started(now, ("ringing", call))
    decision = pacer.decide(now + 1.0)
    assert (decision.dial, decision.idle) == (0, 0)
    assert "the chance that the next leaves somebody without an agent" in decision.explanation


def test_agents_about_to_be_free_are_counted_on() -> None:
    pacer = build("predictive")
    now = _trained(pacer)
    for agent in range(10):
        pacer.agent_changed(now, agent, "talking")
    # Talks last nine seconds and calls ten to be answered: every agent will be free.
    assert pacer.decide(now + 1.0).dial > 0


def test_the_snapshot_is_plain_and_complete() -> None:
    pacer = build("predictive")
    _trained(pacer)
    snapshot = pacer.snapshot()
    assert snapshot["method"] == "predictive"
    for key in ("idle", "in_flight", "threshold", "budget_left", "abandonment", "answer_rate", "mean_talk_s"):
        assert isinstance(snapshot[key], int | float), key


def test_the_same_events_give_the_same_decisions() -> None:
    first, second = build("predictive"), build("predictive")
    assert first.decide(_trained(first)) == second.decide(_trained(second))


def test_a_bad_half_hour_is_stopped_however_much_the_window_has_left() -> None:
    held = (Held(answers=100_000, abandoned=0),)
    pacer = build("predictive", windows=(LegalWindow(name="30 days", length_s=30 * 86_400.0, held=held),))
    now = _trained(pacer)
    assert pacer.decide(now).limit == "threshold"
    for call in range(12):
        pacer.call_abandoned(now, ("lost", call))
    decision = pacer.decide(now)
    assert decision.limit == "budget"
    assert decision.budget_left == pytest.approx(0.03 * 100_212 - 13)
    assert "too many were abandoned in the last half hour" in decision.explanation
    assert decision.threshold == pytest.approx(0.05 * 0.03)


def test_an_answer_stands_while_nothing_happens_and_no_longer() -> None:
    pacer = build("predictive")
    now = _trained(pacer)
    for call in range(pacer.decide(now).dial):
        pacer.call_started(now, ("new", call))
    first = pacer.decide(now + 0.1)
    assert first.dial == 0
    assert pacer.decide(now + 0.5) is first
    assert pacer.decide(now + 1.2) is not first
    pacer.call_ended(now + 1.3, ("new", 0), "busy")
    assert pacer.decide(now + 1.4).in_flight == first.in_flight - 1


def test_agents_who_leave_are_not_counted_on() -> None:
    pacer, plain = build("predictive"), build("predictive")
    now = _trained(pacer)
    assert _trained(plain) == now
    for each in (pacer, plain):
        for agent in range(10):
            each.agent_changed(now, agent, "talking")
    for agent in range(8):
        pacer.agent_leaving(now, agent)
    decision = pacer.decide(now + 1.0)
    assert decision.busy == 10
    assert decision.dial < plain.decide(now + 1.0).dial


def test_agents_whose_shift_ends_before_an_answer_can_come_are_not_counted_on() -> None:
    def dial(ends_in_s: float | None) -> int:
        pacer = build("predictive")
        now = _trained(pacer)
        for agent in range(8):
            if ends_in_s is not None:
                pacer.agent_leaving(now, agent, at=now + 2.0 + ends_in_s)
        return pacer.decide(now + 2.0).dial

    assert dial(2.0) < dial(None)
    assert dial(600.0) == dial(None)


@pytest.mark.parametrize("part", [field.name for field in dataclasses.fields(Parts)])
def test_an_ablation_changes_what_is_decided(part: str) -> None:
    floor = Floor(shifts=(Shift(agents=8),), answer=Steps(0.5), talk=LogNormal(40.0, 0.9), hours=0.5)
    settings = PacingSettings(ring_timeout_s=26.0)

    def day(parts: Parts) -> tuple[int, float]:
        pacer = RulePacer("predictive", Predictive(settings, parts), settings)
        came_to = simulate(floor, pacer, seed=1, decide_every_s=1.0)
        return came_to.dialed, came_to.busy_s

    assert day(Parts()) != day(dataclasses.replace(Parts(), **{part: False}))
