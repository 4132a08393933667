"""Money: rates by the longest prefix, exact costs, and purses that never pay out more than a day's cap."""

from __future__ import annotations

import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialer.core.ids import CallId, CampaignId, Phone, ServerName, TrunkName
from dialer.core.spending import INSTALLATION, Amount, Cap, Caps, Spending, of_campaign, of_trunk
from dialer.core.tariff import MICROS, Rate, Tariff, micros, read_rate_deck
from dialer.errors import ConfigError

PBX, OUT, WINTER = ServerName("pbx"), TrunkName("out"), CampaignId("winter")
digits = st.text("0123456789", min_size=1, max_size=6)


@given(st.dictionaries(digits, st.integers(0, 10**6), min_size=1), st.text("0123456789", min_size=7, max_size=15))
def test_the_longest_prefix_counts(rates: dict[str, int], number: str) -> None:
    tariff = Tariff({prefix: Rate(per_minute_micros=cost) for prefix, cost in rates.items()})
    fitting = [prefix for prefix in rates if number.startswith(prefix)]
    found = tariff.rate(Phone("+" + number))
    if not fitting:
        assert found is None
    else:
        assert found is not None
        assert found.per_minute_micros == rates[max(fitting, key=len)]


@given(
    st.integers(0, 10**7),
    st.integers(0, 10**6),
    st.integers(0, 120),
    st.integers(1, 60),
    st.floats(min_value=0.0, max_value=86_400.0),
)
def test_time_is_billed_in_steps_and_never_less_than_it_lasted(
    per_minute: int, set_up: int, minimum: int, increment: int, answered_s: float
) -> None:
    rate = Rate(
        per_minute_micros=per_minute,
        set_up_micros=set_up,
        per_attempt_micros=7,
        minimum_s=minimum,
        increment_s=increment,
    )
    billed = rate.billed_s(answered_s)
    assert billed >= max(minimum, answered_s - 1e-3)
    assert billed < max(minimum, answered_s) + increment
    assert (billed - minimum) % increment == 0
    exact = Decimal(billed) * per_minute / 60 + set_up + 7
    assert exact <= rate.cost_micros(answered_s) < exact + 1
    assert rate.cost_micros(None) == 7


@pytest.mark.parametrize(("text", "value"), [("0", 0), ("0.0125", 12_500), ("12", 12 * MICROS), ("0.0000001", 1)])
def test_money_is_read_exactly_and_rounded_up(text: str, value: int) -> None:
    assert micros(text) == value


@pytest.mark.parametrize("text", ["", "-1", "1,5", "0x1", "1e3", "٣", " 1", "1.", "9999999999"])
def test_what_is_no_money_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="no amount of money"):
        micros(text)


def test_a_rate_deck_is_read() -> None:
    deck = ["prefix,per_minute,set_up,increment_s", "+34,0.01,,", "346,0.02,0.001,6"]
    tariff = read_rate_deck(deck, "deck.csv")
    assert len(tariff) == 2
    assert tariff.rate(Phone("+34911222333")) == Rate(per_minute_micros=10_000)
    assert tariff.rate(Phone("+34600111222")) == Rate(per_minute_micros=20_000, set_up_micros=1_000, increment_s=6)


@pytest.mark.parametrize(
    ("deck", "says"),
    [
        ([], "first line"),
        (["prefix,per_minute"], "no rates"),
        (["prefix,cost", "34,1"], "first line"),
        (["prefix,per_minute", "=34,1"], "row 1: prefix"),
        (["prefix,per_minute", "34,1", "+34,2"], "row 2: prefix +34 has a rate"),
        (["prefix,per_minute", "34,cheap"], "row 1: 'cheap'"),
        (["prefix,per_minute,increment_s", "34,1,1.5"], "row 1: '1.5'"),
        (["prefix,per_minute", '34,"1'], "not CSV"),
        (["prefix,per_minute", "34"], ""),
    ],
)
def test_a_bad_rate_deck_says_where_it_is_bad(deck: list[str], says: str) -> None:
    if not says:
        assert read_rate_deck(deck, "deck.csv").rate(Phone("+34600111222")) == Rate(per_minute_micros=0)
        return
    with pytest.raises(ConfigError) as caught:
        read_rate_deck(deck, "deck.csv")
    assert "deck.csv" in str(caught.value)
    assert says in str(caught.value)


RATE = Rate(per_minute_micros=60_000)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("start"), st.integers(0, 30)),
        st.tuples(st.just("end"), st.integers(0, 600)),
        st.tuples(st.just("lend"), st.integers(0, 500_000)),
        st.tuples(st.just("wait"), st.integers(0, 20)),
    ),
    max_size=80,
)


