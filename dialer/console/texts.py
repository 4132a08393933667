"""What the console says, in each of its languages: a folder of catalogues a language, the same keys in all of them.

A group of pages has a catalogue of its own; a table stands in one file only.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any, Final

LANGUAGES: Final = ("en", "es")
DEFAULT: Final = "en"
COOKIE: Final = "cadencia_language"


class Texts:
    """One catalogue; `texts("agents.idle")` is the words for it.

    Numbers are written as the language does it; moments are left to the browser, which knows where it is.
    """

    def __init__(self, language: str, catalogue: Mapping[str, Any]) -> None:
        self.language: Final = language
        self._texts: Final = dict(_flat(catalogue))
        self._comma: Final = "," if language == "es" else "."
        self._thousands: Final = "." if language == "es" else ","

    def keys(self) -> frozenset[str]:
        """Everything that it has words for."""
        return frozenset(self._texts)

    def has(self, key: str) -> bool:
        """Whether there are words for it."""
        return key in self._texts

    def __call__(self, key: str, **values: object) -> str:
        """The words for a key, with values put in.

        Raises:
            KeyError: no such text; a mistake of ours.
        """
        return self._texts[key].format(**values) if values else self._texts[key]

    def word(self, group: str, value: str) -> str:
        """The word for a state or an outcome; the value itself where it is a new one."""
        return self._texts.get(f"{group}.{value}", value)

    def count(self, group: str, value: str, number: int) -> str:
        """The word for so many of them, where the language has one of its own for several."""
        many = f"{group}.many_{value}"
        return self._texts[many] if number != 1 and many in self._texts else self.word(group, value)

    def number(self, value: float, digits: int = 0) -> str:
        """``1,234.5`` or ``1.234,5``."""
        plain = f"{value:,.{digits}f}"
        return plain.translate({ord(","): self._thousands, ord("."): self._comma})

    def percent(self, ratio: float | None, digits: int = 1) -> str:
        """A ratio from 0 to 1, or a dash."""
        return "–" if ratio is None else f"{self.number(100 * ratio, digits)} %"


@cache
def texts(language: str) -> Texts:
    """The catalogue of a language; that of the default for one that there is none of."""
    known = language if language in LANGUAGES else DEFAULT
    folder = resources.files("dialer.console") / "texts" / known
    catalogue: dict[str, Any] = {}
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        if file.name.endswith(".toml"):
            tables = tomllib.loads(file.read_text("utf-8"))
            twice = catalogue.keys() & tables.keys()
            if twice:
                raise ValueError(f"{known}/{file.name}: {sorted(twice)} stands in another catalogue as well")
            catalogue |= tables
    return Texts(known, catalogue)


def chosen(cookie: str | None, accept_language: str) -> str:
    """The language of a visitor: their choice, else the first of the browser's that we have."""
    if cookie in LANGUAGES:
        return cookie
    for part in accept_language.split(","):
        name = part.partition(";")[0].strip().lower().partition("-")[0]
        if name in LANGUAGES:
            return name
    return DEFAULT


def _flat(catalogue: Mapping[str, Any], before: str = "") -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for key, value in catalogue.items():
        found += _flat(value, f"{before}{key}.") if isinstance(value, dict) else [(before + key, value)]
    return found
