"""Numbers of a registry as they are written: international, or in the national form of one region.

A do-not-call entry needs the form of a number, not that somebody has it: whatever could be dialed may be listed.
National numbers go the short way, by the lengths and the trunk prefix of their region, where that is sure to say the
same as `phonenumbers`, which is asked for all others.
"""

from __future__ import annotations

import re
from typing import Final

import numpy as np
import phonenumbers
from numpy.typing import NDArray
from phonenumbers import PhoneMetadata

from dialer.compliance.registry_prefixes import MAX_DIGITS
from dialer.errors import ConfigError

MIN_DIGITS: Final = 7
_FILLING: Final = str.maketrans("", "", " \t\u00a0-.()/\u2010\u2011\u2012\u2013")
_DIGITS: Final = re.compile(r"[0-9]+", re.ASCII)

#: What the first digits of a national number say of it: ask the library, as it is, without its first (trunk) digit.
ASK, PLAIN, TRUNK = 0, 1, 2


class NumberForm:
    """How the numbers of a source without plus sign are to be read.

    Args:
        region: two letters; empty: they begin with their country code.

    Raises:
        ConfigError: there is no such region.
    """

    def __init__(self, region: str = "") -> None:
        self.region = region
        self.code = ""
        #: By length of a national number as written, from 0 on: whether it is the whole number.
        self.lengths: NDArray[np.bool_] = np.zeros(MAX_DIGITS + 2, np.bool_)
        #: By the first three digits: ASK, PLAIN or TRUNK.
        self.firsts: NDArray[np.uint8] = np.zeros(1_000, np.uint8)
        if not region:
            return
        metadata = PhoneMetadata.metadata_for_region(region, None)
        if metadata is None or metadata.country_code is None:
            raise ConfigError(f"region {region!r} is no region that telephone numbers have; two letters such as US")
        self.code = str(metadata.country_code)
        for length in metadata.general_desc.possible_length if metadata.general_desc is not None else ():
            if max(3, MIN_DIGITS - len(self.code)) <= length <= MAX_DIGITS - len(self.code):
                self.lengths[length] = True
        trunk, abroad = metadata.national_prefix_for_parsing or "", metadata.international_prefix or ""
        self._trunk = re.compile(trunk, re.ASCII) if trunk else None
        self._abroad = re.compile(abroad, re.ASCII)
        if (trunk and not _DIGITS.fullmatch(trunk)) or not _DIGITS.fullmatch(abroad):
            return  # patterns that depend on more than the first digits
        for first in range(1_000):
            digits = f"{first:03d}"
            special = (abroad, self.code, *((trunk,) if trunk else ()))
            if not any(digits.startswith(start[:3]) for start in special):
                self.firsts[first] = PLAIN
            elif trunk == "0" and digits[0] == "0" and digits[1] != "0" and not digits.startswith(abroad[:2]):
                self.firsts[first] = TRUNK

    def read(self, text: str) -> int | str:
        """The E.164 digits of a number as an integer, or what is wrong with the text."""
        plain = text.translate(_FILLING)
        international = plain.startswith("+") or not self.region
        digits = plain.removeprefix("+")
        if not digits:
            return "no number"
        if not _DIGITS.fullmatch(digits):
            return "not a number: digits, +, spaces, - . ( ) / may stand in it"
        if international:
            if digits[0] == "0":
                return (
                    "begins with 0, as no country code does; write numbers as +34600111222, or give the region whose "
                    "national numbers these are"
                )
            if not MIN_DIGITS <= len(digits) <= MAX_DIGITS:
                return f"{len(digits)} digits; a number with its country code has {MIN_DIGITS} to {MAX_DIGITS}"
            return int(digits)
        return self._read_national(digits)

    def _read_national(self, digits: str) -> int | str:
        first = int(self.firsts[int(digits[:3])]) if len(digits) >= 3 else ASK
        if len(digits) <= MAX_DIGITS + 1:
            if first == PLAIN and self.lengths[len(digits)]:
                return int(self.code + digits)
            if first == TRUNK and self.lengths[len(digits) - 1] and not self.lengths[len(digits)]:
                return int(self.code + digits[1:])
            if first == ASK and not digits.startswith(("00", self.code)) and not self._abroad.match(digits):
                prefix = self._trunk.match(digits) if self._trunk is not None else None
                stripped = prefix.group() if prefix is not None else ""
                if not stripped and self.lengths[len(digits)]:
                    return int(self.code + digits)
                if stripped == "0" and self.lengths[len(digits) - 1] and not self.lengths[len(digits)]:
                    return int(self.code + digits[1:])
        try:
            number = phonenumbers.parse(digits, self.region)
        except phonenumbers.NumberParseException:
            return f"no number of {self.region}"
        if not phonenumbers.is_possible_number(number):
            return f"too long or too short for a number of {self.region}"
        written = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)[1:]
        if not MIN_DIGITS <= len(written) <= MAX_DIGITS:
            return f"{len(written)} digits; a number with its country code has {MIN_DIGITS} to {MAX_DIGITS}"
        return int(written)

    def read_prefix(self, text: str) -> str:
        """The digits of a prefix, country code first; `text` is what stands before the star. Not yet checked."""
        plain = text.translate(_FILLING)
        if plain.startswith("+"):
            return plain[1:]
        return self.code + plain
