"""A phone rings for as long as the law wants, counted from its first ringing, and no longer than the campaign does."""

from __future__ import annotations

import pytest

from dialer.core import commands as cmd
from dialer.core import events as ev
from dialer.core import notices as ntc
from dialer.core.campaign import Campaign
from dialer.core.ids import CallId
from dialer.core.outcome import Outcome
from dialer.core.ringing import MIN_RING_S, SETUP_S, outer_limit_s, rings_for_s, silent_for_s
from tests.engine_harness import CAMPAIGN, PBX, Harness


def dialing(ring_timeout_s: float = 20.0) -> tuple[Harness, CallId]:
    h = Harness(Campaign(id=CAMPAIGN, method="progressive", ring_timeout_s=ring_timeout_s))
    h.start("anna")
    h.advance(0.1)
    (call,) = h.calls()
    return h, call


def hung_up(h: Harness, seconds: float) -> bool:
    """Whether the call is told to end in this time."""
    return bool(h.of(cmd.HangUp, h.advance(seconds)))


@pytest.mark.parametrize("post_dial_s", [0.0, 2.5, 12.0, 19.8])
@pytest.mark.parametrize(("ring_timeout_s", "rings_s"), [(20.0, 20.0), (15.0, 15.0), (3.0, MIN_RING_S)])
def test_the_time_out_counts_from_the_first_ringing(post_dial_s: float, ring_timeout_s: float, rings_s: float) -> None:
    h, call = dialing(ring_timeout_s)
    h.advance(post_dial_s)
    h.feed(ev.CallRinging(at=h.now, call=call))
    assert not hung_up(h, rings_s - 0.01)
    assert hung_up(h, 0.02)
    h.hang_up(call, cause=16, by=ev.HungUpBy.DIALER)
    attempt = h.ended()[call].attempt
    assert (attempt.outcome, attempt.reason) == (Outcome.NO_ANSWER, "ring time-out")
    assert attempt.ringing_at is not None
    assert attempt.ended_at - attempt.ringing_at >= rings_s
    assert h.ended()[call].retry_at is not None


def test_ringing_that_is_told_twice_does_not_ring_longer() -> None:
    h, call = dialing(20.0)
    h.feed(ev.CallRinging(at=h.now, call=call))
    h.advance(10.0)
    h.feed(ev.CallRinging(at=h.now, call=call))
    h.feed(ev.CallRinging(at=h.now, call=call, alerting=False))
    assert not hung_up(h, 9.9)
    assert hung_up(h, 0.2)


def test_an_announcement_before_the_ringing_is_not_ringing() -> None:
    h, call = dialing(20.0)
    h.feed(ev.CallRinging(at=h.now, call=call, alerting=False))
    h.advance(18.0)
    h.feed(ev.CallRinging(at=h.now, call=call))
    rang_at = h.now
    assert not hung_up(h, 19.9)
    assert hung_up(h, 0.2)
    h.hang_up(call, by=ev.HungUpBy.DIALER)
    assert h.ended()[call].attempt.ringing_at == rang_at
    assert len(h.of(ntc.CallRang)) == 1


def test_early_media_alone_counts_as_ringing() -> None:
    """Many carriers let the ringing tone be heard and say no more."""
    h, call = dialing(20.0)
    h.feed(ev.CallRinging(at=h.now, call=call, alerting=False))
    assert not hung_up(h, 19.9)
    assert hung_up(h, 0.2)
    h.hang_up(call, by=ev.HungUpBy.DIALER)
    assert h.ended()[call].attempt.outcome is Outcome.NO_ANSWER


def test_a_silent_carrier_is_given_up_and_it_is_the_carriers_fault() -> None:
    h, call = dialing(20.0)
    assert not hung_up(h, 20.0 + SETUP_S - 0.2)
    assert hung_up(h, 0.3)
    h.hang_up(call, cause=0, by=ev.HungUpBy.DIALER)
    attempt = h.ended()[call].attempt
    assert (attempt.outcome, attempt.reason) == (Outcome.CONGESTION, "no ringing")


def test_asterisks_own_limit_never_comes_before_ours() -> None:
    for ring_timeout_s in (0.0, 15.0, 25.0, 120.0):
        latest_ringing_s = silent_for_s(ring_timeout_s)
        assert outer_limit_s(ring_timeout_s) > latest_ringing_s + rings_for_s(ring_timeout_s)
    h, _ = dialing(25.0)
    assert h.of(cmd.Originate)[0].outer_limit_s == outer_limit_s(25.0)


def test_who_picks_up_in_the_moment_of_giving_up_was_abandoned() -> None:
    h, call = dialing(20.0)
    h.feed(ev.CallRinging(at=h.now, call=call))
    assert hung_up(h, 20.0)
    out = h.answer(call)
    assert not h.of(cmd.ConnectCall, out)
    assert h.of(cmd.HangUp, out)
    out = h.hang_up(call, by=ev.HungUpBy.DIALER)
    assert h.ended()[call].attempt.outcome is Outcome.ABANDONED
    assert len(h.of(ntc.CallWasAbandoned, out)) == 1


def test_a_removal_while_it_rings_is_no_time_out() -> None:
    h, call = dialing(20.0)
    h.feed(ev.CallRinging(at=h.now, call=call))
    h.feed(ev.HangupAsked(at=h.now, call=call, by="supervisor"))
    h.advance(21.0)
    h.hang_up(call, by=ev.HungUpBy.DIALER)
    assert h.ended()[call].attempt.outcome is Outcome.CANCELLED


def test_the_end_is_asked_for_until_it_comes() -> None:
    """A hang-up that was lost must not let a number be called a second time while it rings."""
    h, call = dialing(15.0)
    h.feed(ev.CallRinging(at=h.now, call=call))
    assert hung_up(h, 15.0)
    asked = h.of(cmd.HangUp, h.advance(10.0))
    assert len(asked) >= 5
    assert set(asked) == {cmd.HangUp(call=call, server=PBX)}
    assert call not in h.ended()
    h.advance(outer_limit_s(15.0))
    assert h.ended()[call].attempt.outcome is Outcome.LOST


def test_no_ringing_is_not_cut_while_its_server_is_away() -> None:
    h, call = dialing(15.0)
    h.feed(ev.ServerLost(at=h.now, server=PBX, reason="x"))
    assert not hung_up(h, 60.0)
    h.feed(ev.ServerConnected(at=h.now, server=PBX, calls=frozenset({call}), agents=frozenset()))
    # It was found ringing, and nobody knows since when: its time begins now.
    h.feed(ev.CallRinging(at=h.now, call=call))
    assert not hung_up(h, 14.9)
    assert hung_up(h, 0.2)
