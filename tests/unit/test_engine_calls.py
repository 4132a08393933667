"""The life of a call in the engine: who gets it, when it counts as abandoned, what is written down at the end."""

from __future__ import annotations

import pytest

from dialer.core import commands as cmd
from dialer.core import events as ev
from dialer.core import notices as ntc
from dialer.core.campaign import Campaign, CampaignState, MachineDetection, RetryRule
from dialer.core.ids import AgentId, CallId, MessageId
from dialer.core.outcome import Outcome
from tests.engine_harness import CAMPAIGN, PBX, Harness


def started(*agents: str, **settings: object) -> Harness:
    harness = Harness(Campaign(id=CAMPAIGN, **{"method": "progressive", **settings}))  # type: ignore[arg-type]
    harness.start(*agents)
    harness.advance(0.1)
    return harness


def test_one_idle_agent_gets_one_call_and_talks_wraps_up_and_is_idle_again() -> None:
    h = started("anna", wrapup_limit_s=20.0)
    (call,) = h.calls()
    h.feed(ev.CallRinging(at=h.now, call=call))
    h.advance(5.0)
    out = h.answer(call)
    assert h.of(cmd.ConnectCall, out) == [cmd.ConnectCall(call=call, agent=AgentId("anna"), server=PBX)]
    assert h.agent_state("anna") == "reserved"
    h.advance(0.002)
    h.join(call)
    assert h.agent_state("anna") == "talking"
    h.advance(60.0)
    h.hang_up(call)
    assert h.agent_state("anna") == "wrapup"
    h.advance(19.0)
    assert h.agent_state("anna") == "wrapup"
    h.advance(1.1)
    assert h.agent_state("anna") == "idle"
    attempt = h.ended()[call].attempt
    assert attempt.outcome is Outcome.CONNECTED
    assert attempt.agent == "anna"
    assert attempt.talk_s == pytest.approx(60.0)
    assert attempt.wait_s == pytest.approx(0.002, abs=1e-6)


def test_nobody_free_for_two_seconds_plays_the_message_and_counts_as_abandoned() -> None:
    h = started("anna", "ben", message="sorry")
    first, second = h.calls()
    h.answer(first)
    h.join(first)
    h.feed(ev.AgentPauseAsked(at=h.now, agent=AgentId("ben"), code="lunch"))
    out = h.answer(second)
    assert not h.of(cmd.ConnectCall, out)
    assert not h.of(cmd.PlayMessage, h.advance(1.99))
    out = h.advance(0.02)
    assert h.of(cmd.PlayMessage, out) == [cmd.PlayMessage(call=second, message="sorry", server=PBX, opt_out_key="9")]
    assert len(h.of(ntc.CallWasAbandoned, out)) == 1
    h.feed(ev.MessagePlayed(at=h.now, call=second, complete=True))
    h.hang_up(second, by=ev.HungUpBy.DIALER)
    attempt = h.ended()[second].attempt
    assert (attempt.outcome, attempt.message_played, attempt.agent) == (Outcome.ABANDONED, True, None)


def test_an_agent_who_becomes_free_in_time_gets_whoever_waits() -> None:
    h = started("anna", "ben")
    first, second = h.calls()
    h.answer(first)
    h.join(first)
    h.feed(ev.AgentPauseAsked(at=h.now, agent=AgentId("ben"), code="lunch"))
    h.answer(second)
    h.advance(1.5)
    out = h.feed(ev.AgentReadied(at=h.now, agent=AgentId("ben")))
    assert [c.agent for c in h.of(cmd.ConnectCall, out)] == ["ben"]
    h.join(second)
    h.advance(5.0)
    assert not h.of(ntc.CallWasAbandoned)


