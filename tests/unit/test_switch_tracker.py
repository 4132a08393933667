"""From recorded sessions to the engine's events: every outcome, and what happens around losses of connection."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from dialer.ami.framing import Decoder
from dialer.ami.messages import Message
from dialer.core.events import (
    AgentPhoneGone,
    AgentPhoneUp,
    CallAnswered,
    CallHungUp,
    CallJoined,
    CallRinging,
    CustomerOptedOut,
    HungUpBy,
    MachineDetected,
    MessagePlayed,
    OriginateFailed,
    ServerConnected,
    SwitchEvent,
    Verdict,
)
from dialer.core.ids import AgentId, CallId, ServerName
from dialer.core.outcome import Outcome, unanswered_outcome
from dialer.switch import mapping
from dialer.switch.tracker import GHOST_S, GRACE_S, Tracker

DATA = Path(__file__).parent.parent / "data" / "ami"
TABLE: Mapping[str, Mapping[str, Any]] = {row["name"]: row for row in json.loads((DATA / "table.json").read_text())}
AGENT_LEG = "agent~agent01~r-1"


def recorded(name: str) -> list[Message]:
    """A session as our own would have been: ActionID and Uniqueid are one, the agent's leg has an id of ours."""
    data = (DATA / f"{name}.rx.txt").read_bytes()
    data = data.replace(f"ActionID: orig-{name}\r\n".encode(), f"ActionID: cust-{name}\r\n".encode())
    data = re.sub(rb"agentleg-[0-9]+", AGENT_LEG.encode(), data)
    return Decoder().receive_data(data)


def message(event: str, **headers: str) -> Message:
    return Message([("Event", event), *headers.items()])


def new_tracker(*calls: str) -> Tracker:
    tracker = Tracker(ServerName("pbx"))
    tracker.snapshot([], 0.0)
    for call in calls:
        tracker.originated(CallId(call))
    return tracker


def play(tracker: Tracker, messages: list[Message], *, cancel: str = "") -> list[SwitchEvent]:
    """All events, each message read one millisecond after the one before, then the grace."""
    events: list[SwitchEvent] = []
    now = 100.0
    for item in messages:
        now += 0.001
        events += tracker.handle(item, now)
    if cancel:
        tracker.hang_up_asked(cancel)
    events += tracker.handle_timer(now + GRACE_S + 0.001)
    assert tracker.next_deadline() is None
    return events


@pytest.mark.parametrize("name", sorted(set(TABLE) - {"02", "03"}))
def test_every_recorded_call(name: str) -> None:
    row = TABLE[name]
    call = CallId(row["ouid"])
    tracker = new_tracker(call)
    if name.startswith("4"):
        tracker.hang_up_asked(call)
    events = [event for event in play(tracker, recorded(name)) if getattr(event, "call", None) == call]
    assert len(tracker) == 0
    *before, last = events
    answered = row["dialend"] == "ANSWER"
    assert ["CallRinging"] * (row["ringstate"] is not None) + ["CallAnswered"] * answered == [
        type(event).__name__ for event in before if isinstance(event, CallRinging | CallAnswered)
    ]
    assert isinstance(last, CallHungUp)
    assert not any(isinstance(event, CallHungUp) for event in before)
    assert int(row["cause"]) == last.cause
    assert (int(row["tech"]) if row["tech"] else None) == last.sip_code
    assert (row["reason"] == "3") == last.timed_out
    assert [event.at for event in events] == sorted(event.at for event in events)


