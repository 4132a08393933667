"""Telephony delivers late, twice and out of order: whatever comes, the engine keeps its promises.

- every call that started ends exactly once, with one FinishCall;
- an agent is given one call at a time, and only while idle;
- an agent is kept for one contact at a time, and every wish for a call is answered once;
- channels of trunks, unanswered counts and deadlines go back to nothing when all is over;
- the same events give the same outputs.
"""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from dialer.core import commands as cmd
from dialer.core import events as ev
from dialer.core import notices as ntc
from dialer.core.agent import AgentState
from dialer.core.campaign import Campaign, CampaignState, MachineDetection
from dialer.core.floor import Output
from dialer.core.hold import HoldState
from dialer.core.ids import AgentId, CallId, ContactId, MessageId
from dialer.core.promise import Due
from tests.engine_harness import CAMPAIGN, PBX, Harness

AGENTS = ("anna", "ben", "carla")

steps = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "ring", "answer", "machine", "human", "join", "hang_up", "fail", "message", "purge", "advance",
                "ready", "pause", "sign_out", "sign_in", "phone_gone", "phone_up", "agent_hangs_up", "dispose",
                "server_lost", "server_back", "order", "due", "ask", "hold_back", "answer_late",
                "page_left", "page_came", "stops",
            ]
        ),
        st.integers(min_value=0, max_value=7),
        st.floats(min_value=0.0, max_value=3.0),
    ),
    max_size=120,
)  # fmt: skip


def play(script: list[tuple[str, int, float]], *, detection: bool) -> Harness:
    campaign = Campaign(
        id=CAMPAIGN, method="ratio", ratio=2.0, wrapup_limit_s=5.0,
        machine_detection=MachineDetection() if detection else None,
    )  # fmt: skip
    h = Harness(campaign)
    h.start(*AGENTS)
    h.advance(0.1)
    seen: list[CallId] = []
    busy: dict[AgentId, CallId] = {}
    for what, which, seconds in script:
        seen += [c for c in h.calls() if c not in seen]
        call = seen[which % len(seen)] if seen else CallId("none")
        agent = AgentId(AGENTS[which % len(AGENTS)])
        before = {a.id: a.state for a in h.engine.floor.roster}
        outputs = perform(h, what, call, agent, which, seconds)
        check_reservations(h, outputs, before, busy)
    return h


def perform(h: Harness, what: str, call: CallId, agent: AgentId, which: int, seconds: float) -> list[Output]:
    at = h.now
    orders = (CampaignState.RUNNING, CampaignState.PAUSED, CampaignState.DRAINING, CampaignState.STOPPED)
    connected = h.engine.floor.calls.get(call)
    room = connected.agent if connected is not None and connected.agent is not None else agent
    event: ev.AnyEvent
    match what:
        case "advance":
            return h.advance(seconds)
        case "hold_back":
            h.grant = not h.grant
            return []
        case "answer_late":
            requests = h.of(cmd.RequestContact)
            if not requests:
                return []
            h.refused = {"crm-2": "hours"} if which % 2 else {}
            event = h.answer_to(requests[-1 - which % len(requests)], lent=which % 3 == 0)
        case "due":
            due = [
                Due(contact=ContactId(f"crm-{n}"), agent=whose, due_at=at - n, until_at=at + 60)
                for n, whose in enumerate((None, agent, AgentId(AGENTS[0]))[: which % 4])
            ]
            event = ev.ContactsDue(at=at, campaign=CAMPAIGN, due=tuple(due))
        case "ask":
            ref = MessageId(f"ask-{len(h.wishes)}")
            h.wishes.append(ref)
            event = ev.CallAsked(at=at, agent=agent, campaign=CAMPAIGN, contact=ContactId(f"crm-{which}"), ref=ref)
        case "ring":
            event = ev.CallRinging(at=at, call=call)
        case "answer":
            event = ev.CallAnswered(at=at, call=call)
        case "machine":
            event = ev.MachineDetected(at=at, call=call, verdict=ev.Verdict.MACHINE, cause="")
        case "human":
            event = ev.MachineDetected(at=at, call=call, verdict=ev.Verdict.HUMAN, cause="")
        case "join":
            event = ev.CallJoined(at=at, call=call, agent=room)
        case "hang_up":
            event = ev.CallHungUp(at=at, call=call, cause=16, sip_code=None, timed_out=False, by=ev.HungUpBy.CUSTOMER)
        case "fail":
            event = ev.OriginateFailed(at=at, call=call, reason="refused", stopping=which % 2 == 1)
        case "stops":
            event = ev.ServerTakesCalls(at=at, server=PBX, takes=which % 2 == 1)
        case "message":
            event = ev.MessagePlayed(at=at, call=call, complete=True)
        case "purge":
            event = ev.CallPurged(at=at, call=call, kind="removal", ref=MessageId("m"), reason="paid")
        case "ready":
            event = ev.AgentReadied(at=at, agent=agent)
        case "pause":
            event = ev.AgentPauseAsked(at=at, agent=agent, code="lunch")
        case "sign_out":
            event = ev.AgentSignedOut(at=at, agent=agent)
        case "sign_in":
            event = ev.AgentSignedIn(at=at, agent=agent, phone=agent, campaigns=(CAMPAIGN,))
        case "phone_gone":
            event = ev.AgentPhoneGone(at=at, agent=agent, reason="hangup")
        case "phone_up":
            event = ev.AgentPhoneUp(at=at, agent=agent)
        case "agent_hangs_up":
            event = ev.AgentHungUp(at=at, agent=agent)
        case "page_left":
            event = ev.AgentPageLeft(at=at, agent=agent)
        case "page_came":
            event = ev.AgentPageCame(at=at, agent=agent)
        case "dispose":
            event = ev.CallDisposed(at=at, call=call, code="SALE", agent=agent)
        case "server_lost":
            event = ev.ServerLost(at=at, server=PBX, reason="cut")
        case "server_back":
            alive = [c for i, c in enumerate(h.calls()) if (i + which) % 3]
            rooms = [a for i, a in enumerate(AGENTS) if (i + which) % 4]
            event = ev.ServerConnected(
                at=at, server=PBX, calls=frozenset(alive), agents=frozenset(AgentId(a) for a in rooms)
            )
        case _:
            event = ev.CampaignOrdered(at=at, campaign=CAMPAIGN, state=orders[which % 4])
    return h.feed(event)


