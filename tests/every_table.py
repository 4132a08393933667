"""A row or two in every table that a database has, whatever its version, and what is in them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Double, Float, Integer, MetaData, Numeric, Table, insert, inspect
from sqlalchemy.engine import Connection
from sqlalchemy.types import JSON, LargeBinary

from dialer.storage.database import Database

ROWS = 2
#: Name of a table -> its rows, each by its columns.
Content = dict[str, list[dict[str, Any]]]


async def fill(database: Database, leave: frozenset[str] = frozenset()) -> None:
    """Put rows into every table but those of `leave`."""
    async with database.write() as connection:
        await connection.run_sync(fill_tables, leave)


async def content(database: Database) -> Content:
    """Everything that is in the database."""
    async with database.read() as connection:
        return await connection.run_sync(content_of)


def fill_tables(connection: Connection, leave: frozenset[str] = frozenset()) -> None:
    """The same in a transaction that is open."""
    wanted = [name for name in inspect(connection).get_table_names() if name not in leave | {"alembic_version"}]
    found = MetaData()
    # Those that they refer to come along.
    found.reflect(connection, only=wanted)
    for table in found.sorted_tables:
        if table.name in wanted:
            for number in range(1, ROWS + 1):
                row = {column.name: value_of(table, column, number) for column in table.columns}
                connection.execute(insert(table), row)


def value_of(table: Table, column: Column[Any], number: int) -> Any:
    """What the row with that number has in a column; what refers to another table refers to its row with the number."""
    for key in column.foreign_keys:
        return value_of(key.column.table, key.column, number)
    kind = column.type
    if isinstance(kind, Boolean):
        return number % 2 == 0
    if isinstance(kind, JSON):
        return {"of": f"{table.name}.{column.name}", "number": number, "texts": ["ñandú", "山"]}
    if isinstance(kind, Integer | BigInteger):
        return number
    if isinstance(kind, Double | Float | Numeric):
        return 1_700_000_000.25 + number
    if isinstance(kind, LargeBinary):
        return bytes([number, 0, 255])
    return f"{table.name}.{column.name} {number} ñ"


def content_of(connection: Connection) -> Content:
    """The same in a transaction that is open."""
    # As they stand: reading by types would take ten times as long.
    quote = connection.dialect.identifier_preparer.quote
    found: Content = {}
    for name in inspect(connection).get_table_names():
        if name != "alembic_version":
            rows = connection.exec_driver_sql(f"SELECT * FROM {quote(name)}").mappings()
            found[name] = sorted((dict(row) for row in rows), key=repr)
    return found
