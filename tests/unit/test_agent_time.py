"""The time of agents: spells that add up to the floor, whoever waits for what, and never over a quarter of an hour."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from dialer.core.agent import AgentState
from dialer.core.agent_spell import QUARTER_S, AgentSpell, milliseconds, quarters
from dialer.core.ids import AgentId, CallId, CampaignId, ContactId, Phone, ServerName
from dialer.core.notices import AgentChanged, CallConnected, CallEnded, CallStarted
from dialer.core.outcome import Outcome
from dialer.projections.agent_time import AgentTime
from tests.record_values import attempt

ANNA = AgentId("anna")
CALL = CallId("n1-b-1")
WINTER, SPRING, SUMMER = CampaignId("winter"), CampaignId("spring"), CampaignId("summer")
#: A quarter past some hour.
START = 1_774_000_800.0


def changed(at: float, state: AgentState, *, call: CallId | None = None, reason: str = "") -> AgentChanged:
    return AgentChanged(
        at=START + at,
        agent=ANNA,
        state=state,
        previous=AgentState.IDLE,
        previous_s=0.0,
        campaigns=(WINTER, SPRING, SUMMER),
        call=call,
        reason=reason,
    )


def told(spells: list[AgentSpell]) -> list[tuple[str, str, float, int]]:
    return [(spell.state.value, spell.campaign, spell.began_at - START, spell.ms) for spell in spells]


def test_a_call_is_its_campaigns_and_waiting_is_everybodys() -> None:
    time = AgentTime()
    assert time.apply(changed(0, AgentState.IDLE)) == []
    assert told(time.apply(changed(10, AgentState.RESERVED, call=CALL))) == [
        ("idle", "winter", 0.0, 3_334),
        ("idle", "spring", 0.0, 3_333),
        ("idle", "summer", 0.0, 3_333),
    ]
    started = CallStarted(
        at=START + 5,
        call=CALL,
        campaign=SPRING,
        contact=ContactId("c"),
        phone=Phone("+34600111222"),
        server=ServerName("pbx"),
        trunk=None,
        attempt_number=1,
    )
    time = AgentTime()
    time.apply(changed(0, AgentState.IDLE))
    time.apply(started)
    time.apply(changed(10, AgentState.RESERVED, call=CALL))
    assert told(time.apply(changed(11, AgentState.TALKING, call=CALL))) == [("reserved", "spring", 10.0, 1_000)]
    assert told(time.apply(changed(31, AgentState.WRAPUP, call=CALL))) == [("talking", "spring", 11.0, 20_000)]
    # The call is over before its wrap-up is.
    time.apply(CallEnded(attempt=attempt(1, call=CALL, outcome=Outcome.CONNECTED), retry_at=None, at=START + 31))
    spells = time.apply(changed(40, AgentState.PAUSED, reason="lunch"))
    assert told(spells) == [("wrapup", "spring", 31.0, 9_000)]
    assert spells[0].call == CALL
    spells = time.apply(changed(41, AgentState.SIGNED_OUT))
    assert {spell.reason for spell in spells} == {"lunch"}
    assert time.open(START + 100) == []


def test_a_call_that_an_earlier_process_began_finds_its_campaign() -> None:
    time = AgentTime()
    time.apply(changed(0, AgentState.TALKING, call=CALL))
    time.apply(
        CallConnected(
            at=START,
            call=CALL,
            campaign=SUMMER,
            contact=ContactId("c"),
            phone=Phone("+34600111222"),
            agent=ANNA,
            wait_s=0.1,
            screen_pop="",
        )
    )
    assert told(time.apply(changed(5, AgentState.WRAPUP, call=CALL))) == [("talking", "summer", 0.0, 5_000)]


def test_what_is_under_way_is_told_again_and_not_twice() -> None:
    time = AgentTime()
    time.apply(changed(0, AgentState.PAUSED, reason="lunch"))
    first = time.open(START + 100)
    later = time.open(START + 1_000)
    last = time.apply(changed(1_200, AgentState.IDLE))
    latest: dict[tuple[float, str], int] = {}
    for spell in [*first, *later, *last]:
        latest[spell.began_at, spell.campaign] = spell.ms
    assert sum(latest.values()) == 1_200_000


def test_an_agent_without_a_campaign_has_time_all_the_same() -> None:
    time = AgentTime()
    notice = changed(0, AgentState.IDLE)
    time.apply(
        AgentChanged(
            at=notice.at, agent=ANNA, state=AgentState.IDLE, previous=AgentState.PAUSED, previous_s=0.0, campaigns=()
        )
    )
    assert told(time.open(START + 2)) == [("idle", "", 0.0, 2_000)]


moments = st.floats(1.6e9, 2e9, allow_nan=False)


@given(moments, st.floats(0, 100_000))
def test_quarters_are_whole_and_lie_in_one_quarter_each(began_at: float, length_s: float) -> None:
    parts = list(quarters(began_at, began_at + length_s))
    ends = [began_at, *(end for _, end in parts)]
    assert [begin for begin, _ in parts] == ends[:-1]
    assert ends[-1] == began_at + length_s
    for begin, end in parts:
        assert begin < end
        assert begin // QUARTER_S == math.nextafter(end, 0) // QUARTER_S
    assert sum(milliseconds(begin, end) for begin, end in parts) == milliseconds(began_at, began_at + length_s)


steps = st.lists(st.tuples(st.floats(0.001, 3_000), st.sampled_from(list(AgentState))), max_size=20)


@given(steps, st.lists(st.floats(0, 40_000), max_size=5))
def test_campaigns_add_up_to_the_time_that_passed(
    happening: list[tuple[float, AgentState]], looks: list[float]
) -> None:
    time = AgentTime()
    at, passed = 0.0, 0
    latest: dict[tuple[float, str], int] = {}
    counted = None
    looks = sorted(looks)
    kept = {AgentState.IDLE, AgentState.TALKING, AgentState.WRAPUP, AgentState.RESERVED, AgentState.PAUSED}
    for length_s, state in [*happening, (1.0, AgentState.SIGNED_OUT)]:
        while looks and looks[0] <= at + length_s:
            moment = looks.pop(0)
            if moment > at:
                for spell in time.open(START + moment):
                    latest[spell.began_at, spell.campaign] = spell.ms
        if counted is not None:
            passed += milliseconds(START + at, START + (at + length_s))
        at += length_s
        for spell in time.apply(changed(at, state)):
            latest[spell.began_at, spell.campaign] = spell.ms
        counted = state if state in kept else None
    assert sum(latest.values()) == passed
