"""Reading a source at once and line by line say the same, and national numbers are read as `phonenumbers` does."""

from __future__ import annotations

import gzip
import tempfile
from collections.abc import Iterator
from pathlib import Path

import phonenumbers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialer.compliance.registry_numbers import NumberForm
from dialer.compliance.registry_source import SourceReader

REGIONS = ["", "US", "ES", "GB", "IT", "FR", "DE", "AU", "AR", "MX", "BR", "CL", "CO", "UY", "NZ", "IN", "CA", "JP"]
DIGITS = st.text("0123456789", min_size=1, max_size=17)
#: Numbers that are nearly right for their region, and the ways in which people begin them.
NEARLY = st.builds(
    lambda start, rest: start + rest,
    st.sampled_from(["", "0", "00", "011", "1", "34", "44", "0044", "06", "077", "01115", "9", "54", "001", "0015"]),
    st.text("0123456789", min_size=5, max_size=11),
)
CELL = st.one_of(
    NEARLY,
    DIGITS,
    NEARLY.map(lambda digits: "+" + digits),
    st.sampled_from(["", " ", "x", "+", "++1", "600 111 222", "(212) 555-1234", "+34-600-111-222", "６００111222"]),
    st.text(max_size=12).filter(lambda text: not set(text) & set("*#\r\n\0")),
)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def one_by_one(form: NumberForm, cell: str) -> int | None:
    found = form.read(cell)
    return found if isinstance(found, int) else None


@settings(deadline=None, max_examples=60)
@given(
    region=st.sampled_from(REGIONS),
    cells=st.lists(CELL, max_size=40),
    block=st.sampled_from([1, 7, 64, 1_000_000]),
    ends=st.sampled_from(["\n", "\r\n"]),
    column=st.integers(0, 2),
    compressed=st.booleans(),
)
def test_every_line_becomes_its_number_or_is_counted(
    folder: Path, region: str, cells: list[str], block: int, ends: str, column: int, compressed: bool
) -> None:
    cells = [cell.replace(";", "").replace('"', "").encode("utf-8", "replace").decode() for cell in cells]
    others = ["a1", "b"]
    rows = [";".join([*others[:column], cell, *others[column:]]) for cell in ["phone", *cells]]
    text = ends.join(rows).encode()
    path = folder / "source.csv"
    path.write_bytes(gzip.compress(text) if compressed else text)
    reader = SourceReader(path, column=str(column + 1), region=region, block_bytes=block)
    found = [number for piece in reader.numbers() for number in piece.tolist()]
    reader.close()
    form = NumberForm(region)
    expected = [one_by_one(form, cell) for cell in cells]
    assert sorted(number for number in expected if number is not None) == sorted(found)
    assert len(found) == reader.counts.numbers
    assert expected.count(None) == reader.counts.bad
    assert len(cells) + 1 == reader.counts.lines


@settings(deadline=None, max_examples=150)
@given(region=st.sampled_from(REGIONS[1:]), digits=st.one_of(NEARLY, DIGITS))
def test_national_numbers_are_read_as_by_the_library(region: str, digits: str) -> None:
    try:
        parsed = phonenumbers.parse(digits, region)
    except phonenumbers.NumberParseException:
        expected = None
    else:
        written = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)[1:]
        right = phonenumbers.is_possible_number(parsed) and 7 <= len(written) <= 15
        expected = int(written) if right else None
    assert expected == one_by_one(NumberForm(region), digits)


@settings(deadline=None, max_examples=100)
@given(region=st.sampled_from(["US", "GB", "ES"]), pairs=st.lists(st.tuples(DIGITS, DIGITS), min_size=1, max_size=30))
def test_two_columns_are_one_number(folder: Path, region: str, pairs: list[tuple[str, str]]) -> None:
    path = folder / "pairs.csv"
    path.write_text("".join(f"{area},{rest}\n" for area, rest in pairs), encoding="ascii")
    reader = SourceReader(path, column="1+2", region=region)
    found = [number for piece in reader.numbers() for number in piece.tolist()]
    reader.close()
    form = NumberForm(region)
    expected = [one_by_one(form, area + rest) for area, rest in pairs]
    assert sorted(number for number in expected if number is not None) == sorted(found)
