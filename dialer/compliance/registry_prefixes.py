"""Prefix rules: whole areas, services or countries that are not called, such as ``+34 900*`` or ``+1 876*``. Pure.

The longest prefix that a number begins with is the one that is told, with its reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from dialer.core.ids import Phone
from dialer.errors import InputError

#: Digits of the longest number that E.164 allows.
MAX_DIGITS: Final = 15
#: A registry that has more is a list of numbers with stars in it, written by mistake.
MAX_RULES: Final = 100_000
MAX_REASON: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefixRule:
    """Every number that begins with these digits, and why."""

    #: Country code first, no plus sign: ``34900``.
    digits: str
    reason: str = ""

    def __post_init__(self) -> None:
        if not (self.digits.isascii() and self.digits.isdigit()):
            raise InputError("a prefix is digits, country code first, then a star, such as +34 900*")
        if self.digits[0] == "0":
            raise InputError("a prefix begins with a country code, which never begins with 0")
        if len(self.digits) > MAX_DIGITS:
            raise InputError(f"a prefix of {len(self.digits)} digits; a number has at most {MAX_DIGITS}")
        if len(self.reason) > MAX_REASON:
            raise InputError(f"a reason of {len(self.reason)} characters; at most {MAX_REASON}")

    def __str__(self) -> str:
        return f"+{self.digits}*"


@dataclass(frozen=True, slots=True)
class PrefixRules:
    """Rules, compiled: one look into a table for each length that occurs, the longest first."""

    _by_length: tuple[tuple[int, Mapping[str, PrefixRule]], ...] = field(default=())

    @classmethod
    def of(cls, rules: Iterable[PrefixRule]) -> PrefixRules:
        """Compile; where two rules have the same digits, the first that gives a reason stays.

        Raises:
            InputError: more than `MAX_RULES`.
        """
        tables: dict[int, dict[str, PrefixRule]] = {}
        count = 0
        for rule in rules:
            table = tables.setdefault(len(rule.digits), {})
            known = table.get(rule.digits)
            count += known is None
            if known is None or not known.reason:
                table[rule.digits] = rule
            if count > MAX_RULES:
                raise InputError(f"more than {MAX_RULES} prefix rules; list single numbers without the star")
        # One character more: a phone has its plus sign before the digits.
        return cls(tuple((length + 1, tables[length]) for length in sorted(tables, reverse=True)))

    def __len__(self) -> int:
        return sum(len(table) for _, table in self._by_length)

    @property
    def rules(self) -> tuple[PrefixRule, ...]:
        """All, in the order of their digits."""
        return tuple(sorted((r for _, table in self._by_length for r in table.values()), key=lambda r: r.digits))

    def match(self, phone: Phone) -> PrefixRule | None:
        """The longest rule that `phone` begins with."""
        for end, table in self._by_length:
            rule = table.get(phone[1:end])
            # A number shorter than the prefix is looked up whole, and is no key of that length.
            if rule is not None:
                return rule
        return None
