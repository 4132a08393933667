"""Tests reach workers in an order that loses no time, and none is lost."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.scheduling import REAL_ASTERISK, ROOT, Scheduling, arrange, in_turn, shares, unit

FILES = sorted(path.relative_to(ROOT).as_posix() for path in Path(ROOT, "tests").rglob("test_*.py"))


class Worker:
    """One that is told what to run, and runs it."""

    def __init__(self, name: str) -> None:
        self.gateway = SimpleNamespace(id=name)
        self.shutting_down = False
        self.told: list[int] = []

    def send_runtest_some(self, indices: list[int]) -> None:
        self.told += indices

    def shutdown(self) -> None:
        self.shutting_down = True


class Item:
    """A test that was collected."""

    def __init__(self, nodeid: str, *marks: str) -> None:
        self.nodeid = nodeid
        self._marks = marks

    def get_closest_marker(self, name: str) -> str | None:
        return name if name in self._marks else None


def hand_out(tests: list[str], workers: int = 3) -> list[list[str]]:
    """What each worker runs, where each runs one after the other in turn."""
    options = SimpleNamespace(loadscopereorder=True, tx=[f"{workers}*popen"], px=[])
    config: Any = SimpleNamespace(option=options, getvalue=lambda name: getattr(options, name))
    scheduling = Scheduling(config)
    all_of_them = [Worker(f"gw{number}") for number in range(workers)]
    for worker in all_of_them:
        scheduling.add_node(worker)
        scheduling.add_node_collection(worker, tests)
    scheduling.schedule()
    run = {worker: list[str]() for worker in all_of_them}

    def ready() -> list[Worker]:
        """A worker keeps its last test until it knows of another one, or that there is none."""
        return [worker for worker in all_of_them if len(run[worker]) < len(worker.told) - (not worker.shutting_down)]

    while workers_now := ready():
        for worker in workers_now:
            index = worker.told[len(run[worker])]
            run[worker].append(tests[index])
            scheduling.mark_test_complete(worker, index)
    assert scheduling.tests_finished
    return list(run.values())


@given(st.lists(st.sampled_from(FILES), unique=True))
def test_every_file_has_its_turn_once(files: list[str]) -> None:
    assert Counter(in_turn(files)) == Counter(files)


def test_what_waits_is_spread_among_what_computes_and_the_short_come_last() -> None:
    folders = [file.split("/")[1] for file in in_turn(FILES)]
    short = folders.count("unit")
    assert set(folders[-short:]) == {"unit"}
    half = (len(folders) - short) // 2
    assert abs(folders[:half].count("e2e") - folders[half:].count("e2e")) <= 1


def test_a_file_stays_whole_unless_its_tests_start_what_they_need_themselves() -> None:
    assert unit("tests/unit/test_told.py::test_a") == "tests/unit/test_told.py"
    assert shares("tests/e2e/test_demo.py")
    assert unit("tests/e2e/test_demo.py::test_a") == "tests/e2e/test_demo.py"
    assert not shares("tests/e2e/test_serve.py")
    assert unit("tests/e2e/test_serve.py::test_a[x::y]") == "tests/e2e/test_serve.py::test_a[x::y]"


def test_files_on_the_real_asterisk_are_one_stream_and_first() -> None:
    items: list[Any] = [
        Item("tests/unit/test_told.py::test_a"),
        Item("tests/e2e/test_serve.py::test_a", "slow"),
        Item("tests/e2e/test_real_asterisk.py::test_b", "asterisk"),
        Item("tests/integration/test_phone_checks.py::test_c"),
        Item("tests/integration/test_phone_checks.py::test_d", "asterisk"),
    ]
    arrange(items)
    assert [item.nodeid.rpartition("_")[2] for item in items] == ["b", "c", "d", "a", "a"]
    assert [unit(item.nodeid) for item in items[:3]] == [REAL_ASTERISK] * 3
    assert items[-1].nodeid.startswith("tests/unit")


def test_a_test_on_the_real_asterisk_that_its_file_does_not_show_is_refused() -> None:
    items: list[Any] = [Item("tests/unit/test_told.py::test_b", "slow", "asterisk")]
    with pytest.raises(pytest.UsageError, match="test_told"):
        arrange(items)


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_each_test_is_run_once_and_those_on_the_real_asterisk_by_one_worker(workers: int) -> None:
    files = ("e2e/test_real_asterisk", "integration/test_phone_checks")
    real = [f"tests/{file}.py::test_{n}" for file in files for n in range(9)]
    single = [f"tests/e2e/test_serve.py::test_{n}" for n in range(20)]
    whole = [f"tests/{file}.py::test_{n}" for file in ("unit/test_told", "property/test_crm_rows") for n in range(20)]
    run = hand_out([*real, *single, *whole], workers)
    assert Counter(test for done in run for test in done) == Counter([*real, *single, *whole])
    assert [done for done in run if set(done) & set(real)] == [run[0]]
    assert run[0][: len(real)] == real
    for file in ("tests/unit/test_told.py", "tests/property/test_crm_rows.py"):
        assert sum(any(test.startswith(file) for test in done) for done in run) == 1
    if workers > 2:
        assert sum(bool(set(done) & set(single)) for done in run) > 1
