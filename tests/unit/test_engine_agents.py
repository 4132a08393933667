"""Agents: their phones, pauses, sign-outs and wrap-up in every state, and whose calls they get."""

from __future__ import annotations

import pytest

from dialer.core import commands as cmd
from dialer.core import events as ev
from dialer.core import notices as ntc
from dialer.core.campaign import Campaign, CampaignState
from dialer.core.floor import Output
from dialer.core.ids import AgentId, CallId, CampaignId, ServerName
from dialer.core.notices import AgentChanged
from tests.engine_harness import CAMPAIGN, PBX, Harness

ANNA = AgentId("anna")
SPRING = CampaignId("spring")
STATES = ("connecting", "idle", "reserved", "talking", "wrapup", "paused", "lost")


def floor(*agents: str, **settings: object) -> Harness:
    h = Harness(Campaign(id=CAMPAIGN, method="progressive", **settings))  # type: ignore[arg-type]
    h.start(*agents)
    h.advance(0.1)
    return h


def in_state(state: str) -> Harness:
    """Anna in a state, with the calls that it takes."""
    h = floor() if state == "connecting" else floor("anna")
    match state:
        case "connecting":
            h.feed(ev.AgentSignedIn(at=h.now, agent=ANNA, phone="a1", campaigns=(CAMPAIGN,)))
        case "reserved":
            h.answer(h.calls()[0])
        case "talking" | "wrapup":
            (call,) = h.calls()
            h.answer(call)
            h.join(call)
            if state == "wrapup":
                h.hang_up(call)
        case "paused":
            h.feed(ev.AgentPauseAsked(at=h.now, agent=ANNA, code="lunch"))
        case "lost":
            h.feed(ev.AgentPhoneGone(at=h.now, agent=ANNA, reason="x"))
    assert h.agent_state("anna") == state
    return h


def finish(h: Harness) -> None:
    """Let Anna's call happen and end."""
    call = h.engine.floor.roster.get(ANNA).call  # type: ignore[union-attr]
    assert call is not None
    if h.agent_state("anna") == "reserved":
        h.join(call)
    h.hang_up(call)


@pytest.mark.parametrize("state", STATES)
def test_going_home_is_possible_in_every_state_and_waits_for_the_call_only(state: str) -> None:
    h = in_state(state)
    out = h.feed(ev.AgentSignedOut(at=h.now, agent=ANNA))
    if state in {"reserved", "talking"}:
        assert h.agent_state("anna") == state
        finish(h)
    assert h.agent_state("anna") == "signed_out"
    if state != "lost":
        assert h.of(cmd.HangUpAgent), "the phone is laid down"
    else:
        assert not h.of(cmd.HangUpAgent, out)
    assert not [key for key in h.engine.floor.timers._at if key[1] == "anna"]


@pytest.mark.parametrize("state", STATES)
def test_a_pause_is_possible_in_every_state_and_waits_for_call_and_wrapup(state: str) -> None:
    h = in_state(state)
    h.feed(ev.AgentPauseAsked(at=h.now, agent=ANNA, code="coffee"))
    if state in {"reserved", "talking"}:
        finish(h)
        assert h.agent_state("anna") == "wrapup"
        h.advance(61)
    if state in {"connecting", "lost"}:
        assert h.agent_state("anna") == state
        h.feed(ev.AgentPhoneUp(at=h.now, agent=ANNA))
    assert h.agent_state("anna") == "paused"
    code = [n.reason for n in h.of(AgentChanged) if n.state.value == "paused"][-1]
    assert code == ("lunch" if state == "paused" else "coffee")


@pytest.mark.parametrize("state", STATES)
def test_being_ready_again_is_for_those_who_paused_or_wrap_up(state: str) -> None:
    h = in_state(state)
    out = h.feed(ev.AgentReadied(at=h.now, agent=ANNA))
    if state in {"wrapup", "paused"}:
        assert any(n.state.value == "idle" for n in h.of(AgentChanged, out))
    else:
        assert h.agent_state("anna") == state
    assert bool(h.of(ntc.EventIgnored, out)) is (state in {"reserved", "lost"})


