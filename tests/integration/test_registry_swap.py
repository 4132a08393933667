"""A node follows the folder: a new version between two look-ups, never a wrong answer, never a pause; the old one stays
when the new one cannot be used. And the build as a job of a real worker."""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path

import pytest
import redis
from rq import Queue, SimpleWorker
from rq.job import Job as RqJob
from rq.serializers import JSONSerializer

from dialer.compliance.registry import Clear, Listed, RegistryUnavailable
from dialer.compliance.registry_build import BuildOrder, BuildReport, build_registry
from dialer.compliance.registry_store import RegistryStore
from dialer.compliance.registry_watch import RegistryWatch
from dialer.core.ids import CampaignId, Phone
from dialer.intake import jobs
from dialer.queues.embedded import EmbeddedServer
from dialer.runtime.tasks import Tasks
from dialer.settings import Registry
from tests.patience import PATIENCE_S

WINTER = CampaignId("winter")
NOW = datetime(2030, 2, 1, tzinfo=UTC).timestamp()
ALWAYS, SOMETIMES, NEVER = Phone("+34600110000"), Phone("+34600110500"), Phone("+34600119999")
POLICIES = [Registry(name="national", max_age_days=31)]


@pytest.fixture
def store(tmp_path: Path) -> RegistryStore:
    return RegistryStore(tmp_path / "registries")


def build(store: RegistryStore, folder: Path, count: int) -> BuildReport:
    path = folder / "source.txt"
    path.write_text("".join(f"+3460011{n:04d}\n" for n in range(count)), encoding="utf-8")
    order = BuildOrder(registry="national", path=path, source_date=date(2030, 1, 31), max_shrink=1.0)
    return build_registry(store, order, lambda: NOW)


async def eventually(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.005)  # the watch has no event to wait for: it polls itself


async def test_a_node_takes_up_a_new_version_by_itself(store: RegistryStore, tmp_path: Path) -> None:
    watch = RegistryWatch(store, POLICIES, poll_s=0.01)
    watch.refresh()
    assert isinstance(watch.registries.check(NEVER, WINTER, NOW), RegistryUnavailable)
    async with Tasks() as tasks:
        tasks.start("registries", watch.run())
        for count, kind in ((100, Clear), (1_000, Listed), (100, Clear)):
            version = build(store, tmp_path, count).header.version
            await eventually(partial(_is_in_force, watch, version))
            verdict = watch.registries.check(SOMETIMES, WINTER, NOW)
            assert isinstance(verdict, kind)
            assert isinstance(verdict, Clear | Listed)
            assert [version] == [consulted.version for consulted in verdict.consulted]


def _is_in_force(watch: RegistryWatch, version: str) -> bool:
    return _in_force(watch) == version


def _in_force(watch: RegistryWatch) -> str | None:
    edition = watch.registries.editions.get("national")
    return None if edition is None else edition.consulted.version


def test_looking_up_while_versions_are_swapped_never_errs(store: RegistryStore, tmp_path: Path) -> None:
    versions = {build(store, tmp_path, count).header.version: count > 500 for count in (100, 1_000)}
    watch = RegistryWatch(store, POLICIES)
    watch.refresh()
    ended = threading.Event()
    wrong: list[object] = []
    seen: set[str] = set()
    slowest_s = 0.0

    def look_up() -> None:
        nonlocal slowest_s
        while not ended.is_set():
            began = time.thread_time()
            registries = watch.registries
            always, sometimes, never = (registries.check(p, WINTER, NOW) for p in (ALWAYS, SOMETIMES, NEVER))
            slowest_s = max(slowest_s, time.thread_time() - began)
            version = registries.editions["national"].consulted.version
            seen.add(version)
            right = (
                isinstance(always, Listed)
                and isinstance(never, Clear)
                and isinstance(sometimes, Listed) == versions[version]
                and never.consulted[0].version == version
            )
            if not right:
                wrong.append((version, always, sometimes, never))

    threads = [threading.Thread(target=look_up) for _ in range(2)]
    gc.disable()  # what others have left behind is not theirs to clear away
    for thread in threads:
        thread.start()
    try:
        for turn in range(40):
            store.use("national", list(versions)[turn % 2], NOW + turn)
            assert watch.refresh()
        for version in versions:
            # However seldom the threads had their turn until now.
            store.use("national", version, NOW)
            watch.refresh()
            until = time.monotonic() + PATIENCE_S
            while version not in seen and time.monotonic() < until:
                time.sleep(0.001)
    finally:
        ended.set()
        for thread in threads:
            thread.join()
        gc.enable()
    assert wrong[:1] == []
    assert set(versions) == seen
    assert slowest_s < 0.05  # of CPU: nothing is read or opened by whoever looks up


