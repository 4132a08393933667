"""How far the gate had come, kept outside of Redis: so that one that lost its memory can be told from an older one."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import case, select
from sqlalchemy.dialects import postgresql, sqlite

from dialer.storage.database import Database
from dialer.storage.tables import gate_marks


@dataclass(frozen=True, slots=True, kw_only=True)
class GateMark:
    """The state of one installation's gate."""

    #: Key prefix of the queues.
    name: str
    #: ``run_id`` of the Redis server that last was known to hold the whole record.
    run_id: str
    #: Grows with every rebuild.
    generation: int
    #: No permit with a higher one was seen; a rebuilt Redis must go on above.
    fencing_token: int


class GateMarks:
    """The marks of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, name: str) -> GateMark | None:
        """The mark of one installation, or None before the first."""
        async with self._database.read() as connection:
            row = (await connection.execute(select(gate_marks).where(gate_marks.c.name == name))).one_or_none()
        if row is None:
            return None
        return GateMark(name=row.name, run_id=row.run_id, generation=row.generation, fencing_token=row.fencing_token)

    async def raise_to(self, mark: GateMark, now: float) -> None:
        """Note a mark. Generation and fencing token never go down; the run id is that of the highest generation."""
        table = gate_marks
        insert = sqlite.insert(table) if self._database.dialect == "sqlite" else postgresql.insert(table)
        new, old = insert.excluded, table.c
        statement = insert.on_conflict_do_update(
            index_elements=["name"],
            set_={
                "run_id": case((new.generation >= old.generation, new.run_id), else_=old.run_id),
                "generation": case((new.generation >= old.generation, new.generation), else_=old.generation),
                "fencing_token": case(
                    (new.fencing_token >= old.fencing_token, new.fencing_token), else_=old.fencing_token
                ),
                "updated_at": new.updated_at,
            },
        )
        row = {
            "name": mark.name,
            "run_id": mark.run_id,
            "generation": mark.generation,
            "fencing_token": mark.fencing_token,
            "updated_at": now,
        }
        async with self._database.write() as connection:
            await connection.execute(statement, row)

    async def raise_token(self, name: str, fencing_token: int, now: float) -> None:
        """Note a fencing token that was seen; what else the mark holds stays."""
        known = await self.get(name)
        if known is None or known.fencing_token < fencing_token:
            mark = GateMark(
                name=name,
                run_id="" if known is None else known.run_id,
                generation=0 if known is None else known.generation,
                fencing_token=fencing_token,
            )
            await self.raise_to(mark, now)
