"""Whatever is asked of the exchange in whatever order: every call ends once, is told of once, and leaves nothing."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from dialer.core.outcome import Outcome, unanswered_outcome
from dialer.simulation.world import Fate, Reaction
from tests.exchange_bench import Bench

_TIMES = st.sampled_from([0.0, 0.001, 0.4, 1.0, 3.0, 12.0])
_FATES = st.builds(
    Fate,
    reaction=st.sampled_from(Reaction),
    post_dial_s=_TIMES,
    rings=st.booleans(),
    early_media=st.booleans(),
    ring_s=_TIMES,
    talk_s=_TIMES,
    patience_s=_TIMES,
    machine_s=_TIMES,
    shuffle=st.tuples(*[st.floats(0.0, 0.999)] * 4),
)
#: What is done next, to which of the calls so far, and how long after.
_STEPS = st.lists(
    st.tuples(
        st.sampled_from(["call", "detect", "phone", "connect", "message", "hang up", "lay down", "connect elsewhere"]),
        st.integers(0, 7),
        _FATES,
        _TIMES,
    ),
    max_size=25,
)


def play(steps: list[tuple[str, int, Fate, float]]) -> tuple[Bench, list[str], list[str]]:
    """A bench on which all was done: with the ids of customers' calls and of agents' legs."""
    bench = Bench()
    calls: list[str] = []
    legs: list[str] = []
    for index, (what, which, fate, pause_s) in enumerate(steps):
        if what in {"call", "detect"}:
            number = f"3460000{index:04d}"
            bench.world.script(number, fate)
            context = "cadencia-amd" if what == "detect" else "cadencia-wait"
            calls.append(bench.call(number, context=context, timeout_s=5.0))
        elif what == "phone":
            legs.append(bench.phone(f"agent{which}", f"room{which % 2}"))
        else:
            everybody = [*calls, *legs] if what == "lay down" else calls
            ids = [call for call in everybody if bench.board.find(call) is not None]
            if ids:
                target = ids[which % len(ids)]
                match what:
                    case "connect":
                        bench.redirect(target, "cadencia-connect", f"room{which % 2}")
                    case "connect elsewhere":
                        bench.redirect(target, "cadencia-connect", "no-room")
                    case "message":
                        bench.redirect(target, "cadencia-message", "sorry")
                    case "hang up":
                        bench.hang_up(target)
                    case _:
                        bench.hang_up(target, by="agent" if target in legs else "customer")
        bench.run(bench.now + pause_s)
    return bench, calls, legs


@settings(max_examples=150, deadline=None)
@given(_STEPS)
def test_every_call_begins_and_ends_once(steps: list[tuple[str, int, Fate, float]]) -> None:
    bench, calls, legs = play(steps)
    for leg in legs:
        if bench.board.find(leg) is not None:
            bench.hang_up(leg, by="agent")
    bench.run(bench.now + 60.0)
    assert not bench.board.rooms
    for call in [*calls, *legs]:
        counts = Counter(bench.names(call))
        for name in ("Newchannel", "DialBegin", "OriginateResponse"):
            assert counts[name] == 1, (call, name, bench.names(call))
        assert counts["Hangup"] == (0 if bench.board.find(call) else 1)
        assert counts["ConfbridgeJoin"] - counts["ConfbridgeLeave"] == 0
        assert counts["BridgeEnter"] - counts["BridgeLeave"] == 0
        names = bench.names(call)
        assert names[0] == "Newchannel"
        assert set(names[names.index("Hangup") + 1 :]) <= {"OriginateResponse"}
    # Only who is infinitely patient in a room without an agent could remain; there is none here.
    assert not bench.board.channels
    assert bench.board.next_deadline() is None


@settings(max_examples=150, deadline=None)
@given(_STEPS)
def test_rooms_count_who_is_in_them(steps: list[tuple[str, int, Fate, float]]) -> None:
    bench, _, _ = play(steps)
    inside: Counter[str] = Counter()
    for _, _, message in bench.told:
        room = message.get("Conference", "")
        if message.event == "ConfbridgeJoin":
            inside[room] += 1
            assert message.get("BridgeNumChannels") == str(inside[room] + 1)
        elif message.event == "ConfbridgeLeave":
            assert message.get("BridgeNumChannels") == str(inside[room] + 1)
            inside[room] -= 1
    assert {name: len(room.members) for name, room in bench.board.rooms.items()} == dict(+inside)


@settings(max_examples=200, deadline=None)
@given(_FATES)
def test_the_rules_of_outcomes_find_what_the_world_meant(fate: Fate) -> None:
    bench = Bench(fate)
    call = bench.call(timeout_s=30.0)
    bench.run()
    response, hangup = bench.one(call, "OriginateResponse"), bench.one(call, "Hangup")
    rang = any(name == "DialState" for name in bench.names(call))
    if response.get("Response") == "Success":
        assert fate.reaction.answers
        return
    tech = hangup.get("TechCause")
    outcome = unanswered_outcome(
        cause=int(hangup.get("Cause", "0")),
        sip_code=int(tech) if tech else None,
        timed_out=response.get("Reason") == "3",
        rang=rang,
        cancelled=False,
    )
    expected = {
        Reaction.BUSY: Outcome.BUSY,
        Reaction.REJECTED: Outcome.REJECTED,
        Reaction.INVALID: Outcome.INVALID,
        Reaction.CONGESTION: Outcome.CONGESTION,
        Reaction.SILENT: Outcome.CONGESTION,
        Reaction.UNAVAILABLE: Outcome.NO_ANSWER,
        Reaction.NO_ANSWER: Outcome.NO_ANSWER,
    }
    assert outcome is expected[fate.reaction]
