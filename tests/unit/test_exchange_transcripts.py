"""The exchange says what the real Asterisk 22 said in the same case: same events, headers and decisive values."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import pytest

from dialer.ami import Decoder, Message
from dialer.simulation.world import Detection, Fate, Reaction
from tests.exchange_bench import Bench, person, shuffled

RECORDED = Path(__file__).parents[1] / "data" / "ami"
#: Any order in which the threads of Asterisk may put things.
SHUFFLES = (0.0, 0.12, 0.3, 0.62, 0.85, 0.99)
#: Events of the dialplan and of codecs say how the recorded dialplan went, which is not Cadencia's.
OTHER_CLASSES = {"Newexten", "VarSet"}
DECISIVE = ("Response", "Reason", "DialStatus", "ChannelStateDesc", "Cause", "Cause-txt", "TechCause", "State")


@dataclass(frozen=True)
class Case:
    """A recorded outcome, and the fate that leads to it here."""

    transcript: str
    fate: Fate
    timeout_s: float = 30.0
    #: Hang up after so many seconds, with the cause that was given.
    hang_up: tuple[float, int] | None = None
    #: Events that our dialplan causes and the recorded one did not.
    ours: frozenset[str] = field(default_factory=frozenset)


CASES = [
    Case("10-busy", Fate(reaction=Reaction.BUSY, post_dial_s=0.005, ring_s=0.5)),
    Case("11-noanswer-timeout", Fate(reaction=Reaction.NO_ANSWER, post_dial_s=0.005), timeout_s=4.0),
    Case("12-unallocated-404", Fate(reaction=Reaction.INVALID, post_dial_s=0.005, rings=False)),
    Case("13-congestion-503", Fate(reaction=Reaction.CONGESTION, post_dial_s=0.005, rings=False)),
    Case("14-decline-603", Fate(reaction=Reaction.REJECTED, post_dial_s=0.005, ring_s=1.0)),
    Case("15-unavailable-480", Fate(reaction=Reaction.UNAVAILABLE, post_dial_s=0.005, rings=False)),
    Case("17-carrier-never-replies", Fate(reaction=Reaction.SILENT), timeout_s=4.0),
    Case("18-trunk-port-closed", Fate(reaction=Reaction.SILENT), timeout_s=4.0),
    Case("40-cancel-while-ringing", Fate(reaction=Reaction.NO_ANSWER, post_dial_s=0.005), hang_up=(1.0, 16)),
    Case("42-cancel-by-uniqueid", Fate(reaction=Reaction.NO_ANSWER, post_dial_s=0.005), hang_up=(0.007, 16)),
    Case("43-cancel-before-100-trying", Fate(reaction=Reaction.SILENT), hang_up=(0.003, 0)),
    Case("22-abandon-lobby-2s", person()),
    Case(
        "84-answered-lean-user",
        person(patience_s=1.0),
        ours=frozenset({"BridgeCreate", "BridgeEnter", "BridgeLeave", "BridgeDestroy"}),
    ),
]


@cache
def recorded(name: str) -> tuple[Message, ...]:
    """Messages of a transcript."""
    return tuple(Decoder().receive_data((RECORDED / f"{name}.rx.txt").read_bytes()))


def call_events(messages: tuple[Message, ...] | list[Message]) -> list[Message]:
    """Those about the calls."""
    return [m for m in messages if m.event and m.event not in OTHER_CLASSES and m.event != "FullyBooted"]


def decisive(message: Message) -> tuple[str, ...]:
    """What a dialer reads in an event."""
    return (message.event or "", *(f"{name}={message.get(name)}" for name in DECISIVE if name in message))


def played(case: Case, u: float) -> list[Message]:
    """The same case here."""
    bench = Bench(shuffled(case.fate, u))
    call = bench.call(timeout_s=case.timeout_s)
    if case.hang_up is not None:
        after_s, cause = case.hang_up
        bench.run(after_s)
        bench.hang_up(call, cause)
    bench.run()
    return call_events([message for _, _, message in bench.told])


@pytest.mark.parametrize("u", SHUFFLES)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.transcript)
def test_same_events_with_the_same_decisive_values(case: Case, u: float) -> None:
    theirs = {decisive(m) for m in call_events(recorded(case.transcript))}
    ours = {decisive(m) for m in played(case, u) if m.event not in case.ours}
    assert ours == theirs


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.transcript)
def test_same_headers_in_the_same_order(case: Case) -> None:
    theirs = {m.event: [name for name, _ in m.pairs] for m in call_events(recorded(case.transcript))}
    for message in played(case, 0.3):
        if message.event in theirs and message.event != "UserEvent":
            assert [name for name, _ in message.pairs] == theirs[message.event], message.event


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.transcript)
def test_each_event_as_often(case: Case) -> None:
    def count(messages: list[Message]) -> dict[str, int]:
        names = [m.event or "" for m in messages]
        return {name: names.count(name) for name in names}

    theirs = count(call_events(recorded(case.transcript)))
    assert count([m for m in played(case, 0.3) if m.event not in case.ours]) == theirs


@pytest.mark.parametrize(
    ("transcript", "agent_first"),
    [("24-lobby-then-redirect-to-conf", True), ("05-customer-hangs-up-first-conf", False)],
)
def test_meeting_in_a_room(transcript: str, agent_first: bool) -> None:
    bench = Bench(shuffled(person(talk_s=2.0), 0.5))
    leg = bench.phone(room="agent01")
    bench.told.clear()
    call = bench.call()
    bench.run(bench.now + 1.1)
    assert bench.redirect(call, "cadencia-connect", "agent01")
    if agent_first:
        bench.run(bench.now + 0.5)
        bench.hang_up(leg, by="agent")
    bench.run()
    # The announcer of a conference has a device of its own; the lobby is left only where there is one.
    skipped = {"DeviceStateChange"} | ({"BridgeCreate", "BridgeDestroy"} if not agent_first else set())
    theirs = [m for m in call_events(recorded(transcript)) if m.event not in skipped]
    ours = [m for m in call_events([m for _, _, m in bench.told]) if m.event not in skipped]
    if not agent_first:
        # The recorded customer went straight into the room.
        ours = [m for m in ours if m.get("BridgeName") != "cadencia"]
    assert {decisive(m) for m in ours} == {decisive(m) for m in theirs}
    headers = {m.event: [name for name, _ in m.pairs] for m in theirs}
    for message in ours:
        assert [name for name, _ in message.pairs] == headers[message.event], message.event
    rooms = [(m.event, m.get("BridgeNumChannels")) for m in ours if m.get("BridgeName") == "agent01"]
    assert sorted(map(str, rooms)) == sorted(
        str((m.event, m.get("BridgeNumChannels"))) for m in theirs if m.get("BridgeName") == "agent01"
    )


def test_early_media_is_progress_and_no_ringing() -> None:
    case = Case(
        "16-early-media-183-answered",
        Fate(reaction=Reaction.PERSON, early_media=True, post_dial_s=0.017, ring_s=1.0, patience_s=1.0),
    )
    theirs = {decisive(m) for m in call_events(recorded(case.transcript)) if "Hangup" not in (m.event or "")}
    ours = {
        decisive(m)
        for m in played(case, 0.3)
        if "Hangup" not in (m.event or "") and not (m.event or "").startswith("Bridge")
    }
    assert {kind for kind in ours if kind[0].startswith(("Dial", "Newstate", "Originate"))} == {
        kind for kind in theirs if kind[0].startswith(("Dial", "Newstate", "Originate"))
    }


@pytest.mark.parametrize(
    ("transcript", "status"),
    [("30-amd-machine", "MACHINE"), ("31-amd-human", "HUMAN"), ("34-amd-callee-sends-no-rtp", "NOTSURE")],
)
def test_the_verdict_of_machine_detection_is_told_like_the_recorded_one(transcript: str, status: str) -> None:
    (theirs,) = [m for m in recorded(transcript) if m.event == "UserEvent"]
    cause = theirs.get("Cause", "")
    bench = Bench(replace(person(patience_s=5.0), detection=Detection(status=status, cause=cause, after_s=1.0)))
    call = bench.call(context="cadencia-amd")
    bench.run()
    ours = bench.one(call, "UserEvent")
    assert [name for name, _ in ours.pairs] == ["Call" if name == "CallRef" else name for name, _ in theirs.pairs]
    assert (ours.get("UserEvent"), ours.get("Call")) == ("CadenciaAmd", call)
    assert (ours.get("Status"), ours.get("Cause")) == (theirs.get("Status"), cause) == (status, cause)


def test_every_order_that_was_recorded_occurs_here() -> None:
    def order(messages: list[Message]) -> tuple[str, ...]:
        kinds = {"OriginateResponse", "HangupRequest", "DialEnd", "Hangup"}
        return tuple(m.event or "" for m in messages if m.event in kinds)

    silent, invalid = CASES[6], CASES[2]
    assert silent.transcript.startswith("17")
    ours = {order(played(case, u / 50)) for case in (silent, invalid, CASES[0], CASES[1]) for u in range(50)}
    for name in ("10-busy", "11-noanswer-timeout", "12-unallocated-404", "17-carrier-never-replies"):
        assert order(list(recorded(name))) in ours
