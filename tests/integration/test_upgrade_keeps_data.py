"""From every earlier version of the tables to this one, step by step: nothing that was in them is lost or changed."""

from __future__ import annotations

import pytest
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine
from sqlalchemy.engine import Connection

from dialer.storage.database import Database
from dialer.storage.schema import MIGRATIONS, head
from tests.databases import PostgresServer
from tests.every_table import Content, content_of, fill_tables


def revisions() -> list[str]:
    """All of them, the first one first."""
    return [each.revision for each in ScriptDirectory(str(MIGRATIONS)).walk_revisions()][::-1]


def lost(before: Content, after: Content) -> list[str]:
    """What of `before` is not in `after` any more; columns that were added do not count."""
    found = []
    for table, rows in before.items():
        if len(after.get(table, [])) != len(rows):
            found.append(f"{table}: {len(rows)} rows, now {len(after.get(table, []))}")
            continue
        kept = [{column: now.get(column) for column in rows[0]} for now in after[table]] if rows else []
        found += [f"{table}: {row}" for row in rows if row not in kept]
    return found


def walk(connection: Connection) -> None:
    """As `schema.migrate` does, but one version at a time, each with rows in all of its tables."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    before: Content = {}
    for revision in revisions():
        command.upgrade(config, revision)
        assert lost(before, content_of(connection)) == [], revision
        # What this version added is filled as well, so that the later ones must keep it.
        fill_tables(connection, leave=frozenset(before))
        before = content_of(connection)
        assert all(before.values()), revision
    assert MigrationContext.configure(connection).get_current_revision() == head()


def test_every_upgrade_of_sqlite_keeps_what_is_there() -> None:
    engine = create_engine("sqlite://")
    try:
        with engine.begin() as connection:
            walk(connection)
    finally:
        engine.dispose()


@pytest.mark.postgres
async def test_every_upgrade_of_postgresql_keeps_what_is_there(postgres_server: PostgresServer) -> None:
    name = postgres_server.create(template="template0")
    database = Database(postgres_server.url(name))
    try:
        async with database.write() as connection:
            await connection.run_sync(walk)
    finally:
        await database.close()
        postgres_server.drop(name)