@pytest.mark.parametrize(
    ("name", "outcome"),
    [
        ("10-busy", Outcome.BUSY),
        ("11-noanswer-timeout", Outcome.NO_ANSWER),
        ("12-unallocated-404", Outcome.INVALID),
        ("13-congestion-503", Outcome.CONGESTION),
        ("14-decline-603", Outcome.REJECTED),
        ("15-unavailable-480", Outcome.NO_ANSWER),
        ("17-carrier-never-replies", Outcome.CONGESTION),
        ("18-trunk-port-closed", Outcome.CONGESTION),
        ("40-cancel-while-ringing", Outcome.CANCELLED),
        ("42-cancel-by-uniqueid", Outcome.CANCELLED),
        ("43-cancel-before-100-trying", Outcome.CANCELLED),
        ("80-local-channel-busy", Outcome.BUSY),
    ],
)
def test_what_the_engine_makes_of_calls_that_nobody_answered(name: str, outcome: Outcome) -> None:
    call = f"cust-{name}"
    tracker = new_tracker(call)
    if name.startswith("4"):
        tracker.hang_up_asked(call)
    events = play(tracker, recorded(name))
    (end,) = [event for event in events if isinstance(event, CallHungUp)]
    assert end.by is (HungUpBy.DIALER if name.startswith("4") else HungUpBy.NETWORK)
    assert outcome is unanswered_outcome(
        cause=end.cause,
        sip_code=end.sip_code,
        timed_out=end.timed_out,
        rang=any(isinstance(event, CallRinging) for event in events),
        cancelled=end.by is HungUpBy.DIALER,
    )


@pytest.mark.parametrize(
    ("name", "by"),
    [
        ("01-human-conf-agent-hangs-up", HungUpBy.AGENT),
        ("05-customer-hangs-up-first-conf", HungUpBy.CUSTOMER),
        ("24-lobby-then-redirect-to-conf", HungUpBy.AGENT),
    ],
)
def test_who_joined_whom_and_who_hung_up(name: str, by: HungUpBy) -> None:
    tracker = new_tracker(f"cust-{name}")
    tracker.agent_called(AgentId("agent01"), AGENT_LEG)
    events = play(tracker, recorded(name))
    (joined,) = [event for event in events if isinstance(event, CallJoined)]
    assert joined.agent == "agent01"
    (end,) = [event for event in events if isinstance(event, CallHungUp)]
    if name.startswith("24"):
        assert end.by in {HungUpBy.AGENT, HungUpBy.CUSTOMER}
    else:
        assert end.by is by
    answered = next(event for event in events if isinstance(event, CallAnswered))
    assert answered.at <= joined.at <= end.at


def test_requests_that_asterisk_could_not_carry_out_never_rang() -> None:
    tracker = new_tracker(*(f"bad-{number}" for number in range(10)))
    events: list[SwitchEvent] = []
    now = 0.0
    for item in recorded("50-originate-bad-channel"):
        now += 1.0
        if item.response == "Error":
            events += tracker.refused(item.action_id or "", item.get("Message", ""), now)
        # Recorded with a Uniqueid other than the ActionID; ours are one.
        pairs = [(key, value.replace("bad-uid-", "bad-")) for key, value in item.pairs]
        events += tracker.handle(Message(pairs), now)
        events += tracker.handle_timer(now + 0.9)
    failed = {event.call: event.reason for event in events if isinstance(event, OriginateFailed)}
    assert {f"bad-{number}" for number in (0, 1, 2, 3, 4, 5, 6, 9)} == set(failed)
    assert failed[CallId("bad-4")] == "Extension does not exist."
    assert "endpoint" in failed[CallId("bad-0")]
    assert {"bad-7", "bad-8"} == {event.call for event in events if isinstance(event, CallHungUp)}
    assert len(tracker) == 0


def test_a_failure_under_another_calls_uniqueid_leaves_that_call_alone() -> None:
    tracker = new_tracker("dup-1", "dup-b")
    messages = [
        Message([(k, "dup-1" if (k, v) == ("ActionID", "dup-a") else v) for k, v in item.pairs])
        for item in recorded("51-originate-duplicate-channelid")
    ]
    events: list[SwitchEvent] = []
    now = 0.0
    for item in messages:
        now += 1.0
        events += tracker.handle(item, now)
        events += tracker.handle_timer(now + 0.9)
    assert [(type(event).__name__, event.call) for event in events if isinstance(event, OriginateFailed)] == [
        ("OriginateFailed", "dup-b")
    ]
    assert [type(event).__name__ for event in events if getattr(event, "call", "") == "dup-1"] == [
        "CallRinging",
        "CallAnswered",
        "CallHungUp",
    ]


# ---- the dialplan's own events


