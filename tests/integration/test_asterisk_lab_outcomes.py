"""Every line of the number plan does on the real Asterisk what the plan says, and the carrier's log agrees."""

from __future__ import annotations

import csv
import io
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import phonenumbers
import pytest

from scripts.lab import ledger, plan
from scripts.lab.ledger import Did
from scripts.lab.plan import Kind, Persona
from scripts.lab.record import Session

from .conftest import AsteriskLab

Name = Callable[[str], str]
_REFUSALS = [
    *((Kind.BUSY, None), (Kind.DECLINE, None)),
    *((Kind.INVALID, sip) for sip in sorted(set(plan.INVALID_SIP))),
    *((Kind.CONGESTION, sip) for sip in sorted(set(plan.CONGESTION_SIP))),
    *((Kind.UNAVAILABLE, sip) for sip in sorted(set(plan.UNAVAILABLE_SIP))),
]


@pytest.mark.asterisk
@pytest.mark.parametrize(("kind", "sip"), _REFUSALS)
def test_refusals_show_their_cause(
    asterisk_lab: AsteriskLab, session: Session, name: Name, serials: Iterator[int], kind: Kind, sip: int | None
) -> None:
    number, call = plan.number(kind, next(serials), ring_s=0.2, sip=sip), name("call")
    callee = plan.callee(number)
    session.dial(call, number)
    ended = session.ended(call)
    outcome = session.events.event("OriginateResponse", ActionID=call)
    assert outcome["Response"] == "Failure"
    assert (ended["Cause"], ended["TechCause"]) == (str(callee.cause), str(callee.tech_cause))
    seen = asterisk_lab.carrier_calls({number})[number]
    assert (seen.did, seen.sip) == (Did.REFUSED, callee.sip)


@pytest.mark.asterisk
def test_ringing_for_ever_ends_with_our_time_limit(
    asterisk_lab: AsteriskLab, session: Session, name: Name, serials: Iterator[int]
) -> None:
    number, call = plan.number(Kind.RINGS_ON, next(serials)), name("call")
    session.dial(call, number, timeout_ms=1500)
    ended = session.ended(call)
    assert session.events.event("OriginateResponse", ActionID=call)["Reason"] == "3"
    assert ended["Cause"] == "19"
    assert session.events.events("Newstate", Uniqueid=call, ChannelStateDesc="Ringing")
    session.events.collect(0.2)
    assert asterisk_lab.carrier_calls({number})[number].did is Did.CANCELLED


@pytest.mark.asterisk
@pytest.mark.parametrize("trunk", ["carrier", "dead"])
def test_silent_carrier_rings_nobody(session: Session, name: Name, serials: Iterator[int], trunk: str) -> None:
    call = name("call")
    session.dial(call, plan.number(Kind.SILENT, next(serials)), trunk=trunk, timeout_ms=1000)
    session.ended(call)
    assert session.events.event("OriginateResponse", ActionID=call)["Reason"] == "3"
    assert not session.events.events("Newstate", Uniqueid=call)
    assert not session.events.events("DialState", DestUniqueid=call)


@pytest.mark.asterisk
@pytest.mark.parametrize(("kind", "early"), [(Kind.ANSWER, False), (Kind.EARLY_MEDIA, True), (Kind.AUDIO, False)])
def test_answers_come_when_the_number_says_and_so_does_the_end(
    asterisk_lab: AsteriskLab, session: Session, name: Name, serials: Iterator[int], kind: Kind, early: bool
) -> None:
    number, call = plan.number(kind, next(serials), ring_s=1.0, talk_s=1.5), name("call")
    session.dial(call, number)
    up = session.answered(call)
    began = session.events.event("Newchannel", Uniqueid=call)
    ended = session.ended(call)
    # Early media is told by DialState alone, ringing by the channel itself: manager.conf leaves the second word out.
    assert [it["DialStatus"] for it in session.events.events("DialState", DestUniqueid=call)] == ["PROGRESS"] * early
    assert bool(session.events.events("Newstate", Uniqueid=call, ChannelStateDesc="Ringing")) is not early
    assert float(up["Timestamp"]) - float(began["Timestamp"]) == pytest.approx(1.0, abs=0.4)
    assert float(ended["Timestamp"]) - float(up["Timestamp"]) == pytest.approx(1.5, abs=0.4)
    seen = asterisk_lab.carrier_calls({number})[number]
    assert seen.did is Did.CALLEE_HUNG_UP
    assert seen.answered_at == pytest.approx(float(up["Timestamp"]), abs=0.3)