def check_reservations(
    h: Harness, outputs: list[Output], before: dict[AgentId, AgentState], busy: dict[AgentId, CallId]
) -> None:
    for output in outputs:
        if isinstance(output, ntc.AgentChanged):
            before[output.agent] = output.state
            if output.state is not AgentState.RESERVED and output.state is not AgentState.TALKING:
                busy.pop(output.agent, None)
        if isinstance(output, cmd.ConnectCall):
            assert output.agent not in busy, "an agent was given a second call"
            busy[output.agent] = output.call
    owners = Counter(c.agent for c in h.engine.floor.calls.values() if c.agent is not None)
    talking = {a.id: a.call for a in h.engine.floor.roster if a.state in {AgentState.RESERVED, AgentState.TALKING}}
    for one in h.engine.floor.roster:
        if one.hold is not None:
            assert one.state is AgentState.RESERVED, f"{one.id} is kept for somebody and {one.state}"
            assert one.hold.state is not HoldState.OVER
            assert (one.hold.call is None) is (one.hold.state is HoldState.ASKING)
        elif one.id in talking:
            assert one.call is not None, f"{one.id} talks with nobody"
    kept = [one.hold.contact for one in h.engine.floor.roster if one.hold is not None and one.hold.ref is None]
    assert len(kept) == len(set(kept)), "two agents are kept for one contact that is due"
    calls = [one.hold.call for one in h.engine.floor.roster if one.hold is not None and one.hold.call is not None]
    assert len(calls) == len(set(calls))
    own = {call for call in talking.values() if call is not None and call in h.engine.floor.calls}
    assert len(own) <= sum(owners.values())


def finish(h: Harness) -> None:
    """Let everything come to its end."""
    h.grant = False
    h.feed(ev.CampaignOrdered(at=h.now, campaign=CAMPAIGN, state=CampaignState.STOPPED))
    h.feed(ev.ServerConnected(at=h.now, server=PBX, calls=frozenset(h.calls()), agents=frozenset()))
    for call in h.calls():
        h.hang_up(call)
    h.advance(200)


@settings(max_examples=150, deadline=None)
@given(script=steps, detection=st.booleans())
def test_every_started_call_ends_once_and_nothing_is_left(
    script: list[tuple[str, int, float]], detection: bool
) -> None:
    h = play(script, detection=detection)
    finish(h)
    started = [n.call for n in h.of(ntc.CallStarted)]
    assert len(started) == len(set(started))
    assert set(h.ended()) == set(started)
    finished = [c.attempt.call for c in h.of(cmd.FinishCall)]
    assert sorted(finished) == sorted(started)
    for notice in h.ended().values():
        assert notice.attempt.counts or (notice.attempt.ringing_at, notice.attempt.answered_at) == (None, None)
    floor = h.engine.floor
    assert not floor.calls
    assert set(floor.trunks.channels().values()) == {0}
    run = floor.campaigns[CAMPAIGN]
    assert (run.unanswered.total(), len(run.calls), len(run.waiting)) == (0, 0, 0)
    assert all(kind not in {"ring", "hold"} for kind, _ in floor.timers._at)
    assert all(agent.hold is None for agent in floor.roster)
    assert Counter(answer.ref for answer in h.of(ntc.CallRequestAnswered)) == Counter(h.wishes)


@settings(max_examples=60, deadline=None)
@given(script=steps)
def test_the_same_events_give_the_same_outputs(script: list[tuple[str, int, float]]) -> None:
    assert play(script, detection=True).out == play(script, detection=True).out


@settings(max_examples=60, deadline=None)
@given(script=steps)
def test_an_abandoned_person_waited_at_least_the_limit(
    script: list[tuple[str, int, float]],
) -> None:
    h = play(script, detection=False)
    answered = {n.call: n.at for n in h.of(ntc.CallWasAnswered)}
    for notice in h.of(ntc.CallWasAbandoned):
        assert notice.at - answered[notice.call] >= 2.0 - 1e-6