def test_ready_in_a_talk_takes_the_pause_back_and_spares_the_wrapup() -> None:
    h = in_state("talking")
    h.feed(ev.AgentPauseAsked(at=h.now, agent=ANNA, code="coffee"))
    h.feed(ev.AgentReadied(at=h.now, agent=ANNA))
    finish(h)
    assert h.agent_state("anna") == "idle"


def test_ready_while_the_phone_is_called_begins_idle() -> None:
    h = floor()
    h.feed(ev.AgentSignedIn(at=h.now, agent=ANNA, phone="a1", campaigns=(CAMPAIGN,), ready=False))
    h.feed(ev.AgentReadied(at=h.now, agent=ANNA))
    h.feed(ev.AgentPhoneUp(at=h.now, agent=ANNA))
    assert h.agent_state("anna") == "idle"


def test_an_agent_who_does_not_want_to_begin_is_paused_first() -> None:
    h = floor()
    h.sign_in("anna", ready=False)
    assert [n.reason for n in h.of(AgentChanged)][-1] == "sign-in"
    assert not h.of(cmd.Originate)


def test_an_agent_who_began_paused_and_then_worked_is_back_at_work_when_their_phone_is() -> None:
    h = floor()
    h.sign_in("anna", ready=False)
    h.feed(ev.AgentReadied(at=h.now, agent=ANNA))
    h.feed(ev.AgentPhoneGone(at=h.now, agent=ANNA, reason="x"))
    h.feed(ev.AgentPhoneUp(at=h.now, agent=ANNA))
    assert h.agent_state("anna") == "idle"


# ---- the page that is a phone


def page_left(h: Harness) -> list[Output]:
    return h.feed(ev.AgentPageLeft(at=h.now, agent=ANNA))


def page_came(h: Harness) -> list[Output]:
    return h.feed(ev.AgentPageCame(at=h.now, agent=ANNA))


def test_a_talk_goes_on_when_the_page_is_loaded_anew() -> None:
    h = in_state("talking")
    (call,) = h.calls()
    (begun,) = page_left(h)
    assert begun == cmd.Comfort(call=call, server=PBX), "they are not left in silence"
    assert not h.of(cmd.EndComfort, h.advance(3))
    (again,) = h.of(cmd.CallAgent, page_came(h))
    assert (again.agent, again.server) == (ANNA, PBX)
    # it asks until it has a leg, and is called once
    assert not h.of(cmd.CallAgent, page_came(h))
    up = h.feed(ev.AgentPhoneUp(at=h.now, agent=ANNA))
    assert h.of(cmd.EndComfort, up) == [cmd.EndComfort(call=call, server=PBX)]
    # a phone that is called anew for another reason takes nothing from anybody's ear
    assert not h.of(cmd.EndComfort, h.feed(ev.AgentPhoneUp(at=h.now, agent=ANNA)))
    assert not h.of(cmd.HangUpAgent, h.advance(60))
    assert h.agent_state("anna") == "talking"
    assert not h.ended()
    h.hang_up(call)
    assert h.agent_state("anna") == "wrapup"
    # and once more, another time
    assert h.of(cmd.CallAgent, page_came(h))


@pytest.mark.parametrize("came", [False, True], ids=["never back", "back, and its phone does not answer"])
def test_nobody_is_kept_for_a_page_that_was_closed(came: bool) -> None:
    h = in_state("talking")
    (call,) = h.calls()
    page_left(h)
    if came:
        page_came(h)
    assert not h.of(cmd.HangUpAgent, h.advance(14.9))
    assert h.of(cmd.HangUpAgent, h.advance(0.2))
    assert h.agent_state("anna") == "lost"
    # Asterisk puts the customer out of the room then
    h.hang_up(call, by=ev.HungUpBy.AGENT)
    attempt = h.ended()[call].attempt
    assert (attempt.outcome, attempt.hung_up_by) == ("connected", "agent")
    h.sign_in("anna")
    assert h.agent_state("anna") == "idle"


