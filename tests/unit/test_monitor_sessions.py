"""Supervisors' sessions in the engine: the table, who may attend whom, and what happens to them from talk to talk."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialer.core import commands as cmd
from dialer.core import events as ev
from dialer.core import notices as ntc
from dialer.core.floor import Output
from dialer.core.ids import AgentId, CallId, MonitorId, ServerName
from dialer.core.monitor import TRANSITIONS, Monitor, MonitorMode, MonitorState, MonitorStep
from dialer.core.monitor_desk import MOST_AT_ONE_AGENT, PHONE_TIMEOUT_S
from dialer.errors import InvalidTransition
from tests.engine_harness import PBX, Harness

_L, _W, _B = MonitorMode.LISTEN, MonitorMode.WHISPER, MonitorMode.BARGE


def session_of(state: MonitorState) -> Monitor:
    return Monitor(
        id=MonitorId("m1"), agent=AgentId("ana"), extension="501", server=PBX, mode=_L, by="marta", state=state
    )


@pytest.mark.parametrize(("state", "step"), list(itertools.product(MonitorState, MonitorStep)))
def test_table(state: MonitorState, step: MonitorStep) -> None:
    session = session_of(state)
    expected = TRANSITIONS.get((state, step))
    assert session.can(step) is (expected is not None)
    if expected is None:
        with pytest.raises(InvalidTransition):
            session.take(step)
        assert session.state is state
    else:
        assert session.take(step) is state
        assert session.state is expected


class Floor(Harness):
    """An agent, and a supervisor who attends them."""

    def ask(
        self, mode: MonitorMode = _L, *, agent: str = "ana", extension: str = "501", id: str = "m1"
    ) -> list[Output]:
        return self.feed(
            ev.MonitorAsked(
                at=self.now,
                monitor=MonitorId(id),
                agent=AgentId(agent),
                extension=extension,
                mode=mode,
                by="marta",
            )
        )

    def change(self, mode: MonitorMode, *, agent: str = "ana", id: str = "m1") -> list[Output]:
        return self.feed(
            ev.MonitorChangeAsked(at=self.now, monitor=MonitorId(id), agent=AgentId(agent), mode=mode, by="marta")
        )

    def end(self, id: str = "m1") -> list[Output]:
        return self.feed(ev.MonitorEndAsked(at=self.now, monitor=MonitorId(id), by="marta"))

    def picks_up(self, id: str = "m1") -> list[Output]:
        return self.feed(ev.MonitorPhoneUp(at=self.now, monitor=MonitorId(id)))

    def lays_down(self, id: str = "m1") -> list[Output]:
        return self.feed(ev.MonitorPhoneGone(at=self.now, monitor=MonitorId(id), reason="the phone was hung up"))

    def talk(self) -> CallId:
        """A customer is put through to the agent."""
        self.advance(0.1)
        call = self.calls()[-1]
        self.answer(call)
        self.join(call)
        return call

    def told(self) -> ntc.MonitorChanged:
        return self.of(ntc.MonitorChanged)[-1]

    @property
    def sessions(self) -> list[Monitor]:
        return list(self.engine.monitors.sessions())


def floor_with_talk() -> tuple[Floor, CallId]:
    floor = Floor()
    floor.start("ana")
    return floor, floor.talk()


def test_the_phone_is_called_as_a_silent_listener_whatever_is_wanted() -> None:
    floor, call = floor_with_talk()
    out = floor.ask(_B)
    assert [type(one) for one in out if isinstance(one, cmd.AnyCommand)] == [cmd.CallMonitor]
    assert floor.told().state is MonitorState.CALLING
    [order] = floor.of(cmd.ChangeMonitor, floor.picks_up())
    assert order.mode is _B
    assert (floor.told().state, floor.told().mode, floor.told().call) == (MonitorState.ON, _B, call)


def test_a_listener_gets_no_second_order() -> None:
    floor, _ = floor_with_talk()
    floor.ask(_L)
    assert not floor.of(cmd.ChangeMonitor, floor.picks_up())


def test_nobody_is_barged_in_on_by_whoever_came_for_the_talk_before() -> None:
    floor, first = floor_with_talk()
    floor.ask(_B)
    floor.picks_up()
    out = floor.hang_up(first)
    [back] = floor.of(cmd.ChangeMonitor, out)
    assert back.mode is _L
    assert floor.told().reason == "the talk is over"
    floor.feed(ev.AgentReadied(at=floor.now, agent=AgentId("ana")))
    second = floor.talk()
    assert not [one for one in floor.of(cmd.ChangeMonitor) if one.mode is _B][1:]
    assert (floor.told().mode, floor.told().call) == (_L, second), "and it is on record whose talk is heard now"


def test_the_room_is_left_before_the_next_customer_is_sent_there() -> None:
    floor = Floor()
    floor.start("ana")
    first = floor.talk()
    floor.sign_in("bea")
    floor.advance(0.1)
    waiting = floor.calls()[-1]
    floor.feed(ev.AgentPhoneGone(at=floor.now, agent=AgentId("bea"), reason="x"))
    floor.answer(waiting)
    floor.ask(_B)
    floor.picks_up()
    floor.feed(ev.CallDisposed(at=floor.now, call=first, code="done", agent=AgentId("ana")))
    out = floor.hang_up(first)
    kinds = [type(one) for one in out if isinstance(one, cmd.ChangeMonitor | cmd.ConnectCall)]
    assert kinds == [cmd.ChangeMonitor, cmd.ConnectCall]


def test_who_wanted_to_barge_in_on_a_talk_that_is_over_only_listens() -> None:
    floor, call = floor_with_talk()
    floor.ask(_B)
    floor.hang_up(call)
    assert not floor.of(cmd.ChangeMonitor, floor.picks_up())
    assert floor.told().mode is _L


def test_a_whisper_goes_on_from_talk_to_talk() -> None:
    floor, call = floor_with_talk()
    floor.ask(_W)
    floor.picks_up()
    assert not floor.of(cmd.ChangeMonitor, floor.hang_up(call))
    assert floor.sessions[0].mode is _W


@pytest.mark.parametrize("leaves", ["phone", "sign-out", "server"])
def test_a_session_ends_with_the_agents_leg(leaves: str) -> None:
    floor = Floor()
    floor.start("ana")
    floor.feed(ev.AgentPauseAsked(at=floor.now, agent=AgentId("ana"), code="lunch"))
    floor.ask()
    floor.picks_up()
    if leaves == "phone":
        out = floor.feed(ev.AgentPhoneGone(at=floor.now, agent=AgentId("ana"), reason="x"))
    elif leaves == "sign-out":
        out = floor.feed(ev.AgentSignedOut(at=floor.now, agent=AgentId("ana")))
    else:
        floor.feed(ev.ServerLost(at=floor.now, server=PBX, reason="cut"))
        assert floor.sessions, "nobody knows yet"
        out = floor.feed(ev.ServerConnected(at=floor.now, server=PBX, calls=frozenset(), agents=frozenset()))
    assert floor.of(cmd.HangUpMonitor, out)
    assert not floor.sessions
    assert floor.told().state is MonitorState.OVER


def test_it_ends_when_it_is_ended_and_when_the_phone_is_laid_down() -> None:
    floor, _ = floor_with_talk()
    floor.ask()
    floor.picks_up()
    assert floor.of(cmd.HangUpMonitor, floor.end())
    assert not floor.sessions
    floor.lays_down()  # which follows, and is nobody's any more
    floor.ask()
    assert not floor.of(cmd.HangUpMonitor, floor.lays_down())
    assert not floor.sessions


def test_a_phone_of_which_nothing_is_heard_is_given_up() -> None:
    floor, _ = floor_with_talk()
    floor.ask()
    out = floor.advance(PHONE_TIMEOUT_S + 1)
    assert floor.of(cmd.HangUpMonitor, out)
    assert not floor.sessions


def test_who_may_not_be_attended_and_why() -> None:
    floor = Floor()
    floor.start("ana", "bea")
    refusal = floor.engine.monitors.refusal
    ana = AgentId("ana")
    assert "no phone up" in refusal(AgentId("nobody"), "501", _L)
    assert "phone of agent bea" in refusal(ana, "bea", _L)
    assert "not in a talk" in refusal(ana, "501", _B)
    assert refusal(ana, "501", _L) == refusal(ana, "501", _W) == ""
    for number in range(MOST_AT_ONE_AGENT):
        floor.ask(extension=f"60{number}", id=f"n{number}")
    assert f"attended by {MOST_AT_ONE_AGENT}" in refusal(ana, "501", _L)
    floor.feed(ev.ServerLost(at=floor.now, server=PBX, reason="cut"))
    assert "out of reach" in refusal(ana, "501", _L)


def test_two_do_not_barge_in_on_one_talk() -> None:
    floor, _ = floor_with_talk()
    floor.ask(_B)
    assert "already" in floor.engine.monitors.refusal(AgentId("ana"), "502", _B)
    assert floor.engine.monitors.refusal(AgentId("ana"), "501", _B) == "", "who has, has"


def test_a_supervisor_moves_on_to_another_agent_of_the_same_server_only() -> None:
    floor = Floor(servers=("pbx", "other"))
    floor.start()
    for agent, server in (("ana", "pbx"), ("bea", "pbx"), ("eva", "other")):
        floor.sign_in(agent, server=ServerName(server))
    floor.ask()
    floor.picks_up()
    [order] = floor.of(cmd.ChangeMonitor, floor.change(_L, agent="bea"))
    assert order.agent == "bea"
    assert "end that first" in floor.engine.monitors.refusal(AgentId("eva"), "501", _L)
    assert not floor.of(cmd.ChangeMonitor, floor.change(_L, agent="eva"))
    assert floor.sessions[0].agent == "bea"


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["ask", "change", "end", "up", "down", "talk", "over", "phone gone", "sign in"]),
        st.sampled_from(list(MonitorMode)),
        st.sampled_from(["m1", "m2"]),
    ),
    max_size=25,
)


@given(steps=STEPS)
def test_in_any_order_nobody_is_in_the_room_without_a_talk(steps: list[tuple[str, MonitorMode, str]]) -> None:
    floor = Floor()
    floor.start("ana")
    modes: dict[MonitorId, MonitorMode] = {}
    for what, mode, id in steps:
        match what:
            case "ask":
                floor.ask(mode, id=id, extension=f"ext-{id}")
            case "change":
                floor.change(mode, id=id)
            case "end":
                floor.end(id)
            case "up":
                floor.picks_up(id)
            case "down":
                floor.lays_down(id)
            case "talk":
                floor.feed(ev.AgentReadied(at=floor.now, agent=AgentId("ana")))
                if floor.agent_state("ana") == "idle":
                    floor.talk()
            case "over":
                for call in floor.calls():
                    floor.hang_up(call)
            case "phone gone":
                floor.feed(ev.AgentPhoneGone(at=floor.now, agent=AgentId("ana"), reason="x"))
            case _:
                floor.sign_in("ana")
        for order in floor.of(cmd.ChangeMonitor):
            modes[order.monitor] = order.mode
        for hung_up in floor.of(cmd.HangUpMonitor):
            modes.pop(hung_up.monitor, None)
        floor.out.clear()
        there = {one.id: one for one in floor.sessions}
        in_room = [id for id, at in modes.items() if at is _B and id in there]
        assert len(in_room) <= 1
        if floor.agent_state("ana") != "talking":
            assert not in_room
        # What was ordered last is what the engine believes.
        assert all(there[id].mode is modes[id] for id in in_room)
        if floor.agent_state("ana") in {"signed_out", "lost", "connecting"}:
            assert not there
