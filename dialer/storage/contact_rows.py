"""A contact as a row of the table, made without a database: also by the process that reads a list."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, repeat
from typing import Final, TypeVar

import msgspec

from dialer.core.contact import Contact
from dialer.storage.text import storable, to_json, to_json_lines

_T = TypeVar("_T")
#: The values of `COLUMNS`, JSON as text.
ContactRow = tuple[
    str, str, str, str, int, str | None, float | None, float | None, str, str, str | None, float, str | None
]

COLUMNS: Final = (
    "campaign",
    "id",
    "phones",
    "name",
    "priority",
    "timezone",
    "not_before_at",
    "expires_at",
    "consent",
    "fields",
    "list",
    "updated_at",
    "phone_terms",
)


def row_of(contact: Contact, at: float, list_id: str | None) -> ContactRow:
    """The row of a contact that was pushed `at`, and with which list."""
    phones = contact.phones
    return (
        storable(contact.campaign),
        storable(contact.id),
        # Almost all have one number, which needs no escape.
        f'["{phones[0]}"]' if len(phones) == 1 and phones[0].lstrip("+").isalnum() else to_json(phones),
        storable(contact.name),
        contact.priority,
        contact.timezone,
        contact.not_before_at,
        contact.expires_at,
        to_json(contact.consent) if contact.consent else "{}",
        to_json(contact.fields) if contact.fields else "{}",
        contact.list if list_id is None else list_id,
        at,
        to_json(contact.phone_terms) if contact.phone_terms else None,
    )


class ContactColumns(msgspec.Struct, frozen=True, array_like=True):
    """The values of rows side by side, those that all rows of a list share left out; None: nobody has anything there.

    What a list's rows take on their way from one process to another, and the making of them, is half of that of rows.
    """

    ids: list[str]
    phones: list[str]
    names: list[str]
    priorities: list[int] | None
    timezones: list[str | None] | None
    not_before: list[float | None] | None
    expires: list[float | None] | None
    consents: list[str] | None
    fields: list[str] | None
    phone_terms: list[str | None] | None

    def rows(self, campaign: str, at: float, list_id: str | None) -> Iterator[ContactRow]:
        """The rows that `row_of` makes of the contacts of `columns_of`."""
        return zip(
            repeat(campaign),
            self.ids,
            self.phones,
            self.names,
            self.priorities or repeat(0),
            self.timezones or repeat(None),
            self.not_before or repeat(None),
            self.expires or repeat(None),
            self.consents or repeat("{}"),
            self.fields or repeat("{}"),
            repeat(list_id),
            repeat(at),
            self.phone_terms or repeat(None),
        )


def columns_of(contacts: Sequence[Contact]) -> ContactColumns:
    """Contacts of one campaign, side by side."""
    phones = [contact.phones for contact in contacts]
    priorities = [contact.priority for contact in contacts]
    timezones = [contact.timezone for contact in contacts]
    not_before = [contact.not_before_at for contact in contacts]
    expires = [contact.expires_at for contact in contacts]
    consents = [contact.consent for contact in contacts]
    fields = [contact.fields for contact in contacts]
    terms = [to_json(contact.phone_terms) if contact.phone_terms else None for contact in contacts]
    return ContactColumns(
        ids=_storable([contact.id for contact in contacts]),
        phones=(
            ['["' + '","'.join(each) + '"]' for each in phones]
            # Numbers need no escape; a contact has at least one.
            if "".join(chain.from_iterable(phones)).replace("+", "").isalnum() and all(phones)
            else [to_json(each) for each in phones]
        ),
        names=_storable([contact.name for contact in contacts]),
        priorities=priorities if any(priorities) else None,
        timezones=_unless_empty(timezones),
        not_before=_unless_empty(not_before),
        expires=_unless_empty(expires),
        consents=to_json_lines(consents) if any(consents) else None,
        fields=to_json_lines(fields) if any(fields) else None,
        phone_terms=_unless_empty(terms),
    )


def _unless_empty(column: list[_T | None]) -> list[_T | None] | None:
    return column if column.count(None) < len(column) else None


def _storable(texts: list[str]) -> list[str]:
    return texts if "".join(texts).isprintable() else [storable(text) for text in texts]
