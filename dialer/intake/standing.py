"""What the law says about calling a number at all: whose rules, which clocks, and whether consent is missing.

The narrow way to `dialer.compliance` for looking through lists: no calling hours and no caps, which pass by themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from dialer.compliance.consent import Unusable, read_consent
from dialer.compliance.eligibility import Eligibility, RefusalReason, Terms
from dialer.compliance.rulebook import RuleBook
from dialer.compliance.zones import Called
from dialer.core.ids import Phone

#: The numbers of one block belong to one area; those shorter than this are looked at one by one.
_BLOCK_DIGITS: Final = 4
_LONG: Final = 11
_KEPT: Final = 200_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What is known of one number of one contact."""

    zones: tuple[str, ...] = ()
    jurisdictions: tuple[str, ...] = ()
    #: Why it may not be called, whatever the hour; empty: it may.
    problem: str = ""
    unknown_country: bool = False


class Law(Protocol):
    """Whom to ask."""

    def standing(
        self,
        contact: str,
        phone: str,
        *,
        timezone: str | None,
        consent: Mapping[str, object],
        fields: Mapping[str, object],
        now: float,
    ) -> Standing:
        """What is known of a number of a contact."""


class CampaignLaw:
    """`Law` of one campaign, by a rule book.

    Numbers of one block of ten thousand stand alike where their contacts gave nothing else: they are asked about once.
    """

    def __init__(self, book: RuleBook, terms: Terms) -> None:
        self._eligibility = Eligibility(book)
        self._terms = terms
        self._known: dict[tuple[str | None, ...], Standing] = {}

    def standing(
        self,
        contact: str,
        phone: str,
        *,
        timezone: str | None,
        consent: Mapping[str, object],
        fields: Mapping[str, object],
        now: float,
    ) -> Standing:
        """See `Law`."""
        country, region, postcode = (_text(fields.get(name)) for name in ("country", "region", "postcode"))
        called = Called(phone=Phone(phone), country=country, region=region, postcode=postcode, timezone=timezone)
        if consent:
            return self._judge(called, contact, consent, now)
        block = phone[:-_BLOCK_DIGITS] if len(phone) >= _LONG else phone
        key = (block, str(len(phone)), timezone, country, region, postcode)
        known = self._known.get(key)
        if known is None:
            if len(self._known) >= _KEPT:
                self._known.clear()
            known = self._known[key] = self._judge(called, contact, consent, now)
        return known

    def _judge(self, called: Called, contact: str, consent: Mapping[str, object], now: float) -> Standing:
        found = read_consent(consent, person=contact) if consent else None
        consents = [] if found is None or isinstance(found, Unusable) else [found]
        verdict = self._eligibility.judge(called, self._terms, now=now, consents=consents)
        if verdict.reason is RefusalReason.UNKNOWN_COUNTRY:
            return Standing(problem=verdict.findings[-1].says, unknown_country=True)
        missing = [finding.says for finding in verdict.findings if finding.step == "consent" and not finding.ok]
        if missing and isinstance(found, Unusable):
            missing.append(found.problem.says)
        return Standing(zones=verdict.zones, jurisdictions=verdict.jurisdictions, problem="; ".join(missing))


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
