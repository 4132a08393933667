"""The source of a registry: a text or CSV file, plain or gzip, of which nobody promised anything.

One number a line, or a column of a CSV, or several columns that together are one (``1+2``: area code and number).
Lines that end in a star are prefix rules; what stands behind ``#`` is a comment, and the reason of a rule. Blocks of
lines are read at once by numpy; only a line that is more than digits between delimiters is looked at by itself.
"""

from __future__ import annotations

import contextlib
import csv
import gzip
import re
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final, cast

import numpy as np
from numpy.typing import NDArray

from dialer.compliance.registry_numbers import MIN_DIGITS, PLAIN, TRUNK, NumberForm
from dialer.compliance.registry_prefixes import MAX_DIGITS, MAX_REASON, MAX_RULES, PrefixRule
from dialer.errors import InputError

#: A row has some tens of characters; a longer line is a broken file.
MAX_LINE_BYTES: Final = 64 * 1024
BLOCK_BYTES: Final = 2 * 1024 * 1024
MAX_COLUMNS: Final = 500
#: Bad lines that are kept to be shown.
_SHOWN: Final = 20
_SHOWN_CHARACTERS: Final = 40
_DELIMITERS: Final = ",;\t|"
_TITLES: Final = ("phone", "phone_number", "number", "telephone", "telefono", "teléfono", "numero", "número", "msisdn")
_REASONS: Final = ("reason", "motivo")
_COLUMN_PLACES: Final = re.compile(r"[1-9][0-9]{0,2}(\+[1-9][0-9]{0,2})*", re.ASCII)
#: What people hand over instead of text, by the first bytes.
_NO_TEXT: Final = (
    (b"PK\x03\x04", "a zip archive or an Excel workbook: unpack it, or save the sheet as CSV"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook: save the sheet as CSV"),
    (b"%PDF", "a PDF: ask for the list as text"),
    (b"\xff\xfe", "UTF-16 text: save it as UTF-8"),
    (b"\xfe\xff", "UTF-16 text: save it as UTF-8"),
    (b"\x89CREG", "a registry file that is built already: copy it to the folder of its registry"),
)
_NEWLINE, _RETURN, _QUOTE, _PLUS, _ZERO, _HASH, _STAR = 10, 13, 34, 43, 48, 35, 42

Numbers = NDArray[np.uint64]
_Places = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class BadLine:
    """A line that is no number: where it stands, its shape (digits hidden), and why."""

    line: int
    shape: str
    problem: str


@dataclass(slots=True)
class SourceCounts:
    """What has been read so far."""

    lines: int = 0
    #: Lines that are a number, repeated ones too.
    numbers: int = 0
    rules: int = 0
    blank: int = 0
    comments: int = 0
    bad: int = 0
    #: The first of the bad ones.
    shown: list[BadLine] = field(default_factory=list)
    #: How many are bad for which reason.
    problems: Counter[str] = field(default_factory=Counter)


class SourceReader:
    """Reads a source once: `numbers`, piece by piece; then `rules` and `counts` are whole.

    Args:
        path: of the file.
        column: empty: the first, or the one whose title says that it is the number; a title; places from 1, joined
            with plus signs.
        region: whose national numbers those without a plus sign are; empty: they begin with their country code.

    Raises:
        InputError: the file cannot be opened, or is no text.
        ConfigError: there is no such region.
    """

    def __init__(self, path: Path, *, column: str = "", region: str = "", block_bytes: int = BLOCK_BYTES) -> None:
        self._path = path
        self._form = NumberForm(region)
        self._column = column.strip()
        self._block_bytes = block_bytes
        self._delimiter = ""
        self._columns: tuple[int, ...] = (0,)
        self._reason_column: int | None = None
        self._first_seen = False
        #: What follows a line that was too long.
        self._rest = b""
        self.counts = SourceCounts()
        self.rules: list[PrefixRule] = []
        self._opened = contextlib.ExitStack()
        try:
            self._raw: BinaryIO = self._opened.enter_context(path.open("rb"))
            self.bytes_total = path.stat().st_size
            start = self._raw.read(8)
            self._raw.seek(0)
        except OSError as error:
            self._opened.close()
            raise InputError(f"cannot read {path}: {error.strerror}") from error
        compressed = start.startswith(b"\x1f\x8b")
        self._text: BinaryIO = self._raw
        if compressed:
            self._text = cast(BinaryIO, self._opened.enter_context(gzip.GzipFile(fileobj=self._raw)))

    def close(self) -> None:
        """Close the file."""
        self._opened.close()

    @property
    def bytes_read(self) -> int:
        """How far in the file (as it lies there, compressed or not) reading is."""
        return self._raw.tell()

    def numbers(self) -> Iterator[Numbers]:
        """E.164 digits as integers, in the order of the file, some at a time; never an empty piece.

        Raises:
            InputError: the file is no text, has no such column, or is cut off.
        """
        rest = b""
        while block := self._read():
            if not self.counts.lines and not rest:
                block = self._checked_start(block)
            block = rest + block
            cut = block.rfind(b"\n") + 1
            block, rest = block[:cut], block[cut:]
            if len(rest) > MAX_LINE_BYTES:
                yield from self._block(block)
                self._skip_line(rest)
                block, rest = b"", self._rest
            yield from self._block(block)
        if rest:
            yield from self._block(rest + b"\n")

    def _read(self) -> bytes:
        try:
            return self._text.read(self._block_bytes)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise InputError(
                f"{self._path.name} is cut off or damaged ({error}); fetch it again: nothing was changed"
            ) from error
        except OSError as error:
            raise InputError(f"cannot read {self._path}: {error.strerror or error}") from error

    def _checked_start(self, block: bytes) -> bytes:
        for magic, what in _NO_TEXT:
            if block.startswith(magic):
                raise InputError(f"{self._path.name} seems to be {what}")
        if b"\x00" in block[:4096]:
            raise InputError(f"{self._path.name} is not a text file: it has NUL bytes; save it as CSV in UTF-8")
        return block.removeprefix(b"\xef\xbb\xbf")

    def _skip_line(self, beginning: bytes) -> None:
        """Count a line that is too long as a bad one; what follows it becomes the rest."""
        self.counts.lines += 1
        self._bad(self.counts.lines, beginning[:_SHOWN_CHARACTERS].decode("latin-1"), "a line of more than 64 kB")
        self._rest = b""
        while block := self._read():
            end = block.find(b"\n")
            if end >= 0:
                self._rest = block[end + 1 :]
                return

    def _block(self, block: bytes) -> Iterator[Numbers]:
        """The numbers of some whole lines."""
        while block and not self._first_seen:
            end = block.index(b"\n") + 1
            line, block = block[:end], block[end:]
            self.counts.lines += 1
            number = self._first_line(self.counts.lines, _text(line))
            if number is not None:
                yield np.array([number], np.uint64)
        if not block:
            return
        data = np.frombuffer(block, np.uint8)
        ends = np.flatnonzero(data == _NEWLINE)
        starts = np.concatenate((np.zeros(1, np.int64), ends[:-1] + 1))
        ends = ends - ((ends > starts) & (data[ends - 1] == _RETURN))
        values, known = self._values(data, starts, ends)
        before = self.counts.lines
        self.counts.lines += len(starts)
        found = values[known]
        self.counts.numbers += len(found)
        if len(found):
            yield found
        others = []
        for place in np.flatnonzero(~known).tolist():
            number = self._line(before + place + 1, _text(block[starts[place] : ends[place]]))
            if number is not None:
                others.append(number)
        if others:
            yield np.array(others, np.uint64)

    def _values(self, data: NDArray[np.uint8], starts: _Places, ends: _Places) -> tuple[Numbers, NDArray[np.bool_]]:
        """The numbers of lines, and which lines are known to be one; the others must be looked at by themselves."""
        known = ends > starts
        if np.any(special := (data == _QUOTE) | (data == _HASH) | (data == _STAR)):
            known[np.searchsorted(starts, np.flatnonzero(special), side="right") - 1] = False
        delimiters = np.flatnonzero(data == ord(self._delimiter)) if self._delimiter else np.empty(0, np.int64)
        width = max(self._columns) + 2
        delimiters = np.concatenate((delimiters, np.full(width, len(data), np.int64)))
        first = np.searchsorted(delimiters, starts)
        values = np.zeros(len(starts), np.uint64)
        lengths = np.zeros(len(starts), np.int64)
        international = np.full(len(starts), not self._form.region)
        leading = np.zeros(len(starts), np.int64)
        for order, column in enumerate(self._columns):
            begin = starts if column == 0 else delimiters[first + column - 1] + 1
            end = np.minimum(delimiters[first + column], ends)
            known &= begin < end
            begin = np.where(known, begin, 0)
            if order == 0:
                plus = data[begin] == _PLUS
                international |= plus
                begin = begin + plus
            length = np.where(known, end - begin, 0)
            for size in np.unique(length).tolist():
                chosen = np.flatnonzero(length == size)
                if not 1 <= size <= MAX_DIGITS + 1:
                    known[chosen] = False
                    continue
                digits = data[begin[chosen][:, None] + np.arange(size)] - np.uint8(_ZERO)
                known[chosen] &= ~np.any(digits > 9, axis=1)
                powers = np.uint64(10) ** np.arange(size - 1, -1, -1, dtype=np.uint64)
                values[chosen] = values[chosen] * np.uint64(10**size) + digits.astype(np.uint64) @ powers
            lengths += length
        known &= lengths <= MAX_DIGITS + 1
        lengths[~known] = 0
        shift = np.clip(lengths - 3, 0, None)
        leading = (values // np.uint64(10) ** shift.astype(np.uint64)).astype(np.int64)
        leading[~known] = 0
        return self._in_full(values, lengths, leading, international, known)

    def _in_full(
        self,
        values: Numbers,
        lengths: _Places,
        leading: _Places,
        international: NDArray[np.bool_],
        known: NDArray[np.bool_],
    ) -> tuple[Numbers, NDArray[np.bool_]]:
        """National numbers with their country code; known are those whose form leaves no question."""
        right = (lengths >= MIN_DIGITS) & (lengths <= MAX_DIGITS) & (leading >= 100)
        if not self._form.region:
            return values, known & right
        form = self._form.firsts[np.minimum(leading, 999)]
        plain = (form == PLAIN) & self._form.lengths[lengths] & (lengths >= 3)
        shorter = np.maximum(lengths - 1, 0)
        trunk = (form == TRUNK) & self._form.lengths[shorter] & ~self._form.lengths[lengths] & (lengths >= 4)
        # The trunk digit is a zero: without it the value is the same.
        size = np.where(trunk, shorter, lengths).astype(np.uint64)
        national = np.uint64(int(self._form.code)) * np.uint64(10) ** size + values
        total = size.astype(np.int64) + len(self._form.code)
        fits = (total >= MIN_DIGITS) & (total <= MAX_DIGITS)
        values = np.where(international, values, national)
        return values, known & np.where(international, right, (plain | trunk) & fits)

    def _first_line(self, line: int, text: str) -> int | None:
        """The first line that is neither blank nor a comment tells the delimiter, and may name the columns."""
        if not text.strip() or text.lstrip().startswith("#"):
            return self._line(line, text)
        self._first_seen = True
        found = {sign: text.count(sign) for sign in _DELIMITERS}
        self._delimiter = max(found, key=lambda sign: found[sign]) if any(found.values()) else ""
        cells = [cell.strip().casefold() for cell in self._cells(text)]
        if len(cells) > MAX_COLUMNS:
            raise InputError(f"{self._path.name} has {len(cells)} columns; at most {MAX_COLUMNS}")
        if _COLUMN_PLACES.fullmatch(self._column):
            self._columns = tuple(int(place) - 1 for place in self._column.split("+"))
            if max(self._columns) >= len(cells):
                raise InputError(
                    f"{self._path.name} has {len(cells)} columns in its first line; there is no column "
                    f"{max(self._columns) + 1}"
                )
        elif self._column:
            if cells.count(self._column.casefold()) != 1:
                shown = ", ".join(repr(cell[:_SHOWN_CHARACTERS]) for cell in cells[:20])
                raise InputError(
                    f"{self._path.name} has no column {self._column!r} (or several); its first line says "
                    f"{_hidden(shown)}; give the title or the place of the column, from 1"
                )
            self._columns = (cells.index(self._column.casefold()),)
            self._see_reasons(cells)
            return None
        else:
            titles = [place for place, cell in enumerate(cells) if cell.replace(" ", "_") in _TITLES]
            if len(titles) == 1:
                self._columns = (titles[0],)
        if not any(character.isdigit() for place in self._columns for character in cells[place]):
            self._see_reasons(cells)
            return None
        return self._line(line, text)

    def _see_reasons(self, titles: list[str]) -> None:
        places = [place for place, title in enumerate(titles) if title in _REASONS]
        self._reason_column = places[0] if len(places) == 1 else None

    def _cells(self, text: str) -> list[str]:
        if not self._delimiter:
            return [text.strip().strip('"')]
        try:
            return next(csv.reader([text], delimiter=self._delimiter, strict=True), [""])
        except csv.Error:
            return [""]

    def _line(self, line: int, text: str) -> int | None:
        """One line by itself: a number; anything else is counted, and None."""
        text, _, comment = text.partition("#")
        if not text.strip():
            self.counts.comments += bool(comment)
            self.counts.blank += not comment
            return None
        cells = self._cells(text)
        if max(self._columns) >= len(cells):
            self._bad(line, text, "has no such column")
            return None
        written = "".join(cells[place].strip() for place in self._columns)
        if written.endswith("*"):
            self._rule(line, text, written.rstrip("*"), self._reason(cells, comment))
            return None
        number = self._form.read(written)
        if isinstance(number, str):
            self._bad(line, text, number)
            return None
        self.counts.numbers += 1
        return number

    def _reason(self, cells: list[str], comment: str) -> str:
        if self._reason_column is not None and self._reason_column < len(cells):
            return cells[self._reason_column].strip()[:MAX_REASON]
        return comment.strip()[:MAX_REASON]

    def _rule(self, line: int, text: str, prefix: str, reason: str) -> None:
        if self.counts.rules >= MAX_RULES:
            raise InputError(f"{self._path.name} has more than {MAX_RULES:,} prefix rules (lines that end in a star)")
        try:
            rule = PrefixRule(digits=self._form.read_prefix(prefix), reason=reason)
        except InputError as error:
            self._bad(line, text, str(error))
            return
        self.rules.append(rule)
        self.counts.rules += 1

    def _bad(self, line: int, text: str, problem: str) -> None:
        self.counts.bad += 1
        self.counts.problems[problem] += 1
        if len(self.counts.shown) < _SHOWN:
            self.counts.shown.append(BadLine(line=line, shape=_hidden(text[:_SHOWN_CHARACTERS]), problem=problem))


def _text(line: bytes) -> str:
    # Whatever is not UTF-8 stands for itself: it is no digit, and the line is told as it is.
    return line.decode("utf-8", "replace").rstrip("\r\n")


def _hidden(text: str) -> str:
    """Text with its digits hidden: what a line looks like, not whose number it is."""
    return "".join("9" if char.isdigit() else char if char.isprintable() else "?" for char in text)
