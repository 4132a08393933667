"""Caps: never more than N in any window, whatever is asked when; and a ledger decides as the whole history does."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from dialer.compliance.calendar import civil
from dialer.compliance.caps import Call, Facts, ended, evaluate, with_call
from dialer.compliance.ledger import (
    ENTRY_BYTES,
    Ledger,
    by_key,
    evaluate_ledgers,
    ledgers_of,
    worst_entries,
)
from dialer.compliance.rules import CapRule, CooldownRule, Span
from dialer.core.outcome import Outcome
from tests.cap_strategies import HOUR, ME, START, ZONES, calls, caps, moments, outcomes, rule_sets


def longest(stamps: Sequence[float], length: float) -> int:
    """The most of `stamps` in any window of `length` seconds."""
    return max((sum(one <= other < one + length for other in stamps) for one in stamps), default=0)


@settings(max_examples=120, deadline=None)
@given(rule=caps(), asked=st.lists(moments, max_size=60), zones=st.sets(st.sampled_from(ZONES), min_size=1))
def test_permits_never_exceed_a_cap(rule: CapRule, asked: list[float], zones: set[str]) -> None:
    """Every call under way or of an outcome that counts; the worst case."""
    counting = (rule.counts or frozenset(Outcome)) - rule.except_outcomes
    history: list[Call] = []
    clocks = sorted(zones)
    for now in sorted(asked):
        if evaluate(history, [rule], ME, now, zones=clocks).permit:
            history = with_call(history, ME, now)
            if counting:
                history[-1] = ended(history[-1], min(counting), now)
    stamps = [call.at for call in history]
    if not counting:
        return
    match rule.span:
        case Span.EVER:
            assert len(stamps) <= rule.maximum
        case Span.ROLLING:
            assert longest(stamps, rule.length) <= rule.maximum
        case Span.CALENDAR_DAYS:
            for zone in clocks:
                days = [civil(ZoneInfo(zone), at).date().toordinal() for at in stamps]
                assert longest(days, rule.length) <= rule.maximum


@settings(max_examples=150, deadline=None)
@given(rules=rule_sets, history=st.lists(calls(), max_size=25), now=moments)
def test_the_moment_told_is_the_first_at_which_it_is_permitted(
    rules: list[CapRule | CooldownRule], history: list[Call], now: float
) -> None:
    verdict = evaluate(history, rules, ME, now, zones=ZONES)
    if verdict.permit:
        assert verdict.retry_at is None
        return
    if verdict.retry_at is None:
        assert any(isinstance(one.rule, CapRule) and one.rule.span is Span.EVER for one in verdict.blocked)
        return
    assert verdict.retry_at > now
    assert evaluate(history, rules, ME, verdict.retry_at, zones=ZONES).permit
    # Clocks show microseconds: what is nearer to midnight than that is midnight.
    assert (
        verdict.retry_at - now < 0.001 or not evaluate(history, rules, ME, verdict.retry_at - 0.001, zones=ZONES).permit
    )
    assert not evaluate(history, rules, ME, (now + verdict.retry_at) / 2, zones=ZONES).permit


def rounded(call: Call) -> Call:
    """The call as a ledger sees it: in whole seconds, up."""
    over = None if call.ended_at is None else float(math.ceil(call.ended_at))
    return Call(
        at=float(math.ceil(call.at)),
        subject=call.subject,
        outcome=call.outcome,
        ended_at=over,
        refused=call.refused,
        inbound=call.inbound,
    )


@settings(max_examples=200, deadline=None)
@given(rules=rule_sets, history=st.lists(calls(), max_size=25), now=moments)
def test_ledgers_decide_as_the_whole_history_does(
    rules: list[CapRule | CooldownRule], history: list[Call], now: float
) -> None:
    settled = [rounded(call) for call in history if call.ended_at is None or call.ended_at - call.at < 65_000]
    whole = evaluate(settled, rules, ME, now, zones=ZONES)
    ledgers = ledgers_of(settled, ME, rules, now)
    told = evaluate_ledgers(ledgers, rules, now, zones=ZONES)
    assert told.permit == whole.permit
    assert [one.rule for one in told.blocked] == [one.rule for one in whole.blocked]
    assert told.retry_at == whole.retry_at


@settings(max_examples=150, deadline=None)
@given(rules=rule_sets, history=st.lists(calls(), max_size=25), now=moments)
def test_a_ledger_never_permits_what_the_history_forbids(
    rules: list[CapRule | CooldownRule], history: list[Call], now: float
) -> None:
    """Unrounded, with talks of any length."""
    if not evaluate(history, rules, ME, now, zones=ZONES).permit:
        ledgers = ledgers_of(history, ME, rules, now)
        assert not evaluate_ledgers(ledgers, rules, now, zones=ZONES).permit


@settings(max_examples=120, deadline=None)
@given(
    rules=rule_sets,
    steps=st.lists(st.tuples(st.floats(0, 30 * HOUR), st.none() | outcomes, st.booleans()), max_size=40),
)
def test_ledgers_kept_call_by_call_stay_small_and_right(
    rules: list[CapRule | CooldownRule], steps: list[tuple[float, Outcome | None, bool]]
) -> None:
    """As a gate would keep them: ask, reserve, finish or take back, forget; against the whole history, all along."""
    ledgers = {key: Ledger() for key in by_key(rules)}
    history: list[Call] = []
    now = float(START)
    for wait, outcome, refused in steps:
        now = float(math.ceil(now + wait + 1))
        whole = evaluate(history, rules, ME, now, zones=ZONES).permit
        assert evaluate_ledgers(ledgers, rules, now, zones=ZONES).permit == whole
        if not whole:
            continue
        for key, own in by_key(rules).items():
            ledgers[key].add(now, Facts.UNDER_WAY)
            if outcome is None:
                ledgers[key].take_back(now)
            else:
                call = ended(with_call([], ME, now)[0], outcome, now + 30, refused=refused)
                ledgers[key].finish(now, call.facts & ~Facts.REFUSED, over_at=now + 30)
                if refused:
                    ledgers[key].refuse(now, over_at=now + 30)
            ledgers[key].prune(own, now)
            assert len(ledgers[key]) <= worst_entries(own)
            packed = ledgers[key].pack()
            assert len(packed) == ENTRY_BYTES * len(ledgers[key])
            ledgers[key] = Ledger(packed)
        if outcome is not None:
            history.append(ended(with_call([], ME, now)[0], outcome, now + 30, refused=refused))


@settings(max_examples=100, deadline=None)
@given(rules=rule_sets, history=st.lists(calls(), max_size=15))
def test_a_ledger_that_has_expired_forbids_nothing(rules: list[CapRule | CooldownRule], history: list[Call]) -> None:
    for key, ledger in ledgers_of(history, ME, rules, START).items():
        own = by_key(rules)[key]
        expires = ledger.expires_at(own)
        if math.isfinite(expires):
            assert evaluate_ledgers({key: ledger}, own, max(expires, START), zones=ZONES).permit


def test_the_week_has_a_night_of_twenty_five_hours() -> None:
    """The days of these tests are what they are meant to be."""
    madrid = ZoneInfo("Europe/Madrid")
    night = date(2026, 10, 25)
    assert civil(madrid, START).date() < night < civil(madrid, START + 10 * 86_400).date()
