"""The last look before a number is dialed: who is admitted, who is turned away until when, and on what evidence."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest

from dialer.compliance.evidence import suppression_key
from dialer.compliance.loader import load_rule_book
from dialer.compliance.registry import Consulted, Edition, Registries
from dialer.compliance.rules import Basis
from dialer.compliance.screening import Admitted, Screening, TurnedAway, terms_of
from dialer.compliance.suppression import Suppressions
from dialer.compliance.zones import Called
from dialer.core.campaign import Campaign
from dialer.core.ids import CallId, CampaignId, ContactId, Phone
from dialer.core.permit import Permit
from dialer.simulation import OPEN_RULES
from tests.compliance_rules import shipped_book

DEBT = Campaign(id=CampaignId("debts"), purpose="debt")
SALES = Campaign(id=CampaignId("sales"), purpose="marketing")
CONSENT = {
    "id": "consent-7",
    "purposes": ["marketing"],
    "given_at": "2026-03-01T16:00:00+01:00",
    "source": "web form",
    "text": "Yes, call me",
}


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


#: A Thursday, eleven o'clock in Madrid; a Sunday.
OPEN = at("2026-11-26T10:00")
SUNDAY = at("2026-11-22T10:00")


def permit(phone: str = "+34600111222", **given: Any) -> Permit:
    values: dict[str, Any] = {
        "call": CallId("call-1"),
        "campaign": DEBT.id,
        "contact": ContactId("crm-1"),
        "phone": Phone(phone),
        "fencing_token": 1,
        "attempt_number": 1,
        "expires_at": 0.0,
    }
    return Permit(**{**values, **given})


class Policy:
    name = "robinson"
    max_age_days: float | None = 30.0
    campaigns: Sequence[str] = ("*",)
    answers: Sequence[str] = ("ES-robinson",)


def screening(listed: Mapping[int, str] | None = None, source_date: date = date(2026, 11, 20)) -> Screening:
    """By the shipped rules; with a registry where there is something listed."""
    if listed is None:
        return Screening(shipped_book(), lambda: Registries([], {}))
    consulted = Consulted(registry="robinson", version="v1", source_date=source_date)
    numbers = _Numbers(listed)
    registries = Registries([Policy()], {"robinson": Edition(consulted=consulted, numbers=numbers, count=len(listed))})
    return Screening(shipped_book(), lambda: registries)


class _Numbers(dict[int, str]):
    def contains_many(self, numbers: Sequence[int], /) -> Sequence[bool]:
        return [number in self for number in numbers]


def judged(desk: Screening, one: Permit, campaign: Campaign, now: float) -> Admitted | TurnedAway:
    """The answer about a place by whose caps is counted."""
    desk.judge(one, campaign, now)
    desk.caps(campaign, now)
    return desk.judge(one, campaign, now)


def test_who_may_be_called_is_admitted_with_the_rules_that_were_asked() -> None:
    answer = judged(screening({}), permit(), DEBT, OPEN)
    assert isinstance(answer, Admitted)
    evidence = json.loads(answer.verdict)
    assert evidence["book"] == shipped_book().version
    assert "POLICY-hours@2020-01-01" in evidence["asked"]
    assert evidence["zones"] == ["Europe/Madrid", "Atlantic/Canary"]
    assert evidence["registries"] == ["robinson@v1"]


def test_on_sunday_it_is_monday_that_is_waited_for() -> None:
    answer = judged(screening(), permit(), DEBT, SUNDAY)
    assert isinstance(answer, TurnedAway)
    # Nine in the Canary Islands, where a mobile number may be, is ten in Madrid.
    assert (answer.reason, answer.retry_at) == ("hours", at("2026-11-23T09:00"))
    assert answer.evidence["rules"]["says"].startswith("Sunday")  # type: ignore[index]  # it is JSON


def test_a_verdict_does_not_outlast_the_hours() -> None:
    desk = screening()
    closes = at("2026-11-26T19:00") - terms_of(DEBT).ring_timeout_s
    assert isinstance(judged(desk, permit(), DEBT, closes - 10.0), Admitted)
    # The second call rests on the verdict about the first one, as long as that holds.
    assert isinstance(desk.judge(permit("+34600333444"), DEBT, closes), Admitted)
    assert isinstance(desk.judge(permit("+34600333444"), DEBT, closes + 0.1), TurnedAway)


def test_opt_in_needs_consent_and_says_which_it_was() -> None:
    desk = screening({})
    refused = judged(desk, permit(), SALES, OPEN)
    assert isinstance(refused, TurnedAway)
    assert (refused.reason, refused.retry_at) == ("consent", OPEN + 6 * 3_600.0)
    admitted = desk.judge(permit(consent=CONSENT), SALES, OPEN)
    assert isinstance(admitted, Admitted)
    assert json.loads(admitted.verdict)["consent"] == "consent-7"
    for spoilt in ({"id": 7}, CONSENT | {"purposes": ["survey"]}, CONSENT | {"revoked_at": "2026-05-01T00:00:00Z"}):
        assert isinstance(desk.judge(permit(consent=spoilt), SALES, OPEN), TurnedAway)


def test_a_claim_lifts_a_rule_and_is_kept() -> None:
    claimed = Campaign(id=CampaignId("own"), purpose="marketing", bases=frozenset({"existing_customer"}))
    assert terms_of(claimed).bases == {Basis.EXISTING_CUSTOMER}
    answer = judged(screening({}), permit(), claimed, OPEN)
    assert isinstance(answer, Admitted)
    assert json.loads(answer.verdict)["bases"] == ["existing_customer"]


def test_who_is_on_a_registry_is_never_called() -> None:
    desk = screening({34600111222: ""})
    answer = desk.judge(permit(), DEBT, OPEN)
    assert isinstance(answer, TurnedAway)
    assert (answer.reason, answer.retry_at) == ("registry", None)
    assert isinstance(judged(desk, permit("+34600111223"), DEBT, OPEN), Admitted)


def test_a_registry_that_is_too_old_stops_the_campaign() -> None:
    desk = screening({}, source_date=date(2026, 9, 1))
    assert "days old" in desk.problem(DEBT, OPEN)
    answer = desk.judge(permit(), DEBT, OPEN)
    assert isinstance(answer, TurnedAway)
    assert (answer.reason, answer.retry_at) == ("registry_unavailable", OPEN + 60.0)
    assert screening({}).problem(DEBT, OPEN) == ""


def test_a_jurisdiction_that_is_not_on_file_stops_the_campaign() -> None:
    assert "'XX'" in screening().problem(Campaign(id=CampaignId("x"), jurisdictions=("XX",)), OPEN)


@pytest.mark.parametrize("phone", ["+999123456789", "+8613800138000"])
def test_a_number_of_a_country_without_rules_is_never_called(phone: str) -> None:
    answer = screening().judge(permit(phone), DEBT, OPEN)
    assert isinstance(answer, TurnedAway)
    assert (answer.reason, answer.retry_at) == ("unknown_country", None)


@pytest.mark.parametrize("phone", ["+33612345678", "+351912345678", "+8613800138000", "+80012345678"])
@pytest.mark.parametrize("demanding", [(), ("ES",)], ids=["no law of its own", "Spanish law besides"])
def test_where_the_house_policy_stands_for_a_country_that_has_no_clock_it_is_judged_all_the_same(
    phone: str, demanding: tuple[str, ...]
) -> None:
    campaign = replace(SALES, jurisdictions=demanding)
    answer = judged(Screening(load_rule_book(OPEN_RULES), lambda: Registries([], {})), permit(phone), campaign, OPEN)
    if phone.startswith("+800"):  # of no country: nothing tells what time it is there
        assert isinstance(answer, TurnedAway)
        assert (answer.reason, answer.retry_at) == ("unknown_country", None)
    else:
        assert isinstance(answer, Admitted)


def test_the_address_narrows_the_clocks() -> None:
    desk, early = screening(), at("2026-11-26T08:30")
    anywhere = judged(desk, permit(), DEBT, early)
    in_madrid = judged(desk, permit(fields={"country": "ES", "postcode": "28013"}), DEBT, early)
    assert isinstance(anywhere, TurnedAway)
    assert isinstance(in_madrid, Admitted)


def test_a_new_place_is_counted_by_its_caps_before_anybody_there_is_called() -> None:
    desk = screening()
    assert desk.caps(DEBT, OPEN).countries == ()
    first = desk.judge(permit(), DEBT, OPEN)
    assert isinstance(first, TurnedAway)
    assert (first.reason, first.retry_at, first.evidence) == ("new_place", OPEN, {})
    # The same reservation was not counted by them for others, either.
    assert desk.judge(permit("+34600333444"), DEBT, OPEN) == first
    counted = desk.caps(DEBT, OPEN)
    (spanish,) = counted.countries
    assert spanish.rules
    assert (spanish.codes, spanish.zones) == (("34",), ("Europe/Madrid", "Atlantic/Canary"))
    assert desk.caps(DEBT, OPEN + 1.0) is counted


def test_a_number_is_held_to_the_caps_of_its_own_country_and_of_the_house() -> None:
    desk = screening()
    for phone in ("+34600111222", "+442079460000", "+12015550123"):
        desk.judge(permit(phone), DEBT, OPEN)
    counted = {one.codes[0]: one for one in desk.caps(DEBT, OPEN).countries}
    assert set(counted) == {"34", "44", "1"}
    for code, country in (("34", "ES"), ("44", "GB"), ("1", "US")):
        assert {rule.jurisdiction for rule in counted[code].rules} <= {country, "POLICY"}
    assert "POLICY" in {rule.jurisdiction for rule in counted["34"].rules}
    assert "US" in {rule.jurisdiction for rule in counted["1"].rules}
    assert counted["44"].zones == ("Europe/London",)


def test_the_campaigns_own_country_counts_beside_that_of_each_number() -> None:
    desk, campaign = screening(), Campaign(id=DEBT.id, purpose="debt", jurisdictions=("US",))
    for phone in ("+34600111222", "+442079460000"):
        desk.judge(permit(phone), campaign, OPEN)
    for one in desk.caps(campaign, OPEN).countries:
        assert "US" in {rule.jurisdiction for rule in one.rules}


def test_a_number_that_is_called_at_an_address_abroad_is_held_to_the_caps_of_both() -> None:
    desk = screening()
    desk.judge(permit(fields={"country": "US"}), DEBT, OPEN)
    (both,) = desk.caps(DEBT, OPEN).countries
    assert both.codes == ("34",)
    assert {"US", "POLICY"} <= {rule.jurisdiction for rule in both.rules}


def test_other_terms_of_a_campaign_are_judged_anew() -> None:
    desk = screening()
    assert isinstance(judged(desk, permit(), DEBT, OPEN), Admitted)
    assert isinstance(judged(desk, permit(), Campaign(id=DEBT.id, purpose="marketing"), OPEN), TurnedAway)


def test_the_days_of_a_campaign_are_waited_for_and_looked_at_again_while_somebody_may_change_them() -> None:
    far = Campaign(id=CampaignId("debt"), purpose="debt", first_day=date(2027, 3, 1))
    answer = judged(screening(), permit(), far, OPEN)
    assert isinstance(answer, TurnedAway)
    assert (answer.reason, answer.retry_at) == ("campaign_hours", OPEN + 6 * 3_600.0)
    assert "first day, 2027-03-01" in str(answer.evidence)
    told = screening().explain(Called(phone=Phone("+34600111222")), far, OPEN, {})
    assert told.retry_at is not None
    assert told.retry_at >= at("2027-03-01T08:00"), "whoever asks is told the day itself"
    soon = Campaign(id=CampaignId("debt"), purpose="debt", first_day=date(2026, 11, 1), last_day=date(2026, 11, 30))
    assert isinstance(judged(screening(), permit(), soon, OPEN), Admitted)


def test_a_permit_does_not_outlast_the_last_day() -> None:
    last = Campaign(id=CampaignId("debt"), purpose="debt", last_day=date(2026, 11, 26))
    desk = screening()
    closes = at("2026-11-26T19:00") - terms_of(last).ring_timeout_s
    assert isinstance(judged(desk, permit(), last, closes - 10.0), Admitted)
    later = desk.judge(permit("+34600333444"), last, at("2026-11-27T10:00"))
    assert isinstance(later, TurnedAway)
    assert later.reason == "campaign_hours"


def test_whoever_asks_why_gets_the_whole_verdict() -> None:
    verdict = screening().explain(Called(phone=Phone("+34600111222")), SALES, SUNDAY, {})
    assert not verdict.permit
    assert {finding.step for finding in verdict.findings if not finding.ok} == {"consent", "hours"}


def test_who_was_erased_is_turned_away_for_good_and_not_named() -> None:
    hashes = [suppression_key("+34600111222", b"k" * 32)]
    screen = Screening(shipped_book(), lambda: Registries([], {}), Suppressions(hashes, "k" * 32))
    assert screen.judge(permit(), DEBT, OPEN) == TurnedAway("erased", None, {})
    assert screen.judge(permit("+34600111223"), DEBT, OPEN) != TurnedAway("erased", None, {})
    assert screen.problem(DEBT, OPEN) == ""
    lost = Screening(shipped_book(), lambda: Registries([], {}), Suppressions(hashes))
    assert "suppression_key" in lost.problem(DEBT, OPEN)


ASIDE = "ES-robinson@2020-01-01"


@pytest.mark.parametrize(
    ("listed", "campaign", "source_date", "aside", "says"),
    [
        (None, SALES, date(2026, 11, 20), (), 'answers = ["ES-robinson"]'),
        (None, replace(SALES, jurisdictions=("ES",)), date(2026, 11, 20), (), 'answers = ["ES-robinson"]'),
        (None, SALES, date(2026, 11, 20), (ASIDE,), ""),
        (None, DEBT, date(2026, 11, 20), (), ""),
        ({}, SALES, date(2026, 11, 20), (), ""),
        ({}, SALES, date(2026, 10, 1), (), "56 days old"),
        ({}, replace(SALES, id=CampaignId("other")), date(2026, 11, 20), (), ""),
    ],
)
def test_a_registry_that_the_law_demands_is_asked_or_nobody_is_called(
    listed: Mapping[int, str] | None, campaign: Campaign, source_date: date, aside: Sequence[str], says: str
) -> None:
    made = screening(listed, source_date)
    desk = Screening(shipped_book(), made._registries, aside=lambda _: aside)
    answer = judged(desk, permit(consent=CONSENT), campaign, OPEN)
    problem = desk.problem(campaign, OPEN)
    if not says:
        assert isinstance(answer, Admitted)
        assert problem == ""
        return
    assert isinstance(answer, TurnedAway)
    assert answer.retry_at is not None, "somebody may build it"
    if campaign.jurisdictions:
        assert says in problem
    elif listed is None:
        assert answer.reason == "registry_missing"
        assert says in str(answer.evidence)
        assert problem == "", "elsewhere it may call"


def test_a_registry_must_be_as_young_as_the_law_wants_whatever_the_settings_say() -> None:
    class Patient(Policy):
        name = "AU-dncr"
        max_age_days = None
        answers: Sequence[str] = ()

    consulted = Consulted(registry="AU-dncr", version="v1", source_date=date(2026, 10, 1))
    edition = Edition(consulted=consulted, numbers=_Numbers({}), count=0)
    registries = Registries([Patient()], {"AU-dncr": edition})
    desk = Screening(shipped_book(), lambda: registries)
    campaign = replace(SALES, jurisdictions=("AU",))
    assert "56 days old, and the rule allows 30" in desk.problem(campaign, OPEN)
    young = replace(edition, consulted=replace(consulted, source_date=date(2026, 11, 20)))
    registries = Registries([Patient()], {"AU-dncr": young})
    assert desk.problem(campaign, OPEN) == "", "a new version is seen at once"
