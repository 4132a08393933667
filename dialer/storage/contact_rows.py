"""A contact as a row of the table, made without a database: also by the process that reads a list."""

from __future__ import annotations

from typing import Final

from dialer.core.contact import Contact
from dialer.storage.text import storable, to_json

#: The values of `COLUMNS`, JSON as text.
ContactRow = tuple[str, str, str, str, int, str | None, float | None, float | None, str, str, str | None, float]

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
        list_id,
        at,
    )
