"""What is to be told to other systems, as rows: claimed when due, tried again or given up, in order per subject."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any, Final, Generic, TypeVar

from sqlalchemy import Column, ColumnElement, Row, and_, delete, select, true, tuple_, update

from dialer.core.saying import NOTHING, Saying
from dialer.storage.cursors import Page, decode_cursor, encode_cursor
from dialer.storage.database import Database
from dialer.storage.inserts import insert_once
from dialer.storage.sayings import from_record, on_record

#: Words in the column `state` that all such tables have; others mean that a row is settled in a way of their own.
WAITING: Final = "waiting"
DELIVERED: Final = "delivered"
FAILED: Final = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What all such rows have; their other fields are columns of the same names, and `state` is one of them."""

    #: Also the idempotency key that the other side sees.
    id: str
    #: Of the result, such as call.ended.
    type: str
    next_at: float
    attempts: int = 0
    last_error: Saying = NOTHING
    #: Place in the stream, in a form that sorts (`dialer.storage.do_not_call.position_of`).
    position: str = ""
    updated_at: float = 0.0


T = TypeVar("T", bound=Told)


class DeliveryRows(Generic[T]):
    """One such table.

    Args:
        database: that has it.
        kind: of its rows.
        states: of its column `state`.
        to: its column with whom a row is for.
        subject: its column with whom a row is about; the empty text is nobody, and waits for nothing.
        final: states that no later word changes.
        kept: states in which rows are not forgotten.
    """

    def __init__(
        self,
        database: Database,
        kind: type[T],
        states: type[StrEnum],
        *,
        to: Column[str],
        subject: Column[str],
        final: Collection[StrEnum],
        kept: Collection[StrEnum],
    ) -> None:
        self._database = database
        self._kind = kind
        self._names = tuple(field.name for field in fields(kind))
        self._states = states
        self._table = to.table
        self._to = to
        self._subject = subject
        self._final = sorted(final)
        self._forgotten = sorted(set(states) - set(kept))

    async def add(self, batch: Sequence[T], now: float) -> None:
        """Keep what is to be told; one whose id is known is left as it is."""
        if not batch:
            return
        rows = [self._row(each) | {"created_at": now, "updated_at": now} for each in batch]
        rows.sort(key=lambda row: str(row["id"]))
        async with self._database.write() as connection:
            await connection.execute(insert_once(self._database.dialect, self._table), rows)

    async def known(self, ids: Collection[str]) -> set[str]:
        """Which of these are kept already."""
        column = self._table.c
        async with self._database.read() as connection:
            return set((await connection.execute(select(column.id).where(column.id.in_(list(ids))))).scalars())

    async def claim(self, to: str, now: float, limit: int, lease_s: float) -> list[T]:
        """Up to `limit` for `to` that are due, the longest due first; nobody else gets them for `lease_s`.

        Of each subject only the oldest that waits: what follows it waits for it. A worker that dies in between costs
        nothing but that time.
        """
        column, earlier = self._table.c, self._table.alias("earlier")
        their = earlier.c[self._subject.name]
        before = (
            select(earlier.c.id)
            .where(
                earlier.c[self._to.name] == self._to,
                their == self._subject,
                their != "",
                earlier.c.state == WAITING,
                tuple_(earlier.c.position, earlier.c.id) < tuple_(column.position, column.id),
            )
            .exists()
        )
        due = (
            select(column.id)
            .where(and_(column.state == WAITING, column.next_at <= now, self._to == to), ~before)
            .order_by(column.next_at, column.position, column.id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        async with self._database.write() as connection:
            ids = (await connection.execute(due)).scalars().all()
            if not ids:
                return []
            mine = update(self._table).where(column.id.in_(ids))
            await connection.execute(mine.values(next_at=now + lease_s, updated_at=now))
            rows = (await connection.execute(select(self._table).where(column.id.in_(ids)))).all()
        found = {row.id: self._read(row) for row in rows}
        return [found[each] for each in ids]

    async def get(self, row_id: str) -> T | None:
        """One of them, or None."""
        async with self._database.read() as connection:
            row = (await connection.execute(select(self._table).where(self._table.c.id == row_id))).one_or_none()
        return None if row is None else self._read(row)

    async def settle(self, row_id: str, state: StrEnum, now: float, *, note: Saying = NOTHING) -> None:
        """It was tried, and is settled in this state; what is final stays as it is, whatever a slower worker says."""
        await self._tried(row_id, state.value, now, now, note)

    async def failed(self, row_id: str, error: Saying, *, now: float, retry_at: float | None) -> None:
        """It was tried in vain; again at `retry_at`, or (None) it is given up."""
        await self._tried(row_id, *((FAILED, now, now) if retry_at is None else (WAITING, now, retry_at)), error)

    async def again(self, row_ids: Sequence[str] | None, now: float, *, only: ColumnElement[bool] | None = None) -> int:
        """Take up what was given up, None: all of it, as far as `only` says; how many there were."""
        column = self._table.c
        statement = update(self._table).where(column.state == FAILED, true() if only is None else only)
        if row_ids is not None:
            statement = statement.where(column.id.in_(list(row_ids)))
        values = {"state": WAITING, "next_at": now, "attempts": 0, "updated_at": now}
        async with self._database.write() as connection:
            return (await connection.execute(statement.values(values))).rowcount

    async def forget(self, before: float) -> int:
        """Delete what was settled before that moment, but for what was given up; how many there were."""
        column = self._table.c
        statement = delete(self._table).where(column.state.in_(self._forgotten), column.next_at < before)
        async with self._database.write() as connection:
            return (await connection.execute(statement)).rowcount

    async def page(
        self,
        state: StrEnum,
        *,
        cursor: str | None = None,
        limit: int = 100,
        only: ColumnElement[bool] | None = None,
    ) -> Page[T]:
        """Those in a state, the longest settled or due first, as far as `only` says.

        Raises:
            InputError: the cursor is none of ours.
        """
        column = self._table.c
        statement = (
            select(self._table).where(column.state == state.value).order_by(column.next_at, column.id).limit(limit + 1)
        )
        if only is not None:
            statement = statement.where(only)
        if cursor is not None:
            statement = statement.where(tuple_(column.next_at, column.id) > decode_cursor(cursor, tuple[float, str]))
        async with self._database.read() as connection:
            rows = (await connection.execute(statement)).all()
        items = [self._read(row) for row in rows[:limit]]
        return Page(items=items, next=encode_cursor((items[-1].next_at, items[-1].id)) if len(rows) > limit else None)

    async def _tried(self, row_id: str, state: str, now: float, next_at: float, error: Saying) -> None:
        column = self._table.c
        says, told = on_record(error)
        statement = (
            update(self._table)
            .where(column.id == row_id, column.state.not_in(self._final))
            .values(
                state=state,
                attempts=column.attempts + 1,
                next_at=next_at,
                last_error=says,
                error_told=told,
                updated_at=now,
            )
        )
        async with self._database.write() as connection:
            await connection.execute(statement)

    def _row(self, each: T) -> dict[str, object]:
        values = {name: getattr(each, name) for name in self._names}
        says, told = on_record(each.last_error)
        return values | {"state": values["state"].value, "last_error": says, "error_told": told}

    def _read(self, row: Row[Any]) -> T:
        values = {name: getattr(row, name) for name in self._names}
        error = from_record(row.last_error, row.error_told)
        return self._kind(**values | {"state": self._states(values["state"]), "last_error": error})
