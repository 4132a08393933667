"""A campaign's own mapping: whatever is typed is refused or means the same everywhere, and never reaches an address."""

from __future__ import annotations

import json
import tomllib
from typing import Any

import jmespath
import msgspec
import pytest
from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st

from dialer.campaigns import dump_campaign, parse_campaign
from dialer.console import campaign_forms as forms
from dialer.console.campaign_forms import read, shown
from dialer.core.campaign import Campaign
from dialer.core.crm_terms import CrmField, CrmWord, CrmWrite
from dialer.core.ids import CampaignId
from dialer.crm.expressions import MAX_GROWTH, Expression
from dialer.crm.mapping import CrmMapping, MappingFile, compile_mapping, load_mapping
from dialer.crm.own_mapping import own_mapping
from dialer.crm.reading import PulledCall, read_row
from dialer.crm.requests import request_of
from dialer.crm.templates import FACTS
from dialer.crm_terms import PLAIN
from dialer.errors import InputError
from tests.crm_rig import MAPPINGS

#: The library still reads texts that are no JSON between backquotes, and says so.
pytestmark = pytest.mark.filterwarnings("ignore:deprecated string literal syntax")

SHIPPED = {path.name: load_mapping(path) for path in sorted(MAPPINGS.glob("*.toml"))}
EXPRESSIONS = ("amount", "[mobile, phone]", "who.name || name", "a[?b > `1`].c | [0]", "join(' ', [first, last])")

line = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x2FF, exclude_categories=["Cc"]), max_size=30)
names = st.from_regex(r"[A-Za-z0-9_-]{1,20}", fullmatch=True)
crms = st.sampled_from(["", "ours", "theirs"])
told = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**53), 2**53),
    st.floats(-1e9, 1e9, allow_nan=False),
    line,
    st.sampled_from(["{status}", "{fields.debt?none}: {notes}", "true", "7", "007", '"', '"x"', "null", " x ", "{{"]),
)
fields = st.builds(
    CrmField,
    crm=crms,
    field=st.one_of(st.sampled_from(PLAIN), names.map("fields.{}".format), names.map("consent.{}".format)),
    expression=st.sampled_from(EXPRESSIONS),
)
words = st.builds(CrmWord, crm=crms, table=st.sampled_from(["status", "state"]), word=names, becomes=told)
writes = st.builds(CrmWrite, crm=crms, rule=st.integers(1, 3), field=names, value=told)


def rows(of: st.SearchStrategy[Any], *key: str) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(of, max_size=4, unique_by=lambda row: tuple(getattr(row, name) for name in key)).map(tuple)


def parsed(**given: Any) -> Campaign:
    return parse_campaign({"id": "winter"} | {name: msgspec.to_builtins(value) for name, value in given.items()})


@settings(deadline=None)
@given(rows(fields, "crm", "field"), rows(words, "crm", "table", "word"), rows(writes, "crm", "rule", "field"))
def test_rows_are_the_same_on_record_in_the_api_and_in_the_form(
    contact: tuple[CrmField, ...], names: tuple[CrmWord, ...], update: tuple[CrmWrite, ...]
) -> None:
    try:
        campaign = parsed(crm_contact=contact, crm_words=names, crm_update=update)
    except InputError:
        event("a template that cannot be read")
        return
    assert (campaign.crm_contact, campaign.crm_words, campaign.crm_update) == (contact, names, update)
    assert msgspec.convert(json.loads(json.dumps(msgspec.to_builtins(campaign))), Campaign) == campaign
    assert parse_campaign(json.loads(json.dumps(dump_campaign(campaign)))) == campaign
    reading = read(shown(dump_campaign(campaign)))
    assert reading.problems == {}
    again = parse_campaign({"id": "winter"} | reading.settings)
    assert (again.crm_contact, again.crm_words, again.crm_update) == (contact, names, update)
    for one in again.crm_words:
        assert type(one.becomes) in {bool, str, int, float, type(None)}
        assert isinstance(one.becomes, str) == isinstance(names[again.crm_words.index(one)].becomes, str)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(sorted(SHIPPED)),
    rows(fields, "crm", "field"),
    rows(words, "crm", "table", "word"),
    rows(writes, "crm", "rule", "field"),
    st.dictionaries(st.sampled_from(["status", "outcome", "code", "final", "record", "version"]), line, min_size=3),
)
def test_no_row_changes_where_a_request_goes_or_who_it_says_we_are(
    name: str,
    contact: tuple[CrmField, ...],
    names: tuple[CrmWord, ...],
    update: tuple[CrmWrite, ...],
    facts: dict[str, object],
) -> None:
    mapping = SHIPPED[name]
    try:
        own = own_mapping(mapping, parsed(crm_contact=contact, crm_words=names, crm_update=update), "ours")
    except InputError:
        event("does not fit")
        return
    assert own.file.pending == mapping.file.pending
    assert own.file.one == mapping.file.one
    assert own.file.headers == mapping.file.headers
    keys = ("record", "version", "pending", "gone")
    assert [getattr(own.file.contact, key) for key in keys] == [getattr(mapping.file.contact, key) for key in keys]
    assert len(own.rules) == len(mapping.rules)
    for rule, before in zip(own.rules, mapping.rules, strict=True):
        assert (rule.on, rule.when.text, rule.done.text, rule.withdrawn) == (
            before.on,
            before.when.text,
            before.done.text,
            before.withdrawn,
        )
        try:
            was = request_of(mapping, before.question, facts)
            made = request_of(own, rule.question, facts)
        except InputError:
            event("a table has no word")
            continue
        assert (made.method, made.target, made.headers) == (was.method, was.target, was.headers)


