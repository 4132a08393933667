"""Imports of lists: how far each one is, and every row that it rejected, with the reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Row, and_, or_, select, tuple_, update

from dialer.core.ids import CampaignId
from dialer.core.list_terms import NO_TERMS, ListTerms
from dialer.core.saying import NOTHING, Saying
from dialer.storage.cursors import Page, decode_cursor, encode_cursor
from dialer.storage.database import Database
from dialer.storage.inserts import insert_once, upsert
from dialer.storage.sayings import from_record, on_record
from dialer.storage.tables import lists, rejected_rows
from dialer.storage.tenants import of_tenants_campaigns

#: Characters of a rejected row that are kept: enough to find it again, whatever came in.
RAW_LIMIT: Final = 2_000
#: Where lists come from that are handed to the workers.
UPLOAD: Final = "upload"


class ListState(StrEnum):
    """How far an import is."""

    LOADING = "loading"
    LOADED = "loaded"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListCounts:
    """Rows of one import; `read` is the sum of the two others once it has ended."""

    read: int = 0
    accepted: int = 0
    rejected: int = 0
    #: Of the rejected ones, by reason code.
    reasons: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactList:
    """One import."""

    id: str
    campaign: CampaignId
    name: str
    #: Where it came from: a file's name, "api", "stream".
    source: str
    state: ListState
    counts: ListCounts
    #: Why it failed, and what to do.
    error: Saying
    started_at: float
    finished_at: float | None
    terms: ListTerms = NO_TERMS


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectedRow:
    """One row that could not become a contact."""

    #: As a spreadsheet counts: the row of column names is 1.
    row: int
    code: str
    message: str
    #: The row as it came, cut after `RAW_LIMIT` characters.
    raw: str


class Lists:
    """All imports of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def start(self, list_id: str, campaign: CampaignId, *, name: str, source: str, now: float) -> bool:
        """Note that an import has begun; False where its id is known: a second run of the same, which goes on."""
        statement = insert_once(self._database.dialect, lists).values(
            id=list_id,
            campaign=campaign,
            name=name,
            source=source,
            state=ListState.LOADING.value,
            reasons={},
            started_at=now,
        )
        async with self._database.write() as connection:
            return (await connection.execute(statement)).rowcount == 1

    async def progress(self, list_id: str, counts: ListCounts, rejected: Sequence[RejectedRow] = ()) -> None:
        """Note how far it is, and the rows rejected since the last time; a row noted twice stands once."""
        rows = [
            {"list": list_id, "row": row.row, "code": row.code, "message": row.message, "raw": row.raw[:RAW_LIMIT]}
            for row in rejected
        ]
        async with self._database.write() as connection:
            await connection.execute(update(lists).where(lists.c.id == list_id).values(_counts(counts)))
            if rows:
                await connection.execute(upsert(self._database.dialect, rejected_rows), rows)

    async def finish(
        self, list_id: str, state: ListState, counts: ListCounts, *, now: float, error: Saying = NOTHING
    ) -> None:
        """Note how it ended."""
        says, told = on_record(error)
        ended = {"state": state.value, "error": says, "error_told": told, "finished_at": now}
        values = _counts(counts) | ended
        async with self._database.write() as connection:
            await connection.execute(update(lists).where(lists.c.id == list_id).values(values))

    async def uploads_loading(self) -> list[tuple[str, CampaignId]]:
        """Ids of the lists that were handed to the workers and are not finished, with their campaigns."""
        statement = select(lists.c.id, lists.c.campaign).where(
            lists.c.state == ListState.LOADING.value, lists.c.source == UPLOAD
        )
        async with self._database.read() as connection:
            return [(row.id, CampaignId(row.campaign)) for row in (await connection.execute(statement)).all()]

    async def fail_loading(self, list_id: str, *, now: float, error: Saying) -> bool:
        """Note that a list has failed, unless it ended meanwhile; whether it had not."""
        says, told = on_record(error)
        statement = (
            update(lists)
            .where(lists.c.id == list_id, lists.c.state == ListState.LOADING.value)
            .values(state=ListState.FAILED.value, error=says, error_told=told, finished_at=now)
        )
        async with self._database.write() as connection:
            return (await connection.execute(statement)).rowcount == 1

    async def get(self, list_id: str) -> ContactList | None:
        """One import, or None."""
        async with self._database.read() as connection:
            row = (await connection.execute(select(lists).where(lists.c.id == list_id))).one_or_none()
        return None if row is None else _list(row)

    async def set_terms(self, list_id: str, terms: ListTerms) -> None:
        """Put what a list has of its own on record."""
        values = {"filter": terms.filter, "priority": terms.priority}
        async with self._database.write() as connection:
            await connection.execute(update(lists).where(lists.c.id == list_id).values(values))

    async def terms(self, campaign: CampaignId | None = None) -> dict[CampaignId, dict[str, ListTerms]]:
        """What lists have of their own, by campaign and id; only those that have something. None: of all campaigns."""
        statement = select(lists.c.campaign, lists.c.id, lists.c.filter, lists.c.priority).where(
            or_(lists.c.filter != "", lists.c.priority != 0)
        )
        if campaign is not None:
            statement = statement.where(lists.c.campaign == campaign)
        found: dict[CampaignId, dict[str, ListTerms]] = {}
        async with self._database.read() as connection:
            for row in (await connection.execute(statement)).all():
                own = found.setdefault(CampaignId(row.campaign), {})
                own[row.id] = ListTerms(filter=row.filter, priority=row.priority)
        return found

    async def of(self, campaign: CampaignId, *, limit: int = 100) -> list[ContactList]:
        """The imports of a campaign, the latest first."""
        statement = (
            select(lists)
            .where(lists.c.campaign == campaign)
            .order_by(lists.c.started_at.desc(), lists.c.id)
            .limit(limit)
        )
        async with self._database.read() as connection:
            return [_list(row) for row in (await connection.execute(statement)).all()]

    async def page(
        self,
        campaign: CampaignId | None,
        *,
        before: tuple[float, str] | None = None,
        limit: int = 100,
        tenant: str = "",
    ) -> list[ContactList]:
        """The imports of a campaign, a tenant, or of all, the latest first, those before (started_at, id)."""
        statement = select(lists).order_by(lists.c.started_at.desc(), lists.c.id.desc()).limit(limit)
        if campaign is not None:
            statement = statement.where(lists.c.campaign == campaign)
        if tenant:
            statement = statement.where(of_tenants_campaigns(lists.c.campaign, tenant))
        if before is not None:
            statement = statement.where(tuple_(lists.c.started_at, lists.c.id) < before)
        async with self._database.read() as connection:
            return [_list(row) for row in (await connection.execute(statement)).all()]

    async def rejected(self, list_id: str, *, cursor: str | None = None, limit: int = 1_000) -> Page[RejectedRow]:
        """Rejected rows in the order of the list.

        Raises:
            InputError: the cursor is none of ours.
        """
        wanted = [rejected_rows.c.list == list_id]
        if cursor is not None:
            wanted.append(rejected_rows.c.row > decode_cursor(cursor, tuple[int])[0])
        statement = select(rejected_rows).where(and_(*wanted)).order_by(rejected_rows.c.row).limit(limit + 1)
        async with self._database.read() as connection:
            rows = (await connection.execute(statement)).all()
        items = [RejectedRow(row=row.row, code=row.code, message=row.message, raw=row.raw) for row in rows[:limit]]
        return Page(items=items, next=encode_cursor((items[-1].row,)) if len(rows) > limit else None)


def _counts(counts: ListCounts) -> dict[str, Any]:
    return {
        "read": counts.read,
        "accepted": counts.accepted,
        "rejected": counts.rejected,
        "reasons": dict(counts.reasons),
    }


def _list(row: Row[Any]) -> ContactList:
    return ContactList(
        id=row.id,
        campaign=CampaignId(row.campaign),
        name=row.name,
        source=row.source,
        state=ListState(row.state),
        counts=ListCounts(read=row.read, accepted=row.accepted, rejected=row.rejected, reasons=row.reasons),
        error=from_record(row.error, row.error_told),
        started_at=row.started_at,
        finished_at=row.finished_at,
        terms=ListTerms(filter=row.filter, priority=row.priority),
    )
