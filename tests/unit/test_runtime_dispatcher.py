"""The shell around the engine: order, re-entrancy, timers, and what becomes of bugs."""

from __future__ import annotations

import asyncio

import pytest

from dialer.core import commands as cmd
from dialer.core import events as ev
from dialer.core import notices as ntc
from dialer.core.ids import AgentId, CallId, ContactId, MessageId, Phone
from dialer.core.permit import Permit
from dialer.queues.port import Finish, LiveState, MarkLive, Publish, Release
from dialer.switch.port import HandOver
from dialer.testing_switch import SwitchCommand
from tests.patience import PATIENCE_S
from tests.runtime_floor import CAMPAIGN, PBX, RuntimeFloor, eventually

CALL = CallId("n1-beef0001-0000000001")


def granted(floor: RuntimeFloor, *, valid_s: float = 1.0) -> ev.PermitsGranted:
    permit = Permit(
        call=CALL, campaign=CAMPAIGN, contact=ContactId("crm-1"), phone=Phone("+34600000001"), fencing_token=1,
        attempt_number=1, expires_at=floor.clock.now() + valid_s,
    )  # fmt: skip
    return ev.PermitsGranted(
        at=floor.clock.now(),
        campaign=CAMPAIGN,
        requested=1,
        permits=(permit,),
        refusals=ev.Refusals(),
        ready=1,
        later=0,
    )


@pytest.fixture
async def floor() -> RuntimeFloor:
    return RuntimeFloor()


async def test_originates_are_with_the_switch_and_the_call_has_started_before_feed_returns(floor: RuntimeFloor) -> None:
    floor.work("anna")
    floor.dispatcher.feed(granted(floor))
    assert [c.permit.call for c in floor.switch.of(cmd.Originate)] == [CALL]
    assert [type(n) for n in floor.notices.seen if isinstance(n, ntc.CallStarted)] == [ntc.CallStarted]
    assert next(w for w in floor.outbox._waiting if isinstance(w, MarkLive)).state is LiveState.DIALING
    floor.dispatcher.close()


@pytest.mark.parametrize("hand_over", [HandOver.NOT_CONNECTED, HandOver.BACKPRESSURE, HandOver.PERMIT_EXPIRED])
async def test_what_was_not_handed_over_goes_back_and_never_started(floor: RuntimeFloor, hand_over: HandOver) -> None:
    floor.work("anna")
    floor.switch.hand_over = hand_over
    floor.dispatcher.feed(granted(floor))
    assert [w.permit.call for w in floor.outbox._waiting if isinstance(w, Release)] == [CALL]
    assert not [n for n in floor.notices.seen if isinstance(n, ntc.CallStarted)]
    assert not floor.engine.floor.calls
    floor.dispatcher.close()


async def test_an_agent_whose_server_has_no_room_is_called_in_a_moment(floor: RuntimeFloor) -> None:
    floor.work()
    floor.switch.hand_over = HandOver.BACKPRESSURE
    at = floor.clock.now()
    floor.dispatcher.feed(ev.AgentSignedIn(at=at, agent=AgentId("anna"), phone="a1", campaigns=(CAMPAIGN,)))
    agent = floor.engine.floor.roster.get(AgentId("anna"))
    assert agent is not None
    assert agent.state == "lost"
    assert floor.engine.floor.timers.at(("agent-again", "anna")) == pytest.approx(at + 1.0)
    floor.switch.hand_over = HandOver.HANDED_OVER
    floor.dispatcher.feed(ev.AgentPhoneUp(at=at + 1.0, agent=AgentId("anna")))
    assert agent.state == "idle"
    floor.dispatcher.close()


async def test_an_expired_permit_rings_nobodys_phone(floor: RuntimeFloor) -> None:
    floor.work("anna")
    floor.dispatcher.feed(granted(floor, valid_s=-0.001))
    assert not floor.switch.of(cmd.Originate)
    assert [w for w in floor.outbox._waiting if isinstance(w, Release)]
    floor.dispatcher.close()


async def test_a_switch_that_answers_from_inside_the_hand_over_is_heard_after_the_start(floor: RuntimeFloor) -> None:
    floor.work("anna")

    def busy_at_once(command: SwitchCommand) -> None:
        if isinstance(command, cmd.Originate):
            floor.dispatcher.feed(ev.CallRinging(at=floor.clock.now(), call=command.permit.call))
            floor.hang_up(command.permit.call)

    floor.switch.on_command = busy_at_once
    floor.dispatcher.feed(granted(floor))
    kinds = [
        type(n).__name__ for n in floor.notices.seen if isinstance(n, ntc.CallStarted | ntc.CallRang | ntc.CallEnded)
    ]
    assert kinds == ["CallStarted", "CallRang", "CallEnded"]
    written = [type(w) for w in floor.outbox._waiting if isinstance(w, MarkLive | Finish)]
    assert written == [MarkLive, Finish]
    floor.dispatcher.close()


async def test_the_engine_never_takes_in_an_event_while_it_is_at_another(floor: RuntimeFloor) -> None:
    floor.work("anna")
    depth, deepest = 0, 0
    handle = floor.engine.handle

    def watched(event: ev.AnyEvent) -> list[object]:
        nonlocal depth, deepest
        depth += 1
        deepest = max(deepest, depth)
        try:
            return list(handle(event))
        finally:
            depth -= 1

    floor.engine.handle = watched  # type: ignore[method-assign, assignment]
    floor.switch.on_command = lambda _: floor.dispatcher.feed(ev.CallRinging(at=floor.clock.now(), call=CALL))
    floor.dispatcher.feed(granted(floor))
    assert deepest == 1
    assert floor.engine.floor.calls[CALL].ringing_at is not None
    floor.dispatcher.close()


