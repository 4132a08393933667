"""Ledgers of calls: rounding is always towards forbidding, and nothing that counts is pushed out."""

from __future__ import annotations

from datetime import date

import pytest

from dialer.compliance.caps import Facts
from dialer.compliance.ledger import Ledger, evaluate_ledgers
from dialer.compliance.rules import CooldownRule, KeyPart, Party, Purpose, Span
from dialer.core.outcome import Outcome
from tests.compliance_rules import cap_rule, cooldown_rule, shipped_book

KEY = (KeyPart.NUMBER,)
DAY = 86_400


def test_a_start_between_two_seconds_counts_from_the_later_one() -> None:
    ledger = Ledger()
    ledger.add(1_000.2, Facts.BUSY)
    rule = cap_rule(1, Span.ROLLING, DAY)
    assert not evaluate_ledgers({KEY: ledger}, [rule], 1_000.2 + DAY).permit
    assert evaluate_ledgers({KEY: ledger}, [rule], 1_001 + DAY).permit


@pytest.mark.parametrize("lasted", [30.5, 70_000.5])
def test_a_rest_is_counted_from_the_end_of_the_talk(lasted: float) -> None:
    """However long it was: two bytes hold eighteen hours of seconds."""
    ledger = Ledger()
    ledger.add(1_000, Facts.CONNECTED, over_at=1_000 + lasted)
    rule = cooldown_rule(DAY, after=frozenset({Outcome.CONNECTED}))
    kept = Ledger(ledger.pack())
    assert not evaluate_ledgers({KEY: kept}, [rule], 1_000 + lasted + DAY).permit
    assert evaluate_ledgers({KEY: kept}, [rule], 1_001 + lasted + DAY).permit


def test_a_call_under_way_does_not_push_out_one_that_counts() -> None:
    """One talk a day; a call by hand after it finds nobody, and the talk still counts."""
    rule = cap_rule(1, Span.ROLLING, DAY, counts=frozenset({Outcome.CONNECTED}))
    ledger = Ledger()
    ledger.add(1_000, Facts.CONNECTED, over_at=1_060)
    ledger.add(2_000, Facts.UNDER_WAY)
    ledger.prune([rule], 2_000)
    ledger.finish(2_000, Facts.NO_ANSWER, over_at=2_030)
    ledger.prune([rule], 2_030)
    assert not evaluate_ledgers({KEY: ledger}, [rule], 3_000).permit


def test_bytes_cut_short_are_no_ledger() -> None:
    with pytest.raises(ValueError, match="7 bytes are no ledger"):
        Ledger(bytes(7))


def test_rests_of_the_policy_count_beside_those_of_a_country() -> None:
    book = shipped_book()
    found = book.in_force(CooldownRule, [book.named("FR")], Purpose.MARKETING, Party.CONSUMER, date(2026, 11, 23))
    assert {rule.id for rule in found} == {"FR-refusal", "POLICY-abandoned"}
