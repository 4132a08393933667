"""Asterisk's threads tell of one call in any order, and twice: the engine hears each thing once, and the end last."""

from __future__ import annotations

import re
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from dialer.ami.framing import Decoder
from dialer.ami.messages import Message
from dialer.core.events import CallAnswered, CallHungUp, CallRinging, SwitchEvent
from dialer.core.ids import CallId, ServerName
from dialer.switch.backoff import Backoff
from dialer.switch.remote_clock import RemoteClock
from dialer.switch.tracker import GRACE_S, Tracker

DATA = Path(__file__).parent.parent / "data" / "ami"
UNANSWERED = [
    "10-busy",
    "11-noanswer-timeout",
    "12-unallocated-404",
    "13-congestion-503",
    "14-decline-603",
    "15-unavailable-480",
    "17-carrier-never-replies",
    "18-trunk-port-closed",
]
ANSWERED = ["01-human-conf-agent-hangs-up", "05-customer-hangs-up-first-conf", "16-early-media-183-answered"]


def of_call(name: str) -> list[Message]:
    data = (DATA / f"{name}.rx.txt").read_bytes()
    data = data.replace(f"ActionID: orig-{name}\r\n".encode(), f"ActionID: cust-{name}\r\n".encode())
    data = re.sub(rb"Timestamp: [0-9.]+\r\n", b"", data)
    call = f"cust-{name}"
    wanted = {
        "Newchannel",
        "Newstate",
        "DialBegin",
        "DialState",
        "DialEnd",
        "HangupRequest",
        "Hangup",
        "OriginateResponse",
    }
    return [
        m
        for m in Decoder().receive_data(data)
        if m.event in wanted and call in {m.get("Uniqueid"), m.get("DestUniqueid"), m.action_id}
    ]


def play(name: str, messages: list[Message]) -> list[SwitchEvent]:
    tracker = Tracker(ServerName("pbx"))
    tracker.originated(CallId(f"cust-{name}"))
    events: list[SwitchEvent] = []
    now = 0.0
    for message in messages:
        now += 0.001
        events += tracker.handle(message, now)
    events += tracker.handle_timer(now + GRACE_S)
    assert len(tracker) == 0
    assert tracker.next_deadline() is None
    return events


@given(data=st.data(), name=st.sampled_from(UNANSWERED))
@settings(max_examples=120, deadline=None)
def test_calls_that_nobody_answered(data: st.DataObject, name: str) -> None:
    messages = of_call(name)
    (plain,) = [event for event in play(name, messages) if isinstance(event, CallHungUp)]
    order = data.draw(st.permutations(messages))
    order += data.draw(st.lists(st.sampled_from(messages), max_size=4))
    events = play(name, order)
    assert not any(isinstance(event, CallAnswered) for event in events)
    assert sum(isinstance(event, CallRinging) for event in events) <= 1
    end = events[-1]
    assert sum(isinstance(event, CallHungUp) for event in events) == 1
    assert isinstance(end, CallHungUp)
    assert (plain.cause, plain.sip_code, plain.timed_out) == (end.cause, end.sip_code, end.timed_out)


@given(data=st.data(), name=st.sampled_from(ANSWERED))
@settings(max_examples=120, deadline=None)
def test_answers_come_by_three_ways_and_are_told_once(data: st.DataObject, name: str) -> None:
    messages = of_call(name)

    def answers(message: Message) -> bool:
        return (
            (message.event == "Newstate" and message.get("ChannelStateDesc") == "Up")
            or (message.event == "DialEnd" and message.get("DialStatus") == "ANSWER")
            or message.event == "OriginateResponse"
        )

    ways = data.draw(st.permutations([m for m in messages if answers(m)]))
    lost = data.draw(st.integers(0, 2))  # a filter may hide some of them
    others = [m for m in messages if not answers(m)]
    hangup = next(i for i, m in enumerate(others) if m.event in {"HangupRequest", "Hangup"})
    order = list(others)
    place = data.draw(st.integers(1, hangup))
    for way in ways[lost:]:
        order.insert(place, way)
        place = data.draw(st.integers(place + 1, order.index(others[hangup])))
    # Late ones, after the end, say nothing.
    events = play(name, order + ways[:lost])
    kinds = [type(event) for event in events]
    assert kinds.count(CallAnswered) == 1
    assert kinds.count(CallHungUp) == 1
    assert kinds[-1] is CallHungUp
    assert kinds.count(CallRinging) <= 1
    if CallRinging in kinds:
        assert kinds.index(CallRinging) < kinds.index(CallAnswered)


@given(seed=st.integers(), failures=st.lists(st.booleans(), min_size=1, max_size=60))
def test_reconnects_never_make_a_tight_loop_nor_a_long_silence(seed: int, failures: list[bool]) -> None:
    from random import Random

    backoff = Backoff(shortest_s=0.25, longest_s=15.0, random=Random(seed))
    for hopeless in failures:
        wait_s = backoff.failed(hopeless=hopeless)
        assert (30.0 if hopeless else 0.25) <= wait_s <= (60.0 if hopeless else 15.0)


@given(
    skew=st.floats(-1e6, 1e6),
    delays=st.lists(st.floats(0.0, 30.0), min_size=1, max_size=50),
    step=st.floats(0.0, 30.0),
)
def test_a_servers_clock_is_never_ahead_and_within_a_bursts_delay(
    skew: float, delays: list[float], step: float
) -> None:
    clock = RemoteClock()
    happened = 1_700_000_000.0
    for delay in delays:
        happened += step
        read_at = happened + delay
        told = clock.local(f"{happened + skew:.6f}", read_at)
        assert told <= read_at + 1e-5
        assert told >= happened - 1e-3
        assert told - happened <= max(delays) + 1e-3
