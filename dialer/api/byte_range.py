"""The one range of bytes that a player asks for (RFC 9110, section 14)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_RANGE: Final = re.compile(r"bytes=\s*(\d{0,18})-(\d{0,18})\s*", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ByteRange:
    """From `begin` up to but without `end`; `partial` where it was asked for."""

    begin: int
    end: int
    partial: bool


def byte_range(header: str | None, total: int) -> ByteRange | None:
    """What to send of `total` bytes; None where nothing of what is asked for is there (416).

    A header that is no single range of bytes is left alone, as the RFC allows: all is sent.
    """
    whole = ByteRange(0, total, False)
    match = _RANGE.fullmatch(header) if header is not None else None
    if match is None:
        return whole
    first, last = match[1], match[2]
    if not first and not last:
        return whole
    if not first:
        length = min(int(last), total)
        return ByteRange(total - length, total, True) if length else None
    begin, end = int(first), min(int(last) + 1, total) if last else total
    if last and int(last) < begin:
        return whole
    return ByteRange(begin, end, True) if begin < total else None
