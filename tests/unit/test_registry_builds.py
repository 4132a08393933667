"""From a source to a version in force; what must not come into force by itself; what stays when something is wrong."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path

import pytest

from dialer.compliance.registry_build import BuildOrder, BuildProgress, build_registry
from dialer.compliance.registry_file import BYTE_ORDER, FORMAT, PREAMBLE, RegistryFile
from dialer.compliance.registry_prefixes import PrefixRules
from dialer.compliance.registry_store import RegistryStore
from dialer.compliance.registry_writer import RegistryWriter
from dialer.errors import DialerError, InputError

NOW = datetime(2030, 2, 1, 12, tzinfo=UTC).timestamp()
DAY = date(2030, 1, 31)


@pytest.fixture
def store(tmp_path: Path) -> RegistryStore:
    return RegistryStore(tmp_path / "registries", keep=1)


def order_of(folder: Path, count: int = 20, day: date = DAY, extra: str = "") -> BuildOrder:
    path = folder / "source.txt"
    path.write_text("".join(f"+3460011{n:04d}\n" for n in range(count)) + extra, encoding="utf-8")
    return BuildOrder(registry="national", path=path, source_date=day)


def now() -> float:
    return NOW


def test_a_source_becomes_the_version_in_force(store: RegistryStore, tmp_path: Path) -> None:
    told: list[BuildProgress] = []
    order = replace(order_of(tmp_path, extra="+34600110000\n+34900*\n"), source="state", piece=5)
    report = build_registry(store, order, now, told.append)
    assert (
        report.header.count,
        report.duplicates,
        report.rules,
        report.in_force,
        report.held_back,
    ) == (20, 1, 1, True, "")
    assert list(dict.fromkeys(progress.stage for progress in told)) == ["reading", "writing", "checking"]
    file = store.open("national", report.header.version)
    assert 34_600_110_019 in file
    assert (file.header.source, file.header.source_date, file.header.built_at) == ("state", DAY, NOW)
    assert list((store.folder / "national").glob(".building-*")) == []


def test_the_same_source_again_is_the_same_version(store: RegistryStore, tmp_path: Path) -> None:
    first = build_registry(store, order_of(tmp_path), now)
    again = build_registry(store, order_of(tmp_path), lambda: NOW + 60.0)
    assert first.header.version == again.header.version
    assert len(store.versions("national")) == 1
    assert again.in_force


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no number in it"),
        ("# nothing\n\n", "no number in it"),
        ("phone\n", "no number in it"),
        ("+34600111222\nx\n", r"1 of 2 lines .* more than 1 %"),
    ],
)
def test_a_source_without_sense_changes_nothing(store: RegistryStore, tmp_path: Path, text: str, says: str) -> None:
    before = build_registry(store, order_of(tmp_path), now).header.version
    order = order_of(tmp_path)
    order.path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=says):
        build_registry(store, order, now)
    assert before == store.current("national")
    assert [before] == [stored.version for stored in store.versions("national")]


@pytest.mark.parametrize("day", [date(1970, 1, 1), date(2030, 2, 3)])
def test_a_source_date_that_cannot_be_is_refused(store: RegistryStore, tmp_path: Path, day: date) -> None:
    with pytest.raises(InputError, match="source date"):
        build_registry(store, order_of(tmp_path, day=day), now)


@pytest.mark.parametrize(
    ("count", "day", "says"),
    [(17, DAY, "3 fewer than that in force"), (30, date(2030, 1, 30), "older than that in force")],
)
def test_what_may_have_lost_a_part_is_held_back_until_somebody_says_so(
    store: RegistryStore, tmp_path: Path, count: int, day: date, says: str
) -> None:
    before = build_registry(store, order_of(tmp_path), now).header.version
    report = build_registry(store, order_of(tmp_path, count, day), now)
    assert says in report.held_back
    assert f"cadencia registry use national {report.header.version}" in report.held_back
    assert (before, False) == (store.current("national"), report.in_force)
    store.use("national", report.header.version, NOW)
    assert report.header.version == store.current("national")


def test_a_little_smaller_is_usual(store: RegistryStore, tmp_path: Path) -> None:
    build_registry(store, order_of(tmp_path), now)
    assert build_registry(store, order_of(tmp_path, 18), now).in_force


def test_losing_all_prefix_rules_is_held_back(store: RegistryStore, tmp_path: Path) -> None:
    build_registry(store, order_of(tmp_path, extra="+34900*\n"), now)
    assert "has no prefix rules" in build_registry(store, order_of(tmp_path, 21), now).held_back


def test_only_so_many_versions_stay(store: RegistryStore, tmp_path: Path) -> None:
    made = [build_registry(store, order_of(tmp_path, 20 + n), partial(float, NOW + n)) for n in range(4)]
    assert {made[3].header.version, made[2].header.version} == {s.version for s in store.versions("national")}
    assert (made[1].header.version,) == made[3].removed


def test_a_version_in_force_is_not_removed(store: RegistryStore, tmp_path: Path) -> None:
    version = build_registry(store, order_of(tmp_path), now).header.version
    with pytest.raises(InputError, match="put another in force first"):
        store.remove("national", version)
    with pytest.raises(InputError, match="there is no version"):
        store.remove("national", "20300101-0123456789ab")


def test_a_removed_version_lives_on_where_it_is_open(store: RegistryStore, tmp_path: Path) -> None:
    first = build_registry(store, order_of(tmp_path), now).header.version
    opened = store.open("national", first)
    build_registry(store, order_of(tmp_path, 30), now)
    store.remove("national", first)
    assert not opened.path.exists()
    assert [34_600_110_000 + n in opened for n in range(20)] == [True] * 20
    opened.verify()


def test_two_builds_at_once_are_one_too_many(store: RegistryStore, tmp_path: Path) -> None:
    with store.building("national"), pytest.raises(InputError, match="being built already"):
        build_registry(store, order_of(tmp_path), now)
    assert build_registry(store, order_of(tmp_path), now).in_force


def test_what_a_killed_build_left_goes_with_the_next(store: RegistryStore, tmp_path: Path) -> None:
    left = store.folder / "national" / ".building-dead"
    left.mkdir(parents=True)
    (left / "piece-00000").write_bytes(b"x" * 100)
    build_registry(store, order_of(tmp_path), now)
    assert not left.exists()


def test_an_end_in_the_middle_leaves_what_is_in_force(store: RegistryStore, tmp_path: Path) -> None:
    before = build_registry(store, order_of(tmp_path), now).header.version

    def stop(progress: BuildProgress) -> None:
        if progress.stage == "writing":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_registry(store, order_of(tmp_path, 100), now, stop)
    assert [before] == [stored.version for stored in store.versions("national")]
    assert list((store.folder / "national").glob(".building-*")) == []


def test_a_folder_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(DialerError, match="cannot write to"):
        build_registry(RegistryStore(tmp_path / "file"), order_of(tmp_path), now)


@pytest.mark.parametrize("name", ["", "..", "a/b", "x" * 65, "ñ"])
def test_names_that_would_leave_the_folder_are_refused(store: RegistryStore, name: str) -> None:
    with pytest.raises(InputError, match="cannot name a registry"):
        store.current(name)
    with pytest.raises(InputError, match="no version"):
        store.path_of("national", "../../x")


def _swap(whole: bytearray) -> None:
    whole[:] = whole[4096:] + whole[:4096]


def _preamble(order: int = BYTE_ORDER, version: int = FORMAT) -> Callable[[bytearray], None]:
    def change(whole: bytearray) -> None:
        magic, _, _, length, crc = PREAMBLE.unpack_from(whole)
        PREAMBLE.pack_into(whole, 0, magic, order, version, length, crc)

    return change


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (_preamble(order=0x0D0C0B0A), "another byte order"),
        (_preamble(version=2), "has format 2, this version reads 1"),
        (_swap, "not a registry file"),
        (lambda whole: whole.__delitem__(slice(len(whole) // 2, None)), "cut off"),
        (lambda whole: whole.extend(b"xx"), "longer than it says"),
        (lambda whole: whole.__setitem__(slice(4096, 4100), whole[4098:4100] + whole[4096:4098]), "out of order"),
    ],
    ids=["byte order", "format", "parts swapped", "half", "longer", "numbers swapped"],
)
def test_a_damaged_file_is_never_put_in_force(
    store: RegistryStore, tmp_path: Path, damage: Callable[[bytearray], None], says: str
) -> None:
    before = build_registry(store, order_of(tmp_path, 30), now).header.version
    report = build_registry(store, replace(order_of(tmp_path, 31), use=False), now)
    path = store.path_of("national", report.header.version)
    whole = bytearray(path.read_bytes())
    damage(whole)
    path.unlink()
    path.write_bytes(whole)
    with pytest.raises(InputError, match=says):
        store.use("national", report.header.version, NOW)
    assert before == store.current("national")


def test_a_file_under_a_wrong_name_is_refused(store: RegistryStore, tmp_path: Path) -> None:
    version = build_registry(store, order_of(tmp_path), now).header.version
    other = store.path_of("other", version)
    other.parent.mkdir()
    os.link(store.path_of("national", version), other)
    with pytest.raises(InputError, match="under a wrong name"):
        store.use("other", version, NOW)


def test_numbers_that_do_not_ascend_are_a_mistake_of_the_caller(tmp_path: Path) -> None:
    import numpy as np

    writer = RegistryWriter(tmp_path / "file")
    try:
        writer.write(np.array([5, 6], np.uint64))
        for numbers in ([6], [8, 7], [9, 9]):
            with pytest.raises(ValueError, match="must ascend"):
                writer.write(np.array(numbers, np.uint64))
    finally:
        writer.close()


def test_an_empty_registry_lists_nobody(tmp_path: Path) -> None:
    writer = RegistryWriter(tmp_path / "file")
    writer.finish(registry="r", source="", source_date=DAY, built_at=NOW, prefixes=PrefixRules())
    writer.close()
    file = RegistryFile(tmp_path / "file")
    file.verify()
    assert 34_600_111_222 not in file
    assert file.contains_many([34_600_111_222] * 300) == [False] * 300
