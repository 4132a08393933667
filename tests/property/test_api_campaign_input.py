"""Campaigns as people write them: what is dumped is parsed back, what is wrong is refused with the field's name."""

from __future__ import annotations

import json
import math
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialer.campaigns import change_campaign, dump_campaign, parse_campaign
from dialer.core.caller_ids import CallerId
from dialer.core.campaign import DEFAULT_RETRIES, Campaign, MachineDetection, RetryRule
from dialer.core.ids import CampaignId, Phone, TrunkName
from dialer.core.outcome import Outcome
from dialer.errors import InputError
from pacing import method_names

names = st.text("abcXYZ019_-", min_size=1, max_size=64)
retried = st.sampled_from(sorted(set(Outcome) - {Outcome.CONNECTED, Outcome.CANCELLED}))


def within(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high, allow_nan=False, exclude_min=low == 0)


shown: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.builds(lambda one: {"caller_id": one}, st.none() | st.just(Phone("+34911222333"))),
    st.builds(
        lambda pool: {"caller_ids": tuple(pool)},
        st.lists(
            st.builds(
                CallerId,
                number=st.integers(34_910_000_000, 34_919_999_999).map(lambda n: Phone(f"+{n}")),
                prefixes=st.lists(st.sampled_from(["+34", "+3491", "+1"]), max_size=3).map(tuple),
                max_calls_per_day=st.none() | st.integers(1, 1_000_000),
            ),
            max_size=5,
            unique_by=lambda one: one.number,
        ),
    ),
)


@st.composite
def campaigns(draw: st.DrawFn) -> Campaign:
    connect_within_s = draw(within(0.5, 2.0))
    rules = st.builds(
        RetryRule,
        delay_s=within(0, 1e6),
        max_attempts=st.integers(1, 1_000),
        growth=st.floats(1, 10, allow_nan=False),
        other_phone_first=st.booleans(),
        spread_hours=st.booleans(),
    )
    detection = st.builds(
        MachineDetection,
        deadline_s=within(0.1, connect_within_s - 0.3),
        parameters=st.text("0123456789,", max_size=120),
        unsure_is_human=st.booleans(),
    )
    return Campaign(
        id=CampaignId(draw(names)),
        name=draw(st.text(st.characters(min_codepoint=0xA1, max_codepoint=0x2FF), max_size=200)),
        method=draw(st.sampled_from(method_names())),
        max_abandonment=draw(st.floats(0, 0.03)),
        connect_within_s=connect_within_s,
        ratio=draw(within(1, 20)),
        ring_timeout_s=draw(within(15, 120)),
        wrapup_limit_s=draw(st.none() | st.floats(0, 86_400)),
        max_lines=draw(st.integers(1, 1_000_000)),
        max_lines_per_agent=draw(within(1, 1_000)),
        max_attempts=draw(st.integers(1, 1_000)),
        retries=draw(st.dictionaries(retried, rules)),
        **draw(shown),
        message=draw(st.sampled_from(["cadencia-abandoned", "custom/sorry"])),
        trunks=tuple(TrunkName(name) for name in draw(st.lists(names, max_size=3))),
        machine_detection=draw(st.none() | detection),
        skills=draw(st.frozensets(names, max_size=3)),
        screen_pop=draw(st.sampled_from(["", "https://crm.example/open?id={id}&p={phone}", "http://crm/{{x}}"])),
        hours=draw(st.sampled_from([(), ("10:00-14:00",), ("mon-fri 10:00-14:00", "mon,wed 16:00-20:00")])),
        first_day=draw(st.none() | st.dates(date(2000, 1, 1), date(2026, 12, 1))),
        last_day=draw(st.none() | st.dates(date(2026, 12, 1), date(2999, 12, 31))),
    )


@given(campaign=campaigns())
def test_a_dumped_campaign_is_parsed_back_through_json(campaign: Campaign) -> None:
    assert parse_campaign(json.loads(json.dumps(dump_campaign(campaign)))) == campaign


def test_an_id_is_enough() -> None:
    assert parse_campaign({"id": "winter"}) == Campaign(id=CampaignId("winter"))


def test_one_retry_rule_is_changed_and_another_removed() -> None:
    rule = {"delay_s": 60, "max_attempts": 2}
    campaign = parse_campaign({"id": "w", "retries": {"busy": rule, "machine": None}})
    expected = dict(DEFAULT_RETRIES) | {Outcome.BUSY: RetryRule(delay_s=60, max_attempts=2)}
    del expected[Outcome.MACHINE]
    assert campaign.retries == expected
    changed = change_campaign(campaign, {"retries": {"no_answer": None}, "max_lines": 5})
    del expected[Outcome.NO_ANSWER]
    assert (changed.retries, changed.max_lines) == (expected, 5)