def test_verdicts_of_machine_detection() -> None:
    words = {"HUMAN": Verdict.HUMAN, "MACHINE": Verdict.MACHINE, "NOTSURE": Verdict.UNSURE}
    for word, verdict in words.items():
        tracker = new_tracker("c-1")
        item = message("UserEvent", UserEvent="CadenciaAmd", Uniqueid="c-1", Call="c-1", Status=word, Cause="X-1-2")
        answered, detected = tracker.handle(item, 5.0)
        assert answered == CallAnswered(at=5.0, call=CallId("c-1"))
        assert detected == MachineDetected(at=5.0, call=CallId("c-1"), verdict=verdict, cause="X-1-2")
    item = message("UserEvent", UserEvent="CadenciaAmd", Call="c-1", Status="HANGUP")
    assert new_tracker("c-1").handle(item, 5.0) == []


def test_messages_and_foreign_user_events() -> None:
    tracker = new_tracker("c-1")
    for played, complete in (("yes", True), ("no", False), ("", False)):
        item = message("UserEvent", UserEvent="CadenciaMessage", Call="c-1", Played=played)
        assert tracker.handle(item, 5.0) == [MessagePlayed(at=5.0, call=CallId("c-1"), complete=complete)]
    assert tracker.handle(message("UserEvent", UserEvent="CadenciaMessage", Call="c-2", Played="yes"), 5.0) == []
    assert tracker.handle(message("UserEvent", UserEvent="Other", Call="c-1"), 5.0) == []
    assert tracker.handle(message("UserEvent", UserEvent="CadenciaWaitExpired", Call="c-1"), 5.0) == []
    assert tracker.handle(message("PeerStatus"), 5.0) == []


def test_the_key_is_told_with_its_digit() -> None:
    tracker = new_tracker("c-1")
    item = message("UserEvent", UserEvent="CadenciaOptOut", Call="c-1", Key="9")
    assert tracker.handle(item, 5.0) == [CustomerOptedOut(at=5.0, call=CallId("c-1"), key="9")]
    for key in ("", "99", "#", "x", "\u0669"):
        assert tracker.handle(message("UserEvent", UserEvent="CadenciaOptOut", Call="c-1", Key=key), 5.0) == []
    assert tracker.handle(message("UserEvent", UserEvent="CadenciaOptOut", Call="c-2", Key="9"), 5.0) == []
    assert tracker.handle(message("UserEvent", UserEvent="CadenciaOptOutExpired", Call="c-1"), 5.0) == []


def test_early_media_and_then_ringing_are_two_things() -> None:
    tracker, call = new_tracker("c-1"), CallId("c-1")
    progress = message("DialState", DestUniqueid="c-1", DialStatus="PROGRESS")
    ringing = message("Newstate", Uniqueid="c-1", ChannelStateDesc="Ringing")
    assert tracker.handle(progress, 1.0) == [CallRinging(at=1.0, call=call, alerting=False)]
    assert tracker.handle(progress, 2.0) == []
    assert tracker.handle(ringing, 3.0) == [CallRinging(at=3.0, call=call)]
    assert tracker.handle(ringing, 4.0) == []
    assert tracker.handle(progress, 5.0) == []


def test_a_phone_found_ringing_after_a_loss_is_told_once() -> None:
    tracker, call = new_tracker("c-1"), CallId("c-1")
    row = message("CoreShowChannel", Uniqueid="c-1", Channel="PJSIP/t-1", ChannelStateDesc="Ringing")
    _, ringing = tracker.snapshot([row], 7.0)
    assert ringing == CallRinging(at=7.0, call=call)
    assert len(tracker.snapshot([row], 9.0)) == 1
    stranger = message("CoreShowChannel", Uniqueid="c-9", Channel="PJSIP/t-9", ChannelStateDesc="Ringing")
    assert len(tracker.snapshot([stranger], 9.5)) == 1


# ---- agents


def phone_up(tracker: Tracker, agent: str = "a1", leg: str = "agent~a1~r-1") -> None:
    tracker.agent_called(AgentId(agent), leg)
    join = message("ConfbridgeJoin", Uniqueid=leg, Conference=agent)
    assert tracker.handle(join, 1.0) == [AgentPhoneUp(at=1.0, agent=AgentId(agent))]
    assert tracker.handle(join, 1.0) == []


