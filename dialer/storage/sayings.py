"""Sayings on record: the English in one column, and beside it, for whoever has a catalogue, code and arguments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from dialer.core.saying import Saying
from dialer.storage.text import from_json, to_json

#: Characters kept of what is said.
_LONGEST: Final = 500
#: Code and arguments that are longer are left out, and the English stands for itself.
_LONGEST_TOLD: Final = 4_000
#: Sayings among the arguments of sayings, and lists, go no deeper.
_DEEPEST: Final = 4


def on_record(saying: Saying) -> tuple[str, str]:
    """What goes into the two columns; the second is empty where there is no code."""
    says = saying.says[:_LONGEST]
    if not saying.code:
        return says, ""
    told = to_json(_written(saying))
    return says, told if len(told) <= _LONGEST_TOLD else ""


def from_record(says: str, told: str) -> Saying:
    """The saying of two columns; what is not as `on_record` writes it is left out."""
    if not told:
        return Saying(says)
    try:
        raw = from_json(told)
    except (ValueError, RecursionError):
        return Saying(says)
    read = _read(raw, _DEEPEST)
    return Saying(says, read.code, read.arguments) if isinstance(read, Saying) else Saying(says)


def _written(value: object) -> object:
    match value:
        case Saying():
            arguments = {name: _written(one) for name, one in value.arguments.items()}
            return {"says": value.says, "code": value.code, "arguments": arguments}
        case list() | tuple():
            return [_written(one) for one in value]
        case str() | int() | float() | None:
            return value
        case _:
            return str(value)


def _read(value: Any, deep: int) -> object:
    match value:
        case {"says": str(says), "code": str(code), "arguments": Mapping() as arguments} if deep:
            return Saying(says, code, {str(name): _read(one, deep - 1) for name, one in arguments.items()})
        case list() if deep:
            return [_read(one, deep - 1) for one in value]
        case str() | int() | float() | None:
            return value
        case _:
            return ""
