"""Updates on their way to CRMs: what is due, what was tried, what was given up; in order for each contact."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Row, and_, delete, func, select, tuple_, update

from dialer.storage.cursors import Page, decode_cursor, encode_cursor
from dialer.storage.database import Database
from dialer.storage.inserts import insert_once
from dialer.storage.tables import crm_updates

_ERROR_LIMIT: Final = 500


class UpdateState(StrEnum):
    """How far an update is."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    #: No rule of the mapping fits it: the CRM does not want to know.
    SKIPPED = "skipped"
    #: The CRM has withdrawn the call: there is nothing to be updated.
    WITHDRAWN = "withdrawn"
    #: Given up; `CrmUpdates.again` takes it up once more.
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredUpdate:
    """One result for one CRM."""

    #: Also the idempotency key that the CRM sees.
    id: str
    source: str
    contact: str
    #: Of the result, such as call.ended.
    type: str
    #: Place in the stream, in a form that sorts (`dialer.storage.do_not_call.position_of`).
    position: str
    #: JSON text of the result.
    result: str
    next_at: float
    state: UpdateState = UpdateState.WAITING
    attempts: int = 0
    last_error: str = ""
    updated_at: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """What waits for one CRM."""

    waiting: int
    #: Unix seconds of the oldest; None: nothing waits.
    oldest_at: float | None
    failed: int


