"""The way to the database: one engine, read and write transactions, errors that say what to do.

``sqlite:///path`` and ``postgresql://user:secret@host/name`` are what an operator writes; drivers are our business.
"""

from __future__ import annotations

import asyncio
import sqlite3
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from threading import Thread
from typing import Any, Final, Literal
from weakref import WeakSet

import aiosqlite
from sqlalchemy import event, text
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from dialer.errors import ConfigError
from dialer.storage.failures import explained
from dialer.storage.field_seal import FieldSeal
from dialer.storage.text import from_json, to_json

Dialect = Literal["sqlite", "postgresql"]

_FORMS: Final = "sqlite:///path/to/cadencia.db or postgresql://user:password@host:5432/name"
#: What libpq writes as sslmode, asyncpg takes as ssl; the others it knows by the same name.
_POSTGRES_OPTIONS: Final = {
    "host": "host",
    "port": "port",
    "sslmode": "ssl",
    "ssl": "ssl",
    "sslrootcert": "sslrootcert",
    "prepared_statement_cache_size": "prepared_statement_cache_size",
}
#: Ways of `sslmode` that look at certificates where there is somebody to vouch for them, as libpq does, and the others.
_TLS_CHECKED: Final = ("require", "verify-ca", "verify-full")
_TLS_UNCHECKED: Final = ("disable", "allow", "prefer")
#: As `sslrootcert`: the authorities of the operating system.
_SYSTEM: Final = "system"
_WRITES: Final = "cadencia_writes"
#: A statement that was given up goes on to its end, such as waiting for another process's lock.
_THREAD_ENDS_WITHIN_S: Final = 10.0
_WAL_POLL_S: Final = 0.02
#: Whoever reads a whole table fills it, and each connection's thread keeps what it once had: five times this in a node.
CACHE_MB: Final = 8
#: For bulk loads, which put rows at random places of large indices.
BULK_CACHE_MB: Final = 32


