"""How far results had come to those who read them, kept outside of Redis, which may forget some (docs/adr/0017)."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select, update
from sqlalchemy.dialects import postgresql, sqlite

from dialer.storage.database import Database
from dialer.storage.tables import gate_marks


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultMark:
    """What is known of one installation's stream of results."""

    #: Of the record that Redis held then (`dialer.queues.redis_queues.RedisQueues.generation`).
    generation: str
    #: Unix seconds: what was told until then has been acknowledged by every group that reads.
    read_until: float


class ResultMarks:
    """The marks of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, name: str) -> ResultMark | None:
        """The mark under a key prefix; None before the first."""
        column = gate_marks.c
        statement = select(column.results_generation, column.results_read_until).where(column.name == name)
        async with self._database.read() as connection:
            row = (await connection.execute(statement)).one_or_none()
        if row is None or row.results_generation is None or row.results_read_until is None:
            return None
        return ResultMark(generation=row.results_generation, read_until=row.results_read_until)

    async def put(self, name: str, mark: ResultMark, now: float, *, after: ResultMark | None) -> bool:
        """Note a mark; False where the one that is there is of another loading than `after`: somebody was faster."""
        column = gate_marks.c
        first = {"name": name, "run_id": "", "generation": 0, "fencing_token": 0, "updated_at": now}
        insert = sqlite.insert if self._database.dialect == "sqlite" else postgresql.insert
        # Compared with None it becomes IS NULL.
        unchanged = column.results_generation == (None if after is None else after.generation)
        values = {"results_generation": mark.generation, "results_read_until": mark.read_until}
        async with self._database.write() as connection:
            if after is None:
                await connection.execute(insert(gate_marks).values(first).on_conflict_do_nothing())
            statement = update(gate_marks).where(column.name == name, unchanged).values(values)
            return (await connection.execute(statement)).rowcount == 1
