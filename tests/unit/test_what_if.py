"""What a campaign's own calls say of the next ones, and the floors that are simulated from them."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialer.api.what_if_ports import WhatIfFound
from dialer.campaigns import parse_campaign
from dialer.core.attempt import Attempt
from dialer.core.ids import CallId, CampaignId, ContactId, Phone
from dialer.core.outcome import LIVE, Outcome
from dialer.twin.cells import run_cell, scenario_in
from dialer.twin.what_if import FEWEST_CALLS, Found, Question, cells, learn, point_of

CAMPAIGN = parse_campaign({"id": "winter", "max_abandonment": 0.02})
ASKED = Question(agents=10, other_agents=12, other_limit=0.01)


def call(number: int, outcome: Outcome, *, ring_s: float = 8.0, talk_s: float = 60.0) -> Attempt:
    begun = 1_000.0 * number
    answered = begun + ring_s if outcome in LIVE else None
    connected = None if answered is None or outcome is not Outcome.CONNECTED else answered + 0.5
    return Attempt(
        call=CallId(f"c{number}"),
        campaign=CampaignId("winter"),
        contact=ContactId(f"p{number}"),
        phone=Phone("+34600111222"),
        attempt_number=1,
        outcome=outcome,
        reason="",
        started_at=begun,
        ended_at=(connected or begun + ring_s) + (talk_s if connected else 12.0),
        answered_at=answered,
        connected_at=connected,
    )


def day(live: int = 25, other: int = 75) -> list[Attempt]:
    return [call(n, Outcome.CONNECTED) for n in range(live)] + [call(live + n, Outcome.BUSY) for n in range(other)]


def test_the_figures_are_those_of_the_calls() -> None:
    learned = learn(day(), 11.0, CAMPAIGN)
    assert learned is not None
    floor, raw = learned
    assert (floor.calls, floor.answer_rate, floor.wrapup_s, floor.wrapup_assumed) == (100, 0.25, 11.0, False)
    assert floor.talk_s == pytest.approx(60.0)
    assert raw["answer"] == {"rate": 0.25}
    assert [one["outcome"] for one in raw["outcomes"]] == ["busy"]


def test_a_wrapup_that_nobody_knows_is_the_campaigns_limit() -> None:
    learned = learn(day(), None, CAMPAIGN)
    assert learned is not None
    assert (learned[0].wrapup_s, learned[0].wrapup_assumed) == (CAMPAIGN.wrapup_limit_s, True)


@pytest.mark.parametrize("calls", [[], day(5, 5), day(9, 91), day(40, FEWEST_CALLS - 41)])
def test_too_few_calls_say_nothing(calls: list[Attempt]) -> None:
    assert learn(calls, 5.0, CAMPAIGN) is None


def test_calls_that_we_ended_ourselves_say_nothing_of_people() -> None:
    ours = [call(1_000 + n, outcome) for n, outcome in enumerate((Outcome.CANCELLED, Outcome.LOST, Outcome.CONGESTION))]
    assert learn(day() + ours * 30, 5.0, CAMPAIGN) == learn(day(), 5.0, CAMPAIGN)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.builds(
            lambda outcome, ring_s, talk_s: (outcome, ring_s, talk_s),
            st.sampled_from(list(Outcome)),
            st.floats(-5, 1e5),
            st.floats(-5, 1e6),
        ),
        max_size=60,
    ),
    st.none() | st.floats(0, 1e4),
    st.integers(1, 1_000),
    st.integers(1, 1_000),
)
def test_of_whatever_happened_a_scenario_can_be_made(
    odd: list[tuple[Outcome, float, float]], wrapup_s: float | None, agents: int, other: int
) -> None:
    calls = day() + [call(1_000 + n, o, ring_s=ring_s, talk_s=talk_s) for n, (o, ring_s, talk_s) in enumerate(odd)]
    learned = learn(calls, wrapup_s, CAMPAIGN)
    assert learned is not None
    question = Question(agents=agents, other_agents=other, other_limit=0.01)
    hours, work = cells(learned[1], learned[0], question, CAMPAIGN)
    assert 0.5 <= hours <= 4.0
    assert {(cell.scenario["agents"], cell.pacing["max_abandonment"]) for cell in work} >= {
        (agents, CAMPAIGN.max_abandonment),
        (other, 0.01),
    }
    for cell in work:
        assert scenario_in(cell).agents == cell.scenario["agents"]


def test_a_floor_is_simulated_and_told_in_the_words_of_the_api() -> None:
    learned = learn(day(), 5.0, CAMPAIGN)
    assert learned is not None
    floor, raw = learned
    _, work = cells(raw, floor, ASKED, CAMPAIGN)
    short = msgspec.structs.replace(work[0], scenario={**work[0].scenario, "hours": 0.1, "days": 2})
    point = point_of(run_cell(short), short, 0.1)
    assert (point.agents, point.limit) == (10, min(0.005, CAMPAIGN.max_abandonment))
    assert 0.0 < point.occupancy <= 1.0
    assert point.talks_an_hour > 0
    found = Found(floor=floor, points=(point,), hours=0.1)
    told = msgspec.json.decode(msgspec.json.encode(found), type=WhatIfFound)
    assert msgspec.to_builtins(told) == msgspec.to_builtins(found)
