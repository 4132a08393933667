"""What the gate is told: clear or listed, by which versions; and that a missing or old registry is a refusal."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import pytest

from dialer.compliance.registry import (
    Clear,
    Consulted,
    Edition,
    Listed,
    Registries,
    RegistryTooOld,
    RegistryUnavailable,
)
from dialer.compliance.registry_prefixes import PrefixRule, PrefixRules
from dialer.compliance.registry_report import status_as_json, verdict_as_json
from dialer.core.ids import CampaignId, Phone
from dialer.core.saying import NOTHING, Saying
from dialer.errors import InputError
from dialer.settings import Registry

WINTER, SUMMER = CampaignId("winter"), CampaignId("summer")
DAY = date(2030, 1, 31)
START = datetime(2030, 1, 31, tzinfo=UTC).timestamp()
A_DAY = 86_400.0
LISTED, FREE = Phone("+12125551234"), Phone("+12125551235")


class Numbers(frozenset[int]):
    """The port, in memory."""

    def contains_many(self, numbers: Sequence[int], /) -> list[bool]:
        return [number in self for number in numbers]


def edition(name: str, numbers: Sequence[int] = (), *rules: PrefixRule, day: date = DAY) -> Edition:
    return Edition(
        consulted=Consulted(registry=name, version=f"{day:%Y%m%d}-0123456789ab", source_date=day),
        numbers=Numbers(numbers),
        count=len(numbers),
        prefixes=PrefixRules.of(rules),
    )


NATIONAL = edition("national", [12_125_551_234])
HOUSE = edition("house", [12_125_551_234, 34_600_111_222], PrefixRule(digits="34900", reason="freephone"))
BOTH = Registries(
    [Registry(name="national", max_age_days=31), Registry(name="house", campaigns=("winter",))],
    {"national": NATIONAL, "house": HOUSE},
)


def test_a_number_on_no_list_is_clear_and_says_who_was_asked() -> None:
    assert Clear(consulted=(NATIONAL.consulted, HOUSE.consulted)) == BOTH.check(FREE, WINTER, START)
    assert Clear(consulted=(NATIONAL.consulted,)) == BOTH.check(FREE, SUMMER, START)


def test_a_listed_number_names_the_first_registry_that_has_it() -> None:
    verdict = BOTH.check(LISTED, WINTER, START)
    assert isinstance(verdict, Listed)
    assert (NATIONAL.consulted, "", (NATIONAL.consulted, HOUSE.consulted)) == (
        verdict.by,
        verdict.rule,
        verdict.consulted,
    )


def test_a_prefix_rule_is_told_with_its_reason() -> None:
    verdict = BOTH.check(Phone("+34900123456"), WINTER, START)
    assert isinstance(verdict, Listed)
    assert (HOUSE.consulted, "+34900*", "freephone") == (verdict.by, verdict.rule, verdict.reason)


def test_a_campaign_asks_only_what_it_must() -> None:
    assert BOTH.asked_by(WINTER) == ("national", "house")
    assert BOTH.asked_by(SUMMER) == ("national",)
    assert isinstance(BOTH.check(Phone("+34600111222"), WINTER, START), Listed)
    assert isinstance(BOTH.check(Phone("+34600111222"), SUMMER, START), Clear)


@pytest.mark.parametrize(
    ("after_s", "kind"),
    [(0.0, Clear), (31 * A_DAY - 0.001, Clear), (31 * A_DAY, RegistryTooOld), (400 * A_DAY, RegistryTooOld)],
)
def test_a_registry_is_too_old_from_the_moment_on_that_its_age_is_reached(after_s: float, kind: type) -> None:
    for phone in (FREE, LISTED):
        verdict = BOTH.check(phone, WINTER, START + after_s)
        assert kind is type(verdict) or (kind is Clear and isinstance(verdict, Listed))
    assert (kind is Clear) == (BOTH.refusal(WINTER, START + after_s) is None)


def test_too_old_says_what_to_do() -> None:
    verdict = BOTH.check(FREE, SUMMER, START + 40 * A_DAY)
    assert isinstance(verdict, RegistryTooOld)
    assert (verdict.age_days, verdict.max_age_days) == (40.0, 31)
    assert "build a new version with cadencia registry build" in str(verdict)
    assert verdict_as_json(verdict)["verdict"] == "registry_too_old"


def test_a_registry_without_a_limit_does_not_age() -> None:
    registries = Registries([Registry(name="house")], {"house": HOUSE})
    assert isinstance(registries.check(FREE, WINTER, START + 4_000 * A_DAY), Clear)


@pytest.mark.parametrize(
    ("problem", "says"), [({}, "no version of it has been built"), ({"national": Saying("cut")}, "cut")]
)
def test_a_registry_that_is_not_there_is_a_refusal(problem: dict[str, Saying], says: str) -> None:
    registries = Registries([Registry(name="house"), Registry(name="national")], {"house": HOUSE}, problem)
    for phone in (FREE, Phone("+34600111222")):
        verdict = registries.check(phone, WINTER, START)
        assert isinstance(verdict, RegistryUnavailable)
        assert verdict.registry == "national"
        assert says in str(verdict)
    assert [registries.refusal(WINTER, START)] * 2 == registries.check_many([FREE, LISTED], WINTER, START)


def test_an_old_version_in_force_with_a_problem_still_answers() -> None:
    registries = Registries([Registry(name="house")], {"house": HOUSE}, {"house": Saying("the new one is damaged")})
    assert isinstance(registries.check(LISTED, WINTER, START), Listed)
    (status,) = registries.status(START)
    assert (status.refuses, status.problem) == (NOTHING, Saying("the new one is damaged"))


def test_a_date_in_the_future_is_a_refusal_not_eternal_youth() -> None:
    ahead = edition("national", day=DAY + timedelta(days=2))
    registries = Registries([Registry(name="national", max_age_days=31)], {"national": ahead})
    verdict = registries.check(FREE, WINTER, START)
    assert isinstance(verdict, RegistryUnavailable)
    assert "correct the clock" in verdict.problem.says
    assert isinstance(registries.check(FREE, WINTER, START + A_DAY), Clear)  # it may be tomorrow already in the east


def test_many_numbers_get_the_verdicts_of_each() -> None:
    phones = [LISTED, FREE, Phone("+34900123456"), Phone("+34600111222"), FREE]
    assert [BOTH.check(phone, WINTER, START) for phone in phones] == BOTH.check_many(phones, WINTER, START)
    assert BOTH.check_many([], WINTER, START) == []


@pytest.mark.parametrize("text", ["", "+", "600111222", "+34 600111222", "+1_000_000", "+0600111222", "+" + "1" * 16])
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"E\.164"):
        BOTH.check(Phone(text), WINTER, START)
    with pytest.raises(InputError, match=r"E\.164"):
        BOTH.check_many([FREE, Phone(text)], WINTER, START)


def test_a_campaign_that_must_ask_nobody_is_clear() -> None:
    assert Clear(consulted=()) == Registries([], {}).check(LISTED, WINTER, START)


def test_status_tells_version_age_and_whether_campaigns_may_dial() -> None:
    national, house = (status_as_json(status) for status in BOTH.status(START + 32 * A_DAY))
    assert (national["version"], national["age_days"], national["count"]) == ("20300131-0123456789ab", 32.0, 1)
    assert "at most 31 are allowed" in str(national["refuses"])
    assert (house["refuses"], house["rules"]) == ("", 1)


def test_two_policies_for_one_registry_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="two policies"):
        Registries([Registry(name="a1"), Registry(name="a1")], {})


@pytest.mark.parametrize("digits", ["", "0900", "34x", "1" * 16, "٣٤"])
def test_a_prefix_that_cannot_be_is_refused(digits: str) -> None:
    with pytest.raises(InputError):
        PrefixRule(digits=digits)