def mapping_of(text: str) -> CrmMapping:
    return compile_mapping(msgspec.convert(tomllib.loads(text), MappingFile))


ADDRESSED = """
title = "x"
[pending]
path = "/calls"
rows = "calls"
[contact]
record = "id"
phones = "phone"
[[update]]
on = ["call.ended"]
path = "/{outcome|place}/{record}"
headers = {Kind = "{outcome|kind}"}
body = {status = "{outcome|status}", place = "{outcome|place}", nested = {deep = "{code}"}}
[tables.place]
"*" = "elsewhere"
[tables.kind]
"*" = "other"
[tables.status]
"*" = "other"
"""


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"crm_words": [{"table": "place", "word": "busy", "becomes": "../../admin"}]}, "crm_table_of_address"),
        ({"crm_words": [{"table": "kind", "word": "busy", "becomes": "x\u2028y"}]}, "crm_table_of_address"),
        ({"crm_words": [{"table": "nowhere", "word": "busy", "becomes": "x"}]}, "crm_table_unused"),
        ({"crm_update": [{"rule": 2, "field": "status", "value": "x"}]}, "crm_no_rule"),
        ({"crm_update": [{"rule": 1, "field": "status", "value": "{outcome|nowhere}"}]}, "crm_no_table"),
    ],
)
def test_rows_that_do_not_fit_are_told_with_their_setting(given: dict[str, Any], code: str) -> None:
    with pytest.raises(InputError) as caught:
        own_mapping(mapping_of(ADDRESSED), parsed(**given), "ours")
    assert caught.value.code == code
    assert str(caught.value).startswith(f"{next(iter(given))}: ")


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"crm_contact": [{"field": "record", "expression": "id"}]}, "crm_no_part"),
        ({"crm_contact": [{"field": "pending", "expression": "id"}]}, "crm_no_part"),
        ({"crm_contact": [{"field": "fields.<script>", "expression": "id"}]}, "crm_no_part"),
        ({"crm_contact": [{"field": "phones", "expression": " "}]}, "crm_no_phones"),
        ({"crm_contact": [{"field": "name", "expression": "x", "type": "number"}]}, "crm_no_type"),
        ({"crm_contact": [{"field": "name", "expression": "<script>alert(1)</script>"}]}, "crm_no_expression"),
        ({"crm_contact": [{"field": "name", "expression": "(" * 400}]}, "crm_no_expression"),
        ({"crm_contact": [{"field": "name", "expression": "!" * 300 + "a"}]}, "crm_expression_heavy"),
        ({"crm_contact": [{"field": "name", "expression": "[@,@] | " * 9 + "@"}]}, "crm_expression_heavy"),
        (
            {"crm_contact": [{"field": "name", "expression": "a"}, {"field": "name"}]},
            "crm_row_twice",
        ),
        ({"crm_contact": [{"field": "name", "expression": "x" * 2_000}]}, "too_long"),
        ({"crm_words": [{"table": "Status", "word": "busy"}]}, "crm_no_table_name"),
        ({"crm_words": [{"table": "status", "word": " "}]}, "crm_word_missing"),
        ({"crm_words": [{"table": "status", "word": "busy", "becomes": 2**60}]}, "crm_large_number"),
        ({"crm_update": [{"rule": 1, "field": " ", "value": "x"}]}, "crm_field_missing"),
        ({"crm_update": [{"rule": 0, "field": "a", "value": "x"}]}, "at_least"),
        ({"crm_update": [{"rule": 1, "field": "a", "value": "{secret}"}]}, "crm_no_fact"),
        ({"crm_update": [{"rule": 1, "field": "a", "value": "{status"}]}, "crm_brace"),
        ({"crm_update": [{"rule": 1, "field": "a", "value": "a\x00b"}]}, "not_text"),
    ],
)
def test_what_cannot_be_is_refused_before_it_is_run(given: dict[str, Any], code: str) -> None:
    with pytest.raises(InputError) as caught:
        parsed(**given)
    assert caught.value.code == code


