"""A registry as a file: hundreds of millions of E.164 numbers at about two bytes each, mapped into memory read-only.

All processes of a machine share the pages. A number is split into its upper bits and its lowest sixteen; the lowest
sixteen of all numbers stand in order, and an index tells where those of one upper part begin:

    header      one page: magic, byte order, version, length and CRC-32, then JSON (`Header`)
    lows        uint16 each: the lowest 16 bits, ascending within a slot
    starts      uint32 each: where a slot begins in `lows`; one more than there are slots
    run_highs   uint64 each: upper part of the first slot of a run of consecutive upper parts, ascending
    run_slots   uint32 each: that slot; one more than there are runs, the last is the number of slots
    prefixes    JSON: [digits, reason] each

Numbers of one country are dense: a national registry has a handful of runs, so that a look-up costs two reads of the
index and a search among a few hundred to thousand numbers. Everything is little-endian and begins on 8 bytes.

Sizes, checksum and order of the index are looked at on opening, always. `verify` reads everything. Whoever replaces a
file writes another and renames it: cutting a mapped file short would kill the processes that have it mapped.
"""

from __future__ import annotations

import hashlib
import mmap
import struct
import sys
import zlib
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import numpy as np
from msgspec import Meta, Struct
from numpy.typing import NDArray

from dialer.compliance.registry_prefixes import PrefixRule, PrefixRules
from dialer.errors import InputError

MAGIC: Final = b"\x89CREG\r\n\x1a"
#: Reads as another number where bytes stand the other way round.
BYTE_ORDER: Final = 0x0A0B0C0D
FORMAT: Final = 1
HEADER_BYTES: Final = 4096
#: magic, byte order, format version, bytes of JSON, CRC-32 of the JSON
PREAMBLE: Final = struct.Struct("<8sIIII")
#: Numbers of one file: their places are 32 bits wide.
MAX_COUNT: Final = 2**32 - 1
LOW_BITS: Final = 16
LOW_MASK: Final = (1 << LOW_BITS) - 1
#: Directories up to this many runs are copied into a tuple, where a search is quicker than in mapped memory.
_COPIED_RUNS: Final = 4_096
#: Fewer numbers are looked up one by one sooner than together.
_AT_ONCE_FROM: Final = 256
_CHECKED_AT_ONCE: Final = 4 * 1024 * 1024

Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
Count = Annotated[int, Meta(ge=0, le=MAX_COUNT)]


