"""From the answer of a CRM to contacts as they come in any message: pure, and forgiving to rows, not to pages.

A row that cannot be used is named and left out. A page that cannot be what was asked for (no JSON, another shape, no
row with a key) is refused as a whole: then the listing stays where it is, and nothing is concluded from it.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from dialer.core.ids import ContactId, valid_contact_id
from dialer.core.saying import Saying, say
from dialer.crm import soap
from dialer.crm.mapping import CrmMapping
from dialer.errors import InputError
from dialer.intake.record import moment

MAX_ROWS: Final = 10_000
_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,15}(\.[0-9]{1,9})?", re.ASCII)
_ENCODE: Final = msgspec.json.Encoder(order="deterministic")
#: A record of that name would change the path of its own update.
_NOT_IN_PATHS: Final = frozenset({".", ".."})


@dataclass(frozen=True, slots=True, kw_only=True)
class PulledCall:
    """One pending call, or one that is pending no more."""

    record: ContactId
    version: str | None
    #: False: the CRM has withdrawn it.
    pending: bool
    #: JSON of one contact, as in the messages of the stream; empty where it was withdrawn.
    contact: bytes
    #: Of `contact`: the same where nothing has changed.
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedRow:
    """A row that cannot be used."""

    #: Its place on the page, from 0.
    index: int
    #: Its key, where it has one.
    record: ContactId | None
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PulledPage:
    """One answer."""

    calls: Sequence[PulledCall]
    refused: Sequence[RefusedRow]
    #: Keys of all its rows that have one, usable or not.
    records: Sequence[str]
    #: Link, token, or "more" for numbered pages; None: this was the last one.
    next: str | None
    #: Link with which the next listing of changes begins.
    changes: str | None
    #: Greatest moment or number of change.
    changed: str | None


def decode(mapping: CrmMapping, body: bytes) -> Any:
    """The values of an answer.

    Raises:
        InputError: it is not of the mapping's format; the text does not repeat it, for it may hold personal data.
    """
    if mapping.file.format == "soap":
        return soap.read(body)
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        if body.lstrip()[:1] == b"<":
            raise InputError(
                "HTML or XML came instead of JSON: a sign-in page, or an error of something between us",
                code="crm_html",
            ) from error
        if isinstance(error, RecursionError):
            raise InputError("the JSON is nested too deeply", code="crm_json_deep") from error
        raise InputError(f"is not JSON: {error}", code="crm_no_json", problem=str(error)) from error


def read_page(mapping: CrmMapping, body: bytes) -> PulledPage:
    """One answer to `get the pending calls`.

    Raises:
        InputError: it cannot be such an answer, and says why.
    """
    data = decode(mapping, body)
    rows = mapping.rows.find(data)
    if isinstance(rows, dict) and mapping.file.format == "soap":
        rows = [rows]  # one element is no list in XML
    if not isinstance(rows, list):
        raise InputError(
            f"the schema has changed: pending.rows = {mapping.rows.text!r} finds no list; the answer has {_keys(data)}",
            code="crm_no_rows",
            rows=mapping.rows.text,
            keys=_keys(data),
        )
    if len(rows) > MAX_ROWS:
        raise InputError(
            f"{len(rows)} rows on one page; at most {MAX_ROWS}: ask for smaller pages in the mapping",
            code="crm_page_long",
            rows=len(rows),
            most=MAX_ROWS,
        )
    calls: list[PulledCall] = []
    refused: list[RefusedRow] = []
    changed: list[Any] = []
    for index, row in enumerate(rows):
        match read_row(mapping, row):
            case PulledCall() as call:
                calls.append(call)
            case record, problem:
                refused.append(RefusedRow(index=index, record=record, problem=problem))
        if mapping.changed and (moved := mapping.changed.find(row)) is not None:
            changed.append(moved)
    if rows and not calls and all(row.record is None for row in refused):
        raise InputError(
            f"the schema has changed: no row has contact.record = {mapping.contact['record'].text!r}; "
            f"the first has {_keys(rows[0])}",
            code="crm_no_record",
            record=mapping.contact["record"].text,
            keys=_keys(rows[0]),
        )
    return PulledPage(
        calls=calls,
        refused=refused,
        records=[call.record for call in calls] + [row.record for row in refused if row.record is not None],
        next=_next(mapping, data, len(rows)),
        changes=_text(mapping.changes.find(data)),
        changed=_greatest(changed),
    )


def read_row(mapping: CrmMapping, row: Any) -> PulledCall | tuple[ContactId | None, str]:
    """One row as a call; or its key, as far as it has one, and why it cannot be used."""
    keys = mapping.contact
    if not isinstance(row, dict):
        return None, "is no object"
    record: ContactId | None = None
    try:
        given = keys["record"].find(row)
        text = str(given) if isinstance(given, str | int) and not isinstance(given, bool) else ""
        if not valid_contact_id(text) or text in _NOT_IN_PATHS:
            return None, f"contact.record = {keys['record'].text!r} finds no key of 1 to 128 characters"
        record = ContactId(text)
        version = _text(keys["version"].find(row))
        withdrawn = keys["gone"].holds(row) or (bool(keys["pending"]) and not keys["pending"].holds(row))
        if withdrawn:
            return PulledCall(record=record, version=version, pending=False, contact=b"", digest="")
        contact = _contact(mapping, record, row)
    except InputError as error:
        return record, str(error)
    encoded = _ENCODE.encode(contact)
    digest = hashlib.sha256(encoded).hexdigest()[:32]
    return PulledCall(record=record, version=version, pending=True, contact=encoded, digest=digest)


def _contact(mapping: CrmMapping, record: ContactId, row: Mapping[str, Any]) -> dict[str, Any]:
    keys = mapping.contact
    contact: dict[str, Any] = {"id": record, "phones": _phones(keys["phones"].find(row))}
    for name in ("name", "timezone", "not_before", "expires"):
        if (found := _text(keys[name].find(row))) is not None:
            contact[name] = found
    if (priority := keys["priority"].find(row)) is not None:
        contact["priority"] = _priority(priority)
    for group in ("consent", "fields"):
        values = {
            name.partition(".")[2]: value
            for name, expression in keys.items()
            if name.startswith(f"{group}.") and (value := expression.find(row)) is not None
        }
        if values:
            contact[group] = values
    for name, kind in mapping.file.contact.types.items():
        value = contact.get("fields", {}).get(name)
        if value is not None and not _is(kind, value):
            raise InputError(f"contact.fields.{name} must be a {kind}, and is {str(value)[:40]!r}")
    return contact


def _phones(found: Any) -> list[str | dict[str, Any]]:
    """One number or many, of one column or several; what is empty is nobody's number.

    An object is a number of which more is said, under the keys that a contact's phones have.
    """
    match found:
        case list():
            return [phone for each in found for phone in _phones(each)]
        case dict():
            return [_phone_said(found, number) for number in _phones(found.get("number")) if isinstance(number, str)]
        case str() if found.strip():
            return [found.strip()]
        case int() if not isinstance(found, bool):
            return [str(found)]
        case _:
            return []


def _phone_said(found: Mapping[str, Any], number: str) -> dict[str, Any]:
    said: dict[str, Any] = {"number": number}
    if (kind := _text(found.get("type"))) is not None:
        said["type"] = kind
    hours = found.get("hours")
    if hours is not None:
        said["hours"] = [str(each) for each in hours] if isinstance(hours, list) else str(hours).split(";")
    for name in ("order", "max_attempts"):
        value = found.get(name)
        if value is None or value == "":
            continue
        if isinstance(value, bool) or not _NUMBER.fullmatch(str(value)) or not float(value).is_integer():
            raise InputError(f"contact.phones.{name} must be a whole number, and is {str(value)[:40]!r}")
        said[name] = int(float(value))
    return said


def _priority(found: Any) -> int:
    if isinstance(found, str) and _NUMBER.fullmatch(found.strip()):
        found = float(found)
    if isinstance(found, bool) or not isinstance(found, int | float) or not math.isfinite(found):
        raise InputError(f"contact.priority must be a number, and is {str(found)[:40]!r}")
    return round(found)


def _is(kind: str, value: Any) -> bool:
    match kind:
        case "number":
            if isinstance(value, str):
                return _NUMBER.fullmatch(value.strip()) is not None
            return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        case "boolean":
            return isinstance(value, bool) or value in {"true", "false"}
        case _:
            return isinstance(value, str) and moment(value) is not None


def _next(mapping: CrmMapping, data: Any, rows: int) -> str | None:
    paging = mapping.file.pending.paging
    if paging.kind == "none":
        return None
    if paging.kind == "number":
        more = mapping.next.holds(data) if mapping.next else rows > 0
        return "more" if more else None
    return _text(mapping.next.find(data)) or None


def _greatest(found: Sequence[Any]) -> str | None:
    texts = [value for value in found if isinstance(value, str)]
    if len(texts) == len(found):
        return max(texts, default=None)
    numbers = [value for value in found if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(numbers) == len(found):
        return str(max(numbers))
    raise InputError("pending.changed finds texts and numbers; it must be one or the other", code="crm_changed_mixed")


def _text(found: Any) -> str | None:
    if found is None or isinstance(found, dict | list | bool):
        return None
    return str(found)


def _keys(data: Any) -> Saying:
    """What an answer has, by the names of its keys: never its values, which may be about people."""
    match data:
        case {} if not data:
            return say("no keys", code="crm_no_keys")
        case dict():
            keys = [str(key)[:40] for key in list(data)[:10]]
            return say("the keys " + ", ".join(keys), code="crm_keys", keys=keys)
        case list():
            return say("a list", code="crm_a_list")
        case str():
            return say("a text", code="crm_a_text")
        case None:
            return say("nothing", code="crm_nothing")
        case _:
            return say("a value", code="crm_a_value")
