"""What a campaign says of its own about the CRM that it is fed by: rows that stand in place of the mapping's.

Each row is for one CRM by its name in the settings, or for any that feeds the campaign where it names none. What a row
leaves empty takes away what the mapping says.
"""

from __future__ import annotations

from dataclasses import dataclass

#: What a CRM is told: a constant, or a text with facts in it.
CrmValue = str | int | float | bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CrmField:
    """Where one part of a contact comes from."""

    crm: str = ""
    #: phones, name, priority, timezone, not_before, expires, fields.debt, consent.email, ….
    field: str
    #: On the CRM's record; empty: it is not read.
    expression: str = ""
    #: What a field must be: number, boolean or moment; empty: anything.
    type: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CrmWord:
    """What the CRM calls an outcome, a code or another fact."""

    crm: str = ""
    #: Of words: as templates name it.
    table: str
    word: str
    #: None: as everything else that the table has no word for.
    becomes: CrmValue | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CrmWrite:
    """What stands in one field of the CRM's record after a result."""

    crm: str = ""
    #: Of the mapping's rules, from 1.
    rule: int
    field: str
    #: None: the field is not written.
    value: CrmValue | None = None
