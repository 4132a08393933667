"""Money in the engine: no call that nobody pays for, whoever wants it, and each attempt with its cost."""

from __future__ import annotations

from dialer.core import commands as cmd
from dialer.core import events as ev
from dialer.core import notices as ntc
from dialer.core.call_start import COST_CAP, NO_RATE, PUT_OFF_S
from dialer.core.engine import Engine
from dialer.core.floor import Server
from dialer.core.ids import AgentId, ContactId, MessageId, NodeName, ServerName, TrunkName
from dialer.core.spending import INSTALLATION, Amount, Cap, Caps, Spending, of_trunk
from dialer.core.tariff import Rate, Tariff
from dialer.core.trunks import TrunkLimits
from tests.engine_harness import CAMPAIGN, PBX, Harness

#: What a call is expected to cost, and so holds: a minute at 0.06.
HOLD = 60_000


def floor(caps: Caps, *trunks: tuple[str, str, int], agents: int = 3) -> Harness:
    """A floor with trunks: name, prefix and price of a minute."""
    made = Harness()
    made.engine = Engine(
        node=NodeName("n1"),
        servers=[Server(name=PBX)],
        trunks=[
            TrunkLimits(
                server=PBX,
                name=TrunkName(name),
                max_channels=50,
                max_calls_per_second=1_000.0,
                tariff=Tariff({prefix: Rate(per_minute_micros=price)}),
            )
            for name, prefix, price in trunks or (("out", "34", HOLD),)
        ],
        spending=Spending(caps, expected_call_s=60.0),
    )
    made.engine.floor.spending.begin_day("today")
    made.start(*(f"agent{n}" for n in range(agents)))
    made.advance(0.5)
    return made


def lend(made: Harness, calls: int, *, exhausted: bool = False) -> None:
    for scope in made.engine.floor.spending.purses:
        made.engine.floor.spending.lent(scope, Amount(HOLD * calls, 60 * calls), exhausted=exhausted)
    made.advance(1.0)


def limit(made: Harness) -> tuple[str, str]:
    decision = made.of(ntc.PaceDecided)[-1].decision
    return decision.limit, decision.explanation


def test_nobody_is_called_before_anything_is_lent_and_no_more_than_is() -> None:
    made = floor(Caps(installation=Cap(micros=10**9)))
    assert not made.of(cmd.Originate)
    assert limit(made)[0] == COST_CAP
    assert "asked for" in limit(made)[1]
    lend(made, 2)
    assert len(made.of(cmd.Originate)) == 2
    lend(made, 0, exhausted=True)
    assert limit(made) == (COST_CAP, "no call now: what calls may cost today is used up")


def test_what_an_unanswered_call_held_pays_for_the_next_and_its_record_says_what_it_cost() -> None:
    made = floor(Caps(installation=Cap(micros=10**9)), agents=1)
    lend(made, 1)
    (call,) = made.calls()
    made.hang_up(call)
    ended = made.ended()[call].attempt
    assert (ended.cost_micros, ended.billed_s) == (0, 0)
    made.advance(1.0)
    (call,) = made.calls()
    made.answer(call)
    made.join(call)
    made.advance(90.0)
    made.hang_up(call)
    ended = made.ended()[call].attempt
    assert (ended.cost_micros, ended.billed_s) == (90_000, 90)
    assert made.engine.floor.spending.purses[INSTALLATION].left.micros == HOLD - 90_000
    made.advance(5.0)
    assert not made.calls(), "a debt begins no call"


def test_a_cap_of_one_trunk_moves_the_calls_to_the_next() -> None:
    cheap, dear = of_trunk(PBX, TrunkName("cheap")), of_trunk(PBX, TrunkName("dear"))
    made = floor(Caps(trunks={cheap: Cap(seconds=60)}), ("dear", "34", 2 * HOLD), ("cheap", "34", HOLD))
    assert {command.trunk for command in made.of(cmd.Originate)} == {"dear"}, "of the cheap one nothing is lent"
    assert dear not in made.engine.floor.spending.purses
    assert limit(made)[0] != COST_CAP
    made.engine.floor.spending.lent(cheap, Amount(0, 60), exhausted=False)
    for call in made.calls():
        made.hang_up(call)
    made.advance(1.0)
    assert [command.trunk for command in made.of(cmd.Originate)].count(TrunkName("cheap")) == 1


def test_a_number_that_no_carrier_has_a_rate_for_waits_and_is_not_asked_for_again_and_again() -> None:
    made = floor(Caps(), ("out", "7", HOLD))
    assert not made.of(cmd.Originate)
    returned = made.of(cmd.ReturnPermit)
    assert returned
    assert {each.reason for each in returned} == {NO_RATE}
    assert all(each.not_before_at is not None and each.not_before_at >= made.now - 1 + PUT_OFF_S for each in returned)


def test_what_is_not_sent_costs_nothing() -> None:
    made = Harness()
    made = floor(Caps(installation=Cap(micros=10**9)), agents=1)
    made.send = False
    lend(made, 1)
    assert not made.calls()
    assert made.engine.floor.spending.held(INSTALLATION) == Amount()
    assert made.engine.floor.spending.purses[INSTALLATION].left.micros == HOLD


def test_without_tariffs_and_caps_an_attempt_has_its_time_alone() -> None:
    made = Harness()
    made.start("ana")
    made.advance(0.5)
    (call,) = made.calls()
    made.answer(call)
    made.join(call)
    made.advance(10.2)
    made.hang_up(call)
    ended = made.ended()[call].attempt
    assert (ended.cost_micros, ended.billed_s) == (None, 11)
    assert made.campaign.id == CAMPAIGN
    assert ended.server == ServerName("pbx")


def test_a_click_is_answered_with_the_cap() -> None:
    made = floor(Caps(installation=Cap(micros=10**9)), agents=1)
    made.feed(
        ev.CallAsked(
            at=made.now,
            agent=AgentId("agent0"),
            campaign=CAMPAIGN,
            contact=ContactId("crm-1"),
            ref=MessageId("click-1"),
        )
    )
    assert [answer.reason for answer in made.of(ntc.CallRequestAnswered)] == [COST_CAP]
    assert not made.of(cmd.Originate)


def test_where_no_trunk_is_paid_for_the_gate_is_not_asked() -> None:
    out = of_trunk(PBX, TrunkName("out"))
    made = floor(Caps(trunks={out: Cap(seconds=0)}))
    lend(made, 0, exhausted=True)
    assert limit(made) == (COST_CAP, "no call now: what calls may cost today is used up")
    assert not made.of(cmd.RequestPermits)
