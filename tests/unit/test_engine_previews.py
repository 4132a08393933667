"""Preview dialing: shown first, called with consent alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dialer.core import commands as cmd
from dialer.core import events as ev
from dialer.core import notices as ntc
from dialer.core.campaign import Campaign, CampaignState, PreviewExpiry
from dialer.core.decision import Decision, DecisionKind
from dialer.core.ids import AgentId, CampaignId, ContactId, MessageId
from dialer.core.outcome import Outcome
from dialer.core.preview_desk import KEEP_MARGIN_S, UNANSWERED
from dialer.core.promise import Due
from tests.engine_harness import CAMPAIGN, PBX
from tests.preview_harness import PREVIEWED, PreviewFloor

ANA = AgentId("ana")


def floor_of(*agents: str, contacts: int = 10, **changes: object) -> PreviewFloor:
    floor = PreviewFloor(replace(PREVIEWED, **changes), contacts=contacts)  # type: ignore[arg-type]
    floor.start(*agents)
    return floor


def ends(floor: PreviewFloor) -> list[tuple[str, str]]:
    return [(closed.end.value, closed.reason) for closed in floor.of(ntc.OfferClosed)]


def test_an_idle_agent_is_shown_a_contact_and_nobody_is_called() -> None:
    floor = floor_of("ana", screen_pop="https://crm.example/{id}?debt={debt}")
    [shown] = floor.of(ntc.ContactWasOffered)
    assert (shown.agent, shown.offer.contact, shown.offer.fields["debt"]) == ("ana", "crm-1", 100)
    assert shown.url == "https://crm.example/crm-1?debt=100"
    assert shown.answer_by_at == floor.now + PREVIEWED.preview_s
    assert floor.agent_state("ana") == "reserved"
    floor.advance(PREVIEWED.preview_s - 1)
    assert not floor.of(cmd.Originate)
    assert not floor.of(cmd.RequestContact)
    assert floor.asked_for_s == {PREVIEWED.preview_s + KEEP_MARGIN_S}


def test_with_consent_the_gate_is_asked_for_this_contact_and_number_and_the_agent_is_joined() -> None:
    floor = floor_of("ana")
    answer = floor.answer_offer("ana", consent=True)
    [asked] = floor.of(cmd.RequestContact)
    assert (asked.contact, asked.phone, asked.agent) == ("crm-1", "+34600000001", "ana")
    assert asked.kept_until == floor.offers["crm-1"].kept_until
    [call] = floor.calls()
    assert answer.call == call
    assert ends(floor) == [("called", "")]
    out = floor.answer(call)
    assert [o.agent for o in floor.of(cmd.ConnectCall, out)] == ["ana"]
    floor.join(call)
    assert floor.agent_state("ana") == "talking"
    floor.hang_up(call)
    assert floor.ended()[call].attempt.outcome is Outcome.CONNECTED
    floor.feed(ev.AgentReadied(at=floor.now, agent=ANA))
    assert floor.shown("ana") == "crm-2"


def test_a_call_that_nobody_answers_leads_to_the_next_contact() -> None:
    floor = floor_of("ana")
    floor.answer_offer("ana", consent=True)
    floor.hang_up(floor.calls()[0], by=ev.HungUpBy.NETWORK, cause=19)
    assert floor.shown("ana") == "crm-2"


def test_a_contact_that_is_skipped_goes_back_for_a_while_and_the_next_one_is_shown() -> None:
    floor = floor_of("ana", preview_skip_s=600.0)
    answer = floor.answer_offer("ana", consent=False, reason="called yesterday")
    assert (answer.call, answer.reason) == (None, "")
    [back] = floor.of(cmd.ReturnOffer)
    assert (back.contact, back.not_before_at) == ("crm-1", floor.now + 600)
    assert back.kept_until == floor.offers["crm-1"].kept_until
    assert ends(floor) == [("skipped", "called yesterday")]
    assert floor.shown("ana") == "crm-2"
    assert not floor.of(cmd.Originate)


def test_what_is_not_answered_in_time_goes_back_at_once_and_is_not_called() -> None:
    floor = floor_of("ana")
    floor.advance(PREVIEWED.preview_s)
    assert ends(floor) == [("expired", "")]
    assert [back.not_before_at for back in floor.of(cmd.ReturnOffer)] == [None]
    assert floor.shown("ana") == "crm-2"
    assert not floor.of(cmd.Originate)


def test_an_agent_who_says_nothing_time_and_again_is_paused() -> None:
    floor = floor_of("ana", preview_pause_after=3)
    floor.advance(PREVIEWED.preview_s * 2)
    floor.answer_offer("ana", consent=False)
    floor.advance(PREVIEWED.preview_s * 2)
    assert floor.agent_state("ana") == "reserved", "they have said something in between"
    floor.advance(PREVIEWED.preview_s)
    assert floor.agent_state("ana") == "paused"
    assert floor.of(ntc.AgentChanged)[-1].reason == UNANSWERED
    assert len(floor.of(cmd.ReturnOffer)) == len(floor.of(ntc.ContactWasOffered)) == 6
    floor.feed(ev.AgentReadied(at=floor.now, agent=ANA))
    floor.advance(PREVIEWED.preview_s)
    assert floor.agent_state("ana") == "reserved", "the count begins anew"


@pytest.mark.parametrize(("says_so", "kind", "by"), [(True, "consented", "user:bo"), (False, "expired", "")])
def test_the_attempt_says_whether_somebody_consented_and_when(says_so: bool, kind: str, by: str) -> None:
    floor = floor_of("ana", preview_on_expiry=PreviewExpiry.CALL)
    decided_at = floor.now + (0.0 if says_so else PREVIEWED.preview_s)
    if says_so:
        consent = ev.OfferAnswered(
            at=floor.now, agent=ANA, contact=ContactId("crm-1"), consent=True, ref=MessageId("r"), by="user:bo"
        )
        floor.feed(consent)
    else:
        floor.advance(PREVIEWED.preview_s)
    [call] = floor.calls()
    floor.hang_up(call, by=ev.HungUpBy.NETWORK, cause=19)
    assert floor.of(cmd.FinishCall)[0].attempt.decision == Decision(kind=DecisionKind(kind), at=decided_at, by=by)


def test_a_campaign_may_call_what_is_not_answered_but_not_for_an_agent_who_is_not_there() -> None:
    floor = floor_of("ana", preview_on_expiry=PreviewExpiry.CALL, preview_pause_after=2)
    floor.advance(PREVIEWED.preview_s)
    [call] = floor.calls()
    floor.hang_up(call, by=ev.HungUpBy.NETWORK, cause=19)
    floor.advance(PREVIEWED.preview_s)
    assert floor.agent_state("ana") == "paused"
    assert len(floor.of(cmd.Originate)) == 1
    assert ends(floor) == [("called", ""), ("expired", "")]


def test_a_consent_that_the_gate_refuses_tells_the_agent_why_and_nobody_is_called() -> None:
    floor = floor_of("ana")
    floor.refused["crm-1"] = "removed"
    answer = floor.answer_offer("ana", consent=True)
    assert (answer.call, answer.reason) == (None, "removed")
    assert ends(floor) == [("refused", "removed")]
    assert not floor.of(cmd.Originate)
    assert floor.shown("ana") == "crm-2"


@pytest.mark.parametrize("consent", [True, False])
def test_an_answer_about_another_contact_than_the_one_shown_does_nothing(consent: bool) -> None:
    floor = floor_of("ana")
    floor.advance(PREVIEWED.preview_s)
    answer = floor.answer_offer("ana", consent=consent, contact="crm-1")
    assert answer.reason == "no_such_offer"
    assert floor.shown("ana") == "crm-2"
    assert floor.answer_offer("nobody", consent=consent, contact="crm-2").reason == "no_such_offer"


def test_a_second_consent_is_told_that_there_is_nothing_to_consent_to() -> None:
    floor = floor_of("ana")
    assert floor.answer_offer("ana", consent=True).call is not None
    assert floor.answer_offer("ana", consent=True, contact="crm-1").reason == "no_such_offer"
    assert len(floor.of(cmd.Originate)) == 1


def test_two_agents_are_shown_two_contacts_and_nobody_is_shown_twice() -> None:
    floor = floor_of("ana", "bea", "eva", contacts=2)
    shown = [(n.agent, n.offer.contact) for n in floor.of(ntc.ContactWasOffered)]
    assert sorted(contact for _, contact in shown) == ["crm-1", "crm-2"]
    assert sorted(floor.agent_state(agent) for agent in ("ana", "bea", "eva")) == ["idle", "reserved", "reserved"]


def test_a_new_contact_in_an_empty_list_is_shown_within_a_second() -> None:
    floor = floor_of("ana", contacts=0)
    floor.advance(30)
    before = len(floor.of(cmd.RequestOffers))
    assert before < 70, "the gate is not asked time and again"
    floor.left = 1
    floor.advance(1.0)
    assert floor.shown("ana") == "crm-1"


@pytest.mark.parametrize("state", [CampaignState.PAUSED, CampaignState.DRAINING, CampaignState.STOPPED])
def test_a_campaign_that_stops_takes_its_offers_back(state: CampaignState) -> None:
    floor = floor_of("ana", "bea")
    floor.feed(ev.CampaignOrdered(at=floor.now, campaign=CAMPAIGN, state=state))
    assert ends(floor) == [("withdrawn", "campaign_not_running")] * 2
    assert [floor.agent_state(agent) for agent in ("ana", "bea")] == ["idle", "idle"]
    assert {back.not_before_at for back in floor.of(cmd.ReturnOffer)} == {None}
    floor.advance(60)
    assert len(floor.of(ntc.ContactWasOffered)) == 2


def test_another_method_takes_offers_back_and_dials_by_itself() -> None:
    floor = floor_of("ana")
    changed = replace(PREVIEWED, method="progressive")
    floor.feed(ev.CampaignConfigured(at=floor.now, campaign=changed))
    assert ends(floor) == [("withdrawn", "campaign_not_running")]
    floor.advance(1)
    assert floor.of(cmd.Originate)
    assert len(floor.of(ntc.ContactWasOffered)) == 1


def test_an_agent_who_asks_for_a_pause_or_goes_home_is_let_go_at_once() -> None:
    floor = floor_of("ana", "bea")
    floor.feed(ev.AgentPauseAsked(at=floor.now, agent=ANA, code="lunch"))
    assert floor.agent_state("ana") == "paused"
    floor.feed(ev.AgentSignedOut(at=floor.now, agent=AgentId("bea")))
    assert floor.agent_state("bea") == "signed_out"
    assert ends(floor) == [("withdrawn", "agent_leaves")] * 2
    assert len(floor.of(cmd.ReturnOffer)) == 2


def test_a_phone_that_goes_takes_the_offer_with_it() -> None:
    floor = floor_of("ana")
    floor.feed(ev.AgentPhoneGone(at=floor.now, agent=ANA, reason="hangup"))
    assert ends(floor) == [("withdrawn", "agent_not_there")]
    assert [back.contact for back in floor.of(cmd.ReturnOffer)] == ["crm-1"]
    floor.advance(PREVIEWED.preview_s * 2)
    assert len(ends(floor)) == 1


def test_an_agent_who_asks_for_a_call_gives_up_the_one_that_they_are_shown() -> None:
    floor = floor_of("ana")
    wish = MessageId("wish-1")
    floor.feed(ev.CallAsked(at=floor.now, agent=ANA, campaign=CAMPAIGN, contact=ContactId("crm-99"), ref=wish))
    assert ends(floor) == [("withdrawn", "asked_for_a_call")]
    [call] = floor.of(cmd.Originate)
    assert call.permit.contact == "crm-99"
    shown = len(floor.of(ntc.ContactWasOffered))
    floor.advance(1)
    assert len(floor.of(ntc.ContactWasOffered)) == shown, "they are busy"


def test_what_was_promised_comes_before_what_is_shown() -> None:
    floor = floor_of()
    due = Due(contact=ContactId("crm-50"), agent=ANA, due_at=floor.now, until_at=floor.now + 60)
    floor.feed(ev.ContactsDue(at=floor.now, campaign=CAMPAIGN, due=(due,)))
    floor.sign_in("ana")
    assert [call.permit.contact for call in floor.of(cmd.Originate)] == ["crm-50"]
    assert not floor.of(ntc.ContactWasOffered)


def test_offers_that_come_when_nobody_is_free_any_more_go_back() -> None:
    floor = PreviewFloor(PREVIEWED)
    floor.grant = False
    floor.start("ana")
    [request] = floor.of(cmd.RequestOffers)
    floor.feed(ev.AgentPauseAsked(at=floor.now, agent=ANA, code="lunch"))
    floor.grant = True
    floor.feed(floor.offers_for(request))
    assert [back.contact for back in floor.of(cmd.ReturnOffer)] == ["crm-1"]
    assert not floor.of(ntc.ContactWasOffered)


def test_a_gate_that_does_not_answer_is_asked_again_and_a_late_answer_is_no_second_offer() -> None:
    floor = PreviewFloor(PREVIEWED)
    floor.grant = False
    floor.start("ana")
    floor.advance(9.9)
    [first] = floor.of(cmd.RequestOffers)
    floor.advance(0.2)
    assert len(floor.of(cmd.RequestOffers)) == 2
    floor.grant = True
    floor.feed(floor.offers_for(first))
    floor.feed(floor.offers_for(floor.of(cmd.RequestOffers)[1]))
    assert len(floor.of(ntc.ContactWasOffered)) == 1
    assert len(floor.of(cmd.ReturnOffer)) == 1


def test_a_consent_to_which_the_gate_says_nothing_is_answered_and_a_late_permit_is_returned() -> None:
    floor = floor_of("ana")
    floor.grant = False
    floor.decide("ana", consent=True)
    assert not floor.of(ntc.CallRequestAnswered)
    floor.advance(10.1)
    [answer] = floor.of(ntc.CallRequestAnswered)
    assert answer.reason == "gate_unavailable"
    assert ends(floor) == [("refused", "gate_unavailable")]
    [request] = floor.of(cmd.RequestContact)
    floor.feed(floor.answer_to(request))
    assert len(floor.of(cmd.ReturnPermit)) == 1
    assert not floor.of(cmd.Originate)


def test_while_the_server_is_away_nobody_is_shown_anything_and_a_consent_is_refused() -> None:
    floor = floor_of("ana")
    floor.feed(ev.ServerLost(at=floor.now, server=PBX, reason="cut"))
    assert floor.answer_offer("ana", consent=True).reason == "server_not_connected"
    assert [back.permit.contact for back in floor.of(cmd.ReturnPermit)] == ["crm-1"]
    floor.advance(30)
    assert len(floor.of(ntc.ContactWasOffered)) == 1


@pytest.mark.parametrize("first", [True, False])
def test_an_agent_of_two_campaigns_is_shown_contacts_of_the_one_that_counts_on_them(first: bool) -> None:
    floor = PreviewFloor(PREVIEWED)
    spring = CampaignId("spring")
    floor.start()
    floor.feed(ev.CampaignConfigured(at=floor.now, campaign=Campaign(id=spring), state=CampaignState.RUNNING))
    floor.sign_in("ana", campaigns=(CAMPAIGN, spring) if first else (spring, CAMPAIGN))
    floor.advance(2)
    assert [n.offer.campaign for n in floor.of(ntc.ContactWasOffered)] == [CAMPAIGN] * first
    assert bool(floor.of(cmd.RequestPermits)) is not first
