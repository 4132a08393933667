"""Calls, rooms and dialplan of the exchange on a virtual clock: what config/asterisk promises."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from dialer.simulation.channels import ChannelState
from dialer.simulation.dialplan import WAIT_LIMIT_S
from dialer.simulation.records import OriginateRequest
from dialer.simulation.world import Detection, Fate, Reaction
from tests.exchange_bench import EPOCH, NUMBER, Bench, person

CONFIG = Path(__file__).parents[2] / "config" / "asterisk"


def user_events(bench: Bench, call: str) -> list[str]:
    return [m.get("UserEvent", "") for m in bench.about(call) if m.event == "UserEvent"]


def connected(talk_s: float = 60.0) -> tuple[Bench, str, str]:
    """A customer in the room of an agent: bench, customer, agent's leg."""
    bench = Bench(person(talk_s=talk_s))
    leg = bench.phone()
    call = bench.call()
    bench.run(bench.now + 1.2)
    assert bench.redirect(call, "cadencia-connect", "anna")
    bench.run(bench.now + 0.1)
    assert bench.one(call, "ConfbridgeJoin").get("Conference") == "anna"
    return bench, call, leg


def test_the_customer_leaves_and_the_agent_stays() -> None:
    bench, call, leg = connected(talk_s=5.0)
    joined = bench.log_of(call).joined_at
    bench.run()
    record = bench.log_of(call)
    assert joined is not None
    assert record.ended_at is not None
    assert record.ended_at - joined == pytest.approx(5.0, abs=0.01)
    assert (record.cause, record.ended_by) == (16, "customer")
    assert bench.one(call, "HangupRequest").get("Cause") == "16"
    assert "Hangup" not in bench.names(leg)
    assert [member.uniqueid for member in bench.board.rooms["anna"].members] == [leg]


def test_the_agents_phone_goes_and_the_customer_with_it() -> None:
    bench, call, leg = connected()
    bench.hang_up(leg, by="agent")
    assert bench.one(leg, "HangupRequest").get("Cause") == "16"
    assert "HangupRequest" not in bench.names(call)
    assert bench.one(call, "Hangup").get("Cause") == "16"
    assert bench.log_of(call).ended_by == "agent"
    assert not bench.board.rooms
    assert not bench.board.channels


def test_hanging_up_the_customer_says_no_hangup_request() -> None:
    bench, call, leg = connected()
    bench.hang_up(call)
    assert "HangupRequest" not in bench.names(call)
    assert bench.log_of(call).ended_by == "dialer"
    assert bench.board.find(leg) is not None


def test_one_of_two_phones_in_a_room_keeps_the_customer() -> None:
    bench, call, leg = connected()
    second = bench.phone("agent02", "anna")
    bench.hang_up(leg, by="agent")
    assert bench.board.find(call) is not None
    bench.hang_up(second, by="agent")
    assert bench.board.find(call) is None


def test_a_room_without_an_agent_takes_nobody() -> None:
    bench = Bench(person(patience_s=4.0))
    call = bench.call()
    bench.run(1.2)
    bench.redirect(call, "cadencia-connect", "anna")
    bench.run()
    assert user_events(bench, call) == ["CadenciaNoAgent"]
    assert "ConfbridgeJoin" not in bench.names(call)
    assert bench.log_of(call).ended_by == "customer"


def test_patience_ends_while_waiting() -> None:
    bench = Bench(person(patience_s=1.5))
    call = bench.call()
    bench.run()
    answered, ended = bench.log_of(call).answered_at, bench.log_of(call).ended_at
    assert answered is not None
    assert ended is not None
    assert ended - answered == pytest.approx(1.5, abs=0.005)
    assert bench.one(call, "HangupRequest").get("Cause") == "16"


def test_the_silent_line_ends_after_ten_seconds() -> None:
    assert "S(10)" in (CONFIG / "extensions.conf").read_text(), "WAIT_LIMIT_S follows the dialplan"
    bench = Bench(person(patience_s=math.inf))
    call = bench.call()
    bench.run()
    assert user_events(bench, call) == ["CadenciaWaitExpired"]
    answered, ended = bench.log_of(call).answered_at, bench.log_of(call).ended_at
    assert answered is not None
    assert ended is not None
    assert ended - answered == pytest.approx(WAIT_LIMIT_S, abs=0.01)
    assert "HangupRequest" not in bench.names(call)


