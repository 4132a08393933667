"""Lists from files: every row comes out, as a contact or with the reason why not."""

from __future__ import annotations

import io
import tracemalloc

import pytest

from dialer.core.contact import Contact
from dialer.core.ids import CampaignId
from dialer.errors import InputError
from dialer.intake.lines import MAX_LINE_CHARACTERS
from dialer.intake.phones import PhoneReader
from dialer.intake.record import RejectReason
from dialer.intake.rows import ListFormat, ListReader, RejectedRow, Row

WINTER = CampaignId("winter")
PHONES = PhoneReader("ES")


def reader(data: bytes | str, form: ListFormat | None = None) -> ListReader:
    return ListReader(io.BytesIO(data.encode() if isinstance(data, str) else data), WINTER, PHONES, form)


def rows(data: bytes | str, form: ListFormat | None = None) -> list[Row]:
    return list(reader(data, form))


def contacts(found: list[Row]) -> list[Contact]:
    return [row for row in found if isinstance(row, Contact)]


def rejected(found: list[Row]) -> list[RejectedRow]:
    return [row for row in found if isinstance(row, RejectedRow)]


def only_rejection(found: list[Row]) -> RejectedRow:
    (row,) = rejected(found)
    return row


def test_a_row_becomes_a_contact_with_everything_that_stood_in_it() -> None:
    (contact,) = rows(
        "id,Nombre,Apellidos,Teléfono 1,Móvil,priority,timezone,not_before,expires,consent_calls,Deuda\n"
        "crm-17, Ana ,García  López,910 000 017,+34 600 111 222,7,Europe/Madrid,"
        '2026-03-01T16:00:00+01:00,2026-04-01T00:00:00Z,yes,"1.234,50"\n'
    )
    assert contact == Contact(
        campaign=WINTER,
        id="crm-17",  # type: ignore[arg-type]  # a NewType of str
        phones=("+34910000017", "+34600111222"),  # type: ignore[arg-type]  # NewTypes of str
        name="Ana García López",
        priority=7,
        timezone="Europe/Madrid",
        not_before_at=1772377200.0,
        expires_at=1775001600.0,
        consent={"calls": "yes"},
        fields={"Deuda": "1.234,50"},
    )


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found_in_the_first_row(delimiter: str) -> None:
    text = 'id,"name, full",phone\n1,Ana,600111222\n'.replace(",", delimiter)
    (contact,) = rows(text)
    assert isinstance(contact, Contact)
    assert (contact.id, contact.phones) == ("1", ("+34600111222",))


def test_excel_says_its_delimiter_in_a_line_of_its_own() -> None:
    found = rows("sep=;\r\nid;phone\r\n1;600111222\r\n2;nobody\r\n")
    assert [contact.id for contact in contacts(found)] == ["1"]
    assert only_rejection(found).row == 4


@pytest.mark.parametrize(
    ("encoding", "codec", "certain"),
    [
        ("utf-8", "utf-8", True),
        ("utf-8-sig", "utf-8-sig", True),
        ("utf-16", "utf-16", True),
        ("utf-16-le", "utf-16-le", False),
        ("utf-16-be", "utf-16-be", False),
        ("cp1252", "cp1252", False),
    ],
)
def test_the_encoding_is_found(encoding: str, codec: str, certain: bool) -> None:
    text = "id;teléfono;nombre\n" + "".join(f"{i};60011{i:04};Begoña Núñez «{i}»\n" for i in range(2_000))
    lists = reader(text.encode(encoding))
    assert (lists.encoding.codec, lists.encoding.certain) == (codec, certain)
    found = contacts(list(lists))
    assert len(found) == 2_000
    assert found[1234].name == "Begoña Núñez «1234»"


def test_bytes_that_mean_nothing_in_windows_1252_make_it_latin_1() -> None:
    lists = reader("id;phone;nota\n1;600111222;año \x81\n".encode("latin-1"))
    assert lists.encoding.codec == "latin-1"
    assert len(contacts(list(lists))) == 1


def test_a_character_across_two_blocks_of_the_file_is_not_taken_for_a_broken_one() -> None:
    filling = "x" * (4096 - len("id,phone,n\n1,600111222,")) + "€" * 700_000
    lists = reader(f"id,phone,n\n1,600111222,{filling}\n")
    assert lists.encoding.verdict == "UTF-8"


