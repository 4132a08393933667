"""Where calls may go: countries and prefixes, the longer of two that fit, and satellites never by default."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialer.compliance.destinations import Destinations
from dialer.compliance.registry import Registries
from dialer.compliance.screening import BARRED, Screening, TurnedAway
from dialer.core.campaign import Campaign
from dialer.core.ids import CallId, CampaignId, ContactId, Phone
from dialer.core.permit import Permit
from dialer.core.spending import INSTALLATION, Cap, ScopeKind
from dialer.errors import ConfigError
from dialer.runtime.spending import caps_of, destinations_of, spending_of, trunk_limits
from dialer.settings import Settings, load
from tests.compliance_rules import shipped_book

SATELLITES = ["+870773101234", "+881612345678", "+88216123456", "+883510001234", "+979123456789"]
prefixes = st.from_regex(r"\+[0-9]{1,6}", fullmatch=True)


@pytest.mark.parametrize("phone", SATELLITES)
def test_satellites_and_numbers_of_no_country_are_barred_by_default(phone: str) -> None:
    assert "barred" in destinations_of(Settings()).problem(Phone(phone))
    assert not destinations_of(Settings()).problem(Phone("+34600111222"))


@given(st.sets(prefixes), st.sets(prefixes), st.from_regex(r"\+[0-9]{7,15}", fullmatch=True))
def test_the_longer_of_two_that_fit_counts(allowed: set[str], barred: set[str], phone: str) -> None:
    good = max((len(prefix) for prefix in allowed if phone.startswith(prefix)), default=0)
    bad = max((len(prefix) for prefix in barred if phone.startswith(prefix)), default=0)
    may = good > bad or (not bad and not allowed)
    assert (Destinations(allowed, barred).problem(Phone(phone)) == "") is may


@pytest.mark.parametrize(
    ("phone", "may"),
    [("+12125550123", True), ("+18765550123", False), ("+34600111222", False), ("+1", False), ("+", False)],
)
def test_a_country_is_not_the_others_that_share_its_code(phone: str, *, may: bool) -> None:
    assert (Destinations(allowed=["US"]).problem(Phone(phone)) == "") is may


@pytest.mark.parametrize("entry", ["", "XX", "es", "34", "+", "+34x", "+1234567890123456", "٣٤", "US;DROP"])
def test_what_is_neither_country_nor_prefix_is_refused(entry: str) -> None:
    with pytest.raises(ConfigError, match=r"destinations\.allowed"):
        Destinations(allowed=[entry])


def test_the_screen_turns_a_barred_number_away_for_good_with_its_reason() -> None:
    desk = Screening(shipped_book(), lambda: Registries([], {}), destinations=destinations_of(Settings()))
    permit = Permit(
        call=CallId("c"),
        campaign=CampaignId("w"),
        contact=ContactId("c1"),
        phone=Phone(SATELLITES[0]),
        fencing_token=1,
        attempt_number=1,
        expires_at=2.0,
    )
    answer = desk.judge(permit, Campaign(id=CampaignId("w")), 1.0)
    assert isinstance(answer, TurnedAway)
    assert (answer.reason, answer.retry_at) == (BARRED, None)
    assert "barred" in str(answer.evidence)


COSTS = """
[costs]
cap = {money = "10.5", minutes = 2.5}
each_campaign = {minutes = 0}
campaigns = {winter = {money = "1"}}
[[costs.tariffs]]
name = "deck"
file = "deck.csv"
[[asterisk]]
name = "pbx"
[[asterisk.trunks]]
name = "out"
tariff = "deck"
cap = {money = "3"}
"""


def test_tariffs_and_caps_come_from_the_settings(tmp_path: Path) -> None:
    (tmp_path / "deck.csv").write_text("\ufeffprefix,per_minute\n+34,0.01\n", encoding="utf-8")
    (tmp_path / "cadencia.toml").write_text(COSTS, encoding="utf-8")
    settings = load(tmp_path / "cadencia.toml", {})
    (limits,) = trunk_limits(settings)
    assert limits.tariff is not None
    assert limits.tariff.rate(Phone("+34600111222")) is not None
    caps = caps_of(settings)
    assert caps.of(INSTALLATION) == Cap(micros=10_500_000, seconds=150)
    assert caps.each_campaign == Cap(seconds=0)
    assert caps.campaigns == {CampaignId("winter"): Cap(micros=1_000_000)}
    assert [(scope.kind, scope.name, cap.micros) for scope, cap in caps.trunks.items()] == [
        (ScopeKind.TRUNK, "pbx/out", 3_000_000)
    ]
    assert spending_of(settings).limited
    assert not spending_of(Settings()).limited


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[[costs.tariffs]]\nname = "a"\n', "either rates or a file"),
        ('[[costs.tariffs]]\nname = "a"\nfile = "no.csv"\n', "cannot read"),
        ('[[costs.tariffs]]\nname = "a"\nrates = [{prefix = "34", per_minute = "cheap"}]\n', "row 1: 'cheap'"),
        ('[[costs.tariffs]]\nname = "a"\n[[costs.tariffs]]\nname = "a"\n', "same name"),
        ('[[asterisk]]\nname = "p"\n[[asterisk.trunks]]\nname = "o"\ntariff = "x"\n', "no [[costs.tariffs]]"),
        ('[costs]\ncap = {money = "-1"}\n', "costs.cap.money"),
        ('[costs]\ntimezone = "Mars/Olympus"\n', "costs.timezone"),
    ],
)
def test_a_mistake_in_the_costs_is_named(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "cadencia.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        trunk_limits(load(tmp_path / "cadencia.toml", {}))
    assert says in str(caught.value)
