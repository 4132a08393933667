"""Nested plain values read key by key: each read once, checked, and what nobody asked for is an error."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

_CLOCK = re.compile(r"([01]?\d|2[0-4]):([0-5]\d)\Z")


class ScenarioError(ValueError):
    """A value of a scenario cannot be used.

    Attributes:
        key: Where it stands, such as ``talk.mean_s``.
    """

    def __init__(self, key: str, was: object, may_be: str, near: Iterable[str] = ()) -> None:
        hint = get_close_matches(str(was), list(near), n=1)
        meant = f" (did you mean {hint[0]!r}?)" if hint else ""
        super().__init__(f"{key} must be {may_be}, not {_short(was)}{meant}")
        self.key = key


class MissingKey(ScenarioError):
    """A key that must be there and is not."""

    def __init__(self, key: str) -> None:
        ValueError.__init__(self, f"{key} is missing: it must be given")
        self.key = key


class UnknownKey(ScenarioError):
    """A key that a scenario does not have."""

    def __init__(self, key: str, name: str, known: Iterable[str]) -> None:
        names = sorted(known)
        hint = get_close_matches(name, names, n=1)
        meant = f"did you mean {hint[0]!r}? " if hint else ""
        ValueError.__init__(self, f"{key} is no key of a scenario: {meant}there may be {listed(names)}")
        self.key = key


class Table:
    """One table of a scenario.

    Args:
        raw: Its keys and values.
        where: Its path; "" for the top.

    Raises:
        ScenarioError: `raw` is no table.
    """

    def __init__(self, raw: object, where: str) -> None:
        if not isinstance(raw, Mapping):
            raise ScenarioError(where, raw, 'a table, such as { family = "exponential", mean_s = 60 }')
        self._raw: Mapping[str, Any] = raw
        self._where = where
        self._asked: set[str] = set()
        self.given = frozenset(str(key) for key in raw)

    def __contains__(self, key: str) -> bool:
        self._asked.add(key)
        return key in self._raw

    def path(self, key: str) -> str:
        """The whole path of a key, for people."""
        return f"{self._where}.{key}" if self._where else key

    def value(self, key: str) -> Any:
        """Whatever stands there; None for nothing."""
        return self._raw.get(key)

    def take(self, key: str) -> Any:
        """What stands there.

        Raises:
            MissingKey: nothing does.
        """
        self._asked.add(key)
        if key not in self._raw:
            raise MissingKey(self.path(key))
        return self._raw[key]

    def end(self, known: Iterable[str] = ()) -> None:
        """Everything that is known has been asked for: what is left is unknown.

        Raises:
            UnknownKey: something is left.
        """
        asked = self._asked | set(known)
        for key in self._raw:
            if key not in asked:
                raise UnknownKey(self.path(str(key)), str(key), asked)

    def number(self, key: str, default: float | None, *, low: float, high: float) -> float:
        """A number between two bounds; without a default it must be there."""
        value = self.take(key) if default is None or key in self else default
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ScenarioError(self.path(key), value, f"a number from {low:,g} to {high:,g}")
        if not low <= value <= high:
            raise ScenarioError(self.path(key), value, f"from {low:,g} to {high:,g}")
        return float(value)

    def whole(self, key: str, default: int | None, *, low: int, high: int) -> int:
        """A whole number between two bounds; without a default it must be there."""
        value = self.take(key) if default is None or key in self else default
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ScenarioError(self.path(key), value, f"a whole number from {low:,} to {high:,}")
        return value

    def text(self, key: str, default: str) -> str:
        """A text of at most 2,000 characters."""
        value = self.take(key) if key in self else default
        if not isinstance(value, str) or len(value) > 2_000:
            raise ScenarioError(self.path(key), value, "a text of at most 2,000 characters")
        return value

    def flag(self, key: str, *, default: bool) -> bool:
        """True or false."""
        value = self.take(key) if key in self else default
        if not isinstance(value, bool):
            raise ScenarioError(self.path(key), value, "true or false")
        return value

    def choice(self, key: str, default: str | None, known: Iterable[str]) -> str:
        """One of some words."""
        value = self.take(key) if default is None or key in self else default
        words = list(known)
        if value not in words:
            raise ScenarioError(self.path(key), value, f"one of {listed(words)}", words)
        return str(value)

    def texts(self, key: str, default: tuple[str, ...]) -> tuple[str, ...]:
        """A list of texts."""
        value = self.take(key) if key in self else list(default)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise ScenarioError(self.path(key), value, 'a list of texts, such as ["predictive", "ratio"]')
        return tuple(value)

    def numbers(self, key: str, default: tuple[float, ...], *, low: float, high: float) -> tuple[float, ...]:
        """A list of numbers between two bounds."""
        value = self.take(key) if key in self else list(default)
        if not isinstance(value, list):
            raise ScenarioError(self.path(key), value, "a list of numbers")
        for item in value:
            if isinstance(item, bool) or not isinstance(item, int | float) or not low <= item <= high:
                raise ScenarioError(self.path(key), item, f"a list of numbers from {low:,g} to {high:,g}")
        return tuple(float(item) for item in value)

    def clock(self, key: str, default: str) -> float:
        """A clock time, in seconds after midnight."""
        return clock_s(self.path(key), self.take(key) if key in self else default)

    def table(self, key: str) -> Table:
        """A table in the table; an empty one where there is none."""
        return Table(self.take(key) if key in self else {}, self.path(key))

    def tables(self, key: str) -> list[Table]:
        """A list of tables; empty where there is none."""
        value = self.take(key) if key in self else []
        if not isinstance(value, list):
            raise ScenarioError(self.path(key), value, f"a list of tables: begin each with [[{self.path(key)}]]")
        return [Table(item, f"{self.path(key)}[{place}]") for place, item in enumerate(value)]


def clock_s(key: str, value: object) -> float:
    """A clock time such as "09:30" in seconds after midnight.

    Raises:
        ScenarioError: it is none.
    """
    match = _CLOCK.match(value) if isinstance(value, str) else None
    if match is None:
        raise ScenarioError(key, value, 'a clock time such as "09:30"')
    return int(match[1]) * 3_600.0 + int(match[2]) * 60.0


def listed(words: Iterable[str]) -> str:
    """Words for a sentence."""
    return ", ".join(words)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
