"""How long what tells of a person is kept, by the law of their number: pure.

A rule of retention says how long records must be kept. Nothing else asks for them, so they go when that time is over:
what happened stays, and to whom goes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Final

import phonenumbers

from dialer.compliance.rulebook import RuleBook, Seat
from dialer.compliance.rules import Party, Purpose, RetentionRule

_DAY_S: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class Keep:
    """How long, and by which rule."""

    days: int
    rule: str

    @property
    def seconds(self) -> float:
        """The same in seconds."""
        return self.days * _DAY_S


class Retention:
    """Answers for one day.

    Args:
        book: all jurisdictions.
        today: by whose rules; those of then may have been others, and the longest of a rule's versions counts.
    """

    def __init__(self, book: RuleBook, today: date) -> None:
        self._book = book
        self._today = today
        self._known: dict[tuple[str, Purpose | None], Keep] = {}
        self._countries: dict[str, tuple[str, ...]] = {}

    @property
    def shortest_s(self) -> float:
        """Nothing younger than this may go."""
        rules = [
            rule
            for one in (*self._book.countries.values(), self._book.policy)
            for rule in one.rules
            if isinstance(rule, RetentionRule)
        ]
        return min((rule.days * _DAY_S for rule in rules), default=float("inf"))

    def of(self, phone: str, purpose: Purpose | None) -> Keep | None:
        """How long a call to a number is kept; None: for good, since no rule says anything.

        Args:
            phone: E.164.
            purpose: of the call; None: not known, and the longest of all counts.
        """
        found = [self._of_region(region, purpose) for region in self._regions(phone)]
        return max((keep for keep in found if keep is not None), key=lambda keep: keep.days, default=None)

    def _regions(self, phone: str) -> tuple[str, ...]:
        for length in range(2, 5):
            code = phone[1:length]
            known = self._countries.get(code)
            if known is None:
                regions = phonenumbers.COUNTRY_CODE_TO_REGION_CODE.get(int(code), ()) if code.isdigit() else ()
                known = self._countries[code] = tuple(regions)
            if known:
                return known
        return ("",)

    def _of_region(self, region: str, purpose: Purpose | None) -> Keep | None:
        key = (region, purpose)
        if key not in self._known:
            rules = list(self._rules(region, [purpose] if purpose is not None else list(Purpose)))
            longest = max(rules, key=lambda rule: rule.days, default=None)
            self._known[key] = Keep(0, "") if longest is None else Keep(longest.days, longest.version)
        keep = self._known[key]
        return keep if keep.rule else None

    def _rules(self, region: str, purposes: Iterable[Purpose]) -> Iterable[RetentionRule]:
        jurisdiction = self._book.of_region(region)
        seats = [] if jurisdiction is None else [Seat(jurisdiction, frozenset(jurisdiction.subdivisions))]
        for purpose in purposes:
            for party in Party:
                yield from self._book.in_force(RetentionRule, seats, purpose, party, self._today)