def driver_url(url: str) -> URL:
    """The URL for SQLAlchemy with its asynchronous driver.

    Raises:
        ConfigError: not a database that is supported; the text does not repeat the URL, which may hold a password.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise ConfigError(f"database.url cannot be understood; it must be {_FORMS}") from error
    match parsed.get_backend_name():
        case "sqlite":
            if not parsed.database or parsed.database == ":memory:":
                raise ConfigError(
                    "database.url must name a file, such as sqlite:///var/cadencia.db: the record must last"
                )
            return parsed.set(drivername="sqlite+aiosqlite")
        case "postgresql" | "postgres":
            unknown = sorted(set(parsed.query) - set(_POSTGRES_OPTIONS))
            if unknown:
                raise ConfigError(f"database.url has an option that is not known: {', '.join(unknown)}")
            query = {_POSTGRES_OPTIONS[key]: value for key, value in parsed.query.items()}
            mode = query.get("ssl", "prefer")
            if mode not in (*_TLS_CHECKED, *_TLS_UNCHECKED):
                raise ConfigError(f"database.url: sslmode must be {', '.join(_TLS_UNCHECKED + _TLS_CHECKED)}")
            if query.get("sslrootcert") and mode not in _TLS_CHECKED:
                raise ConfigError(f"database.url: with sslrootcert sslmode must be {', '.join(_TLS_CHECKED)}")
            return parsed.set(drivername="postgresql+asyncpg", query=query)
        case other:
            raise ConfigError(f"database.url names {other!r}, which is not supported; it must be {_FORMS}")


def _vouched_for(mode: object, authorities: str) -> ssl.SSLContext:
    """TLS with a server for whom these authorities vouch: by its name as well, where the mode says so.

    Raises:
        ConfigError: the file of authorities cannot be used.
    """
    try:
        context = ssl.create_default_context(cafile=None if authorities == _SYSTEM else authorities)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"database.url: sslrootcert {authorities!r} cannot be used: {error}") from error
    context.check_hostname = mode == "verify-full"
    return context


class Database:
    """One database, shared by all repositories of a process. Connects when first used; `close` it at the end."""

    def __init__(
        self,
        url: str,
        *,
        pool_size: int = 5,
        busy_timeout_s: float = 10.0,
        cache_mb: int = CACHE_MB,
        seal: FieldSeal | None = None,
    ) -> None:
        """Prepare the engine; nothing is opened yet.

        Args:
            url: as in the settings.
            pool_size: connections kept open.
            busy_timeout_s: how long SQLite waits for another process's transaction, and PostgreSQL for a connection.
            cache_mb: memory for pages of SQLite's file, of each connection; a server has its own.
            seal: of what is kept sealed; None: nothing is sealed, and what is stays so (see `open_database`).

        Raises:
            ConfigError: `url` is not one of the forms that are supported.
        """
        target = driver_url(url)
        self.dialect: Dialect = "sqlite" if target.get_backend_name() == "sqlite" else "postgresql"
        #: The database as it may be shown: without password.
        self.where: str = target.set(drivername=self.dialect).render_as_string(hide_password=True)
        #: The SQLite file; None for a server.
        self.path: Path | None = Path(target.database or "") if self.dialect == "sqlite" else None
        #: File of those who vouch for the server's certificate, or "system"; empty: as libpq has it without one.
        self.authorities: str = str(target.query.get("sslrootcert", ""))
        options: dict[str, Any] = {"pool_size": pool_size, "max_overflow": 0, "pool_timeout": busy_timeout_s}
        self._threads: WeakSet[Thread] = WeakSet()
        self._busy_timeout_s = busy_timeout_s
        self._cache_mb = cache_mb
        if self.dialect == "sqlite":
            options["connect_args"] = {"async_creator_fn": self._open_sqlite}
        else:
            # A server that was restarted must not cost the first transaction after it.
            options["pool_pre_ping"] = True
            options["connect_args"] = {
                "timeout": busy_timeout_s,
                "command_timeout": 120.0,
                "server_settings": {"application_name": "cadencia"},
            }
            if self.authorities:
                options["connect_args"]["ssl"] = _vouched_for(target.query.get("ssl"), self.authorities)
                target = target.difference_update_query(["sslrootcert"])
        self.seal = seal
        #: The value of JSON text from a column that was read as text.
        self.load_json: Callable[[str], Any] = from_json if seal is None else seal.load
        self.engine: AsyncEngine = create_async_engine(
            target,
            json_serializer=to_json if seal is None else seal.dump,
            json_deserializer=self.load_json,
            hide_parameters=True,
            **options,
        )
        # SQLite has one writer at a time: its own transactions queue here, in order, rather than poll for the lock.
        self._writer: asyncio.Lock | None = asyncio.Lock() if self.dialect == "sqlite" else None
        if self.dialect == "sqlite":
            self._prepare_sqlite()

    def __repr__(self) -> str:
        return f"Database({self.where!r})"

    async def _open_sqlite(self, *args: Any, **options: Any) -> aiosqlite.Connection:
        connection = aiosqlite.connect(*args, **options)
        # A thread per connection; no public name for it, and SQLAlchemy's own opener reaches for it as well.
        connection._thread.daemon = True
        self._threads.add(connection._thread)
        opened = await connection
        try:
            # Counts only for a file that is being made; must stand before WAL. 8 KiB: 10 % faster bulk loads.
            await opened.execute_fetchall("PRAGMA page_size = 8192")
            await self._ask_for_wal(opened)
        except BaseException:
            await opened.close()
            raise
        return opened

    async def _ask_for_wal(self, connection: aiosqlite.Connection) -> None:
        """Of several processes that make the file at once, SQLite refuses all but one here, however long they'd wait.

        A change of the journal mode is the one statement for which `busy_timeout` does not count.
        """
        clock = asyncio.get_running_loop().time
        give_up_at = clock() + self._busy_timeout_s
        while True:
            try:
                await connection.execute_fetchall("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or clock() >= give_up_at:
                    raise
                await asyncio.sleep(_WAL_POLL_S)
            else:
                return

    def _prepare_sqlite(self) -> None:
        pragmas = (
            f"PRAGMA busy_timeout = {int(self._busy_timeout_s * 1_000)}",
            # NORMAL could lose, in a power cut, rows whose journal entries have been acknowledged.
            "PRAGMA synchronous = FULL",
            "PRAGMA foreign_keys = ON",
            f"PRAGMA cache_size = {-1_024 * self._cache_mb}",
        )

        @event.listens_for(self.engine.sync_engine, "connect")
        def connected(connection: Any, _: object) -> None:
            # The driver begins no transactions by itself: that would be too late for DDL and reads.
            connection.isolation_level = None
            cursor = connection.cursor()
            for pragma in pragmas:
                cursor.execute(pragma)
            cursor.close()

        @event.listens_for(self.engine.sync_engine, "begin")
        def begun(connection: Connection) -> None:
            # IMMEDIATE: a read that turns into a write fails at once where somebody else wrote in between.
            writes = connection.get_execution_options().get(_WRITES, False)
            connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A transaction for reading.

        Raises:
            StorageError: the database refused or is out of reach.
        """
        with explained(self.where):
            async with self.engine.connect() as connection, connection.begin():
                yield connection

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """A transaction for writing: committed at the end of the block, rolled back where it raises.

        Raises:
            StorageError: the database refused or is out of reach; nothing was written, unless the connection broke
                during the commit itself. So every write of this package can be repeated.
        """
        with explained(self.where):
            if self._writer is None:
                async with self.engine.begin() as connection:
                    yield connection
                return
            async with self._writer, self.engine.connect() as connection:
                await connection.execution_options(**{_WRITES: True})
                async with connection.begin():
                    yield connection

    async def ping(self) -> None:
        """Ask for one row.

        Raises:
            StorageError: the database refused or is out of reach.
        """
        async with self.read() as connection:
            await connection.execute(text("SELECT 1"))

    async def close(self) -> None:
        """Close all connections, and wait for what they still do.

        A connection that could not be opened, or whose transaction was given up, ends in its thread after the caller
        has heard of it; a loop that closes before that would have the thread fail with a traceback.
        """
        await self.engine.dispose()
        for thread in [thread for thread in self._threads if thread.is_alive()]:
            await asyncio.to_thread(thread.join, _THREAD_ENDS_WITHIN_S)
