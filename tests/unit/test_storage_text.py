"""Text and JSON that both databases can keep: only what cannot be kept changes."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from dialer.queues import encoding
from dialer.storage.text import REPLACEMENT, from_json, storable, to_json, to_json_lines

ANY_TEXT = st.text(st.characters(), max_size=40)  # surrogates included
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ANY_TEXT, inner, max_size=4),
    max_leaves=12,
)


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return "".join(REPLACEMENT if c == "\0" or "\ud800" <= c <= "\udfff" else c for c in value)
    if isinstance(value, list):
        return [_cleaned(item) for item in value]
    if isinstance(value, dict):
        return {_cleaned(key): _cleaned(item) for key, item in value.items()}
    return value


@given(ANY_TEXT)
def test_only_nul_and_surrogates_are_replaced(text: str) -> None:
    assert storable(text) == _cleaned(text)
    storable(text).encode()


@given(JSON_VALUES)
def test_json_comes_back_and_is_storable(value: Any) -> None:
    text = to_json(value)
    text.encode()
    assert "\\u0000" not in text.replace("\\\\", "")
    assert from_json(text) == _cleaned(value)
    assert json.loads(text) == _cleaned(value)


def test_what_json_has_no_word_for_is_null() -> None:
    assert from_json(to_json({"a": float("nan"), "b\0": float("inf")})) == {"a": None, "b\ufffd": None}
    assert from_json(to_json({"a": float("nan")})) == {"a": None}


def test_enormous_numbers_come_back() -> None:
    assert from_json(to_json([10**400, 2**64])) == [10**400, 2**64]


@given(st.lists(JSON_VALUES, max_size=5))
def test_many_values_are_written_as_each_of_them(values: list[Any]) -> None:
    assert to_json_lines(values) == [to_json(value) for value in values]


@given(st.lists(st.dictionaries(st.text(max_size=5), ANY_TEXT | st.floats(allow_nan=False), max_size=3), max_size=5))
def test_many_values_are_written_for_redis_as_each_of_them(values: list[Any]) -> None:
    assert encoding.to_json_lines(values) == [encoding.to_json(value).decode() for value in values]