def test_the_message_is_played_and_the_call_ends() -> None:
    bench = Bench(person())
    call = bench.call()
    bench.run(1.5)
    bench.redirect(call, "cadencia-message", "cadencia-abandoned")
    bench.run()
    told = bench.one(call, "UserEvent")
    assert [(name, told.get(name)) for name in ("UserEvent", "Call", "Played", "Sound", "Default")] == [
        ("UserEvent", "CadenciaMessage"),
        ("Call", call),
        ("Played", "yes"),
        ("Sound", "cadencia-abandoned"),
        ("Default", "no"),
    ]
    assert bench.names(call)[-1] == "Hangup"
    assert bench.log_of(call).message_played


def test_laying_down_during_the_message_is_told() -> None:
    bench = Bench(person(patience_s=1.0))
    call = bench.call()
    bench.run(1.95)
    bench.redirect(call, "cadencia-message", "cadencia-abandoned")
    bench.run()
    assert bench.one(call, "UserEvent").get("Played") == "no"
    assert bench.names(call)[-2:] == ["UserEvent", "Hangup"]
    assert bench.log_of(call).ended_by == "customer"


def test_detection_tells_and_the_customer_waits() -> None:
    fate = replace(person(patience_s=5.0), detection=Detection(status="HUMAN", cause="HUMAN-300-300", after_s=0.8))
    bench = Bench(fate)
    call = bench.call(context="cadencia-amd")
    bench.run(1.5)
    assert user_events(bench, call) == []
    bench.run(2.5)
    assert user_events(bench, call) == ["CadenciaAmd"]
    channel = bench.board.find(call)
    assert channel is not None
    assert (channel.context, channel.application) == ("cadencia-wait", "BridgeWait")


def test_a_redirect_before_the_verdict_breaks_detection_off() -> None:
    bench = Bench(replace(person(), detection=Detection(after_s=1.5)))
    bench.phone()
    call = bench.call(context="cadencia-amd")
    bench.run(bench.now + 1.2)
    bench.redirect(call, "cadencia-connect", "anna")
    bench.run(bench.now + 5.0)
    assert user_events(bench, call) == []
    assert bench.one(call, "ConfbridgeJoin").get("Conference") == "anna"


def test_a_machine_stays_until_its_tape_ends() -> None:
    fate = Fate(reaction=Reaction.MACHINE, ring_s=0.5, patience_s=0.1, machine_s=6.0)
    bench = Bench(fate)
    call = bench.call()
    bench.run()
    record = bench.log_of(call)
    assert record.answered_at is not None
    assert record.ended_at is not None
    assert record.ended_at - record.answered_at == pytest.approx(6.0, abs=0.01)


@pytest.mark.parametrize("context", ["cadencia-agent", "cadencia-connect"])
@pytest.mark.parametrize("name", ["a.b", "x" * 65])
def test_bad_names_are_refused_as_the_dialplan_does(context: str, name: str) -> None:
    bench = Bench(person())
    call = bench.call()
    bench.run(1.2)
    assert bench.redirect(call, context, name)
    bench.run()
    refused = bench.one(call, "UserEvent")
    assert (refused.get("UserEvent"), refused.get("Where")) == ("CadenciaRefused", context)
    assert bench.one(call, "Hangup").get("Cause") == "21"


def test_nothing_is_redirected_before_the_answer() -> None:
    bench = Bench(person())
    call = bench.call()
    bench.run(0.5)
    assert not bench.redirect(call, "cadencia-connect", "anna")
    bench.run(1.2)
    channel = bench.board.find(call)
    assert channel is not None
    assert channel.state is ChannelState.UP


def test_an_unknown_endpoint_fails_without_a_channel() -> None:
    bench = Bench()
    bench.faults.dead_phones.add("agent99")
    bench.originate(
        OriginateRequest(
            channel="PJSIP/agent99",
            endpoint="agent99",
            number="agent99",
            is_agent=True,
            context="cadencia-agent",
            exten="anna",
            timeout_s=5.0,
            action_id="a-1",
            channel_id="uid-1",
        )
    )
    bench.run()
    (response,) = [message for _, _, message in bench.told]
    assert response.event == "OriginateResponse"
    found = [response.get(name) for name in ("Response", "Reason", "Channel", "Uniqueid", "ActionID")]
    assert found == ["Failure", "0", "PJSIP/agent99", "uid-1", "a-1"]
    assert bench.board.log[-1].refused


