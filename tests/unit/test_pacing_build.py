"""Building a pacer by name, and the methods that need no forecast."""

from __future__ import annotations

import dataclasses

import pytest

from pacing import Decision, Pacer, build, method_names


def test_every_method_builds_a_pacer_that_dials_nobody_without_agents() -> None:
    for method in method_names():
        pacer = build(method)
        assert isinstance(pacer, Pacer)
        decision = pacer.decide(0.0)
        assert decision.dial == 0
        assert decision.explanation


@pytest.mark.parametrize(
    "name",
    [
        "preview",
        "progressive",
        "ratio",
        "predictive",
        "vicidial_ratio",
        "vicidial_hard_limit",
        "vicidial_average",
        "vicidial_tapered",
        "issabel",
        "omnidialer",
        "wombat",
        "impact",
        "pi",
    ],
)
def test_the_fixed_names_are_known(name: str) -> None:
    assert name in method_names()


def test_unknown_method_is_refused_with_the_valid_names() -> None:
    with pytest.raises(ValueError, match=r"'predictiv' \(did you mean 'predictive'\?\); valid: preview, progressive"):
        build("predictiv")


def test_unknown_setting_is_refused_with_the_valid_names() -> None:
    with pytest.raises(ValueError, match=r"'max_abandon' \(did you mean 'max_abandonment'\?\); valid: .*max_lines"):
        build("predictive", max_abandon=0.03)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("max_abandonment", -0.01),
        ("max_abandonment", 1.5),
        ("max_abandonment", float("nan")),
        ("max_abandonment", "3%"),
        ("connect_within_s", -1.0),
        ("ring_timeout_s", 0.0),
        ("max_lines", -1),
        ("max_lines", True),
        ("max_lines_per_agent", -0.5),
        ("ratio", 1e9),
        ("window_s", 0.0),
        ("answers_before", -1),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(setting: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"pacing setting {setting} must be"):
        build("predictive", **{setting: value})


def test_more_abandoned_than_answered_before_is_refused() -> None:
    with pytest.raises(ValueError, match="abandoned_before must be between 0 and 10"):
        build("predictive", answers_before=10, abandoned_before=11)


def test_a_decision_cannot_be_changed() -> None:
    decision = build("progressive").decide(0.0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        decision.dial = 5  # type: ignore[misc]


def _with_idle(method: str, agents: int, **settings: object) -> Pacer:
    pacer = build(method, **settings)
    for agent in range(agents):
        pacer.agent_changed(0.0, agent, "idle")
    return pacer


def test_preview_never_dials() -> None:
    decision = _with_idle("preview", 5).decide(1.0)
    assert (decision.dial, decision.limit) == (0, "preview")


def test_progressive_dials_one_call_for_each_idle_agent_without_one() -> None:
    pacer = _with_idle("progressive", 5)
    assert pacer.decide(1.0).dial == 5
    for call in range(3):
        pacer.call_started(1.0, call)
    pacer.call_answered(2.0, 0)
    decision = pacer.decide(2.0)
    assert (decision.dial, decision.idle, decision.in_flight, decision.waiting) == (2, 5, 2, 1)
    pacer.agent_changed(2.0, 0, "talking")
    pacer.call_connected(2.0, 0, 0)
    assert pacer.decide(2.0).dial == 2
    pacer.call_ended(3.0, 1, "busy")
    assert pacer.decide(3.0).dial == 3


def test_ratio_keeps_its_lines_per_idle_agent() -> None:
    pacer = _with_idle("ratio", 4, ratio=2.5)
    assert pacer.decide(0.0).dial == 10
    for call in range(10):
        pacer.call_started(0.0, call)
    assert pacer.decide(0.0).dial == 0
    pacer.agent_changed(1.0, 0, "away")
    assert pacer.decide(1.0).dial == 0  # 7 lines allowed, 10 in use


def test_hard_limits_cut_every_method_and_say_so() -> None:
    capped = _with_idle("ratio", 10, ratio=3.0, max_lines=12).decide(0.0)
    assert (capped.dial, capped.limit) == (12, "max_lines")
    assert "12 lines" in capped.explanation
    per_agent = _with_idle("ratio", 10, ratio=3.0, max_lines_per_agent=1.5).decide(0.0)
    assert (per_agent.dial, per_agent.limit) == (15, "max_lines_per_agent")


def test_explanations_are_sentences_for_people() -> None:
    decision: Decision = _with_idle("progressive", 1).decide(0.0)
    assert decision.explanation == "1 more call: one call for each of 1 idle agent, 0 under way"
