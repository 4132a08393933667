"""Agents as they are set up; where they stand at the moment is the engine's business."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, delete, select

from dialer.core.ids import AgentId
from dialer.storage.database import Database
from dialer.storage.inserts import upsert
from dialer.storage.tables import agents


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAgent:
    """One agent."""

    id: AgentId
    name: str = ""
    #: Extension or number of the phone, as the server's `agent_dial` wants it.
    phone: str = ""
    skills: frozenset[str] = frozenset()
    #: Of two who have been idle equally long the higher one gets the call.
    priority: int = 0


class Agents:
    """All agents of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def save(self, agent: StoredAgent, now: float) -> None:
        """Add an agent, or replace the one with this id."""
        row = {
            "id": agent.id,
            "name": agent.name,
            "phone": agent.phone,
            "skills": sorted(agent.skills),
            "priority": agent.priority,
            "updated_at": now,
        }
        async with self._database.write() as connection:
            await connection.execute(upsert(self._database.dialect, agents), row)

    async def get(self, agent: AgentId) -> StoredAgent | None:
        """One agent, or None."""
        async with self._database.read() as connection:
            row = (await connection.execute(select(agents).where(agents.c.id == agent))).one_or_none()
        return None if row is None else _agent(row)

    async def all(self) -> list[StoredAgent]:
        """Every agent, by id."""
        async with self._database.read() as connection:
            return [_agent(row) for row in (await connection.execute(select(agents).order_by(agents.c.id))).all()]

    async def delete(self, agent: AgentId) -> bool:
        """Forget an agent; their calls stay on record. False where there is none."""
        async with self._database.write() as connection:
            return (await connection.execute(delete(agents).where(agents.c.id == agent))).rowcount == 1


def _agent(row: Row[Any]) -> StoredAgent:
    return StoredAgent(
        id=AgentId(row.id), name=row.name, phone=row.phone, skills=frozenset(row.skills), priority=row.priority
    )