@pytest.mark.parametrize(("waited_s", "outcome"), [(1.0, Outcome.HUNG_UP), (1.999, Outcome.HUNG_UP)])
def test_a_person_who_hangs_up_before_the_limit_is_not_abandoned(waited_s: float, outcome: Outcome) -> None:
    h = started("anna", "ben")
    first, second = h.calls()
    h.answer(first)
    h.join(first)
    h.feed(ev.AgentPauseAsked(at=h.now, agent=AgentId("ben"), code="lunch"))
    h.answer(second)
    h.advance(waited_s)
    h.hang_up(second)
    assert h.ended()[second].attempt.outcome is outcome
    assert not h.of(ntc.CallWasAbandoned)


def test_longest_idle_agent_is_chosen_and_priority_comes_first() -> None:
    h = Harness()
    h.start("anna")
    h.advance(10)
    h.sign_in("ben")
    h.sign_in("chief", priority=5)
    h.advance(1)
    a, b, c = h.calls()[:3]
    chosen = [h.of(cmd.ConnectCall, h.answer(call))[0].agent for call in (a, b, c)]
    assert chosen == ["chief", "anna", "ben"]


def test_a_room_that_the_customer_never_reaches_is_not_trusted_and_another_agent_takes_the_call() -> None:
    h = started("anna", "ben")
    call = h.calls()[0]
    (connect,) = h.of(cmd.ConnectCall, h.answer(call))
    out = h.advance(1.01)
    assert [c.agent for c in h.of(cmd.HangUpAgent, out)] == [connect.agent]
    assert [c.agent for c in h.of(cmd.CallAgent, out)] == [connect.agent], "they have done nothing wrong"
    assert h.agent_state(connect.agent) == "connecting"
    (again,) = h.of(cmd.ConnectCall, out)
    assert again.agent != connect.agent


def test_the_agents_phone_vanishing_during_the_move_does_not_lose_the_customer() -> None:
    h = started("anna", "ben")
    call = h.calls()[0]
    (connect,) = h.of(cmd.ConnectCall, h.answer(call))
    out = h.feed(ev.AgentPhoneGone(at=h.now, agent=connect.agent, reason="hangup"))
    (again,) = h.of(cmd.ConnectCall, out)
    assert again.call == call


def test_a_disposition_in_wrapup_is_told_and_ends_the_wrapup() -> None:
    h = started("anna")
    (call,) = h.calls()
    h.answer(call)
    h.join(call)
    h.advance(10)
    h.hang_up(call)
    out = h.feed(ev.CallDisposed(at=h.now, call=call, code="SALE", amount="12.50", ref=MessageId("m9")))
    (told,) = h.of(ntc.CallWasDisposed, out)
    assert (told.code, told.agent, told.amount, told.ref) == ("SALE", "anna", "12.50", "m9")
    assert h.agent_state("anna") in {"idle", "reserved"}


def test_a_disposition_during_the_talk_spares_the_wrapup() -> None:
    h = started("anna")
    (call,) = h.calls()
    h.answer(call)
    h.join(call)
    h.feed(ev.CallDisposed(at=h.now, call=call, code="SALE", agent=AgentId("anna")))
    assert h.agent_state("anna") == "talking"
    h.hang_up(call)
    assert h.agent_state("anna") == "idle"


# ---- machine detection


def test_a_call_without_verdict_gets_an_agent_at_the_deadline() -> None:
    h = started("anna", machine_detection=MachineDetection(deadline_s=1.4))
    (call,) = h.calls()
    assert not h.of(cmd.ConnectCall, h.answer(call))
    assert not h.of(cmd.ConnectCall, h.advance(1.39))
    assert h.of(cmd.ConnectCall, h.advance(0.02))


def test_a_machine_is_hung_up_and_no_agent_hears_it() -> None:
    h = started("anna", machine_detection=MachineDetection())
    (call,) = h.calls()
    h.answer(call)
    h.advance(0.8)
    verdict = ev.MachineDetected(at=h.now, call=call, verdict=ev.Verdict.MACHINE, cause="LONGGREETING")
    assert h.of(cmd.HangUp, h.feed(verdict)) == [cmd.HangUp(call=call, server=PBX)]
    h.hang_up(call, by=ev.HungUpBy.DIALER)
    attempt = h.ended()[call].attempt
    assert attempt.outcome is Outcome.MACHINE
    assert attempt.machine_verdict_s == pytest.approx(0.8)
    assert h.agent_state("anna") == "idle"