class CrmUpdates:
    """All updates of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, batch: Sequence[StoredUpdate], now: float) -> None:
        """Keep updates to be written; one whose id is known is left as it is."""
        if not batch:
            return
        rows = [
            {
                "id": each.id,
                "source": each.source,
                "contact": each.contact,
                "type": each.type,
                "position": each.position,
                "state": each.state.value,
                "attempts": each.attempts,
                "next_at": each.next_at,
                "last_error": each.last_error,
                "result": each.result,
                "created_at": now,
                "updated_at": now,
            }
            for each in sorted(batch, key=lambda each: each.id)
        ]
        async with self._database.write() as connection:
            await connection.execute(insert_once(self._database.dialect, crm_updates), rows)

    async def claim(self, source: str, now: float, limit: int, lease_s: float) -> list[StoredUpdate]:
        """Up to `limit` updates that are due, the longest due first, and of each contact only its oldest that waits."""
        column, earlier = crm_updates.c, crm_updates.alias("earlier")
        before = (
            select(earlier.c.id)
            .where(
                earlier.c.source == column.source,
                earlier.c.contact == column.contact,
                earlier.c.state == UpdateState.WAITING.value,
                tuple_(earlier.c.position, earlier.c.id) < tuple_(column.position, column.id),
            )
            .exists()
        )
        due = (
            select(column.id)
            .where(
                and_(column.state == UpdateState.WAITING.value, column.next_at <= now, column.source == source), ~before
            )
            .order_by(column.next_at, column.position, column.id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        async with self._database.write() as connection:
            ids = (await connection.execute(due)).scalars().all()
            if not ids:
                return []
            await connection.execute(update(crm_updates).where(column.id.in_(ids)).values(next_at=now + lease_s))
            rows = (await connection.execute(select(crm_updates).where(column.id.in_(ids)))).all()
        found = {row.id: _update(row) for row in rows}
        return [found[each] for each in ids]

    async def get(self, update_id: str) -> StoredUpdate | None:
        """One update, or None."""
        async with self._database.read() as connection:
            row = (await connection.execute(select(crm_updates).where(crm_updates.c.id == update_id))).one_or_none()
        return None if row is None else _update(row)

    async def done(self, update_id: str, state: UpdateState, now: float, *, note: str = "") -> None:
        """It is settled, in one of the states that are."""
        await self._tried(update_id, state, now, now, note)

    async def failed(self, update_id: str, error: str, *, now: float, retry_at: float | None) -> None:
        """It was not written; try again at `retry_at`, or (None) give up."""
        state = UpdateState.FAILED if retry_at is None else UpdateState.WAITING
        await self._tried(update_id, state, now, now if retry_at is None else retry_at, error)

    async def put_off(self, update_ids: Sequence[str], until: float, now: float) -> None:
        """Give back updates that were claimed and not tried."""
        column = crm_updates.c
        statement = update(crm_updates).where(
            column.id.in_(list(update_ids)), column.state == UpdateState.WAITING.value
        )
        async with self._database.write() as connection:
            await connection.execute(statement.values(next_at=until, updated_at=now))

    async def again(self, update_ids: Sequence[str] | None, now: float) -> int:
        """Take up updates that were given up, None: all of them; how many there were."""
        column = crm_updates.c
        statement = update(crm_updates).where(column.state == UpdateState.FAILED.value)
        if update_ids is not None:
            statement = statement.where(column.id.in_(list(update_ids)))
        values = {"state": UpdateState.WAITING.value, "next_at": now, "attempts": 0, "updated_at": now}
        async with self._database.write() as connection:
            return (await connection.execute(statement.values(values))).rowcount

    async def forget(self, before: float) -> int:
        """Delete what was settled before that moment, but for what was given up; how many there were."""
        column = crm_updates.c
        settled = [UpdateState.DELIVERED.value, UpdateState.SKIPPED.value, UpdateState.WITHDRAWN.value]
        statement = delete(crm_updates).where(column.state.in_(settled), column.next_at < before)
        async with self._database.write() as connection:
            return (await connection.execute(statement)).rowcount

    async def page(self, state: UpdateState, *, cursor: str | None = None, limit: int = 100) -> Page[StoredUpdate]:
        """Updates in a state, in the order of their ids.

        Raises:
            InputError: the cursor is none of ours.
        """
        column = crm_updates.c
        statement = select(crm_updates).where(column.state == state.value).order_by(column.id).limit(limit + 1)
        if cursor is not None:
            statement = statement.where(column.id > decode_cursor(cursor, tuple[str])[0])
        async with self._database.read() as connection:
            rows = (await connection.execute(statement)).all()
        items = [_update(row) for row in rows[:limit]]
        return Page(items=items, next=encode_cursor((items[-1].id,)) if len(rows) > limit else None)

    async def backlog(self) -> Mapping[str, Backlog]:
        """What waits and what was given up, by source."""
        column = crm_updates.c
        wanted = [UpdateState.WAITING.value, UpdateState.FAILED.value]
        statement = (
            select(column.source, column.state, func.count(), func.min(column.created_at))
            .where(column.state.in_(wanted))
            .group_by(column.source, column.state)
        )
        async with self._database.read() as connection:
            rows = [tuple(row) for row in await connection.execute(statement)]
        waiting = {source: (int(n), float(at)) for source, state, n, at in rows if state == UpdateState.WAITING.value}
        failed = {source: int(n) for source, state, n, _ in rows if state == UpdateState.FAILED.value}
        return {
            source: Backlog(
                waiting=waiting.get(source, (0, None))[0],
                oldest_at=waiting.get(source, (0, None))[1],
                failed=failed.get(source, 0),
            )
            for source in {*waiting, *failed}
        }

    async def _tried(self, update_id: str, state: UpdateState, now: float, next_at: float, error: str) -> None:
        column = crm_updates.c
        # What was delivered stays so, whatever a slower worker has to say.
        statement = (
            update(crm_updates)
            .where(column.id == update_id, column.state == UpdateState.WAITING.value)
            .values(
                state=state.value,
                attempts=column.attempts + 1,
                next_at=next_at,
                last_error=error[:_ERROR_LIMIT],
                updated_at=now,
            )
        )
        async with self._database.write() as connection:
            await connection.execute(statement)


def _update(row: Row[Any]) -> StoredUpdate:
    return StoredUpdate(
        id=row.id,
        source=row.source,
        contact=row.contact,
        type=row.type,
        position=row.position,
        result=row.result,
        next_at=row.next_at,
        state=UpdateState(row.state),
        attempts=row.attempts,
        last_error=row.last_error,
        updated_at=row.updated_at,
    )
