"""`INSERT … ON CONFLICT`, which SQLite and PostgreSQL share and generic SQL does not have."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Insert, Table
from sqlalchemy.dialects import postgresql, sqlite

from dialer.storage.database import Dialect


def insert_once(dialect: Dialect, table: Table) -> Insert:
    """An insert that leaves alone what is there already, by whichever unique constraint."""
    if dialect == "sqlite":
        return sqlite.insert(table).on_conflict_do_nothing()
    return postgresql.insert(table).on_conflict_do_nothing()


def upsert(dialect: Dialect, table: Table, *, newer: str | None = None, keep: Sequence[str] = ()) -> Insert:
    """An insert that updates the row with the same primary key.

    Args:
        dialect: of the database.
        table: into which.
        newer: column that decides between old and new: an older row never replaces a newer one.
        keep: columns that stay as they are where the row exists.
    """
    key = [column.name for column in table.primary_key]
    names = [column.name for column in table.columns if column.name not in key and column.name not in keep]
    statement = sqlite.insert(table) if dialect == "sqlite" else postgresql.insert(table)
    changes = {name: statement.excluded[name] for name in names}
    where = None if newer is None else statement.excluded[newer] >= table.c[newer]
    return statement.on_conflict_do_update(index_elements=key, set_=changes, where=where)
