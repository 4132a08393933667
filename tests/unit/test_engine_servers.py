"""One campaign on several Asterisk servers: each is paced by itself, and the whole is shown as one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dialer.core import commands as cmd
from dialer.core import events as ev
from dialer.core import notices as ntc
from dialer.core.caller_ids import CallerId
from dialer.core.campaign import Campaign, CampaignState
from dialer.core.ids import AgentId, CallId, CampaignId, ContactId, Phone, ServerName, TrunkName
from dialer.core.outcome import Outcome
from dialer.core.pacers import history_weights
from dialer.core.retry import REFUSED_AGAIN_S
from dialer.core.trunks import TrunkLimits, Trunks
from dialer.core.whole_pace import together
from pacing import Decision
from pacing.legal_window import Held, LegalWindow
from tests.engine_harness import CAMPAIGN, NODE, Harness

A, B = ServerName("a"), ServerName("b")
SPRING = CampaignId("spring")


def floor(campaign: Campaign | None = None, **agents: int) -> Harness:
    """Servers a and b, with so many idle agents on each, of whom the gate has heard nothing yet."""
    h = Harness(campaign, servers=("a", "b"))
    h.grant = False
    h.start()
    for server, count in agents.items():
        for number in range(count):
            h.sign_in(f"{server}{number}", server=ServerName(server))
    return h


def granted(h: Harness, *numbers: int, requested: int) -> ev.PermitsGranted:
    return ev.PermitsGranted(
        at=h.now,
        campaign=CAMPAIGN,
        requested=requested,
        permits=tuple(h.permit(number) for number in numbers),
        refusals=ev.Refusals(),
        ready=100,
        later=0,
    )


def idle(h: Harness, campaign: CampaignId = CAMPAIGN) -> dict[str, object]:
    return {name: pacer.snapshot()["idle"] for name, pacer in h.engine.floor.campaigns[campaign].pacers.items()}


def asked(h: Harness) -> list[int]:
    """How many calls the gate is asked for now."""
    return [request.count for request in h.of(cmd.RequestPermits, h.advance(0.2))]


def last(h: Harness) -> Decision:
    return h.of(ntc.PaceDecided)[-1].decision


# ---- where calls go


def test_the_gate_is_asked_once_for_all_servers_and_each_gets_what_it_wanted() -> None:
    h = floor(a=3, b=1)
    assert asked(h) == [4]
    out = h.feed(granted(h, 11, 12, 13, 14, requested=4))
    assert sorted(c.server for c in h.of(cmd.Originate, out)) == ["a", "a", "a", "b"]


def test_of_fewer_contacts_than_wanted_each_server_gets_its_share() -> None:
    h = floor(a=3, b=3)
    assert asked(h) == [6]
    out = h.feed(granted(h, 11, 12, requested=6))
    assert sorted(c.server for c in h.of(cmd.Originate, out)) == ["a", "b"]


def test_no_call_is_placed_where_nobody_wants_one() -> None:
    """For what b has no trunk of its own is not dialed over that of a."""
    h = floor(a=2, b=1)
    trunk = TrunkLimits(server=A, name=TrunkName("out"), max_channels=9, max_calls_per_second=100.0)
    h.engine.floor.trunks = Trunks([trunk])
    assert asked(h) == [2]
    assert (last(h).dial, last(h).limit) == (2, "trunks")
    assert last(h).explanation == "2 more calls: no line is free for the other 1 on b"
    out = h.feed(granted(h, 11, 12, requested=2))
    assert [c.server for c in h.of(cmd.Originate, out)] == ["a", "a"]
    assert not h.of(cmd.RequestPermits, h.advance(5))
    assert last(h).explanation == "no call now: no line is free for the other 1 on b"


def test_what_the_trunks_of_the_one_server_that_wants_it_do_not_take_goes_back() -> None:
    h = floor(a=1)
    assert asked(h) == [1]
    h.sign_in("b0", server=B)
    trunk = TrunkLimits(server=B, name=TrunkName("out"), max_channels=9, max_calls_per_second=100.0)
    h.engine.floor.trunks = Trunks([trunk])
    out = h.feed(granted(h, 11, requested=1))
    assert [r.reason for r in h.of(cmd.ReturnPermit, out)] == ["no free line"]


def test_the_lines_of_a_campaign_are_those_on_all_its_servers() -> None:
    h = floor(Campaign(id=CAMPAIGN, method="progressive", max_lines=5), a=4, b=4)
    assert asked(h) == [5]
    assert (last(h).limit, last(h).dial) == ("max_lines", 5)
    assert last(h).explanation == "5 more calls: all of the 5 lines allowed would be in use"
    out = h.feed(granted(h, 11, 12, 13, 14, 15, requested=5))
    assert len(h.of(cmd.Originate, out)) == 5
    assert not h.of(cmd.RequestPermits, h.advance(5)), "they all ring"


# ---- agents and servers that come and go


def test_an_agent_who_signs_in_on_another_server_is_counted_on_there() -> None:
    h = floor(a=1, b=1)
    assert idle(h) == {"a": 1, "b": 1}
    h.feed(ev.AgentPhoneGone(at=h.now, agent=AgentId("a0"), reason="hangup"))
    assert idle(h) == {"a": 0, "b": 1}
    h.sign_in("a0", server=B)
    assert idle(h) == {"a": 0, "b": 2}


def test_the_end_of_a_shift_is_told_where_the_agent_is() -> None:
    h = floor(a=1, b=1)
    h.feed(ev.AgentPhoneGone(at=h.now, agent=AgentId("a0"), reason="hangup"))
    h.sign_in("a0", server=B, shift_ends_at=h.now + 5)
    h.advance(5)
    pacers = h.engine.floor.campaigns[CAMPAIGN].pacers
    assert (pacers[A].snapshot()["leaving"], pacers[B].snapshot()["leaving"]) == (0, 1)


def test_while_a_server_is_away_the_others_go_on_as_they_were() -> None:
    h = floor(a=2, b=2)
    h.feed(ev.ServerLost(at=h.now, server=A, reason="cut"))
    assert idle(h) == {"a": 0, "b": 2}
    assert asked(h) == [2]
    assert (last(h).idle, last(h).limit, last(h).explanation) == (
        2,
        "idle",
        "2 more calls: one call for each of 2 idle agents, 0 under way",
    )
    out = h.feed(granted(h, 11, 12, requested=2))
    assert [c.server for c in h.of(cmd.Originate, out)] == ["b", "b"]
    h.feed(ev.ServerConnected(at=h.now, server=A, calls=frozenset(), agents=frozenset({AgentId("a0"), AgentId("a1")})))
    assert idle(h) == {"a": 2, "b": 2}


def test_a_server_that_is_about_to_stop_is_offered_no_calls() -> None:
    h = floor(a=2, b=2)
    assert asked(h) == [4]
    h.feed(ev.ServerTakesCalls(at=h.now, server=A, takes=False))
    out = h.feed(granted(h, 11, 12, 13, 14, requested=4))
    assert [c.server for c in h.of(cmd.Originate, out)] == ["b", "b"]
    assert len(h.of(cmd.ReturnPermit, out)) == 2
    assert asked(h) == []
    assert last(h).explanation == "no call now: no line is free for the other 2 on a"
    assert idle(h)["a"] == 2
    h.feed(ev.ServerTakesCalls(at=h.now, server=A, takes=True))
    assert asked(h) == [2]
    out = h.feed(granted(h, 15, 16, requested=2))
    assert [c.server for c in h.of(cmd.Originate, out)] == ["a", "a"]


def test_a_server_that_has_stopped_takes_calls_when_it_is_back() -> None:
    h = floor(a=1)
    h.feed(ev.ServerTakesCalls(at=h.now, server=A, takes=False))
    assert asked(h) == []
    h.feed(ev.ServerLost(at=h.now, server=A, reason="closed"))
    h.feed(ev.ServerConnected(at=h.now, server=A, calls=frozenset(), agents=frozenset({AgentId("a0")})))
    assert asked(h) == [1]


def test_a_call_that_a_server_about_to_stop_refuses_has_not_been_an_attempt() -> None:
    """The only one that the campaign allows is still to be made, and neither trunk nor number is blamed."""
    shown = Phone("+34911222333")
    h = floor(Campaign(id=CAMPAIGN, max_attempts=1, caller_id=shown), a=6)
    assert asked(h) == [6]
    h.feed(granted(h, *range(11, 17), requested=6))
    calls = h.calls()
    h.feed(ev.ServerTakesCalls(at=h.now, server=A, takes=False))
    for call in calls:
        h.feed(ev.OriginateFailed(at=h.now, call=call, reason="Asterisk is shutting down", stopping=True))
    ends = h.ended()
    assert {(end.attempt.outcome, end.attempt.counts) for end in ends.values()} == {(Outcome.FAILED, False)}
    assert {end.retry_at for end in ends.values()} == {h.now + REFUSED_AGAIN_S}
    assert all(not finish.needs_agent for finish in h.of(cmd.FinishCall))
    assert h.engine.floor.caller_ids.standing((CallerId(number=shown),), h.now)[0].calls_today == 0
    h.feed(ev.ServerTakesCalls(at=h.now, server=A, takes=True))
    assert asked(h) == [6]


def test_a_call_that_is_refused_otherwise_is_an_attempt() -> None:
    h = floor(Campaign(id=CAMPAIGN, max_attempts=1), a=1)
    assert asked(h) == [1]
    h.feed(granted(h, 11, requested=1))
    (call,) = h.calls()
    h.feed(ev.OriginateFailed(at=h.now, call=call, reason="no such endpoint"))
    end = h.ended()[call]
    assert (end.attempt.counts, end.retry_at) == (True, None)


def test_calls_that_were_wanted_on_a_server_that_has_gone_meanwhile_are_made_by_nobody_else() -> None:
    h = floor(a=2, b=1)
    assert asked(h) == [3]
    h.feed(ev.ServerLost(at=h.now, server=A, reason="cut"))
    out = h.feed(granted(h, 11, 12, 13, requested=3))
    assert [c.server for c in h.of(cmd.Originate, out)] == ["b"]
    assert len(h.of(cmd.ReturnPermit, out)) == 2


def test_a_call_of_an_earlier_process_on_a_server_without_agents_ends_in_peace() -> None:
    h = floor(a=1)
    left = ev.CallRecovered(
        at=h.now,
        call=CallId(f"{NODE}-boot-7"),
        campaign=CAMPAIGN,
        contact=ContactId("crm-7"),
        phone=Phone("+34600000007"),
        server=B,
        fencing_token=7,
        attempt_number=1,
        agent=None,
        started_at=h.now - 5,
    )
    h.feed(left)
    h.feed(ev.ServerConnected(at=h.now, server=B, calls=frozenset(), agents=frozenset()))
    assert left.call in h.ended()
    assert set(h.engine.floor.campaigns[CAMPAIGN].pacers) == {A}


def test_an_empty_campaign_keeps_agents_on_the_server_of_its_last_call_alone() -> None:
    h = floor(a=1)
    h.feed(ev.CampaignConfigured(at=h.now, campaign=Campaign(id=SPRING, method="progressive")))
    h.feed(ev.CampaignOrdered(at=h.now, campaign=SPRING, state=CampaignState.RUNNING))
    assert asked(h) == [1]
    h.feed(granted(h, 11, requested=1))
    assert [call.server for call in h.engine.floor.calls.values()] == [A]
    h.sign_in("a1", server=A, campaigns=(CAMPAIGN, SPRING))
    h.sign_in("b1", server=B, campaigns=(CAMPAIGN, SPRING))
    # a0 talks with the one who is called; whoever else answers there needs a1, and nobody needs b1.
    h.feed(ev.AgentPauseAsked(at=h.now, agent=AgentId("a0"), code="x"))
    h.feed(ev.AgentReassigned(at=h.now, agent=AgentId("a0"), campaigns=()))
    h.feed(replace(granted(h, requested=1), ready=0))
    focus = {agent.id: agent.focus for agent in h.engine.floor.roster}
    assert focus == {"a0": None, "a1": CAMPAIGN, "b1": SPRING}


# ---- budgets


def history(answers: int, abandoned: int) -> tuple[LegalWindow, ...]:
    return (LegalWindow(name="30 days", length_s=30 * 86_400.0, held=(Held(answers=answers, abandoned=abandoned),)),)


def spent(h: Harness) -> dict[str, tuple[object, object]]:
    told = {server: pacer.snapshot() for server, pacer in h.engine.floor.campaigns[CAMPAIGN].pacers.items()}
    return {server: (its["answers"], its["abandoned"]) for server, its in told.items()}


def test_each_server_begins_with_its_part_of_what_the_windows_hold() -> None:
    h = Harness(Campaign(id=CAMPAIGN, method="predictive"), servers=("a", "b"))
    h.feed(
        ev.CampaignConfigured(
            at=h.now, campaign=h.campaign, windows=history(1_000, 21), answered=((A, 30), (B, 10), (ServerName("c"), 5))
        )
    )
    h.start()
    h.sign_in("a0", server=A)
    h.sign_in("b0", server=B)
    assert spent(h) == {"a": (750, 16), "b": (250, 5)}


def test_whoever_pays_is_whoever_was_answered_when_the_method_changes() -> None:
    h = Harness(Campaign(id=CAMPAIGN, method="progressive"), servers=("a", "b"))
    h.start()
    h.sign_in("a0", server=A)
    h.advance(0.2)
    h.answer(h.calls()[0])
    h.sign_in("b0", server=B)
    changed = Campaign(id=CAMPAIGN, method="predictive")
    h.feed(ev.CampaignConfigured(at=h.now, campaign=changed, windows=history(300, 3)))
    assert spent(h) == {"a": (301, 3), "b": (0, 0)}, "the one who waits now included"


@pytest.mark.parametrize(
    ("answered", "found"),
    [({}, {A: 1_000, B: 3_000}), ({ServerName("c"): 5}, {A: 1_000, B: 3_000}), ({B: 7}, {A: 0, B: 7})],
)
def test_without_answers_on_record_history_is_divided_as_agents_are(
    answered: dict[ServerName, int], found: dict[ServerName, int]
) -> None:
    assert history_weights({A: 1.0, B: 3.0}, answered) == found


def test_a_node_without_servers_says_that_nobody_is_there() -> None:
    h = Harness(Campaign(id=CAMPAIGN, method="predictive"), servers=())
    h.feed(ev.CampaignConfigured(at=h.now, campaign=h.campaign, windows=history(1_000, 21)))
    h.start()
    assert (last(h).dial, last(h).limit) == (0, "no_agents")


# ---- what is shown


def one(dial: int, *, idle: int = 1, **more: object) -> Decision:
    explanation = f"{dial} more calls: because"
    decision = Decision(dial=dial, limit="threshold", explanation=explanation, idle=idle, busy=3)
    return replace(decision, **more)  # type: ignore[arg-type]


def test_a_single_decision_is_what_it_is() -> None:
    decision = one(3, in_flight=90)
    assert together({A: decision}, max_lines=10) is decision


def test_several_are_added_up_and_the_slowest_says_why() -> None:
    fast = one(5, waiting=1, in_flight=2, budget_left=4.0, answer_rate=0.2, mean_talk_s=100.0)
    slow = one(1, idle=5, in_flight=3, budget_left=-1.5, answer_rate=0.5, expected_abandonment=0.02, limit="budget")
    whole = together({A: fast, B: slow}, max_lines=100)
    assert (whole.dial, whole.idle, whole.busy, whole.waiting, whole.in_flight) == (6, 6, 6, 1, 5)
    assert (whole.budget_left, whole.mean_talk_s, whole.expected_abandonment) == (2.5, 100.0, 0.02)
    assert whole.answer_rate == pytest.approx((4 * 0.2 + 8 * 0.5) / 12)
    assert (whole.limit, whole.mean_wrapup_s) == ("budget", None)
    assert whole.explanation == "6 more calls on 2 servers, fewest on b (1 more calls: because)"


def test_a_server_without_agents_has_no_say() -> None:
    empty = Decision(dial=0, limit="no_agents", explanation="no call now: no agent is on duty", in_flight=2)
    whole = together({A: empty, B: one(2)}, max_lines=100)
    assert (whole.limit, whole.explanation, whole.in_flight) == ("threshold", "2 more calls: because", 2)
    assert together({A: empty, B: empty}, max_lines=100).explanation == empty.explanation
