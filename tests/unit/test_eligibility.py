"""Verdicts: the reasons in order, the moment of the next try, and words for people."""

from __future__ import annotations

import json
from datetime import date, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialer.compliance.caps import Call, Subject
from dialer.compliance.consent import Consent
from dialer.compliance.eligibility import Eligibility, RefusalReason, Terms, Verdict
from dialer.compliance.hours import CallingHours, own_timetables
from dialer.compliance.rules import Basis, Party, Purpose
from dialer.compliance.verdict_record import law_told, verdict_record
from dialer.compliance.zones import Called
from dialer.core.ids import Phone
from dialer.core.outcome import Outcome
from dialer.errors import ConfigError
from tests.compliance_rules import shipped_book

DESK = Eligibility(shipped_book())
MADRID = Phone("+34910123456")
NEW_YORK = Phone("+12125550100")


def at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def subject(phone: Phone = MADRID, **given: str) -> Subject:
    return Subject(**{"number": phone, "campaign": "winter", "person": "17", "account": "4", **given})


def consent(**given: Any) -> Consent:
    own: dict[str, Any] = {
        "id": "c-1",
        "person": "",
        "phone": None,
        "purposes": frozenset(Purpose),
        "channel": "voice",
        "seller": "",
        "source": "web form",
        "text": "I agree.",
        "given_at": at("2026-06-01T12:00:00+02:00"),
    }
    return Consent(**{**own, **given})


def judge(phone: Phone, purpose: Purpose, now: str, **given: Any) -> Verdict:
    terms = given.pop("terms", {})
    place = {key: given.pop(key) for key in ("timezone", "region", "postcode") if key in given}
    return DESK.judge(
        Called(phone=phone, **place),
        Terms(purpose=purpose, **terms),
        now=at(now),
        subject=given.pop("subject", subject(phone)),
        **given,
    )


def test_sunday_in_words() -> None:
    verdict = judge(MADRID, Purpose.MARKETING, "2026-11-22T12:00:00+01:00", consents=[consent()])
    assert verdict.reason is RefusalReason.HOURS
    assert verdict.retry_at == at("2026-11-23T09:00:00+01:00")
    assert verdict.says == (
        "Sunday: no marketing calls in Spain (clock of Madrid); next: Monday 2026-11-23 09:00 in Madrid"
    )


def test_a_permit_names_its_rules_versions_marks_and_consent() -> None:
    verdict = judge(MADRID, Purpose.MARKETING, "2026-11-23T12:00:00+01:00", consents=[consent()])
    assert verdict.permit
    assert verdict.retry_at is None
    assert verdict.consent_id == "c-1"
    assert verdict.rules == shipped_book().version
    named = {finding.rule: finding.mark for finding in verdict.findings if finding.rule}
    assert {"ES-marketing-hours@2020-01-01", "ES-marketing-consent@2025-12-28", "POLICY-attempts@2020-01-01"} <= set(
        named
    )
    assert all(shipped_book().find(version) is not None for version in named)
    assert [finding.step for finding in verdict.findings] == sorted(
        (finding.step for finding in verdict.findings), key=["place", "consent", "hours", "caps"].index
    )


def test_opt_in_without_consent_is_refused_until_there_is_one() -> None:
    verdict = judge(MADRID, Purpose.MARKETING, "2026-11-23T12:00:00+01:00")
    assert verdict.reason is RefusalReason.CONSENT
    assert verdict.retry_at is None
    assert "consent is missing" in verdict.says
    claimed = judge(
        MADRID, Purpose.MARKETING, "2026-11-23T12:00:00+01:00", terms={"bases": frozenset({Basis.EXISTING_CUSTOMER})}
    )
    assert claimed.permit
    assert claimed.bases == (Basis.EXISTING_CUSTOMER,)


def test_a_revocation_refuses_where_no_rule_asks_for_consent() -> None:
    revoked = consent(revoked_at=at("2026-07-01T12:00:00+02:00"))
    verdict = judge(MADRID, Purpose.SERVICE, "2026-11-23T12:00:00+01:00", consents=[revoked])
    assert verdict.reason is RefusalReason.CONSENT
    assert "took it back" in verdict.says


