"""What goes wrong with a database is a StorageError that says what to do; and afterwards all is well again."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import aiosqlite
import pytest
from sqlalchemy import event, text

from dialer.errors import StorageError
from dialer.storage.attempts import Attempts
from dialer.storage.contacts import Contacts
from dialer.storage.database import Database
from tests.databases import count, outage
from tests.patience import PATIENCE_S
from tests.record_values import attempt, contact


def _small(database: Database, pages: int) -> list[int]:
    """Let the file have no more pages than the number in the list, as a full disk would; raise it to free some."""
    limit = [pages]

    @event.listens_for(database.engine.sync_engine, "begin")
    def limited(connection: Any) -> None:
        connection.exec_driver_sql(f"PRAGMA max_page_count = {limit[0]}")

    return limit


async def test_disk_full(sqlite_url: str) -> None:
    """Nothing of the batch is written, the reason is named, and with space the same batch goes through."""
    database = Database(sqlite_url)
    limit = _small(database, 60)
    await Contacts(database).upsert([contact(1)], at=1.0)
    batch = [contact(i, fields={"text": "x" * 500}) for i in range(5_000)]
    with pytest.raises(StorageError, match="disk is full: free some space") as caught:
        await Contacts(database).upsert(batch, at=2.0)
    assert caught.value.retryable
    assert await count(database, "contacts") == 1
    limit[0] = 1_000_000
    assert await Contacts(database).upsert(batch, at=2.0) == 5_000
    assert await count(database, "contacts") == 5_000
    await database.close()


async def test_locked_by_another_process(sqlite_url: str, request: pytest.FixtureRequest) -> None:
    database = Database(sqlite_url, busy_timeout_s=0.05)
    async with outage(database, request):
        with pytest.raises(StorageError, match="another process holds it") as caught:
            await Contacts(database).upsert([contact(1)], at=1.0)
        assert caught.value.retryable
    assert await Contacts(database).upsert([contact(1)], at=1.0) == 1
    await database.close()


async def test_a_file_that_another_process_is_making_is_waited_for(sqlite_url: str) -> None:
    """Two nodes that are started at once: SQLite would refuse the later one at once, whatever its patience."""
    database = Database(sqlite_url)
    with closing(sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode = DELETE")
        other.execute("BEGIN IMMEDIATE")
        starting = asyncio.ensure_future(database.ping())
        # It has asked in vain: whatever comes first, its first refusal or its end, is due long before this.
        await asyncio.wait([starting], timeout=0.3)
        assert not starting.done()
        other.execute("COMMIT")
        await starting
    await database.close()


async def test_a_file_that_another_process_keeps_is_not_waited_for_for_ever(sqlite_url: str) -> None:
    database = Database(sqlite_url, busy_timeout_s=0.05)
    with closing(sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode = DELETE")
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageError, match="another process holds it") as caught:
            await database.ping()
        assert caught.value.retryable
    await database.ping()
    await database.close()


async def test_own_writers_queue_instead_of_failing(sqlite_url: str) -> None:
    database = Database(sqlite_url, busy_timeout_s=0.01)
    await asyncio.gather(*(Contacts(database).upsert([contact(i) for i in range(500)], at=float(i)) for i in range(8)))
    assert await count(database, "contacts") == 500
    await database.close()


async def test_out_of_reach_and_back(database: Database, request: pytest.FixtureRequest) -> None:
    await Contacts(database).upsert([contact(1)], at=1.0)
    async with outage(database, request):
        with pytest.raises(StorageError) as caught:
            await Contacts(database).upsert([contact(2)], at=1.0)
        assert caught.value.retryable
    await Contacts(database).upsert([contact(2)], at=1.0)
    assert await count(database, "contacts") == 2


async def test_nobody_listens() -> None:
    database = Database("postgresql://u:hunter2@127.0.0.1:1/n", busy_timeout_s=2.0)
    with pytest.raises(StorageError, match="out of reach") as caught:
        await database.ping()
    assert caught.value.retryable
    assert "hunter2" not in str(caught.value)
    await database.close()


@pytest.mark.postgres
async def test_database_that_does_not_exist(postgres_url: str) -> None:
    database = Database(postgres_url.replace("/test_", "/missing_"))
    with pytest.raises(StorageError, match="there is no such database: create it") as caught:
        await database.ping()
    assert not caught.value.retryable
    await database.close()


@pytest.mark.postgres
async def test_user_that_may_not_sign_in(postgres_url: str) -> None:
    database = Database(postgres_url.replace("postgres:@", "nobody:hunter2@"))
    with pytest.raises(StorageError, match="refused the sign-in") as caught:
        await database.ping()
    assert not caught.value.retryable
    assert "hunter2" not in str(caught.value)
    await database.close()


async def test_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("This is not a database at all, but a text that is long enough to be looked at. " * 20)
    database = Database(f"sqlite:///{path}")
    with pytest.raises(StorageError, match="no SQLite database") as caught:
        await database.ping()
    assert not caught.value.retryable
    await database.close()


async def test_folder_that_is_missing(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'nowhere' / 'x.db'}")
    with pytest.raises(StorageError, match="cannot be opened") as caught:
        await database.ping()
    assert not caught.value.retryable
    await database.close()


async def test_closing_waits_for_a_connection_that_failed_to_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its thread ends after the caller has heard of the failure: were the loop gone by then, it would die noisily."""
    stop = aiosqlite.Connection.stop
    may_end, ended = threading.Event(), threading.Event()

    def end() -> None:
        may_end.wait(PATIENCE_S)
        ended.set()

    def slowly(connection: aiosqlite.Connection) -> asyncio.Future[Any] | None:
        connection._tx.put_nowait((None, end))
        return stop(connection)

    monkeypatch.setattr(aiosqlite.Connection, "stop", slowly)
    database = Database(f"sqlite:///{tmp_path / 'nowhere' / 'x.db'}")
    with pytest.raises(StorageError, match="cannot be opened"):
        await database.ping()
    assert not ended.is_set()
    closing = asyncio.ensure_future(database.close())
    done, _ = await asyncio.wait([closing], timeout=0.05)
    assert not done
    may_end.set()
    await closing
    assert ended.is_set()


async def test_error_never_shows_a_phone_number(database: Database) -> None:
    bad: Any = attempt(1, attempt_number=2**70)
    with pytest.raises(StorageError) as caught:
        await Attempts(database).record([(bad, None)])
    cause: BaseException | None = caught.value
    while cause is not None:
        assert bad.phone not in str(cause)
        cause = cause.__cause__


async def test_sqlite_is_set_up_for_safety(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    async with database.read() as connection:
        found = {
            name: (await connection.execute(text(f"PRAGMA {name}"))).scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys", "page_size")
        }
    assert found == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "page_size": 8192}
    await database.close()


async def test_reader_does_not_wait_for_a_writer(database: Database) -> None:
    async with database.write() as connection:
        await connection.execute(text("DELETE FROM contacts"))
        assert await count(database, "contacts") == 0


async def test_write_that_raises_leaves_nothing(database: Database) -> None:
    async def broken() -> None:
        async with database.write() as connection:
            await connection.execute(
                text("INSERT INTO set_aside (stream, entry, reason, data, at) VALUES ('a', 'b', 'c', 'd', 1)")
            )
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await broken()
    assert await count(database, "set_aside") == 0
    if database.path is not None:
        # The lock is free again for others.
        other = sqlite3.connect(database.path, timeout=0)
        other.execute("BEGIN IMMEDIATE")
        other.close()
