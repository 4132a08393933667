"""Settings that would break a rule are refused with the rule's name."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from dialer.compliance.campaign_limits import CampaignSettings, breaches, registries, strictest_abandonment
from dialer.compliance.rules import Party, Purpose
from dialer.core.ids import Phone
from tests.compliance_rules import shipped_book

DAY = date(2026, 11, 23)
GOOD = CampaignSettings(
    max_abandonment=0.01,
    connect_within_s=2.0,
    ring_timeout_s=25.0,
    message=True,
    caller_id=Phone("+34910123456"),
    retention_days=5 * 366,
)


def broken(place: str, settings: CampaignSettings, purpose: Purpose = Purpose.MARKETING) -> set[tuple[str, str]]:
    book = shipped_book()
    found = breaches(book, [book.named(place)], purpose, Party.CONSUMER, settings, DAY)
    assert all(one.rule.version in one.says for one in found)
    return {(one.setting, one.rule.id) for one in found}


@pytest.mark.parametrize("place", ["ES", "US", "US-CA", "GB", "CA", "FR", "DE", "AU", "CO", "BR", "MX"])
def test_prudent_settings_break_nothing(place: str) -> None:
    assert not broken(place, GOOD)


@pytest.mark.parametrize(
    ("place", "change", "setting", "rule"),
    [
        ("US", {"max_abandonment": 0.031}, "max_abandonment", "US-FED-marketing-abandonment"),
        ("ES", {"max_abandonment": 0.03}, "max_abandonment", "POLICY-abandonment"),
        ("CA", {"max_abandonment": 0.06}, "max_abandonment", "CA-telemarketing-abandonment"),
        ("US", {"connect_within_s": 2.5}, "connect_within_s", "US-FED-marketing-abandonment"),
        ("GB", {"message": False}, "message", "GB-abandonment"),
        ("GB", {"message_after_s": 1.0}, "message", "GB-abandonment"),
        ("US", {"ring_timeout_s": 14.0}, "ring_timeout_s", "US-FED-ring"),
        ("DE", {"ring_timeout_s": 45.0}, "ring_timeout_s", "DE-code-ring"),
        ("US", {"caller_id": None}, "caller_id", "US-FED-caller-id"),
        ("ES", {"caller_id": Phone("+34600111222")}, "caller_id", "ES-no-mobile-caller-id"),
        ("US", {"retention_days": 730}, "retention_days", "US-FED-retention"),
    ],
)
def test_each_setting_that_breaks_a_rule(place: str, change: dict[str, object], setting: str, rule: str) -> None:
    assert (setting, rule) in broken(place, replace(GOOD, **change))  # type: ignore[arg-type]  # one field each


def test_california_counts_for_every_purpose() -> None:
    assert ("max_abandonment", "US-CA-predictive-abandonment") in broken(
        "US-CA", replace(GOOD, max_abandonment=0.04), Purpose.DEBT
    )


def test_law_and_policy_are_told_apart() -> None:
    book = shipped_book()
    over = replace(GOOD, max_abandonment=0.5)
    for place, of_law in (("ES", False), ("US", True)):
        (found,) = breaches(book, [book.named(place)], Purpose.MARKETING, Party.CONSUMER, over, DAY)
        assert found.of_law is of_law


def test_the_strictest_abandonment_of_all_places() -> None:
    book = shipped_book()
    seats = [book.named("CA"), book.named("US")]
    rule = strictest_abandonment(book, seats, Purpose.MARKETING, Party.CONSUMER, DAY)
    assert rule is not None
    assert rule.id == "US-FED-marketing-abandonment"


def test_registries_to_be_asked() -> None:
    book = shipped_book()
    names = {
        r.registry: r.max_age_days
        for r in registries(book, [book.named("US-FL")], Purpose.MARKETING, Party.CONSUMER, DAY)
    }
    assert names == {"National Do Not Call Registry": 31, "list of the state": None}
    before = registries(book, [book.named("FR")], Purpose.MARKETING, Party.CONSUMER, date(2026, 8, 10))
    assert [one.registry for one in before] == ["Bloctel"]
    assert not registries(book, [book.named("FR")], Purpose.MARKETING, Party.CONSUMER, date(2026, 8, 11))
