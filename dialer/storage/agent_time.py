"""How agents spent their time: spells, written once or again with a later end, added up by the reports."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import case, delete, func, select

from dialer.core.agent import AgentState
from dialer.core.agent_spell import AgentSpell
from dialer.core.ids import CallId, CampaignId
from dialer.storage.database import Database
from dialer.storage.inserts import upsert
from dialer.storage.tables import agent_time

#: Rows that one transaction deletes: it must not hold up the writers of attempts.
DELETE_AT_ONCE: Final = 2_000
#: A wrap-up may begin that long after the talk did.
_LONGEST_TALK_S: Final = 6 * 3_600.0


class AgentTimes:
    """The spells of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def append(self, spells: Sequence[AgentSpell]) -> None:
        """Write spells; of one that is there already the later end counts, so a batch may come twice.

        Raises:
            RowRefused: one of them cannot be stored, and so none was.
            StorageError: the database refused or is out of reach; nothing was written.
        """
        if not spells:
            return
        rows = [
            {
                "agent": spell.agent,
                "began_at": spell.began_at,
                "campaign": spell.campaign,
                "state": spell.state.value,
                "ended_at": spell.ended_at,
                "ms": spell.ms,
                "call": spell.call,
                "reason": spell.reason,
            }
            for spell in sorted(spells, key=lambda spell: (spell.agent, spell.began_at, spell.campaign))
        ]
        statement = upsert(self._database.dialect, agent_time, newer="ended_at")
        async with self._database.write() as connection:
            await connection.execute(statement, rows)

    async def mean_wrapup_s(self, campaign: CampaignId, since: float) -> float | None:
        """Mean seconds of a campaign's wrap-ups that began since then; None where there was none.

        Raises:
            StorageError: the database refused or is out of reach.
        """
        column = agent_time.c
        # A wrap-up over the edge of a quarter of an hour is two spells of one call.
        statement = select(func.sum(column.ms), func.count(column.call.distinct())).where(
            column.campaign == campaign, column.state == AgentState.WRAPUP.value, column.began_at >= since
        )
        async with self._database.read() as connection:
            ms, calls = (await connection.execute(statement)).one()
        return float(ms) / calls / 1_000 if calls else None

    async def wrapups_s(self, campaign: CampaignId, since: float, until: float) -> dict[CallId, float]:
        """Seconds of wrap-up by call, of a campaign's talks that began from `since` to `until`; 0 where there was none.

        Calls whose talk is not on record are missing: nothing is known of their wrap-up.

        Raises:
            StorageError: the database refused or is out of reach.
        """
        column = agent_time.c
        wrapping = case((column.state == AgentState.WRAPUP.value, column.ms), else_=0)
        talked = case((column.state == AgentState.TALKING.value, 1), else_=0)
        statement = (
            select(column.call, func.sum(wrapping))
            .where(
                column.campaign == campaign,
                column.state.in_((AgentState.TALKING.value, AgentState.WRAPUP.value)),
                column.call.is_not(None),
                column.began_at >= since,
                column.began_at < until + _LONGEST_TALK_S,
            )
            .group_by(column.call)
            .having(func.sum(talked) > 0)
        )
        async with self._database.read() as connection:
            return {CallId(call): float(ms) / 1_000 for call, ms in await connection.execute(statement)}

    async def delete_before(self, at: float) -> int:
        """Delete some `DELETE_AT_ONCE` of the oldest spells that began before `at`; fewer means no more.

        Raises:
            StorageError: the database refused or is out of reach.
        """
        column = agent_time.c
        async with self._database.write() as connection:
            oldest = (
                select(column.began_at)
                .where(column.began_at < at)
                .order_by(column.began_at)
                .limit(1)
                .offset(DELETE_AT_ONCE - 1)
            )
            last = (await connection.execute(oldest)).scalar_one_or_none()
            # Up to the moment of the last that may go: others of the same moment go with it.
            condition = column.began_at < at if last is None else column.began_at <= last
            return (await connection.execute(delete(agent_time).where(condition))).rowcount
