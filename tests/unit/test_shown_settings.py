"""Settings that are shown to a stranger hold nothing that opens anything, and free texts nothing but plain words."""

from __future__ import annotations

import json
import types
from collections.abc import Iterator
from itertools import count
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct

from dialer.runtime.plain_words import plain, vocabulary
from dialer.runtime.shown_settings import HIDDEN, hidden_texts, shown
from dialer.settings import Settings

MARK = "Zq7xKzzz"
#: Texts that may be seen, of which there is one in the settings below.
SEEN = {
    *("Settings.node", "Settings.default_region", "Redis.prefix", "Pacing.timezone", "Reports.currency"),
    *("Asterisk.name", "Asterisk.host", "Trunk.name", "Api.host", "Mail.host", "Webhook.types"),
    *("CrmPull.name", "CrmPull.campaign", "CrmPull.mapping", "Recordings.s3_region"),
    *("Registry.name", "Registry.region", "Registry.column", "Registry.campaigns", "Registry.answers"),
    *("ReportSchedule.name", "ReportSchedule.cron", "ReportSchedule.by", "ReportSchedule.campaigns"),
    *("ReportSchedule.timezone", "Outbound.internal", "Tracing.service"),
}


class Filled:
    """Settings in which every text is one of its own, and whose each is."""

    def __init__(self, text: str) -> None:
        self._form, self._numbers = text, count()
        self.whose: dict[str, str] = {}
        self.settings: Settings = self._struct(Settings)

    def _struct(self, kind: type[Any]) -> Any:
        hints = get_type_hints(kind)
        return kind(**{name: self._value(hint, f"{kind.__name__}.{name}") for name, hint in hints.items()})

    def _value(self, hint: Any, name: str) -> Any:
        origin, args = get_origin(hint), get_args(hint)
        if origin is Literal:
            return args[0]
        if origin in {types.UnionType, Union}:
            return self._value(args[0], name)
        if origin is tuple:
            return (self._value(args[0], name),)
        if origin is dict:
            return {"template": self._text(name)}
        if isinstance(hint, type) and issubclass(hint, Struct):
            return self._struct(hint)
        return self._text(name) if hint is str else 7

    def _text(self, name: str) -> str:
        mark = f"{MARK}{next(self._numbers)}m"
        self.whose[mark] = name
        return self._form.format(mark=mark)


def marks_in(value: object, whose: dict[str, str]) -> Iterator[str]:
    text = json.dumps(value)
    return (name for mark, name in whose.items() if mark in text)


def test_only_what_is_listed_is_shown() -> None:
    filled = Filled("{mark}")
    assert len(filled.whose) > 60
    assert set(marks_in(shown(filled.settings), filled.whose)) == SEEN
    assert {f"Registry.{name}" for name in ("name", "region")} <= set(filled.whose.values())


@pytest.mark.parametrize(
    "form", ["https://{mark}:pw@crm.example:8443/a?b=c", "https://u:{mark}@crm.example/", "https://crm.example/{mark}"]
)
def test_of_addresses_only_what_is_reached_is_shown(form: str) -> None:
    filled = Filled(form)
    values = shown(filled.settings)
    assert set(marks_in(values, filled.whose)) == SEEN
    assert values["webhooks"][0]["url"].startswith("https://crm.example")
    hidden = hidden_texts(filled.settings)
    (mark,) = (mark for mark, name in filled.whose.items() if name == "Webhook.url")
    assert mark in hidden


def test_what_is_hidden_is_known_to_be_looked_for() -> None:
    filled = Filled("{mark}")
    hidden = hidden_texts(filled.settings)
    addresses = {"url", "token_url", "s3_endpoint", "webhook", "endpoint"}
    for mark, name in filled.whose.items():
        if name not in SEEN and name.partition(".")[2] not in addresses:
            assert mark in hidden, name


def test_defaults_can_be_shown() -> None:
    values = shown(Settings())
    assert values["database"]["url"] == "sqlite:///…"
    assert values["redis"]["url"] == "embedded"
    assert values["log"] == msgspec.to_builtins(Settings().log)
    assert values["data_dir"] == HIDDEN


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("database is locked", "database is locked"),
        ("Key (name)=(Rosario Quiroga) already exists", "Key (name)=(…) already exists"),
        ("no answer from pbx-madrid within 8 s", "no answer from pbx-madrid within 8 s"),
        ("mail to rosario.quiroga@example.com refused", "mail to … refused"),
        ("call to 34600111222 failed", "call to … failed"),
    ],
)
def test_of_free_text_plain_words_are_left(text: str, left: str) -> None:
    assert plain(text, {"pbx-madrid"}) == left


@given(st.text(max_size=80))
@settings(max_examples=300)
def test_nothing_but_words_signs_and_short_numbers_is_left(text: str) -> None:
    left = plain(text)
    for piece in "".join(char if char.isalnum() else " " for char in left).split():
        assert len(piece) < 5 or piece.lower() in vocabulary() or not piece.isdigit()
        assert piece.isascii()


@given(
    st.sampled_from(["Quiroga", "Ñandú", "Oyarzábal", "Xóchitl", "Szczepański", "山田"]),
    st.text(" ,.()='\"", max_size=5),
)
def test_names_are_not_left(name: str, around: str) -> None:
    assert name not in plain(f"refused for{around} {name}{around} by the server")
