"""Guaranteed calls: the agent first, then the gate, then the phone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dialer.core import commands as cmd
from dialer.core import events as ev
from dialer.core import notices as ntc
from dialer.core.campaign import Campaign, CampaignState, MachineDetection, RetryRule
from dialer.core.decision import Decision, DecisionKind
from dialer.core.floor import Output
from dialer.core.hold_desk import ASK_AGAIN_S, GRANT_TIMEOUT_S
from dialer.core.ids import AgentId, CallId, ContactId, MessageId, Phone, ServerName
from dialer.core.outcome import Outcome
from dialer.core.promise import Due
from tests.engine_harness import CAMPAIGN, PBX, Harness

ANA = AgentId("ana")


class Desk(Harness):
    """A floor whose hopper has nobody for the pacer: what is called was promised or asked for."""

    def _settle(self, outputs: list[Output]) -> list[Output]:
        wanted = [output for output in outputs if isinstance(output, cmd.RequestPermits)]
        others: list[Output] = [output for output in outputs if not isinstance(output, cmd.RequestPermits)]
        for request in wanted:
            nobody = ev.PermitsGranted(
                at=self.now,
                campaign=request.campaign,
                requested=request.count,
                permits=(),
                refusals=ev.Refusals(),
                ready=0,
                later=0,
            )
            others += self._settle(self.engine.handle(nobody))
        return super()._settle(others)

    def due(self, *contacts: str, agent: str | None = None, until_s: float = 3_600.0) -> None:
        """What is due is looked up."""
        whose = None if agent is None else AgentId(agent)
        found = tuple(
            Due(contact=ContactId(c), agent=whose, due_at=self.now - 10 + n, until_at=self.now + until_s)
            for n, c in enumerate(contacts)
        )
        self.feed(ev.ContactsDue(at=self.now, campaign=CAMPAIGN, due=found))

    def ask(self, agent: str, contact: str = "crm-77", ref: str = "r1") -> ntc.CallRequestAnswered | None:
        """Somebody wants a call for an agent; the answer, if it is there."""
        before = len(self.of(ntc.CallRequestAnswered))
        event = ev.CallAsked(
            at=self.now, agent=AgentId(agent), campaign=CAMPAIGN, contact=ContactId(contact), ref=MessageId(ref)
        )
        self.feed(event)
        answers = self.of(ntc.CallRequestAnswered)[before:]
        assert len(answers) <= 1
        return answers[0] if answers else None

    def asked(self) -> list[tuple[str, str]]:
        """Who was asked for, and for whom."""
        return [(r.contact, r.agent) for r in self.of(cmd.RequestContact)]

    def only_call(self) -> CallId:
        (call,) = self.calls()
        return call


def desk(*agents: str, campaign: Campaign | None = None) -> Desk:
    """A running campaign with an empty hopper: the gate has permits for what is asked for by name alone."""
    made = Desk(campaign)
    made.start(*agents)
    return made


def test_a_due_callback_is_called_for_its_agent_and_they_are_joined_at_once() -> None:
    floor = desk("bea", "ana")
    floor.due("crm-1", agent="ana")
    assert floor.asked() == [("crm-1", "ana")]
    assert floor.agent_state("ana") == "reserved"
    call = floor.only_call()
    assert floor.of(cmd.Originate)[0].server == PBX
    out = floor.answer(call)
    (connect,) = [o for o in out if isinstance(o, cmd.ConnectCall)]
    assert connect.agent == "ana"
    floor.join(call)
    assert floor.agent_state("ana") == "talking"
    assert floor.agent_state("bea") == "idle"
    floor.hang_up(call)
    assert floor.agent_state("ana") == "wrapup"
    assert floor.ended()[call].attempt.outcome is Outcome.CONNECTED


def test_the_attempt_says_who_asked_for_the_call_and_nothing_of_a_callback() -> None:
    floor = desk("ana")
    floor.feed(
        ev.CallAsked(
            at=floor.now, agent=ANA, campaign=CAMPAIGN, contact=ContactId("crm-7"), ref=MessageId("r"), by="key:4f2a"
        )
    )
    asked_at, asked = floor.now, floor.only_call()
    floor.advance(3)
    floor.hang_up(asked)
    floor.due("crm-1")
    (due,) = (call for call in floor.calls() if call != asked)
    floor.hang_up(due)
    decision = Decision(kind=DecisionKind.ASKED, at=asked_at, by="key:4f2a")
    assert [floor.ended()[call].attempt.decision for call in (asked, due)] == [decision, None]


def test_a_callback_of_somebody_who_is_not_here_is_left_alone() -> None:
    floor = desk("bea")
    floor.due("crm-1", agent="ana")
    assert floor.asked() == []
    floor.due("crm-1")
    assert floor.asked() == [("crm-1", "bea")]


def test_a_callback_due_while_its_agent_talks_waits_for_the_end_of_the_talk() -> None:
    floor = desk("ana")
    floor.due("crm-1", agent="ana")
    first = floor.only_call()
    floor.answer(first)
    floor.join(first)
    floor.due("crm-2", agent="ana")
    assert len(floor.asked()) == 1
    floor.hang_up(first)
    assert len(floor.asked()) == 1
    floor.feed(ev.AgentReadied(at=floor.now, agent=ANA))
    assert floor.asked()[1:] == [("crm-2", "ana")]


def test_ones_own_callback_comes_before_an_older_one_of_anybodys() -> None:
    floor = desk()
    due = (
        Due(contact=ContactId("crm-1"), agent=None, due_at=floor.now - 60, until_at=floor.now),
        Due(contact=ContactId("crm-2"), agent=ANA, due_at=floor.now - 5, until_at=floor.now),
        Due(contact=ContactId("crm-3"), agent=ANA, due_at=floor.now - 9, until_at=floor.now),
    )
    floor.feed(ev.ContactsDue(at=floor.now, campaign=CAMPAIGN, due=due))
    floor.sign_in("ana")
    floor.sign_in("bea")
    floor.sign_in("eva")
    assert floor.asked() == [("crm-3", "ana"), ("crm-1", "bea")]


def test_two_idle_agents_do_not_ask_for_one_contact() -> None:
    floor = desk("ana", "bea")
    floor.grant = False
    floor.due("crm-1")
    floor.due("crm-1")
    assert len(floor.asked()) == 1
    assert sorted(map(floor.agent_state, ("ana", "bea"))) == ["idle", "reserved"]


def test_the_pacer_is_told_that_a_held_agent_is_away() -> None:
    floor = desk("ana", "bea")
    pacer = floor.engine.floor.campaigns[CAMPAIGN].pacers[PBX]
    assert pacer.snapshot()["idle"] == 2
    floor.due("crm-1", agent="ana")
    shown = pacer.snapshot()
    assert (shown["idle"], shown["in_flight"]) == (1, 0)
    call = floor.only_call()
    floor.answer(call)
    floor.join(call)
    assert pacer.snapshot()["talking"] == 1
    floor.hang_up(call)
    floor.feed(ev.AgentReadied(at=floor.now, agent=ANA))
    shown = pacer.snapshot()
    assert (shown["idle"], shown["ignored_events"]) == (2, pacer.snapshot()["ignored_events"])


def test_the_pacer_starts_no_call_for_a_talk_that_a_promise_follows() -> None:
    floor = desk("ana")
    floor.due("crm-1", agent="ana")
    call = floor.only_call()
    floor.answer(call)
    floor.join(call)
    floor.due("crm-2", agent="ana")
    pacer = floor.engine.floor.campaigns[CAMPAIGN].pacers[PBX]
    assert pacer.snapshot()["leaving"] == 1
    floor.due()
    assert pacer.snapshot()["leaving"] == 0


def test_a_contact_that_is_refused_lets_the_agent_go_and_is_not_asked_for_at_once() -> None:
    floor = desk("ana")
    floor.refused["crm-1"] = "hours"
    floor.due("crm-1")
    assert floor.agent_state("ana") == "idle"
    floor.due("crm-1")
    assert len(floor.asked()) == 1
    floor.advance(ASK_AGAIN_S)
    floor.refused.clear()
    floor.due("crm-1")
    assert len(floor.asked()) == 2
    assert floor.agent_state("ana") == "reserved"


def test_a_gate_that_does_not_answer_lets_the_agent_go_and_its_late_permit_goes_back() -> None:
    floor = desk("ana")
    floor.grant = False
    floor.due("crm-1")
    (request,) = floor.of(cmd.RequestContact)
    floor.due()
    floor.advance(GRANT_TIMEOUT_S - 0.1)
    assert floor.agent_state("ana") == "reserved"
    floor.advance(0.2)
    assert floor.agent_state("ana") == "idle"
    out = floor.feed(floor.answer_to(request, waited_until=5.0))
    (back,) = [o for o in out if isinstance(o, cmd.ReturnPermit)]
    assert (back.permit.contact, back.not_before_at) == ("crm-1", 5.0)
    assert floor.calls() == []


def test_nobody_picks_up_and_the_agent_is_idle_again() -> None:
    floor = desk("ana")
    floor.due("crm-1", agent="ana")
    call = floor.only_call()
    floor.hang_up(call, cause=17, by=ev.HungUpBy.NETWORK)
    assert floor.agent_state("ana") == "idle"
    (done,) = floor.of(cmd.FinishCall)
    assert done.attempt.outcome is Outcome.BUSY
    assert done.retry_at is not None


def test_attempts_do_not_run_out_before_the_promise_does() -> None:
    floor = desk("ana", campaign=Campaign(id=CAMPAIGN, method="progressive", max_attempts=1))
    floor.due("crm-1", agent="ana")
    floor.hang_up(floor.only_call(), cause=17)
    (done,) = floor.of(cmd.FinishCall)
    assert done.retry_at == floor.now + 15 * 60
    floor.advance(60)
    floor.due("crm-2", agent="ana", until_s=60)
    floor.hang_up(floor.only_call(), cause=17)
    assert floor.of(cmd.FinishCall)[1].retry_at is None


def test_a_pause_asked_for_meanwhile_comes_when_the_hold_is_over() -> None:
    floor = desk("ana")
    floor.due("crm-1", agent="ana")
    floor.feed(ev.AgentPauseAsked(at=floor.now, agent=ANA, code="lunch"))
    assert floor.agent_state("ana") == "reserved"
    floor.hang_up(floor.only_call(), cause=17)
    assert floor.agent_state("ana") == "paused"
    floor.due("crm-2", agent="ana")
    assert len(floor.asked()) == 1


def test_somebody_who_goes_home_in_the_middle_of_a_hold_goes_when_it_is_over() -> None:
    floor = desk("ana")
    floor.due("crm-1", agent="ana")
    floor.feed(ev.AgentSignedOut(at=floor.now, agent=ANA))
    call = floor.only_call()
    floor.answer(call)
    floor.join(call)
    assert floor.agent_state("ana") == "talking"
    floor.hang_up(call)
    assert floor.agent_state("ana") == "signed_out"


def test_the_agents_phone_vanishes_and_the_call_is_hung_up_while_it_rings() -> None:
    floor = desk("ana")
    floor.due("crm-1", agent="ana")
    call = floor.only_call()
    out = floor.feed(ev.AgentPhoneGone(at=floor.now, agent=ANA, reason="hung up"))
    assert [o.call for o in out if isinstance(o, cmd.HangUp)] == [call]
    assert floor.agent_state("ana") == "lost"
    floor.hang_up(call)
    (done,) = floor.of(cmd.FinishCall)
    assert done.attempt.outcome is Outcome.CANCELLED
    assert done.retry_at is not None


def test_the_agents_phone_vanishes_and_another_who_is_idle_takes_the_call() -> None:
    floor = desk("ana", "bea")
    floor.due("crm-1", agent="ana")
    call = floor.only_call()
    out = floor.feed(ev.AgentPhoneGone(at=floor.now, agent=ANA, reason="hung up"))
    assert not [o for o in out if isinstance(o, cmd.HangUp)]
    assert floor.agent_state("bea") == "reserved"
    out = floor.answer(call)
    assert [o.agent for o in out if isinstance(o, cmd.ConnectCall)] == ["bea"]
    floor.join(call)
    assert floor.agent_state("bea") == "talking"


def test_the_agents_phone_vanishes_before_the_gate_has_answered() -> None:
    floor = desk("ana")
    floor.grant = False
    floor.due("crm-1", agent="ana")
    (request,) = floor.of(cmd.RequestContact)
    floor.feed(ev.AgentPhoneGone(at=floor.now, agent=ANA, reason="hung up"))
    out = floor.feed(floor.answer_to(request))
    assert [o.permit.contact for o in out if isinstance(o, cmd.ReturnPermit)] == ["crm-1"]
    assert not floor.of(cmd.Originate)


def test_the_agents_phone_vanishes_in_the_moment_of_the_answer() -> None:
    floor = desk("ana")
    floor.due("crm-1", agent="ana")
    call = floor.only_call()
    floor.answer(call)
    floor.feed(ev.AgentPhoneGone(at=floor.now, agent=ANA, reason="hung up"))
    assert floor.engine.floor.calls[call].state.value == "waiting"
    floor.sign_in("bea")
    assert [o.agent for o in floor.of(cmd.ConnectCall)] == ["ana", "bea"]


@pytest.mark.parametrize(
    ("because", "told"),
    [
        ("not_connected", "server_not_connected"),
        ("permit_expired", "try_again"),
        ("backpressure", "try_again"),
    ],
)
def test_an_originate_that_is_not_sent_lets_the_agent_go(because: str, told: str) -> None:
    floor = desk("ana")
    floor.send, floor.not_sent_because = False, because
    answer = floor.ask("ana")
    assert answer is not None
    assert answer.reason == told
    assert floor.agent_state("ana") == "idle"
    assert [o.permit.contact for o in floor.of(cmd.ReturnPermit)] == ["crm-77"]


def test_without_a_line_nothing_is_started_and_the_contact_waits_as_it_did() -> None:
    floor = desk("ana")
    floor.grant = False
    assert floor.ask("ana") is None
    (request,) = floor.of(cmd.RequestContact)
    floor.engine.floor.trunks._trunks.clear()
    later = floor.now + 900
    floor.feed(floor.answer_to(request, waited_until=later))
    assert [o.not_before_at for o in floor.of(cmd.ReturnPermit)] == [later]
    assert floor.of(ntc.CallRequestAnswered)[0].reason == "no_line"
    assert floor.agent_state("ana") == "idle"


def test_no_machine_is_listened_for_where_an_agent_listens() -> None:
    floor = desk("ana", campaign=Campaign(id=CAMPAIGN, method="progressive", machine_detection=MachineDetection()))
    floor.due("crm-1")
    assert floor.of(cmd.Originate)[0].machine_detection is None
    out = floor.answer(floor.only_call())
    assert [o.agent for o in out if isinstance(o, cmd.ConnectCall)] == ["ana"]


@pytest.mark.parametrize("needs_agent", [False, True])
def test_whoever_was_abandoned_is_called_next_as_the_campaign_has_it(needs_agent: bool) -> None:
    rule = RetryRule(delay_s=60, max_attempts=3, needs_agent=needs_agent)
    floor = desk("ana", campaign=Campaign(id=CAMPAIGN, method="progressive", retries={Outcome.ABANDONED: rule}))
    floor.due("crm-1", until_s=0)
    call = floor.only_call()
    floor.answer(call)
    floor.feed(ev.AgentPhoneGone(at=floor.now, agent=ANA, reason="hung up"))
    floor.advance(2.5)
    floor.hang_up(call)
    (done,) = floor.of(cmd.FinishCall)
    assert done.attempt.outcome is Outcome.ABANDONED
    assert (done.retry_at, done.needs_agent) == (floor.now + 60, needs_agent)


# ---- click to call


def test_an_idle_agent_asks_for_a_call_and_gets_it() -> None:
    floor = desk("ana", "bea")
    answer = floor.ask("bea")
    call = floor.only_call()
    assert answer == ntc.CallRequestAnswered(at=floor.now, ref=MessageId("r1"), call=call)
    floor.answer(call)
    floor.join(call)
    assert floor.agent_state("bea") == "talking"


def test_a_refusal_by_hours_is_told_with_its_time_and_the_agent_is_as_before() -> None:
    floor = desk("ana")
    floor.grant = False
    floor.ask("ana")
    (request,) = floor.of(cmd.RequestContact)
    floor.refused["crm-77"] = "hours"
    floor.feed(floor.answer_to(request, retry_at=floor.now + 3_600))
    assert floor.of(ntc.CallRequestAnswered) == [
        ntc.CallRequestAnswered(at=floor.now, ref=MessageId("r1"), reason="hours", retry_at=floor.now + 3_600)
    ]
    assert floor.agent_state("ana") == "idle"


def test_somebody_who_pauses_may_ask_and_pauses_again_afterwards() -> None:
    floor = desk("ana")
    floor.feed(ev.AgentPauseAsked(at=floor.now, agent=ANA, code="mail"))
    assert floor.ask("ana") is not None
    assert floor.agent_state("ana") == "reserved"
    call = floor.only_call()
    floor.answer(call)
    floor.join(call)
    floor.hang_up(call)
    assert floor.agent_state("ana") == "wrapup"
    floor.feed(ev.CallDisposed(at=floor.now, call=call, code="DONE"))
    assert floor.agent_state("ana") == "paused"
    agent = floor.engine.floor.roster.get(ANA)
    assert agent is not None
    assert agent.pause_code == "mail"


def test_somebody_who_wraps_up_may_ask_and_wraps_up_that_call_again_if_nobody_answers() -> None:
    floor = desk("ana")
    floor.due("crm-1")
    first = floor.only_call()
    floor.answer(first)
    floor.join(first)
    floor.hang_up(first)
    floor.due()
    floor.advance(20)
    assert floor.ask("ana") is not None
    assert floor.agent_state("ana") == "reserved"
    floor.advance(10)
    floor.hang_up(floor.only_call(), cause=17)
    assert floor.agent_state("ana") == "wrapup"
    agent = floor.engine.floor.roster.get(ANA)
    assert agent is not None
    assert agent.call == first
    floor.advance(39)
    assert floor.agent_state("ana") == "wrapup"
    floor.advance(2)
    assert floor.agent_state("ana") == "idle"


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ("talking", "agent_busy"),
        ("held", "agent_busy"),
        ("lost", "agent_not_there"),
        ("nobody", "agent_not_there"),
        ("paused campaign", "campaign_not_running"),
        ("of another campaign", "agent_not_of_campaign"),
        ("no server", "server_not_connected"),
    ],
)
def test_whoever_cannot_be_called_for_is_told_why(state: str, reason: str) -> None:
    floor = desk("ana")
    match state:
        case "talking":
            floor.due("crm-1")
            floor.answer(floor.only_call())
            floor.join(floor.only_call())
        case "held":
            floor.due("crm-1")
        case "lost":
            floor.feed(ev.AgentPhoneGone(at=floor.now, agent=ANA, reason="hung up"))
        case "paused campaign":
            floor.feed(ev.CampaignOrdered(at=floor.now, campaign=CAMPAIGN, state=CampaignState.PAUSED))
        case "of another campaign":
            floor.sign_in("ana", campaigns=())
        case "no server":
            floor.feed(ev.ServerLost(at=floor.now, server=ServerName("pbx"), reason="gone"))
        case _:
            pass
    before = len(floor.asked())
    answer = floor.ask("eva" if state == "nobody" else "ana")
    assert answer is not None
    assert (answer.call, answer.reason) == (None, reason)
    assert len(floor.asked()) == before


def test_a_lent_contact_is_called_this_once() -> None:
    floor = desk("ana")
    floor.grant = False
    floor.ask("ana")
    (request,) = floor.of(cmd.RequestContact)
    floor.feed(floor.answer_to(request, lent=True))
    floor.hang_up(floor.only_call(), cause=17)
    (done,) = floor.of(cmd.FinishCall)
    assert (done.attempt.outcome, done.retry_at) == (Outcome.BUSY, None)


def test_a_campaign_that_stops_ends_what_was_asked_for_too() -> None:
    floor = desk("ana")
    floor.ask("ana")
    call = floor.only_call()
    out = floor.feed(ev.CampaignOrdered(at=floor.now, campaign=CAMPAIGN, state=CampaignState.STOPPED))
    assert [o.call for o in out if isinstance(o, cmd.HangUp)] == [call]
    floor.hang_up(call)
    assert floor.agent_state("ana") == "idle"
    run = floor.engine.floor.campaigns[CAMPAIGN]
    assert (run.unanswered.total(), run.reserved, run.calls) == (0, 0, set())


def test_a_campaign_paused_between_hold_and_permit_calls_nobody() -> None:
    floor = desk("ana")
    floor.grant = False
    floor.ask("ana")
    (request,) = floor.of(cmd.RequestContact)
    floor.feed(ev.CampaignOrdered(at=floor.now, campaign=CAMPAIGN, state=CampaignState.PAUSED))
    floor.feed(floor.answer_to(request))
    assert not floor.of(cmd.Originate)
    assert [o.permit.contact for o in floor.of(cmd.ReturnPermit)] == ["crm-77"]
    assert floor.of(ntc.CallRequestAnswered)[0].reason == "campaign_not_running"


def test_without_a_number_to_show_nothing_is_started() -> None:
    from dialer.core.caller_ids import CallerId

    one = CallerId(number=Phone("+34910000001"), max_calls_per_day=1)
    floor = desk("ana", "bea", campaign=Campaign(id=CAMPAIGN, method="progressive", caller_ids=(one,)))
    assert floor.ask("ana") is not None
    answer = floor.ask("bea", "crm-78")
    assert answer is not None
    assert answer.reason == "no_caller_id"
    assert replace(answer, reason="").call is None
