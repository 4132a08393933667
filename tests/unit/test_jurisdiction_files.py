"""Files of jurisdictions: those that are shipped, and every way in which one can be wrong."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from dialer.compliance.jurisdiction import POLICY, parse_jurisdiction
from dialer.compliance.loader import find_folder, load_rule_book
from dialer.compliance.rule_file import parse_cap_window, parse_duration_s
from dialer.compliance.rules import (
    AbandonmentRule,
    CapRule,
    ConsentMode,
    ConsentRule,
    HoursRule,
    Mark,
    Party,
    Purpose,
    RegistryRule,
    Span,
)
from dialer.compliance.windows import Window, parse_windows
from dialer.errors import ConfigError
from tests.compliance_rules import SHIPPED, book_of, policy_table, rule_table, shipped_book, spain_table

SINCE_2024: dict[str, Any] = {"from": date(2024, 1, 1)}
WEEK = {"mon-fri": ["09:00-21:00"], "sat": [], "sun": [], "holiday": []}


def hours(name: str = "ES-hours", /, **given: Any) -> dict[str, Any]:
    return rule_table(name, **{"week": WEEK, **given})


def test_the_shipped_files_cover_the_countries_that_they_should() -> None:
    book = shipped_book()
    assert set(book.countries) == {"ES", "US", "GB", "CA", "FR", "DE", "AR", "UY", "CO", "MX", "BR", "AU"}
    for region in ("ES", "US", "PR", "GB", "JE", "FR"):
        assert book.of_region(region) is not None
    assert book.of_region("IT") is None


def test_every_shipped_value_says_where_it_comes_from_and_how_sure_it_is() -> None:
    book = shipped_book()
    marks = dict.fromkeys(Mark, 0)
    for one in [*book.countries.values(), book.policy]:
        assert one.rules
        for rule in one.rules:
            assert rule.source.strip()
            marks[rule.mark] += 1
            assert book.find(rule.version) is rule
    assert all(marks.values()), marks


def test_shipped_us_subdivisions_know_every_area_code_of_a_state_with_its_own_rules() -> None:
    states = shipped_book().countries["US"].subdivisions
    assert len(states) == 56
    codes = [code for one in states.values() for code in one.area_codes]
    assert len(codes) == len(set(codes)), "an area code lies in one state"
    assert "212" in states["NY"].area_codes
    assert "305" in states["FL"].area_codes


@pytest.mark.parametrize(
    ("country", "day", "mode", "age"),
    [
        ("FR", date(2026, 8, 10), ConsentMode.OPT_OUT, None),
        ("FR", date(2026, 8, 11), ConsentMode.OPT_IN, None),
        ("ES", date(2025, 12, 27), ConsentMode.OPT_IN, None),
        ("ES", date(2025, 12, 28), ConsentMode.OPT_IN, 730),
    ],
)
def test_versions_change_on_their_day(country: str, day: date, mode: ConsentMode, age: int | None) -> None:
    book = shipped_book()
    seat = book.named(country)
    (rule,) = book.in_force(ConsentRule, [seat], Purpose.MARKETING, Party.CONSUMER, day)
    assert (rule.mode, rule.max_age_days) == (mode, age)


def test_the_policy_fills_in_where_a_country_says_nothing() -> None:
    book = shipped_book()
    spain = [book.named("ES")]
    day = date(2026, 11, 23)
    (marketing,) = book.in_force(HoursRule, spain, Purpose.MARKETING, Party.CONSUMER, day)
    (debt,) = book.in_force(HoursRule, spain, Purpose.DEBT, Party.CONSUMER, day)
    assert (marketing.id, debt.id) == ("ES-marketing-hours", "POLICY-hours")
    (limit,) = book.in_force(AbandonmentRule, spain, Purpose.MARKETING, Party.CONSUMER, day)
    assert (limit.limit, limit.mark) == (0.01, Mark.POLICY)
    assert not book.in_force(RegistryRule, spain, Purpose.DEBT, Party.CONSUMER, day)


def test_figures_of_the_shipped_caps() -> None:
    book = shipped_book()
    day = date(2026, 11, 23)

    def caps(place: str, purpose: Purpose) -> set[tuple[int, Span, int]]:
        seat = book.named(place)
        rules = book.in_force(CapRule, [seat], purpose, Party.CONSUMER, day)
        return {(r.maximum, r.span, r.length) for r in rules if r.mark is not Mark.POLICY}

    assert caps("US-FL", Purpose.MARKETING) == {(3, Span.ROLLING, 86_400)}
    assert caps("US-NY", Purpose.DEBT) == {(7, Span.ROLLING, 7 * 86_400)}
    assert caps("FR", Purpose.MARKETING) == {(4, Span.CALENDAR_DAYS, 30)}
    assert caps("CO", Purpose.DEBT) == {(1, Span.CALENDAR_DAYS, 1)}
    assert caps("DE", Purpose.MARKETING) == {
        (3, Span.CALENDAR_DAYS, 1),
        (15, Span.CALENDAR_DAYS, 7),
        (30, Span.EVER, 0),
    }


def parse(**given: Any) -> None:
    parse_jurisdiction(spain_table(**given))


WRONG: list[tuple[dict[str, Any], str]] = [
    (
        {"hours": [hours(week={**WEEK, "mon-fri": ["09:00-14:00", "13:00-20:00"]})]},
        "09:00-14:00 and 13:00-20:00 overlap",
    ),
    ({"hours": [hours(week={**WEEK, "sat": ["09:00-09:00"]})]}, "is empty; a day without calls is written as"),
    (
        {"hours": [hours(week={**WEEK, "sat": ["22:00-02:00"]})]},
        'write "22:00-24:00" on this day and "00:00-02:00" on the',
    ),
    ({"hours": [hours(week={**WEEK, "sat": ["09:00-25:00"]})]}, "a time that no clock shows"),
    ({"hours": [hours(week={**WEEK, "sat": ["09:60-12:00"]})]}, "a time that no clock shows"),
    ({"hours": [hours(week={**WEEK, "sat": ["9-21"]})]}, "is no window; write it as 09:00-21:00"),
    ({"hours": [hours(week={"mon-fri": ["09:00-21:00"]})]}, "says nothing about sat, sun"),
    ({"hours": [hours(week={**WEEK, "fri": []})]}, "Friday has been given before"),
    ({"hours": [hours(week={**WEEK, "caturday": []})]}, "'caturday' is no day"),
    ({"hours": [hours(week={"mon-sun": []})]}, "leaves no minute of the week open"),
    ({"hours": [hours(clock="Europe/Madird")]}, "'Europe/Madird' is no IANA zone"),
    ({"hours": [hours(where=["XX"])]}, "where names XX, which is no subdivision"),
    ({"hours": [hours(purposes=["spam"])]}, "Invalid enum value 'spam'"),
    ({"hours": [hours(colour="red")]}, "unknown field `colour`"),
    ({"hours": [{**hours(), "from": "soon"}]}, "[[hours]] ES-hours"),
    ({"hours": [hours(until=date(2020, 1, 1))]}, "it would never be in force"),
    ({"hours": hours()}, "write [[hours]] with double brackets"),
    ({"hours": [hours(), hours("ES-hours", **SINCE_2024)]}, "give that one until = 2024-01-01"),
    (
        {"hours": [hours(until=date(2023, 1, 1)), hours("ES-hours", **SINCE_2024)]},
        "leaves a gap: the version before it ends on 2023-01-01",
    ),
    (
        {"hours": [hours(until=date(2024, 1, 1)), hours("ES-hours", purposes=["debt"], **SINCE_2024)]},
        "is about other calls than the version before it",
    ),
    ({"hours": [hours()], "cap": [rule_table("ES-hours", max=1, window="P1D", key=["number"])]}, "different kinds"),
    ({"cap": [rule_table("ES-cap", max=0, window="P1D", key=["number"])]}, "`int` >= 1"),
    ({"cap": [rule_table("ES-cap", max=1, window="1 day", key=["number"])]}, "is no window; write P7D or PT24H"),
    ({"cap": [rule_table("ES-cap", max=1, window="P1D", key=[])]}, "length >= 1"),
    ({"cap": [rule_table("ES-cap", max=1, window="P1D", key=["number", "number"])]}, "names something twice"),
    ({"cap": [rule_table("ES-cap", max=1, window="P1D", key=["number"], counts=["sale"])]}, "'sale' is no outcome"),
    ({"consent": [rule_table("ES-consent", mode="opt_in", max_age="PT36H")]}, "no number of whole days"),
    ({"cooldown": [rule_table("ES-cool", after=["refusal"], duration="P0D", key=["number"])]}, "takes no time"),
    ({"ring": [rule_table("ES-ring", minimum_s=20, maximum_s=15)]}, "is not more than minimum_s"),
    ({"abandonment": [rule_table("ES-drop", limit=3, window="day")]}, "`float` <= 1"),
    ({"abandonment": [rule_table("ES-drop", limit=0.03, window="week")]}, "Invalid enum value 'week'"),
    ({"holidays": []}, "unknown field `holidays`"),
    ({"zones": []}, "zones is missing"),
    ({"zones": ["Europe/Madrit"]}, "'Europe/Madrit' is no IANA zone"),
    ({"unlisted": "policy"}, "belongs into the file of the policy"),
    ({"subdivisions": {"XX": {"name": "Nowhere"}}}, "no calendar of holidays for 'XX' in ES"),
    ({"subdivisions": {"MD": {"name": "Madrid", "zones": ["Europe/Paris"]}}}, "is none of the country's zones"),
    (
        {"added_holidays": [{"date": date(2026, 5, 15), "name": "Saint", "where": ["MD"], "source": "test"}]},
        "names MD, which is no subdivision",
    ),
    (
        {"removed_holidays": [{"date": date(2026, 11, 23), "name": "Monday", "source": "test"}]},
        "2026-11-23 (Monday) is no holiday there anyway",
    ),
]


@pytest.mark.parametrize(("given", "told"), WRONG, ids=[told[:40] for _, told in WRONG])
def test_a_file_that_is_wrong_is_refused_with_what_to_write(given: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse(**given)
    assert told in str(refused.value)


def test_a_country_without_calendar_of_holidays_is_refused() -> None:
    with pytest.raises(ConfigError, match="no calendar of holidays for the country 'XX'"):
        parse_jurisdiction({**spain_table(), "country": "XX"})


def test_a_policy_has_no_place() -> None:
    with pytest.raises(ConfigError, match="the policy has no zones"):
        parse_jurisdiction({**policy_table(), "zones": ["Europe/Madrid"]})


def test_windows_that_touch_become_one() -> None:
    assert parse_windows(["12:00-14:00", "09:00-12:00"]) == (Window(540, 840),)
    assert parse_windows(["00:00-24:00"]) == (Window(0, 1440),)


def test_books_are_checked_as_a_whole() -> None:
    spain = spain_table(hours=[hours()])
    with pytest.raises(ConfigError, match="two files are about ES"):
        book_of(spain, spain)
    with pytest.raises(ConfigError, match="region ES is claimed by"):
        book_of(spain, {**spain_table(), "country": "PT", "regions": ["ES"]})
    with pytest.raises(ConfigError, match="ES-hours is the id of a rule of ES and of one of PT"):
        book_of(spain, {**spain, "country": "PT"})
    with pytest.raises(ConfigError, match="the policy has no open-ended rule of hours"):
        book_of(spain, {**policy_table(), "hours": []})
    with pytest.raises(ConfigError, match=f"no file has country = '{POLICY}'"):
        type(book_of(spain))([parse_jurisdiction(spain)], "test")


def test_a_book_names_what_it_does_not_know() -> None:
    book = book_of(spain_table(hours=[hours()]))
    with pytest.raises(ConfigError, match="no file about 'PT'; on file are ES"):
        book.named("PT")
    with pytest.raises(ConfigError, match="ES has no subdivision 'MD' on file; it has none"):
        book.named("ES-MD")


def test_folders_that_cannot_be_read_say_which_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read the folder"):
        load_rule_book(tmp_path / "none")
    with pytest.raises(ConfigError, match=r"has no \*.toml file"):
        load_rule_book(tmp_path)
    file = tmp_path / "ES.toml"
    file.write_bytes(b"\xff")
    with pytest.raises(ConfigError, match=r"ES.toml is not UTF-8 text \(byte 0\)"):
        load_rule_book(tmp_path)
    file.write_text("country = ")
    with pytest.raises(ConfigError, match=r"ES.toml is not valid TOML"):
        load_rule_book(tmp_path)
    file.write_text('country = "ES"\n')
    with pytest.raises(ConfigError, match=r"ES.toml: .*missing required field `name`"):
        load_rule_book(tmp_path)


def test_the_version_of_a_book_is_that_of_its_contents(tmp_path: Path) -> None:
    for path in SHIPPED.glob("*.toml"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    assert load_rule_book(tmp_path).version == shipped_book().version
    with (tmp_path / "ES.toml").open("a") as file:
        file.write("# changed\n")
    assert load_rule_book(tmp_path).version != shipped_book().version


def test_the_folder_stands_beside_the_settings_or_comes_with_the_program(tmp_path: Path) -> None:
    assert find_folder(SHIPPED.parent / "cadencia.toml") == SHIPPED
    assert find_folder(None).samefile(SHIPPED)
    assert find_folder(tmp_path / "cadencia.toml").samefile(SHIPPED)
    (tmp_path / "jurisdictions").mkdir()
    assert find_folder(tmp_path / "cadencia.toml") == tmp_path / "jurisdictions"


@pytest.mark.parametrize(("text", "seconds"), [("P7D", 604_800), ("PT24H", 86_400), ("PT90M", 5_400)])
def test_durations(text: str, seconds: int) -> None:
    assert parse_duration_s(text) == seconds


@pytest.mark.parametrize("text", ["", "7 days", "P", "P7", "-P7D", "P7DT1H", "PT0H", "P1W"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_duration_s(text)


def test_windows_of_caps() -> None:
    assert parse_cap_window("ever") == (Span.EVER, 0)
    assert parse_cap_window("30 calendar days") == (Span.CALENDAR_DAYS, 30)
    assert parse_cap_window("P30D") == (Span.ROLLING, 30 * 86_400)
    with pytest.raises(ConfigError):
        parse_cap_window("0 calendar days")
