"""Servers that come and go, calls that outlive a process: what the engine believes is what the switch says."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from dialer.core import commands as cmd
from dialer.core import events as ev
from dialer.core import notices as ntc
from dialer.core.agent_desk import PHONE_TIMEOUT_S, RECALLS, SHUT_DOWN_S
from dialer.core.call import CallState
from dialer.core.campaign import Campaign, CampaignState
from dialer.core.end_desk import MISSING_S
from dialer.core.floor import Output
from dialer.core.ids import AgentId, CallId, ContactId, MessageId, Phone, ServerName
from dialer.core.outcome import Outcome
from dialer.core.ringing import outer_limit_s
from tests.engine_harness import CAMPAIGN, PBX, Harness

OLD = CallId("n1-before-0000000007")


def started(*agents: str, **settings: object) -> Harness:
    h = Harness(Campaign(id=CAMPAIGN, method="progressive", **settings))  # type: ignore[arg-type]
    h.start(*agents)
    h.advance(0.1)
    return h


def lose(h: Harness) -> list[Output]:
    return h.feed(ev.ServerLost(at=h.now, server=PBX, reason="gone"))


def back(h: Harness, *, calls: tuple[CallId, ...] = (), agents: tuple[str, ...] = ()) -> list[Output]:
    return h.feed(
        ev.ServerConnected(
            at=h.now, server=PBX, calls=frozenset(calls), agents=frozenset(AgentId(agent) for agent in agents)
        )
    )


def recovered(h: Harness, call: CallId = OLD, **changes: object) -> list[Output]:
    values: dict[str, object] = {
        "at": h.now, "call": call, "campaign": CAMPAIGN, "contact": ContactId("crm-7"), "phone": Phone("+34600000007"),
        "server": PBX, "agent": None, "started_at": h.now - 60, "attempt_number": 1, "fencing_token": 9,
    }  # fmt: skip
    return h.feed(ev.CallRecovered(**(values | changes)))  # type: ignore[arg-type]


def talking(h: Harness, call: CallId = OLD, agent: str = "anna") -> list[Output]:
    return recovered(h, call, agent=AgentId(agent), answered_at=h.now - 50, connected_at=h.now - 49)


def bring(h: Harness, call: CallId, state: CallState) -> None:
    """Lead a call that is dialed into a state."""
    match state:
        case CallState.RINGING:
            h.feed(ev.CallRinging(at=h.now, call=call))
        case CallState.ANSWERED | CallState.MACHINE:
            pytest.fail("needs machine detection")
        case CallState.WAITING:
            h.feed(ev.AgentPauseAsked(at=h.now, agent=AgentId("anna"), code="x"))
            h.answer(call)
        case CallState.CONNECTED:
            h.answer(call)
            h.join(call)
        case CallState.ABANDONED:
            bring(h, call, CallState.WAITING)
            h.advance(2.0)
        case _:
            pass
    assert h.engine.floor.calls[call].state is state


@pytest.mark.parametrize(
    ("state", "outcome"),
    [
        (CallState.RINGING, Outcome.LOST),
        (CallState.WAITING, Outcome.LOST),
        (CallState.CONNECTED, Outcome.CONNECTED),
        (CallState.ABANDONED, Outcome.ABANDONED),
    ],
)
def test_a_call_whose_channel_is_gone_after_a_reconnection_has_ended(state: CallState, outcome: Outcome) -> None:
    h = started("anna")
    (call,) = h.calls()
    bring(h, call, state)
    lose(h)
    assert call in h.calls(), "nobody knows yet"
    back(h, agents=("anna",))
    assert h.ended()[call].attempt.outcome is outcome
    assert call not in h.calls()


@pytest.mark.parametrize(
    "state", [CallState.DIALING, CallState.RINGING, CallState.WAITING, CallState.CONNECTED, CallState.ABANDONED]
)
def test_a_call_whose_channel_is_still_there_goes_on(state: CallState) -> None:
    h = started("anna")
    (call,) = h.calls()
    bring(h, call, state)
    lose(h)
    back(h, calls=(call,), agents=("anna",))
    assert h.engine.floor.calls[call].state is state
    assert not h.ended()


def missing(h: Harness) -> CallId:
    """A call that was handed over in the moment in which the server went, and is not in its list of channels."""
    (call,) = h.calls()
    lose(h)
    back(h, agents=("anna",))
    return call


def test_an_originate_that_asterisk_has_not_begun_keeps_its_contact_and_number_for_a_moment() -> None:
    h = started("anna")
    call = missing(h)
    h.advance(MISSING_S - 0.1)
    assert call in h.calls()
    assert call not in h.ended()
    out = h.advance(0.2)
    assert h.ended()[call].attempt.outcome is Outcome.LOST
    assert [c.call for c in h.of(cmd.HangUp, out)] == [call], "in case it began just now"
    assert call not in h.calls()


def test_nobody_is_kept_for_a_call_that_has_perhaps_not_begun() -> None:
    h = started("anna")
    call = missing(h)
    h.advance(1.0)
    others = [other for other in h.calls() if other != call]
    assert others, "the pacer counts on it no more"
    h.feed(ev.CampaignConfigured(at=h.now, campaign=replace(h.campaign, method="ratio", ratio=1.0)))
    h.advance(1.0)
    assert [other for other in h.calls() if other != call] == others, "the new pacer counts on the others alone"
    h.answer(others[0])
    h.join(others[0])
    assert call in h.calls()
    h.advance(MISSING_S)
    assert call in h.ended()


def test_a_call_that_has_perhaps_not_begun_and_is_withdrawn_is_not_tried_again() -> None:
    h = started("anna")
    call = missing(h)
    h.feed(ev.CallPurged(at=h.now, call=call, kind="removal", ref=MessageId("m1"), reason="paid"))
    (told,) = h.of(cmd.ReportPurge)
    assert told.effect == "cancelled"
    h.advance(MISSING_S)
    ended = h.ended()[call]
    assert ended.attempt.outcome is Outcome.LOST
    assert ended.retry_at is None


def test_a_call_that_begins_after_a_list_without_it_is_ended_and_given_to_nobody() -> None:
    h = started("anna")
    call = missing(h)
    lose(h)
    assert [c.call for c in h.of(cmd.HangUp, back(h, calls=(call,), agents=("anna",)))] == [call]
    h.advance(MISSING_S + 1.0)
    assert call not in h.ended(), "it is there, and its end will be told"
    assert not [c for c in h.of(cmd.ConnectCall, h.answer(call)) if c.call == call]
    h.hang_up(call, by=ev.HungUpBy.DIALER)
    assert h.ended()[call].attempt.outcome is Outcome.CANCELLED


def test_a_call_that_has_perhaps_not_begun_is_not_given_up_while_its_server_is_away_again() -> None:
    h = started("anna")
    call = missing(h)
    lose(h)
    h.advance(3 * MISSING_S)
    assert call in h.calls()
    back(h, agents=("anna",))
    h.advance(MISSING_S + 0.1)
    assert h.ended()[call].attempt.outcome is Outcome.LOST


def test_a_call_that_the_gate_has_just_permitted_is_no_business_of_a_list_of_channels() -> None:
    h = Harness()
    h.grant = False
    h.start("anna")
    permit = h.permit(50)
    # Not through the harness, which would say at once that it was handed over.
    h.engine.handle(
        ev.PermitsGranted(
            at=h.now, campaign=CAMPAIGN, requested=1, permits=(permit,), refusals=ev.Refusals(), ready=1, later=0
        )
    )
    assert h.engine.floor.calls[permit.call].state is CallState.RESERVED
    back(h, agents=("anna",))
    assert h.calls() == [permit.call]


def test_ghosts_are_hung_up_and_other_nodes_are_left_alone() -> None:
    h = started("anna")
    (mine,) = h.calls()
    theirs = [CallId("n2-boot-0000000001"), CallId("n1-b-boot-0000000001"), CallId("n11-boot-0000000001")]
    ghost = CallId("n1-before-0000000001")
    out = back(h, calls=(mine, ghost, *theirs), agents=("anna",))
    assert [c.call for c in h.of(cmd.HangUp, out)] == [ghost]


def test_an_unknown_server_changes_nothing() -> None:
    h = started("anna")
    other = ServerName("elsewhere")
    assert h.of(
        ntc.EventIgnored,
        h.feed(ev.ServerConnected(at=h.now, server=other, calls=frozenset(), agents=frozenset())),
    )
    assert not h.of(ntc.ServerChanged, h.feed(ev.ServerLost(at=h.now, server=other, reason="x")))


def test_a_server_is_lost_once() -> None:
    h = started("anna")
    assert h.of(ntc.ServerChanged, lose(h))
    assert not h.of(ntc.ServerChanged, lose(h))


def test_nothing_is_started_and_nobody_is_counted_on_while_the_server_is_away() -> None:
    h = started("anna", "ben")
    for call in h.calls():
        h.hang_up(call)
    lose(h)
    before = len(h.of(cmd.Originate))
    h.advance(30)
    assert len(h.of(cmd.Originate)) == before
    back(h, agents=("anna", "ben"))
    h.advance(1)
    assert len(h.of(cmd.Originate)) > before


def test_agents_found_in_their_rooms_stay_and_the_others_are_called_again() -> None:
    h = started("anna", "ben")
    for call in h.calls():
        h.hang_up(call)
    lose(h)
    out = back(h, agents=("anna",))
    assert [c.agent for c in h.of(cmd.CallAgent, out)] == ["ben"]
    assert h.agent_state("ben") == "connecting"
    h.feed(ev.AgentPhoneUp(at=h.now, agent=AgentId("ben")))
    assert h.agent_state("ben") in {"idle", "reserved"}


def test_agents_whose_phones_were_being_called_are_called_again() -> None:
    h = started()
    h.feed(ev.AgentSignedIn(at=h.now, agent=AgentId("anna"), phone="a1", campaigns=(CAMPAIGN,)))
    lose(h)
    assert [c.phone for c in h.of(cmd.CallAgent, back(h))] == ["a1"]


def test_who_signs_in_while_the_server_is_away_is_called_when_it_is_back() -> None:
    h = started()
    lose(h)
    out = h.feed(ev.AgentSignedIn(at=h.now, agent=AgentId("anna"), phone="a1", campaigns=(CAMPAIGN,)))
    assert not h.of(cmd.CallAgent, out)
    assert h.of(cmd.CallAgent, back(h))


def unreachable(h: Harness, agent: str = "anna") -> None:
    h.feed(ev.AgentPhoneGone(at=h.now, agent=AgentId(agent), reason="could not be called"))


def recalled_after_s(h: Harness, most_s: float = 60.0) -> float:
    """Seconds until a phone is called, looked at by tenths; infinite where none is."""
    begun = h.now
    while h.now < begun + most_s:
        if h.of(cmd.CallAgent, h.advance(0.1)):
            return h.now - begun
    return math.inf


def test_a_phone_that_a_restarted_asterisk_does_not_find_is_called_until_it_is_there() -> None:
    h = started("anna")
    lose(h)
    assert h.of(cmd.CallAgent, back(h))
    waits = []
    for _ in range(RECALLS - 1):
        unreachable(h)
        assert h.agent_state("anna") == "lost"
        waits.append(recalled_after_s(h))
    assert waits == pytest.approx([1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0, 30.0], abs=0.2)
    unreachable(h)
    assert recalled_after_s(h) == math.inf, "and then it is given up"


def test_a_phone_that_its_server_had_no_room_to_call_is_called_in_a_moment() -> None:
    h = started()
    h.feed(ev.AgentSignedIn(at=h.now, agent=AgentId("anna"), phone="a1", campaigns=(CAMPAIGN,)))
    h.feed(ev.AgentPhoneGone(at=h.now, agent=AgentId("anna"), reason="no room", called=False))
    assert h.agent_state("anna") == "lost"
    assert recalled_after_s(h) == pytest.approx(1.0, abs=0.2)
    h.feed(ev.AgentPhoneUp(at=h.now, agent=AgentId("anna")))
    assert h.agent_state("anna") in {"idle", "reserved"}


def test_who_signs_in_while_the_server_is_away_for_long_is_called_when_it_is_back() -> None:
    h = started()
    lose(h)
    h.feed(ev.AgentSignedIn(at=h.now, agent=AgentId("anna"), phone="a1", campaigns=(CAMPAIGN,)))
    h.advance(10 * PHONE_TIMEOUT_S)
    assert h.agent_state("anna") == "connecting"
    assert [c.agent for c in h.of(cmd.CallAgent, back(h))] == ["anna"]
    h.advance(PHONE_TIMEOUT_S + 0.5)
    assert h.agent_state("anna") == "lost", "this time it was called and did not answer"


def test_a_phone_that_came_back_after_a_restart_and_is_laid_down_is_not_called_again() -> None:
    h = started("anna")
    lose(h)
    back(h)
    unreachable(h)
    assert recalled_after_s(h) < 2.0
    h.feed(ev.AgentPhoneUp(at=h.now, agent=AgentId("anna")))
    assert h.agent_state("anna") in {"idle", "reserved"}
    unreachable(h)
    assert recalled_after_s(h) == math.inf


@pytest.mark.parametrize("at_once", [True, False])
def test_a_phone_is_not_called_for_somebody_who_signs_out_or_in_meanwhile(at_once: bool) -> None:
    h = started("anna")
    lose(h)
    back(h)
    unreachable(h)
    if at_once:
        h.feed(ev.AgentSignedOut(at=h.now, agent=AgentId("anna")))
    else:
        h.feed(ev.AgentSignedIn(at=h.now, agent=AgentId("anna"), phone="a1", campaigns=(CAMPAIGN,)))
        unreachable(h)  # they see it themselves
    assert recalled_after_s(h) == math.inf


def test_a_server_that_goes_again_meanwhile_has_the_phone_called_when_it_is_back() -> None:
    h = started("anna")
    lose(h)
    back(h)
    unreachable(h)
    lose(h)
    assert recalled_after_s(h) == math.inf
    assert [c.agent for c in h.of(cmd.CallAgent, back(h))] == ["anna"]


@pytest.mark.parametrize("state", ["idle", "talking", "paused", "connecting"])
@pytest.mark.parametrize(
    ("before_s", "called"), [(0.0, ["anna"]), (SHUT_DOWN_S - 1.0, ["anna"]), (SHUT_DOWN_S + 1.0, [])]
)
def test_phones_that_an_asterisk_hangs_up_before_it_goes_are_called_when_it_is_back(
    state: str, before_s: float, called: list[str]
) -> None:
    h = started(*([] if state == "connecting" else ["anna"]))
    match state:
        case "talking":
            bring(h, h.calls()[0], CallState.CONNECTED)
        case "paused":
            h.feed(ev.AgentPauseAsked(at=h.now, agent=AgentId("anna"), code="lunch"))
        case "connecting":
            h.feed(ev.AgentSignedIn(at=h.now, agent=AgentId("anna"), phone="a1", campaigns=(CAMPAIGN,)))
    unreachable(h)
    assert recalled_after_s(h, most_s=before_s) == math.inf, "it may be their own doing"
    lose(h)
    assert [c.agent for c in h.of(cmd.CallAgent, back(h))] == called
    if called:
        h.feed(ev.AgentPhoneUp(at=h.now, agent=AgentId("anna")))
        assert h.agent_state("anna") in ({"paused"} if state == "paused" else {"idle", "reserved"})


def test_a_phone_that_we_laid_down_before_its_server_went_is_not_called() -> None:
    h = started("anna")
    h.feed(ev.AgentPageLeft(at=h.now, agent=AgentId("anna")))
    unreachable(h)
    lose(h)
    assert not h.of(cmd.CallAgent, back(h))


def test_an_agent_at_lunch_is_still_at_lunch_after_a_restart_of_asterisk() -> None:
    h = started("anna")
    (call,) = h.calls()
    h.feed(ev.AgentPauseAsked(at=h.now, agent=AgentId("anna"), code="lunch"))
    lose(h)
    back(h)
    h.feed(ev.AgentPhoneUp(at=h.now, agent=AgentId("anna")))
    changed = [n for n in h.of(ntc.AgentChanged) if n.agent == "anna"][-1]
    assert (changed.state.value, changed.reason) == ("paused", "lunch")
    h.advance(MISSING_S)
    assert call in h.ended()


def test_a_pause_asked_for_in_a_talk_that_the_server_lost_is_kept() -> None:
    h = started("anna")
    (call,) = h.calls()
    bring(h, call, CallState.CONNECTED)
    h.feed(ev.AgentPauseAsked(at=h.now, agent=AgentId("anna"), code="coffee"))
    lose(h)
    back(h, calls=(call,))  # the phone is gone, the customer not yet
    h.feed(ev.AgentPhoneUp(at=h.now, agent=AgentId("anna")))
    assert h.agent_state("anna") == "paused"


def test_an_agent_who_was_going_home_is_not_called_again_after_a_restart_of_asterisk() -> None:
    h = started("anna")
    (call,) = h.calls()
    bring(h, call, CallState.CONNECTED)
    h.feed(ev.AgentSignedOut(at=h.now, agent=AgentId("anna")))
    lose(h)
    out = back(h, calls=(call,))
    assert h.agent_state("anna") == "signed_out"
    assert not h.of(cmd.CallAgent, out)
    assert not h.of(cmd.CallAgent, h.advance(60))


def test_a_customer_on_a_server_out_of_reach_costs_no_agent_their_phone() -> None:
    """They may have met: the answer to the move is only known after the reconnection."""
    h = started("anna")
    (call,) = h.calls()
    h.answer(call)
    lose(h)
    assert not h.of(cmd.HangUpAgent, h.advance(5))
    back(h, calls=(call,), agents=("anna",))
    h.join(call)
    h.advance(5)
    assert h.agent_state("anna") == "talking"


def test_a_customer_who_did_not_arrive_before_the_loss_is_not_waited_for_for_ever() -> None:
    h = started("anna", "ben")
    call = h.calls()[0]
    h.answer(call)
    lose(h)
    h.advance(0.2)
    back(h, calls=tuple(h.calls()), agents=("anna", "ben"))
    out = h.advance(1.1)
    assert [c.call for c in h.of(cmd.ConnectCall, out)] == [call]


def test_nobody_is_given_a_call_on_a_server_out_of_reach_and_whoever_waits_is_served_when_it_is_back() -> None:
    h = started("anna")
    (call,) = h.calls()
    h.feed(ev.AgentPauseAsked(at=h.now, agent=AgentId("anna"), code="x"))
    lose(h)
    h.answer(call)
    h.advance(0.5)
    assert not h.of(cmd.ConnectCall, h.feed(ev.AgentReadied(at=h.now, agent=AgentId("anna"))))
    assert [c.call for c in h.of(cmd.ConnectCall, back(h, calls=(call,), agents=("anna",)))] == [call]


# ---- what an earlier process left behind


def test_a_recovered_call_without_a_channel_is_lost_and_may_be_called_again() -> None:
    h = Harness()
    h.feed(ev.CampaignConfigured(at=h.now, campaign=h.campaign, state=CampaignState.RUNNING))
    recovered(h)
    assert not h.ended()
    back(h)
    ended = h.ended()[OLD]
    assert ended.attempt.outcome is Outcome.LOST
    assert ended.retry_at is not None


def test_a_recovered_call_that_still_rings_is_hung_up_and_its_end_is_lost() -> None:
    h = Harness()
    recovered(h)
    assert [c.call for c in h.of(cmd.HangUp, back(h, calls=(OLD,)))] == [OLD]
    h.hang_up(OLD, by=ev.HungUpBy.DIALER)
    assert h.ended()[OLD].attempt.outcome is Outcome.LOST


def test_a_call_recovered_after_the_server_told_its_channels_is_ended_in_seconds() -> None:
    h = started()
    assert h.of(cmd.HangUp, recovered(h))
    h.advance(6)
    assert h.ended()[OLD].attempt.outcome is Outcome.LOST


def test_a_talk_of_a_dead_node_is_followed_and_goes_on() -> None:
    h = started()
    out = talking(h)
    assert [c.call for c in h.of(cmd.FollowCall, out)] == [OLD]
    assert not h.of(cmd.HangUp, out + h.advance(90))
    h.hang_up(OLD)
    assert h.ended()[OLD].attempt.outcome is Outcome.CONNECTED


def test_a_call_of_a_dead_node_is_heard_of_before_its_end_is_asked_for() -> None:
    h = started()
    out = recovered(h)
    assert [type(o) for o in out if isinstance(o, cmd.FollowCall | cmd.HangUp)] == [cmd.FollowCall, cmd.HangUp]


def test_nothing_is_on_record_in_a_time_to_come_where_the_other_clock_was_ahead() -> None:
    h = started()
    ahead = h.now + 30
    recovered(h, agent=AgentId("anna"), started_at=ahead, answered_at=ahead + 1, connected_at=ahead + 2)
    h.advance(1)
    h.hang_up(OLD)
    attempt = h.ended()[OLD].attempt
    assert attempt.answered_at is not None
    assert attempt.connected_at is not None
    assert attempt.started_at <= attempt.answered_at <= attempt.connected_at <= attempt.ended_at == h.now


def test_a_call_that_may_be_on_any_server_is_ended_on_all() -> None:
    h = Harness(servers=("a", "b", "c"))
    h.start()
    h.feed(ev.ServerLost(at=h.now, server=ServerName("b"), reason="x"))
    out = recovered(h, server=None, started_at=h.now)
    assert {c.server for c in h.of(cmd.HangUp, out)} == {"a", "c"}
    h.feed(ev.CallPurged(at=h.now, call=OLD, kind="removal", ref=MessageId("m1"), reason="paid"))
    h.advance(2 * MISSING_S)
    assert OLD in h.calls(), "it may be on the one that is away"
    assert {c.server for c in h.of(cmd.HangUp)} == {"a", "c"}
    h.feed(ev.ServerConnected(at=h.now, server=ServerName("b"), calls=frozenset(), agents=frozenset()))
    h.advance(MISSING_S + 0.1)
    assert h.ended()[OLD].attempt.outcome is Outcome.LOST


def test_a_call_of_which_nobody_knows_where_it_is_is_ended_where_it_is_found() -> None:
    h = Harness(servers=("a", "b"))
    h.feed(ev.CampaignConfigured(at=h.now, campaign=h.campaign, state=CampaignState.RUNNING))
    recovered(h, server=None, started_at=h.now)
    b = ServerName("b")
    out = h.feed(ev.ServerConnected(at=h.now, server=b, calls=frozenset({OLD}), agents=frozenset()))
    assert [(c.call, c.server) for c in h.of(cmd.HangUp, out)] == [(OLD, b)]
    assert sum(h.engine.floor.trunks.channels().values()) == 1
    h.advance(MISSING_S + 1.0)
    assert OLD in h.calls()
    h.hang_up(OLD, by=ev.HungUpBy.DIALER)
    assert (h.ended()[OLD].attempt.outcome, h.ended()[OLD].attempt.server) == (Outcome.LOST, b)
    assert not any(h.engine.floor.trunks.channels().values())
    assert not +h.engine.floor.campaigns[CAMPAIGN].unanswered


def test_a_call_on_a_server_that_never_comes_back_is_given_up_when_its_phone_rings_no_more() -> None:
    h = Harness(servers=("a", "b"))
    h.feed(ev.ServerConnected(at=h.now, server=ServerName("a"), calls=frozenset(), agents=frozenset()))
    recovered(h, server=None, started_at=h.now)
    h.advance(outer_limit_s(Campaign(id=CAMPAIGN).ring_timeout_s) - 1.0)
    assert OLD in h.calls()
    h.advance(MISSING_S + 1.0)
    assert h.ended()[OLD].attempt.outcome is Outcome.LOST


def test_a_call_that_another_node_had_taken_meanwhile_ends_by_the_new_token() -> None:
    h = started("anna")
    (call,) = h.calls()
    bring(h, call, CallState.CONNECTED)
    recovered(h, call, fencing_token=77)
    h.hang_up(call)
    (finish,) = h.of(cmd.FinishCall)
    assert finish.fencing_token == 77
    assert finish.attempt.outcome is Outcome.CONNECTED


def test_a_call_is_taken_over_once() -> None:
    h = Harness()
    recovered(h)
    assert not recovered(h)
    assert h.calls() == [OLD]


def test_a_recovered_call_of_a_campaign_that_is_made_known_later_upsets_no_count() -> None:
    h = Harness()
    recovered(h)
    h.feed(ev.CampaignConfigured(at=h.now, campaign=h.campaign, state=CampaignState.RUNNING))
    back(h)
    assert h.engine.floor.campaigns[CAMPAIGN].unanswered[PBX] == 0


def test_a_recovered_call_holds_its_channel_of_the_only_trunk() -> None:
    h = Harness()
    recovered(h)
    (used,) = h.engine.floor.trunks.channels().values()
    assert used == 1
    back(h)
    (used,) = h.engine.floor.trunks.channels().values()
    assert used == 0


def test_a_talk_goes_on_when_its_agent_signs_in_again() -> None:
    h = Harness()
    h.feed(ev.CampaignConfigured(at=h.now, campaign=h.campaign, state=CampaignState.RUNNING))
    talking(h)
    assert not h.of(cmd.HangUp, back(h, calls=(OLD,), agents=("anna",)))
    out = h.feed(ev.AgentSignedIn(at=h.now, agent=AgentId("anna"), phone="a1", campaigns=(CAMPAIGN,)))
    assert not h.of(cmd.CallAgent, out), "the phone is in its room"
    assert h.agent_state("anna") == "talking"
    h.advance(10)
    assert not h.of(cmd.Originate), "nobody is free"
    h.hang_up(OLD)
    assert h.agent_state("anna") == "wrapup"
    assert h.ended()[OLD].attempt.agent == "anna"


def test_a_talk_goes_on_where_the_agent_signed_in_before_the_server_came() -> None:
    h = Harness()
    talking(h)
    h.feed(ev.AgentSignedIn(at=h.now, agent=AgentId("anna"), phone="a1", campaigns=(CAMPAIGN,)))
    back(h, calls=(OLD,), agents=("anna",))
    assert h.agent_state("anna") == "talking"


def test_a_talk_that_ended_before_its_agent_came_back_is_not_resumed() -> None:
    h = Harness()
    talking(h)
    back(h, agents=("anna",))
    h.feed(ev.AgentSignedIn(at=h.now, agent=AgentId("anna"), phone="a1", campaigns=(CAMPAIGN,)))
    assert h.agent_state("anna") == "idle"
    assert h.ended()[OLD].attempt.outcome is Outcome.CONNECTED


def test_a_talk_of_somebody_else_is_not_resumed() -> None:
    h = Harness()
    talking(h, agent="ben")
    back(h, calls=(OLD,), agents=("anna", "ben"))
    h.feed(ev.AgentSignedIn(at=h.now, agent=AgentId("anna"), phone="a1", campaigns=(CAMPAIGN,)))
    assert h.agent_state("anna") == "idle"


# ---- ends that are asked for


def test_an_end_is_asked_for_until_it_comes_but_not_of_a_server_out_of_reach() -> None:
    h = started("anna")
    (call,) = h.calls()
    h.feed(ev.HangupAsked(at=h.now, call=call, by="supervisor"))
    lose(h)
    assert not h.of(cmd.HangUp, h.advance(20))
    back(h, calls=(call,), agents=("anna",))
    assert h.of(cmd.HangUp, h.advance(4))


def test_a_talk_whose_end_the_switch_never_tells_is_given_up() -> None:
    h = started("anna")
    (call,) = h.calls()
    bring(h, call, CallState.CONNECTED)
    h.feed(ev.AgentHungUp(at=h.now, agent=AgentId("anna")))
    hang_ups = h.of(cmd.HangUp, h.advance(59))
    assert 10 < len(hang_ups) < 40
    assert call in h.calls()
    h.advance(5)
    assert h.ended()[call].attempt.outcome is Outcome.CONNECTED


def test_a_given_up_call_that_is_answered_all_the_same_is_hung_up() -> None:
    h = started("anna", ring_timeout_s=15.0)
    (call,) = h.calls()
    h.advance(46)
    assert call in h.ended()
    assert [c.call for c in h.of(cmd.HangUp, h.answer(call))] == [call]


def test_a_waiting_person_whose_end_was_asked_for_is_neither_given_to_an_agent_nor_abandoned() -> None:
    h = started("anna")
    (call,) = h.calls()
    bring(h, call, CallState.WAITING)
    h.feed(ev.HangupAsked(at=h.now, call=call, by="supervisor"))
    assert not h.of(cmd.ConnectCall, h.feed(ev.AgentReadied(at=h.now, agent=AgentId("anna"))))
    assert not h.of(ntc.CallWasAbandoned, h.advance(2.5))
    h.hang_up(call, by=ev.HungUpBy.DIALER)
    assert h.ended()[call].attempt.outcome is Outcome.CANCELLED


def test_a_ringing_call_that_a_stop_took_back_is_made_again_later() -> None:
    h = started("anna")
    (call,) = h.calls()
    h.feed(ev.CampaignOrdered(at=h.now, campaign=CAMPAIGN, state=CampaignState.STOPPED))
    h.hang_up(call, by=ev.HungUpBy.DIALER)
    ended = h.ended()[call]
    assert ended.attempt.outcome is Outcome.CANCELLED
    assert ended.retry_at == h.now + 15 * 60
