"""Sweeps on a real RQ worker and a real Redis: the same results as here, and errors that reach whoever asked."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from dialer.errors import DialerError, QueueError
from dialer.queues.embedded import EmbeddedServer
from dialer.settings import Redis as RedisSettings
from dialer.settings import Settings
from dialer.twin.cells import Cell, decode_trial
from dialer.twin.crew import LocalCrew, RqCrew, choose
from tests.patience import PATIENCE_S
from workers.jobs.sweeps import simulate_cell

CELL = Cell(scenario={"agents": 3, "hours": 0.1, "days": 2}, method="ratio")


@pytest.fixture
def worker(own_valkey: EmbeddedServer, tmp_path: Path) -> Iterator[str]:
    config = tmp_path / "cadencia.toml"
    config.write_text(f'[redis]\nurl = "{own_valkey.url}"\n', encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, "-c", "from workers.app import run; run()"],
        env=os.environ | {"CADENCIA_CONFIG": str(config)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield own_valkey.url
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


def _settings(url: str) -> Settings:
    return Settings(redis=RedisSettings(url=url))


def test_a_sweep_on_workers_is_what_it_is_here(worker: str) -> None:
    client = Redis.from_url(worker, protocol=2)
    crew = RqCrew(client)
    for _ in range(600):
        if crew.workers():
            break
        time.sleep(0.05)
    assert isinstance(choose("auto", _settings(worker)), RqCrew)
    told: list[tuple[int, int]] = []
    trials = crew.run([CELL], lambda done, of: told.append((done, of)))
    assert trials == LocalCrew(1).run([CELL])
    assert told[-1] == (2, 2)
    bad = Cell(scenario={"agents": -1}, method="ratio")
    with pytest.raises(DialerError, match="agents must be a whole number"):
        crew.run([bad])
    assert not list(client.scan_iter("rq:job:sweep-*"))
    client.close()


def test_without_workers_it_is_done_here_or_refused(own_valkey: EmbeddedServer) -> None:
    assert isinstance(choose("auto", _settings(own_valkey.url)), LocalCrew)
    with pytest.raises(QueueError, match="cadencia worker"):
        choose("rq", _settings(own_valkey.url))


def test_without_redis_it_is_done_here_or_refused(tmp_path: Path) -> None:
    nowhere = _settings("redis://127.0.0.1:1/0")
    assert isinstance(choose("auto", nowhere), LocalCrew)
    with pytest.raises(QueueError, match="out of reach"):
        choose("rq", nowhere)
    embedded = Settings(data_dir=str(tmp_path))
    assert isinstance(choose("auto", embedded), LocalCrew)
    with pytest.raises(QueueError, match="has never run"):
        choose("rq", embedded)


def test_the_embedded_redis_of_a_node_is_found(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path / "redis", fsync="no")
    server.start()
    try:
        with pytest.raises(QueueError, match="no worker looks"):
            choose("rq", Settings(data_dir=str(tmp_path)))
    finally:
        server.stop()


def test_a_job_returns_a_trial_or_what_is_wrong_with_its_cell() -> None:
    assert decode_trial(simulate_cell('{"scenario": {"hours": 0.1}, "method": "ratio"}')).method == "ratio"
    assert "no cell" in simulate_cell("garbage")
    assert "hours must be" in simulate_cell('{"scenario": {"hours": 99}, "method": "ratio"}')
    with pytest.raises(DialerError, match="something else"):
        decode_trial("{}")
