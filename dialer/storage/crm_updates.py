"""Updates on their way to CRMs: what is due, what was tried, what was given up; in order for each contact."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import func, select, update

from dialer.storage import delivery_rows
from dialer.storage.database import Database
from dialer.storage.delivery_rows import DeliveryRows, Told
from dialer.storage.tables import crm_updates


class UpdateState(StrEnum):
    """How far an update is."""

    WAITING = delivery_rows.WAITING
    DELIVERED = delivery_rows.DELIVERED
    #: No rule of the mapping fits it: the CRM does not want to know.
    SKIPPED = "skipped"
    #: The CRM has withdrawn the call: there is nothing to be updated.
    WITHDRAWN = "withdrawn"
    #: Given up; `CrmUpdates.again` takes it up once more.
    FAILED = delivery_rows.FAILED


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredUpdate(Told):
    """One result for one CRM."""

    source: str
    contact: str
    #: JSON text of the result.
    result: str
    state: UpdateState = UpdateState.WAITING


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """What waits for one CRM."""

    waiting: int
    #: Unix seconds of the oldest; None: nothing waits.
    oldest_at: float | None
    failed: int


class CrmUpdates(DeliveryRows[StoredUpdate]):
    """All updates of one database, in order for each contact."""

    def __init__(self, database: Database) -> None:
        super().__init__(
            database,
            StoredUpdate,
            UpdateState,
            to=crm_updates.c.source,
            subject=crm_updates.c.contact,
            final=set(UpdateState) - {UpdateState.WAITING},
            kept={UpdateState.WAITING, UpdateState.FAILED},
        )

    async def put_off(self, update_ids: Sequence[str], until: float, now: float) -> None:
        """Give back updates that were claimed and not tried."""
        column = crm_updates.c
        statement = update(crm_updates).where(
            column.id.in_(list(update_ids)), column.state == UpdateState.WAITING.value
        )
        async with self._database.write() as connection:
            await connection.execute(statement.values(next_at=until, updated_at=now))

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
