"""The pacing journal: why calls were started, or not, at every moment of the last days."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import Any, Final

from sqlalchemy import Row, delete, select, tuple_

from dialer.core.ids import CampaignId
from dialer.core.pacing_entry import PacingEntry
from dialer.storage.cursors import Page, decode_cursor, encode_cursor
from dialer.storage.database import Database
from dialer.storage.inserts import insert_once
from dialer.storage.tables import pacing_journal

_FIELDS: Final = tuple(field.name for field in fields(PacingEntry))
#: Rows that one transaction deletes: it must not hold up the writers of attempts.
DELETE_AT_ONCE: Final = 2_000


class PacingJournal:
    """The journal of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def append(self, entries: Sequence[PacingEntry]) -> None:
        """Add rows; one of the same campaign, moment and node is left alone, so a batch may come twice.

        Raises:
            RowRefused: one of them cannot be stored, and so none was.
            StorageError: the database refused or is out of reach; nothing was written.
        """
        if not entries:
            return
        statement = insert_once(self._database.dialect, pacing_journal)
        async with self._database.write() as connection:
            await connection.execute(statement, [asdict(entry) for entry in entries])

    async def between(
        self,
        campaign: CampaignId,
        since: float,
        until: float,
        *,
        cursor: str | None = None,
        limit: int = 500,
    ) -> Page[PacingEntry]:
        """Rows with ``since <= at < until`` (unix seconds), the oldest first, up to `limit` of them.

        Give `next` of a page as `cursor` to get the one behind it.

        Raises:
            InputError: the cursor is none of ours.
            StorageError: the database refused or is out of reach.
        """
        column = pacing_journal.c
        conditions = [column.campaign == campaign, column.at >= since, column.at < until]
        if cursor is not None:
            conditions.append(tuple_(column.at, column.node) > decode_cursor(cursor, tuple[float, str]))
        statement = select(pacing_journal).where(*conditions).order_by(column.at, column.node).limit(limit + 1)
        async with self._database.read() as connection:
            rows = (await connection.execute(statement)).all()
        items = [_entry(row) for row in rows[:limit]]
        more = len(rows) > limit
        return Page(items=items, next=encode_cursor((items[-1].at, items[-1].node)) if more else None)

    async def delete_before(self, at: float) -> int:
        """Delete up to `DELETE_AT_ONCE` of the oldest rows before `at`; how many there were: fewer means no more.

        Raises:
            StorageError: the database refused or is out of reach.
        """
        column = pacing_journal.c
        async with self._database.write() as connection:
            # Up to the moment of the last row that may go: two nodes may have rows of one moment, and both go.
            oldest = select(column.at).where(column.at < at).order_by(column.at).limit(1).offset(DELETE_AT_ONCE - 1)
            last = (await connection.execute(oldest)).scalar_one_or_none()
            condition = column.at < at if last is None else column.at <= last
            return (await connection.execute(delete(pacing_journal).where(condition))).rowcount


def _entry(row: Row[Any]) -> PacingEntry:
    return PacingEntry(**{name: getattr(row, name) for name in _FIELDS})
