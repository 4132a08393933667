"""Records of evidence as they are handed out: one JSON document a line, or rows of a spreadsheet. Pure."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from typing import Any, Final

from dialer.compliance.evidence import Link

COLUMNS: Final = (
    "number",
    "kind",
    "reference",
    "at",
    "phone",
    "contact",
    "campaign",
    "outcome",
    "reason",
    "facts",
    "hash",
)
#: A cell that begins so is a formula to a spreadsheet, and may do anything (OWASP: CSV injection).
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")


def record_of(link: Link) -> dict[str, Any]:
    """One record: facts and, where it has not been erased, the person."""
    return {
        "number": link.number,
        "kind": link.kind,
        "reference": link.reference,
        "at": datetime.fromtimestamp(link.at, UTC).isoformat(timespec="microseconds"),
        "facts": json.loads(link.facts),
        "personal": None if link.personal is None else json.loads(link.personal),
        "personal_digest": link.personal_digest,
        "hash": link.hash,
    }


def ndjson_line(link: Link) -> str:
    """One record as one line."""
    return json.dumps(record_of(link), ensure_ascii=False) + "\n"


def csv_header() -> str:
    """The first line."""
    return _line(COLUMNS)


def csv_line(link: Link) -> str:
    """One record as a row, each cell harmless in a spreadsheet."""
    record = record_of(link)
    flat = record | record["facts"] | (record["personal"] or {}) | {"facts": link.facts}
    # What a record is called stands over what its facts may call so.
    flat |= {name: record[name] for name in ("number", "kind", "reference", "at", "hash")}
    return _line([_cell(flat.get(column)) for column in COLUMNS])


def _line(cells: Any) -> str:
    text = io.StringIO()
    csv.writer(text).writerow(cells)
    return text.getvalue()


def _cell(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.lstrip(" ").startswith(_FORMULA) else value
