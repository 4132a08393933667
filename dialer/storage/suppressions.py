"""Keyed hashes of the numbers of people who were erased."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import func, select

from dialer.storage.database import Database
from dialer.storage.inserts import insert_once
from dialer.storage.tables import suppressions


class SuppressionStore:
    """Those of one database; one that is there is never taken out."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, hashes: Sequence[str], at: float) -> None:
        """Remember numbers by their hashes; those known stay as they are.

        Raises:
            StorageError: the database refused or is out of reach; none is remembered.
        """
        rows = [{"hash": digits, "at": at} for digits in sorted(set(hashes))]
        async with self._database.write() as connection:
            await connection.execute(insert_once(self._database.dialect, suppressions), rows)

    async def all(self) -> list[str]:
        """Every hash.

        Raises:
            StorageError: the database refused or is out of reach.
        """
        async with self._database.read() as connection:
            return list((await connection.execute(select(suppressions.c.hash))).scalars())

    async def count(self) -> int:
        """How many there are.

        Raises:
            StorageError: the database refused or is out of reach.
        """
        async with self._database.read() as connection:
            return int((await connection.execute(select(func.count()).select_from(suppressions))).scalar_one())