def test_nobody_is_given_to_a_leg_without_sound() -> None:
    h = in_state("talking")
    (call,) = h.calls()
    page_left(h)
    outputs = h.hang_up(call)
    assert h.of(cmd.HangUpAgent, outputs)
    assert h.agent_state("anna") == "lost"
    assert not h.of(cmd.CallAgent, page_came(h)), "they sign in again"
    assert not h.of(cmd.HangUpAgent, h.advance(60))


@pytest.mark.parametrize("state", STATES)
def test_a_page_that_goes_takes_the_phone_with_it_but_from_a_talk(state: str) -> None:
    h = in_state(state)
    outputs = page_left(h)
    gone = h.of(cmd.HangUpAgent, outputs)
    assert bool(gone) == (state in {"idle", "reserved", "wrapup", "paused"})
    assert len(h.of(cmd.Comfort, outputs)) == (state == "talking"), "nobody else hears anything"
    assert h.agent_state("anna") == ("lost" if gone else state)


@pytest.mark.parametrize("state", STATES)
def test_a_page_is_called_where_a_leg_may_be_left(state: str) -> None:
    h = in_state(state)
    called = h.of(cmd.CallAgent, page_came(h))
    assert bool(called) == (state not in {"connecting", "lost"})
    assert h.agent_state("anna") == state


def test_a_page_of_nobody_and_one_whose_server_is_away() -> None:
    h = floor()
    assert not h.of(cmd.HangUpAgent, page_left(h))
    assert not h.of(cmd.CallAgent, page_came(h))
    h = in_state("talking")
    h.feed(ev.ServerLost(at=h.now, server=PBX, reason="x"))
    assert not h.of(cmd.CallAgent, page_came(h))


def test_a_phone_that_never_answers_is_given_up() -> None:
    h = in_state("connecting")
    assert not h.of(cmd.HangUpAgent, h.advance(44.9))
    assert h.of(cmd.HangUpAgent, h.advance(0.2))
    assert h.agent_state("anna") == "lost"
    h.sign_in("anna")
    assert h.agent_state("anna") == "idle"


def test_a_phone_that_is_gone_takes_its_time_limit_with_it() -> None:
    h = in_state("connecting")
    h.feed(ev.AgentPhoneGone(at=h.now, agent=ANNA, reason="busy"))
    h.advance(30)
    h.feed(ev.AgentSignedIn(at=h.now, agent=ANNA, phone="a1", campaigns=(CAMPAIGN,)))
    h.advance(20)
    assert h.agent_state("anna") == "connecting", "its own time is not up"


def test_the_wrapup_limit_ends_the_wrapup_and_without_one_it_lasts() -> None:
    h = floor("anna", wrapup_limit_s=30.0)
    (call,) = h.calls()
    h.answer(call)
    h.join(call)
    h.hang_up(call)
    h.advance(29.9)
    assert h.agent_state("anna") == "wrapup"
    h.advance(0.2)
    assert h.agent_state("anna") == "idle"

    h = floor("anna", wrapup_limit_s=None)
    (call,) = h.calls()
    h.answer(call)
    h.join(call)
    h.hang_up(call)
    h.advance(3600)
    assert h.agent_state("anna") == "wrapup"


def test_an_agent_ends_the_talk_and_keeps_their_phone() -> None:
    h = in_state("talking")
    (call,) = h.calls()
    out = h.feed(ev.AgentHungUp(at=h.now, agent=ANNA))
    assert h.of(cmd.HangUp, out) == [cmd.HangUp(call=call, server=PBX)]
    assert h.of(cmd.HangUp, h.advance(0.5)), "asked for again: the first may have been lost"
    h.hang_up(call, by=ev.HungUpBy.DIALER)
    attempt = h.ended()[call].attempt
    assert (attempt.reason, attempt.agent) == ("agent", "anna")
    assert h.agent_state("anna") == "wrapup"
    assert h.of(ntc.EventIgnored, h.feed(ev.AgentHungUp(at=h.now, agent=ANNA)))


def test_a_phone_that_goes_in_a_talk_ends_the_agents_part_only() -> None:
    h = in_state("talking")
    (call,) = h.calls()
    h.feed(ev.AgentPhoneGone(at=h.now, agent=ANNA, reason="x"))
    assert h.agent_state("anna") == "lost"
    h.hang_up(call, by=ev.HungUpBy.AGENT)
    assert h.ended()[call].attempt.agent == "anna"
    assert h.agent_state("anna") == "lost"


