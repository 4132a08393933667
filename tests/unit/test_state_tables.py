"""The transition tables: every row is walked, every missing pair is refused, nothing is unreachable."""

from __future__ import annotations

import itertools

import pytest

from dialer.core import agent as agents
from dialer.core import call as calls
from dialer.core import hold as holds
from dialer.core.campaign import ORDERS, Campaign, CampaignState
from dialer.core.ids import AgentId, CampaignId, ContactId, ServerName
from dialer.core.roster import Agent
from dialer.errors import InvalidTransition
from tests.engine_harness import Harness


def a_call(state: calls.CallState) -> calls.Call:
    harness = Harness()
    return calls.Call(
        permit=harness.permit(1),
        campaign=Campaign(id=CampaignId("c")),
        server=ServerName("pbx"),
        trunk=None,
        state=state,
    )


def an_agent(state: agents.AgentState) -> Agent:
    return Agent(id=AgentId("a"), phone="a", server=ServerName("pbx"), campaigns=(), state=state)


@pytest.mark.parametrize(("state", "step"), list(itertools.product(calls.CallState, calls.CallStep)))
def test_call_table(state: calls.CallState, step: calls.CallStep) -> None:
    call = a_call(state)
    expected = calls.TRANSITIONS.get((state, step))
    assert call.can(step) is (expected is not None)
    if expected is None:
        with pytest.raises(InvalidTransition):
            call.take(step)
        assert call.state is state
    else:
        call.take(step)
        assert call.state is expected


@pytest.mark.parametrize(("state", "step"), list(itertools.product(holds.HoldState, holds.HoldStep)))
def test_hold_table(state: holds.HoldState, step: holds.HoldStep) -> None:
    hold = holds.Hold(campaign=CampaignId("c"), contact=ContactId("crm-1"), state=state)
    expected = holds.TRANSITIONS.get((state, step))
    if expected is None:
        with pytest.raises(InvalidTransition):
            hold.take(step)
        assert hold.state is state
    else:
        hold.take(step)
        assert hold.state is expected


@pytest.mark.parametrize(("state", "step"), list(itertools.product(agents.AgentState, agents.AgentStep)))
def test_agent_table(state: agents.AgentState, step: agents.AgentStep) -> None:
    agent = an_agent(state)
    expected = agents.TRANSITIONS.get((state, step))
    assert agent.can(step) is (expected is not None)
    if expected is None:
        with pytest.raises(InvalidTransition):
            agent.take(step, 5.0)
        assert agent.state is state
    else:
        assert agent.take(step, 5.0) is state
        assert (agent.state, agent.since) == (expected, 5.0)


def test_every_call_state_can_be_reached_and_all_but_the_last_can_end() -> None:
    reached = {calls.CallState.RESERVED}
    while True:
        more = {to for (state, _), to in calls.TRANSITIONS.items() if state in reached} - reached
        if not more:
            break
        reached |= more
    assert reached == set(calls.CallState)
    for state in set(calls.CallState) - {calls.CallState.ENDED}:
        assert (state, calls.CallStep.END) in calls.TRANSITIONS
    assert not any(state is calls.CallState.ENDED for state, _ in calls.TRANSITIONS)


def test_every_agent_state_can_be_left_towards_signed_out() -> None:
    back = {agents.AgentState.SIGNED_OUT}
    while True:
        more = {state for (state, _), to in agents.TRANSITIONS.items() if to in back} - back
        if not more:
            break
        back |= more
    assert back == set(agents.AgentState)


def test_every_campaign_state_but_draft_can_be_ordered_from_somewhere() -> None:
    assert set().union(*ORDERS.values()) == set(CampaignState) - {CampaignState.DRAFT}
    assert set(ORDERS) == set(CampaignState)
