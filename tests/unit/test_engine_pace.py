"""What the engine asks of the gate, what it makes of the answers, and what it tells the pacers."""

from __future__ import annotations

import pytest

from dialer.core import commands as cmd
from dialer.core import events as ev
from dialer.core import notices as ntc
from dialer.core.campaign import Campaign, CampaignState, MachineDetection
from dialer.core.engine import Engine
from dialer.core.floor import Output
from dialer.core.ids import AgentId, CallId, CampaignId, ServerName
from dialer.core.outcome import Outcome
from dialer.core.pace_desk import EMPTY_PAUSE_S, REQUEST_TIMEOUT_S
from dialer.core.screen_pop import screen_pop
from dialer.errors import InvalidTransition
from tests.engine_harness import CAMPAIGN, NODE, PBX, Harness

ANNA = AgentId("anna")


def floor(*agents: str, grant: bool = True, **settings: object) -> Harness:
    h = Harness(Campaign(id=CAMPAIGN, **({"method": "progressive"} | settings)))  # type: ignore[arg-type]
    h.grant = grant
    h.start(*agents)
    h.advance(0.1)
    return h


def order(h: Harness, state: CampaignState, campaign: CampaignId = CAMPAIGN) -> list[Output]:
    return h.feed(ev.CampaignOrdered(at=h.now, campaign=campaign, state=state))


def grant(h: Harness, *numbers: int, requested: int = 1, ready: int = 9) -> list[Output]:
    return h.feed(
        ev.PermitsGranted(
            at=h.now, campaign=CAMPAIGN, requested=requested, permits=tuple(h.permit(n) for n in numbers),
            refusals=ev.Refusals(), ready=ready, later=0,
        )
    )  # fmt: skip


def test_a_request_that_is_never_answered_is_not_waited_for_for_ever() -> None:
    h = floor("anna", grant=False)
    assert len(h.of(cmd.RequestPermits)) == 1
    h.advance(REQUEST_TIMEOUT_S - 0.2)
    assert len(h.of(cmd.RequestPermits)) == 1
    h.advance(0.2)
    assert len(h.of(cmd.RequestPermits)) == 2


def test_one_answer_is_waited_for_over_a_pause_so_that_one_agent_gets_one_call() -> None:
    h = floor("anna", grant=False)
    order(h, CampaignState.PAUSED)
    order(h, CampaignState.RUNNING)
    h.advance(1)
    assert len(h.of(cmd.RequestPermits)) == 1
    grant(h, 1)
    h.advance(1)
    assert len(h.of(cmd.Originate)) == 1
    assert len(h.of(cmd.RequestPermits)) == 1


def test_a_gate_that_answers_late_is_not_asked_twice_for_one_agent() -> None:
    """The answer is worth a decision; it must not be made before the pacer knows of the calls that it permits."""
    h = floor("anna", grant=False)
    h.advance(0.5)
    grant(h, 1)
    h.advance(5)
    assert (len(h.of(cmd.Originate)), len(h.of(cmd.RequestPermits))) == (1, 1)
    h.send = False
    h.hang_up(h.calls()[0])
    h.advance(0.5)
    out = grant(h, 2)
    assert h.of(cmd.ReturnPermit, out)
    assert h.of(cmd.RequestPermits, out + h.advance(0.5)), "not handed over is no call"


def test_a_draining_campaign_waits_for_the_gates_answer_but_not_for_ever() -> None:
    h = floor("anna", grant=False)
    order(h, CampaignState.DRAINING)
    assert h.engine.floor.campaigns[CAMPAIGN].state is CampaignState.DRAINING
    out = grant(h, 1)
    assert [r.reason for r in h.of(cmd.ReturnPermit, out)] == ["campaign is draining"]
    assert h.engine.floor.campaigns[CAMPAIGN].state is CampaignState.STOPPED

    h = floor("anna", grant=False)
    order(h, CampaignState.DRAINING)
    h.advance(REQUEST_TIMEOUT_S + 1)
    assert h.engine.floor.campaigns[CAMPAIGN].state is CampaignState.STOPPED


def test_an_empty_hopper_is_asked_again_after_a_pause() -> None:
    h = floor("anna", grant=False)
    grant(h, ready=0)
    h.advance(EMPTY_PAUSE_S - 0.05)
    assert len(h.of(cmd.RequestPermits)) == 1
    h.advance(0.1)
    assert len(h.of(cmd.RequestPermits)) == 2


def test_permits_of_an_unknown_campaign_go_back() -> None:
    h = Harness()
    out = grant(h, 1, 2, requested=2)
    assert [r.reason for r in h.of(cmd.ReturnPermit, out)] == ["no such campaign"] * 2


def test_permits_without_a_line_go_back() -> None:
    h = floor("anna", grant=False)
    h.feed(ev.AgentPhoneGone(at=h.now, agent=ANNA, reason="x"))
    assert [r.reason for r in h.of(cmd.ReturnPermit, grant(h, 1))] == ["no free line"]


