"""What is said twice, late or of the wrong call changes nothing; and the engine's deadlines."""

from __future__ import annotations

import pytest

from dialer.core import commands as cmd
from dialer.core import events as ev
from dialer.core import notices as ntc
from dialer.core.campaign import Campaign, MachineDetection
from dialer.core.ids import AgentId
from dialer.core.outcome import Outcome, unanswered_outcome
from dialer.core.timers import Timers
from tests.engine_harness import CAMPAIGN, PBX, Harness

ANNA = AgentId("anna")


def floor(*agents: str, **settings: object) -> Harness:
    h = Harness(Campaign(id=CAMPAIGN, method="progressive", **settings))  # type: ignore[arg-type]
    h.start(*agents)
    h.advance(0.1)
    return h


def test_ringing_answer_and_meeting_are_told_once_each() -> None:
    h = floor("anna")
    (call,) = h.calls()
    for _ in range(2):
        h.feed(ev.CallRinging(at=h.now, call=call))
    for _ in range(2):
        h.answer(call)
    for _ in range(2):
        h.join(call)
    h.feed(ev.OriginateHandedOver(at=h.now, call=call))
    told = [type(n) for n in h.out if isinstance(n, ntc.CallRang | ntc.CallWasAnswered | ntc.CallConnected)]
    assert told == [ntc.CallRang, ntc.CallWasAnswered, ntc.CallConnected]
    assert len(h.of(ntc.CallStarted)) == 1


def test_an_answer_after_the_end_of_the_ringing_was_told_and_a_ring_after_the_answer_are_ignored() -> None:
    h = floor("anna")
    (call,) = h.calls()
    h.answer(call)
    assert h.of(ntc.EventIgnored, h.feed(ev.CallRinging(at=h.now, call=call)))
    assert not h.of(ntc.CallRang)


def test_a_meeting_with_somebody_else_is_none() -> None:
    h = floor("anna", "ben")
    call = h.calls()[0]
    (connect,) = h.of(cmd.ConnectCall, h.answer(call))
    other = AgentId("ben" if connect.agent == "anna" else "anna")
    assert h.of(ntc.EventIgnored, h.feed(ev.CallJoined(at=h.now, call=call, agent=other)))
    assert h.agent_state(other) != "talking"
    h.join(call)
    assert not h.of(ntc.EventIgnored, h.feed(ev.CallJoined(at=h.now, call=call, agent=other)))


@pytest.mark.parametrize("verdict", [ev.Verdict.HUMAN, ev.Verdict.UNSURE])
def test_a_person_gets_their_agent_with_the_verdict_and_the_deadline_is_off(verdict: ev.Verdict) -> None:
    h = floor("anna", machine_detection=MachineDetection())
    (call,) = h.calls()
    h.answer(call)
    h.advance(0.4)
    out = h.feed(ev.MachineDetected(at=h.now, call=call, verdict=verdict, cause=""))
    assert [c.agent for c in h.of(cmd.ConnectCall, out)] == ["anna"]
    assert not h.of(ntc.EventIgnored, h.feed(ev.MachineDetected(at=h.now, call=call, verdict=verdict, cause="")))
    h.join(call)
    assert not h.of(cmd.ConnectCall, h.advance(2))


def test_unsure_is_a_machine_where_the_campaign_says_so() -> None:
    h = floor("anna", machine_detection=MachineDetection(unsure_is_human=False))
    (call,) = h.calls()
    h.answer(call)
    out = h.feed(ev.MachineDetected(at=h.now, call=call, verdict=ev.Verdict.UNSURE, cause=""))
    assert h.of(cmd.HangUp, out)


def test_a_machine_that_was_taken_for_a_person_waits_for_nobody_any_more() -> None:
    h = floor("anna", machine_detection=MachineDetection(deadline_s=1.0))
    (call,) = h.calls()
    h.feed(ev.AgentPauseAsked(at=h.now, agent=ANNA, code="x"))
    h.answer(call)
    h.advance(1.2)
    h.feed(ev.MachineDetected(at=h.now, call=call, verdict=ev.Verdict.MACHINE, cause=""))
    assert not h.of(ntc.CallWasAbandoned, h.advance(2))
    h.hang_up(call)
    assert h.ended()[call].attempt.outcome is Outcome.MACHINE


def test_the_end_of_a_call_nobody_speaks_of_is_not_guessed_while_its_server_is_away() -> None:
    h = floor("anna", ring_timeout_s=15.0)
    (call,) = h.calls()
    h.feed(ev.ServerLost(at=h.now, server=PBX, reason="x"))
    h.advance(120)
    assert call in h.calls()
    h.feed(ev.ServerConnected(at=h.now, server=PBX, calls=frozenset({call}), agents=frozenset({ANNA})))
    h.advance(15)
    assert h.ended()[call].attempt.outcome is Outcome.LOST


def test_a_customer_who_is_being_hung_up_is_not_moved_on_when_the_agent_goes() -> None:
    h = floor("anna", "ben")
    call = h.calls()[0]
    (connect,) = h.of(cmd.ConnectCall, h.answer(call))
    h.feed(ev.HangupAsked(at=h.now, call=call, by="supervisor"))
    assert not h.of(cmd.ConnectCall, h.feed(ev.AgentPhoneGone(at=h.now, agent=connect.agent, reason="x")))


def test_a_call_handed_over_that_is_no_more_is_not_given_back() -> None:
    h = floor("anna")
    (call,) = h.calls()
    assert not h.of(cmd.ReturnPermit, h.feed(ev.OriginateNotSent(at=h.now, call=call, reason="late word")))
    assert call in h.calls()
    h.hang_up(call)
    assert h.of(ntc.EventIgnored, h.feed(ev.OriginateNotSent(at=h.now, call=call, reason="late word")))
    assert h.of(ntc.EventIgnored, h.feed(ev.OriginateHandedOver(at=h.now, call=call)))


def test_a_status_that_nobody_has_heard_of_is_read_by_its_class() -> None:
    def outcome(sip_code: int, *, rang: bool) -> Outcome:
        return unanswered_outcome(cause=0, sip_code=sip_code, timed_out=False, rang=rang, cancelled=False)

    assert outcome(599, rang=True) is Outcome.CONGESTION
    assert outcome(499, rang=True) is Outcome.NO_ANSWER


# ---- deadlines


def test_a_deadline_that_is_set_again_moves_and_a_cancelled_one_is_gone() -> None:
    timers = Timers()
    timers.set(("a", "1"), 10.0)
    timers.set(("a", "1"), 5.0)
    timers.set(("b", "1"), 7.0)
    timers.cancel(("b", "1"))
    timers.cancel(("never", "set"))
    assert (len(timers), timers.next_at()) == (1, 5.0)
    assert list(timers.due(20.0)) == [("a", "1")]
    assert (len(timers), timers.next_at()) == (0, None)


def test_what_becomes_due_meanwhile_is_dealt_with_in_its_order() -> None:
    timers = Timers()
    timers.set(("a", ""), 1.0)
    timers.set(("c", ""), 3.0)
    seen = []
    for key in timers.due(5.0):
        seen.append(key[0])
        if key[0] == "a":
            timers.set(("b", ""), 2.0)
    assert seen == ["a", "b", "c"]


def test_a_deadline_that_is_moved_for_ever_takes_no_room() -> None:
    timers = Timers()
    for number in range(10_000):
        timers.set(("pace", "winter"), float(number))
        timers.set(("other", "x"), 20_000.0 + number)
    assert len(timers) == 2
    assert len(timers._heap) <= 64
    assert list(timers.due(1e9)) == [("pace", "winter"), ("other", "x")]
