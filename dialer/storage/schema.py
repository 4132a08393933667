"""The version of the tables: what a database has, what this program needs, and the way from one to the other.

Versions are numbers of four digits, the first two of which are the line. Within a line tables are only added to, so
that a program works on those of any later version of its line as well (docs/adr/0021).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import text
from sqlalchemy.engine import Connection

from dialer.errors import ConfigError, StorageError
from dialer.storage.database import Database

MIGRATIONS: Final = Path(__file__).parent / "migrations"
#: Key of the advisory lock under which one process migrates while the others wait ("cadencia" in ASCII, 63 bits).
_LOCK: Final = 0x63616465_6E636961
_LINE_DIGITS: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaVersion:
    """Which version of the tables a database has."""

    #: None: it has no tables of ours.
    current: str | None
    head: str

    @property
    def ready(self) -> bool:
        """Whether this program can work with it."""
        return self.current == self.head or self.newer

    @property
    def newer(self) -> bool:
        """Whether a later version of the same line has made it."""
        found = self.current
        return found is not None and found > self.head and line(found) == line(self.head)


def line(version: str) -> str:
    """The line of a version."""
    return version[:_LINE_DIGITS]


def head() -> str:
    """The version that this program needs."""
    revision = ScriptDirectory(str(MIGRATIONS)).get_current_head()
    assert revision is not None, "the package has no migration"
    return revision


async def version(database: Database) -> SchemaVersion:
    """Compare.

    Raises:
        StorageError: out of reach.
    """
    async with database.read() as connection:
        current = await connection.run_sync(_current)
    return SchemaVersion(current=current, head=head())


async def require(database: Database) -> None:
    """Make sure that the tables are those of this program.

    Raises:
        StorageError: they are not, or the database is out of reach; the text says what to do.
    """
    found = await version(database)
    if not found.ready:
        raise StorageError(
            f"database {database.where}: its tables are of version {found.current or 'none'}, "
            f"this program needs {found.head}: run `cadencia db upgrade`",
            retryable=False,
        )


async def migrate(database: Database) -> SchemaVersion:
    """Bring the tables to `head`, in one transaction; nothing happens where they are there already, or further.

    Several nodes may do this at once: one migrates, the others wait for it.

    Returns:
        What was found before.

    Raises:
        ConfigError: the folder of the SQLite file cannot be made.
        StorageError: out of reach, or the tables are of a later line than this program's.
    """
    if database.path is not None:
        folder = database.path.parent
        try:
            await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"cannot make the folder {folder} of database.url: {error.strerror}") from error
    async with database.write() as connection:
        if database.dialect == "postgresql":
            await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        before = await connection.run_sync(_current)
        found = SchemaVersion(current=before, head=head())
        if found.ready:
            return found
        try:
            await connection.run_sync(_upgrade)
        except CommandError as error:
            raise StorageError(
                f"database {database.where}: its tables are of version {before}, which this program does not know: "
                "it was made by a newer Cadencia; install that one",
                retryable=False,
            ) from error
    return found


def upgrade(url: str) -> SchemaVersion:
    """`migrate` for callers without an event loop; the same promise and errors."""

    async def run() -> SchemaVersion:
        database = Database(url)
        try:
            return await migrate(database)
        finally:
            await database.close()

    return asyncio.run(run())


def _current(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _upgrade(connection: Connection) -> None:
    config = Config()
    # An installed package may lie in a path with a percent sign, which alembic's ini format would interpolate.
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
