"""Lines of a text file of which nobody said how it is written: encoding found, each line of a bounded length."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

import msgspec

from dialer.errors import InputError

#: A row of a list has some hundred characters. A longer line is a broken file (or an attack), not a contact.
MAX_LINE_CHARACTERS: Final = 64 * 1024
#: Of a row that cannot be used, this much is kept to find it again.
MAX_RAW: Final = 500
_BLOCK: Final = 1024 * 1024
_SAMPLE: Final = 4096

_BOMS: Final = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe\x00\x00", ""),  # UTF-32: no list has ever been written in it on purpose
    (b"\x00\x00\xfe\xff", ""),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
#: What people upload instead of text, by the first bytes.
_FORMATS: Final = (
    (
        b"PK\x03\x04",
        "an Excel workbook (.xlsx) or a zip archive: save the sheet as CSV, or unpack the archive",
        "list_xlsx",
    ),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook (.xls): save the sheet as CSV", "list_xls"),
    (b"\x1f\x8b", "compressed (gzip): unpack it first", "list_gzip"),
    (b"%PDF", "a PDF: export the list as CSV", "list_pdf"),
    (b"SQLite format 3\x00", "an SQLite database: export the table as CSV", "list_sqlite"),
)
#: Bytes that mean nothing in Windows-1252; text that has them is Latin-1.
_NOT_CP1252: Final = bytes((0x81, 0x8D, 0x8F, 0x90, 0x9D))
_ASCII: Final = bytes(range(0x80))
#: What the error handler "surrogateescape" makes of a byte that cannot be decoded.
_ESCAPED: Final = re.compile("[\udc80-\udcff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoding:
    """How a file is written."""

    #: Name of Python's codec.
    codec: str
    #: Said by the file itself (a byte-order mark) or the only one that fits; else the likeliest.
    certain: bool
    #: For the person who loaded the file.
    verdict: str


class BadLine(msgspec.Struct, frozen=True):
    """A line that cannot be used: its beginning, and why."""

    text: str
    problem: str
    too_long: bool = False


def detect_encoding(source: BinaryIO) -> Encoding:
    """Find out how `source` is written; reads it once (a gigabyte a second) and goes back to its beginning.

    Raises:
        InputError: no text at all; says what it seems to be and what to do.
    """
    source.seek(0)
    sample = source.read(_SAMPLE)
    for magic, what, code in _FORMATS:
        if sample.startswith(magic):
            raise InputError(f"this is not a text file; it seems to be {what}", code=code)
    for mark, codec in _BOMS:
        if sample.startswith(mark):
            source.seek(0)
            if not codec:
                raise InputError("the file is written in UTF-32; save it as UTF-8", code="list_utf32")
            return Encoding(
                codec=codec, certain=True, verdict=f"{codec.removesuffix('-sig').upper()} (byte-order mark)"
            )
    if b"\x00" in sample:
        codec = _utf16_without_mark(sample)
        source.seek(0)
        return Encoding(codec=codec, certain=False, verdict="UTF-16 without byte-order mark")
    good, bad, outside = _count(source, sample)
    source.seek(0)
    if bad == 0:
        return Encoding(codec="utf-8", certain=True, verdict="UTF-8")
    if good >= bad:
        verdict = f"UTF-8, with {bad} bytes that are not: their rows are rejected"
        return Encoding(codec="utf-8", certain=False, verdict=verdict)
    if outside:
        return Encoding(codec="latin-1", certain=False, verdict="not UTF-8; read as Latin-1 (ISO 8859-1)")
    return Encoding(codec="cp1252", certain=False, verdict="not UTF-8; read as Windows-1252 (Western European)")


def _utf16_without_mark(sample: bytes) -> str:
    """UTF-16 of a text that is mostly Latin has a NUL in every other byte."""
    even, odd = sample[0::2].count(0), sample[1::2].count(0)
    half = len(sample) / 2
    if odd > 0.6 * half and even < 0.1 * half:
        return "utf-16-le"
    if even > 0.6 * half and odd < 0.1 * half:
        return "utf-16-be"
    raise InputError("this is not a text file: it has NUL bytes; save the list as CSV in UTF-8", code="list_nul")


def _count(source: BinaryIO, block: bytes) -> tuple[int, int, bool]:
    """Characters beyond ASCII that are right UTF-8, bytes that are not, and whether a byte is outside Windows-1252."""
    good = bad = 0
    outside = False
    rest = b""
    while block or rest:
        following = source.read(_BLOCK)
        if not block.isascii() or rest:
            data, rest = rest + block, b""
            if following:
                # A character may go on in the next block: at most three bytes of it stand in this one.
                cut = _complete(data)
                data, rest = data[:cut], data[cut:]
            ascii_only = len(data) - len(data.translate(None, _ASCII))
            try:
                good += len(data.decode()) - ascii_only
            except UnicodeDecodeError:
                escaped = data.decode("utf-8", "surrogateescape")
                wrong = len(_ESCAPED.findall(escaped))
                good += len(escaped) - ascii_only - wrong
                bad += wrong
            outside = outside or len(data.translate(None, _NOT_CP1252)) < len(data)
        block = following
    return good, bad, outside


def _complete(data: bytes) -> int:
    """Length of `data` without an unfinished UTF-8 character at its end."""
    for back in range(1, min(4, len(data)) + 1):
        byte = data[-back]
        if byte < 0x80:
            break
        if byte >= 0xC0:
            size = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return len(data) - back if size > back else len(data)
    return len(data)


def read_lines(source: BinaryIO, encoding: Encoding) -> Iterator[str | BadLine]:
    """The lines of `source`, without their ends; blank ones too. Memory is bounded by `MAX_LINE_CHARACTERS`."""
    # Undecodable bytes become characters that no right text has, so that the one line can be told.
    errors = "surrogateescape" if encoding.codec.startswith("utf-8") else "replace"
    marked = errors == "replace" and encoding.codec.startswith("utf-16")
    text = io.TextIOWrapper(source, encoding=encoding.codec, errors=errors, newline=None)
    try:
        yield from _lines_of(text, marked)
    finally:
        if not source.closed:  # whoever gave up in the middle may have closed it before this ends
            text.detach()


def _lines_of(text: io.TextIOWrapper, marked: bool) -> Iterator[str | BadLine]:
    rest = ""
    skipped = 0  # characters of a line that is too long, so far
    while block := text.read(MAX_LINE_CHARACTERS):
        if skipped:
            end = block.find("\n")
            if end < 0:
                skipped += len(block)
                continue
            yield _too_long(rest, skipped + end)
            rest, block, skipped = "", block[end + 1 :], 0
        text_so_far = rest + block
        lines = text_so_far.split("\n")
        rest = lines.pop()
        # Looking at a whole block is far cheaper than at each of its lines, and nearly all blocks are right.
        if not _problem(text_so_far, marked):
            for line in lines:
                yield line if len(line) <= MAX_LINE_CHARACTERS else _too_long(line, len(line))
        else:
            for line in lines:
                yield _checked(line, marked)
        if len(rest) > MAX_LINE_CHARACTERS:
            skipped, rest = len(rest), rest[:MAX_RAW]
    if skipped:
        yield _too_long(rest, skipped)
    elif rest:
        yield _checked(rest, marked)


def _checked(line: str, marked: bool) -> str | BadLine:
    if len(line) > MAX_LINE_CHARACTERS:
        return _too_long(line, len(line))
    problem = _problem(line, marked)
    return BadLine(line, problem) if problem else line


def _too_long(beginning: str, length: int) -> BadLine:
    problem = f"a line of {length} characters; at most {MAX_LINE_CHARACTERS}"
    return BadLine(beginning[:MAX_RAW], problem, too_long=True)


def _problem(text: str, marked: bool) -> str:
    if not text.isascii():
        if not _encodable(text) and (escaped := _ESCAPED.search(text)) is not None:
            return f"is not UTF-8 text (character {escaped.start() + 1}); save the file as UTF-8"
        if marked and "\ufffd" in text:
            return "is not UTF-16 text; save the file as UTF-8"
    return "has a NUL character" if "\x00" in text else ""


def _encodable(text: str) -> bool:
    """Whether `text` has no surrogate: twice as fast as looking for one."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
