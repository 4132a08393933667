"""The small parts of the switch: waits between tries, other machines' clocks, words of events, the event stream."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from dialer.ami.messages import Message
from dialer.core.events import AgentPhoneUp, SwitchEvent, Verdict
from dialer.core.ids import AgentId
from dialer.switch import mapping
from dialer.switch.backoff import Backoff
from dialer.switch.remote_clock import RemoteClock
from dialer.switch.stream import EventStream


def test_waits_grow_to_the_longest_and_begin_anew_after_success() -> None:
    class Highest(Random):
        def uniform(self, a: float, b: float) -> float:
            return b

    backoff = Backoff(shortest_s=0.25, longest_s=15.0, random=Highest())
    assert [backoff.failed() for _ in range(8)] == [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 15.0]
    backoff.reset()
    assert backoff.failed() == 0.25
    assert backoff.failed(hopeless=True) == 60.0


@pytest.mark.parametrize("stamp", [None, "", "soon", "nan", "inf", "-inf", "1e300"])
def test_without_a_usable_stamp_it_happened_when_it_was_read(stamp: str | None) -> None:
    assert RemoteClock().local(stamp, 100.0) == 100.0


def test_a_burst_that_waited_is_told_at_its_own_times() -> None:
    clock = RemoteClock()
    assert clock.local("1000.0", 100.0) == 100.0
    # Read three seconds late, all at once.
    assert [clock.local(stamp, 105.0) for stamp in ("1001.0", "1002.0", "1002.5")] == [101.0, 102.0, 102.5]


def test_clocks_that_drift_apart_are_followed() -> None:
    clock = RemoteClock()
    for second in range(600):
        now = 1000.0 + second
        drift = second * 0.01
        assert clock.local(f"{now - drift:.6f}", now) == pytest.approx(now, abs=1.3)


@pytest.mark.parametrize(
    ("uniqueid", "call", "agent"),
    [
        ("node1-17-3", "node1-17-3", None),
        ("agent~a_1-x~0f-12", None, "a_1-x"),
        ("1795304283.65", None, None),
        ("pbx-1795304283.65", None, None),
        ("pbx-2-1795304283.65;1", None, None),
        ("c-1;2", None, None),
        ("", None, None),
        ("a b", None, None),
        ("agent~bad name~1", None, None),
    ],
)
def test_whose_a_channel_is(uniqueid: str, call: str | None, agent: str | None) -> None:
    assert mapping.call_of(uniqueid) == call
    assert mapping.agent_of_leg(uniqueid) == agent


def test_legs_of_agents_are_told_from_earlier_ones() -> None:
    leg = mapping.agent_leg_id(AgentId("a1"), "0f", 3)
    assert mapping.agent_of_leg(leg) == "a1"
    assert leg != mapping.agent_leg_id(AgentId("a1"), "10", 3)


@pytest.mark.parametrize(
    ("cause", "tech", "expected"),
    [
        ("17", "486", (17, 486)),
        ("17", "SIP 486 Busy Here", (17, 486)),
        ("", "", (0, None)),
        ("x", "abc", (0, None)),
        ("-1", "4860", (0, None)),
        ("99999999", "99", (0, None)),
        ("²", "７00", (0, None)),
    ],
)
def test_causes(cause: str, tech: str, expected: tuple[int, int | None]) -> None:
    item = Message([("Event", "Hangup"), ("Cause", cause), ("TechCause", tech)])
    assert (mapping.cause_of(item), mapping.sip_code_of(item)) == expected


def test_words() -> None:
    assert mapping.verdict_of(" human ") is Verdict.HUMAN
    assert mapping.verdict_of("HANGUP") is None
    assert mapping.dial_number("PJSIP/{number}@t", "+34600111222") == "PJSIP/34600111222@t"
    assert mapping.room_of(Message([("Event", "ConfbridgeJoin"), ("Conference", "bad room")])) is None


def happened(number: int) -> SwitchEvent:
    return AgentPhoneUp(at=float(number), agent=AgentId("a"))


async def test_a_reader_that_lags_stops_the_reading_and_loses_nothing() -> None:
    flow: list[bool] = []
    stream = EventStream(flow.append, high=10, low=4)
    for number in range(15):
        stream.put([happened(number)])
    assert flow == [False]
    assert len(stream) == 15
    seen: list[float] = []
    async for event in stream.read():
        seen.append(event.at)
        if len(seen) == 15:
            stream.close()
    assert seen == [float(number) for number in range(15)]
    assert flow == [False, True]


async def test_a_reader_waits_for_what_comes_and_ends_with_the_stream() -> None:
    stream = EventStream(lambda _: None)
    seen: list[SwitchEvent] = []

    async def read() -> None:
        seen.extend([event async for event in stream.read()])

    async with asyncio.TaskGroup() as group:
        group.create_task(read())
        await asyncio.sleep(0)
        stream.put([])
        stream.put([happened(1)])
        await asyncio.sleep(0)
        stream.put([happened(2)])
        stream.close()
    assert [event.at for event in seen] == [1.0, 2.0]
