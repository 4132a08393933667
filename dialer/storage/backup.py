"""The whole record in one file, and back: SQLite by ``VACUUM INTO``, PostgreSQL by its own pg_dump and psql.

Both are consistent pictures of one moment, taken while nodes go on working. The archive (tar) has two members: a
manifest, and what the database's own tool made. It holds everything that the database does, personal data included.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import io
import os
import shutil
import sqlite3
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version as package_version
from pathlib import Path
from typing import IO, Final

import msgspec
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from msgspec import Struct
from sqlalchemy import inspect, text
from sqlalchemy.engine import Connection

from dialer.errors import ConfigError, StorageError
from dialer.storage.database import Database, Dialect
from dialer.storage.schema import MIGRATIONS, migrate, version

_FORMAT: Final = 1
_MANIFEST: Final = "manifest.json"
_CONTENT: Final[Mapping[str, str]] = {"sqlite": "database.sqlite", "postgresql": "database.pgdump"}
_CHUNK: Final = 1024 * 1024
_MANIFEST_BYTES: Final = 65_536


class Manifest(Struct, frozen=True, kw_only=True):
    """What is in a backup."""

    #: When it was taken, unix seconds.
    at: float
    #: Version of Cadencia that took it.
    cadencia: str
    dialect: Dialect
    #: Of the tables.
    revision: str
    #: Of the content, hexadecimal.
    sha256: str
    size_bytes: int
    format: int = _FORMAT


async def backup(url: str, target: Path, now: float) -> Manifest:
    """Write everything that the database has into `target`, readable for its owner alone.

    Args:
        url: of the database, as in the settings.
        target: a file that does not exist yet.
        now: unix seconds.

    Raises:
        ConfigError: pg_dump is not installed.
        StorageError: the database refused or is out of reach, or the file cannot be written; none is left then.
    """
    database = Database(url)
    try:
        found = await version(database)
        if found.current is None:
            raise StorageError(f"database {database.where} has no tables: there is nothing to keep", retryable=False)
        with _beside(target) as folder:
            content = folder / _CONTENT[database.dialect]
            if database.path is not None:
                await asyncio.to_thread(_copy_sqlite, database.path, content)
            else:
                await asyncio.to_thread(_run_postgres, database, "pg_dump", _DUMP, content)
            manifest = Manifest(
                at=now,
                cadencia=package_version("cadencia"),
                dialect=database.dialect,
                revision=found.current,
                sha256=await asyncio.to_thread(_digest, content),
                size_bytes=content.stat().st_size,
            )
            await asyncio.to_thread(_write_archive, target, manifest, content)
    finally:
        await database.close()
    return manifest


async def restore(url: str, source: Path, *, replace: bool = False) -> Manifest:
    """Put a backup back, and bring its tables to this version. Nothing may use the database meanwhile.

    Args:
        url: of the database, as in the settings; of the same kind as the one that the backup was taken from.
        source: what `backup` wrote.
        replace: what the database has now may go; a SQLite file is kept beside it as ``….before-restore``.

    Raises:
        ConfigError: a tool of PostgreSQL is not installed.
        StorageError: the backup is damaged, of another kind of database or of a newer Cadencia; the database is in use,
            or has tables and `replace` was not asked for. The database is as it was then.
    """
    database = Database(url)
    try:
        manifest = await asyncio.to_thread(read_manifest, source)
        if manifest.dialect != database.dialect:
            raise StorageError(
                f"{source} is of a {manifest.dialect} database, database.url names a {database.dialect} one",
                retryable=False,
            )
        if not replace and await _has_tables(database):
            raise StorageError(
                f"database {database.where} has tables already: say --replace if they may go", retryable=False
            )
        folder = source.parent if database.path is None else database.path.parent
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".cadencia-restore-") as temporary:
            content = Path(temporary) / _CONTENT[manifest.dialect]
            await asyncio.to_thread(_take_out, source, manifest, content)
            await database.engine.dispose()
            if database.path is not None:
                await asyncio.to_thread(_put_sqlite, content, database.path)
            else:
                await _put_postgres(database, content)
        await migrate(database)
    finally:
        await database.close()
    return manifest


def read_manifest(source: Path) -> Manifest:
    """What is in a backup.

    Raises:
        StorageError: it is none, or of a newer Cadencia.
    """
    try:
        with tarfile.open(source) as archive:
            member = archive.extractfile(_MANIFEST)
            manifest = msgspec.json.decode(b"" if member is None else member.read(_MANIFEST_BYTES), type=Manifest)
    except (tarfile.TarError, KeyError, msgspec.DecodeError, EOFError) as error:
        raise StorageError(f"{source} is no backup of Cadencia, or is damaged", retryable=False) from error
    except OSError as error:
        raise StorageError(f"cannot read {source}: {error.strerror}", retryable=False) from error
    try:
        ScriptDirectory(str(MIGRATIONS)).get_revision(manifest.revision)
        known = manifest.format == _FORMAT
    except CommandError:
        known = False
    if not known:
        raise StorageError(
            f"{source} was taken by a newer Cadencia ({manifest.cadencia}): install that one", retryable=False
        )
    return manifest


# ---- the archive


@contextlib.contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """A folder for what is being made: the target appears when it is whole, or never."""
    if target.exists():
        raise StorageError(f"{target} is there already: name another file", retryable=False)
    try:
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".cadencia-backup-") as folder:
            yield Path(folder)
    except OSError as error:
        raise StorageError(f"cannot write {target}: {error.strerror}", retryable=False) from error


def _write_archive(target: Path, manifest: Manifest, content: Path) -> None:
    part = content.with_name("archive")
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        # Dumps of PostgreSQL are compressed already.
        with tarfile.open(fileobj=file, mode="w:gz", compresslevel=1 if manifest.dialect == "sqlite" else 0) as archive:
            told = msgspec.json.format(msgspec.json.encode(manifest))
            for name, size, data in (
                (_MANIFEST, len(told), io.BytesIO(told)),
                (content.name, manifest.size_bytes, content.open("rb")),
            ):
                entry = tarfile.TarInfo(name)
                entry.size, entry.mtime, entry.mode = size, int(manifest.at), 0o600
                with data:
                    archive.addfile(entry, data)
        file.flush()
        os.fsync(file.fileno())
    # Unlike a rename it never puts itself in place of another file.
    target.hardlink_to(part)


def _take_out(source: Path, manifest: Manifest, content: Path) -> None:
    """The content, as it was put in."""
    try:
        with tarfile.open(source) as archive, content.open("wb") as file:
            member = archive.extractfile(content.name)
            if member is not None:
                shutil.copyfileobj(member, file, _CHUNK)
    except (tarfile.TarError, KeyError, EOFError, OSError) as error:
        raise StorageError(f"{source} is damaged: {error}", retryable=False) from error
    if _digest(content) != manifest.sha256:
        raise StorageError(f"{source} is damaged: its content is not what was put in", retryable=False)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return _digest_of(file)


def _digest_of(file: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while chunk := file.read(_CHUNK):
        digest.update(chunk)
    return digest.hexdigest()


# ---- SQLite


def _copy_sqlite(path: Path, target: Path) -> None:
    try:
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute("VACUUM INTO ?", (str(target),))
        with contextlib.closing(sqlite3.connect(target)) as copy:
            (found,) = copy.execute("PRAGMA integrity_check").fetchone()
    except sqlite3.Error as error:
        raise StorageError(f"cannot copy {path}: {error}") from error
    if found != "ok":
        raise StorageError(f"{path} is damaged: {found}", retryable=False)


def _put_sqlite(content: Path, path: Path) -> None:
    content.chmod(0o600)
    with content.open("rb") as file:
        os.fsync(file.fileno())
    if path.exists():
        _free_sqlite(path)
        path.replace(path.with_name(f"{path.name}.before-restore"))
    content.replace(path)


def _free_sqlite(path: Path) -> None:
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=0.2, isolation_level=None)) as connection:
            # Only who is alone may leave WAL; and what the log holds is in the file afterwards.
            connection.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.OperationalError as error:
        raise StorageError(f"{path} is in use: stop every node and worker first ({error})", retryable=False) from error
    except sqlite3.DatabaseError:
        # A file that is damaged is what a backup is for; its log must not be taken for that of the new one.
        for left in ("-wal", "-shm"):
            path.with_name(path.name + left).unlink(missing_ok=True)


# ---- PostgreSQL

_DUMP: Final = ("--format=custom", "--no-owner", "--no-privileges")
_TO_SQL: Final = ("--file=-", "--clean", "--if-exists", "--no-owner", "--no-privileges")
_OTHERS: Final = """SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'cadencia' AND pid <> pg_backend_pid()"""
_LOAD: Final = ("--no-psqlrc", "--quiet", "--single-transaction", "--set=ON_ERROR_STOP=1")


def _run_postgres(database: Database, program: str, options: Sequence[str], out: Path) -> None:
    """One of PostgreSQL's programs on a database, its output into a file; the password goes by its environment.

    Raises:
        ConfigError: the program is not installed.
        StorageError: it failed; the text has what it said.
    """
    found = shutil.which(program)
    if found is None:
        raise ConfigError(f"{program} is not installed: it is in PostgreSQL's client package, of the server's version")
    url = database.engine.url
    host = url.query.get("host", url.host)
    command = [found, *options, f"--dbname={url.database}"]
    command += [f"--host={host}"] if host else []
    command += [f"--port={url.port}"] if url.port else []
    command += [f"--username={url.username}"] if url.username else []
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    if url.password:
        environ["PGPASSWORD"] = str(url.password)
    if url.query.get("ssl"):
        environ["PGSSLMODE"] = str(url.query["ssl"])
    if authorities := database.authorities or os.environ.get("PGSSLROOTCERT"):
        environ["PGSSLROOTCERT"] = authorities
    _call(command, environ, out)


def _call(command: Sequence[str], environ: Mapping[str, str] | None, out: Path) -> None:
    with out.open("wb") as file:
        done = subprocess.run(  # noqa: S603 - programs of PostgreSQL, found on the PATH
            command, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.PIPE, env=environ, check=False
        )
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace").strip()
        raise StorageError(f"{Path(command[0]).name} failed: {said or f'exit code {done.returncode}'}", retryable=False)


async def _put_postgres(database: Database, content: Path) -> None:
    """All in one transaction: tables that the backup does not know go, the others are made anew and filled."""
    program = shutil.which("pg_restore")
    if program is None:
        raise ConfigError("pg_restore is not installed: it is in PostgreSQL's client package, of the server's version")
    async with database.read() as connection:
        others = (await connection.execute(text(_OTHERS))).scalar_one()
        drops = await connection.run_sync(_drops)
    if others:
        raise StorageError(
            f"database {database.where} is in use ({others} connections): stop every node and worker first",
            retryable=False,
        )
    script, said = content.with_suffix(".sql"), content.with_suffix(".out")
    await asyncio.to_thread(_call, [program, *_TO_SQL, str(content)], None, script)
    before = content.with_suffix(".before.sql")
    before.write_text("".join(f"{drop};\n" for drop in drops), encoding="utf-8")
    files = (f"--file={before}", f"--file={script}")
    await asyncio.to_thread(_run_postgres, database, "psql", (*_LOAD, *files), said)


async def _has_tables(database: Database) -> bool:
    """Whether there is anything that could be lost."""
    if database.path is not None:
        return database.path.exists()
    async with database.read() as connection:
        return bool(await connection.run_sync(_tables))


def _tables(connection: Connection) -> list[str]:
    return inspect(connection).get_table_names()


def _drops(connection: Connection) -> list[str]:
    quote = connection.dialect.identifier_preparer.quote
    return [f"DROP TABLE {quote(name)} CASCADE" for name in _tables(connection)]
