"""What pacers are told of the ends of shifts and of callbacks that are to come."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialer.core import events as ev
from dialer.core.agent import AgentState
from dialer.core.campaign import Campaign, CampaignState
from dialer.core.commitment import Ahead, commitments
from dialer.core.ids import AgentId, CampaignId, ContactId, ServerName
from dialer.core.promise import Due
from dialer.core.roster import Agent
from pacing import build
from tests.engine_harness import CAMPAIGN, PBX, Harness

ANNA, BEA = AgentId("anna"), AgentId("bea")
SPRING = CampaignId("spring")


class Absences:
    """A pacer that dials nobody and keeps what it is told of agents who will be away."""

    def __init__(self, pacer: object) -> None:
        self._pacer = pacer
        self.told: list[tuple[Hashable, bool, float | None]] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self._pacer, name)

    def agent_leaving(self, now: float, agent: Hashable, leaving: bool = True, at: float | None = None) -> None:
        self.told.append((agent, leaving, at))

    def known(self) -> dict[Hashable, float | None]:
        """Who is to be away, and from when on; None: after what they are doing."""
        away: dict[Hashable, float | None] = {}
        for agent, leaving, at in self.told:
            if leaving:
                away[agent] = at
            else:
                away.pop(agent, None)
        return away


def floor_of(*agents: str, ends_at: float | None = None) -> tuple[Harness, Absences]:
    h = Harness(Campaign(id=CAMPAIGN, method="preview"))
    h.grant = False
    h.start()
    absences = Absences(h.engine.floor.campaigns[CAMPAIGN].pacers[PBX])
    h.engine.floor.campaigns[CAMPAIGN].pacers[PBX] = absences  # type: ignore[assignment]
    for agent in agents:
        h.sign_in(agent, shift_ends_at=ends_at)
    return h, absences


def ahead(h: Harness, *callbacks: tuple[float, str | None]) -> None:
    """Callbacks so many seconds from now, and whose they are."""
    found = tuple(
        Ahead(
            campaign=CAMPAIGN,
            contact=ContactId(f"crm-{n}"),
            due_at=h.now + in_s,
            agent=None if agent is None else AgentId(agent),
            fallback_at=h.now + in_s + 900,
        )
        for n, (in_s, agent) in enumerate(callbacks)
    )
    h.feed(ev.CallbacksAhead(at=h.now, ahead=found))


def test_the_end_of_a_shift_is_told_at_the_sign_in_and_once() -> None:
    h, pacer = floor_of("anna", ends_at=1_000_900.0)
    assert pacer.told == [("anna", True, 1_000_900.0)]
    h.feed(ev.AgentPauseAsked(at=h.now, agent=ANNA, code="lunch"))
    h.feed(ev.AgentReadied(at=h.now, agent=ANNA))
    assert pacer.told == [("anna", True, 1_000_900.0)]


def test_an_agent_who_signs_in_again_may_stay_longer() -> None:
    h, pacer = floor_of("anna", ends_at=1_000_900.0)
    again = ev.AgentSignedIn(at=h.now, agent=ANNA, phone="anna", campaigns=(CAMPAIGN,), shift_ends_at=1_009_000.0)
    h.feed(again)
    assert pacer.known() == {"anna": 1_009_000.0}
    h.feed(replace(again, shift_ends_at=None))
    assert pacer.known() == {}


def test_after_a_pause_that_was_asked_for_and_taken_back_the_shift_still_ends() -> None:
    h, pacer = floor_of("anna", ends_at=1_000_900.0)
    floor = h.engine.floor
    h.grant = True
    due = Due(contact=ContactId("crm-9"), agent=ANNA, due_at=h.now, until_at=h.now + 60)
    h.feed(ev.ContactsDue(at=h.now, campaign=CAMPAIGN, due=(due,)))
    call = h.calls()[0]
    h.answer(call)
    h.join(call)
    h.feed(ev.AgentPauseAsked(at=h.now, agent=ANNA, code="lunch"))
    assert pacer.known()["anna"] is None
    h.feed(ev.AgentReadied(at=h.now, agent=ANNA))
    assert pacer.known() == {"anna": 1_000_900.0}
    assert floor.roster.get(ANNA) is not None


def test_a_changed_method_is_told_of_the_shift_too() -> None:
    h, _ = floor_of("anna", ends_at=1_000_900.0)
    h.feed(ev.CampaignConfigured(at=h.now, campaign=replace(h.campaign, method="predictive")))
    pacer = h.engine.floor.campaigns[CAMPAIGN].pacers[PBX]
    assert pacer.snapshot()["leaving"] == 0
    h.now = 1_000_899.0
    h.feed(ev.HopperSeen(at=h.now, campaign=CAMPAIGN, ready=0))
    h.advance(2)
    assert pacer.snapshot()["leaving"] == 1


def test_an_agent_with_a_callback_is_kept_from_then_on_and_an_earlier_end_of_their_shift_counts() -> None:
    h, pacer = floor_of("anna", "bea", ends_at=1_000_900.0)
    ahead(h, (300, "anna"), (3_000, "bea"))
    assert pacer.known() == {"anna": h.now + 300, "bea": 1_000_900.0}
    ahead(h)
    assert pacer.known() == {"anna": 1_000_900.0, "bea": 1_000_900.0}


def test_nobody_is_called_for_them_for_as_long_as_a_talk_lasts_before() -> None:
    h, pacer = floor_of("anna")
    run = h.engine.floor.campaigns[CAMPAIGN]
    decision = run.pacers[PBX].decide(h.now)
    learned = replace(decision, mean_talk_s=100.0, mean_wrapup_s=20.0)
    run.last_decision = learned
    ahead(h, (300, "anna"))
    assert pacer.known() == {"anna": h.now + 180}
    h.now += 200
    run.last_decision = learned
    ahead(h, (100, "anna"))
    assert pacer.known() == {"anna": h.now + 1}, "it is time, and stays so"
    h.now += 5
    run.last_decision = learned
    ahead(h, (95, "anna"))
    assert pacer.known() == {"anna": h.now + 1}
    assert (ANNA, False, None) not in pacer.told, "they were never counted on in between"
    run.last_decision = replace(decision, mean_talk_s=100_000.0)
    ahead(h, (900, "anna"))
    assert pacer.known() == {"anna": h.now + 300}


def test_anybodys_callback_takes_one_agent_and_the_same_one_as_long_as_they_are_here() -> None:
    h, pacer = floor_of("anna", "bea")
    ahead(h, (300, None))
    [kept] = pacer.known()
    for _ in range(3):
        ahead(h, (300, None))
    assert list(pacer.known()) == [kept]
    assert len(pacer.told) == 1
    h.feed(ev.AgentSignedOut(at=h.now, agent=AgentId(str(kept))))
    ahead(h, (300, None))
    assert set(pacer.known()) == {"anna", "bea"} - {kept} | {kept}


def test_a_callback_of_somebody_who_is_not_here_takes_another_when_it_is_anybodys() -> None:
    h, pacer = floor_of("anna")
    ahead(h, (300, "zoe"))
    assert pacer.known() == {"anna": h.now + 1_200}


def test_when_a_callback_is_due_its_agent_is_kept_as_before_and_the_rest_follows() -> None:
    h, pacer = floor_of("anna", ends_at=1_000_900.0)
    h.grant = True
    due = Due(contact=ContactId("crm-9"), agent=ANNA, due_at=h.now, until_at=h.now + 60)
    h.feed(ev.ContactsDue(at=h.now, campaign=CAMPAIGN, due=(due,)))
    call = h.calls()[0]
    h.answer(call)
    h.join(call)
    ahead(h, (100, "anna"))
    later = replace(due, contact=ContactId("crm-10"))
    h.feed(ev.ContactsDue(at=h.now, campaign=CAMPAIGN, due=(later,)))
    assert pacer.known()["anna"] is None
    ahead(h)
    assert pacer.known()["anna"] is None
    h.feed(ev.ContactsDue(at=h.now, campaign=CAMPAIGN, due=()))
    assert pacer.known() == {"anna": 1_000_900.0}


def test_a_campaign_that_does_not_run_keeps_nobody() -> None:
    h, pacer = floor_of("anna")
    ahead(h, (300, None), (400, "anna"))
    h.feed(ev.CampaignOrdered(at=h.now, campaign=CAMPAIGN, state=CampaignState.PAUSED))
    ahead(h, (300, None), (400, "anna"))
    agent = h.engine.floor.roster.get(ANNA)
    assert agent is not None
    assert agent.committed_at is None
    assert pacer.known() == {"anna": h.now + 400}, "it counts on nobody as it is"


def test_the_pacer_itself_counts_on_one_agent_less() -> None:
    pacer = build("progressive", max_abandonment=0.03, connect_within_s=2.0, ring_timeout_s=25.0)
    for agent in ("anna", "bea"):
        pacer.agent_changed(0.0, agent, "idle")
    assert pacer.decide(0.0).dial == 2
    pacer.agent_leaving(0.0, "anna", True, 3.0)
    assert pacer.decide(5.0).dial == 1
    pacer.agent_leaving(5.0, "anna", False)
    assert pacer.decide(5.1).dial == 2


STATES = (AgentState.IDLE, AgentState.TALKING, AgentState.PAUSED)


@given(
    agents=st.lists(st.tuples(st.sampled_from(STATES), st.booleans()), max_size=6),
    callbacks=st.lists(
        st.tuples(st.floats(1, 1_000), st.sampled_from(["a0", "a1", "a2", "zoe", None]), st.booleans()), max_size=8
    ),
)
@pytest.mark.parametrize("again", [False, True])
def test_each_callback_takes_at_most_one_agent_who_is_at_work(
    again: bool, agents: list[tuple[AgentState, bool]], callbacks: list[tuple[float, str | None, bool]]
) -> None:
    campaigns = {CAMPAIGN: Campaign(id=CAMPAIGN), SPRING: Campaign(id=SPRING)}
    crew = [
        Agent(
            id=AgentId(f"a{n}"),
            phone="x",
            server=ServerName("pbx"),
            campaigns=(CAMPAIGN, SPRING) if both else (CAMPAIGN,),
            state=state,
        )
        for n, (state, both) in enumerate(agents)
    ]
    found = [
        Ahead(
            campaign=SPRING if spring else CAMPAIGN,
            contact=ContactId(f"c{n}"),
            due_at=at,
            agent=None if whose is None else AgentId(whose),
            fallback_at=at + 60,
        )
        for n, (at, whose, spring) in enumerate(callbacks)
    ]
    first = commitments(found, crew, campaigns, {})
    if again:
        assert commitments(found, crew, campaigns, first) == first, "the same callbacks keep the same agents"
    at_work = {agent.id: agent for agent in crew if agent.state is not AgentState.PAUSED}
    assert first.keys() <= at_work.keys()
    assert len(first) <= len(found)
    for one in found:
        owner = at_work.get(one.agent) if one.agent is not None else None
        if owner is not None and owner.serves(campaigns[one.campaign]):
            assert first[owner.id] <= one.due_at
    moments = {one.due_at for one in found} | {one.fallback_at for one in found}
    assert set(first.values()) <= moments
