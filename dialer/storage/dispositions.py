"""Dispositions: with which code a call was closed. The latest counts; earlier ones stay as history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, select

from dialer.core.ids import AgentId, CallId, MessageId
from dialer.storage.database import Database
from dialer.storage.inserts import insert_once
from dialer.storage.tables import dispositions


@dataclass(frozen=True, slots=True, kw_only=True)
class Disposition:
    """One code given to one call."""

    call: CallId
    code: str
    at: float
    #: In the digits that the CRM sent.
    amount: str | None = None
    notes: str = ""
    agent: AgentId | None = None
    #: Of the message that brought it.
    ref: MessageId | None = None
    currency: str | None = None
    #: Who gave it: an agent, the name of a key, or "crm".
    by: str = ""
    #: What the code meant when it was given; None where its campaign did not say.
    category: str | None = None
    is_sale: bool | None = None
    is_contact: bool | None = None


class Dispositions:
    """All dispositions of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, disposition: Disposition) -> bool:
        """Add one; False where this message (call and ref) is on record already."""
        statement = insert_once(self._database.dialect, dispositions).values(
            call=disposition.call,
            ref=disposition.ref,
            code=disposition.code,
            amount=disposition.amount,
            notes=disposition.notes,
            agent=disposition.agent,
            at=disposition.at,
            currency=disposition.currency,
            by=disposition.by,
            category=disposition.category,
            is_sale=disposition.is_sale,
            is_contact=disposition.is_contact,
        )
        async with self._database.write() as connection:
            return (await connection.execute(statement)).rowcount == 1

    async def history(self, call: CallId) -> list[Disposition]:
        """All of one call, the latest first."""
        statement = (
            select(dispositions)
            .where(dispositions.c.call == call)
            .order_by(dispositions.c.at.desc(), dispositions.c.id.desc())
        )
        async with self._database.read() as connection:
            return [disposition_of(row) for row in (await connection.execute(statement)).all()]

    async def latest(self, calls: Sequence[CallId]) -> dict[CallId, Disposition]:
        """The one that counts, for each of up to 1,000 calls that has any."""
        statement = (
            select(dispositions).where(dispositions.c.call.in_(calls)).order_by(dispositions.c.at, dispositions.c.id)
        )
        async with self._database.read() as connection:
            rows = (await connection.execute(statement)).all()
        return {CallId(row.call): disposition_of(row) for row in rows}


def disposition_of(row: Row[Any]) -> Disposition:
    """The disposition of a row of the table."""
    return Disposition(
        call=CallId(row.call),
        code=row.code,
        at=row.at,
        amount=row.amount,
        notes=row.notes,
        agent=None if row.agent is None else AgentId(row.agent),
        ref=None if row.ref is None else MessageId(row.ref),
        currency=row.currency,
        by=row.by,
        category=row.category,
        is_sale=row.is_sale,
        is_contact=row.is_contact,
    )