def test_the_id_cannot_be_changed() -> None:
    with pytest.raises(InputError, match=r"^id: cannot be changed"):
        change_campaign(Campaign(id=CampaignId("w")), {"id": "x"})


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("id", "two words", "must be 1 to 64 of the characters"),
        ("hours", ["mon 9-17"], "'mon 9-17' is no window; write it as mon-fri 09:00-17:00"),
        ("hours", ["lun 09:00-13:00", "mon 12:00-15:00"], "overlap"),
        ("hours", ["yesterday 09:00-13:00"], "names no day"),
        ("hours", ["fri 22:00-02:00"], "goes over midnight"),
        ("hours", ["09:00-10:00"] * 22, "length <= 21"),
        ("first_day", "1 December", "is no day; write it as 2026-12-31"),
        ("first_day", "20261201", "is no day; write it as 2026-12-31"),
        ("first_day", "2026-W49-2", "is no day"),
        ("first_day", "9999-12-31", "is no day"),
        ("last_day", "2026-02-30", "is no day"),
        ("last_day", "٢٠٢٦-12-01", "is no day"),
        ("last_day", "2026-12-01T10:00", "length <= 10"),
        ("id", "winter\n", "must be 1 to 64 of the characters"),
        ("method", "psychic", "is no pacing method; it may be preview"),
        ("max_abandonment", 0.031, "it may be 0 to 0.03: regulators allow at most 3"),
        ("max_abandonment", -0.01, "it may be 0 to 0.03"),
        ("connect_within_s", 2.5, "it may be more than 0 and at most 2: a person who waits longer"),
        ("connect_within_s", 0, "it may be more than 0"),
        ("ring_timeout_s", 14.9, "it may be 15 to 120: people must have 15 seconds"),
        ("ring_timeout_s", math.nan, "<= 120"),
        ("max_abandonment", math.nan, "it may be 0 to 0.03"),
        ("connect_within_s", math.nan, "it may be more than 0"),
        ("ratio", math.nan, "1.0"),
        ("ring_timeout_s", 121, "<= 120"),
        ("max_lines", 0, ">= 1"),
        ("max_lines", True, "got `bool`"),
        ("max_lines", "7", "got `str`"),
        ("wrapup_limit_s", math.nan, "0.0"),
        ("retries[...].delay_s", {"busy": {"delay_s": math.nan, "max_attempts": 1}}, "0.0"),
        ("caller_id", "600111222", "a number in E.164 form"),
        ("caller_id", "+34600111222\r\nApplication: System", "a number in E.164 form"),
        ("caller_ids[0].number", [{"number": "600111222"}], "a number in E.164 form"),
        ("caller_ids[0].prefixes[0]", [{"number": "+34910000001", "prefixes": ["34"]}], "such as +34 or +3491"),
        ("caller_ids[0].max_calls_per_day", [{"number": "+34910000001", "max_calls_per_day": 0}], ">= 1"),
        ("caller_ids", [{"number": "+34910000001"}, {"number": "+34910000001"}], "stands in the pool more than once"),
        ("message", "../../etc/passwd", "the name of a sound"),
        ("message", "x,n", "the name of a sound"),
        ("name", "a\x00b", "text without control characters"),
        ("trunks[0]", ["a b"], "must be 1 to 64"),
        ("retries", {"bisy": None}, "'bisy' is no outcome; it may be connected"),
        ("retries.connected", {"connected": {"delay_s": 1, "max_attempts": 1}}, "use a callback"),
        ("retries[...].delay_s", {"busy": {"delay_s": -1, "max_attempts": 1}}, ">= 0"),
        ("machine_detection.deadline_s", {"deadline_s": 1.9}, "may be at most 1.7"),
        ("machine_detection.parameters", {"parameters": "${SHELL(id)}"}, "options of AMD"),
        ("screen_pop", "javascript:alert(1)", "must begin with https://"),
        ("screen_pop", "https://crm/{id", "write a field as {id}"),
        ("screen_pop", "https://crm/{id.__class__}", "is no field"),
        ("screen_pop", "https://crm/{id!r}", "is no field"),
        ("screen_pop", "https://crm/ x", "without spaces"),
    ],
)
def test_what_is_wrong_is_named(field: str, value: Any, told: str) -> None:
    key = field.partition(".")[0].partition("[")[0]
    with pytest.raises(InputError) as caught:
        parse_campaign({"id": "w"} | {key: value})
    assert str(caught.value).startswith(f"{field}: ")
    assert told in str(caught.value)


def test_one_number_and_a_pool_exclude_each_other_and_one_is_changed_for_the_other() -> None:
    pool = [{"number": "+34910000001", "max_calls_per_day": 100}]
    campaign = parse_campaign({"id": "w", "caller_id": "+34910000009"})
    with pytest.raises(InputError, match=r"^caller_ids: cannot stand beside caller_id; .* set caller_id to null"):
        change_campaign(campaign, {"caller_ids": pool})
    changed = change_campaign(campaign, {"caller_id": None, "caller_ids": pool})
    assert changed.pool == (CallerId(number=Phone("+34910000001"), max_calls_per_day=100),)


def test_an_unknown_field_is_named() -> None:
    with pytest.raises(InputError, match="unknown field `pace`"):
        parse_campaign({"id": "w", "pace": 3})


@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=5,
    ),
    field=st.sampled_from(sorted(dump_campaign(Campaign(id=CampaignId("w"))))),
)
def test_any_value_gives_a_campaign_or_an_input_error(field: str, value: Any) -> None:
    try:
        campaign = parse_campaign({"id": "w"} | {field: value})
    except InputError:
        return
    assert campaign.max_abandonment <= 0.03
    assert campaign.connect_within_s <= 2.0
    assert campaign.ring_timeout_s >= 15.0