def test_a_row_in_another_encoding_than_the_file_is_rejected_and_the_others_are_not() -> None:
    good = "".join(f"{i},60011{i:04},Núñez\n" for i in range(5)).encode()
    lists = reader(b"id,phone,name\n" + good + "9,600119999,Muñoz\n".encode("latin-1") + b"10,600118888,Ana\n")
    found = list(lists)
    assert len(contacts(found)) == 6
    bad = only_rejection(found)
    assert (bad.row, bad.reason) == (7, RejectReason.NOT_TEXT)
    assert "UTF-8" in bad.message
    bad.raw.encode()  # can be stored and shown


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "empty"),
        (b"\n\n \n", "empty"),
        (b"name,city\nAna,Madrid\n", "found: 'name', 'city'"),
        (b"1,Ana,600111222\n2,Eva,600111223\n", "must name the columns"),
        (b"id,phone,contact_id\n", "'id' and 'contact_id'"),
        (b'id,"phone\n1,600111222\n', "quote"),
        (b'[{"id": "1"}]', "one JSON object in each line"),
        (b"PK\x03\x04\x14\x00", "xlsx"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1", "xls"),
        (b"\x1f\x8b\x08\x00", "unpack"),
        (b"%PDF-1.7", "PDF"),
        (b"\x00\x01\x02\x03" * 100, "NUL"),
        ("id,phone\n".encode("utf-32"), "UTF-32"),
        (b"phone," + b",".join(b"c" for _ in range(600)), "601 columns"),
        (b"x" * (MAX_LINE_CHARACTERS + 10) + b"\n", "column names cannot be read"),
    ],
)
def test_a_file_that_cannot_be_a_list_says_what_to_do(data: bytes, says: str) -> None:
    with pytest.raises(InputError, match=says):
        rows(data)


def test_the_names_of_phone_columns_are_told_where_there_is_none() -> None:
    with pytest.raises(InputError, match="phone, phone1, phone2, mobile, telefono or movil"):
        rows("id,nombre,numero_de_cliente\n1,Ana,17\n")


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("", RejectReason.MISSING_PHONE),
        ("nobody", RejectReason.PHONE_NOT_A_NUMBER),
        ("6.00111E+08", RejectReason.PHONE_NOT_A_NUMBER),
        ("2026-03-01 at 10", RejectReason.PHONE_NOT_A_NUMBER),
        ("=cmd()", RejectReason.PHONE_NOT_A_NUMBER),
        ("12", RejectReason.PHONE_NOT_A_NUMBER),
        ("100111222", RejectReason.PHONE_NOT_VALID),
        ("+34600", RejectReason.PHONE_NOT_VALID),
        ("803123456", RejectReason.PHONE_PREMIUM),
    ],
)
def test_a_cell_that_is_no_number_rejects_its_row_with_the_reason(cell: str, reason: RejectReason) -> None:
    found = rows(f"id,phone\n1,600111222\n2,{cell}\n3,600111223\n")
    assert [contact.id for contact in contacts(found)] == ["1", "3"]
    bad = only_rejection(found)
    assert (bad.row, bad.reason, bad.raw, bad.partial) == (3, reason, f"2,{cell}", False)


def test_several_numbers_in_one_cell_are_all_read() -> None:
    (contact,) = contacts(rows("id,phone\n1,600111222 / 910000017;600111222\n"))
    assert contact.phones == ("+34600111222", "+34910000017")


def test_a_number_left_out_of_a_contact_with_others_is_reported() -> None:
    found = rows("id,phone,phone2,phone3\n1,600111222,nobody,803123456\n")
    (contact,) = contacts(found)
    assert contact.phones == ("+34600111222",)
    note = only_rejection(found)
    assert note.partial
    assert "phone 2" in note.message
    assert "phone 3" in note.message


def test_duplicates_name_the_row_that_was_taken() -> None:
    found = rows("id,phone\na,600111222\na,600111223\nb,+34600111222\nc,600111223\n")
    assert [contact.id for contact in contacts(found)] == ["a", "c"]
    assert [(row.row, row.reason, row.message) for row in rejected(found)] == [
        (3, RejectReason.DUPLICATE_ID, "its id is that of row 2"),
        (4, RejectReason.DUPLICATE_PHONE, "its number is that of row 2"),
    ]


def test_two_people_who_share_one_of_their_numbers_are_both_called() -> None:
    found = rows("id,phone,phone2\na,910000017,600111222\nb,910000017,600111223\n")
    assert [contact.id for contact in contacts(found)] == ["a", "b"]
    assert not rejected(found)


def test_a_row_without_id_gets_the_same_one_each_time() -> None:
    first = contacts(rows("name,phone\nAna,600111222\n"))[0].id
    again = contacts(rows("telefono;id;x\n+34 600 111 222;;y\n"))[0].id
    assert first == again == "tel:+34600111222"


@pytest.mark.parametrize(
    ("column", "cell", "reason"),
    [
        ("priority", "high", RejectReason.INVALID_PRIORITY),
        ("priority", "1001", RejectReason.INVALID_PRIORITY),
        ("priority", "9" * 5_000, RejectReason.INVALID_PRIORITY),
        ("timezone", "Madrid", RejectReason.INVALID_TIMEZONE),
        ("timezone", "../../etc/passwd", RejectReason.INVALID_TIMEZONE),
        ("timezone", "Europe", RejectReason.INVALID_TIMEZONE),
        ("not_before", "tomorrow", RejectReason.INVALID_TIME),
        ("expires", "2026-03-01T16:00:00", RejectReason.INVALID_TIME),
        ("id", "x" * 129, RejectReason.INVALID_ID),
        ("id", "a\x07b", RejectReason.INVALID_ID),
        ("notes", "n" * 9_000, RejectReason.TOO_LARGE),
        ("name", "n" * 201, RejectReason.TOO_LARGE),
    ],
)
def test_a_wrong_cell_rejects_its_row(column: str, cell: str, reason: RejectReason) -> None:
    found = rows(f"{column},phone\n{cell},600111222\n")
    bad = only_rejection(found)
    assert not contacts(found)
    assert bad.reason is reason
    assert len(bad.raw) <= 500


