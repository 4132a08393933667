"""`cadencia` with a system clock that somebody moves: ``python -m benchmarks.chaos.skewed serve …``.

By how much stands in the file ``skew`` of the folder above the working folder, and is looked up with every look at the
clock.
"""

from __future__ import annotations

import mmap
import runpy
import struct
import time
from pathlib import Path
from typing import Final

_FORM: Final = struct.Struct("<d")
NAME: Final = "skew"


class Skew:
    """By how many seconds the clock of whoever reads this file is wrong.

    Args:
        file: made where missing, for a clock that is right.
    """

    def __init__(self, file: Path) -> None:
        if not file.exists():
            file.write_bytes(_FORM.pack(0.0))
        with file.open("r+b") as opened:
            self._shared = mmap.mmap(opened.fileno(), _FORM.size)

    def set(self, seconds: float) -> None:
        """Move the clock."""
        _FORM.pack_into(self._shared, 0, seconds)

    def get(self) -> float:
        """How far it was moved."""
        (seconds,) = _FORM.unpack_from(self._shared, 0)
        return float(seconds)


def main() -> None:
    """Run the command with the moved clock."""
    # The node works in a folder of its own below the scenario's.
    skew = Skew(Path.cwd().parent / NAME)
    true_time = time.time
    time.time = lambda: true_time() + skew.get()
    runpy.run_module("dialer.cli", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