def test_consent_to_other_hours_lifts_those_of_france() -> None:
    paris = Phone("+33612345678")
    late = "2026-11-23T20:30:00+01:00"
    assert judge(paris, Purpose.MARKETING, late, consents=[consent()]).reason is RefusalReason.HOURS
    assert judge(paris, Purpose.MARKETING, late, consents=[consent(hours_agreed=True)]).permit
    gone = consent(hours_agreed=True, expires_at=at("2026-11-01T00:00:00+01:00"))
    assert not judge(paris, Purpose.MARKETING, late, consents=[gone, consent(id="c-2")]).permit


def test_seven_in_seven_days_and_a_talk() -> None:
    now = "2026-11-23T12:00:00-05:00"
    calls = [
        Call(at=at(now) - 86_400 * day - 60, subject=subject(NEW_YORK), outcome=Outcome.NO_ANSWER) for day in range(7)
    ]
    assert judge(NEW_YORK, Purpose.DEBT, now, history=calls[:6]).permit
    full = judge(NEW_YORK, Purpose.DEBT, now, history=calls)
    assert full.reason is RefusalReason.ATTEMPT_CAP
    # The oldest leaves the window at one minute to twelve of tomorrow.
    assert full.retry_at == at("2026-11-24T11:59:00-05:00")
    assert "called 7 times already: United States allows at most 7 calls in 7 days" in full.says
    other_phone = [Call(at=call.at, subject=subject(Phone("+12125550199")), outcome=call.outcome) for call in calls]
    assert not judge(NEW_YORK, Purpose.DEBT, now, history=other_phone).permit, "all numbers of the person count"
    other_debt = [Call(at=c.at, subject=subject(NEW_YORK, account="5"), outcome=c.outcome) for c in calls]
    assert judge(NEW_YORK, Purpose.DEBT, now, history=other_debt).permit
    busy = [Call(at=call.at, subject=call.subject, outcome=Outcome.BUSY) for call in calls]
    assert judge(NEW_YORK, Purpose.DEBT, now, history=busy).permit
    talk = Call(at=at("2026-11-20T10:00:00-05:00"), subject=subject(NEW_YORK), outcome=Outcome.CONNECTED, inbound=True)
    after = judge(NEW_YORK, Purpose.DEBT, now, history=[talk])
    assert after.reason is RefusalReason.COOLDOWN
    assert after.retry_at == at("2026-11-27T10:00:00-05:00")


def test_an_abandoned_call_rests_three_days_unless_an_agent_is_reserved() -> None:
    call = Call(at=at("2026-11-23T10:00:00+01:00"), subject=subject(), outcome=Outcome.ABANDONED)
    given: dict[str, Any] = {"history": [call], "consents": [consent()]}
    refused = judge(MADRID, Purpose.MARKETING, "2026-11-23T12:00:00+01:00", **given)
    assert refused.reason is RefusalReason.COOLDOWN
    assert refused.retry_at == at("2026-11-26T10:00:00+01:00")
    assert judge(MADRID, Purpose.MARKETING, "2026-11-23T12:00:00+01:00", agent_reserved=True, **given).permit


def test_the_next_try_keeps_hours_and_caps() -> None:
    """Three calls on Friday: midnight would do for the cap, Monday morning for the hours."""
    calls = [
        Call(at=at(f"2026-11-20T1{hour}:00:00+01:00"), subject=subject(), outcome=Outcome.NO_ANSWER)
        for hour in range(3)
    ]
    verdict = judge(MADRID, Purpose.MARKETING, "2026-11-20T15:00:00+01:00", history=calls, consents=[consent()])
    assert verdict.reason is RefusalReason.ATTEMPT_CAP
    assert verdict.retry_at == at("2026-11-23T09:00:00+01:00")


def test_the_centre_brings_its_own_rules() -> None:
    """A centre of France keeps its noon when it calls Madrid."""
    noon = "2026-11-23T13:30:00+01:00"
    assert judge(MADRID, Purpose.MARKETING, noon, consents=[consent()]).permit
    both = judge(MADRID, Purpose.MARKETING, noon, consents=[consent()], terms={"jurisdictions": ("FR",)})
    assert both.reason is RefusalReason.HOURS
    assert both.jurisdictions == ("ES-MD", "FR")
    with pytest.raises(ConfigError, match="no file about 'PT'"):
        judge(MADRID, Purpose.MARKETING, noon, terms={"jurisdictions": ("PT",)})


