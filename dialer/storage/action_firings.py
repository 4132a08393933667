"""What the rules of the next best action did, and the calls that they look at."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, Select, and_, exists, or_, select, tuple_, update

from dialer.actions.matching import Past, PastCall
from dialer.core.ids import CallId, CampaignId, ContactId, Phone
from dialer.core.outcome import Outcome
from dialer.core.saying import NOTHING, Saying
from dialer.storage.cursors import Page, decode_cursor, encode_cursor
from dialer.storage.database import Database
from dialer.storage.inserts import insert_once
from dialer.storage.sayings import from_record, on_record
from dialer.storage.tables import action_firings, attempts, campaigns, dispositions

#: Calls of one contact that rules look at, the latest ones.
_MOST_CALLS: Final = 1_000
_PAGE: Final = 500
#: In the place of a contact that was erased: calls of many, who are nobody any more.
_ERASED: Final = ""


class FiringState(StrEnum):
    """How far it is."""

    #: To be done, or done by a process that died before it could say so: done again, which changes nothing.
    PENDING = "pending"
    DONE = "done"
    #: It could not be done, as `problem` says; it is not tried again.
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Firing:
    """One rule that fired for one contact."""

    rule: str
    campaign: CampaignId
    contact: ContactId
    at: float
    #: move, priority, call_again or ask.
    action: str
    #: The last call before.
    call: CallId | None
    why: Saying
    #: What was to be done: target, priority, moment, ….
    details: Mapping[str, object] = field(default_factory=dict)
    state: FiringState = FiringState.PENDING
    problem: Saying = NOTHING


class Firings:
    """All firings of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, firing: Firing) -> bool:
        """Put one on record before it is done; False where this rule has fired for this contact already."""
        why, why_told = on_record(firing.why)
        problem, problem_told = on_record(firing.problem)
        statement = insert_once(self._database.dialect, action_firings).values(
            rule=firing.rule,
            campaign=firing.campaign,
            contact=firing.contact,
            at=firing.at,
            action=firing.action,
            call=firing.call,
            why=why,
            why_told=why_told,
            details=dict(firing.details),
            state=firing.state.value,
            problem=problem,
            problem_told=problem_told,
        )
        async with self._database.write() as connection:
            return (await connection.execute(statement)).rowcount == 1

    async def ended(self, firing: Firing, state: FiringState, problem: Saying = NOTHING) -> None:
        """It was done, or cannot be."""
        column = action_firings.c
        says, told = on_record(problem)
        statement = (
            update(action_firings)
            .where(column.rule == firing.rule, column.campaign == firing.campaign, column.contact == firing.contact)
            .values(state=state.value, problem=says, problem_told=told)
        )
        async with self._database.write() as connection:
            await connection.execute(statement)

    async def fired(self, campaign: CampaignId, contact: ContactId) -> frozenset[str]:
        """Names of the rules that have fired for a contact."""
        column = action_firings.c
        statement = select(column.rule).where(column.campaign == campaign, column.contact == contact)
        async with self._database.read() as connection:
            return frozenset((await connection.execute(statement)).scalars())

    async def pending(self, before: float, limit: int = 500) -> list[Firing]:
        """Firings on record before that moment which nobody has ended, the oldest first."""
        column = action_firings.c
        statement = (
            select(action_firings)
            .where(column.state == FiringState.PENDING.value, column.at < before)
            .order_by(column.at)
            .limit(limit)
        )
        async with self._database.read() as connection:
            return [_firing(row) for row in (await connection.execute(statement)).all()]

    async def page(
        self,
        *,
        rule: str | None = None,
        campaign: CampaignId | None = None,
        cursor: str | None = None,
        limit: int = 100,
    ) -> Page[Firing]:
        """Firings, the latest first.

        Raises:
            InputError: the cursor is none of ours.
        """
        column = action_firings.c
        wanted: list[ColumnElement[bool]] = []
        if rule is not None:
            wanted.append(column.rule == rule)
        if campaign is not None:
            wanted.append(column.campaign == campaign)
        order = (column.at, column.rule, column.campaign, column.contact)
        if cursor is not None:
            wanted.append(tuple_(*order) < decode_cursor(cursor, tuple[float, str, str, str]))
        statement = select(action_firings).order_by(*(each.desc() for each in order)).limit(limit + 1)
        if wanted:
            statement = statement.where(and_(*wanted))
        async with self._database.read() as connection:
            rows = (await connection.execute(statement)).all()
        items = [_firing(row) for row in rows[:limit]]
        last = items[-1] if len(rows) > limit else None
        key = None if last is None else (last.at, last.rule, last.campaign, last.contact)
        return Page(items=items, next=None if key is None else encode_cursor(key))


