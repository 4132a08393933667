"""The attempts of the past that caps may still count, for a Redis that has lost its ledgers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import and_, exists, func, select, tuple_

from dialer.compliance.caps import Facts
from dialer.core.disposition import DispositionCategory
from dialer.core.ids import CampaignId, ContactId, Phone
from dialer.core.outcome import Outcome
from dialer.queues.port import AttemptMade
from dialer.storage.database import Database
from dialer.storage.tables import attempts, contacts, dispositions

#: Of what the CRM said of a contact, the names that caps count by.
_NAMES: Final = ("person", "account", "subject")


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRow:
    """One attempt, and where it stands in the order of reading."""

    key: tuple[str, float, str]
    attempt: AttemptMade


async def attempts_made(
    database: Database, since: float, after: tuple[str, float, str] | None, limit: int
) -> list[AttemptRow]:
    """Up to `limit` attempts that ended at `since` or later, by campaign, end and call, behind `after`.

    Fewer than `limit` do not mean that these are the last. The names are those that the contact has now: what it was
    called under at the time is not on record.

    Raises:
        StorageError: the database refused or is out of reach.
    """
    campaign, ended_at, call = after or ("", -math.inf, "")
    while True:
        rows = await _of_campaign(database, campaign, since, (ended_at, call), limit) if campaign else []
        if rows:
            return rows
        # From one campaign to the next, each read in the order of its index.
        statement = select(func.min(attempts.c.campaign)).where(attempts.c.campaign > campaign)
        async with database.read() as connection:
            following = (await connection.execute(statement)).scalar_one()
        if following is None:
            return []
        campaign, ended_at, call = following, -math.inf, ""


async def _of_campaign(
    database: Database, campaign: str, since: float, after: tuple[float, str], limit: int
) -> list[AttemptRow]:
    made = attempts.c
    statement = (
        select(
            *(made.call, made.campaign, made.contact, made.phone, made.started_at, made.ended_at, made.outcome),
            contacts.c.fields,
            exists()
            .where(dispositions.c.call == made.call, dispositions.c.category == DispositionCategory.REFUSED.value)
            .label("refused"),
        )
        .select_from(
            attempts.outerjoin(contacts, and_(contacts.c.campaign == made.campaign, contacts.c.id == made.contact))
        )
        # Of people who were erased it is not known whom a call counts for, and they are not called again. What does not
        # count as an attempt (`Attempt.counts`) does not count for caps either.
        .where(made.campaign == campaign, made.phone != "", made.attempt_number > 0)
        .order_by(made.ended_at, made.call)
        .limit(limit)
    )
    begin = max(since, after[0])
    if not math.isinf(begin):
        statement = statement.where(made.ended_at >= begin)
    if not math.isinf(after[0]):
        statement = statement.where(tuple_(made.ended_at, made.call) > after)
    async with database.read() as connection:
        rows = (await connection.execute(statement)).all()
    return [
        AttemptRow(
            key=(row.campaign, row.ended_at, row.call),
            attempt=AttemptMade(
                campaign=CampaignId(row.campaign),
                contact=ContactId(row.contact),
                phone=Phone(row.phone),
                started_at=row.started_at,
                ended_at=row.ended_at,
                outcome=Outcome(row.outcome),
                fields=_names(row.fields),
                more=Facts.REFUSED if row.refused else Facts(0),
            ),
        )
        for row in rows
    ]


def _names(fields: Any) -> Mapping[str, object]:
    # Of a contact that has been erased there are none.
    return {name: fields[name] for name in _NAMES if name in fields} if isinstance(fields, dict) else {}
