"""Evidence as it is handed out: every record whole, and no cell that a spreadsheet would run."""

from __future__ import annotations

import csv
import io
import json

from hypothesis import given
from hypothesis import strategies as st

from dialer.compliance.evidence import GENESIS, SALT_BYTES, Evidence, EvidenceKind, Link, seal
from dialer.compliance.evidence_export import COLUMNS, csv_header, csv_line, ndjson_line

TEXTS = st.text(max_size=30) | st.sampled_from(["=1+1", "@x", "-2", "+3", "\t=4", "  =5", "＝6", 'a"b', "x\r\n=7", "ñ"])


def link_of(facts: dict[str, object], personal: dict[str, object], reference: str = "call-1") -> Link:
    evidence = Evidence(
        kind=EvidenceKind.ATTEMPT, reference=reference, at=1_700_000_000.25, facts=facts, personal=personal
    )
    return seal(GENESIS, evidence, bytes(SALT_BYTES))


@given(TEXTS, TEXTS, TEXTS)
def test_no_cell_is_a_formula_and_nothing_is_lost(contact: str, reason: str, reference: str) -> None:
    facts: dict[str, object] = {"campaign": "winter", "outcome": "connected", "reason": reason, "hash": "=forged"}
    link = link_of(facts, {"contact": contact, "phone": "+34600111222"}, reference)
    [header, row] = csv.reader(io.StringIO(csv_header() + csv_line(link), newline=""))
    assert tuple(header) == COLUMNS
    cells = dict(zip(header, row, strict=True))
    assert not [cell for cell in row if cell.lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r", "＝"))]
    assert cells["contact"].removeprefix("'") == contact.removeprefix("'")
    assert cells["hash"] == link.hash, "a fact of that name does not stand in for the record's own"
    assert json.loads(cells["facts"]) == facts


@given(TEXTS, TEXTS)
def test_one_record_is_one_line(contact: str, reason: str) -> None:
    link = link_of({"reason": reason}, {"contact": contact})
    text = ndjson_line(link)
    assert text.endswith("\n")
    assert text.count("\n") == 1
    record = json.loads(text)
    assert (record["facts"], record["personal"]) == ({"reason": reason}, {"contact": contact})


def test_an_erased_person_leaves_their_cells_empty() -> None:
    link = link_of({"campaign": "winter"}, {"contact": "crm-1", "phone": "+34600111222"})
    erased = Link(
        number=link.number,
        kind=link.kind,
        reference=link.reference,
        at=link.at,
        facts=link.facts,
        personal=None,
        salt=None,
        personal_digest=link.personal_digest,
        hash=link.hash,
    )
    [row] = csv.DictReader(io.StringIO(csv_header() + csv_line(erased)))
    assert (row["contact"], row["phone"], row["campaign"]) == ("", "", "winter")
    assert json.loads(ndjson_line(erased))["personal"] is None
