"""A sentence for people as a value: in English, and as a code with arguments for whoever has a catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from dialer.errors import ConfigError, DialerError, QueueError, StorageError, StoreError, SwitchError


@dataclass(frozen=True, slots=True)
class Saying:
    """What is said; false where that is nothing.

    `arguments` are JSON values, sayings, or sequences of either: what a catalogue puts into its own sentence.
    """

    says: str = ""
    code: str = ""
    arguments: Mapping[str, object] = field(default_factory=dict, hash=False)

    def __str__(self) -> str:
        return self.says

    def __bool__(self) -> bool:
        return bool(self.says)


NOTHING: Final = Saying()
#: Of errors without a code of their own: what is not well.
TROUBLES: Final[tuple[tuple[type[DialerError], str], ...]] = (
    (ConfigError, "trouble_settings"),
    (SwitchError, "trouble_server"),
    (QueueError, "trouble_redis"),
    (StorageError, "trouble_database"),
    (StoreError, "trouble_store"),
    (DialerError, "trouble"),
)


def say(says: str, *, code: str, **arguments: object) -> Saying:
    """A saying, written as errors are."""
    return Saying(says, code, arguments)


def of_error(error: DialerError) -> Saying:
    """What an error says of itself; one without a code by what is not well, with its text as an argument."""
    if error.code:
        return Saying(str(error), error.code, error.arguments)
    code = next(code for kind, code in TROUBLES if isinstance(error, kind))
    return Saying(str(error), code, {"problem": str(error)})


def unforeseen(error: BaseException) -> Saying:
    """What nobody counted on, by its class and in its own words."""
    says = f"{type(error).__name__}: {error}"
    return say(says, code="trouble", problem=says)


def plain(arguments: Mapping[str, object]) -> dict[str, object]:
    """The same as JSON values: of a saying what it says."""
    return {name: _plain(value) for name, value in arguments.items()}


def _plain(value: object) -> object:
    match value:
        case Saying():
            return value.says
        case list() | tuple():
            return [_plain(one) for one in value]
        case _:
            return value
