"""The table of shards that an installation goes by: a node whose settings have another one must not dial."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import delete, func, insert, select

from dialer.core.shards import Shards
from dialer.errors import ConfigError
from dialer.storage.database import Database
from dialer.storage.gate_marks import GateMarks
from dialer.storage.tables import gate_marks, shards

_ADOPT: Final = "stop all nodes and workers, then run `cadencia shards adopt`"


class ShardTable:
    """That of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self) -> list[tuple[str, tuple[str, ...]]]:
        """As `dialer.core.shards.Shards.as_rows`; empty: there is one Redis."""
        async with self._database.read() as connection:
            rows = (await connection.execute(select(shards.c.name, shards.c.campaigns))).all()
        return sorted((row.name, tuple(row.campaigns)) for row in rows)

    async def require(self, own: Shards) -> None:
        """Make sure that the settings have the table that the installation goes by.

        Raises:
            ConfigError: they have another one; says what to do.
            StorageError: the database is out of reach.
        """
        known = await self.get()
        if known == own.as_rows():
            return
        if not known:
            raise ConfigError(f"[[redis.shards]] are new to this installation: {_ADOPT}")
        if not own.several:
            raise ConfigError(
                f"this installation has the shards {_names(known)}, and the settings have none: add [[redis.shards]] "
                f"as on its other nodes; or, to change them, {_ADOPT}"
            )
        raise ConfigError(
            f"[[redis.shards]] are not those of this installation ({_names(known)}): write them as on its other nodes; "
            f"or, to change them, {_ADOPT}"
        )

    async def adopt(self, own: Shards, marks: Sequence[str], now: float) -> None:
        """Go by another table from now on; no node may be at work.

        Args:
            own: from the settings.
            marks: names of the Redis of its shards in the record (`dialer.settings.Redis.gate`).
            now: unix seconds.

        Raises:
            StorageError: the database is out of reach; nothing, or not everything, was done: do it again.
        """
        rows = [{"name": name, "campaigns": list(campaigns), "adopted_at": now} for name, campaigns in own.as_rows()]
        # Wherever a campaign was before, its calls had lower fencing tokens than it will have.
        async with self._database.read() as connection:
            highest = (await connection.execute(select(func.max(gate_marks.c.fencing_token)))).scalar_one_or_none()
        for mark in marks:
            await GateMarks(self._database).raise_token(mark, highest or 0, now)
        async with self._database.write() as connection:
            await connection.execute(delete(shards))
            if rows:
                await connection.execute(insert(shards), rows)


def _names(rows: Sequence[tuple[str, Sequence[str]]]) -> str:
    return "; ".join(f"{name}: {', '.join(campaigns)}" for name, campaigns in rows)
