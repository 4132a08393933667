"""What went wrong, in the visitor's language: by code and arguments, never by looking for a sentence.

English is what errors say themselves; another language has the catalogue ``told``. An error that it does not know is
told in the words of its kind, with the English behind.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from dialer.api.desk_ports import NotThen
from dialer.api.errors import ApiError
from dialer.console.texts import DEFAULT, Texts
from dialer.core.saying import Saying
from dialer.errors import DialerError, RetryableError

#: Arguments that are words of a catalogue: where they may stand.
_WORDS: Final[Mapping[str, tuple[str, ...]]] = {
    "state": ("state", "agent"),
    "possible": ("state",),
    "mark": ("told.mark",),
    "role": ("role",),
    "day": ("told.day",),
    "last_day": ("told.day",),
    "outcomes": ("outcome",),
    "categories": ("category",),
    "after": ("told.after",),
    "by": ("told.by",),
    "units": ("told.by",),
    "window": ("told.window",),
}
#: How lists are put together where that is not by commas.
_JOINED: Final[Mapping[str, str]] = {
    "by": "told.join.and",
    "units": "told.join.and",
    "rules": "told.join.and",
    "reasons": "told.join.and",
    "after": "told.join.or",
    "beginnings": "told.join.or",
    "clocks": "told.join.or",
}
_UNPROCESSABLE: Final = 422
_UNAVAILABLE: Final = 503


class Told(ApiError):
    """A request that cannot be carried out, with a message that is in the visitor's language already."""


def told(texts: Texts, error: DialerError) -> str:
    """The error, for a visitor."""
    if isinstance(error, Told):
        return str(error)
    found = by_code(texts, error.code, error.arguments)
    if found is not None:
        return found
    if texts.language == DEFAULT:
        return str(error)
    status = error.status if isinstance(error, ApiError) else _UNPROCESSABLE
    kind = f"told.kind_{_UNAVAILABLE if isinstance(error, RetryableError) else status}"
    return texts(kind if texts.has(kind) else "told.kind_other", problem=str(error))


def by_code(texts: Texts, code: str, arguments: Mapping[str, object]) -> str | None:
    """The words for a code; None where there are none, and what it says itself is to be shown."""
    key = f"told.{code}"
    if texts.language == DEFAULT or not code or not texts.has(key):
        return None
    return texts(key, **{name: _shown(texts, name, value) for name, value in arguments.items()})


def said(texts: Texts, says: str, code: str, arguments: Mapping[str, object]) -> str:
    """What a port says of something, in the visitor's language where there are words for it."""
    found = by_code(texts, code, arguments)
    return says if found is None else found


def words(texts: Texts, saying: Saying) -> str:
    """The same of a saying."""
    return said(texts, saying.says, saying.code, saying.arguments)


def not_then(texts: Texts, against: NotThen, zone: str) -> str:
    """Why a call may not be made at some moment, and when it may, by the clock of the person called."""
    found = by_code(texts, against.code, against.arguments)
    if found is None:
        return against.says
    if against.next_at is None:
        return found
    at = datetime.fromtimestamp(against.next_at, ZoneInfo(zone))
    return f"{found}; {texts('desk.callback_from', at=f'{at:%d/%m/%Y %H:%M}', zone=zone)}"


def put_in_words(texts: Texts, values: Mapping[str, object]) -> dict[str, object]:
    """Values of a text, sayings among them told in its language."""
    return {name: words(texts, value) if isinstance(value, Saying) else value for name, value in values.items()}


def part_words(texts: Texts, part: str) -> str:
    """A part of the installation: ``base de datos`` of `database`, ``campaña winter`` of `campaign winter`."""
    whole = f"node_part.{part.replace(' ', '_')}"
    if texts.has(whole):
        return texts(whole)
    kind, space, name = part.partition(" ")
    return f"{texts.word('node_part', kind)}{space}{name}"


def _shown(texts: Texts, name: str, value: object) -> str:
    match value:
        case bool() | None:
            return ""
        case int() | float():
            return texts.number(value, 0 if float(value).is_integer() else 2)
        case Saying():
            return words(texts, value)
        case list() | tuple():
            between = texts(_JOINED[name]) if name in _JOINED else ", "
            return between.join(_shown(texts, name, one) for one in value)
        case _:
            text = str(value)
            known = (f"{group}.{text}" for group in _WORDS.get(name, ()))
            return next((texts(key) for key in known if texts.has(key)), text)
