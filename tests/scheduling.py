"""Which worker of pytest-xdist runs which test, and when (`--dist loadgroup`).

Tests on the one real Asterisk take turns: they are one stream, for one worker, begun first. Those that start whole
nodes wait more than they compute. They are handed out one by one, with files that compute between them, so that no
processor idles. Any other file goes to one worker, which starts the servers of that file once. Files that are done
in a moment come last: so the workers end together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Final, TypeVar

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadGroupScheduling

REAL_ASTERISK: Final = "real Asterisk"
ROOT: Final = Path(__file__).resolve().parents[1]
#: Folders, the longest files first. Others come before the last.
_COMPUTING: Final = ("tests/simulation", "tests/integration", "tests/property", "tests/contract")
_WAITING: Final = "tests/e2e"
_SHORT: Final = "tests/unit"
T = TypeVar("T")


class Scheduling(LoadGroupScheduling):  # type: ignore[misc]  # xdist has no types
    """Streams, files and single tests for workers, in the order in which they were collected (`arrange`)."""

    def __init__(self, config: pytest.Config, log: Producer | None = None) -> None:
        super().__init__(config, log)
        config.option.loadscopereorder = False

    def _split_scope(self, nodeid: str) -> str:
        group = super()._split_scope(nodeid)
        return unit(nodeid) if group == nodeid else group


def unit(nodeid: str) -> str:
    """What goes to one worker together with a test: its file, or nothing but itself."""
    file = _file(nodeid)
    return nodeid if _folder(file) == _WAITING and not shares(file) else file


@cache
def shares(file: str) -> bool:
    """Whether tests of a file share what it has started."""
    return 'scope="module"' in (ROOT / file).read_text(encoding="utf-8")


def arrange(items: list[pytest.Item]) -> None:
    """Put collected tests in order, and those on the real Asterisk into their stream."""
    real = {item for item in items if item.get_closest_marker("asterisk") is not None}
    for item in real:
        item.add_marker(pytest.mark.xdist_group(REAL_ASTERISK))
    files = dict.fromkeys(_file(item.nodeid) for item in items)
    turns = {file: turn for turn, file in enumerate(in_turn(files))}
    items.sort(key=lambda item: (item not in real, turns[_file(item.nodeid)]))


def in_turn(files: Iterable[str]) -> list[str]:
    """The order in which files of tests are begun."""
    waiting, computing, short = list[str](), list[str](), list[str]()
    for file in files:
        {_WAITING: waiting, _SHORT: short}.get(_folder(file), computing).append(file)
    # What cannot be shared out takes longest.
    waiting.sort(key=lambda file: not shares(file))
    ranks = {folder: rank for rank, folder in enumerate(_COMPUTING)}
    computing.sort(key=lambda file: ranks.get(_folder(file), len(ranks)))
    return [*_mixed(waiting, computing), *short]


def _mixed(*parts: Sequence[T]) -> list[T]:
    """All of them, each part in its order and spread evenly over the whole."""
    placed = [((turn + 0.5) / len(part), one) for part in parts for turn, one in enumerate(part)]
    return [one for _, one in sorted(placed, key=lambda pair: pair[0])]


def _file(nodeid: str) -> str:
    return nodeid.partition("::")[0]


def _folder(file: str) -> str:
    return "/".join(file.split("/")[:2])
