"""Trunks bear what they were agreed to bear: channels at once, and calls per second over any stretch of time."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from dialer.core.ids import Phone, ServerName, TrunkName
from dialer.core.outcome import Outcome
from dialer.core.tariff import Rate, Tariff
from dialer.core.trunks import Trunk, TrunkLimits, Trunks

PBX = ServerName("pbx")


def limits(name: str, channels: int, rate: float) -> TrunkLimits:
    return TrunkLimits(server=PBX, name=TrunkName(name), max_channels=channels, max_calls_per_second=rate)


steps = st.lists(
    st.tuples(st.sampled_from(["take", "take", "release", "wait", "back"]), st.floats(min_value=0.0, max_value=3.0)),
    max_size=200,
)


@given(steps, st.integers(min_value=1, max_value=8), st.floats(min_value=0.2, max_value=50.0))
def test_neither_channels_nor_calls_per_second_are_exceeded(
    script: list[tuple[str, float]], channels: int, rate: float
) -> None:
    trunk = Trunk(limits("out", channels, rate))
    now, used, taken = 1_000.0, 0, []
    for what, amount in script:
        match what:
            case "take":
                could = trunk.available(now)
                assert 0 <= could <= channels - used
                assert trunk.take(now) is (could > 0)
                if could:
                    used += 1
                    taken.append(now)
            case "release" if used:
                trunk.release()
                used -= 1
            case "wait":
                now += amount
            case "back":
                # A clock that is late must not fill the bucket twice.
                trunk.available(now - amount)
        assert trunk.channels == used <= channels
    depth = max(1.0, rate / 2)
    for i, first in enumerate(taken):
        for j in range(i, len(taken)):
            assert j - i + 1 <= depth + (taken[j] - first) * rate + 1e-6


@given(st.floats(min_value=0.5, max_value=20.0), st.integers(min_value=20, max_value=100))
def test_the_rate_is_reached(rate: float, seconds: int) -> None:
    trunk = Trunk(limits("out", 10_000, rate))
    started = sum(trunk.take(second + part / 50) for second in range(seconds) for part in range(50))
    assert started >= int(rate * seconds * 0.95)


def take(trunks: Trunks, preferred: Sequence[TrunkName] = (), phone: str = "+34600111222") -> TrunkName | None:
    """The name of the best trunk, one of whose channels is in use now."""
    for trunk in trunks.choices(PBX, preferred, Phone(phone), 1.0):
        assert trunk.take(1.0)
        return trunk.limits.name
    return None


@given(st.lists(st.sampled_from("abc"), unique=True, max_size=3), st.integers(min_value=1, max_value=12))
def test_preferred_trunks_are_used_in_their_order_and_others_never(preferred: list[str], calls: int) -> None:
    trunks = Trunks(limits(name, 3, 1_000.0) for name in "abc")
    names = [TrunkName(name) for name in preferred]
    used = [take(trunks, names) for _ in range(calls)]
    assert trunks.available([PBX], names, 1.0) == max(0, 3 * (len(names) or 3) - calls)
    if names:
        expected = [name for name in names for _ in range(3)][:calls]
        assert used == expected + [None] * (calls - len(expected))
    else:
        channels = trunks.channels().values()
        assert max(channels) - min(channels) <= 1, "the least used first"


def test_a_channel_of_an_unknown_trunk_is_nobodys_and_one_found_in_use_counts() -> None:
    trunks = Trunks([limits("a", 1, 100.0)])
    trunks.release(PBX, TrunkName("b"))
    trunks.release(ServerName("elsewhere"), TrunkName("a"))
    assert trunks.adopt(PBX) == "a"
    assert trunks.adopt(PBX) == "a", "whatever the limit"
    assert take(trunks) is None
    trunks.release(PBX, TrunkName("a"))
    trunks.release(PBX, TrunkName("a"))
    assert take(trunks) == "a"
    assert trunks.adopt(ServerName("elsewhere")) is None
    assert Trunks([limits("a", 1, 1.0), limits("b", 1, 1.0)]).adopt(PBX) is None, "it could be either"


def priced(name: str, rates: dict[str, int], channels: int = 100) -> TrunkLimits:
    tariff = Tariff({prefix: Rate(per_minute_micros=cost) for prefix, cost in rates.items()})
    return TrunkLimits(
        server=PBX, name=TrunkName(name), max_channels=channels, max_calls_per_second=1_000.0, tariff=tariff
    )


@given(st.dictionaries(st.sampled_from("abcd"), st.integers(min_value=1, max_value=5), min_size=1))
def test_the_cheapest_trunk_that_is_free_is_taken(costs: dict[str, int]) -> None:
    trunks = Trunks(priced(name, {"34": 1_000 * cost}, channels=20) for name, cost in costs.items())
    used = [take(trunks) for _ in range(20 * len(costs))]
    assert None not in used, "every channel is used before a call finds none"
    first = used[: 18 * sum(cost == min(costs.values()) for cost in costs.values())]
    assert {costs[str(name)] for name in first} == {min(costs.values())}
    # The last tenth of a cheap trunk is left to those who have no other.
    dear = [name for name in used[: 18 * len(costs)] if costs[str(name)] == max(costs.values())]
    assert len(dear) == 18 * sum(cost == max(costs.values()) for cost in costs.values())


def test_a_trunk_without_a_rate_for_the_number_is_not_taken_and_one_without_rates_is() -> None:
    trunks = Trunks([priced("a", {"34": 10_000})])
    assert take(trunks, phone="+8821600001") is None
    assert trunks.lack_rate(PBX, (), Phone("+8821600001"))
    assert not trunks.lack_rate(PBX, (), Phone("+34600111222"))
    assert not Trunks([]).lack_rate(PBX, (), Phone("+34600111222"))
    assert trunks.rate(PBX, TrunkName("a"), Phone("+8821600001")) is None
    unpriced = Trunks([priced("a", {"34": 10_000}), limits("b", 5, 100.0)])
    assert take(unpriced, phone="+8821600001") == "b"
    assert take(unpriced) == "b", "what costs nobody knows what counts as nothing"


@given(
    st.lists(st.sampled_from([Outcome.CONGESTION, Outcome.FAILED, Outcome.CANCELLED]), min_size=5, max_size=30).filter(
        lambda ends: ends.count(Outcome.FAILED) < 5
    )
)
def test_a_carrier_that_refuses_everything_comes_last_until_a_call_over_it_succeeds(ends: list[Outcome]) -> None:
    trunks = Trunks([priced("cheap", {"34": 1}), priced("dear", {"34": 9})])
    cheap = TrunkName("cheap")
    for outcome in ends:
        trunks.ended(PBX, cheap, outcome, 1.0)
    sick = sum(outcome is not Outcome.CANCELLED for outcome in ends) >= 5
    assert (take(trunks) == "dear") is sick
    # Also where it is preferred, and yet it is taken where there is no other.
    assert (take(trunks, (cheap, TrunkName("dear"))) == "dear") is sick
    assert take(trunks, (cheap,)) == "cheap"
    trunks.ended(PBX, cheap, Outcome.NO_ANSWER, 1.0)
    assert take(trunks) == "cheap", "it rang somewhere: the carrier works"


def test_a_sick_carrier_is_tried_again_and_less_and_less_often() -> None:
    trunk = Trunk(limits("out", 10, 10.0))
    now, waits = 0.0, []
    for _ in range(5):
        trunk.ended(Outcome.CONGESTION, now)
    for _ in range(8):
        began = now
        while trunk.sick(now):
            now += 1.0
        waits.append(now - began)
        trunk.ended(Outcome.FAILED, now)
    assert waits == [15.0, 30.0, 60.0, 120.0, 240.0, 480.0, 600.0, 600.0]
    assert not Trunks([]).choices(PBX, (), Phone("+34600111222"), now)


def in_vain(trunk: Trunk, now: float) -> None:
    """One call that is refused before anybody is dialed."""
    assert trunk.take(now)
    trunk.ended(Outcome.FAILED, now)
    trunk.release()


def test_a_trunk_over_which_nobody_can_be_dialed_rests_and_then_one_call_tries() -> None:
    trunk = Trunk(limits("out", 10, 100.0))
    for _ in range(5):
        in_vain(trunk, 0.0)
    now, waits = 0.0, []
    for _ in range(8):
        began = now
        while not trunk.available(now):
            now += 1.0
        waits.append(now - began)
        assert trunk.available(now) == 1, "the others wait for what becomes of it"
        in_vain(trunk, now)
    assert waits == [15.0, 30.0, 60.0, 120.0, 240.0, 480.0, 600.0, 600.0]
    now += 600.0
    assert trunk.take(now)
    assert trunk.available(now + 2.9) == 0
    assert trunk.available(now + 3.1) == 9, "it was not refused: somebody is being dialed, however long they talk"


@given(st.sampled_from(sorted(set(Outcome) - {Outcome.FAILED})))
def test_only_refusals_in_a_row_make_a_trunk_rest(between: Outcome) -> None:
    trunk = Trunk(limits("out", 10, 100.0))
    for number in range(20):
        if number and number % 4 == 0:
            trunk.ended(between, float(number))
        if trunk.available(float(number)):
            in_vain(trunk, float(number))
    # A call that we took back, or whose end nobody knows, does not show that anybody was dialed.
    assert (trunk.available(20.0) == 0) is (between in {Outcome.CANCELLED, Outcome.LOST})