def test_a_phone_that_goes_is_told_once_with_the_reason() -> None:
    tracker = new_tracker()
    phone_up(tracker)
    assert tracker.leg_of(AgentId("a1")) == "agent~a1~r-1"
    hangup = message("Hangup", Uniqueid="agent~a1~r-1", Cause="16")
    (gone,) = tracker.handle(hangup, 2.0)
    assert gone == AgentPhoneGone(
        at=2.0, agent=AgentId("a1"), reason="the phone was hung up", code="agent_phone_laid_down"
    )
    assert tracker.handle(hangup, 2.0) == []
    assert tracker.leg_of(AgentId("a1")) is None


def test_phones_that_do_not_come_up() -> None:
    tracker = new_tracker()
    tracker.agent_called(AgentId("a1"), "agent~a1~r-1")
    failure = message("OriginateResponse", ActionID="agent~a1~r-1", Response="Failure", Reason="0")
    assert tracker.handle(failure, 1.0) == []
    (gone,) = tracker.handle_timer(1.0 + GRACE_S)
    assert isinstance(gone, AgentPhoneGone)
    assert "does the phone register" in gone.reason
    tracker.agent_called(AgentId("a1"), "agent~a1~r-2")
    tracker.handle(message("Newchannel", Uniqueid="agent~a1~r-2"), 2.0)
    tracker.handle(message("OriginateResponse", ActionID="agent~a1~r-2", Response="Failure", Reason="0"), 2.0)
    hangup = message("Hangup", Uniqueid="agent~a1~r-2", Cause="17", **{"Cause-txt": "User busy"})
    (gone,) = tracker.handle(hangup, 2.0)
    assert isinstance(gone, AgentPhoneGone)
    assert gone.reason == "the phone did not answer (User busy)"


def test_the_end_of_a_leg_that_was_replaced_is_nobodys_business() -> None:
    tracker = new_tracker()
    phone_up(tracker)
    tracker.agent_called(AgentId("a1"), "agent~a1~r-2")
    assert tracker.handle(message("Hangup", Uniqueid="agent~a1~r-1", Cause="16"), 2.0) == []
    assert tracker.leg_of(AgentId("a1")) == "agent~a1~r-2"


def replaced(tracker: Tracker) -> None:
    """A1 in a talk, whose phone is called once more."""
    phone_up(tracker)
    tracker.handle(message("ConfbridgeJoin", Uniqueid="c-1", Conference="a1"), 1.0)
    tracker.agent_called(AgentId("a1"), "agent~a1~r-2")
    assert tracker.legs_of(AgentId("a1")) == ["agent~a1~r-1", "agent~a1~r-2"]
    assert tracker.take_hang_ups() == []


def test_the_leg_before_is_hung_up_when_the_next_is_in_the_room_and_nobody_is_put_out_by_that() -> None:
    tracker = new_tracker("c-1")
    replaced(tracker)
    join = message("ConfbridgeJoin", Uniqueid="agent~a1~r-2", Conference="a1")
    assert tracker.handle(join, 2.0) == [AgentPhoneUp(at=2.0, agent=AgentId("a1"))]
    assert tracker.take_hang_ups() == ["agent~a1~r-1"]
    assert tracker.legs_of(AgentId("a1")) == ["agent~a1~r-2"]
    for event in ("HangupRequest", "Hangup"):
        assert tracker.handle(message(event, Uniqueid="agent~a1~r-1", Cause="16"), 2.0) == []
    # it is the customer who ends the talk, later
    tracker.handle(message("HangupRequest", Uniqueid="c-1", Cause="16"), 3.0)
    (ended,) = tracker.handle(message("Hangup", Uniqueid="c-1", Cause="16"), 3.0)
    assert isinstance(ended, CallHungUp)
    assert ended.by is HungUpBy.CUSTOMER


def test_a_next_leg_that_does_not_come_up_takes_the_one_before_with_it() -> None:
    tracker = new_tracker("c-1")
    replaced(tracker)
    tracker.handle(message("Newchannel", Uniqueid="agent~a1~r-2"), 2.0)
    tracker.handle(message("OriginateResponse", ActionID="agent~a1~r-2", Response="Failure", Reason="0"), 2.0)
    (gone,) = tracker.handle(message("Hangup", Uniqueid="agent~a1~r-2", Cause="18"), 2.0)
    assert isinstance(gone, AgentPhoneGone)
    assert tracker.take_hang_ups() == ["agent~a1~r-1"]
    assert tracker.legs_of(AgentId("a1")) == []
    # put out of the room with it
    (ended,) = tracker.handle(message("Hangup", Uniqueid="c-1", Cause="16"), 3.0)
    assert isinstance(ended, CallHungUp)
    assert ended.by is HungUpBy.AGENT