@pytest.mark.asterisk
def test_call_is_purged_by_its_id_while_it_rings(
    asterisk_lab: AsteriskLab, session: Session, name: Name, serials: Iterator[int]
) -> None:
    number, call = plan.number(Kind.RINGS_ON, next(serials)), name("call")
    session.dial(call, number)
    session.events.event("Newstate", Uniqueid=call, ChannelStateDesc="Ringing")
    assert session.hang_up(call)["Response"] == "Success"
    ended = session.ended(call)
    assert ended["Cause"] == "16"
    assert "TechCause" not in ended
    session.events.collect(0.2)
    assert asterisk_lab.carrier_calls({number})[number].did is Did.CANCELLED


@pytest.mark.asterisk
def test_channel_id_with_which_a_live_one_begins_is_refused(
    session: Session, name: Name, serials: Iterator[int]
) -> None:
    """Why call ids are all of one length: `call-1` cannot be dialed while `call-10` lives."""
    call = name("call")
    session.dial(call, plan.number(Kind.RINGS_ON, next(serials)))
    session.events.event("Newstate", Uniqueid=call, ChannelStateDesc="Ringing")
    beginning = call[:-1]
    session.dial(beginning, plan.number(Kind.RINGS_ON, next(serials)))
    assert session.events.event("OriginateResponse", ActionID=beginning)["Response"] == "Failure"
    assert session.hang_up(beginning)["Response"] == "Error", "a part of an id names no channel"
    longer = f"{call}0"
    session.dial(longer, plan.number(Kind.RINGS_ON, next(serials)))
    session.events.event("Newstate", Uniqueid=longer, ChannelStateDesc="Ringing")
    for live in (call, longer):
        session.hang_up(live)
        session.ended(live)


@pytest.mark.asterisk
@pytest.mark.slow
def test_two_hundred_calls_at_once_all_end_as_their_numbers_say(
    asterisk_lab: AsteriskLab, session: Session, name: Name, serials: Iterator[int]
) -> None:
    kinds = (Kind.ANSWER, Kind.BUSY, Kind.INVALID, Kind.CONGESTION)
    calls = {name("flood"): plan.callee(plan.number(kinds[i % 4], next(serials), talk_s=1.5)) for i in range(200)}
    for call, callee in calls.items():
        session.actions.send(
            "Originate",
            ActionID=call,
            ChannelId=call,
            Channel=f"PJSIP/{callee.number}@carrier",
            Context="cadencia-wait",
            Exten="s",
            Priority=1,
            Timeout=20000,
            Async="true",
        )
    outcomes: Counter[str] = Counter()
    for call, callee in calls.items():
        ended = session.ended(call, seconds=30)
        outcomes[callee.kind] += 1
        if callee.sip is None:
            assert ended["Cause"] == "16"
            assert session.events.event("OriginateResponse", ActionID=call)["Response"] == "Success"
        else:
            assert ended["TechCause"] == str(callee.tech_cause)
    assert set(outcomes.values()) == {50}
    seen = asterisk_lab.carrier_calls({callee.number for callee in calls.values()})
    assert len(seen) == 200
    for callee in calls.values():
        assert seen[callee.number].did is (Did.CALLEE_HUNG_UP if callee.sip is None else Did.REFUSED)