def test_a_cell_too_many_means_that_the_cells_have_shifted() -> None:
    found = rows("id,address,phone,x\n1,Calle Mayor, 3,600111222,y\n2,b,600111223,z,,\n3,c,600111224\n")
    assert [contact.id for contact in contacts(found)] == ["2", "3"]
    assert only_rejection(found).reason is RejectReason.TOO_MANY_COLUMNS


def test_quoted_cells_may_have_several_lines() -> None:
    found = rows('id,address,phone\n1,"Calle Mayor, 3\nMadrid ""centro""",600111222\n2,b,nobody\n')
    assert contacts(found)[0].fields == {"address": 'Calle Mayor, 3\nMadrid "centro"'}
    assert only_rejection(found).row == 3


@pytest.mark.parametrize("more", [0, 1, 10, 200, 5_000])
def test_a_quote_that_nobody_closed_costs_its_own_row_only(more: int) -> None:
    others = "".join(f"{i},x,60{i:07}\n" for i in range(more))
    found = rows(f'id,address,phone\na,ok,600999998\nb,"oops,600999999\n{others}')
    assert len(contacts(found)) == 1 + more
    bad = only_rejection(found)
    assert (bad.row, bad.reason) == (3, RejectReason.UNCLOSED_QUOTE)
    assert bad.raw == 'b,"oops,600999999'


def test_a_line_of_ten_megabytes_is_a_rejected_row_and_not_in_memory() -> None:
    class Source(io.RawIOBase):
        """Ten million x between two good rows, made while they are read."""

        def __init__(self) -> None:
            self._parts = [b"id,phone\n1,600111222\n", *[b"x" * 100_000] * 100, b"\n2,600111223\n"]
            self._place = 0
            self._rest = b""

        def readable(self) -> bool:
            return True

        def seekable(self) -> bool:
            return True

        def seek(self, offset: int, whence: int = 0) -> int:
            assert (offset, whence) == (0, 0)
            self._place, self._rest = 0, b""
            return 0

        def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]  # any writable buffer
            if not self._rest:
                if self._place == len(self._parts):
                    return 0
                self._rest = self._parts[self._place]
                self._place += 1
            size = min(len(buffer), len(self._rest))
            buffer[:size] = self._rest[:size]
            self._rest = self._rest[size:]
            return size

    source = io.BufferedReader(Source())  # type: ignore[type-var]  # its readinto takes more than a bytearray
    tracemalloc.start()
    try:
        found = list(ListReader(source, WINTER, PHONES))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert [contact.id for contact in contacts(found)] == ["1", "2"]
    bad = only_rejection(found)
    assert (bad.row, bad.reason) == (3, RejectReason.TOO_LARGE)
    assert "10000000" in bad.message
    assert len(bad.raw) == 500
    assert peak < 8_000_000


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_lines_end_as_on_any_system_and_blank_ones_are_no_rows(ending: str) -> None:
    text = "\nid,phone\n\n1,600111222\n,\n   \n2,nobody"
    found = rows(text.replace("\n", ending))
    assert [contact.id for contact in contacts(found)] == ["1"]
    assert only_rejection(found).row == 7


def test_ndjson_has_the_shape_of_the_messages() -> None:
    found = rows(
        '{"id": "1", "phones": ["600111222", "910000017"], "name": "Ana", "fields": {"debt": 17.5}}\n'
        "\n"
        '{"phone": "600111223"}\n'
        "{not json\n"
        '{"id": 1.5, "phones": ["600111224"]}\n'
        '{"id": "4", "phones": []}\n'
        '{"id": "1", "phones": ["600111225"]}\n'
        '{"id": "6", "phones": ["600111226", "x"]}\n'
    )
    assert [contact.id for contact in contacts(found)] == ["1", "tel:+34600111223", "6"]
    assert contacts(found)[0].fields == {"debt": 17.5}
    assert [(row.row, row.reason, row.partial) for row in rejected(found)] == [
        (4, RejectReason.NOT_JSON, False),
        (5, RejectReason.WRONG_TYPE, False),
        (6, RejectReason.MISSING_PHONE, False),
        (7, RejectReason.DUPLICATE_ID, False),
        (8, RejectReason.PHONE_NOT_A_NUMBER, True),
    ]


def test_a_number_of_a_rejected_duplicate_is_still_free_for_a_later_row() -> None:
    found = rows("id,phone\na,600111222\na,600111223\nb,600111223\n")
    assert [contact.id for contact in contacts(found)] == ["a", "b"]