@pytest.mark.parametrize("damage", ["cut", "gone", "word", "none"])
def test_the_old_version_stays_when_the_new_one_cannot_be_used(
    store: RegistryStore, tmp_path: Path, damage: str
) -> None:
    old = build(store, tmp_path, 100).header.version
    watch = RegistryWatch(store, POLICIES)
    watch.refresh()
    new = build(store, tmp_path, 1_000).header.version
    path = store.path_of("national", new)
    whole = path.read_bytes()
    if damage in {"cut", "gone"}:
        path.unlink()
    if damage == "cut":
        path.write_bytes(whole[:-7])
    if damage == "word":
        store.current_path("national").write_text("{", encoding="utf-8")
    if damage == "none":
        store.current_path("national").unlink()
    assert watch.refresh()
    assert old == _in_force(watch)
    assert isinstance(watch.registries.check(SOMETIMES, WINTER, NOW), Clear)
    (status,) = watch.registries.status(NOW)
    assert status.problem
    assert not status.refuses
    assert not watch.refresh(), "what was looked at is not read again"
    # Mended: the file comes late, as where the folder is copied to a node, or somebody chooses again.
    path.unlink(missing_ok=True)
    path.write_bytes(whole)
    store.use("national", new, NOW)
    assert watch.refresh()
    assert new == _in_force(watch)
    assert watch.registries.problems == {}


def test_a_file_that_comes_after_the_word_is_taken_up(store: RegistryStore, tmp_path: Path) -> None:
    version = build(store, tmp_path, 100).header.version
    path = store.path_of("national", version)
    aside = tmp_path / "aside"
    path.rename(aside)
    watch = RegistryWatch(store, POLICIES)
    watch.refresh()
    verdict = watch.registries.check(NEVER, WINTER, NOW)
    assert isinstance(verdict, RegistryUnavailable)
    assert "cannot be read" in verdict.problem.says
    aside.rename(path)
    assert watch.refresh()
    assert isinstance(watch.registries.check(NEVER, WINTER, NOW), Clear)


def test_another_process_sees_the_same_file(store: RegistryStore, tmp_path: Path) -> None:
    import subprocess

    report = build(store, tmp_path, 100)
    path = store.path_of("national", report.header.version)
    code = (
        "import sys; from pathlib import Path; from dialer.compliance.registry_file import RegistryFile\n"
        "file = RegistryFile(Path(sys.argv[1])); file.verify(); print(len(file), 34600110000 in file, file.version)"
    )
    said = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True, timeout=60
    )
    assert f"100 True {report.header.version}\n" == said.stdout


@pytest.mark.parametrize("column", ["", "9"])
def test_a_worker_builds_and_answers_with_the_report(
    tmp_path: Path, own_valkey: EmbeddedServer, monkeypatch: pytest.MonkeyPatch, column: str
) -> None:
    config = tmp_path / "cadencia.toml"
    config.write_text(f'data_dir = "{tmp_path}"\n[redis]\nurl = "{own_valkey.url}"\n', encoding="utf-8")
    monkeypatch.setenv("CADENCIA_CONFIG", str(config))
    source = tmp_path / "source.txt"
    source.write_text("+34600111222\n+34600111223\n", encoding="utf-8")
    job = jobs.build_registry(
        job_id="registry-national-1",
        name="national",
        path=str(source),
        source_date="2020-01-31",
        column=column,
    )
    assert json.loads(json.dumps(dict(job.arguments))) == job.arguments
    with redis.Redis.from_url(own_valkey.url, protocol=2) as client:
        assert jobs.enqueue(client, [job]) == 1
        queue = Queue(job.queue, connection=client, serializer=JSONSerializer)
        SimpleWorker([queue], connection=client, serializer=JSONSerializer).work(burst=True, logging_level="ERROR")
        done = RqJob.fetch(job.id, connection=client, serializer=JSONSerializer)
        result = done.latest_result()
        assert result is not None
        told = result.return_value
        assert isinstance(told, dict)
        store = RegistryStore(tmp_path / "registries")
        if column:
            assert "there is no column 9" in told["error"]
            assert store.current("national") is None
        else:
            assert (told["count"], told["in_force"], told["source_date"]) == (2, True, "2020-01-31")
            assert told["version"] == store.current("national")
            assert done.get_meta()["progress"]["stage"] in {"reading", "writing", "checking"}