def test_a_call_id_is_used_once() -> None:
    h = floor("anna", "ben", grant=False)
    grant(h, 1)
    out = grant(h, 1)
    assert h.of(ntc.EventIgnored, out)
    assert not h.of(cmd.Originate, out)
    assert not h.of(cmd.ReturnPermit, out), "the contact is being called"


def test_impossible_orders_are_said_to_be_so() -> None:
    h = floor()
    assert h.of(ntc.EventIgnored, order(h, CampaignState.DRAFT))
    assert h.of(ntc.EventIgnored, order(h, CampaignState.RUNNING, CampaignId("unheard-of")))
    assert not order(h, CampaignState.RUNNING)


def test_a_changed_method_starts_from_what_is_going_on_and_what_was_spent() -> None:
    h = floor("anna", "ben")
    first, _ = h.calls()
    h.feed(ev.AgentPauseAsked(at=h.now, agent=ANNA, code="x"))
    h.feed(ev.AgentPauseAsked(at=h.now, agent=AgentId("ben"), code="x"))
    h.answer(first)
    changed = Campaign(id=CAMPAIGN, method="predictive", max_abandonment=0.05)
    h.feed(ev.CampaignConfigured(at=h.now, campaign=changed, answers_before=900, abandoned_before=26))
    pacer = h.engine.floor.campaigns[CAMPAIGN].pacers[PBX]
    told = pacer.snapshot()
    assert (told["in_flight"], told["waiting"]) == (1, 1)
    same = h.engine.floor.campaigns[CAMPAIGN]
    h.feed(ev.CampaignConfigured(at=h.now, campaign=Campaign(id=CAMPAIGN, method="predictive", max_abandonment=0.05,
                                                             name="new name")))  # fmt: skip
    assert same.pacers[PBX] is pacer
    assert same.campaign.name == "new name"


def test_a_campaign_that_was_running_runs_after_a_restart() -> None:
    h = Harness()
    h.feed(ev.CampaignConfigured(at=h.now, campaign=h.campaign, state=CampaignState.RUNNING))
    assert [n.state for n in h.of(ntc.CampaignChanged)] == [CampaignState.RUNNING]


def test_orders_to_hang_up_come_in_one_order_whatever_the_process_hashes() -> None:
    h = floor(*(f"agent{n}" for n in range(12)))
    h.advance(1)
    out = order(h, CampaignState.STOPPED)
    calls = [c.call for c in h.of(cmd.HangUp, out)]
    assert len(calls) == 12
    assert calls == sorted(calls)


# ---- too late


def late(h: Harness) -> CallId:
    (call,) = h.calls()
    h.feed(ev.AgentPauseAsked(at=h.now, agent=ANNA, code="x"))
    h.answer(call)
    h.advance(1.9)
    h.feed(ev.AgentReadied(at=h.now, agent=ANNA))
    return call


def test_people_who_meet_their_agent_after_the_limit_cost_the_budget_like_any_abandoned_one() -> None:
    h, on_time = floor("anna", method="predictive"), floor("anna", method="predictive")
    call = late(h)
    h.advance(0.3)
    (told,) = h.of(ntc.CallConnected, h.join(call))
    assert told.wait_s == pytest.approx(2.2)
    on_time.join(late(on_time))
    spent, kept = (x.engine.floor.campaigns[CAMPAIGN].pacers[PBX].snapshot() for x in (h, on_time))
    assert (spent["abandoned"], kept["abandoned"]) == (1, 0)
    assert h.agent_state("anna") == "talking"


@pytest.mark.parametrize("deadline_s", [1.0, 5.0])
def test_the_limit_counts_from_the_answer_also_with_machine_detection(deadline_s: float) -> None:
    h = floor("anna", machine_detection=MachineDetection(deadline_s=deadline_s))
    (call,) = h.calls()
    h.feed(ev.AgentPauseAsked(at=h.now, agent=ANNA, code="x"))
    h.answer(call)
    h.advance(1.99)
    assert not h.of(ntc.CallWasAbandoned)
    h.advance(max(0.02, deadline_s - 1.98))
    (abandoned,) = h.of(ntc.CallWasAbandoned)
    assert abandoned.wait_s == pytest.approx(max(2.0, deadline_s), abs=0.02)


def test_whoever_hangs_up_after_the_limit_before_any_verdict_was_abandoned_and_everybody_is_told() -> None:
    h = floor("anna", method="predictive", machine_detection=MachineDetection(deadline_s=5.0))
    (call,) = h.calls()
    h.answer(call)
    h.advance(3)
    h.hang_up(call)
    assert h.ended()[call].attempt.outcome is Outcome.ABANDONED
    assert h.of(ntc.CallWasAbandoned)
    assert h.engine.floor.campaigns[CAMPAIGN].pacers[PBX].snapshot()["abandoned"] == 1


def test_an_answer_stamped_before_the_start_counts_from_the_start() -> None:
    h = floor("anna")
    (call,) = h.calls()
    began = h.engine.floor.calls[call].started_at
    out = h.feed(ev.CallAnswered(at=began - 5, call=call))
    assert [n.ring_s for n in h.of(ntc.CallWasAnswered, out)] == [0.0]


