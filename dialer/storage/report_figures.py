"""The figures of reports, added up in the database: calls with their latest code, and the time of agents.

Both databases give the very same figures: durations are made whole milliseconds before they are added, amounts are
added here as decimals, and days and hours follow from the offsets of their zone, which are handed in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Integer,
    Row,
    Select,
    and_,
    case,
    exists,
    func,
    literal,
    null,
    or_,
    select,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from dialer.compliance.machine_error import says_machine
from dialer.core.agent import AgentState
from dialer.core.ids import CampaignId
from dialer.core.outcome import LIVE, Outcome
from dialer.errors import InputError
from dialer.reporting.figures import AgentTime, Figures
from dialer.reporting.order import MAX_ROWS, Dimension, ReportOrder
from dialer.storage.answer_counts import LATE
from dialer.storage.database import Database
from dialer.storage.tables import agent_time, attempts, contacts, dispositions
from dialer.storage.tenants import of_tenants_campaigns

#: What tells one row from another, in the order of ``ReportOrder.by``; None where there is nothing, such as no agent.
Key = tuple[str | int | None, ...]
#: Rows that the database may answer with: some codes, outcomes and amounts for each row of the report.
_MAX_GROUPS: Final = 500_000
_LIVE: Final = frozenset(outcome.value for outcome in LIVE)
_DAY_S: Final = 86_400.0
_HOUR_S: Final = 3_600.0

#: Offset from UTC in seconds, each with the moment from which it holds (`dialer.reporting.local_time.offsets`).
Offsets = Sequence[tuple[float, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalTimes:
    """Whose days and hours count: one zone for all, but for campaigns that have their own."""

    default: Offsets
    campaigns: Mapping[CampaignId, Offsets] = field(default_factory=dict)


class _Whole(FunctionElement[int]):
    """A number that is not negative, without what stands behind the point."""

    type = BigInteger()
    inherit_cache = True
    name = "whole"


@compiles(_Whole)
def _whole(element: _Whole, compiler: SQLCompiler, **options: Any) -> str:
    # PostgreSQL's own cast would round.
    return f"CAST(FLOOR({compiler.process(element.clauses, **options)}) AS BIGINT)"


@compiles(_Whole, "sqlite")
def _whole_sqlite(element: _Whole, compiler: SQLCompiler, **options: Any) -> str:
    # FLOOR is not in every SQLite; its cast cuts.
    return f"CAST({compiler.process(element.clauses, **options)} AS INTEGER)"


def _ms(begin: ColumnElement[Any], end: ColumnElement[Any]) -> ColumnElement[Any]:
    """Whole milliseconds between two moments, 0 where one of them never came or the clock went backwards."""
    between = case((end > begin, end - begin), else_=literal(0.0))
    return func.coalesce(func.sum(_Whole(between * 1_000.0 + 0.5)), 0)


async def report_figures(database: Database, order: ReportOrder, times: LocalTimes) -> dict[Key, Figures]:
    """The figures of a report, by what it is told apart by.

    Raises:
        InputError: it would have more than `MAX_ROWS` rows.
        StorageError: the database refused or is out of reach.
    """
    found: dict[Key, Figures] = {}
    async with database.read() as connection:
        calls = await connection.stream(_calls(order, times))
        groups = 0
        async for row in calls:
            groups += 1
            _bounded(found, groups)
            key = _key(order, row)
            found[key] = found.get(key, Figures()) + _of_calls(row)
        if order.staffed:
            spells = await connection.execute(_spells(order, times))
            found = {key: Figures(agents=AgentTime()) + figures for key, figures in found.items()}
            for row in spells:
                groups += 1
                _bounded(found, groups)
                key = _key(order, row)
                found[key] = found.get(key, Figures()) + Figures(agents=_of_spells(row))
        if order.loaded:
            for row in await connection.execute(_lists(order)):
                key = _key(order, row)
                if key in found or not order.lists:
                    found[key] = found.get(key, Figures()) + Figures(loaded=int(row.loaded), called=int(row.called))
    return {key: found[key] for key in sorted(found, key=_in_order)}


def _bounded(found: Mapping[Key, Figures], groups: int) -> None:
    if len(found) > MAX_ROWS or groups > _MAX_GROUPS:
        raise InputError(f"by: the report would have more than {MAX_ROWS} rows; ask for less time, or by less")


def _in_order(key: Key) -> tuple[tuple[bool, int, str], ...]:
    """Numbers as numbers, texts as texts, and what there is not at the end."""
    return tuple((part is None, part if isinstance(part, int) else 0, str(part)) for part in key)


# ---- calls


def _calls(order: ReportOrder, times: LocalTimes) -> Select[Any]:
    column = attempts.c
    later = dispositions.alias("later")
    latest = and_(
        dispositions.c.call == column.call,
        ~exists().where(
            later.c.call == dispositions.c.call,
            or_(
                later.c.at > dispositions.c.at,
                and_(later.c.at == dispositions.c.at, later.c.id > dispositions.c.id),
            ),
        ),
    )
    source = attempts.outerjoin(dispositions, latest)
    if Dimension.LIST in order.by or order.lists:
        of = and_(contacts.c.campaign == column.campaign, contacts.c.id == column.contact)
        source = source.outerjoin(contacts, of)
    wanted: list[ColumnElement[bool]] = [column.ended_at >= order.since, column.ended_at < order.until]
    if order.tenant:
        wanted.append(of_tenants_campaigns(column.campaign, order.tenant))
    if order.campaigns:
        wanted.append(column.campaign.in_(sorted(order.campaigns)))
    if order.lists:
        wanted.append(contacts.c.list.in_(sorted(order.lists)))
    if order.agents:
        wanted.append(column.agent.in_(sorted(order.agents)))
    if order.outcomes:
        wanted.append(column.outcome.in_(sorted(outcome.value for outcome in order.outcomes)))
    local = column.ended_at + _offset(column.campaign, column.ended_at, times)
    groups = [
        *_dimensions(
            order,
            {
                Dimension.CAMPAIGN: column.campaign,
                Dimension.LIST: contacts.c.list,
                Dimension.AGENT: column.agent,
                Dimension.OUTCOME: column.outcome,
            },
            local,
        ),
        column.outcome.label("group_outcome"),
        column.answered_at.is_not(None).label("was_answered"),
        case((LATE, 1), else_=0).label("was_late"),
        column.machine_sampled.label("was_sampled"),
        dispositions.c.code.label("code"),
        dispositions.c.category.label("category"),
        dispositions.c.is_sale.label("is_sale"),
        dispositions.c.is_contact.label("is_contact"),
        dispositions.c.amount.label("amount"),
        dispositions.c.currency.label("currency"),
    ]
    return (
        select(
            *groups,
            func.count().label("calls"),
            _ms(column.connected_at, column.ended_at).label("talk_ms"),
            _ms(column.answered_at, column.ended_at).label("line_ms"),
            _ms(column.answered_at, column.connected_at).label("wait_ms"),
            _ms(column.answered_at, case((column.cost_micros.is_not(None), column.ended_at))).label("rated_ms"),
            func.coalesce(func.sum(column.cost_micros), 0).label("rated_micros"),
        )
        .select_from(source)
        .where(*wanted)
        .group_by(*[group.name for group in groups])
    )


def _of_calls(row: Row[Any]) -> Figures:
    """Calls that have everything in common that counts."""
    calls, outcome = int(row.calls), str(row.group_outcome)
    coded = row.code is not None
    machine = coded and (row.category == "machine" or says_machine(row.code))
    connected = outcome == Outcome.CONNECTED.value
    # As `answer_counts` counts for the law: a sampled call of which the agent said "machine" is no live answer.
    live = bool(row.was_answered) and outcome in _LIVE and not (row.was_sampled and coded and says_machine(row.code))
    lost = outcome in _LIVE and not connected
    # Without a code, or with one that says nothing, whoever talked with an agent was the one who was meant.
    reached = (not machine if row.is_contact is None else bool(row.is_contact)) if coded else True
    sale, promise = coded and bool(row.is_sale), coded and row.category == "promise"
    amounts = _amounts(row, calls)
    return Figures(
        attempts=calls,
        answered=calls if row.was_answered else 0,
        live_answers=calls if live else 0,
        abandoned=calls if live and (outcome == Outcome.ABANDONED.value or row.was_late) else 0,
        connected=calls if connected else 0,
        contacts=calls if connected and reached else 0,
        disposed=calls if coded else 0,
        sales=calls if sale else 0,
        promises=calls if promise else 0,
        amounts=amounts if sale else {},
        promised=amounts if promise and not sale else {},
        talk_ms=int(row.talk_ms),
        line_ms=int(row.line_ms),
        rated_ms=int(row.rated_ms),
        rated_micros=int(row.rated_micros),
        wait_ms=int(row.wait_ms) if connected else 0,
        lost_wait_ms=int(row.line_ms) if lost else 0,
        lost=calls if lost else 0,
    )


def _amounts(row: Row[Any], calls: int) -> dict[str, Decimal]:
    if row.amount is None:
        return {}
    try:
        amount = Decimal(row.amount)
    except InvalidOperation:
        return {}  # of a time when amounts were not checked
    return {row.currency or "": amount * calls} if amount.is_finite() else {}


# ---- agents


def _spells(order: ReportOrder, times: LocalTimes) -> Select[Any]:
    column = agent_time.c
    wanted: list[ColumnElement[bool]] = [column.began_at >= order.since, column.began_at < order.until]
    if order.tenant:
        wanted.append(of_tenants_campaigns(column.campaign, order.tenant))
    if order.campaigns:
        wanted.append(column.campaign.in_(sorted(order.campaigns)))
    if order.agents:
        wanted.append(column.agent.in_(sorted(order.agents)))
    local = column.began_at + _offset(column.campaign, column.began_at, times)
    groups = _dimensions(order, {Dimension.CAMPAIGN: column.campaign, Dimension.AGENT: column.agent}, local)
    sums = [
        func.coalesce(func.sum(case((column.state == state.value, column.ms), else_=0)), 0).label(f"{state.value}_ms")
        for state in _COUNTED
    ]
    statement = select(*groups, *sums).where(*wanted)
    return statement.group_by(*[group.name for group in groups])


_COUNTED: Final = (
    AgentState.IDLE,
    AgentState.RESERVED,
    AgentState.TALKING,
    AgentState.WRAPUP,
    AgentState.PAUSED,
)


def _of_spells(row: Row[Any]) -> AgentTime:
    return AgentTime(
        idle_ms=int(row.idle_ms),
        reserved_ms=int(row.reserved_ms),
        talking_ms=int(row.talking_ms),
        wrapup_ms=int(row.wrapup_ms),
        paused_ms=int(row.paused_ms),
    )


# ---- lists


def _lists(order: ReportOrder) -> Select[Any]:
    column = contacts.c
    wanted: list[ColumnElement[bool]] = []
    if order.tenant:
        wanted.append(of_tenants_campaigns(column.campaign, order.tenant))
    if order.campaigns:
        wanted.append(column.campaign.in_(sorted(order.campaigns)))
    if order.lists:
        wanted.append(column.list.in_(sorted(order.lists)))
    groups = _dimensions(order, {Dimension.CAMPAIGN: column.campaign, Dimension.LIST: column.list}, null())
    called = func.coalesce(func.sum(case((column.attempts > 0, 1), else_=0)), 0)
    statement = select(*groups, func.count().label("loaded"), called.label("called")).where(*wanted)
    return statement.group_by(*[group.name for group in groups])


# ---- what rows are told apart by


def _dimensions(
    order: ReportOrder, columns: Mapping[Dimension, ColumnElement[Any]], local: ColumnElement[Any]
) -> list[Any]:
    derived: dict[Dimension, ColumnElement[Any]] = {
        Dimension.DAY: _Whole(local / _DAY_S),
        Dimension.HOUR: _Whole(local / _HOUR_S) - 24 * _Whole(local / _DAY_S),
    }
    return [(columns.get(each, derived.get(each, null()))).label(f"by_{each.value}") for each in order.by]


def _key(order: ReportOrder, row: Row[Any]) -> Key:
    parts: list[str | int | None] = []
    for each in order.by:
        value = row._mapping[f"by_{each.value}"]
        parts.append(int(value) if each in {Dimension.DAY, Dimension.HOUR} else value or None)
    return tuple(parts)


def _offset(campaign: ColumnElement[Any], at: ColumnElement[Any], times: LocalTimes) -> ColumnElement[Any]:
    """Seconds by which the zone that counts is ahead at that moment."""
    by_offsets: dict[tuple[tuple[float, int], ...], list[CampaignId]] = {}
    for name, offsets in times.campaigns.items():
        by_offsets.setdefault(tuple(offsets), []).append(name)
    rows = [(campaign.in_(sorted(names)), _ahead(at, offsets)) for offsets, names in by_offsets.items()]
    default = _ahead(at, times.default)
    return case(*rows, else_=default) if rows else default


def _ahead(at: ColumnElement[Any], offsets: Offsets) -> ColumnElement[Any]:
    first, *others = offsets
    if not others:
        return literal(first[1], Integer)
    rows = [(at >= moment, literal(seconds, Integer)) for moment, seconds in reversed(others)]
    return case(*rows, else_=literal(first[1], Integer))