@given(STEPS)
def test_calls_begin_only_on_what_was_lent_and_only_long_ones_cost_more(steps: list[tuple[str, int]]) -> None:
    caps = Caps(installation=Cap(micros=10**9, seconds=10**6), campaigns={WINTER: Cap(micros=10**9)})
    spending = Spending(caps, expected_call_s=60.0)
    spending.begin_day("2026-11-22")
    lent, spent, beyond, now = 0, 0, 0, 0.0
    under_way: list[CallId] = []
    for number, (step, value) in enumerate(steps):
        purses = spending.purses
        match step:
            case "start":
                call = CallId(f"c-{number}")
                before = {scope: purse.left for scope, purse in purses.items()}
                if spending.hold(call, WINTER, PBX, OUT, RATE, now):
                    under_way.append(call)
                    assert all(purse.left.micros >= 0 for purse in purses.values())
                else:
                    assert {scope: purses[scope].left for scope in before} == before, "none paid"
            case "end" if under_way:
                cost = Amount(RATE.cost_micros(value), RATE.billed_s(value))
                spending.settle(under_way.pop(0), cost)
                spent += cost.micros
                beyond += max(0, cost.micros - 60_000)
            case "lend":
                for scope in purses:
                    spending.lent(scope, Amount(value, 600), exhausted=False)
                lent += value if purses else 0
            case "wait":
                now += value
        if purses:
            held = spending.held(INSTALLATION)
            assert held == Amount(60_000 * len(under_way), 60 * len(under_way))
            assert purses[INSTALLATION].left.micros == lent - spent - held.micros
    assert spent + 60_000 * len(under_way) <= lent + beyond
    for call in under_way:
        spending.settle(call, Amount())
        spending.settle(call, Amount())  # twice is once
    if spending.purses:
        assert spending.purses[INSTALLATION].left.micros == lent - spent


def test_without_caps_nothing_is_held_and_nothing_stops() -> None:
    spending = Spending()
    assert spending.hold(CallId("c"), WINTER, PBX, OUT, None, 0.0)
    assert spending.may_start(WINTER, [of_trunk(PBX, OUT)], 0.0) == math.inf
    assert not spending.purses
    assert not spending.limited
    assert not spending.exhausted(WINTER)


def test_the_trunk_with_a_cap_is_passed_over_and_the_others_pay() -> None:
    spending = Spending(Caps(trunks={of_trunk(PBX, OUT): Cap(seconds=60)}))
    spending.begin_day("d")
    assert not spending.hold(CallId("a"), WINTER, PBX, OUT, None, 0.0), "nothing has been lent"
    assert spending.hold(CallId("a"), WINTER, PBX, TrunkName("other"), None, 0.0)
    spending.lent(of_trunk(PBX, OUT), Amount(0, 60), exhausted=True)
    assert spending.hold(CallId("b"), WINTER, PBX, OUT, None, 0.0)
    assert not spending.hold(CallId("c"), WINTER, PBX, OUT, None, 0.0)
    capped, free = of_trunk(PBX, OUT), of_trunk(PBX, TrunkName("other"))
    assert spending.may_start(WINTER, [capped], 0.0) == 0
    assert spending.may_start(WINTER, [capped, free], 0.0) == math.inf
    assert spending.exhausted(WINTER, [capped])
    assert not spending.exhausted(WINTER, [capped, free])


def test_a_purse_is_filled_before_it_is_empty_and_given_back_when_nobody_asks() -> None:
    spending = Spending(Caps(each_campaign=Cap(micros=10**9)))
    spending.begin_day("d")
    scope = of_campaign(WINTER)
    assert spending.may_start(WINTER, [of_trunk(PBX, OUT)], 5.0) == 0
    wish = spending.wish(scope, 5.0)
    assert wish.micros > 0
    spending.lent(scope, wish, exhausted=False)
    assert spending.may_start(WINTER, [of_trunk(PBX, OUT)], 5.0) == 100
    assert spending.wish(scope, 5.0) == Amount(), "full"
    assert spending.wish(scope, 16.0).micros == -wish.micros
    spending.give_back(scope, spending.wish(scope, 16.0))
    assert spending.purses[scope].left.micros == 0
    spending.lent(scope, Amount(), exhausted=True)
    assert spending.exhausted(WINTER)


def test_a_call_of_yesterday_is_yesterdays() -> None:
    spending = Spending(Caps(installation=Cap(micros=10**9)))
    spending.begin_day("monday")
    spending.may_start(WINTER, [of_trunk(PBX, OUT)], 0.0)
    spending.lent(INSTALLATION, Amount(10**6), exhausted=False)
    assert spending.hold(CallId("late"), WINTER, PBX, OUT, RATE, 0.0)
    spending.begin_day("tuesday")
    assert spending.may_start(WINTER, [of_trunk(PBX, OUT)], 1.0) == 0, "nothing of yesterday is lent today"
    assert spending.held(INSTALLATION) == Amount()
    spending.settle(CallId("late"), Amount(10**7, 600))
    assert spending.purses[INSTALLATION].left == Amount()
