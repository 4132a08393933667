"""Calls that a CRM made itself, as far as caps count them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import and_, or_, select

from dialer.compliance.caps import Facts
from dialer.core.ids import CampaignId, ContactId, Phone
from dialer.core.outcome import Outcome
from dialer.queues.port import AttemptMade
from dialer.storage.database import Database
from dialer.storage.inserts import insert_once
from dialer.storage.tables import calls_elsewhere


@dataclass(frozen=True, slots=True, kw_only=True)
class CallElsewhere:
    """One call under the CRM's own id; what caps know of it is as of an attempt."""

    id: str
    made: AttemptMade


class CallsElsewhere:
    """Those of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, batch: Sequence[CallElsewhere]) -> None:
        """Put calls on record; of an id that is known the first stays.

        Raises:
            StorageError: the database refused or is out of reach; none is on record.
        """
        rows = [
            {
                "id": call.id,
                "campaign": call.made.campaign,
                "phone": call.made.phone,
                "started_at": call.made.started_at,
                "ended_at": call.made.ended_at,
                "outcome": call.made.outcome.value,
                "inbound": Facts.INBOUND in call.made.more,
                "refused": Facts.REFUSED in call.made.more,
                "fields": dict(call.made.fields),
            }
            for call in batch
        ]
        async with self._database.write() as connection:
            await connection.execute(insert_once(self._database.dialect, calls_elsewhere), rows)

    async def after(self, since: float, key: tuple[float, str] | None, limit: int) -> list[CallElsewhere]:
        """Up to `limit` calls that ended at `since` or later, by end and id, behind `key`.

        Raises:
            StorageError: the database refused or is out of reach.
        """
        mine = calls_elsewhere.c
        statement = select(calls_elsewhere).where(mine.ended_at >= since).order_by(mine.ended_at, mine.id).limit(limit)
        if key is not None:
            statement = statement.where(or_(mine.ended_at > key[0], and_(mine.ended_at == key[0], mine.id > key[1])))
        async with self._database.read() as connection:
            rows = (await connection.execute(statement)).all()
        return [
            CallElsewhere(
                id=row.id,
                made=AttemptMade(
                    campaign=CampaignId(row.campaign),
                    contact=ContactId(""),
                    phone=Phone(row.phone),
                    started_at=row.started_at,
                    ended_at=row.ended_at,
                    outcome=Outcome(row.outcome),
                    fields=row.fields,
                    more=(Facts.INBOUND if row.inbound else Facts(0)) | (Facts.REFUSED if row.refused else Facts(0)),
                ),
            )
            for row in rows
        ]