def test_a_room_without_its_agent() -> None:
    tracker = new_tracker("c-1")
    phone_up(tracker)
    item = message("UserEvent", UserEvent="CadenciaNoAgent", Call="c-1", Room="a1")
    assert tracker.handle(item, 2.0) == [
        AgentPhoneGone(
            at=2.0, agent=AgentId("a1"), reason="the phone was not in its room", code="agent_phone_not_in_room"
        )
    ]
    assert tracker.take_hang_ups() == ["agent~a1~r-1"]
    assert tracker.handle(item, 2.0) == []


def test_a_customer_who_is_put_out_by_the_agents_end() -> None:
    tracker = new_tracker("c-1")
    phone_up(tracker)
    tracker.handle(message("ConfbridgeJoin", Uniqueid="c-1", Conference="a1"), 2.0)
    tracker.handle(message("ConfbridgeLeave", Uniqueid="c-1", Conference="a1"), 3.0)
    tracker.handle(message("Hangup", Uniqueid="agent~a1~r-1", Cause="16"), 3.0)
    (end,) = tracker.handle(message("Hangup", Uniqueid="c-1", Cause="16"), 3.1)
    assert isinstance(end, CallHungUp)
    assert end.by is HungUpBy.AGENT


# ---- hang-ups that come too early, snapshots, ghosts


def test_a_hang_up_before_the_channel_exists_is_asked_for_again() -> None:
    tracker = new_tracker("c-1")
    tracker.hang_up_asked("c-1")
    assert tracker.take_hang_ups() == []
    tracker.handle(message("Newchannel", Uniqueid="c-1", Channel="PJSIP/t-1"), 1.0)
    assert tracker.take_hang_ups() == ["c-1"]
    assert tracker.take_hang_ups() == []
    assert tracker.channel("c-1") == "PJSIP/t-1"
    assert tracker.channel("c-2") == "c-2"


THEIRS = "agent~a1~other-1"


def joined_by_another(tracker: Tracker) -> None:
    """Another process has called an agent's phone into their room."""
    headers = {"Uniqueid": THEIRS, "Conference": "a1", "Channel": "PJSIP/101-0000000a"}
    assert tracker.handle(message("ConfbridgeJoin", **headers), 1.0) == []


def test_a_phone_that_another_process_called_into_its_room_is_taken_over() -> None:
    tracker = new_tracker()
    joined_by_another(tracker)
    assert tracker.adopt(AgentId("a2"), "PJSIP/101", 2.0) == []
    assert tracker.adopt(AgentId("a1"), "PJSIP/101", 2.0) == [AgentPhoneUp(at=2.0, agent=AgentId("a1"))]
    assert tracker.leg_of(AgentId("a1")) == THEIRS
    assert tracker.channel(THEIRS) == "PJSIP/101-0000000a"
    assert tracker.adopt(AgentId("a1"), "PJSIP/101", 2.0) == [], "it is ours"
    (gone,) = tracker.handle(message("Hangup", Uniqueid=THEIRS, Cause="16"), 3.0)
    assert gone == AgentPhoneGone(
        at=3.0, agent=AgentId("a1"), reason="the phone was hung up", code="agent_phone_laid_down"
    )
    assert len(tracker) == 0


def test_a_phone_at_the_desk_that_an_agent_has_left_is_hung_up() -> None:
    tracker = new_tracker()
    joined_by_another(tracker)
    assert tracker.adopt(AgentId("a1"), "PJSIP/102", 2.0) == []
    assert tracker.take_hang_ups() == [THEIRS]
    assert tracker.leg_of(AgentId("a1")) is None