def test_a_late_verdict_is_recorded_and_does_not_cut_off_the_talk() -> None:
    h = started("anna", machine_detection=MachineDetection(deadline_s=1.0))
    (call,) = h.calls()
    h.answer(call)
    h.advance(1.0)
    h.join(call)
    out = h.feed(ev.MachineDetected(at=h.now, call=call, verdict=ev.Verdict.MACHINE, cause="x"))
    assert not h.of(cmd.HangUp, out)
    h.advance(30)
    h.hang_up(call)
    attempt = h.ended()[call].attempt
    assert (attempt.outcome, attempt.machine_verdict) == (Outcome.CONNECTED, "machine")


# ---- purges


@pytest.mark.parametrize("kind", ["removal", "dnc"])
def test_a_removal_hangs_up_a_ringing_call_and_the_contact_is_never_retried(kind: str) -> None:
    h = started("anna", retries={o: RetryRule(delay_s=1, max_attempts=9) for o in Outcome})
    (call,) = h.calls()
    out = h.feed(ev.CallPurged(at=h.now, call=call, kind=kind, ref=MessageId("m1"), reason="paid"))
    assert h.of(cmd.HangUp, out) == [cmd.HangUp(call=call, server=PBX)]
    assert [r.effect for r in h.of(cmd.ReportPurge, out)] == ["cancelled"]
    h.hang_up(call, cause=16, by=ev.HungUpBy.DIALER)
    ended = h.ended()[call]
    assert (ended.attempt.outcome, ended.retry_at) == (Outcome.CANCELLED, None)


def test_a_hang_up_that_overtakes_its_originate_is_asked_for_again() -> None:
    h = started("anna")
    (call,) = h.calls()
    h.feed(ev.CallPurged(at=h.now, call=call, kind="removal", ref=MessageId("m1"), reason="paid"))
    assert len(h.of(cmd.HangUp, h.advance(1.0))) == 3
    h.hang_up(call, by=ev.HungUpBy.DIALER)
    assert not h.of(cmd.HangUp, h.advance(5.0))


@pytest.mark.parametrize("kind", ["removal", "dnc"])
def test_a_removal_leaves_a_talk_alone_and_says_so(kind: str) -> None:
    h = started("anna")
    (call,) = h.calls()
    h.answer(call)
    h.join(call)
    out = h.feed(ev.CallPurged(at=h.now, call=call, kind=kind, ref=MessageId("m1"), reason="paid"))
    assert not h.of(cmd.HangUp, out)
    assert [r.effect for r in h.of(cmd.ReportPurge, out)] == ["too_late"]


def test_a_purged_call_that_is_answered_all_the_same_is_hung_up_at_once() -> None:
    """The trunk had not replied when we cancelled; Asterisk may go on with the INVITE for half a minute."""
    h = started("anna")
    (call,) = h.calls()
    h.feed(ev.CallPurged(at=h.now, call=call, kind="removal", ref=MessageId("m1"), reason="paid"))
    out = h.answer(call)
    assert h.of(cmd.HangUp, out)
    assert not h.of(cmd.ConnectCall, out)
    h.hang_up(call)
    assert h.ended()[call].attempt.outcome is Outcome.CANCELLED


# ---- what the switch could not do


def test_an_originate_that_was_not_handed_over_is_no_attempt_and_the_contact_goes_back() -> None:
    h = Harness()
    h.send = False
    h.start("anna")
    h.advance(0.2)
    assert h.of(cmd.ReturnPermit)
    assert not h.of(ntc.CallStarted)
    assert not h.calls()


