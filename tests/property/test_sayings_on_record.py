"""Sayings on record: what goes into the two columns comes out again, and whatever stands there can be read."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialer.console.problems import words
from dialer.console.texts import texts
from dialer.core.saying import Saying, say
from dialer.storage.sayings import from_record, on_record

_TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
_PLAIN = st.one_of(_TEXTS, st.integers(-(2**50), 2**50), st.floats(-1e9, 1e9), st.none())
_NAMES = st.sampled_from(["status", "problem", "keys", "rows"])


def sayings(inner: st.SearchStrategy[object]) -> st.SearchStrategy[Saying]:
    return st.builds(Saying, _TEXTS, _TEXTS, st.dictionaries(_NAMES, inner, max_size=3))


_SAYINGS = sayings(st.one_of(_PLAIN, st.lists(_PLAIN, max_size=3), sayings(_PLAIN)))


@given(_SAYINGS)
def test_a_saying_comes_back_as_it_was_said(saying: Saying) -> None:
    read = from_record(*on_record(saying))
    assert (read.says, read.code) == (saying.says, saying.code)
    # Without a code nobody could say it in other words.
    assert dict(read.arguments) == (dict(saying.arguments) if saying.code else {})


@given(
    _TEXTS, st.one_of(_TEXTS, st.recursive(_PLAIN, lambda x: st.lists(x) | st.dictionaries(_TEXTS, x)).map(json.dumps))
)
def test_whatever_stands_there_is_told_by_its_english_at_least(says: str, told: str) -> None:
    assert from_record(says, told).says == says


@pytest.mark.parametrize(
    "told", ["", "[]", '{"code": 3}', '{"says": "", "code": "crm_answered", "arguments": []}', "[" * 3_000]
)
def test_rows_without_a_code_show_their_text(told: str) -> None:
    assert words(texts("es"), from_record("500 from the CRM", told)) == "500 from the CRM"


def test_what_is_too_long_is_cut_and_keeps_its_english() -> None:
    says, told = on_record(say("x" * 9_000, code="crm_keys", keys=["y" * 40] * 1_000))
    assert (len(says), told) == (500, "")


def test_a_saying_within_a_saying_is_told_in_the_readers_language() -> None:
    inner = say("no answer within 5 s", code="no_answer_within", timeout_s=5.0)
    outer = say(f"3 updates failed in a row, the last one: {inner}", code="crm_updates_fail", failures=3, problem=inner)
    read = from_record(*on_record(outer))
    assert words(texts("es"), read) == "3 actualizaciones han fallado seguidas; la última: sin respuesta en 5 s"
    assert words(texts("en"), read) == str(outer)
