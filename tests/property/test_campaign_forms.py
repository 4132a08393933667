"""The form of a campaign: what it shows is what it reads, and whatever is typed, it says what is wrong and where."""

from __future__ import annotations

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from dialer.campaigns import change_campaign, dump_campaign, parse_campaign
from dialer.console import campaign_forms as forms
from dialer.console.campaign_form_layout import FIELDS, SECTIONS, TABLES
from dialer.console.campaign_forms import differences, merged, places, read, shown
from dialer.core.campaign import Campaign
from dialer.core.ids import CampaignId
from dialer.errors import InputError
from tests.property.test_api_campaign_input import campaigns

PLAIN = Campaign(id=CampaignId("winter"))
TYPED = shown(dump_campaign(PLAIN))

junk = st.one_of(
    st.text(max_size=30),
    st.sampled_from(
        ["", "1e999999", "NaN", "-1", "99999999999999999999", "١٢", "1,5", "3 %", "5 h", "\u202e", "{", "[]"]
    ),
)


@settings(max_examples=40, deadline=None)
@given(campaigns())
def test_what_is_shown_is_read_as_the_same_settings(campaign: Campaign) -> None:
    reading = read(shown(dump_campaign(campaign)))
    assert reading.problems == {}
    assert dump_campaign(change_campaign(campaign, reading.settings)) == dump_campaign(campaign)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(TYPED)), junk, min_size=1, max_size=4))
def test_whatever_is_typed_each_mistake_has_its_place(typed: dict[str, str]) -> None:
    reading = read({**TYPED, **typed})
    assert set(reading.problems) <= set(forms.slots({**TYPED, **typed}))
    if not reading.problems:
        try:
            parse_campaign({"id": "winter"} | reading.settings)
        except InputError as problem:
            told = forms.slot(str(problem).partition(":")[0])
            event(f"wrong only together with another field: {told}")
            if not told:
                raise


@given(junk)
def test_a_percentage_is_a_number_or_is_refused(text: str) -> None:
    try:
        share = forms.read_percent(text)
    except InputError:
        return
    assert forms.read_percent(forms.shown_percent(share)) == pytest.approx(share)


def test_every_setting_of_a_campaign_has_a_field_but_the_crms_own() -> None:
    names = [one.name for section in SECTIONS for one in section.fields]
    assert sorted(names) == sorted(set(dump_campaign(PLAIN)) - {"id", "segment"})


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90.0), ("90 s", 90.0), ("15min", 900.0), ("1,5 h", 5400.0), ("3 D", 259_200.0), (".5 s", 0.5)],
)
def test_lengths_of_time_have_units(text: str, seconds: float) -> None:
    assert read({**TYPED, "retries.busy.delay_s": text}).settings["retries"]["busy"]["delay_s"] == seconds


@pytest.mark.parametrize("text", ["soon", "5 weeks", "1e3", "5 5", "h", "--1", "1.2.3", "∞"])
def test_what_is_no_length_of_time_is_told(text: str) -> None:
    problem = read({**TYPED, "wrapup_limit_s": text}).problems["wrapup_limit_s"]
    assert isinstance(problem, forms.Unreadable)


def test_several_mistakes_are_told_at_once() -> None:
    typed = {"max_abandonment": "5", "ring_timeout_s": "3 s", "dispositions.1.code": "##", "currency": "XXXX"}
    problems = read({**TYPED, **typed}).problems
    assert set(problems) == {"max_abandonment", "ring_timeout_s", "dispositions.1", "currency"}
    assert "regulators allow" in str(problems["max_abandonment"])


def test_rows_come_and_go() -> None:
    for name in TABLES:
        more = forms.with_row(TYPED, name)
        (new,) = set(places(more, name)) - set(places(TYPED, name))
        assert read(more).settings == read(TYPED).settings, "an empty row is none"
        assert forms.without_row(more, f"{name}.{new}") == TYPED
    assert forms.without_row(TYPED, "name") == TYPED


def test_a_table_of_a_thousand_rows_is_cut() -> None:
    typed = {f"dispositions.{place}.code": "A" for place in range(1_000)}
    assert len(places(typed, "dispositions")) <= 201


# ---- two at once


@settings(max_examples=15, deadline=None)
@given(campaigns(), campaigns(), campaigns())
def test_of_two_changes_none_is_lost_in_silence(base: Campaign, mine: Campaign, theirs: Campaign) -> None:
    was, wanted, there = (dump_campaign(c) for c in (base, mine, theirs))
    typed = shown(wanted)
    found = {one.name: one for one in differences(was, read(typed).settings, there)}
    again = read(merged(typed, list(found.values()))).settings
    for name in FIELDS:
        if wanted[name] == was[name]:
            assert again[name] == there[name], "nobody touched it here: theirs holds"
        else:
            assert again[name] == read(typed).settings[name], "what was typed stays"
            told = there[name] == was[name] or there[name] == wanted[name] or found[name].both
            assert told, f"{name} was changed there as well, and nobody says so"


def test_who_changed_nothing_is_told_of_nothing() -> None:
    base = dump_campaign(PLAIN)
    assert differences(base, read(TYPED).settings, base) == []
    theirs = {**base, "name": "Theirs"}
    (one,) = differences(base, read(TYPED).settings, theirs)
    assert (one.name, one.both, one.theirs) == ("name", False, "Theirs")
    assert forms.spoken("name", "") == "–"
