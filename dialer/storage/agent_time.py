"""How agents spent their time: spells, written once or again with a later end, added up by the reports."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import delete, select

from dialer.core.agent_spell import AgentSpell
from dialer.storage.database import Database
from dialer.storage.inserts import upsert
from dialer.storage.tables import agent_time

#: Rows that one transaction deletes: it must not hold up the writers of attempts.
DELETE_AT_ONCE: Final = 2_000


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
