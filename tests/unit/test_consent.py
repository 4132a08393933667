"""Consent: what is read from a CRM, and what it allows."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialer.compliance.consent import Consent, ConsentProblem, Unusable, Wanted, check, read_consent
from dialer.compliance.rules import Basis, ConsentMode, ConsentRule, Purpose
from dialer.core.ids import Phone
from tests.compliance_rules import EVERYBODY

PHONE = Phone("+34600111222")
WANTED = Wanted(phone=PHONE, purpose=Purpose.MARKETING, person="17", seller="acme")
DAY = 86_400.0
NOW = 1_795_000_000.0
GOOD = Consent(
    id="c-1",
    person="17",
    phone=PHONE,
    purposes=frozenset({Purpose.MARKETING}),
    channel="voice",
    seller="acme",
    source="web form",
    text="I agree to be called about offers of Acme.",
    given_at=NOW - 10 * DAY,
)


def rule(mode: ConsentMode, max_age_days: int | None = None, lifted_by: frozenset[Basis] = frozenset()) -> ConsentRule:
    given: dict[str, Any] = {**EVERYBODY, "id": "TEST-consent", "lifted_by": lifted_by, "from_day": date(2020, 1, 1)}
    return ConsentRule(**given, mode=mode, max_age_days=max_age_days)


OPT_IN = rule(ConsentMode.OPT_IN)
OPT_OUT = rule(ConsentMode.OPT_OUT)


def test_opt_in_refuses_without_a_record_and_permits_with_one() -> None:
    assert check(OPT_IN, [], WANTED, NOW).problem is ConsentProblem.NONE
    verdict = check(OPT_IN, [GOOD], WANTED, NOW)
    assert verdict.permit
    assert verdict.consent is GOOD


def test_opt_out_asks_for_nothing() -> None:
    assert check(OPT_OUT, [], WANTED, NOW).permit
    assert check(None, [], WANTED, NOW).permit


@pytest.mark.parametrize(
    ("record", "problem"),
    [
        (replace(GOOD, phone=Phone("+34600111333")), ConsentProblem.OTHER),
        (replace(GOOD, purposes=frozenset({Purpose.SURVEY})), ConsentProblem.OTHER),
        (replace(GOOD, channel="sms"), ConsentProblem.OTHER),
        (replace(GOOD, seller="other"), ConsentProblem.OTHER),
        (replace(GOOD, person="18"), ConsentProblem.NONE),
        (replace(GOOD, given_at=NOW + 1), ConsentProblem.NOT_YET),
        (replace(GOOD, expires_at=NOW), ConsentProblem.EXPIRED),
        (replace(GOOD, revoked_at=NOW), ConsentProblem.REVOKED),
    ],
)
def test_what_is_not_enough(record: Consent, problem: ConsentProblem) -> None:
    verdict = check(OPT_IN, [record], WANTED, NOW)
    assert not verdict.permit
    assert verdict.problem is problem


def test_one_for_all_numbers_and_no_seller_counts() -> None:
    assert check(OPT_IN, [replace(GOOD, phone=None, seller="", person="")], WANTED, NOW).permit


def test_consent_that_begins_later_says_when() -> None:
    assert check(OPT_IN, [replace(GOOD, given_at=NOW + 60)], WANTED, NOW).retry_at == NOW + 60


def test_consent_grows_old_by_the_rule() -> None:
    two_years = rule(ConsentMode.OPT_IN, max_age_days=730)
    old = replace(GOOD, given_at=NOW - 730 * DAY)
    assert check(two_years, [old], WANTED, NOW).problem is ConsentProblem.STALE
    assert check(two_years, [old], WANTED, NOW - 1).permit
    assert check(OPT_IN, [old], WANTED, NOW).permit


def test_who_took_it_back_is_not_called_under_any_rule_or_claim() -> None:
    revoked = replace(GOOD, revoked_at=NOW - DAY)
    claim = frozenset({Basis.EXISTING_CUSTOMER})
    for one in (None, OPT_OUT, OPT_IN, rule(ConsentMode.OPT_IN, lifted_by=claim)):
        assert check(one, [revoked], WANTED, NOW, claim).problem is ConsentProblem.REVOKED
    # An older yes does not outlive a later no; a newer yes does.
    older = replace(GOOD, id="c-0", given_at=NOW - 20 * DAY)
    assert not check(OPT_IN, [older, revoked], WANTED, NOW).permit
    newer = replace(GOOD, id="c-2", given_at=NOW - DAY / 2)
    assert check(OPT_IN, [newer, revoked], WANTED, NOW).consent is newer


def test_a_claim_stands_in_for_consent_where_the_rule_takes_it() -> None:
    claims = frozenset({Basis.CURRENT_CONTRACT})
    taken = check(rule(ConsentMode.OPT_IN, lifted_by=claims), [], WANTED, NOW, claims)
    assert taken.permit
    assert taken.basis is Basis.CURRENT_CONTRACT
    assert not check(OPT_IN, [], WANTED, NOW, claims).permit


GIVEN: dict[str, object] = {
    "id": "c-881",
    "purposes": ["marketing"],
    "source": "web form",
    "text": "I agree to be called.",
    "given_at": "2026-05-04T10:12:00+02:00",
}


def test_reading_what_a_crm_says() -> None:
    consent = read_consent({**GIVEN, "phone": PHONE, "expires_at": "2028-05-04T00:00:00Z"}, person="17")
    assert isinstance(consent, Consent)
    assert consent.person == "17"
    assert consent.given_at == datetime.fromisoformat("2026-05-04T10:12:00+02:00").timestamp()
    assert consent.channel == "voice"
    assert check(OPT_IN, [consent], replace(WANTED, person=""), NOW).permit


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"given_at": "2026-05-04T10:12:00"}, "given_at has no zone"),
        ({"given_at": "yesterday"}, "given_at"),
        ({"purposes": []}, "purposes"),
        ({"purposes": ["spam"]}, "Invalid enum value 'spam'"),
        ({"text": ""}, "text"),
        ({"phone": "600111222"}, "phone"),
        ({"expires_at": "2026-05-04T10:12:00+02:00"}, "expires_at is not after given_at"),
        ({"yes": True}, "unknown field `yes`"),
        ({"id": None}, "id"),
    ],
)
def test_what_is_no_consent_is_told_and_allows_nothing(change: dict[str, object], told: str) -> None:
    found = read_consent({**GIVEN, **change})
    assert isinstance(found, Unusable)
    assert told in found.problem.says


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(data=st.dictionaries(st.sampled_from([*GIVEN, "phone", "revoked_at", "x"]), junk, max_size=6))
def test_nothing_that_a_crm_sends_raises(data: dict[str, object]) -> None:
    assert isinstance(read_consent(data), Consent | Unusable)
