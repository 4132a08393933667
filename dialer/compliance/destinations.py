"""Where calls may go at all: countries and prefixes that are allowed or barred, whoever asks and whatever it costs.

Whoever gets hold of a key of a dialer makes money by having it call numbers that pay them: satellites, "international
networks", islands that share the country code of a large country. So those that no list of people holds are barred by
default, and an installation can name the countries that it calls. Premium-rate numbers are refused at the intake.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Final

import phonenumbers

from dialer.core.ids import Phone
from dialer.errors import ConfigError

_PREFIX: Final = re.compile(r"\+[0-9]{1,15}", re.ASCII)


class Destinations:
    """Which numbers may be called.

    Args:
        allowed: regions (ISO 3166) and prefixes with plus; none: every number that is not barred.
        barred: those that may not. Of two that fit a number the longer prefix counts, a region as its country code; of
            two that are as long the barring one.
        elsewhere: why another part of the installation calls a number; empty: none does.

    Raises:
        ConfigError: one is neither a region that has telephone numbers nor a prefix.
    """

    def __init__(
        self,
        allowed: Iterable[str] = (),
        barred: Iterable[str] = (),
        elsewhere: Callable[[str], str] = lambda _: "",
    ) -> None:
        self._allowed = _read(allowed, "allowed")
        self._barred = _read(barred, "barred")
        self._elsewhere = elsewhere

    def reaches(self, code: str) -> bool:
        """Whether any number with this beginning (a plus, and digits or none) may be called."""
        return not self._allowed or any(each.startswith(code) or code.startswith(each) for each in self._allowed)

    def problem(self, phone: Phone) -> str:
        """Why a number (E.164 with plus) may not be called, for people; empty: it may."""
        barred = _fits(self._barred, phone)
        allowed = _fits(self._allowed, phone)
        if barred is not None and (allowed is None or len(barred[0]) >= len(allowed[0])):
            return f"numbers of {barred[1]} are barred by destinations.barred"
        if self._allowed and allowed is None:
            return "its country is not among destinations.allowed"
        return self._elsewhere(phone)


#: Prefix with plus -> what was written, of a region the region.
_Entries = dict[str, dict[str, str]]


def _read(written: Iterable[str], name: str) -> _Entries:
    entries: _Entries = {}
    for each in written:
        if _PREFIX.fullmatch(each):
            entries.setdefault(each, {})[""] = each
        elif each in phonenumbers.SUPPORTED_REGIONS:
            entries.setdefault(f"+{phonenumbers.country_code_for_region(each)}", {})[each] = each
        else:
            raise ConfigError(
                f"destinations.{name}: {each[:40]!r} is neither a country such as ES nor a prefix like +34"
            )
    return entries


def _fits(entries: _Entries, phone: Phone) -> tuple[str, str] | None:
    """The longest entry that fits: its prefix, and what was written."""
    for length in range(len(phone), 1, -1):
        here = entries.get(phone[:length])
        if here is None:
            continue
        if "" in here:
            return phone[:length], here[""]
        region = _region(phone)
        if region in here:
            return phone[:length], region
    return None


@lru_cache(maxsize=65_536)
def _region(phone: Phone) -> str:
    try:
        return phonenumbers.region_code_for_number(phonenumbers.parse(phone)) or ""
    except phonenumbers.NumberParseException:
        return ""