async def test_every_command_reaches_its_door(floor: RuntimeFloor) -> None:
    floor.work("anna")
    feed, at = floor.dispatcher.feed, floor.clock.now()
    feed(granted(floor))
    feed(ev.CallAnswered(at=at, call=CALL))
    feed(ev.CallJoined(at=at, call=CALL, agent=AgentId("anna")))
    feed(ev.CallPurged(at=at, call=CALL, kind="removal", ref="m1", reason=""))  # type: ignore[arg-type]
    feed(ev.CallDisposed(at=at, call=CALL, code="SALE"))
    feed(ev.AgentHungUp(at=at, agent=AgentId("anna")))
    floor.hang_up(CALL)
    feed(ev.AgentSignedOut(at=at, agent=AgentId("anna")))
    assert [type(c) for c in floor.switch.commands] == [
        cmd.CallAgent, cmd.Originate, cmd.ConnectCall, cmd.HangUp, cmd.HangUpAgent,
    ]  # fmt: skip
    kinds = [w.result["type"] for w in floor.outbox._waiting if isinstance(w, Publish)]
    assert kinds == ["call.started", "call.answered", "call.connected", "removal.too_late", "call.disposed"]
    floor.dispatcher.close()


@pytest.mark.parametrize("answered", [False, True])
async def test_how_long_a_removal_took_is_told_when_the_hang_up_is_with_the_switch(
    floor: RuntimeFloor, answered: bool
) -> None:
    told: list[tuple[str, str, float]] = []
    hung_up: list[int] = []

    def applied(kind: str, effect: str, latency_s: float) -> None:
        told.append((kind, effect, latency_s))
        hung_up.append(len(floor.switch.of(cmd.HangUp)))

    floor.dispatcher._purge_applied = applied
    floor.work("anna")
    floor.dispatcher.feed(granted(floor))
    if answered:
        floor.dispatcher.feed(ev.CallAnswered(at=floor.clock.now(), call=CALL))
        floor.dispatcher.feed(ev.CallJoined(at=floor.clock.now(), call=CALL, agent=AgentId("anna")))
    purge = ev.CallPurged(
        at=floor.clock.now(), call=CALL, kind="removal", ref=MessageId("m1"), reason="", waited_s=0.25
    )
    floor.dispatcher.feed(purge)
    ((kind, effect, latency_s),) = told
    assert (kind, effect) == ("removal", "too_late" if answered else "cancelled")
    assert latency_s >= 0.25
    assert hung_up == [0 if answered else 1]
    floor.dispatcher.feed(ev.CallPurged(at=purge.at, call=CALL, kind="removal", ref=MessageId("m2"), reason=""))
    assert len(told) == 1, "when that one was written is not known"
    floor.dispatcher.close()


async def test_timers_are_armed_again_after_each_of_them(floor: RuntimeFloor) -> None:
    floor.work("anna")
    floor.dispatcher.feed(granted(floor))
    floor.dispatcher.feed(ev.AgentPauseAsked(at=floor.clock.now(), agent=AgentId("anna"), code="x"))
    answered_at = floor.clock.now()
    floor.dispatcher.feed(ev.CallAnswered(at=answered_at, call=CALL))
    await eventually(lambda: floor.switch.of(cmd.PlayMessage))
    assert floor.clock.now() - answered_at >= 2.0
    assert floor.dispatcher._timer is not None
    floor.dispatcher.close()
    assert floor.dispatcher._timer is None


async def test_a_full_line_of_requests_or_writes_is_answered_with_nothing(floor: RuntimeFloor) -> None:
    full = RuntimeFloor(soft_limit=0)
    full.work("anna")
    await eventually(lambda: any(isinstance(n, ntc.GateAnswered) for n in full.notices.seen))
    assert full.requests.empty()
    answer, *_ = [n for n in full.notices.seen if isinstance(n, ntc.GateAnswered)]
    assert (answer.granted, answer.refused) == (0, (("queues are behind", 1),))
    assert not full.dispatcher.awaits(CAMPAIGN)
    full.dispatcher.close()

    floor.work("anna")
    await eventually(lambda: floor.dispatcher.awaits(CAMPAIGN))
    assert floor.requests.qsize() == 1
    floor.dispatcher.close()


# ---- bugs


class Bug(Exception):
    pass


async def test_an_engines_bug_comes_out_of_feed_and_of_failure(floor: RuntimeFloor) -> None:
    def fail(_: ev.AnyEvent) -> list[object]:
        raise Bug("in an event")

    floor.engine.handle = fail  # type: ignore[method-assign, assignment]
    with pytest.raises(Bug):
        floor.dispatcher.feed(ev.ServerLost(at=0.0, server=PBX, reason=""))
    with pytest.raises(Bug, match="in an event"):
        await floor.dispatcher.failure()


async def test_an_engines_bug_in_a_timer_comes_out_of_failure(floor: RuntimeFloor) -> None:
    """The loop would only log it, and the node go on without deadlines."""
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    floor.work()
    floor.engine.floor.timers.set(("nonsense", "x"), floor.clock.now() + 0.01)
    floor.dispatcher.feed(ev.CallRinging(at=floor.clock.now(), call=CALL))
    async with asyncio.timeout(PATIENCE_S):
        with pytest.raises(AssertionError, match="nonsense"):
            await floor.dispatcher.failure()
    floor.dispatcher.close()


async def test_a_projections_bug_ends_it_too(floor: RuntimeFloor) -> None:
    def fail(_: ntc.AnyNotice) -> None:
        raise Bug("in a projection")

    floor.notices.apply = fail  # type: ignore[method-assign, assignment]
    with pytest.raises(Bug):
        floor.work("anna")
    with pytest.raises(Bug):
        await floor.dispatcher.failure()
