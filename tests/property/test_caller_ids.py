"""Caller ids: never over the cap, near before far, an even load, and rest for a number that nobody answers any more."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from dialer.core.caller_ids import CallerId, CallerIdLedger
from dialer.core.ids import Phone

DAY_S = 86_400.0
NUMBERS = [Phone(f"+3491000000{n}") for n in range(5)]
POOLS = st.lists(
    st.builds(
        CallerId,
        number=st.sampled_from(NUMBERS),
        prefixes=st.lists(st.sampled_from(["+34", "+3491", "+346", "+1"]), max_size=2).map(tuple),
        max_calls_per_day=st.none() | st.integers(0, 5),
    ),
    max_size=5,
    unique_by=lambda one: one.number,
)
CALLED = st.sampled_from([Phone("+34910000099"), Phone("+34600111222"), Phone("+12025550123")])


@given(POOLS, st.lists(st.tuples(CALLED, st.floats(0.0, 2 * DAY_S)), max_size=40))
def test_no_number_is_used_more_than_its_cap_on_any_day(pool: list[CallerId], calls: list[tuple[Phone, float]]) -> None:
    ledger = CallerIdLedger()
    used: dict[tuple[Phone, int], int] = {}
    for phone, now in sorted(calls, key=lambda call: call[1]):
        chosen = ledger.choose(pool, phone, now)
        free = [
            one
            for one in pool
            if one.max_calls_per_day is None or used.get((one.number, int(now // DAY_S)), 0) < one.max_calls_per_day
        ]
        assert (chosen is None) == (not free)
        if chosen is not None:
            assert chosen in free
            key = (chosen.number, int(now // DAY_S))
            used[key] = used.get(key, 0) + 1
            ledger.started(chosen.number, now)
            assert ledger.used_today(chosen.number, now) == used[key]


@given(POOLS, CALLED)
def test_the_longest_prefix_in_common_wins(pool: list[CallerId], phone: Phone) -> None:
    open_ones = [one for one in pool if one.max_calls_per_day != 0]
    chosen = CallerIdLedger().choose(pool, phone, 0.0)

    def near(one: CallerId) -> int:
        return max((len(prefix) for prefix in one.prefixes if phone.startswith(prefix)), default=0)

    assert (near(chosen) if chosen else None) == max(map(near, open_ones), default=None)


@given(st.integers(1, 5), st.integers(0, 60))
def test_numbers_that_are_alike_share_the_calls_evenly(size: int, calls: int) -> None:
    pool = [CallerId(number=number) for number in NUMBERS[:size]]
    ledger = CallerIdLedger()
    for n in range(calls):
        chosen = ledger.choose(pool, Phone("+34600111222"), float(n))
        assert chosen is not None
        ledger.started(chosen.number, float(n))
    counts = [ledger.used_today(one.number, float(calls)) for one in pool]
    assert sum(counts) == calls
    assert max(counts) - min(counts) <= 1


def _day(seed: int, rates: list[float], calls: int) -> tuple[CallerIdLedger, list[CallerId], float]:
    pool = [CallerId(number=number) for number in NUMBERS[: len(rates)]]
    ledger, rng, now = CallerIdLedger(), random.Random(seed), 0.0
    for _ in range(calls):
        now += 1.0
        chosen = ledger.choose(pool, Phone("+34600111222"), now)
        assert chosen is not None, "one always stays awake"
        ledger.started(chosen.number, now)
        ledger.ended(pool, chosen.number, now, answered=rng.random() < rates[pool.index(chosen)])
    return ledger, pool, now


def test_a_number_that_nobody_answers_any_more_rests() -> None:
    for seed in range(20):
        ledger, pool, now = _day(seed, [0.25, 0.25, 0.25, 0.02], 1_500)
        assert [ledger.rests(one.number, now) for one in pool] == [False, False, False, True]
        assert not ledger.rests(pool[3].number, now + DAY_S)


def test_numbers_that_fare_alike_hardly_ever_rest() -> None:
    # Each of 20 days makes some hundreds of correlated comparisons; a false rest costs a number one day.
    resting = 0
    for seed in range(20):
        ledger, pool, now = _day(seed, [0.25] * 4, 1_500)
        resting += sum(ledger.rests(one.number, now) for one in pool)
    assert resting <= 6


def test_the_last_one_awake_is_never_sent_to_rest() -> None:
    ledger, pool, now = _day(1, [0.3, 0.0], 2_000)
    assert [ledger.rests(one.number, now) for one in pool] == [False, True]
    for n in range(500):
        assert not ledger.ended(pool, pool[0].number, now + n, answered=False)


def test_a_clock_that_goes_back_gives_no_second_day() -> None:
    ledger, pool = CallerIdLedger(), [CallerId(number=NUMBERS[0], max_calls_per_day=1)]
    ledger.started(NUMBERS[0], DAY_S + 10.0)
    assert ledger.choose(pool, Phone("+34600111222"), DAY_S - 10.0) is None
    assert ledger.choose(pool, Phone("+34600111222"), DAY_S + 20.0) is None
    assert ledger.choose(pool, Phone("+34600111222"), 2 * DAY_S) == pool[0]


def test_calls_of_an_earlier_process_count() -> None:
    ledger, pool = CallerIdLedger(utc_offset_s=3_600.0), [CallerId(number=NUMBERS[0], max_calls_per_day=3)]
    ledger.restore(NUMBERS[0], 3, 10.0)
    assert ledger.choose(pool, Phone("+34600111222"), 11.0) is None
    assert ledger.choose(pool, Phone("+34600111222"), DAY_S - 3_600.0) == pool[0]