@pytest.mark.parametrize("event", ["ConfbridgeLeave", "Hangup", "snapshot", "ours"])
def test_a_phone_that_is_no_more_in_its_room_is_not_taken_over(event: str) -> None:
    tracker = new_tracker()
    joined_by_another(tracker)
    match event:
        case "snapshot":
            tracker.snapshot([], 2.0)
        case "ours":
            phone_up(tracker)
        case _:
            tracker.handle(message(event, Uniqueid="agent~a1~other-2", Conference="a1"), 2.0)
            tracker.handle(message(event, Uniqueid=THEIRS, Conference="a1"), 2.0)
    assert tracker.adopt(AgentId("a1"), "PJSIP/101", 3.0) == []
    assert tracker.take_hang_ups() == []


@pytest.mark.parametrize(("uniqueid", "room"), [("agent~a1~x-1", "a2"), ("n2-1", "a1"), ("agent~a1~x-1", "no room")])
def test_who_is_in_a_room_that_is_not_theirs_is_no_agents_phone(uniqueid: str, room: str) -> None:
    tracker = new_tracker()
    tracker.handle(message("ConfbridgeJoin", Uniqueid=uniqueid, Conference=room, Channel="PJSIP/101-1"), 1.0)
    assert tracker.adopt(AgentId("a1"), "PJSIP/101", 2.0) == []


def row(uniqueid: str, **headers: str) -> Message:
    return message("CoreShowChannel", Uniqueid=uniqueid, Channel=f"PJSIP/{uniqueid}", **headers)


def test_a_snapshot_says_what_is_ours() -> None:
    tracker = new_tracker()
    (connected,) = tracker.snapshot(
        [
            row("n-1", ChannelStateDesc="Ringing"),
            row("n-2", ChannelStateDesc="Up", Application="BridgeWait"),
            row("agent~a1~x-1", ChannelStateDesc="Up", Application="ConfBridge", Exten="a1"),
            row("agent~a1~x-2", ChannelStateDesc="Up", Application="ConfBridge", Exten="a1"),
            row("agent~a2~x-3", ChannelStateDesc="Ringing"),
            row("pbx-1795304283.65", ChannelStateDesc="Up"),
            row("1795304283.65", ChannelStateDesc="Up"),
            row("n-3;2", ChannelStateDesc="Up"),
        ],
        7.0,
    )
    assert connected == ServerConnected(
        at=7.0,
        server=ServerName("pbx"),
        calls=frozenset({CallId("n-1"), CallId("n-2")}),
        agents=frozenset({AgentId("a1")}),
    )
    assert tracker.take_hang_ups() == ["agent~a1~x-2", "agent~a2~x-3"]
    assert tracker.leg_of(AgentId("a1")) == "agent~a1~x-1"
    # What was found is followed from now on.
    (answered,) = tracker.handle(message("Newstate", Uniqueid="n-1", ChannelStateDesc="Up"), 8.0)
    assert answered == CallAnswered(at=8.0, call=CallId("n-1"))
    (end,) = tracker.handle(message("Hangup", Uniqueid="n-2", Cause="16"), 8.0)
    assert isinstance(end, CallHungUp)


def test_a_phone_on_its_way_to_its_room_is_left_to_the_node_that_called_it() -> None:
    ours, theirs = mapping.runs_of("node1"), mapping.runs_of("node2")
    tracker = Tracker(ServerName("pbx"), ours)
    in_room = {"ChannelStateDesc": "Up", "Application": "ConfBridge"}
    half_way = f"agent~a4~{theirs}00-1"
    rows = [
        row(f"agent~a1~{ours}00-1", ChannelStateDesc="Ringing"),  # of an earlier run of this node
        row(f"agent~a2~{ours}01-1", Exten="a2", **in_room),
        row(f"agent~a2~{ours}01-2", Exten="a2", **in_room),
        row(f"agent~a3~{theirs}00-1", Exten="a3", **in_room),
        row(f"agent~a3~{theirs}00-2", ChannelStateDesc="Ringing"),  # to replace the one in the room
        row(half_way, ChannelStateDesc="Up", Application="Answer"),
    ]
    (connected,) = tracker.snapshot(rows, 7.0)
    assert isinstance(connected, ServerConnected)
    assert connected.agents == {"a2", "a3"}
    assert tracker.take_hang_ups() == [f"agent~a1~{ours}00-1", f"agent~a2~{ours}01-2"]
    # Should that node die, whoever signs in here is not called a second time.
    tracker.handle(message("ConfbridgeJoin", Uniqueid=half_way, Conference="a4", Channel="PJSIP/104-0000000b"), 8.0)
    assert tracker.adopt(AgentId("a4"), "PJSIP/104", 9.0) == [AgentPhoneUp(at=9.0, agent=AgentId("a4"))]


