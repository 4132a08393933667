"""Lists whose import is no more are said to have failed, and uploads that nobody will read do not stay."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from rq import Queue
from rq.serializers import JSONSerializer

from dialer.core.ids import CampaignId
from dialer.errors import StorageError
from dialer.intake.jobs import IMPORTS, check_list, enqueue, import_list
from dialer.queues.connection import connect_blocking
from dialer.queues.embedded import EmbeddedServer
from dialer.runtime.unfinished_lists import CUT_OFF, OLD_S, UnfinishedLists, imports_to_come
from dialer.storage.database import Database
from dialer.storage.lists import UPLOAD, ContactList, ListCounts, Lists, ListState

WINTER = CampaignId("winter")
NOW = 1_800_000_000.0


@pytest.fixture
def client(valkey_server: EmbeddedServer) -> Iterator[redis.Redis]:
    """As the workers have it, empty."""
    made = connect_blocking(valkey_server.url, protocol=2)
    made.flushall()
    yield made
    made.close()


def upload(folder: Path, name: str, *, age_s: float) -> Path:
    """A file that was last written to so long ago."""
    folder.mkdir(exist_ok=True)
    file = folder / name
    file.write_text("id,phone\n1,+34600111222\n", encoding="utf-8")
    os.utime(file, (NOW - age_s, NOW - age_s))
    return file


def job(client: redis.Redis, list_id: str, path: Path) -> None:
    """An import that waits for a worker."""
    asked = import_list(list_id=list_id, campaign=WINTER, path=str(path), name="", delete=True)
    assert enqueue(client, [asked]) == 1


async def loading(lists: Lists, *ids: str) -> None:
    """Lists that seem to load."""
    for list_id in ids:
        await lists.start(list_id, WINTER, name=list_id, source=UPLOAD, now=NOW - 60)


async def found(lists: Lists, list_id: str) -> ContactList:
    """How a list is."""
    one = await lists.get(list_id)
    assert one is not None
    return one


async def test_a_list_without_a_job_has_failed_and_one_with_it_goes_on(
    database: Database, client: redis.Redis, tmp_path: Path
) -> None:
    lists = Lists(database)
    await loading(lists, "lost", "waits", "runs", "again", "done")
    # Loaded by whoever stays with it until its end, not by a job.
    await lists.start("by-hand", WINTER, name="", source="march.csv", now=NOW)
    for list_id in ("waits", "runs", "again"):
        job(client, list_id, tmp_path / f"{list_id}.csv")
    enqueue(client, [check_list("lost")])
    queue = Queue(IMPORTS, connection=client, serializer=JSONSerializer)
    for list_id, end, registry in (
        ("runs", ":first-run", queue.started_job_registry),
        ("again", "", queue.scheduled_job_registry),
    ):
        queue.remove(f"import-{list_id}")
        client.zadd(registry.key, {f"import-{list_id}{end}": NOW + 60})
    assert set(imports_to_come(client)) == {"waits", "runs", "again"}
    desk = UnfinishedLists(lists, lambda: imports_to_come(client), tmp_path / "uploads", lambda: NOW)
    await desk.look()
    assert (await found(lists, "lost")).state is ListState.LOADING, "its job may be on its way"
    await lists.finish("done", ListState.LOADED, ListCounts(read=1, accepted=1), now=NOW)
    await desk.look()
    failed = await found(lists, "lost")
    assert (failed.state, failed.error, failed.finished_at) == (ListState.FAILED, CUT_OFF, NOW)
    assert (await found(lists, "done")).state is ListState.LOADED
    for list_id in ("waits", "runs", "again", "by-hand"):
        assert (await found(lists, list_id)).state is ListState.LOADING
    client.flushall()  # what Redis forgets, nobody will do
    for _ in range(2):
        await desk.look()
    assert (await found(lists, "runs")).state is ListState.FAILED
    assert (await found(lists, "by-hand")).state is ListState.LOADING


async def test_a_list_that_ends_while_it_is_looked_at_has_ended(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    try:
        lists = Lists(database)
        await loading(lists, "l-1")
        await lists.finish("l-1", ListState.LOADED, ListCounts(), now=NOW)
        assert not await lists.fail_loading("l-1", now=NOW, error=CUT_OFF)
        assert (await found(lists, "l-1")).state is ListState.LOADED
    finally:
        await database.close()


async def test_old_uploads_go_unless_a_job_will_read_them(client: redis.Redis, sqlite_url: str, tmp_path: Path) -> None:
    folder, database = tmp_path / "uploads", Database(sqlite_url)
    wanted = upload(folder, "wanted.csv", age_s=2 * OLD_S)
    fresh = upload(folder, "fresh.csv", age_s=OLD_S - 60)
    cut_off = upload(folder, "cut-off.csv", age_s=OLD_S + 60)
    other = upload(folder, "notes.txt", age_s=9 * OLD_S)
    job(client, "l-1", wanted)

    def out_of_reach() -> dict[str, str]:
        raise redis.exceptions.ConnectionError

    try:
        lists = Lists(database)
        with pytest.raises(redis.exceptions.ConnectionError):
            await UnfinishedLists(lists, out_of_reach, folder, lambda: NOW).look()
        assert cut_off.exists(), "whoever does not know which are wanted deletes none"
        desk = UnfinishedLists(lists, lambda: imports_to_come(client), folder, lambda: NOW)
        await desk.look()
        assert sorted(folder.iterdir()) == sorted([wanted, fresh, other])
        client.flushall()
        await desk.look()
        assert sorted(folder.iterdir()) == sorted([fresh, other])
        nowhere = UnfinishedLists(lists, lambda: imports_to_come(client), tmp_path / "none", lambda: NOW)
        await nowhere.look()
    finally:
        await database.close()


async def test_nothing_is_marked_while_the_database_is_away(tmp_path: Path, client: redis.Redis) -> None:
    database = Database(f"sqlite:///{tmp_path}/nowhere/record.db")
    try:
        with pytest.raises(StorageError):
            await UnfinishedLists(Lists(database), lambda: imports_to_come(client), tmp_path, lambda: NOW).look()
    finally:
        await database.close()
