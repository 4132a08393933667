"""Recordings of calls: what is recorded, where it is kept, until when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, and_, case, func, or_, select, update

from dialer.core.ids import AgentId, CallId, CampaignId, ContactId, RecordingId, ServerName
from dialer.core.kept_recording import OPEN, Keeping, RecordingFilter, StoredRecording
from dialer.storage.database import Database
from dialer.storage.inserts import insert_once
from dialer.storage.tables import recordings
from dialer.storage.tenants import of_tenants_campaigns

_ERROR_LIMIT: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A recording that has come into the store."""

    place: str
    bytes: int
    sha256: str
    duration_s: float
    encrypted: bool
    retain_until: float
    #: Whatever there was to say about the file; empty: nothing.
    remark: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingBacklog:
    """What is on its way into the store."""

    waiting: int
    #: Of these, how many could not be moved so far.
    put_off: int
    #: Since when the first of them is complete, unix seconds.
    oldest_at: float | None


class Recordings:
    """All recordings of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def note(self, recording: StoredRecording, now: float) -> None:
        """Write down how a recording under way stands; one that is over already is left as it is."""
        column = recordings.c
        values = _values(recording, now)
        known = (
            update(recordings)
            .where(column.id == recording.id, column.state.in_([state.value for state in OPEN]))
            .values({name: value for name, value in values.items() if name != "id"})
        )
        async with self._database.write() as connection:
            if (await connection.execute(known)).rowcount == 0:
                await connection.execute(insert_once(self._database.dialect, recordings).values(values))

    async def under_way(self, node: str) -> list[StoredRecording]:
        """What a node began and has not heard the end of, the oldest first."""
        column = recordings.c
        statement = (
            select(recordings)
            .where(column.node == node, column.state.in_([state.value for state in OPEN]))
            .order_by(column.started_at, column.id)
        )
        return await self._rows(statement)

    async def end(self, ids: Sequence[RecordingId], at: float, now: float) -> int:
        """Say of open recordings that they are over; how many were open."""
        column = recordings.c
        statement = (
            update(recordings)
            .where(column.id.in_(ids), column.state.in_([state.value for state in OPEN]))
            .values(state=Keeping.ENDED.value, ended_at=at, next_at=now, updated_at=now)
        )
        async with self._database.write() as connection:
            return (await connection.execute(statement)).rowcount

    async def waiting(self, now: float) -> bool:
        """Whether any could be moved now."""
        column = recordings.c
        statement = select(column.id).where(column.state == Keeping.ENDED.value, column.next_at <= now).limit(1)
        async with self._database.read() as connection:
            return (await connection.execute(statement)).first() is not None

    async def backlog(self) -> RecordingBacklog:
        """What is to be moved, due or not."""
        column = recordings.c
        tried = func.coalesce(func.sum(case((column.attempts > 0, 1), else_=0)), 0)
        statement = select(func.count(), tried, func.min(column.ended_at)).where(column.state == Keeping.ENDED.value)
        async with self._database.read() as connection:
            waiting, put_off, oldest_at = (await connection.execute(statement)).one()
        return RecordingBacklog(waiting=int(waiting), put_off=int(put_off), oldest_at=oldest_at)

    async def any_sealed(self) -> bool:
        """Whether something is in the store that only opens with a key."""
        column = recordings.c
        sealed = select(column.id).where(column.state == Keeping.STORED.value, column.encrypted).limit(1)
        async with self._database.read() as connection:
            return (await connection.execute(sealed)).first() is not None

    async def settled(self, since: float, until: float) -> Mapping[Keeping, tuple[int, int]]:
        """How many came into the store or were given up from `since` until before `until`, and their bytes."""
        column = recordings.c
        statement = (
            select(column.state, func.count(), func.coalesce(func.sum(column.bytes), 0))
            .where(
                column.updated_at >= since,
                column.updated_at < until,
                column.state.in_([Keeping.STORED.value, Keeping.MISSING.value]),
            )
            .group_by(column.state)
        )
        async with self._database.read() as connection:
            rows = (await connection.execute(statement)).all()
        return {Keeping(state): (int(count), int(size)) for state, count, size in rows}

    async def claim(self, now: float, limit: int, lease_s: float) -> list[StoredRecording]:
        """Up to `limit` that are to be moved, the longest due first; nobody else gets them for `lease_s`."""
        column = recordings.c
        due = (
            select(column.id)
            .where(and_(column.state == Keeping.ENDED.value, column.next_at <= now))
            .order_by(column.next_at, column.id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        async with self._database.write() as connection:
            ids = (await connection.execute(due)).scalars().all()
            if not ids:
                return []
            mine = update(recordings).where(column.id.in_(ids))
            await connection.execute(mine.values(next_at=now + lease_s, updated_at=now))
            rows = (await connection.execute(select(recordings).where(column.id.in_(ids)))).all()
        found = {row.id: _recording(row) for row in rows}
        return [found[each] for each in ids]

    async def stored(self, recording: RecordingId, kept: Kept, now: float) -> bool:
        """It is in the store; False where somebody has said so before, or it was deleted meanwhile."""
        column = recordings.c
        statement = (
            update(recordings)
            .where(column.id == recording, column.state == Keeping.ENDED.value)
            .values(
                state=Keeping.STORED.value,
                place=kept.place,
                bytes=kept.bytes,
                sha256=kept.sha256,
                duration_s=kept.duration_s,
                encrypted=kept.encrypted,
                # Where an erasure has set it already, no later.
                retain_until=func.coalesce(column.retain_until, kept.retain_until),
                problem=kept.remark[:_ERROR_LIMIT],
                next_at=None,
                updated_at=now,
            )
        )
        async with self._database.write() as connection:
            return (await connection.execute(statement)).rowcount == 1

    async def put_off(self, recording: RecordingId, problem: str, *, next_at: float | None, now: float) -> None:
        """It could not be moved; again at `next_at`, or (None) never: there is no such file."""
        column = recordings.c
        state = Keeping.MISSING if next_at is None else Keeping.ENDED
        statement = (
            update(recordings)
            .where(column.id == recording, column.state == Keeping.ENDED.value)
            .values(
                state=state.value,
                attempts=column.attempts + 1,
                next_at=next_at,
                problem=problem[:_ERROR_LIMIT],
                updated_at=now,
            )
        )
        async with self._database.write() as connection:
            await connection.execute(statement)

    async def expired(self, now: float, limit: int) -> list[StoredRecording]:
        """Stored ones whose time is over, the longest over first."""
        column = recordings.c
        statement = (
            select(recordings)
            .where(column.state == Keeping.STORED.value, column.retain_until <= now)
            .order_by(column.retain_until, column.id)
            .limit(limit)
        )
        return await self._rows(statement)

    async def deleted(self, recording: RecordingId, now: float) -> None:
        """Its sound is gone."""
        statement = (
            update(recordings)
            .where(recordings.c.id == recording)
            .values(state=Keeping.DELETED.value, deleted_at=now, place=None, sha256=None, updated_at=now)
        )
        async with self._database.write() as connection:
            await connection.execute(statement)

    async def get(self, recording: RecordingId) -> StoredRecording | None:
        """One recording, or None."""
        rows = await self._rows(select(recordings).where(recordings.c.id == recording))
        return rows[0] if rows else None

    async def page(
        self, wanted: RecordingFilter, *, before: tuple[float, str] | None, limit: int
    ) -> list[StoredRecording]:
        """Up to `limit`, newest first by (started_at, id), those older than `before`."""
        column = recordings.c
        where: list[ColumnElement[bool]] = []
        for name in ("campaign", "contact", "agent", "call"):
            value = getattr(wanted, name)
            if value is not None:
                where.append(column[name] == value)
        if wanted.tenant:
            where.append(of_tenants_campaigns(column.campaign, wanted.tenant))
        if wanted.state is not None:
            where.append(column.state == wanted.state.value)
        if wanted.started_from is not None:
            where.append(column.started_at >= wanted.started_from)
        if wanted.started_before is not None:
            where.append(column.started_at < wanted.started_before)
        if before is not None:
            at, name = before
            where.append(or_(column.started_at < at, and_(column.started_at == at, column.id < name)))
        statement = select(recordings).where(*where).order_by(column.started_at.desc(), column.id.desc()).limit(limit)
        return await self._rows(statement)

    async def _rows(self, statement: Any) -> list[StoredRecording]:
        async with self._database.read() as connection:
            return [_recording(row) for row in (await connection.execute(statement)).all()]


def _values(recording: StoredRecording, now: float) -> Mapping[str, object]:
    return {
        "id": recording.id,
        "call": recording.call,
        "campaign": recording.campaign,
        "contact": recording.contact,
        "agent": recording.agent,
        "server": recording.server,
        "node": recording.node,
        "by": recording.by,
        "state": recording.state.value,
        "started_at": recording.started_at,
        "ended_at": recording.ended_at,
        "pauses": [list(pause) for pause in recording.pauses],
        "next_at": recording.next_at,
        "problem": recording.problem[:_ERROR_LIMIT],
        "updated_at": now,
    }


def _recording(row: Row[Any]) -> StoredRecording:
    return StoredRecording(
        id=RecordingId(row.id),
        call=CallId(row.call),
        campaign=CampaignId(row.campaign),
        contact=ContactId(row.contact),
        agent=None if row.agent is None else AgentId(row.agent),
        server=ServerName(row.server),
        node=row.node,
        by=row.by,
        state=Keeping(row.state),
        started_at=row.started_at,
        ended_at=row.ended_at,
        pauses=row.pauses,
        duration_s=row.duration_s,
        bytes=row.bytes,
        sha256=row.sha256,
        place=row.place,
        encrypted=row.encrypted,
        attempts=row.attempts,
        next_at=row.next_at,
        problem=row.problem,
        retain_until=row.retain_until,
        deleted_at=row.deleted_at,
    )