def test_an_event_older_than_what_is_known_does_not_turn_back_time() -> None:
    h = floor("anna")
    (call,) = h.calls()
    now = h.engine.floor.now
    h.feed(ev.CallRinging(at=now - 3600, call=call))
    assert h.engine.floor.now == now


# ---- the rest of the tables


def test_the_screen_pop_has_the_contacts_fields_encoded() -> None:
    h = floor("anna", screen_pop="https://crm.example/?id={id}&n={name}&x={nothing}")
    (call,) = h.calls()
    assert screen_pop(h.engine.floor.calls[call]) == "https://crm.example/?id=crm-1&n=&x="


def test_a_refused_originate_is_a_failed_attempt_and_the_message_is_noted() -> None:
    h = floor("anna")
    (call,) = h.calls()
    h.feed(ev.OriginateFailed(at=h.now, call=call, reason="no such endpoint"))
    assert h.ended()[call].attempt.outcome is Outcome.FAILED
    h.advance(1)
    call = h.calls()[0]
    h.feed(ev.AgentPauseAsked(at=h.now, agent=ANNA, code="x"))
    h.answer(call)
    h.advance(2.1)
    h.feed(ev.MessagePlayed(at=h.now, call=call, complete=True))
    assert h.of(cmd.HangUp, h.advance(31)), "Asterisk should have done so by itself"
    h.hang_up(call)
    assert h.ended()[call].attempt.message_played


def test_a_purge_between_permit_and_hand_over_hangs_up_at_once() -> None:
    h = floor("anna", grant=False)
    permit = h.permit(1)
    h.engine.handle(
        ev.PermitsGranted(
            at=h.now, campaign=CAMPAIGN, requested=1, permits=(permit,), refusals=ev.Refusals(), ready=1, later=0
        )
    )
    purge = ev.CallPurged(at=h.now, call=permit.call, kind="dnc", ref=None, reason="")  # type: ignore[arg-type]
    assert not h.of(cmd.HangUp, h.engine.handle(purge))
    out = h.engine.handle(ev.OriginateHandedOver(at=h.now, call=permit.call))
    assert [c.call for c in h.of(cmd.HangUp, out)] == [permit.call]


def test_steps_that_no_table_has_are_bugs() -> None:
    h = floor("anna")
    call, agent = h.engine.floor.calls[h.calls()[0]], h.engine.floor.roster.get(ANNA)
    assert agent is not None
    from dialer.core.agent import AgentStep
    from dialer.core.call import CallStep

    with pytest.raises(InvalidTransition, match="cannot join"):
        call.take(CallStep.JOIN)
    with pytest.raises(InvalidTransition, match="cannot join"):
        agent.take(AgentStep.JOIN, h.now)


def test_a_deadline_of_nobody_is_a_bug() -> None:
    engine = Engine(node=NODE, servers=[], trunks=[])
    engine.floor.timers.set(("nonsense", "x"), 1.0)
    with pytest.raises(AssertionError, match="nonsense"):
        engine.wake(2.0)


@pytest.mark.parametrize(
    "kind", ["ring", "detection", "abandon", "join", "hang-up", "message", "wrapup", "agent-phone"]
)
def test_a_deadline_of_somebody_who_has_gone_changes_nothing(kind: str) -> None:
    engine = Engine(node=NODE, servers=[], trunks=[])
    engine.floor.timers.set((kind, "gone"), 1.0)
    assert not engine.wake(2.0)


def test_a_server_whose_trunk_is_full_leaves_the_call_to_the_next() -> None:
    h = Harness(servers=("a", "b"), cps=1.0)
    h.start()
    for name in ("a", "b"):
        h.sign_in(f"{name}-one", server=ServerName(name))
        h.sign_in(f"{name}-two", server=ServerName(name))
    h.grant = False
    for call in h.calls():
        h.hang_up(call)
    h.advance(1.0)
    out = grant(h, 71, 72, 73, requested=3)
    assert sorted(c.server for c in h.of(cmd.Originate, out)) == ["a", "b"], "one call per second on each"
    assert [r.reason for r in h.of(cmd.ReturnPermit, out)] == ["no free line"]


def test_calls_decided_on_for_an_idle_agent_go_to_that_agents_server() -> None:
    h = Harness(servers=("a", "b"))
    h.grant = False
    h.start()
    for number in range(4):
        h.sign_in(f"busy{number}", server=ServerName("a"))
    h.sign_in("free", server=ServerName("b"))
    grant(h, 1, 2, 3, 4, 5, requested=5)
    on_a = [call.id for call in h.engine.floor.calls.values() if call.server == "a"]
    on_b = [call.id for call in h.engine.floor.calls.values() if call.server == "b"]
    assert (len(on_a), len(on_b)) == (4, 1)
    for call in on_a:
        h.answer(call)
        h.join(call)
    h.hang_up(on_b[0])
    out = grant(h, 6, requested=1)
    assert [c.server for c in h.of(cmd.Originate, out)] == ["b"], "all of the others talk"
