"""Migrations make exactly the tables of the metadata, once, on both databases, and say what is wrong otherwise."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, text
from sqlalchemy.engine import Connection

from dialer.core.ids import CampaignId
from dialer.errors import ConfigError, StorageError
from dialer.storage.campaigns import Campaigns
from dialer.storage.database import Database
from dialer.storage.schema import head, line, migrate, require, version
from dialer.storage.tables import metadata


@pytest.fixture
async def empty(empty_database_url: str) -> AsyncIterator[Database]:
    """A database without tables; its folder may be missing too."""
    opened = Database(empty_database_url)
    yield opened
    await opened.close()


def _described(connection: Connection) -> dict[str, Any]:
    """Everything that the database says about its tables."""
    inspector = inspect(connection)
    tables: dict[str, Any] = {}
    for name in inspector.get_table_names():
        if name == "alembic_version":
            continue
        tables[name] = {
            "columns": {
                column["name"]: (str(column["type"]), column["nullable"], column["default"])
                for column in inspector.get_columns(name)
            },
            "key": inspector.get_pk_constraint(name),
            "indexes": sorted(map(dict, inspector.get_indexes(name)), key=lambda index: str(index["name"])),
            "unique": sorted(map(dict, inspector.get_unique_constraints(name)), key=lambda unique: str(unique["name"])),
            "foreign": inspector.get_foreign_keys(name),
        }
    return tables


def _differences(connection: Connection) -> list[Any]:
    context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
    return list(compare_metadata(context, metadata))


async def test_migrations_make_exactly_the_metadata(empty: Database) -> None:
    found = await migrate(empty)
    assert (found.current, found.head) == (None, head())
    async with empty.read() as connection:
        assert await connection.run_sync(_differences) == []
        migrated = await connection.run_sync(_described)
    assert set(migrated) == set(metadata.tables)
    async with empty.write() as connection:
        await connection.run_sync(metadata.drop_all)
        await connection.run_sync(metadata.create_all)
    async with empty.read() as connection:
        assert await connection.run_sync(_described) == migrated


async def test_second_upgrade_changes_nothing(empty: Database) -> None:
    await migrate(empty)
    from dialer.core.campaign import Campaign

    await Campaigns(empty).create(Campaign(id=CampaignId("winter")), now=1.0)
    again = await migrate(empty)
    assert again.ready
    assert await Campaigns(empty).get(CampaignId("winter")) is not None
    assert (await version(empty)).ready
    await require(empty)


async def test_two_nodes_upgrade_at_once(empty: Database, empty_database_url: str) -> None:
    if empty.path is not None:
        empty.path.parent.mkdir(parents=True)
    other = Database(empty_database_url)
    try:
        found = await asyncio.gather(migrate(empty), migrate(other))
    finally:
        await other.close()
    assert sorted(str(each.current) for each in found) == sorted(["None", head()])


async def test_missing_tables_are_named_with_the_cure(empty: Database) -> None:
    if empty.path is not None:
        empty.path.parent.mkdir(parents=True)
    assert (await version(empty)).current is None
    with pytest.raises(StorageError, match="cadencia db upgrade") as caught:
        await require(empty)
    assert not caught.value.retryable
    with pytest.raises(StorageError, match="cadencia db upgrade") as caught:
        await Campaigns(empty).all()
    assert not caught.value.retryable


async def test_tables_of_a_later_version_of_the_line_will_do(empty: Database) -> None:
    await migrate(empty)
    later = f"{line(head())}99"
    async with empty.write() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = :later"), {"later": later})
    await require(empty)
    assert (await migrate(empty)).newer
    found = await version(empty)
    assert (found.current, found.ready) == (later, True)


async def test_tables_of_an_earlier_version_will_not(empty: Database) -> None:
    await migrate(empty)
    async with empty.write() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    assert not (await version(empty)).ready
    with pytest.raises(StorageError, match="cadencia db upgrade"):
        await require(empty)


async def test_tables_of_another_line_are_left_alone(empty: Database) -> None:
    await migrate(empty)
    async with empty.write() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    assert not (await version(empty)).ready
    with pytest.raises(StorageError, match="cadencia db upgrade"):
        await require(empty)
    with pytest.raises(StorageError, match="newer Cadencia"):
        await migrate(empty)
    assert (await version(empty)).current == "9999"


async def test_failed_migration_leaves_nothing_behind(empty: Database) -> None:
    await migrate(empty)
    async with empty.write() as connection:
        await connection.execute(text("DROP TABLE agents"))
        await connection.execute(text("DELETE FROM alembic_version"))
    # The first version makes its tables from the beginning, and one of them is there.
    with pytest.raises(StorageError):
        await migrate(empty)
    async with empty.read() as connection:
        assert "agents" not in await connection.run_sync(_described)


async def test_folder_that_cannot_be_made_is_named(tmp_path: Any) -> None:
    (tmp_path / "file").write_text("in the way")
    database = Database(f"sqlite:///{tmp_path / 'file' / 'x.db'}")
    with pytest.raises(ConfigError, match="cannot make the folder"):
        await migrate(database)
    await database.close()
