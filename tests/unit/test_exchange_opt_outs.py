"""The key in the message to people for whom nobody is free: the exchange does as config/asterisk says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dialer.simulation.dialplan import GOODBYE_S, KEY_AFTER_S, OPT_OUT_WAIT_S
from dialer.simulation.profiles import FAST
from tests.exchange_bench import Bench, person

MESSAGE_S = 0.1  # of the profile FAST
DIALPLAN = (Path(__file__).parents[2] / "config" / "asterisk" / "extensions.conf").read_text()


def told(bench: Bench, call: str) -> list[str]:
    return [m.get("UserEvent", "") for m in bench.about(call) if m.event == "UserEvent"]


def listening(presses: str, after_s: float, *, key: str = "9", patience_s: float = 60.0) -> tuple[Bench, str]:
    bench = Bench(replace(person(patience_s=patience_s), presses=presses, presses_after_s=after_s))
    call = bench.call()
    bench.run(1.5)
    channel = bench.board.find(call)
    assert channel is not None
    bench.board.set_variable(channel, "CADENCIA_OPT_OUT", key)
    bench.redirect(call, "cadencia-message", "cadencia-abandoned")
    return bench, call


def test_the_limits_are_those_of_the_dialplan() -> None:
    assert f"WaitDigit({KEY_AFTER_S:g}," in DIALPLAN
    assert f"Wait({OPT_OUT_WAIT_S:g})" in DIALPLAN


@pytest.mark.parametrize(("after_s", "played"), [(MESSAGE_S / 2, "no"), (MESSAGE_S + KEY_AFTER_S / 2, "yes")])
def test_the_key_is_told_and_the_goodbye_waited_for(after_s: float, played: str) -> None:
    bench, call = listening("9", after_s)
    bench.run(1.5 + after_s + 1.0)
    assert told(bench, call) == ["CadenciaMessage", "CadenciaOptOut"]
    events = [m for m in bench.about(call) if m.event == "UserEvent"]
    assert (events[0].get("Played"), events[1].get("Key")) == (played, "9")
    assert bench.redirect(call, "cadencia-goodbye", "s")
    bench.run()
    assert told(bench, call)[-1] == "CadenciaGoodbye"
    record = bench.log_of(call)
    assert (record.opted_out, record.goodbye_said, record.ended_by) == (True, True, "dialplan")
    assert GOODBYE_S < bench.now < 60.0


def test_nobody_answers_the_objection() -> None:
    bench, call = listening("9", 0.05)
    bench.run()
    assert told(bench, call) == ["CadenciaMessage", "CadenciaOptOut", "CadenciaOptOutExpired"]
    assert bench.now == pytest.approx(1.5 + 0.05 + OPT_OUT_WAIT_S, abs=0.01)
    assert not bench.log_of(call).goodbye_said


@pytest.mark.parametrize(("presses", "after_s", "key"), [("5", 0.05, "9"), ("9", 10.0, "9"), ("9", 0.05, "")])
def test_another_key_a_late_one_or_none_that_is_offered(presses: str, after_s: float, key: str) -> None:
    bench, call = listening(presses, after_s, key=key)
    bench.run()
    assert told(bench, call) == ["CadenciaMessage"]
    assert not bench.log_of(call).opted_out
    waits_s = KEY_AFTER_S if key else 0.0
    assert bench.now == pytest.approx(1.5 + MESSAGE_S + waits_s, abs=0.01)


def test_who_lays_down_first_presses_nothing() -> None:
    bench, call = listening("9", 2.0, patience_s=1.5)  # half a second after the redirect, and a second after the answer
    bench.run()
    assert told(bench, call) == ["CadenciaMessage"]
    assert bench.log_of(call).ended_by == "customer"


def test_some_people_object_by_themselves() -> None:
    bench = Bench(profile=replace(FAST, objects=1.0), seed=2)
    calls = []
    for number in range(40):
        call = bench.call(f"34600{number:06d}")
        bench.run(bench.now + 0.35)
        channel = bench.board.find(call)
        if channel is not None and channel.answered_at and bench.redirect(call, "cadencia-message", "sorry"):
            bench.board.set_variable(channel, "CADENCIA_OPT_OUT", "9")
            calls.append(call)
    bench.run()
    objected = [bench.log_of(call) for call in calls if bench.log_of(call).opted_out]
    assert objected
    assert all(record.fate is not None and record.fate.reaction == "person" for record in objected)