def test_a_phone_that_goes_on_the_way_home_completes_the_sign_out() -> None:
    h = in_state("talking")
    h.feed(ev.AgentSignedOut(at=h.now, agent=ANNA))
    h.feed(ev.AgentPhoneGone(at=h.now, agent=ANNA, reason="x"))
    assert h.agent_state("anna") == "signed_out"


def test_a_customer_who_hangs_up_before_they_meet_frees_the_agent_who_pauses_or_goes_home_as_asked() -> None:
    for ask, state in (("none", "idle"), ("pause", "paused"), ("home", "signed_out")):
        h = in_state("reserved")
        (call,) = h.calls()
        if ask == "pause":
            h.feed(ev.AgentPauseAsked(at=h.now, agent=ANNA, code="coffee"))
        elif ask == "home":
            h.feed(ev.AgentSignedOut(at=h.now, agent=ANNA))
        h.hang_up(call)
        assert h.agent_state("anna") == state


def test_signing_in_twice_changes_the_settings_and_takes_a_sign_out_back() -> None:
    h = in_state("talking")
    h.feed(ev.AgentSignedOut(at=h.now, agent=ANNA))
    h.feed(ev.AgentSignedIn(at=h.now, agent=ANNA, phone="a1", campaigns=(CAMPAIGN,), priority=3))
    finish(h)
    assert h.agent_state("anna") == "wrapup"
    assert h.engine.floor.roster.get(ANNA).priority == 3  # type: ignore[union-attr]


def test_without_any_server_nobody_can_sign_in() -> None:
    h = Harness(servers=())
    out = h.feed(ev.AgentSignedIn(at=h.now, agent=ANNA, phone="a1", campaigns=(CAMPAIGN,)))
    assert h.of(ntc.EventIgnored, out)
    assert h.agent_state("anna") == "signed_out"


@pytest.mark.parametrize("event", [ev.AgentPauseAsked(at=0, agent=ANNA, code="x"), ev.AgentHungUp(at=0, agent=ANNA)])
def test_what_strangers_ask_for_is_ignored(event: ev.PeopleEvent) -> None:
    h = floor()
    assert h.of(ntc.EventIgnored, h.feed(event))


# ---- several servers


def test_agents_are_not_sent_to_a_server_out_of_reach() -> None:
    h = Harness(servers=("a", "b"))
    h.start()
    h.feed(ev.ServerLost(at=h.now, server=ServerName("a"), reason="x"))
    for number in range(3):
        h.sign_in(f"agent{number}")
    assert {c.server for c in h.of(cmd.CallAgent)} == {"b"}


def test_calls_are_made_where_agents_are_and_people_meet_agents_of_their_own_server() -> None:
    h = Harness(servers=("a", "b", "empty"))
    h.start()
    h.sign_in("anna", server=ServerName("a"))
    h.sign_in("ben", server=ServerName("b"))
    h.advance(0.2)
    assert sorted(c.server for c in h.of(cmd.Originate)) == ["a", "b"]
    by_server = {call.server: call.id for call in h.engine.floor.calls.values()}
    h.feed(ev.AgentPauseAsked(at=h.now, agent=AgentId("ben"), code="x"))
    assert not h.of(cmd.ConnectCall, h.answer(by_server[ServerName("b")])), "anna is on the other server"
    assert [c.agent for c in h.of(cmd.ConnectCall, h.answer(by_server[ServerName("a")]))] == ["anna"]
    out = h.feed(ev.AgentReadied(at=h.now, agent=AgentId("ben")))
    assert [c.call for c in h.of(cmd.ConnectCall, out)] == [by_server[ServerName("b")]]


# ---- skills, and agents of two campaigns