def test_permits_that_come_after_a_pause_go_back() -> None:
    h = Harness()
    h.grant = False
    h.start("anna")
    h.advance(0.1)
    (request,) = h.of(cmd.RequestPermits)
    h.feed(ev.CampaignOrdered(at=h.now, campaign=CAMPAIGN, state=CampaignState.PAUSED))
    out = h.feed(
        ev.PermitsGranted(
            at=h.now, campaign=CAMPAIGN, requested=request.count, permits=(h.permit(1),),
            refusals=ev.Refusals(), ready=5, later=0,
        )
    )  # fmt: skip
    assert [r.permit.call for r in h.of(cmd.ReturnPermit, out)] == [h.permit(1).call]


def test_a_call_that_the_switch_never_speaks_of_again_is_asked_for_its_end_and_then_given_up() -> None:
    h = started("anna", ring_timeout_s=20.0)
    (call,) = h.calls()
    out = h.advance(25.5)
    assert cmd.HangUp(call=call, server=PBX) in h.of(cmd.HangUp, out)
    # its number may ring until Asterisk itself has ended it
    assert call not in h.ended()
    h.advance(30)
    assert h.ended()[call].attempt.outcome is Outcome.LOST


def test_stopping_hangs_up_what_rings_and_lets_talks_go_on() -> None:
    h = started("anna", "ben")
    first, second = h.calls()
    h.answer(first)
    h.join(first)
    out = h.feed(ev.CampaignOrdered(at=h.now, campaign=CAMPAIGN, state=CampaignState.STOPPED))
    assert [c.call for c in h.of(cmd.HangUp, out)] == [second]


def test_draining_ends_by_itself() -> None:
    h = started("anna")
    (call,) = h.calls()
    h.feed(ev.CampaignOrdered(at=h.now, campaign=CAMPAIGN, state=CampaignState.DRAINING))
    h.hang_up(call, cause=17, sip_code=486)
    states = [n.state for n in h.of(ntc.CampaignChanged)]
    assert states[-1] is CampaignState.STOPPED


@pytest.mark.parametrize(
    ("cause", "sip_code", "timed_out", "rang", "outcome"),
    [
        (17, 486, False, True, Outcome.BUSY),
        (19, 480, True, True, Outcome.NO_ANSWER),
        (19, 480, True, False, Outcome.CONGESTION),
        (1, 404, False, False, Outcome.INVALID),
        (34, 503, False, False, Outcome.CONGESTION),
        (21, 603, False, True, Outcome.REJECTED),
        (19, 480, False, False, Outcome.NO_ANSWER),
        (0, None, False, False, Outcome.CONGESTION),
    ],
)
def test_the_outcome_is_read_off_the_hangup(
    cause: int, sip_code: int | None, timed_out: bool, rang: bool, outcome: Outcome
) -> None:
    h = started("anna")
    (call,) = h.calls()
    if rang:
        h.feed(ev.CallRinging(at=h.now, call=call))
    h.hang_up(call, cause=cause, sip_code=sip_code, timed_out=timed_out, by=ev.HungUpBy.NETWORK)
    assert h.ended()[call].attempt.outcome is outcome


def test_events_of_unknown_calls_and_agents_change_nothing() -> None:
    h = started("anna")
    before = h.calls()
    ghost = CallId("ghost")
    for event in (
        ev.CallRinging(at=h.now, call=ghost),
        ev.CallAnswered(at=h.now, call=ghost),
        ev.CallJoined(at=h.now, call=ghost, agent=AgentId("nobody")),
        ev.MachineDetected(at=h.now, call=ghost, verdict=ev.Verdict.MACHINE, cause=""),
        ev.AgentPhoneUp(at=h.now, agent=AgentId("nobody")),
        ev.AgentReadied(at=h.now, agent=AgentId("nobody")),
        ev.AgentSignedOut(at=h.now, agent=AgentId("nobody")),
        ev.HangupAsked(at=h.now, call=ghost, by="x"),
    ):
        assert h.of(ntc.EventIgnored, h.feed(event)), event
    assert h.calls() == before
