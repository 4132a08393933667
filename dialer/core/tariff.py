"""What calls cost at a carrier: rates by the beginning of the number, in whole millionths of a currency; pure.

The longest prefix counts, as carriers bill it. Time is billed from the answer, in steps (30/6: thirty seconds at least,
then every six); a call that nobody answers costs what the carrier takes for the attempt, mostly nothing.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from dialer.core.ids import Phone
from dialer.errors import ConfigError

#: Of one unit of money.
MICROS: Final = 1_000_000
#: E.164 has so many digits at most.
_LONGEST: Final = 15
_PREFIX: Final = re.compile(r"\+?([0-9]{1,15})", re.ASCII)
_MONEY: Final = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?", re.ASCII)
_STEPS: Final = re.compile(r"[0-9]{1,4}", re.ASCII)
#: Columns of a rate deck; the first two must be there.
COLUMNS: Final = ("prefix", "per_minute", "set_up", "per_attempt", "minimum_s", "increment_s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """What a call to one prefix costs."""

    #: Of a minute from the answer.
    per_minute_micros: int
    #: Of a call that is answered, whatever its length.
    set_up_micros: int = 0
    #: Of a call that is sent, answered or not.
    per_attempt_micros: int = 0
    #: Seconds that are billed of every answered call at least, and the steps beyond.
    minimum_s: int = 0
    increment_s: int = 1

    def billed_s(self, answered_s: float) -> int:
        """Seconds that are billed of a call that was answered for so long."""
        beyond = max(0.0, answered_s - self.minimum_s)
        # A clock's rounding must not begin another step.
        return self.minimum_s + math.ceil(beyond / self.increment_s - 1e-6) * self.increment_s

    def cost_micros(self, answered_s: float | None) -> int:
        """The cost of a call; None: nobody and nothing answered it."""
        if answered_s is None:
            return self.per_attempt_micros
        minutes = -(-self.billed_s(answered_s) * self.per_minute_micros // 60)
        return self.per_attempt_micros + self.set_up_micros + minutes


class Tariff:
    """The rates of one carrier.

    Args:
        rates: by the digits with which numbers begin, without plus.
    """

    __slots__ = ("_lengths", "_rates")

    def __init__(self, rates: Mapping[str, Rate]) -> None:
        self._rates = dict(rates)
        self._lengths = sorted({len(prefix) for prefix in rates}, reverse=True)

    def __len__(self) -> int:
        """How many prefixes it has."""
        return len(self._rates)

    def rate(self, phone: Phone) -> Rate | None:
        """The rate of a number (E.164 with plus); None: the carrier has none for it."""
        digits = phone[1:]
        for length in self._lengths:
            found = self._rates.get(digits[:length])
            if found is not None:
                return found
        return None


def micros(text: str) -> int:
    """Money as it is written (``0.0125``) in millionths, rounded up.

    Raises:
        ConfigError: it is no such number.
    """
    if _MONEY.fullmatch(text) is None:
        raise ConfigError(f"{text[:40]!r} is no amount of money: digits, with a point where there are decimals")
    return math.ceil(Decimal(text) * MICROS)


def read_rates(rows: Iterable[Mapping[str, str]], where: str) -> Tariff:
    """The tariff of some rows with `COLUMNS`; empty cells are nothing, and steps of one second.

    Raises:
        ConfigError: names the row, counted from 1, and what is wrong with it.
    """
    rates: dict[str, Rate] = {}
    for number, row in enumerate(rows, 1):
        prefix = _PREFIX.fullmatch((row.get("prefix") or "").strip())
        if prefix is None:
            raise ConfigError(f"{where}, row {number}: prefix must be 1 to {_LONGEST} digits, such as +34 written +34")
        if prefix[1] in rates:
            raise ConfigError(f"{where}, row {number}: prefix +{prefix[1]} has a rate already")
        try:
            rates[prefix[1]] = Rate(
                per_minute_micros=micros(_cell(row, "per_minute")),
                set_up_micros=micros(_cell(row, "set_up")),
                per_attempt_micros=micros(_cell(row, "per_attempt")),
                minimum_s=_seconds(_cell(row, "minimum_s")),
                increment_s=max(1, _seconds(_cell(row, "increment_s"))),
            )
        except ConfigError as error:
            raise ConfigError(f"{where}, row {number}: {error}") from error
    if not rates:
        raise ConfigError(f"{where}: has no rates; a trunk with it could call nobody")
    return Tariff(rates)


def read_rate_deck(lines: Iterable[str], where: str) -> Tariff:
    """The tariff of a CSV file with a line of titles.

    Raises:
        ConfigError: names the row and what is wrong with it.
    """
    try:
        reader = csv.DictReader(lines, strict=True)
        titles = reader.fieldnames or ()
        if not {"prefix", "per_minute"} <= set(titles) <= set(COLUMNS):
            raise ConfigError(f"{where}: its first line must name columns out of {','.join(COLUMNS)}")
        return read_rates(reader, where)
    except csv.Error as error:
        raise ConfigError(f"{where} is not CSV: {error}") from error


def _cell(row: Mapping[str, str], name: str) -> str:
    value = row.get(name)
    return value.strip() or "0" if isinstance(value, str) else "0"


def _seconds(text: str) -> int:
    if _STEPS.fullmatch(text) is None:
        raise ConfigError(f"{text[:40]!r} is no whole number of seconds up to 9999")
    return int(text)
