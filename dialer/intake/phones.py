"""Telephone numbers as people and systems write them, to E.164 with a verdict.

`PhoneReader.read` never raises for what it is given: a cell that holds a date, a name or somebody's idea of a number
is the normal case in a list. Three ways to the same answer, the cheapest that applies: the compiled plan of the
country (`dialer.intake.plans`), the accelerator ``rphonenumbers`` where it is installed, ``phonenumbers``. The last
has the last word on everything that another would refuse.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from enum import StrEnum
from types import ModuleType
from typing import Final

import msgspec
import phonenumbers

from dialer.core.ids import Phone
from dialer.errors import ConfigError
from dialer.intake.plans import KINDS, NumberingPlan, NumberKind, plan_of_country_code, split_country_code

try:
    import rphonenumbers as _accelerator
except ImportError:  # the extra "fast" is not installed
    _accelerator = None


class PhoneVerdict(StrEnum):
    """Whether a text is a number that may be dialed."""

    VALID = "valid"
    #: Letters, a date, nothing at all, far too long: no telephone number.
    NOT_A_NUMBER = "not_a_number"
    #: Looks like one, but no such number can exist in its country's plan.
    NOT_VALID = "not_valid"
    #: Costs the caller money by the minute; never dialed.
    PREMIUM_REFUSED = "premium_refused"
    #: Its cost is shared between caller and called, as of 901 and 902 in Spain: a company's; never dialed.
    SHARED_COST_REFUSED = "shared_cost_refused"
    #: Of somebody who was erased.
    ERASED = "erased"


class PhoneReading(msgspec.Struct, frozen=True, gc=False):
    """What became of one text; `phone` is set if and only if the verdict is VALID."""

    verdict: PhoneVerdict
    phone: Phone | None = None
    kind: NumberKind = NumberKind.UNKNOWN
    #: For people: what is wrong with the text.
    problem: str = ""


_E164: Final = re.compile(r"\+([1-9][0-9]{6,14})", re.ASCII)
_NOTHING: Final = re.compile(r"(?!)")
_LOCAL: Final = re.compile(r"[0-9]{6,14}", re.ASCII)
#: What people put between the digits. No letters: extensions, vanity numbers and spreadsheet's 6.0E+08 are refused.
_WRITTEN: Final = re.compile(r"[+＋]?[0-9\s().\-‐‑‒–—−·]*")
_FILLING: Final = re.compile(r"[\s\-‐‑‒–—−·]+")
_SCHEME: Final = re.compile(r"(?:tel|callto)\s*:\s*", re.IGNORECASE)
_MAX_TEXT: Final = 64
_LIKE_A_NUMBER: Final = re.compile(r"[+＋]?[0-9][0-9 ().\-‐‑‒–—−·]{4,40}[0-9]")

_VALID = PhoneVerdict.VALID
_EMPTY: Final = PhoneReading(PhoneVerdict.NOT_A_NUMBER, problem="empty")
_TOO_LONG: Final = PhoneReading(
    PhoneVerdict.NOT_A_NUMBER, problem="longer than any telephone number (15 digits and some spaces)"
)
_LETTERS: Final = PhoneReading(
    PhoneVerdict.NOT_A_NUMBER,
    problem="has characters that no telephone number has; digits, +, spaces, - . ( ) may stand",
)
_FEW_DIGITS: Final = PhoneReading(PhoneVerdict.NOT_A_NUMBER, problem="has too few digits for a telephone number")
_PREMIUM: Final = PhoneReading(
    PhoneVerdict.PREMIUM_REFUSED, kind=NumberKind.PREMIUM, problem="a premium-rate number is never dialed"
)
_ERASED: Final = PhoneReading(PhoneVerdict.ERASED, problem="belongs to somebody who was erased, and is never dialed")
_SHARED_COST: Final = PhoneReading(
    PhoneVerdict.SHARED_COST_REFUSED,
    kind=NumberKind.SHARED_COST,
    problem="a shared-cost number, which companies have, is never dialed",
)
#: Kinds that are valid and never dialed.
_REFUSED: Final = {NumberKind.PREMIUM: _PREMIUM, NumberKind.SHARED_COST: _SHARED_COST}


class PhoneReader:
    """Reads numbers; those without country code belong to `default_region`.

    `accelerate=False` leaves `rphonenumbers` and the compiled plans aside (for comparison). `erased` tells of a number
    in E.164 whether it is of somebody who was erased.

    Raises:
        ConfigError: there is no region of that name.
    """

    def __init__(
        self, default_region: str, *, accelerate: bool = True, erased: Callable[[str], bool] | None = None
    ) -> None:
        if default_region not in phonenumbers.SUPPORTED_REGIONS:
            raise ConfigError(
                f"default_region {default_region!r} is no region that telephone numbers have; two letters such as ES"
            )
        self.default_region = default_region
        self._accelerate = accelerate
        self._erased = erased
        code = phonenumbers.country_code_for_region(default_region)
        self._local_prefix = f"+{code}"
        self._local_plan: NumberingPlan | None = plan_of_country_code(code) if accelerate else None
        self._fast: ModuleType | None = _accelerator if accelerate else None
        self._written = (
            self._local_plan.written(self._local_prefix) if self._local_plan is not None else _NOTHING
        ).fullmatch

    def certain(self, text: str) -> Phone | None:
        """The number, where one look at `text` tells that it may be dialed; None: ask `read`, which knows more."""
        if self._written(text) is None:
            return None
        phone = Phone(text if text[0] == "+" else self._local_prefix + text)
        return None if self._erased is not None and self._erased(phone) else phone

    def read(self, text: str) -> PhoneReading:
        """The verdict on `text`, and the number in E.164 where it is valid."""
        reading = self._read(text)
        if self._erased is not None and reading.phone is not None and self._erased(reading.phone):
            return _ERASED
        return reading

    def names_erased(self, text: str) -> bool:
        """Whether a number of somebody who was erased stands somewhere in `text`, which must not be kept then."""
        if self._erased is None:
            return False
        return any(self.read(found[0]).verdict is PhoneVerdict.ERASED for found in _LIKE_A_NUMBER.finditer(text))

    def _read(self, text: str) -> PhoneReading:
        if self._accelerate:
            reading = self._by_plan(text)
            if reading is not None:
                return reading
        cleaned = text.strip()
        if not cleaned:
            return _EMPTY
        if len(cleaned) > _MAX_TEXT:
            return _TOO_LONG
        cleaned = _SCHEME.sub("", unicodedata.normalize("NFKC", cleaned), count=1)
        cleaned = "".join(_ascii_digit(char) for char in cleaned) if not cleaned.isascii() else cleaned
        if not _WRITTEN.fullmatch(cleaned):
            return _LETTERS
        if sum(char.isdigit() for char in cleaned) < 3:
            return _FEW_DIGITS
        if self._accelerate:
            reading = self._by_plan(_FILLING.sub("", cleaned))
            if reading is not None:
                return reading
        if self._fast is not None:
            reading = self._by_library(self._fast, cleaned)
            if reading.verdict is _VALID:
                return reading
        return self._by_library(phonenumbers, cleaned)

    def _by_plan(self, text: str) -> PhoneReading | None:
        """The answer where the compiled plans are sure of it and it is not a refusal for want of validity."""
        kind, phone, plan = None, text, self._local_plan
        if plan is not None and text.startswith(self._local_prefix) and 8 <= len(text) <= 16:
            # Country codes are a prefix code: what begins with ours is ours. The plan looks at every character.
            kind = plan.kind(text[len(self._local_prefix) :])
        elif _E164.fullmatch(text):
            split = split_country_code(text[1:])
            plan = plan_of_country_code(split[0]) if split is not None else None
            kind = plan.kind(split[1]) if split is not None and plan is not None else None
        elif plan is not None and _LOCAL.fullmatch(text):
            kind = plan.local_kind(text)
            phone = self._local_prefix + text
        if kind is None:
            return None
        return _REFUSED.get(kind) or PhoneReading(_VALID, Phone(phone), kind)

    def _by_library(self, library: ModuleType, text: str) -> PhoneReading:
        try:
            number = library.parse(text, self.default_region)
        except (library.NumberParseException, OverflowError) as error:
            return PhoneReading(PhoneVerdict.NOT_A_NUMBER, problem=_problem(error))
        kind = KINDS.get(int(library.number_type(number)), NumberKind.UNKNOWN)
        if kind in _REFUSED:
            return _REFUSED[kind]
        written = library.format_number(number, library.PhoneNumberFormat.E164)
        if kind is NumberKind.UNKNOWN or not _E164.fullmatch(written):
            problem = f"read as {written}, which cannot exist"
            if library is phonenumbers:
                # What is possible has the right number of digits, and yet nobody can have it.
                possible = phonenumbers.is_possible_number(number)
                problem += ": its country gives out no such numbers" if possible else ": its number of digits is wrong"
            return PhoneReading(PhoneVerdict.NOT_VALID, problem=problem)
        return PhoneReading(_VALID, Phone(written), kind)


def _ascii_digit(char: str) -> str:
    """Digits of other scripts as ours; everything else as it is."""
    return char if char.isascii() or not char.isdecimal() else str(unicodedata.decimal(char))


def _problem(error: Exception) -> str:
    kind = getattr(error, "error_type", None)
    exception = phonenumbers.NumberParseException
    if kind == exception.INVALID_COUNTRY_CODE:
        return "begins with a country code that does not exist"
    if kind in {exception.TOO_SHORT_AFTER_IDD, exception.TOO_SHORT_NSN}:
        return "has too few digits for a telephone number"
    if kind == exception.TOO_LONG:
        return "has too many digits for a telephone number"
    return "is not a telephone number"
