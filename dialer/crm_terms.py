"""A campaign's own mapping of its CRM as people and programs write it: parsed into `dialer.core.crm_terms`, and dumped.

What can be checked without the CRM's mapping is checked here; whether the rows fit that is for
`dialer.crm.own_mapping`.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from dialer.core.crm_terms import CrmField, CrmValue, CrmWord, CrmWrite
from dialer.crm.expressions import Expression
from dialer.crm.templates import FACTS, Template, check_slots
from dialer.errors import InputError

MAX_ROWS: Final = 200
#: Parts of a contact that a campaign may read as it likes; keys, versions and what is pending are the operator's.
PLAIN: Final = ("phones", "name", "priority", "timezone", "not_before", "expires")
TYPES: Final = ("", "number", "boolean", "moment")
_FIELD: Final = re.compile(rf"({'|'.join(PLAIN)}|(fields|consent)\.[A-Za-z0-9_-]{{1,64}})")
_TABLE: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
_LINE: Final = r"^[^\x00-\x1f\x7f]*(?![\s\S])"
#: JSON cannot say more of a number to all who read it.
_MOST: Final = 2**53

Crm = Annotated[str, Meta(max_length=64, pattern=_LINE, description="Name of the CRM; empty: any that feeds it")]
Value = Annotated[str, Meta(max_length=500, pattern=_LINE)] | int | float | bool | None


class CrmFieldInput(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where one part of a contact comes from."""

    crm: Crm = ""
    field: Annotated[str, Meta(max_length=80, description="phones, name, priority, …, fields.NAME, consent.NAME")]
    expression: Annotated[
        str, Meta(max_length=500, pattern=_LINE, description="JMESPath on the CRM's record; empty: it is not read")
    ] = ""
    type: Annotated[Literal["", "number", "boolean", "moment"], Meta(description="What a field must be")] = ""


class CrmWordInput(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the CRM calls an outcome, a code or another fact."""

    crm: Crm = ""
    table: Annotated[str, Meta(max_length=64, description="As templates name it: {status|TABLE}")]
    word: Annotated[str, Meta(max_length=200, pattern=_LINE, description='Ours; "*": everything else')]
    becomes: Annotated[Value, Meta(description="null: as everything else")] = None


class CrmWriteInput(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What stands in one field of the CRM's record after a result."""

    crm: Crm = ""
    rule: Annotated[int, Meta(ge=1, le=100, description="Of the mapping's [[update]], from 1")]
    field: Annotated[str, Meta(max_length=200, pattern=_LINE)]
    value: Annotated[Value, Meta(description="A constant, or a text with {facts}; null: it is not written")] = None


def contact_rows(given: Sequence[CrmFieldInput]) -> tuple[CrmField, ...]:
    """Where parts of contacts come from.

    Raises:
        InputError: names the row.
    """
    rows = [
        CrmField(crm=one.crm.strip(), field=one.field.strip(), expression=one.expression.strip(), type=one.type)
        for one in given
    ]
    _once("crm_contact", ((one.crm, one.field) for one in rows))
    for one in rows:
        where = f"crm_contact: {one.field[:40]!r}"
        if not _FIELD.fullmatch(one.field):
            raise InputError(
                f"{where} is no part of a contact; there are {', '.join(PLAIN)}, fields.NAME and consent.NAME",
                code="crm_no_part",
                field=one.field[:40],
                parts=list(PLAIN),
            )
        if one.type and not one.field.startswith("fields."):
            raise InputError(f"{where}: only fields.NAME has a type", code="crm_no_type", field=one.field)
        if one.field == "phones" and not one.expression:
            raise InputError("crm_contact: phones must be read from something", code="crm_no_phones")
        _in("crm_contact", partial(_check_expression, one.expression))
    return tuple(rows)


def word_rows(given: Sequence[CrmWordInput]) -> tuple[CrmWord, ...]:
    """What the CRM calls things.

    Raises:
        InputError: names the row.
    """
    rows = [
        CrmWord(crm=one.crm.strip(), table=one.table.strip(), word=one.word.strip(), becomes=one.becomes)
        for one in given
    ]
    _once("crm_words", ((one.crm, f"{one.table}: {one.word}") for one in rows))
    for one in rows:
        if not _TABLE.fullmatch(one.table):
            raise InputError(
                f"crm_words: {one.table[:40]!r} is no name of a table: small letters, digits and _",
                code="crm_no_table_name",
                table=one.table[:40],
            )
        if not one.word:
            raise InputError("crm_words: a row lacks the word of ours", code="crm_word_missing")
        _check_number("crm_words", one.becomes)
    return tuple(rows)


def update_rows(given: Sequence[CrmWriteInput]) -> tuple[CrmWrite, ...]:
    """What is written into the CRM's records.

    Raises:
        InputError: names the row.
    """
    rows = [CrmWrite(crm=one.crm.strip(), rule=one.rule, field=one.field.strip(), value=one.value) for one in given]
    _once("crm_update", ((one.crm, f"{one.rule}: {one.field}") for one in rows))
    for one in rows:
        if not one.field:
            raise InputError("crm_update: a row lacks the field of the CRM's record", code="crm_field_missing")
        _check_number("crm_update", one.value)
        if isinstance(one.value, str):
            _in("crm_update", partial(_check_template, one.value))
    return tuple(rows)


def dump_rows(rows: Iterable[CrmField | CrmWord | CrmWrite]) -> list[dict[str, Any]]:
    """Plain values from which the same rows are made."""
    return [msgspec.to_builtins(row) for row in rows]


def _check_expression(text: str) -> None:
    Expression(text).check_modest()


def _check_template(text: str) -> None:
    slots = Template(text).slots
    # Which tables there are only the mapping knows.
    check_slots(slots, FACTS, {slot.table for slot in slots if slot.table is not None})


def _check_number(setting: str, value: CrmValue | None) -> None:
    if isinstance(value, int | float) and not (math.isfinite(value) and abs(value) <= _MOST):
        raise InputError(f"{setting}: {value!r:.40} is too large a number; write it as a text", code="crm_large_number")


def _once(setting: str, keys: Iterable[tuple[str, str]]) -> None:
    twice = next((key for key, times in Counter(keys).items() if times > 1), None)
    if twice is not None:
        raise InputError(
            f"{setting}: {twice[1][:80]} stands there more than once", code="crm_row_twice", row=twice[1][:80]
        )


def _in(setting: str, check: Callable[[], None]) -> None:
    try:
        check()
    except InputError as error:
        raise InputError(f"{setting}: {error}", code=error.code, **error.arguments) from error
