"""Some of the calls taken for machines go to an agent, so that somebody knows how often detection errs."""

from __future__ import annotations

import pytest

from dialer.core import commands as cmd
from dialer.core import events as ev
from dialer.core import notices as ntc
from dialer.core.campaign import Campaign, MachineDetection
from dialer.core.ids import AgentId, CallId
from dialer.core.machine_sample import in_sample
from dialer.core.outcome import Outcome
from tests.engine_harness import CAMPAIGN, Harness


def detecting(share: float, verdict: ev.Verdict = ev.Verdict.MACHINE, *, pause: bool = False) -> tuple[Harness, CallId]:
    """A call that has been answered, and of which detection has said what it is."""
    detection = MachineDetection(unsure_is_human=False)
    h = Harness(Campaign(id=CAMPAIGN, method="progressive", machine_detection=detection, machine_sample_share=share))
    h.start("anna")
    h.advance(0.1)
    (call,) = h.calls()
    if pause:
        h.feed(ev.AgentPauseAsked(at=h.now, agent=AgentId("anna"), code="lunch"))
    h.answer(call)
    h.advance(0.8)
    h.feed(ev.MachineDetected(at=h.now, call=call, verdict=verdict, cause="LONGGREETING"))
    return h, call


@pytest.mark.parametrize("verdict", [ev.Verdict.MACHINE, ev.Verdict.UNSURE])
def test_a_sampled_call_goes_to_an_agent_and_says_so(verdict: ev.Verdict) -> None:
    h, call = detecting(1.0, verdict)
    assert [connect.call for connect in h.of(cmd.ConnectCall)] == [call]
    h.join(call)
    assert [notice.machine_sampled for notice in h.of(ntc.CallConnected)] == [True]
    h.advance(5.0)
    h.hang_up(call)
    attempt = h.ended()[call].attempt
    assert (attempt.outcome, attempt.machine_sampled, attempt.machine_verdict) == (Outcome.CONNECTED, True, verdict)


def test_outside_the_sample_a_machine_is_hung_up() -> None:
    h, call = detecting(0.0)
    assert not h.of(cmd.ConnectCall)
    assert h.of(cmd.HangUp)
    h.hang_up(call, by=ev.HungUpBy.DIALER)
    attempt = h.ended()[call].attempt
    assert (attempt.outcome, attempt.machine_sampled) == (Outcome.MACHINE, False)


def test_a_person_is_never_in_the_sample() -> None:
    h, call = detecting(1.0, ev.Verdict.HUMAN)
    h.join(call)
    h.hang_up(call)
    assert not h.ended()[call].attempt.machine_sampled


def test_a_sampled_call_that_no_agent_took_is_a_machine_and_no_abandoned_person() -> None:
    h, call = detecting(1.0, pause=True)
    out = h.advance(2.0)
    assert not h.of(cmd.PlayMessage, out)
    assert not h.of(ntc.CallWasAbandoned, out)
    assert h.of(cmd.HangUp, out)
    h.hang_up(call, by=ev.HungUpBy.DIALER)
    attempt = h.ended()[call].attempt
    assert (attempt.outcome, attempt.machine_sampled) == (Outcome.MACHINE, False)


@pytest.mark.parametrize("share", [0.02, 0.3])
def test_the_sample_has_its_size_and_is_the_same_whenever_it_is_asked_for(share: float) -> None:
    calls = [CallId(f"n1-boot-{number}") for number in range(20_000)]
    chosen = [call for call in calls if in_sample(call, share)]
    spread = (20_000 * share * (1 - share)) ** 0.5
    assert abs(len(chosen) - 20_000 * share) < 4 * spread
    assert chosen == [call for call in calls if in_sample(call, share)]
    assert not [call for call in calls if in_sample(call, 0.0)]
    assert all(in_sample(call, 1.0) for call in calls)
