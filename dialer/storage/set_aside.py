"""Stream entries that nobody could make sense of: kept, so that they stop no stream and are not lost either."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select

from dialer.storage.database import Database
from dialer.storage.inserts import insert_once
from dialer.storage.tables import set_aside


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAside:
    """One entry, and why it could not be used."""

    #: attempts, removals or dnc.
    stream: str
    #: Id of the entry in its stream.
    entry: str
    reason: str
    data: bytes
    at: float


class SetAsides:
    """All that was set aside in one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, batch: Sequence[SetAside]) -> None:
        """Keep entries; those that are kept already stay as they are."""
        if not batch:
            return
        rows = [
            {
                "stream": item.stream,
                "entry": item.entry,
                "reason": item.reason,
                # Bytes that are no text stay readable, and can be had back by `unicode_escape`.
                "data": item.data.decode("utf-8", "backslashreplace"),
                "at": item.at,
            }
            for item in batch
        ]
        async with self._database.write() as connection:
            await connection.execute(insert_once(self._database.dialect, set_aside), rows)

    async def latest(self, limit: int = 100) -> list[SetAside]:
        """The last ones, the latest first."""
        statement = select(set_aside).order_by(set_aside.c.at.desc(), set_aside.c.entry.desc()).limit(limit)
        async with self._database.read() as connection:
            rows = (await connection.execute(statement)).all()
        return [
            SetAside(stream=row.stream, entry=row.entry, reason=row.reason, data=row.data.encode(), at=row.at)
            for row in rows
        ]
