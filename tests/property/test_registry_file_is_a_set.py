"""A registry file answers as a Python set of its numbers does, whatever they are; damage anywhere is told."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialer.compliance.registry_file import HEADER_BYTES, Layout, RegistryFile
from dialer.compliance.registry_prefixes import PrefixRule, PrefixRules
from dialer.compliance.registry_sort import NumberSort, in_order
from dialer.compliance.registry_writer import RegistryWriter, write_registry
from dialer.errors import InputError

DAY = date(2030, 1, 31)
#: Around the borders of slots, runs and of what E.164 allows.
EDGES = st.builds(
    lambda high, low: max(high * 65_536 + low, 1_000_000),
    st.sampled_from([15, 16, 17, 20, 21, 22, 30, 500_000, 500_001, 500_005, 500_006, 15_258_789_062]),
    st.sampled_from([0, 1, 2, 32_768, 65_534, 65_535]),
).filter(lambda number: number < 10**15)
NUMBERS = st.one_of(
    EDGES,
    st.integers(1_000_000, 10**15 - 1),
    st.integers(34_600_000_000, 34_600_200_000),
    st.sampled_from([1_000_000, 9_999_999, 10**14, 10**15 - 1]),
)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def written(folder: Path, numbers: set[int], prefixes: PrefixRules | None = None) -> Path:
    path = folder / "file"
    path.unlink(missing_ok=True)
    write_registry(path, numbers, registry="r", source_date=DAY, prefixes=prefixes)
    return path


@settings(deadline=None, max_examples=60)
@given(numbers=st.sets(NUMBERS, max_size=60), others=st.lists(NUMBERS, max_size=40))
def test_a_file_answers_as_a_set(folder: Path, numbers: set[int], others: list[int]) -> None:
    file = RegistryFile(written(folder, numbers))
    file.verify()
    asked = [*numbers, *others, *(n + 1 for n in numbers), *(n - 1 for n in numbers), *(n + 65_536 for n in numbers)]
    expected = [number in numbers for number in asked]
    assert expected == [number in file for number in asked]
    assert expected == file.contains_many(asked)
    assert expected * 20 == file.contains_many(asked * 20)  # so many that they are looked up together
    assert len(numbers) == len(file)


@settings(deadline=None, max_examples=60)
@given(pieces=st.lists(st.lists(NUMBERS, max_size=30), max_size=6), cut=st.integers(1, 50))
def test_pieces_of_any_size_make_the_same_file(folder: Path, pieces: list[list[int]], cut: int) -> None:
    numbers = {number for piece in pieces for number in piece}
    whole = written(folder, numbers).read_bytes()
    path = folder / "in-pieces"
    path.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as name:
        sort = NumberSort(Path(name), piece=cut)
        for piece in pieces:
            sort.add(np.array(piece, np.uint64))
        writer = RegistryWriter(path)
        try:
            for some in sort.merged():
                for at in range(0, len(some), 7):
                    writer.write(some[at : at + 7])
            writer.finish(registry="r", source="", source_date=DAY, built_at=0.0, prefixes=PrefixRules())
        finally:
            writer.close()
    assert whole == path.read_bytes()


@settings(deadline=None)
@given(pieces=st.lists(st.lists(NUMBERS, max_size=20), min_size=1, max_size=5))
def test_in_order_is_sorted_and_without_repeats(pieces: list[list[int]]) -> None:
    found = in_order([np.array(piece, np.uint64) for piece in pieces])
    assert sorted({number for piece in pieces for number in piece}) == found.tolist()


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_a_file_cut_short_anywhere_is_refused(folder: Path, data: st.DataObject) -> None:
    whole = written(folder, {34_600_111_222, 12_125_551_234, 7_000_000}).read_bytes()
    end = data.draw(st.one_of(st.integers(0, len(whole) - 1), st.integers(HEADER_BYTES - 2, len(whole) - 1)))
    path = folder / "cut"
    path.write_bytes(whole[:end])
    with pytest.raises(InputError, match=r"cut off|not a registry file"):
        RegistryFile(path)


@settings(deadline=None, max_examples=80)
@given(data=st.data())
def test_a_changed_byte_is_told_or_is_padding(folder: Path, data: st.DataObject) -> None:
    path = written(folder, {34_600_111_222, 34_600_111_223, 12_125_551_234})
    whole = bytearray(path.read_bytes())
    layout = Layout.of(RegistryFile(path).header)
    padding = range(layout.lows + 2 * 3, layout.starts)
    place = data.draw(st.integers(0, len(whole) - 1).filter(lambda place: place not in padding))
    whole[place] ^= data.draw(st.integers(1, 255))
    other = folder / "changed"
    other.write_bytes(whole)
    with pytest.raises(InputError):
        RegistryFile(other).verify()


DIGITS = st.text("0123456789", min_size=1, max_size=15)
STARTS = st.builds(lambda first, rest: (first + rest)[:15], st.sampled_from("123"), st.text("0129", max_size=9))
NUMBERS = st.builds(str.__add__, st.sampled_from("123"), st.text("0129", min_size=6, max_size=9))


@settings(deadline=None)
@given(
    rules=st.lists(st.tuples(STARTS, st.sampled_from(["", "premium", "law"])), max_size=20),
    numbers=st.lists(NUMBERS, min_size=1, max_size=10),
)
def test_the_longest_prefix_answers(folder: Path, rules: list[tuple[str, str]], numbers: list[str]) -> None:
    compiled = PrefixRules.of(PrefixRule(digits=digits, reason=reason) for digits, reason in rules)
    file = RegistryFile(written(folder, set(), compiled))
    assert compiled.rules == file.prefixes.rules
    for number in numbers:
        fitting = [rule for rule in rules if number.startswith(rule[0])]
        longest = max((digits for digits, _ in fitting), key=len, default=None)
        for prefixes in (compiled, file.prefixes):
            found = prefixes.match(f"+{number}")  # type: ignore[arg-type]
            assert longest == (None if found is None else found.digits)
            if found is not None:
                reasons = [reason for digits, reason in fitting if digits == longest]
                assert next((reason for reason in reasons if reason), "") == found.reason
