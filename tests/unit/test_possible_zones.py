"""Where somebody may be, from number, address and time zone."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from dialer.compliance.zones import Called, Nowhere, Whereabouts, country_code, locate
from dialer.core.ids import Phone
from tests.compliance_rules import book_of, policy_table, shipped_book

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC).timestamp()
MADRID, CANARY = "Europe/Madrid", "Atlantic/Canary"
EASTERN, CENTRAL, PACIFIC = "America/New_York", "America/Chicago", "America/Los_Angeles"


def at(phone: str, **given: Any) -> Whereabouts:
    found = locate(shipped_book(), Called(phone=Phone(phone), **given), NOW)
    assert isinstance(found, Whereabouts)
    return found


def subdivisions(found: Whereabouts) -> frozenset[str]:
    return found.seats[0].subdivisions


@pytest.mark.parametrize(
    ("phone", "zones", "places"),
    [
        ("+34910123456", {MADRID}, {"MD"}),
        ("+34922123456", {CANARY}, {"CN"}),
        ("+34956501234", {MADRID}, {"AN", "CE"}),
        ("+12125550100", {EASTERN}, {"NY"}),
        # An area with two clocks: numbers move between its exchanges.
        ("+18504340000", {EASTERN, CENTRAL}, {"FL"}),
        ("+17872345678", {"America/Puerto_Rico"}, {"PR"}),
        ("+19022345678", {"America/Halifax"}, {"NS", "PE"}),
        ("+5521987654321", {"America/Sao_Paulo"}, {"RJ"}),
        ("+493012345678", {"Europe/Berlin"}, {"BE"}),
    ],
)
def test_lines_that_are_bound_to_an_area(phone: str, zones: set[str], places: set[str]) -> None:
    found = at(phone)
    assert set(found.zones) == zones
    assert subdivisions(found) == places


def test_a_mobile_number_may_be_anywhere_in_its_country() -> None:
    found = at("+34600111222")
    assert set(found.zones) == {MADRID, CANARY}
    assert subdivisions(found) == set(shipped_book().countries["ES"].subdivisions)
    assert len(at("+61412345678").zones) > 4


def test_the_address_says_where_a_mobile_number_is() -> None:
    for given in (
        {"postcode": "38001"},
        {"region": "CN"},
        {"region": "es-cn"},
        {"postcode": "38 001", "country": "ES"},
    ):
        found = at("+34600111222", **given)
        assert found.zones == (CANARY,)
        assert subdivisions(found) == {"CN"}
    assert subdivisions(at("+33612345678", postcode="75001")) == {"MET"}


def test_an_address_adds_to_a_number_that_is_bound() -> None:
    found = at("+12125550100", region="CA")
    assert set(found.zones) == {EASTERN, PACIFIC}
    assert subdivisions(found) == {"NY", "CA"}
    assert any("both count" in note for note in found.notes)


def test_an_address_abroad_brings_its_country() -> None:
    found = at("+34600111222", country="FR")
    assert [seat.jurisdiction.country for seat in found.seats] == ["ES", "FR"]
    abroad = locate(shipped_book(), Called(phone=Phone("+34600111222"), country="IT"), NOW)
    assert isinstance(abroad, Nowhere)
    assert "no rules of that country" in abroad.problem.says


def test_a_region_that_is_unknown_is_not_used_and_said() -> None:
    found = at("+34600111222", region="ZZ")
    assert set(found.zones) == {MADRID, CANARY}
    assert any("no region 'ZZ'" in note for note in found.notes)


@pytest.mark.parametrize(
    ("phone", "timezone", "trusted", "zones"),
    [
        ("+34600111222", CANARY, False, {CANARY}),
        # Another name of the same clock.
        ("+12125550100", "US/Eastern", False, {"US/Eastern"}),
        ("+18504340000", CENTRAL, False, {CENTRAL}),
        # Of the country, but not of the number; not even of the country.
        ("+12125550100", PACIFIC, False, {EASTERN, PACIFIC}),
        ("+34600111222", "America/Bogota", False, {MADRID, CANARY, "America/Bogota"}),
        ("+34600111222", "America/Bogota", True, {"America/Bogota"}),
        ("+34600111222", "Europe/Madird", False, {MADRID, CANARY}),
        ("+34600111222", "../../etc/passwd", True, {MADRID, CANARY}),
    ],
)
def test_a_time_zone_narrows_only_what_it_agrees_with(
    phone: str, timezone: str, trusted: bool, zones: set[str]
) -> None:
    assert set(at(phone, timezone=timezone, timezone_trusted=trusted).zones) == zones


def test_a_clock_narrows_the_regions_too_or_adds_those_that_use_it() -> None:
    assert subdivisions(at("+34600111222", timezone=CANARY)) == {"CN"}
    added = subdivisions(at("+12125550100", timezone=PACIFIC))
    assert {"NY", "CA", "NV", "WA"} <= added
    assert "FL" not in added


def test_toll_free_and_unknown_numbers_count_everywhere() -> None:
    assert len(at("+18003334444").zones) > 8
    unknown = at("+15550001111")
    assert {seat.jurisdiction.country for seat in unknown.seats} == {"US", "CA"}


@pytest.mark.parametrize("phone", ["+393331234567", "+999123456", "600111222", "", "+", "no number"])
def test_numbers_without_a_country_on_file_are_nowhere(phone: str) -> None:
    assert isinstance(locate(shipped_book(), Called(phone=Phone(phone)), NOW), Nowhere)


def test_a_policy_can_take_countries_without_a_file() -> None:
    book = book_of({**policy_table(), "unlisted": "policy"})
    found = locate(book, Called(phone=Phone("+393331234567")), NOW)
    assert isinstance(found, Whereabouts)
    assert found.zones == ("Europe/Rome",)


@pytest.mark.parametrize(
    ("phone", "code"),
    [
        ("+12125550100", "1"),
        ("+79161234567", "7"),
        ("+34600111222", "34"),
        ("+351910000001", "351"),
        ("+9990", ""),
        ("+", ""),
    ],
)
def test_the_code_that_a_number_begins_with(phone: str, code: str) -> None:
    assert country_code(phone) == code
