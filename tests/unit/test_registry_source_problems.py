"""Sources that are not what they should be: a clear error, or every bad line counted and shown without its digits."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from dialer.compliance.registry_source import MAX_LINE_BYTES, SourceReader
from dialer.errors import ConfigError, InputError


def read(path: Path, column: str = "", region: str = "", block_bytes: int = 1_000) -> tuple[list[int], SourceReader]:
    reader = SourceReader(path, column=column, region=region, block_bytes=block_bytes)
    try:
        return sorted(number for piece in reader.numbers() for number in piece.tolist()), reader
    finally:
        reader.close()


def source(folder: Path, text: str | bytes) -> Path:
    path = folder / "source.txt"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_every_kind_of_line_is_counted(tmp_path: Path) -> None:
    text = (
        "# kept by the state\n+34600111222\n\n  \n34600111223\n+34 600 111 222\nnobody\n+34 900*  # freephone\n1876*\n"
    )
    found, reader = read(source(tmp_path, text))
    counts = reader.counts
    assert found == [34_600_111_222, 34_600_111_222, 34_600_111_223]
    assert (
        counts.lines,
        counts.numbers,
        counts.rules,
        counts.blank,
        counts.comments,
        counts.bad,
    ) == (9, 3, 2, 2, 1, 1)
    assert [(rule.digits, rule.reason) for rule in reader.rules] == [("34900", "freephone"), ("1876", "")]


def test_bad_lines_are_shown_without_their_digits(tmp_path: Path) -> None:
    text = "+34600111222\n+34600111222x\n0034600111222\n123\n" + "bad\n" * 100
    _, reader = read(source(tmp_path, text))
    shown = reader.counts.shown
    assert reader.counts.bad == 103
    assert len(shown) == 20
    assert (shown[0].line, shown[0].shape) == (2, "+99999999999x")
    assert "begins with 0" in shown[1].problem
    assert "7 to 15" in shown[2].problem
    assert reader.counts.problems[shown[0].problem] == 101


@pytest.mark.parametrize(
    ("text", "column", "region", "expected"),
    [
        ("id,Phone Number,name\n7,+34600111222,Ana\n", "", "", [34_600_111_222]),
        ("id;movil\n7;600111222\n", "movil", "ES", [34_600_111_222]),
        ("id;Móvil\n7;600111222\n", "móvil", "ES", [34_600_111_222]),
        ("7,600111222\n8,600111223\n", "2", "ES", [34_600_111_222, 34_600_111_223]),
        ("212,5551234\n646,5550000\n", "1+2", "US", [12_125_551_234, 16_465_550_000]),
        ("area,rest\n212,5551234\n", "1+2", "US", [12_125_551_234]),
        ('"+34600111222","a, b"\n', "1", "", [34_600_111_222]),
        ("\ufeff+34600111222", "", "", [34_600_111_222]),
        ("+34600111222\r\n+34600111223\r\n", "", "", [34_600_111_222, 34_600_111_223]),
        ("07700 900123\n020 7946 0123\n", "", "GB", [442_079_460_123, 447_700_900_123]),
        ("600111222\n+442079460123\n0044 20 7946 0124\n", "", "ES", [34_600_111_222, 442_079_460_123, 442_079_460_124]),
        ("phone,reason\n+34900*,law\n+34600111222,asked\n", "", "", [34_600_111_222]),
    ],
)
def test_columns_and_national_numbers(tmp_path: Path, text: str, column: str, region: str, expected: list[int]) -> None:
    found, reader = read(source(tmp_path, text), column, region)
    assert expected == found
    assert reader.counts.bad == 0, reader.counts.shown
    assert all(rule.reason == "law" for rule in reader.rules)


def test_a_compressed_source_is_read_as_it_is(tmp_path: Path) -> None:
    assert read(source(tmp_path, gzip.compress(b"+34600111222\n")))[0] == [34_600_111_222]


@pytest.mark.parametrize("kept", [20, 200, 1_000])
def test_a_compressed_source_that_is_cut_off_is_told(tmp_path: Path, kept: int) -> None:
    whole = gzip.compress("".join(f"+3460{n * 7_919 % 10**7:07d}\n" for n in range(2_000)).encode())
    assert kept < len(whole)
    with pytest.raises(InputError, match="cut off or damaged"):
        read(source(tmp_path, whole[:kept]))


@pytest.mark.parametrize(
    ("start", "says"),
    [
        (b"PK\x03\x04rest", "unpack it"),
        (b"%PDF-1.7", "PDF"),
        ("+34600111222".encode("utf-16"), "save it as UTF-8"),
        (b"\x89CREG\r\n\x1a", "built already"),
        (b"+34\x00600", "NUL bytes"),
    ],
)
def test_what_is_no_text_is_told(tmp_path: Path, start: bytes, says: str) -> None:
    with pytest.raises(InputError, match=says):
        read(source(tmp_path, start))


@pytest.mark.parametrize(
    ("column", "says"), [("3", "no column 3"), ("mobile", "no column 'mobile'"), ("1+9", "no column 9")]
)
def test_a_column_that_is_not_there_is_told(tmp_path: Path, column: str, says: str) -> None:
    with pytest.raises(InputError, match=says.replace("+", r"\+")):
        read(source(tmp_path, "id,phone\n7,+34600111222\n"), column)


def test_a_region_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="two letters"):
        read(source(tmp_path, "600111222\n"), region="XX")


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read"):
        SourceReader(tmp_path / "nothing.csv")


def test_lines_without_end_are_bad_lines_not_memory(tmp_path: Path) -> None:
    text = "+34600111222\n" + "7" * (3 * MAX_LINE_BYTES) + "\n+34600111223\n" + "8" * (2 * MAX_LINE_BYTES)
    found, reader = read(source(tmp_path, text))
    assert found == [34_600_111_222, 34_600_111_223]
    assert (reader.counts.lines, reader.counts.bad) == (4, 2)
    assert {"a line of more than 64 kB"} == set(reader.counts.problems)


def test_a_prefix_that_cannot_be_is_a_bad_line(tmp_path: Path) -> None:
    _, reader = read(source(tmp_path, "+34900*\n*\n+0*\n+1x*\n" + "9" * 20 + "*\n"))
    assert (reader.counts.rules, reader.counts.bad) == (1, 4)


def test_a_row_without_the_column_is_a_bad_line(tmp_path: Path) -> None:
    found, reader = read(source(tmp_path, "id,phone\n7,+34600111222\n8\n9,+34600111223\n"))
    assert found == [34_600_111_222, 34_600_111_223]
    assert [bad.problem for bad in reader.counts.shown] == ["has no such column"]
