"""Rejected rows as a CSV file that people open in a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Sequence
from typing import Final, Protocol

from dialer.storage.cursors import Page
from dialer.storage.lists import RejectedRow

_HEADER: Final = ("row", "reason", "message", "raw")
#: A cell that begins so is a formula to a spreadsheet, and may do anything (OWASP: CSV injection).
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")


class RejectedRows(Protocol):
    """Where rejected rows are kept (`dialer.storage.lists.Lists`)."""

    async def rejected(self, list_id: str, *, cursor: str | None = None, limit: int = 1_000) -> Page[RejectedRow]:
        """Rejected rows in the order of the list."""


def harmless(cell: str) -> str:
    """`cell` so that no spreadsheet takes it for a formula: with an apostrophe before it where it looks like one."""
    return "'" + cell if cell.lstrip(" ").startswith(_FORMULA) else cell


def csv_lines(rows: Sequence[Sequence[str]]) -> str:
    """Rows as CSV (RFC 4180), each cell harmless."""
    text = io.StringIO()
    csv.writer(text).writerows([[harmless(cell) for cell in row] for row in rows])
    return text.getvalue()


async def rejected_csv(store: RejectedRows, list_id: str) -> AsyncIterator[bytes]:
    """The rejected rows of a list as UTF-8 CSV, page by page, with a byte-order mark so that Excel reads it right.

    ``row`` counts as a spreadsheet does; ``raw`` is the row as it stood in the file, at most 500 characters.
    """
    yield b"\xef\xbb\xbf" + csv_lines([_HEADER]).encode()
    cursor: str | None = None
    while True:
        page = await store.rejected(list_id, cursor=cursor)
        if page.items:
            yield csv_lines([(str(row.row), row.code, row.message, row.raw) for row in page.items]).encode()
        if page.next is None:
            return
        cursor = page.next