def test_what_happened_while_nobody_listened() -> None:
    tracker = new_tracker("n-1", "n-2", "n-3")
    events = tracker.snapshot(
        [
            row("n-1", ChannelStateDesc="Up", Application="BridgeWait", Context="cadencia-wait", Exten="s"),
            row("n-2", ChannelStateDesc="Up", Application="ConfBridge", Context="cadencia-connect", Exten="a1"),
        ],
        9.0,
    )
    assert events[1:] == [
        CallAnswered(at=9.0, call=CallId("n-1")),
        CallAnswered(at=9.0, call=CallId("n-2")),
        CallJoined(at=9.0, call=CallId("n-2"), agent=AgentId("a1")),
    ]
    assert isinstance(events[0], ServerConnected)
    assert events[0].calls == {"n-1", "n-2"}


def test_a_call_that_appears_after_it_was_given_up_is_hung_up() -> None:
    tracker = new_tracker("n-1", "n-2")
    tracker.snapshot([], 9.0)
    assert tracker.handle(message("Newchannel", Uniqueid="n-1"), 10.0) == []
    assert tracker.take_hang_ups() == ["n-1"]
    tracker.handle(message("Newchannel", Uniqueid="n-2"), 9.0 + GHOST_S + 1.0)
    assert tracker.take_hang_ups() == []


def test_a_hang_up_asked_for_while_the_connection_was_down_is_asked_for_again() -> None:
    tracker = new_tracker("n-1")
    tracker.hang_up_asked("n-1")
    tracker.snapshot([row("n-1", ChannelStateDesc="Ringing")], 9.0)
    assert tracker.take_hang_ups() == ["n-1"]


def test_events_of_unknown_channels_mean_nothing_and_leave_nothing() -> None:
    tracker = new_tracker()
    for item in recorded("01-human-conf-agent-hangs-up"):
        assert tracker.handle(item, 1.0) == []
    assert len(tracker) == 0
    assert tracker.take_hang_ups() == []


def test_a_failed_call_whose_end_is_never_heard_of_is_ended_and_hung_up() -> None:
    tracker = new_tracker("c-1")
    tracker.handle(message("Newchannel", Uniqueid="c-1"), 1.0)
    tracker.handle(message("OriginateResponse", ActionID="c-1", Response="Failure", Reason="3"), 2.0)
    (end,) = tracker.handle_timer(2.0 + GRACE_S)
    assert isinstance(end, CallHungUp)
    assert end.timed_out
    assert tracker.take_hang_ups() == ["c-1"]


def test_a_call_taken_over_is_ended_by_its_hangup() -> None:
    tracker = new_tracker()
    tracker.follow(CallId("n1-a-1"))
    (end,) = tracker.handle(message("Hangup", Uniqueid="n1-a-1", Cause="16"), 100.0)
    assert isinstance(end, CallHungUp)
    assert end.call == "n1-a-1"
    assert tracker.handle(message("Hangup", Uniqueid="n1-a-1", Cause="16"), 101.0) == []


def test_a_call_taken_over_without_a_channel_has_ended_and_one_that_comes_late_is_hung_up() -> None:
    tracker = new_tracker()
    tracker.follow(CallId("n1-a-1"))
    (end,) = tracker.not_there(CallId("n1-a-1"), 100.0)
    assert isinstance(end, CallHungUp)
    assert tracker.not_there(CallId("n1-a-1"), 100.1) == []
    assert tracker.handle(message("Newchannel", Uniqueid="n1-a-1"), 101.0) == []
    assert tracker.take_hang_ups() == ["n1-a-1"]


def test_following_a_call_of_our_own_changes_nothing() -> None:
    tracker = new_tracker("n1-a-1")
    tracker.follow(CallId("n1-a-1"))
    assert [type(e) for e in tracker.handle(message("Newstate", Uniqueid="n1-a-1", ChannelStateDesc="Up"), 100.0)] == [
        CallAnswered
    ]
