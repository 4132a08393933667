"""Which worker of pytest-xdist runs which test, and when (`--dist loadscope`).

Files with tests on the one real Asterisk take turns: they are one stream, for one worker, begun first. Tests that start
whole nodes wait more than they compute. They are handed out one by one, with files that compute between them, so that
no processor idles. Any other file goes to one worker, which starts the servers of that file once. Files that are done
in a moment come last: so the workers end together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Final, TypeVar

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

REAL_ASTERISK: Final = "real Asterisk"
ROOT: Final = Path(__file__).resolve().parents[1]
#: Folders, the longest files first. Others come before the last.
_COMPUTING: Final = ("tests/simulation", "tests/integration", "tests/property", "tests/contract")
_WAITING: Final = "tests/e2e"
_SHORT: Final = "tests/unit"
_OF_THE_REAL_ASTERISK: Final = ("mark.asterisk", "tests.e2e.browser_desk")
T = TypeVar("T")


class Scheduling(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Streams, files and single tests for workers, in the order in which they were collected (`arrange`)."""

    def __init__(self, config: pytest.Config, log: Producer | None = None) -> None:
        super().__init__(config, log)
        config.option.loadscopereorder = False

    def _split_scope(self, nodeid: str) -> str:
        return unit(nodeid)


def unit(nodeid: str) -> str:
    """What goes to one worker together with a test: the stream, its file, or nothing but itself."""
    file = _file(nodeid)
    if on_real_asterisk(file):
        return REAL_ASTERISK
    return nodeid if _folder(file) == _WAITING and not shares(file) else file


@cache
def shares(file: str) -> bool:
    """Whether tests of a file share what it has started."""
    return 'scope="module"' in _text(file)


@cache
def on_real_asterisk(file: str) -> bool:
    """Whether tests of a file need the real Asterisk: who hands tests out knows nothing but their names."""
    return any(word in _text(file) for word in _OF_THE_REAL_ASTERISK)


def arrange(items: list[pytest.Item]) -> None:
    """Put collected tests in order.

    Raises:
        pytest.UsageError: One needs the real Asterisk, and its file does not look like it.
    """
    for item in items:
        if item.get_closest_marker("asterisk") is not None and not on_real_asterisk(_file(item.nodeid)):
            raise pytest.UsageError(f"{item.nodeid} is on the real Asterisk: name its file's sign in {__name__}")
    files = dict.fromkeys(_file(item.nodeid) for item in items)
    turns = {file: turn for turn, file in enumerate(in_turn(files))}
    items.sort(key=lambda item: turns[_file(item.nodeid)])


def in_turn(files: Iterable[str]) -> list[str]:
    """The order in which files of tests are begun."""
    real, waiting, computing, short = list[str](), list[str](), list[str](), list[str]()
    for file in files:
        others = {_WAITING: waiting, _SHORT: short}.get(_folder(file), computing)
        (real if on_real_asterisk(file) else others).append(file)
    # What cannot be shared out takes longest.
    waiting.sort(key=lambda file: not shares(file))
    ranks = {folder: rank for rank, folder in enumerate(_COMPUTING)}
    computing.sort(key=lambda file: ranks.get(_folder(file), len(ranks)))
    return [*real, *_mixed(waiting, computing), *short]


def _mixed(*parts: Sequence[T]) -> list[T]:
    """All of them, each part in its order and spread evenly over the whole."""
    placed = [((turn + 0.5) / len(part), one) for part in parts for turn, one in enumerate(part)]
    return [one for _, one in sorted(placed, key=lambda pair: pair[0])]


def _text(file: str) -> str:
    return (ROOT / file).read_text(encoding="utf-8")


def _file(nodeid: str) -> str:
    return nodeid.partition("::")[0]


def _folder(file: str) -> str:
    return "/".join(file.split("/")[:2])