def test_only_agents_with_all_the_skills_get_the_calls() -> None:
    h = floor(skills=frozenset({"french", "loans"}))
    h.sign_in("anna", skills=frozenset({"french"}))
    h.advance(1)
    assert not h.of(cmd.Originate), "the calls go where agents are who may take them"
    h.sign_in("ben", skills=frozenset({"french", "loans", "chess"}))
    h.advance(1)
    call = h.calls()[0]
    assert [c.agent for c in h.of(cmd.ConnectCall, h.answer(call))] == ["ben"]


def two_campaigns() -> Harness:
    h = floor()
    h.feed(ev.CampaignConfigured(at=h.now, campaign=Campaign(id=SPRING, method="progressive")))
    h.feed(ev.CampaignOrdered(at=h.now, campaign=SPRING, state=CampaignState.RUNNING))
    return h


def idle_by_campaign(h: Harness) -> dict[str, object]:
    return {name: run.pacers[PBX].snapshot()["idle"] for name, run in h.engine.floor.campaigns.items()}


def test_an_agent_of_two_campaigns_is_counted_on_by_one_at_a_time() -> None:
    h = two_campaigns()
    h.grant = False
    h.sign_in("anna", campaigns=(CAMPAIGN, SPRING))
    assert idle_by_campaign(h) == {CAMPAIGN: 1, SPRING: 0}
    h.feed(ev.CampaignOrdered(at=h.now, campaign=CAMPAIGN, state=CampaignState.PAUSED))
    assert idle_by_campaign(h) == {CAMPAIGN: 0, SPRING: 1}
    h.feed(ev.CampaignOrdered(at=h.now, campaign=CAMPAIGN, state=CampaignState.RUNNING))
    assert idle_by_campaign(h) == {CAMPAIGN: 1, SPRING: 0}
    h.feed(ev.AgentSignedIn(at=h.now, agent=ANNA, phone="a1", campaigns=(SPRING, CAMPAIGN)))
    assert idle_by_campaign(h) == {CAMPAIGN: 0, SPRING: 1}


def test_a_pool_is_shared_by_who_names_which_campaign_first() -> None:
    """Seven in ten for one and three for the other; all for one where the other has nobody left to call, and back."""
    h = two_campaigns()
    h.grant = False
    for number in range(10):
        order = (CAMPAIGN, SPRING) if number < 7 else (SPRING, CAMPAIGN)
        h.sign_in(f"a{number}", campaigns=order)
    assert idle_by_campaign(h) == {CAMPAIGN: 7, SPRING: 3}
    for seen, ready in (({CAMPAIGN: 10, SPRING: 0}, 0), ({CAMPAIGN: 7, SPRING: 3}, 100)):
        h.feed(
            ev.PermitsGranted(
                at=h.now,
                campaign=SPRING,
                requested=1,
                permits=(),
                refusals=ev.Refusals(),
                ready=ready,
                later=0,
            )
        )
        assert idle_by_campaign(h) == seen


def test_an_agent_who_signs_in_again_for_another_campaign_is_counted_on_by_that() -> None:
    h = two_campaigns()
    h.grant = False
    h.sign_in("anna", campaigns=(CAMPAIGN,))
    h.feed(ev.AgentPhoneGone(at=h.now, agent=ANNA, reason="x"))
    h.sign_in("anna", campaigns=(SPRING,))
    assert idle_by_campaign(h) == {CAMPAIGN: 0, SPRING: 1}


def test_a_free_agent_gets_whoever_has_waited_longest_in_any_of_their_campaigns() -> None:
    h = two_campaigns()
    for name, campaign in (("w", CAMPAIGN), ("s", SPRING)):
        h.campaign = Campaign(id=campaign)
        h.sign_in(name, campaigns=(campaign,))
        h.advance(0.3)
    calls = {call.campaign.id: call.id for call in h.engine.floor.calls.values()}
    for name in ("w", "s"):
        h.feed(ev.AgentPauseAsked(at=h.now, agent=AgentId(name), code="x"))
    h.answer(calls[SPRING])
    h.advance(0.5)
    h.answer(calls[CAMPAIGN])
    h.sign_in("anna", campaigns=(CAMPAIGN, SPRING))
    connected: list[CallId] = [c.call for c in h.of(cmd.ConnectCall)]
    assert connected == [calls[SPRING]]