def test_another_technology_fails_without_a_channel() -> None:
    bench = Bench()
    request = OriginateRequest(
        channel="NOTECH/1000",
        endpoint="NOTECH/",
        number="1000",
        is_agent=True,
        context="cadencia-agent",
        exten="anna",
        timeout_s=5.0,
        action_id="a-1",
        channel_id="",
    )
    bench.originate(request)
    bench.run()
    (response,) = [message for _, _, message in bench.told]
    assert (response.get("Response"), response.get("Uniqueid")) == ("Failure", "<unknown>")


def test_declining_while_it_rings() -> None:
    bench = Bench(person())
    call = bench.call()
    bench.run(0.5)
    bench.hang_up(call, by="customer")
    assert bench.one(call, "Hangup").get("TechCause") == "603"
    assert bench.one(call, "OriginateResponse").get("Reason") == "0"


def test_a_channel_id_in_use_fails_with_the_uniqueid_of_the_live_call() -> None:
    bench = Bench(person())
    bench.call(call="twice")
    bench.run(0.5)
    bench.call(call="twice")
    bench.run(0.6)
    responses = [m for m in bench.about("twice") if m.event == "OriginateResponse"]
    assert [(m.get("Response"), m.get("Uniqueid")) for m in responses] == [("Failure", "twice")]
    bench.run(1.2)
    channel = bench.board.find("twice")
    assert channel is not None
    assert channel.state is ChannelState.UP
    assert [record.refused for record in bench.board.log] == ["", "ChannelId in use"]


def test_the_ring_time_out_is_ours() -> None:
    bench = Bench(person(ring_s=20.0))
    call = bench.call(timeout_s=5.0)
    bench.run()
    assert bench.now == pytest.approx(5.0, abs=0.001)
    assert bench.one(call, "OriginateResponse").get("Reason") == "3"
    assert bench.one(call, "Hangup").get("TechCause") == "480"


def test_a_silent_trunk_answers_nothing() -> None:
    bench = Bench(person())
    bench.faults.silent_trunks.add("*")
    call = bench.call(timeout_s=3.0)
    bench.run()
    assert "DialState" not in bench.names(call)
    assert bench.one(call, "OriginateResponse").get("Reason") == "3"


def test_attempts_at_a_number_are_counted() -> None:
    bench = Bench(seed=3)
    for _ in range(3):
        bench.call("34600000007")
        bench.run()
    assert [record.attempt for record in bench.board.log] == [1, 2, 3]
    fates = [bench.world.fate("34600000007", attempt, EPOCH) for attempt in (1, 2, 3)]
    assert [record.fate for record in bench.board.log] == fates


def test_a_restart_leaves_nothing_and_says_nothing() -> None:
    bench, call, _ = connected()
    bench.call("34600000001")
    said = len(bench.told)
    bench.board.clear()
    bench.run()
    assert len(bench.told) == said
    assert not bench.board.channels
    assert not bench.board.rooms
    assert bench.log_of(call).ended_by == "crash"


def test_devices_tell_their_changes_only() -> None:
    bench = Bench(person())
    for _ in range(3):
        bench.call()
    bench.run()
    states = [m.get("State") for _, _, m in bench.told if m.event == "DeviceStateChange"]
    assert all(a != b for a, b in pairwise(states))
    assert states[0] == "RINGING"
    assert states[-1] == "NOT_INUSE"


def test_muted_events_are_not_worded() -> None:
    bench = Bench(person())
    bench.board.mute(frozenset({"VarSet", "Newexten", "Newstate"}))
    call = bench.call()
    bench.run()
    assert {"VarSet", "Newexten", "Newstate"}.isdisjoint(bench.names(call))


def test_events_carry_the_clock() -> None:
    bench = Bench(person())
    bench.call()
    bench.run()
    for at, _, message in bench.told:
        assert float(message.get("Timestamp", "0")) == pytest.approx(EPOCH + at, abs=2e-6)


def test_the_log_is_bounded_and_says_what_happened() -> None:
    bench = Bench(person(talk_s=1.0))
    call = bench.call()
    bench.run()
    record = bench.log_of(call)
    assert (record.number, record.trunk, record.is_agent, record.call) == (NUMBER, "sipp", False, call)
    assert bench.board.log.maxlen is not None