@settings(deadline=None, max_examples=300)
@given(
    st.one_of(
        st.text("ab.[]*|&!=<>`'\"{}(),@0123456789 ", max_size=60),
        st.lists(st.sampled_from(["[@,@]", "[]", "[*]", "{a: @}", "to_string(@)", "@", "a", "[?@]"]), max_size=12).map(
            " | ".join
        ),
    ),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
        max_leaves=8,
    ),
)
def test_whatever_is_typed_ends_soon_or_is_refused(text: str, data: object) -> None:
    try:
        expression = Expression(text)
        expression.check_modest()
        found = expression.find(data)
    except InputError:
        return
    # Each element of what was read, at most so often, and twice the quotes.
    assert len(json.dumps(found)) <= 4 * MAX_GROWTH * (len(json.dumps(data)) + len(text) + 16)


def test_what_doubles_itself_would_not_end_and_is_refused() -> None:
    doubling = " | ".join(["[@, @][]"] * 60)
    assert jmespath.compile(doubling), "it is good JMESPath"
    with pytest.raises(InputError, match="does too much at once"):
        Expression(doubling).check_modest()


@pytest.mark.parametrize("mapping", SHIPPED.values(), ids=SHIPPED)
def test_the_expressions_of_shipped_mappings_would_be_taken_from_anybody(mapping: CrmMapping) -> None:
    for expression in mapping.contact.values():
        expression.check_modest()


def test_a_row_stands_in_place_of_the_mappings_and_an_empty_one_takes_away() -> None:
    mapping = SHIPPED["rest.toml"]
    campaign = parsed(
        crm_contact=[
            {"field": "fields.amount", "expression": "account.balance", "type": "number"},
            {"field": "fields.amount", "expression": "other", "crm": "theirs"},
            {"field": "fields.product", "expression": ""},
            {"field": "name", "expression": "join(' ', [first, last])"},
        ],
        crm_words=[{"table": "status", "word": "SALE", "becomes": "won"}, {"table": "status", "word": "busy"}],
        crm_update=[{"rule": 1, "field": "agent"}, {"rule": 1, "field": "team", "value": 7}],
    )
    row = {"id": "1", "phone": "+34600111222", "status": "pending", "first": "Ana", "last": "B", "amount": 1}
    row |= {"account": {"balance": "12.50"}, "product": "loan", "other": "x"}
    read_so = read_row(own_mapping(mapping, campaign, "ours"), row)
    assert isinstance(read_so, PulledCall)
    contact = json.loads(read_so.contact)
    assert (contact["name"], contact["fields"]) == ("Ana B", {"amount": "12.50"})
    theirs = read_row(own_mapping(mapping, campaign, "theirs"), row)
    assert isinstance(theirs, PulledCall)
    assert json.loads(theirs.contact)["fields"] == {"amount": "x"}, "the row that names its CRM, without a type"
    own = own_mapping(mapping, campaign, "ours")
    for status, word in (("SALE", "won"), ("busy", "other"), ("connected", "talked")):
        facts: dict[str, object] = dict.fromkeys(FACTS) | {"status": status, "record": "1", "agent": "ana"}
        body = json.loads(request_of(own, own.rules[0].question, facts).body or b"")
        assert (body["status"], body["team"], "agent" in body) == (word, 7, False)


def test_a_campaign_that_says_nothing_has_the_mapping_itself() -> None:
    mapping = SHIPPED["dynamics.toml"]
    assert own_mapping(mapping, Campaign(id=CampaignId("winter")), "ours") is mapping
    others = parsed(crm_contact=[{"field": "name", "expression": "x", "crm": "theirs"}])
    assert own_mapping(mapping, others, "ours") is mapping


@given(told)
def test_a_value_that_is_shown_is_read_as_itself(value: Any) -> None:
    assume(value is not None)
    name = "crm_update.0.value"
    typed = {"crm_update.0.rule": "1", "crm_update.0.field": "a", name: forms.written(value)}
    found = forms.read({**shown(dump_campaign(Campaign(id=CampaignId("winter")))), **typed})
    if "crm_update.0" in found.problems:
        event("no template")
        return
    again = found.settings["crm_update"][0]["value"]
    assert again == value
    assert isinstance(again, str) == isinstance(value, str)
