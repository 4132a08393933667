"""Whatever a file holds, each of its rows comes out once, and garbage is told by a clear error or a rejected row."""

from __future__ import annotations

import csv
import io

from hypothesis import given, settings
from hypothesis import strategies as st

from dialer.core.contact import Contact
from dialer.core.ids import CampaignId, valid_contact_id, valid_phone
from dialer.errors import InputError
from dialer.intake.phones import PhoneReader
from dialer.intake.rows import ListReader, RejectedRow

PHONES = PhoneReader("ES")
WINTER = CampaignId("winter")

CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00\r\x85\u2028\u2029"), max_size=20)


@given(
    st.lists(st.tuples(CELLS, st.from_regex(r"(6[0-9]{8}|[0-9 ]{0,12}|x)", fullmatch=True), CELLS), max_size=15),
    st.sampled_from([",", ";", "\t", "|"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
@settings(max_examples=80, deadline=None)
def test_every_row_of_a_right_csv_comes_out_once(
    cells: list[tuple[str, str, str]], delimiter: str, encoding: str
) -> None:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(["id", "phone", "note"])
    writer.writerows(cells)
    found = list(ListReader(io.BytesIO(text.getvalue().encode(encoding)), WINTER, PHONES))
    whole = [row for row in found if not (isinstance(row, RejectedRow) and row.partial)]
    expected = [row for row in cells if any(cell.strip() for cell in row)]
    assert len(whole) == len(expected)
    for row, (_, phone, note) in zip(whole, expected, strict=True):
        if isinstance(row, Contact):
            assert row.phones == (PHONES.read(phone).phone,)
            assert row.fields.get("note", "") == note


@given(
    st.lists(
        st.one_of(
            st.binary(max_size=60),
            st.sampled_from([b"\n", b'"', b",", b"600111222", b"id,phone\n", b"1,600111222\n", b"\r", b"\xff\xfe"]),
        ),
        max_size=20,
    ).map(b"".join)
)
@settings(max_examples=100, deadline=None)
def test_garbage_is_told_and_never_dialed(data: bytes) -> None:
    try:
        found = list(ListReader(io.BytesIO(b"id,phone\n" + data), WINTER, PHONES))
    except InputError as error:
        if not str(error):
            raise
        return
    for row in found:
        if isinstance(row, Contact):
            assert valid_contact_id(row.id)
            assert row.phones
            assert all(valid_phone(phone) for phone in row.phones)
        else:
            assert row.message
            assert row.row >= 2
            row.raw.encode()
