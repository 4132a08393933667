"""Filters of contacts: what they say is what they do, and whatever else is written is refused with its place."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialer.campaigns import dump_campaign, parse_campaign
from dialer.core.contact_filter import MAX_LENGTH, parse_filter
from dialer.errors import InputError

PERSON = {"state": "CA", "debt": 250.5, "zip": "02134", "vip": False, "age": "41", "note": "", "home": {"city": "Bern"}}


@pytest.mark.parametrize(
    "text",
    [
        'state = "CA"',
        "state == 'CA'",
        'state in ["NY", "CA"]',
        'state not in ["NY", "TX"]',
        'state != "NY"',
        "debt > 100 and debt <= 250.5",
        "debt in [1, 250.50]",
        "age >= 41 and age < 41.5",
        'zip begins with "021"',
        'zip = "02134" and zip = 2134',
        "not vip",
        "vip = false",
        "vip is set and note is not set and missing is not set",
        'home.city = "Bern"',
        '`home.city` is set and `a strange name` <> "x"',
        'state = "NY" or (debt > 1 and age > 1)',
        'state = "CA" OR debt > 1 AND age > 1000',
        "not debt >= 1000 and not missing > 1 and not missing < 1",
        'state < "CB" and state > "C"',
        "@attempts = 2 and @attempts < 3",
        "NOT (debt < 100)\n  AND age IS SET",
    ],
)
def test_who_passes(text: str) -> None:
    assert parse_filter(text).passes(PERSON, attempts=2)
    assert not parse_filter(f"not ({text})").passes(PERSON, attempts=2)


@pytest.mark.parametrize(
    "text",
    [
        'state = "ca"',
        "state > 5",
        "debt = true",
        "vip",
        "age",
        "missing = 0",
        'missing = ""',
        'note = ""',
        "note in [0]",
        'debt begins with "250"',
        'home = "Bern"',
        "debt < 250.5",
        'vip < "a"',
        'home.city.street = "x"',
    ],
)
def test_who_does_not(text: str) -> None:
    assert not parse_filter(text).passes(PERSON)


@pytest.mark.parametrize(
    ("text", "place", "says"),
    [
        ("", 1, "it is empty"),
        ("   ", 1, "it is empty"),
        ("state =", 8, "expected a text in quotes, a number, true or false"),
        ("state = CA", 9, "expected a text in quotes"),
        ('"CA" = state', 1, "expected the name of a field"),
        ("5 < debt", 1, "expected the name of a field"),
        ("and", 1, "expected the name of a field"),
        ("state in []", 11, "expected a text in quotes"),
        ('state in "CA"', 10, 'expected "["'),
        ('state in ["CA"', 15, 'expected "]"'),
        ("(debt > 1", 10, 'expected ")"'),
        ("debt > 1)", 9, 'expected "and", "or" or the end'),
        ("debt > 1 state", 10, 'expected "and", "or" or the end'),
        ("debt > true", 8, "neither more nor less"),
        ("zip begins with 2", 17, "expected a text in quotes"),
        ("zip begins", 11, 'expected "with"'),
        ("note is empty", 9, 'expected "set"'),
        ("note not set", 10, 'expected "in"'),
        ("@phone = 1", 1, "@phone is not known; there is @attempts"),
        ("debt > 1 ; drop", 10, "this cannot be read"),
        ("debt > 1.5.2", 8, "this cannot be read"),
        ('state = "CA', 9, "this cannot be read"),
        ("__import__('os')", 11, "expected"),
        ("(" * 33 + "a" + ")" * 33, 33, "nested too deeply"),
        ("not " * 33 + "a", 129, "nested too deeply"),
    ],
)
def test_what_is_no_filter_is_refused_with_its_place(text: str, place: int, says: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_filter(text)
    assert f"filter: character {place}, " in str(caught.value)
    assert says in str(caught.value)


def test_one_that_is_too_long_is_refused() -> None:
    with pytest.raises(InputError, match="at most 4,000"):
        parse_filter("a" * (MAX_LENGTH + 1))


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=60))
def test_whatever_is_written_is_read_or_refused(text: str) -> None:
    with suppress(InputError):
        assert parse_filter(text).passes(PERSON) in {True, False}


# ---- against an oracle

_FIELDS = ("a", "b")
_OPERATORS = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_Tree = tuple[Any, ...]

comparisons = st.tuples(
    st.just("compare"), st.sampled_from(_FIELDS), st.sampled_from(sorted(_OPERATORS)), st.integers(-3, 3)
)
choices = st.tuples(st.just("in"), st.sampled_from(_FIELDS), st.lists(st.integers(-3, 3), min_size=1, max_size=3))
presences = st.tuples(st.just("set"), st.sampled_from(_FIELDS))
trees: st.SearchStrategy[_Tree] = st.recursive(
    st.one_of(comparisons, choices, presences),
    lambda inner: st.one_of(
        st.tuples(st.just("not"), inner),
        st.tuples(st.just("and"), inner, inner),
        st.tuples(st.just("or"), inner, inner),
    ),
    max_leaves=8,
)


def written(tree: _Tree) -> str:
    match tree:
        case "compare", field, sign, number:
            return f"{field} {sign} {number}"
        case "in", field, numbers:
            return f"{field} in {numbers}"
        case "set", field:
            return f"{field} is set"
        case "not", inner:
            return f"not ({written(inner)})"
        case word, left, right:
            return f"({written(left)}) {word} ({written(right)})"
        case _:
            raise AssertionError(tree)


def holds(tree: _Tree, fields: Mapping[str, object]) -> bool:
    match tree:
        case "compare", field, sign, number:
            value = fields.get(field)
            if value is None:
                return bool(sign == "!=")
            return bool(_OPERATORS[sign](Decimal(str(value)), number))
        case "in", field, numbers:
            return fields.get(field) is not None and Decimal(str(fields[field])) in numbers
        case "set", field:
            return fields.get(field) is not None
        case "not", inner:
            return not holds(inner, fields)
        case "and", left, right:
            return holds(left, fields) and holds(right, fields)
        case "or", left, right:
            return holds(left, fields) or holds(right, fields)
        case _:
            raise AssertionError(tree)


numbers = st.one_of(st.none(), st.integers(-4, 4), st.integers(-4, 4).map(str), st.integers(-4, 4).map(float))


@given(tree=trees, a=numbers, b=numbers)
def test_it_does_what_it_says(tree: _Tree, a: object, b: object) -> None:
    fields = {"a": a, "b": b}
    assert parse_filter(written(tree)).passes(fields) == holds(tree, fields)


# ---- as a campaign's setting


def test_a_campaign_keeps_its_filter_and_refuses_what_is_none() -> None:
    campaign = parse_campaign({"id": "winter", "filter": '  state = "CA" '})
    assert campaign.filter == 'state = "CA"'
    assert parse_campaign(dump_campaign(campaign)) == campaign
    assert parse_campaign({"id": "winter", "filter": " "}).filter == ""
    with pytest.raises(InputError, match="filter: character 9"):
        parse_campaign({"id": "winter", "filter": "state = CA"})