def test_party_matters_where_the_rule_says_so() -> None:
    berlin = Phone("+493012345678")
    assert judge(berlin, Purpose.MARKETING, "2026-11-23T12:00:00+01:00").reason is RefusalReason.CONSENT
    assert judge(berlin, Purpose.MARKETING, "2026-11-23T12:00:00+01:00", terms={"party": Party.BUSINESS}).permit


def test_thirty_a_campaign_is_for_good() -> None:
    berlin = Phone("+493012345678")
    calls = [
        Call(at=at("2026-01-05T12:00:00+01:00") + 86_400 * 7 * i, subject=subject(berlin), outcome=Outcome.BUSY)
        for i in range(30)
    ]
    verdict = judge(
        berlin, Purpose.MARKETING, "2026-11-23T12:00:00+01:00", history=calls, terms={"party": Party.BUSINESS}
    )
    assert verdict.reason is RefusalReason.ATTEMPT_CAP
    assert verdict.retry_at is None
    assert verdict.says.endswith("not any more: the cap counts for good")


def test_a_country_without_rules_is_not_called() -> None:
    verdict = judge(Phone("+393331234567"), Purpose.SERVICE, "2026-11-23T12:00:00+01:00")
    assert verdict.reason is RefusalReason.UNKNOWN_COUNTRY
    assert verdict.retry_at is None


def test_a_verdict_as_data_is_json() -> None:
    verdict = judge(MADRID, Purpose.MARKETING, "2026-11-22T12:00:00+01:00", consents=[consent()])
    data = json.loads(json.dumps(verdict_record(verdict), allow_nan=False))
    assert data["permit"] is False
    assert data["reason"] == "hours"
    assert data["retry_at"] == "2026-11-23T08:00:00Z"
    assert data["findings"][0]["step"] == "place"


numbers = st.sampled_from(
    [MADRID, Phone("+34600111222"), NEW_YORK, Phone("+18504340000"), Phone("+13055550100"), Phone("+33612345678")]
)


@settings(max_examples=60, deadline=None)
@given(
    phone=numbers,
    purpose=st.sampled_from(sorted(Purpose)),
    now=st.integers(1_767_222_000, 1_798_758_000),
    ago=st.lists(st.integers(1, 700 * 3_600), max_size=12),
    outcome=st.sampled_from(sorted(Outcome)),
    agreed=st.booleans(),
)
def test_whoever_waits_until_the_moment_told_is_called(
    phone: Phone, purpose: Purpose, now: int, ago: list[int], outcome: Outcome, agreed: bool
) -> None:
    history = [Call(at=float(now - before), subject=subject(phone), outcome=outcome) for before in ago]
    consents = [consent(given_at=0.0 if purpose is not Purpose.MARKETING else now - 86_400.0)] if agreed else []

    def verdict(moment: float) -> Verdict:
        return DESK.judge(
            Called(phone=phone),
            Terms(purpose=purpose),
            now=moment,
            history=history,
            subject=subject(phone),
            consents=consents,
        )

    told = verdict(now)
    assert told.permit == all(finding.ok for finding in told.findings)
    if told.retry_at is not None:
        assert told.retry_at > now
        assert verdict(told.retry_at).permit
        assert not verdict(told.retry_at - 0.001).permit
    elif not told.permit:
        assert told.reason is RefusalReason.CONSENT


# ---- hours of the campaign


def test_the_hours_of_a_campaign_only_take_from_those_of_the_law() -> None:
    terms = {"hours": ("mon-sat 08:00-11:00", "mon-fri 16:00-20:00")}
    shut = judge(MADRID, Purpose.MARKETING, "2026-11-23T12:00:00+01:00", consents=[consent()], terms=terms)
    assert shut.reason is RefusalReason.CAMPAIGN_HOURS
    assert shut.retry_at == at("2026-11-23T16:00:00+01:00")
    assert "hours of the campaign: mon-sat 08:00-11:00; mon-fri 16:00-20:00" in shut.says
    # On a Saturday, and at eight, the law has the last word, as before.
    for moment in ("2026-11-21T10:00:00+01:00", "2026-11-23T08:30:00+01:00"):
        early = judge(MADRID, Purpose.MARKETING, moment, consents=[consent()], terms=terms)
        assert early.reason is RefusalReason.HOURS
        assert early.retry_at == at("2026-11-23T09:00:00+01:00")
    assert judge(MADRID, Purpose.MARKETING, "2026-11-23T10:00:00+01:00", consents=[consent()], terms=terms).permit