def test_list_of_a_thousand_is_valid_spanish_mobiles_of_every_kind() -> None:
    callees = list(plan.mixed(1000))
    assert len({callee.number for callee in callees}) == 1000
    for callee in callees:
        parsed = phonenumbers.parse(callee.e164)
        assert phonenumbers.is_valid_number(parsed)
        assert phonenumbers.number_type(parsed) == phonenumbers.PhoneNumberType.MOBILE
        assert phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164) == callee.e164
    assert {callee.kind for callee in callees} == set(Kind)


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("serial", [0, 7, 99_999])
def test_numbers_say_what_they_were_made_for(kind: Kind, serial: int) -> None:
    callee = plan.callee("+" + plan.number(kind, serial, talk_s=5.0))
    assert callee.kind is kind
    assert callee.number.endswith(f"{serial:05d}")
    assert callee.answers == (kind in {Kind.ANSWER, Kind.EARLY_MEDIA, Kind.AUDIO})
    assert callee.talk_s == (5.0 if callee.answers else None)
    for persona in Persona if kind is Kind.AUDIO else ():
        assert plan.callee(plan.number(kind, serial, persona=persona)).persona is persona


@pytest.mark.parametrize(
    "text", ["", "+34", "600111222", "+34700111222", "+346001112223", "34٦00111222", "+34 600111222"]
)
def test_numbers_outside_the_plan_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="number of the plan"):
        plan.callee(text)


def test_times_outside_the_plan_are_refused() -> None:
    with pytest.raises(ValueError, match="no ringing time of 4 s"):
        plan.number(Kind.ANSWER, 1, ring_s=4.0)
    with pytest.raises(ValueError, match="serial"):
        plan.number(Kind.ANSWER, 100_000)


def test_carrier_log_is_read_back() -> None:
    carrier = """2026-11-22\t00:44:48.729870\t1795308288.729870 34602400001 invited
2026-11-22\t00:44:49.245232\t1795308289.245232 34602400001 answered
2026-11-22\t00:44:50.245232\t1795308290.245232 34690500001 invited
2026-11-22\t00:44:50.246232\t1795308290.246232 34690500001 forwarded
2026-11-22\t00:44:54.257665\t1795308294.257665 34602400001 callee_hung_up
2026-11-22\t00:45:00.000000\t1795308300.000000 34630500001 invited
2026-11-22\t00:45:00.100000\t1795308300.100000 34630500001 refused_404
2026-11-22\t00:45:01.000000\t1795308301.000000 34680500001 ignored
garbage
""".splitlines()
    voice = """[1795308290.300] VERBOSE[1][C-00000002] app_verbose.c: CALL 34690500001 invited
[1795308291.300] VERBOSE[1][C-00000002] app_verbose.c: CALL 34690500001 answered
[1795308293.300] VERBOSE[1][C-00000002] app_verbose.c: CALL 34690500001 caller_hung_up
[1795308294.300] VERBOSE[1][C-00000003] app_verbose.c: CALL 34690500002 invited
""".splitlines()
    found = ledger.calls(carrier, voice)
    assert [(call.number, call.did, call.sip) for call in found] == [
        ("34602400001", Did.CALLEE_HUNG_UP, None),
        ("34690500001", Did.CALLER_HUNG_UP, None),
        ("34690500002", Did.OPEN, None),
        ("34630500001", Did.REFUSED, 404),
        ("34680500001", Did.IGNORED, None),
    ]
    assert found[1].answered_at == 1795308291.3


def test_numbers_command_prints_the_list_with_its_truth() -> None:
    script = Path(__file__).resolve().parents[2] / "scripts" / "asterisk-lab"
    done = subprocess.run(
        [sys.executable, script, "numbers", "--count", "50"], check=True, capture_output=True, text=True
    )
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert len(rows) == 50
    for row in rows:
        callee = plan.callee(row["phone"])
        assert row["kind"] == callee.kind
        assert row["answers"] == str(int(callee.answers))
