"""Objections by key and to agents: written first, promised after, and no call again."""

from __future__ import annotations

import pytest

from dialer.core import commands as cmd
from dialer.core import events as ev
from dialer.core import notices as ntc
from dialer.core.campaign import Campaign
from dialer.core.ids import AgentId, CallId, MessageId
from dialer.core.opt_out_desk import WRITTEN_WITHIN_S, opt_out_ref
from dialer.core.outcome import Outcome
from tests.engine_harness import CAMPAIGN, PBX, Harness


def listening(**settings: object) -> tuple[Harness, CallId]:
    """Somebody for whom nobody was free hears the message."""
    h = Harness(Campaign(id=CAMPAIGN, method="progressive", **settings))  # type: ignore[arg-type]
    h.start("anna")
    h.advance(0.1)
    (call,) = h.calls()
    h.feed(ev.AgentPauseAsked(at=h.now, agent=AgentId("anna"), code="lunch"))
    h.answer(call)
    assert h.of(cmd.PlayMessage, h.advance(2.1))
    return h, call


def talking() -> tuple[Harness, CallId]:
    h = Harness()
    h.start("anna")
    h.advance(0.1)
    (call,) = h.calls()
    h.answer(call)
    h.join(call)
    return h, call


def press(h: Harness, call: CallId) -> list[object]:
    return list(h.feed(ev.CustomerOptedOut(at=h.now, call=call, key="9")))


@pytest.mark.parametrize(("key", "offered"), [("9", "9"), ("1", "1"), ("", "")])
def test_the_message_offers_the_campaigns_key(key: str, offered: str) -> None:
    h, _ = listening(opt_out_key=key)
    assert [play.opt_out_key for play in h.of(cmd.PlayMessage)] == [offered]


@pytest.mark.parametrize(("setting", "scope"), [("*", "*"), ("campaign", CAMPAIGN)])
def test_the_entry_is_written_before_the_goodbye(setting: str, scope: str) -> None:
    h, call = listening(opt_out_scope=setting)
    h.feed(ev.CustomerOptedOut(at=h.now, call=call, key="9"))
    (entry,) = h.of(cmd.AddDoNotCall)
    assert (entry.call, entry.scope, entry.reason, entry.ref) == (call, scope, "opt-out by key", opt_out_ref(call))
    assert not h.of(cmd.SayGoodbye), "nobody has said yet that it is written"
    assert not h.of(cmd.SayGoodbye, h.advance(1.0))
    out = h.feed(ev.DoNotCallWritten(at=h.now, call=call))
    assert h.of(cmd.SayGoodbye, out) == [cmd.SayGoodbye(call=call, server=PBX)]
    h.advance(2.0)
    assert not h.of(cmd.HangUp)
    h.hang_up(call, by=ev.HungUpBy.DIALER)
    ended = h.ended()[call]
    assert (ended.attempt.outcome, ended.attempt.opted_out, ended.retry_at) == (Outcome.ABANDONED, True, None)
    (told,) = h.of(ntc.CallOptedOut)
    assert (told.call, told.scope, told.by, told.agent) == (call, scope, "key", None)


def test_an_entry_that_is_not_acknowledged_in_time_gets_no_goodbye() -> None:
    h, call = listening()
    press(h, call)
    assert not h.of(cmd.HangUp, h.advance(WRITTEN_WITHIN_S - 0.1))
    assert h.of(cmd.HangUp, h.advance(0.2))
    assert not h.of(cmd.SayGoodbye, h.feed(ev.DoNotCallWritten(at=h.now, call=call)))
    h.hang_up(call, by=ev.HungUpBy.DIALER)
    assert h.ended()[call].attempt.opted_out, "it is written all the same"


def test_the_key_pressed_twice_is_one_entry() -> None:
    h, call = listening()
    press(h, call)
    assert h.of(ntc.EventIgnored, h.feed(ev.CustomerOptedOut(at=h.now, call=call, key="9")))
    assert len(h.of(cmd.AddDoNotCall)) == len(h.of(ntc.CallOptedOut)) == 1


def test_laying_down_after_the_key_changes_nothing_about_the_entry() -> None:
    h, call = listening()
    press(h, call)
    h.hang_up(call)
    assert len(h.of(cmd.AddDoNotCall)) == 1
    assert h.ended()[call].retry_at is None
    assert not h.of(cmd.SayGoodbye, h.feed(ev.DoNotCallWritten(at=h.now, call=call)))


def test_the_key_of_a_call_that_nobody_knows_is_ignored() -> None:
    h, _ = listening()
    assert h.of(ntc.EventIgnored, h.feed(ev.CustomerOptedOut(at=h.now, call=CallId("ghost"), key="9")))
    assert not h.of(cmd.AddDoNotCall)
    assert not h.of(cmd.SayGoodbye, h.feed(ev.DoNotCallWritten(at=h.now, call=CallId("ghost"))))


def test_ones_own_entry_is_not_reported_as_a_purge_that_came_too_late() -> None:
    h, call = listening()
    press(h, call)
    own = ev.CallPurged(at=h.now, call=call, kind="dnc", ref=opt_out_ref(call), reason="opt-out by key")
    assert not h.of(cmd.ReportPurge, h.feed(own))
    other = ev.CallPurged(at=h.now, call=call, kind="dnc", ref=MessageId("m1"), reason="asked by letter")
    assert [report.effect for report in h.of(cmd.ReportPurge, h.feed(other))] == ["too_late"]


def test_told_to_the_agent_the_talk_goes_on() -> None:
    h, call = talking()
    out = h.feed(ev.OptOutTold(at=h.now, call=call, scope="*", by="anna"))
    assert not h.of(cmd.HangUp, out)
    assert not h.of(cmd.AddDoNotCall, out), "whoever noted it has written it"
    (told,) = h.of(ntc.CallOptedOut, out)
    assert (told.scope, told.by, told.agent) == ("*", "anna", "anna")
    assert not h.of(cmd.ReportPurge, h.feed(
        ev.CallPurged(at=h.now, call=call, kind="dnc", ref=opt_out_ref(call), reason="")
    ))  # fmt: skip
    assert h.agent_state("anna") == "talking"
    h.advance(30.0)
    h.hang_up(call)
    attempt = h.ended()[call].attempt
    assert (attempt.outcome, attempt.opted_out) == (Outcome.CONNECTED, True)


def test_told_in_the_talk_and_noted_in_the_wrapup() -> None:
    h, call = talking()
    h.hang_up(call)
    assert h.agent_state("anna") == "wrapup"
    (told,) = h.of(ntc.CallOptedOut, h.feed(ev.OptOutTold(at=h.now, call=call, scope="*", by="anna")))
    assert (told.call, told.agent) == (call, "anna")
    assert h.of(ntc.EventIgnored, h.feed(ev.OptOutTold(at=h.now, call=CallId("ghost"), scope="*", by="anna")))