def test_the_days_of_a_campaign_begin_and_end_by_the_clock_of_the_person_called() -> None:
    terms = {"first_day": date(2026, 12, 1), "last_day": date(2026, 12, 24)}
    early = judge(MADRID, Purpose.MARKETING, "2026-11-23T12:00:00+01:00", consents=[consent()], terms=terms)
    assert early.reason is RefusalReason.CAMPAIGN_HOURS
    assert early.says.startswith("before the campaign's first day, 2026-12-01 (clock of Madrid); next: ")
    assert early.retry_at == at("2026-12-01T09:00:00+01:00"), "when the law lets it, on that day"
    assert law_told(verdict_record(early))[0] == "law_campaign_days"
    for moment in ("2026-12-01T09:00:00+01:00", "2026-12-24T20:59:00+01:00"):
        assert judge(MADRID, Purpose.MARKETING, moment, consents=[consent()], terms=terms).permit
    over = judge(MADRID, Purpose.MARKETING, "2026-12-28T12:00:00+01:00", consents=[consent()], terms=terms)
    assert (over.reason, over.retry_at) == (RefusalReason.CAMPAIGN_HOURS, None)
    assert over.says == (
        "after the campaign's last day, 2026-12-24 (clock of Madrid); the campaign's last day has passed"
    )
    # One evening is the last day in New York, and the day after it in Madrid.
    evening, law = "2026-12-24T18:00:00-05:00", {"hours": ("mon-fri 10:00-20:00",)}
    assert judge(NEW_YORK, Purpose.SERVICE, evening, consents=[consent()], terms=terms | law).permit
    assert not judge(MADRID, Purpose.SERVICE, "2026-12-25T10:00:00+01:00", consents=[consent()], terms=terms).permit


@pytest.mark.parametrize(
    ("first", "last", "says"),
    [
        (date(2028, 6, 1), None, "leaves no time"),  # later than anybody looks
        (date(2026, 11, 28), date(2026, 11, 29), "contradict each other"),  # a weekend, when the law lets nobody call
        (None, date(2026, 11, 22), "last day has passed"),
    ],
)
def test_days_that_leave_no_moment_are_told_as_such(first: date | None, last: date | None, says: str) -> None:
    terms = {"first_day": first, "last_day": last}
    told = judge(MADRID, Purpose.MARKETING, "2026-11-23T12:00:00+01:00", consents=[consent()], terms=terms)
    assert (told.reason, told.retry_at) == (RefusalReason.CAMPAIGN_HOURS, None)
    assert says in told.says


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 14 * 24 * 4), st.lists(st.tuples(st.integers(0, 6), st.integers(0, 22)), min_size=1, max_size=6))
def test_a_call_is_allowed_where_law_campaign_and_number_allow_it(quarter: int, open_at: list[tuple[int, int]]) -> None:
    days = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
    hours = tuple(dict.fromkeys(f"{days[day]} {hour:02}:00-{hour + 1:02}:00" for day, hour in open_at))
    own = ("mon-fri 10:00-19:00",)
    called, now = Called(phone=MADRID), at("2026-11-23T00:00:00+01:00") + quarter * 900.0
    plain, strict = Terms(purpose=Purpose.MARKETING), Terms(purpose=Purpose.MARKETING, hours=hours)

    def allowed(terms: Terms, own_hours: tuple[str, ...] = ()) -> bool:
        return DESK.judge(called, terms, now=now, consents=[consent()], own_hours=own_hours).permit

    campaign = CallingHours(own_timetables(hours, ("Europe/Madrid",))).opening(now, strict.ring_timeout_s).at == now
    assert allowed(strict, own) == (allowed(plain, own) and campaign)
    verdict = DESK.judge(called, strict, now=now, consents=[consent()], own_hours=own)
    if verdict.retry_at is not None:
        then = DESK.judge(called, strict, now=verdict.retry_at, consents=[consent()], own_hours=own)
        assert then.permit, "the moment that is named is one at which it may be called"
