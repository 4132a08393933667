"""Attempts: written once each, queried by the API and the reports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

from sqlalchemy import ColumnElement, Integer, Row, and_, bindparam, case, cast, func, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dialer.compliance.machine_error import AnswerCounts
from dialer.core.attempt import LEGAL_LIMIT_S, Attempt
from dialer.core.ids import AgentId, CallId, CampaignId, ContactId, Phone, ServerName
from dialer.core.outcome import LIVE, Outcome
from dialer.storage.answer_counts import answer_counts
from dialer.storage.attempt_evidence import evidence_of
from dialer.storage.cursors import Page, decode_cursor, encode_cursor
from dialer.storage.database import Database
from dialer.storage.evidence import append
from dialer.storage.inserts import insert_once
from dialer.storage.tables import attempts, campaigns, contacts
from dialer.storage.tenants import of_tenants_campaigns

#: These stand in the evidence, which is written with it.
_EVIDENCE_ALONE: Final = frozenset({"verdict", "decision"})
_FIELDS: Final = tuple(field.name for field in fields(Attempt) if field.name not in _EVIDENCE_ALONE)

_LIVE: Final = sorted(outcome.value for outcome in LIVE)
#: People who found no agent in time; the second line is `dialer.core.attempt.is_late`.
_LOST: Final = func.sum(
    case(
        (attempts.c.outcome == Outcome.ABANDONED.value, 1),
        (
            attempts.c.connected_at - attempts.c.answered_at
            > func.coalesce(attempts.c.connect_within_s, LEGAL_LIMIT_S),
            1,
        ),
        else_=0,
    )
)

#: A removal is final, and an attempt that is read a second time must not undo what a later one did.
_MOVE_ON: Final = (
    update(contacts)
    .where(
        contacts.c.campaign == bindparam("of_campaign"),
        contacts.c.id == bindparam("of_contact"),
        contacts.c.attempts <= bindparam("made"),
        contacts.c.state != "removed",
    )
    .values(attempts=bindparam("made"), state=bindparam("to_state"), next_at=bindparam("to_next_at"))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptFilter:
    """Which attempts; None: whatever. Moments are those of the end, unix seconds."""

    campaign: CampaignId | None = None
    contact: ContactId | None = None
    phone: Phone | None = None
    agent: AgentId | None = None
    outcome: Outcome | None = None
    since: float | None = None
    #: Not included.
    until: float | None = None
    #: Of this tenant's campaigns; empty: of all.
    tenant: str = ""


class Attempts:
    """All attempts of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def record(self, batch: Sequence[tuple[Attempt, float | None]]) -> None:
        """Add attempts with the moment of the next one (None: the contact is done), and move their contacts on.

        One transaction. An attempt that is on record already is left alone, so the same batch can come any number of
        times, whole or in parts, before or after later ones.

        Raises:
            RowRefused: one of them cannot be stored, and so none was.
            StorageError: the database refused or is out of reach; nothing was written.
        """
        if not batch:
            return
        async with self._database.write() as connection:
            await self._record(connection, batch)

    async def _record(self, connection: AsyncConnection, batch: Sequence[tuple[Attempt, float | None]]) -> None:
        rows = [_row(attempt, retry_at) for attempt, retry_at in batch]
        await connection.execute(insert_once(self._database.dialect, attempts), rows)
        # In the order of rows that imports lock in too (see `contact_load`), and of several at one contact the last.
        moves = {
            (attempt.campaign, attempt.contact): (attempt.attempt_number, retry_at)
            for attempt, retry_at in sorted(batch, key=lambda item: item[0].attempt_number)
        }
        await connection.execute(
            _MOVE_ON,
            [
                {
                    "of_campaign": campaign,
                    "of_contact": contact,
                    "made": made,
                    "to_state": "finished" if retry_at is None else "waiting",
                    "to_next_at": retry_at,
                }
                for (campaign, contact), (made, retry_at) in sorted(moves.items())
            ],
        )
        # Last: whoever holds the end of the chain waits for no other lock.
        await append(connection, self._database, [evidence_of(attempt, retry_at) for attempt, retry_at in batch])

    async def get(self, call: CallId) -> Attempt | None:
        """One attempt, or None."""
        async with self._database.read() as connection:
            row = (await connection.execute(select(attempts).where(attempts.c.call == call))).one_or_none()
        return None if row is None else attempt_of(row)

    async def answer_counts(self, since: float, until: float) -> dict[CampaignId, AnswerCounts]:
        """What became of answered calls, campaign by campaign (`dialer.storage.answer_counts`)."""
        return await answer_counts(self._database, since, until)

    async def live_answers(self, campaign: CampaignId, since: float) -> list[tuple[float, int, int]]:
        """Live people who answered a campaign's calls since then, hour by hour.

        Who met an agent later than the campaign allowed found none in time, as for the pacer and the live view
        (`dialer.core.attempt.is_late`).

        Returns:
            (a moment of the hour in unix seconds, live answers, how many of them found no agent in time).
        """
        column = attempts.c
        # PostgreSQL rounds and SQLite cuts: either way an hour's calls are together, which is all that matters.
        hour = cast(column.ended_at / 3_600.0, Integer)
        statement = (
            select(func.min(column.ended_at), func.count(), _LOST)
            .where(
                column.campaign == campaign,
                column.ended_at >= since,
                column.outcome.in_(_LIVE),
            )
            .group_by(hour)
        )
        async with self._database.read() as connection:
            rows = (await connection.execute(statement)).all()
        return [(float(at), int(answered), int(abandoned)) for at, answered, abandoned in rows]

    async def live_answers_by_server(self, campaign: CampaignId, since: float) -> dict[ServerName, int]:
        """Live people who answered a campaign's calls since then, by the Asterisk server of the call."""
        column = attempts.c
        statement = (
            select(column.server, func.count())
            .where(
                column.campaign == campaign,
                column.ended_at >= since,
                column.outcome.in_(_LIVE),
                column.server.is_not(None),
            )
            .group_by(column.server)
        )
        async with self._database.read() as connection:
            rows = (await connection.execute(statement)).all()
        return {ServerName(server): int(answered) for server, answered in rows}

    async def live_answers_before(self, campaign: CampaignId, until: float) -> tuple[int, int]:
        """The same in one sum for all that ended before `until`: live answers, and how many found no agent in time.

        Reads every attempt of that time: nothing to be asked often.
        """
        column = attempts.c
        statement = select(func.count(), func.coalesce(_LOST, 0)).where(
            column.campaign == campaign, column.ended_at < until, column.outcome.in_(_LIVE)
        )
        async with self._database.read() as connection:
            answered, abandoned = (await connection.execute(statement)).one()
        return int(answered), int(abandoned)

    async def calls_by_caller_id(self, since: float) -> dict[Phone, int]:
        """Calls that ended since then, by the number that they showed."""
        column = attempts.c
        statement = (
            select(column.caller_id, func.count())
            .where(
                # By the index of (campaign, ended_at): the record of years is not read for the calls of a day.
                column.campaign.in_(select(campaigns.c.id)),
                column.ended_at >= since,
                column.caller_id.is_not(None),
                column.attempt_number > 0,
            )
            .group_by(column.caller_id)
        )
        async with self._database.read() as connection:
            return {Phone(number): int(count) for number, count in (await connection.execute(statement)).all()}

    async def page(self, wanted: AttemptFilter, *, cursor: str | None = None, limit: int = 100) -> Page[Attempt]:
        """Attempts, the latest to end first.

        Raises:
            InputError: the cursor is none of ours.
        """
        column = attempts.c
        pairs = (
            (column.campaign, wanted.campaign),
            (column.contact, wanted.contact),
            (column.phone, wanted.phone),
            (column.agent, wanted.agent),
            (column.outcome, None if wanted.outcome is None else wanted.outcome.value),
        )
        conditions: list[ColumnElement[bool]] = [column == value for column, value in pairs if value is not None]
        if wanted.tenant:
            conditions.append(of_tenants_campaigns(column.campaign, wanted.tenant))
        if wanted.since is not None:
            conditions.append(attempts.c.ended_at >= wanted.since)
        if wanted.until is not None:
            conditions.append(attempts.c.ended_at < wanted.until)
        if cursor is not None:
            conditions.append(tuple_(attempts.c.ended_at, attempts.c.call) < decode_cursor(cursor, tuple[float, str]))
        statement = select(attempts).order_by(attempts.c.ended_at.desc(), attempts.c.call.desc()).limit(limit + 1)
        if conditions:
            statement = statement.where(and_(*conditions))
        async with self._database.read() as connection:
            rows = (await connection.execute(statement)).all()
        items = [attempt_of(row) for row in rows[:limit]]
        more = len(rows) > limit
        return Page(items=items, next=encode_cursor((items[-1].ended_at, items[-1].call)) if more else None)


def _row(attempt: Attempt, retry_at: float | None) -> dict[str, Any]:
    row = {name: getattr(attempt, name) for name in _FIELDS}
    row["outcome"] = attempt.outcome.value
    row["retry_at"] = retry_at
    return row


def attempt_of(row: Row[Any]) -> Attempt:
    """The attempt of a row of the table."""
    values = {name: getattr(row, name) for name in _FIELDS}
    values["outcome"] = Outcome(values["outcome"])
    return Attempt(**values)
