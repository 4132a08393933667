"""What is worth knowing about the contacts of a list: numbers that others have too, that fail, that may not be called.

Rows that cannot be used at all have been rejected when the list was read (`dialer.intake.rows`). What is looked for
here does not stand in the way of an import: each finding is a warning about one number of one contact, and the contact
stays. Pure; who else has a number, and what became of earlier calls, is told by the caller.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from dialer.intake.plans import NumberKind
from dialer.intake.standing import Standing


class WarningKind(StrEnum):
    """What there is to know. Part of the contract: a CRM may branch on it."""

    #: Another contact of the same list has the number.
    DUPLICATE_IN_LIST = "duplicate_in_list"
    #: A contact of the same campaign has it that came another way.
    DUPLICATE_IN_CAMPAIGN = "duplicate_in_campaign"
    #: A contact of another campaign has it.
    DUPLICATE_IN_OTHER_CAMPAIGN = "duplicate_in_other_campaign"
    #: Somebody of another name has it.
    CONTRADICTING_OWNER = "contradicting_owner"
    #: The last calls of the number all found that it does not exist.
    STALE_NUMBER = "stale_number"
    #: The law asks for consent that is not on record.
    NO_CONSENT = "no_consent"
    #: No rules of its country are on file: it is never called.
    UNKNOWN_COUNTRY = "unknown_country"
    #: A line that is rarely a person's: toll-free, pager, voice mail.
    UNLIKELY_LINE = "unlikely_line"


@dataclass(frozen=True, slots=True, kw_only=True)
class Warned:
    """One warning."""

    contact: str
    phone: str
    kind: WarningKind
    #: For people: what was found. Names nobody.
    message: str


@dataclass(frozen=True, slots=True)
class Holder:
    """A contact that has a number."""

    campaign: str
    contact: str
    list: str | None
    name: str


@dataclass(frozen=True, slots=True)
class Number:
    """One number of a contact, and what is known of it."""

    phone: str
    kind: NumberKind
    #: All who have it, the contact itself too; empty: nobody else.
    holders: Sequence[Holder]
    #: How many of its last calls in a row found that it does not exist.
    invalid_calls: int
    #: None: nobody was asked.
    standing: Standing | None


#: Holders of one number that are kept; more are rather a switchboard than duplicates to look through.
MAX_HOLDERS: Final = 8
_UNLIKELY: Final[Mapping[NumberKind, str]] = {
    NumberKind.TOLL_FREE: "a toll-free number",
    NumberKind.PAGER: "a pager",
    NumberKind.VOICEMAIL: "a voice-mail box",
    NumberKind.UAN: "a company's universal number",
}


def warnings_of(contact: Holder, numbers: Sequence[Number]) -> Iterator[Warned]:
    """The warnings about one contact, by number."""
    for number in numbers:
        for kind, message in _about(contact, number):
            yield Warned(contact=contact.contact, phone=number.phone, kind=kind, message=message)


def _about(contact: Holder, number: Number) -> Iterator[tuple[WarningKind, str]]:
    others = [one for one in number.holders if (one.campaign, one.contact) != (contact.campaign, contact.contact)]
    if others:
        yield from _shared(contact, others)
    if number.invalid_calls:
        calls = "its last call" if number.invalid_calls == 1 else f"its last {number.invalid_calls} calls"
        yield WarningKind.STALE_NUMBER, f"{calls} found that the number does not exist"
    if number.kind in _UNLIKELY:
        yield WarningKind.UNLIKELY_LINE, f"is {_UNLIKELY[number.kind]}, rarely a person's"
    if number.standing is not None:
        if number.standing.unknown_country:
            yield WarningKind.UNKNOWN_COUNTRY, number.standing.problem
        elif number.standing.problem:
            yield WarningKind.NO_CONSENT, number.standing.problem


def _shared(contact: Holder, others: Sequence[Holder]) -> Iterator[tuple[WarningKind, str]]:
    inside = [one for one in others if one.campaign == contact.campaign and one.list == contact.list]
    beside = [one for one in others if one.campaign == contact.campaign and one.list != contact.list]
    abroad = [one for one in others if one.campaign != contact.campaign]
    if inside:
        yield WarningKind.DUPLICATE_IN_LIST, f"contact {_named(inside)} of this list has the number too"
    if beside:
        yield WarningKind.DUPLICATE_IN_CAMPAIGN, f"contact {_named(beside)} of this campaign has the number too"
    if abroad:
        campaigns = ", ".join(sorted({one.campaign for one in abroad}))
        yield WarningKind.DUPLICATE_IN_OTHER_CAMPAIGN, f"contact {_named(abroad)} of {campaigns} has the number too"
    contrary = [one for one in others if different_people(contact.name, one.name)]
    if contrary:
        yield (
            WarningKind.CONTRADICTING_OWNER,
            f"contact {_named(contrary)} has the number under another name: one of them is wrong, or they share it",
        )


def _named(others: Sequence[Holder]) -> str:
    ids = sorted({one.contact for one in others})
    return ", ".join(ids[:3]) + (f" and {len(ids) - 3} more" if len(ids) > 3 else "")


def different_people(one: str, other: str) -> bool:
    """Whether two names are surely not of one person: neither has all the words of the other.

    Case, accents and order do not matter; a name that is missing contradicts nothing.
    """
    if one == other:
        return False
    first, second = _words(one), _words(other)
    return bool(first and second) and not (first <= second or second <= first)


def _words(name: str) -> frozenset[str]:
    plain = "".join(char for char in unicodedata.normalize("NFKD", name) if not unicodedata.combining(char))
    return frozenset("".join(char if char.isalnum() else " " for char in plain.casefold()).split())
