"""The numbers that calls show: near ones first, never above the cap, rest, and a reason where none is left."""

from __future__ import annotations

from dialer.core import commands as cmd
from dialer.core import events as ev
from dialer.core import notices as ntc
from dialer.core.caller_ids import CallerId, CallerIdState
from dialer.core.campaign import Campaign
from dialer.core.ids import CallId, CampaignId, Phone
from dialer.projections.live import LiveView
from dialer.projections.metrics import Metrics
from tests.engine_harness import CAMPAIGN, Harness

FAR, NEAR, CLOSE = Phone("+34910000001"), Phone("+34910000002"), Phone("+34600999999")
DAY_S = 86_400.0


def started(*pool: CallerId, agents: int = 1) -> Harness:
    h = Harness(Campaign(id=CAMPAIGN, method="progressive", caller_ids=pool))
    h.start(*(f"agent{n}" for n in range(agents)))
    h.advance(0.2)
    return h


def shown(h: Harness) -> list[Phone | None]:
    return [command.caller_id for command in h.of(cmd.Originate)]


def no_answer(h: Harness, call: CallId) -> None:
    h.feed(ev.CallRinging(at=h.now, call=call))
    h.hang_up(call, cause=19, timed_out=True, by=ev.HungUpBy.DIALER)


def paced(h: Harness) -> tuple[str, str]:
    decision = h.of(ntc.PaceDecided)[-1].decision
    return decision.limit, decision.explanation


def test_a_call_shows_the_number_nearest_to_the_one_called_and_its_record_says_which() -> None:
    h = started(
        CallerId(number=FAR), CallerId(number=NEAR, prefixes=("+34",)), CallerId(number=CLOSE, prefixes=("+346",))
    )
    (call,) = h.calls()
    assert shown(h) == [CLOSE]
    no_answer(h, call)
    assert h.ended()[call].attempt.caller_id == CLOSE


def test_one_caller_id_is_a_pool_of_one_without_cap() -> None:
    h = Harness(Campaign(id=CAMPAIGN, method="progressive", caller_id=FAR))
    h.start("anna")
    h.advance(0.2)
    for _ in range(5):
        no_answer(h, h.calls()[0])
        h.advance(0.2)
    assert set(shown(h)) == {FAR}
    assert h.engine.floor.caller_ids.used_today(FAR, h.now) == len(shown(h)) > 4


def test_without_numbers_none_is_shown() -> None:
    h = started()
    assert shown(h) == [None]


def test_no_contact_is_asked_for_when_all_numbers_have_reached_their_cap_until_the_next_day() -> None:
    h = started(CallerId(number=FAR, max_calls_per_day=2), CallerId(number=NEAR, max_calls_per_day=1), agents=8)
    assert sorted(map(str, shown(h))) == [FAR, FAR, NEAR]
    assert [c.count for c in h.of(cmd.RequestPermits)] == [3], "no more than may be called is taken from the hopper"
    assert h.of(cmd.ReturnPermit) == []
    for call in h.calls():
        no_answer(h, call)
    out = h.advance(60.0)
    assert paced(h) == ("caller_ids", "no call now: all caller ids have reached their cap or rest")
    assert h.of(cmd.RequestPermits, out) == []
    assert len(h.of(ntc.PaceDecided, out)) <= 61, "said once a second, not at each look"
    h.now += DAY_S - 60.0  # a day of looks once a second would show nothing else
    h.advance(60.0)
    assert len(shown(h)) == 6


def test_what_is_cut_says_so() -> None:
    h = started(CallerId(number=FAR, max_calls_per_day=2), agents=5)
    decisions = [notice.decision for notice in h.of(ntc.PaceDecided) if notice.decision.dial]
    assert [(d.dial, d.limit) for d in decisions][-1] == (2, "caller_ids")


def test_a_permit_that_meets_a_cap_reached_meanwhile_goes_back_with_the_reason() -> None:
    h = started(CallerId(number=FAR, max_calls_per_day=10))
    h.grant = False
    no_answer(h, h.calls()[0])
    h.advance(1.0)
    h.engine.floor.caller_ids.restore(FAR, 10, h.now)  # another node has used it up
    out = h.feed(
        ev.PermitsGranted(
            at=h.now, campaign=CAMPAIGN, requested=1, permits=(h.permit(99),), refusals=ev.Refusals(), ready=5, later=0
        )
    )
    assert [c.reason for c in h.of(cmd.ReturnPermit, out)] == ["all caller ids have reached their cap or rest"]
    assert h.of(cmd.Originate, out) == []


def test_a_call_that_was_not_sent_does_not_count() -> None:
    h = Harness(Campaign(id=CAMPAIGN, method="progressive", caller_ids=(CallerId(number=FAR, max_calls_per_day=3),)))
    h.send = False
    h.start("anna")
    h.advance(0.2)
    h.advance(2.0)
    assert len(h.of(cmd.Originate)) > 3, "it goes on trying"
    assert h.engine.floor.caller_ids.used_today(FAR, h.now) == 0


def test_two_campaigns_share_the_cap_of_a_number() -> None:
    h = started(CallerId(number=FAR, max_calls_per_day=3))
    other = Campaign(id=CampaignId("other"), method="progressive", caller_ids=h.campaign.caller_ids)
    h.feed(ev.CampaignConfigured(at=h.now, campaign=other))
    ledger = h.engine.floor.caller_ids
    assert ledger.left(other.pool, h.now) == 2


def test_a_number_that_is_refused_rests_and_the_others_go_on() -> None:
    pool = tuple(CallerId(number=number) for number in (FAR, NEAR))
    h = started(*pool)
    for _ in range(700):
        (call,) = h.calls()
        if h.engine.floor.calls[call].caller_id == FAR:
            h.hang_up(call, cause=21, sip_code=603)
        else:
            h.answer(call)
            h.hang_up(call)
            h.feed(ev.AgentReadied(at=h.now, agent=next(iter(h.engine.floor.roster)).id))
        h.advance(0.2)
    standing = h.engine.floor.caller_ids.standing(pool, h.now)
    assert [one.state for one in standing] == [CallerIdState.RESTING, CallerIdState.USABLE]
    assert standing[0].rests_until is not None
    assert set(shown(h)[-50:]) == {NEAR}


def test_the_view_and_the_metrics_tell_how_the_numbers_stand_and_metrics_name_none() -> None:
    h = started(CallerId(number=FAR, max_calls_per_day=1), CallerId(number=NEAR))
    no_answer(h, h.calls()[0])
    view = LiveView()
    view.configure(h.campaign)
    view.caller_ids(CAMPAIGN, h.engine.floor.caller_ids.standing(h.campaign.pool, h.now))
    row = view.campaign(CAMPAIGN, h.now)
    assert row is not None
    assert row.caller_ids == {"capped": 1, "usable": 1}
    first = view.caller_ids_of(CAMPAIGN)[0]
    assert (first.number, first.state, first.calls_today, first.max_calls_per_day) == (FAR, "capped", 1, 1)
    assert view.caller_ids_of(CampaignId("unknown")) == ()
    metrics = Metrics("n1")
    metrics.refresh(view.snapshot(h.now))
    text = metrics.render().decode()
    assert 'cadencia_caller_ids{campaign="winter",state="capped"} 1.0' in text
    assert 'cadencia_caller_ids{campaign="winter",state="resting"} 0.0' in text
    assert FAR not in text
