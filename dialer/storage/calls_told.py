"""What the record knows of calls that may have to be told once more (docs/adr/0017)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import select, tuple_

from dialer.core.attempt import Attempt
from dialer.core.ids import CampaignId, ContactId, Phone
from dialer.storage.attempts import attempt_of
from dialer.storage.database import Database
from dialer.storage.dispositions import Disposition, disposition_of
from dialer.storage.tables import attempts, campaigns, dispositions

_PAGE: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Disposed:
    """A code, and the call that it was given to."""

    disposition: Disposition
    campaign: CampaignId
    contact: ContactId
    phone: Phone


class CallsTold:
    """Calls and codes of one database, but for those of whom nothing personal is kept any more."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def ended(self, since: float, until: float) -> AsyncIterator[Sequence[tuple[Attempt, float | None]]]:
        """Pages of attempts that ended in that time (unix seconds, `until` not included), and when the next one is."""
        column = attempts.c
        statement = (
            select(attempts)
            .where(
                # By the index of (campaign, ended_at): the record of years is not read for a few minutes.
                column.campaign.in_(select(campaigns.c.id)),
                column.ended_at >= since,
                column.ended_at < until,
                column.contact != "",
            )
            .order_by(column.ended_at, column.call)
            .limit(_PAGE)
        )
        after: tuple[float, str] | None = None
        while True:
            query = statement if after is None else statement.where(tuple_(column.ended_at, column.call) > after)
            async with self._database.read() as connection:
                rows = (await connection.execute(query)).all()
            if rows:
                yield [(attempt_of(row), row.retry_at) for row in rows]
            if len(rows) < _PAGE:
                return
            after = (rows[-1].ended_at, rows[-1].call)

    async def disposed(self, since: float) -> AsyncIterator[Sequence[Disposed]]:
        """Pages of codes that were given since then, the latest first."""
        column = dispositions.c
        statement = (
            select(dispositions, attempts.c.campaign, attempts.c.contact, attempts.c.phone)
            .join_from(dispositions, attempts, attempts.c.call == column.call, isouter=True)
            # They are numbered as they come: the moment has no index.
            .order_by(column.id.desc())
            .limit(_PAGE)
        )
        before: int | None = None
        while True:
            query = statement if before is None else statement.where(column.id < before)
            async with self._database.read() as connection:
                rows: Sequence[Any] = (await connection.execute(query)).all()
            found = [row for row in rows if row.at >= since]
            yield [
                Disposed(
                    disposition=disposition_of(row),
                    campaign=CampaignId(row.campaign),
                    contact=ContactId(row.contact),
                    phone=Phone(row.phone),
                )
                for row in found
                if row.contact
            ]
            if len(rows) < _PAGE or not found:
                return
            before = rows[-1].id