# ---- the calls


async def past_of(database: Database, campaign: CampaignId, contact: ContactId) -> Past:
    """The calls of one contact of one campaign."""
    column = attempts.c
    statement = (
        _calls()
        .where(column.campaign == campaign, column.contact == contact)
        .order_by(column.ended_at.desc(), column.call.desc())
        .limit(_MOST_CALLS)
    )
    async with database.read() as connection:
        rows = (await connection.execute(statement)).all()
    return Past(campaign=campaign, contact=contact, calls=[_call(row) for row in reversed(rows)])


async def called_since(database: Database, since: float, limit: int) -> list[tuple[CampaignId, ContactId, CallId]]:
    """The last calls that ended since then, up to `limit`."""
    column = attempts.c
    statement = (
        select(column.campaign, column.contact, column.call)
        # By the index of (campaign, ended_at).
        .where(column.campaign.in_(select(campaigns.c.id)), column.ended_at >= since, column.contact != _ERASED)
        .order_by(column.ended_at.desc())
        .limit(limit)
    )
    async with database.read() as connection:
        rows = (await connection.execute(statement)).all()
    return [(CampaignId(row.campaign), ContactId(row.contact), CallId(row.call)) for row in rows]


async def pasts_since(database: Database, since: float) -> AsyncIterator[Past]:
    """The calls of every contact that was called since then, contact by contact; no transaction stays open."""
    column = attempts.c
    key: tuple[str, str] | None = None
    while True:
        wanted = [column.ended_at >= since, column.contact != _ERASED]
        if key is not None:
            wanted.append(tuple_(column.campaign, column.contact) > key)
        page = (
            select(column.campaign, column.contact)
            .where(*wanted)
            .group_by(column.campaign, column.contact)
            .order_by(column.campaign, column.contact)
            .limit(_PAGE)
        )
        async with database.read() as connection:
            pairs = [(row.campaign, row.contact) for row in (await connection.execute(page)).all()]
            if not pairs:
                return
            of_them = tuple_(column.campaign, column.contact).in_(pairs)
            ordered = (column.campaign, column.contact, column.ended_at, column.call)
            rows = (await connection.execute(_calls().where(of_them).order_by(*ordered))).all()
        found: dict[tuple[str, str], list[PastCall]] = {pair: [] for pair in pairs}
        for row in rows:
            found[row.campaign, row.contact].append(_call(row))
        for (campaign, contact), calls in found.items():
            yield Past(campaign=CampaignId(campaign), contact=ContactId(contact), calls=calls[-_MOST_CALLS:])
        key = pairs[-1]


def _calls() -> Select[Any]:
    column, given = attempts.c, dispositions.c
    later = dispositions.alias("later")
    latest = and_(
        given.call == column.call,
        ~exists().where(
            later.c.call == given.call, or_(later.c.at > given.at, and_(later.c.at == given.at, later.c.id > given.id))
        ),
    )
    return select(
        column.campaign,
        column.contact,
        column.call,
        column.phone,
        column.started_at,
        column.ended_at,
        column.outcome,
        given.at.label("coded_at"),
        given.category,
        given.is_sale,
        given.is_contact,
    ).select_from(attempts.outerjoin(dispositions, latest))


def _call(row: Row[Any]) -> PastCall:
    return PastCall(
        call=CallId(row.call),
        phone=Phone(row.phone),
        started_at=row.started_at,
        ended_at=row.ended_at,
        outcome=Outcome(row.outcome),
        coded_at=row.coded_at,
        category=row.category,
        is_sale=bool(row.is_sale),
        is_contact=bool(row.is_contact),
    )


def _firing(row: Row[Any]) -> Firing:
    return Firing(
        rule=row.rule,
        campaign=CampaignId(row.campaign),
        contact=ContactId(row.contact),
        at=row.at,
        action=row.action,
        call=None if row.call is None else CallId(row.call),
        why=from_record(row.why, row.why_told),
        details=row.details,
        state=FiringState(row.state),
        problem=from_record(row.problem, row.problem_told),
    )