class Header(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a file says of itself."""

    registry: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_-]{0,63}\Z")]
    #: Where it came from, for people.
    source: Annotated[str, Meta(max_length=500)]
    source_date: date
    #: Unix seconds.
    built_at: float
    count: Count
    slots: Count
    runs: Count
    prefixes: Annotated[int, Meta(ge=0, le=100_000)]
    prefix_bytes: Annotated[int, Meta(ge=0, le=256 * 1024 * 1024)]
    lows_sha256: Sha256
    #: Of all that stands behind the lows.
    index_sha256: Sha256

    @property
    def version(self) -> str:
        """Day and content: the same numbers of the same day are the same version, whoever built it when."""
        content = f"{self.registry}\n{self.lows_sha256}\n{self.index_sha256}"
        return f"{self.source_date:%Y%m%d}-{hashlib.sha256(content.encode()).hexdigest()[:12]}"


# Files are opened in threads, and two that first use a type at once crash msgspec.
_HEADER: Final = msgspec.json.Decoder(Header)


class Layout(Struct, frozen=True, kw_only=True):
    """Where in the file each part begins, and the bytes of the whole."""

    lows: int
    starts: int
    run_highs: int
    run_slots: int
    prefixes: int
    end: int

    @classmethod
    def of(cls, header: Header) -> Layout:
        """That of a file with this header."""
        lows = HEADER_BYTES
        starts = aligned(lows + 2 * header.count)
        run_highs = aligned(starts + 4 * (header.slots + 1))
        run_slots = run_highs + 8 * header.runs
        prefixes = aligned(run_slots + 4 * (header.runs + 1))
        return cls(
            lows=lows,
            starts=starts,
            run_highs=run_highs,
            run_slots=run_slots,
            prefixes=prefixes,
            end=prefixes + header.prefix_bytes,
        )


def aligned(place: int) -> int:
    """The next place that 8 divides."""
    return -(-place // 8) * 8


def pack_header(header: Header) -> bytes:
    """The first page of a file."""
    text = msgspec.json.encode(header)
    page = PREAMBLE.pack(MAGIC, BYTE_ORDER, FORMAT, len(text), zlib.crc32(text)) + text
    if len(page) > HEADER_BYTES:
        raise InputError("the source of a registry is told in too many words; use at most 500 characters")
    return page.ljust(HEADER_BYTES, b"\x00")


def read_header(path: Path) -> Header:
    """The header of a file, whose other parts are not looked at.

    Raises:
        InputError: no registry file of this format, or a damaged one.
    """
    try:
        with path.open("rb") as file:
            return _parse_header(path, file.read(HEADER_BYTES))
    except OSError as error:
        raise _unreadable(path, error) from error


def _parse_header(path: Path, page: bytes) -> Header:
    if len(page) < HEADER_BYTES and MAGIC.startswith(page[: len(MAGIC)]):
        raise _damaged(path, "it is cut off within its header")
    magic, order, version, length, crc = PREAMBLE.unpack_from(page.ljust(PREAMBLE.size))
    if magic != MAGIC:
        raise InputError(
            f"{path.name} is not a registry file; build one with cadencia registry build",
            code="registry_no_file",
            file=path.name,
        )
    if order != BYTE_ORDER:
        raise InputError(
            f"registry file {path.name} was written with another byte order; build it again on a little-endian machine",
            code="registry_byte_order",
            file=path.name,
        )
    if version != FORMAT:
        raise InputError(
            f"registry file {path.name} has format {version}, this version reads {FORMAT}; build the registry again",
            code="registry_format",
            file=path.name,
            format=version,
            ours=FORMAT,
        )
    text = page[PREAMBLE.size : PREAMBLE.size + length]
    if len(text) < length or zlib.crc32(text) != crc or any(page[PREAMBLE.size + length :]):
        raise _damaged(path, "its header does not match its checksum")
    try:
        return _HEADER.decode(text)
    except msgspec.DecodeError as error:
        raise _damaged(path, f"its header says what it may not ({error})") from error


def _damaged(path: Path, problem: str) -> InputError:
    return InputError(
        f"registry file {path.name} is damaged: {problem}; build the registry again, or copy it again",
        code="registry_damaged",
        file=path.name,
    )


def _unreadable(path: Path, error: OSError) -> InputError:
    return InputError(
        f"registry file {path.name} cannot be read: {error.strerror}",
        code="file_unreadable",
        file=path.name,
        said=error.strerror,
    )


class RegistryFile:
    """An opened file. Freed, and unmapped, with the last reference to it; it may be deleted from its folder before.

    Raises:
        InputError: it cannot be used; says what is wrong with it.
    """

    def __init__(self, path: Path) -> None:
        if sys.byteorder != "little":
            raise InputError("registry files need a little-endian machine", code="registry_machine")
        try:
            with path.open("rb") as file:
                page = file.read(HEADER_BYTES)
                self.header = _parse_header(path, page)
                self._layout = layout = Layout.of(self.header)
                size = file.seek(0, 2)
                if size != layout.end:
                    kind = "cut off" if size < layout.end else "longer than it says"
                    raise _damaged(path, f"it is {kind} ({size:,} bytes, {layout.end:,} expected)")
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except OSError as error:
            raise _unreadable(path, error) from error
        self.path = path
        self.version = self.header.version
        whole = memoryview(self._map)
        header = self.header
        self._lows = whole[layout.lows : layout.lows + 2 * header.count].cast("H")
        self._starts = whole[layout.starts : layout.starts + 4 * (header.slots + 1)].cast("I")
        highs = whole[layout.run_highs : layout.run_highs + 8 * header.runs].cast("Q")
        slots = whole[layout.run_slots : layout.run_slots + 4 * (header.runs + 1)].cast("I")
        self._highs_array: NDArray[np.uint64] = np.asarray(highs)
        self._slots_array: NDArray[np.uint32] = np.asarray(slots)
        self._starts_array: NDArray[np.uint32] = np.asarray(self._starts)
        self._lows_array: NDArray[np.uint16] = np.asarray(self._lows)
        self._check_index(whole)
        small = header.runs <= _COPIED_RUNS
        self._run_highs: Sequence[int] = tuple(highs) if small else highs
        self._run_slots: Sequence[int] = tuple(slots) if small else slots
        self.prefixes = self._read_prefixes(whole)

    def __len__(self) -> int:
        return self.header.count

    def __contains__(self, number: int, /) -> bool:
        """Whether a number, its E.164 digits as an integer, is listed by itself (not by a prefix rule)."""
        high = number >> LOW_BITS
        run = bisect_right(self._run_highs, high) - 1
        if run < 0:
            return False
        slot = self._run_slots[run] + high - self._run_highs[run]
        if slot >= self._run_slots[run + 1]:
            return False
        low = number & LOW_MASK
        end = self._starts[slot + 1]
        place = bisect_left(self._lows, low, self._starts[slot], end)
        return place < end and self._lows[place] == low

    def contains_many(self, numbers: Sequence[int], /) -> list[bool]:
        """`in` for many numbers at once, one answer each."""
        if len(numbers) < _AT_ONCE_FROM or not self.header.runs:
            return [number in self for number in numbers]
        wanted = np.array(numbers, dtype=np.uint64)
        highs = wanted >> np.uint64(LOW_BITS)
        lows = (wanted & np.uint64(LOW_MASK)).astype(np.uint16)
        run = np.searchsorted(self._highs_array, highs, side="right") - 1
        known = run >= 0
        run[~known] = 0
        slot = self._slots_array[run] + (highs - self._highs_array[run]).astype(np.int64)
        known &= slot < self._slots_array[run + 1]
        slot[~known] = 0
        left = self._starts_array[slot].astype(np.int64)
        end = self._starts_array[slot + 1].astype(np.int64)
        right = end.copy()
        # All searches take their steps together: a slot has at most 2**16 numbers, and one more place to be behind.
        last = max(self.header.count - 1, 0)
        for _ in range(LOW_BITS + 1):
            middle = (left + right) >> 1
            less = (self._lows_array[np.minimum(middle, last)] < lows) & (left < right)
            right = np.where(less, right, np.maximum(middle, left))
            left = np.where(less, middle + 1, left)
        known &= (left < end) & (self._lows_array[np.minimum(left, last)] == lows)
        return known.tolist()  # type: ignore[no-any-return]  # numpy

    def verify(self) -> None:
        """Read everything (some gigabytes a second, the lock of the interpreter mostly free).

        Raises:
            InputError: checksum or order of the numbers is wrong.
        """
        digest = hashlib.sha256()
        starts, lows = self._starts_array, self._lows_array
        bounds = np.unique(starts)
        for begin in range(0, len(lows), _CHECKED_AT_ONCE):
            part = lows[begin : begin + _CHECKED_AT_ONCE]
            digest.update(part.data)
            # Where a low is not greater than the one before it, another slot must begin.
            overlapping = lows[max(begin - 1, 0) : begin + _CHECKED_AT_ONCE]
            falls = np.flatnonzero(overlapping[1:] <= overlapping[:-1]) + max(begin - 1, 0) + 1
            places = np.minimum(np.searchsorted(bounds, falls), len(bounds) - 1)
            if np.any(bounds[places] != falls):
                raise _damaged(self.path, "its numbers are out of order")
        if digest.hexdigest() != self.header.lows_sha256:
            raise _damaged(self.path, "its numbers do not match their checksum")

    def _check_index(self, whole: memoryview) -> None:
        digest = hashlib.sha256(whole[self._layout.starts :]).hexdigest()
        if digest != self.header.index_sha256:
            raise _damaged(self.path, "its index does not match its checksum")
        starts, slots, highs = self._starts_array, self._slots_array, self._highs_array
        in_order = (
            starts[0] == 0
            and starts[-1] == self.header.count
            and _ascending(starts)
            and slots[0] == 0
            and slots[-1] == self.header.slots
            and _ascending(slots)
            and bool(np.all(highs[1:] > highs[:-1]))
            and bool(np.all(highs[:-1] + np.diff(slots[:-1]) <= highs[1:]))
            and int(np.max(np.diff(starts), initial=0)) <= LOW_MASK + 1
        )
        if not in_order:
            raise _damaged(self.path, "its index is out of order")

    def _read_prefixes(self, whole: memoryview) -> PrefixRules:
        text = bytes(whole[self._layout.prefixes : self._layout.end])
        try:
            pairs = msgspec.json.decode(text, type=list[tuple[str, str]])
            rules = PrefixRules.of(PrefixRule(digits=digits, reason=reason) for digits, reason in pairs)
        except (msgspec.DecodeError, InputError) as error:
            raise _damaged(self.path, f"its prefix rules cannot be read ({error})") from error
        if len(rules) != self.header.prefixes:
            raise _damaged(self.path, "it has another number of prefix rules than it says")
        return rules


def _ascending(values: NDArray[Any]) -> bool:
    return bool(np.all(values[1:] >= values[:-1]))
