"""Numbers in any order to numbers in ascending order, each once: sorted pieces on disk, merged in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.uint64]

#: Numbers sorted at once: 128 MB, and as much again while they are written.
PIECE: Final = 16 * 1024 * 1024
#: Numbers that a merge holds, over all pieces.
_MERGED_AT_ONCE: Final = 8 * 1024 * 1024


class NumberSort:
    """Add numbers, then read them `merged`.

    Args:
        folder: for the sorted pieces, 8 bytes a number; whoever made it takes it away.
        piece: numbers sorted at once.
    """

    def __init__(self, folder: Path, piece: int = PIECE) -> None:
        self._folder = folder
        self._piece = piece
        self._waiting: list[Numbers] = []
        self._waiting_count = 0
        self._pieces: list[tuple[Path, int]] = []
        self.added = 0

    def add(self, numbers: Numbers) -> None:
        """Take some numbers, in any order, repeated or not.

        Raises:
            OSError: the disk is full.
        """
        self.added += len(numbers)
        self._waiting.append(numbers)
        self._waiting_count += len(numbers)
        if self._waiting_count >= self._piece:
            self._put_away()

    @property
    def upper_bound(self) -> int:
        """At most so many numbers come out of `merged`."""
        return sum(count for _, count in self._pieces) + self._waiting_count

    def merged(self) -> Iterator[Numbers]:
        """All numbers once each, ascending, some at a time.

        Raises:
            OSError: the disk is full, or a piece has gone.
        """
        if not self._pieces:
            if self._waiting_count:
                yield in_order(self._waiting)
            return
        self._put_away()
        at_once = max(_MERGED_AT_ONCE // len(self._pieces), 1)
        readers = [_PieceReader(path, count, at_once) for path, count in self._pieces]
        try:
            while readers := [reader for reader in readers if reader.fill()]:
                # Up to here every piece has shown all it has: what is still to come of any piece is greater.
                bound = min(reader.last for reader in readers)
                yield in_order([reader.take_to(bound) for reader in readers])
        finally:
            for reader in readers:
                reader.close()

    def _put_away(self) -> None:
        if not self._waiting_count:
            return
        numbers = in_order(self._waiting)
        self._waiting, self._waiting_count = [], 0
        path = self._folder / f"piece-{len(self._pieces):05d}"
        with path.open("xb") as file:
            file.write(numbers.data)
        self._pieces.append((path, len(numbers)))


def in_order(pieces: Sequence[Numbers]) -> Numbers:
    """All numbers of some arrays once each, ascending."""
    # Not `np.unique`: by its hash table it takes a hundred times as long.
    numbers = np.concatenate(pieces)
    numbers.sort()
    if len(numbers) < 2:
        return numbers
    first = np.empty(len(numbers), np.bool_)
    first[0] = True
    np.not_equal(numbers[1:], numbers[:-1], out=first[1:])
    return numbers if first.all() else numbers[first]


class _PieceReader:
    """A window that moves over one sorted piece."""

    def __init__(self, path: Path, count: int, at_once: int) -> None:
        self._file = path.open("rb")
        self._left = count
        self._at_once = at_once
        self._window: Numbers = np.empty(0, np.uint64)

    def fill(self) -> bool:
        """Read on where the window is empty; False, and closed, at the end of the piece."""
        if len(self._window):
            return True
        if not self._left:
            self.close()
            return False
        self._window = np.fromfile(self._file, np.uint64, min(self._at_once, self._left))
        if not len(self._window):
            raise OSError(f"{self._file.name} is shorter than it was written")
        self._left -= len(self._window)
        return True

    @property
    def last(self) -> np.uint64:
        return self._window[-1]  # type: ignore[no-any-return]  # numpy

    def take_to(self, bound: np.uint64) -> Numbers:
        """What of the window is at most `bound`."""
        cut = int(np.searchsorted(self._window, bound, side="right"))
        taken, self._window = self._window[:cut], self._window[cut:]
        return taken

    def close(self) -> None:
        self._file.close()
