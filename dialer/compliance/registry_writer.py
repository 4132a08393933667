"""Writing a registry file from numbers in ascending order, with memory that does not grow with them."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import BinaryIO, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from dialer.compliance.registry_file import (
    HEADER_BYTES,
    LOW_BITS,
    LOW_MASK,
    MAX_COUNT,
    Header,
    Layout,
    pack_header,
)
from dialer.compliance.registry_prefixes import PrefixRules
from dialer.compliance.registry_sort import in_order
from dialer.errors import InputError

#: Empty slots that are cheaper (4 bytes each) than another run (12 bytes).
_FILLED_GAP: Final = 3
_COPIED_AT_ONCE: Final = 4 * 1024 * 1024

Numbers = NDArray[np.uint64]


class RegistryWriter:
    """Takes ascending numbers piece by piece; `finish` puts the file together and brings it to the disk.

    Nothing may read the file before `finish` has returned. Parts of the index wait in files beside `path`, which
    `close` takes away.

    Args:
        path: of a file that does not exist, in a folder of the writer's own.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._spools = [path.with_name(f"{path.name}.{part}") for part in ("starts", "highs", "slots")]
        with contextlib.ExitStack() as opened:
            self._file: BinaryIO = opened.enter_context(path.open("xb"))
            self._starts, self._highs, self._slots = [opened.enter_context(spool.open("w+b")) for spool in self._spools]
            self._opened = opened.pop_all()
        self._file.write(bytes(HEADER_BYTES))
        self._lows_digest = hashlib.sha256()
        #: Numbers of the last upper part, to which more may come.
        self._held: Numbers = np.empty(0, np.uint64)
        self._last = -1
        self._last_high: int | None = None
        self._count = self._slot_count = self._runs = 0

    def write(self, numbers: Numbers) -> None:
        """Append numbers, each greater than all before.

        Raises:
            InputError: more than a file can hold.
            ValueError: out of order: a bug of the caller.
            OSError: the disk is full.
        """
        if not len(numbers):
            return
        if int(numbers[0]) <= self._last or bool(np.any(numbers[1:] <= numbers[:-1])):
            raise ValueError("numbers of a registry must ascend")
        self._last = int(numbers[-1])
        together = np.concatenate((self._held, numbers))
        # A slot is written when it is whole.
        cut = int(np.searchsorted(together, np.uint64(self._last >> LOW_BITS << LOW_BITS)))
        self._held = together[cut:]
        self._write_whole(together[:cut])

    def finish(
        self, *, registry: str, source: str, source_date: date, built_at: float, prefixes: PrefixRules
    ) -> Header:
        """Write what is left, the index and the header; bring all to the disk.

        Raises:
            InputError: more than a file can hold.
            OSError: the disk is full.
        """
        self._write_whole(self._held)
        self._held = self._held[:0]
        self._starts.write(np.uint32(self._count).tobytes())
        self._slots.write(np.uint32(self._slot_count).tobytes())
        text = msgspec.json.encode([(rule.digits, rule.reason) for rule in prefixes.rules])
        header = Header(
            registry=registry,
            source=source,
            source_date=source_date,
            built_at=built_at,
            count=self._count,
            slots=self._slot_count,
            runs=self._runs,
            prefixes=len(prefixes),
            prefix_bytes=len(text),
            lows_sha256=self._lows_digest.hexdigest(),
            index_sha256="0" * 64,
        )
        layout = Layout.of(header)
        for place, spool in (
            (layout.starts, self._starts),
            (layout.run_highs, self._highs),
            (layout.run_slots, self._slots),
        ):
            self._pad_to(place)
            spool.seek(0)
            shutil.copyfileobj(spool, self._file, _COPIED_AT_ONCE)
        self._pad_to(layout.prefixes)
        self._file.write(text)
        assert self._file.tell() == layout.end, "the layout is what was written"
        self._file.flush()
        header = msgspec.structs.replace(header, index_sha256=self._digest_from(layout.starts))
        self._file.seek(0)
        self._file.write(pack_header(header))
        self._file.flush()
        os.fsync(self._file.fileno())
        return header

    def close(self) -> None:
        """Close everything; the parts beside the file go."""
        self._opened.close()
        for spool in self._spools:
            spool.unlink(missing_ok=True)

    def _write_whole(self, numbers: Numbers) -> None:
        """Write numbers whose last slot is whole."""
        if not len(numbers):
            return
        if self._count + len(numbers) > MAX_COUNT:
            raise InputError(f"more than {MAX_COUNT:,} numbers; split the registry in two")
        lows = (numbers & np.uint64(LOW_MASK)).astype("<u2")
        self._lows_digest.update(lows.data)
        self._file.write(lows.data)
        upper = numbers >> np.uint64(LOW_BITS)
        firsts = np.concatenate(([0], np.flatnonzero(upper[1:] != upper[:-1]) + 1))
        highs = upper[firsts].astype(np.int64)
        before = highs[0] - 1 if self._last_high is None else self._last_high
        gaps = np.diff(highs, prepend=before) - 1
        new_run = gaps > _FILLED_GAP
        if self._last_high is None:
            new_run[0] = True
        gaps[new_run] = 0
        slots = self._slot_count + np.cumsum(1 + gaps) - 1
        starts = np.repeat(self._count + firsts, 1 + gaps)
        self._starts.write(starts.astype("<u4").data)
        self._highs.write(highs[new_run].astype("<u8").data)
        self._slots.write(slots[new_run].astype("<u4").data)
        self._count += len(numbers)
        self._slot_count += len(starts)
        self._runs += int(np.count_nonzero(new_run))
        self._last_high = int(highs[-1])

    def _pad_to(self, place: int) -> None:
        self._file.write(bytes(place - self._file.tell()))

    def _digest_from(self, place: int) -> str:
        digest = hashlib.sha256()
        with self._path.open("rb") as file:
            file.seek(place)
            while block := file.read(_COPIED_AT_ONCE):
                digest.update(block)
        return digest.hexdigest()


def write_registry(
    path: Path,
    numbers: Iterable[int],
    *,
    registry: str,
    source_date: date,
    source: str = "",
    built_at: float = 0.0,
    prefixes: PrefixRules | None = None,
) -> Header:
    """Write a file from numbers that fit into memory, in any order; the path must be free.

    Raises:
        OSError: the disk is full.
    """
    writer = RegistryWriter(path)
    try:
        writer.write(in_order([np.fromiter(numbers, np.uint64)]))
        return writer.finish(
            registry=registry,
            source=source,
            source_date=source_date,
            built_at=built_at,
            prefixes=PrefixRules() if prefixes is None else prefixes,
        )
    finally:
        writer.close()
