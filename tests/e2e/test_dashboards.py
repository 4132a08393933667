"""Every panel of every dashboard shows something: a real Prometheus scrapes the demo and answers their queries."""

from __future__ import annotations

import json
import math
import shutil
import signal
import socket
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from tests.dashboards import queries_of
from tests.e2e.programs import OutsideClient, Program, wait_for
from tests.patience import PATIENCE_S
from tests.prometheus import program

ROOT = Path(__file__).resolve().parents[2]
BOARDS = ROOT / "config" / "grafana" / "dashboards"
#: What a demo has nothing to show of, and why.
NOTHING_IN_A_DEMO = {
    "Alerts that fire": "nothing is wrong",
    "Age": "no registry is configured",
    "Numbers": "no registry is configured",
    "Usable": "no registry is configured",
    "Pending calls taken over": "no CRM is asked for its pending calls",
    "Updates that wait": "likewise",
    "How far the exchange is behind": "likewise",
    "CRMs": "likewise",
    "Updates for CRMs": "likewise",
    "Answer of other nodes": "a demo has one node",
}
#: The last to come: people who have talked, and a pacer that has learned from them.
SLOW = (
    "campaign:cadencia_talk_seconds:mean15m",
    "cadencia_pacing_mean_talk_seconds",
    "cadencia_pacing_mean_wrapup_seconds",
    "cadencia_pacing_budget_calls",
    "campaign_reason:cadencia_gate_refusals:rate5m",
    "cadencia_list_penetration_ratio",
)


class Prometheus:
    """A server of our own, with the rules that are shipped."""

    def __init__(self, folder: Path, target: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        for name in ("recording.yml", "alerts.yml"):
            shutil.copy(ROOT / "config" / "prometheus" / name, folder)
        config = yaml.safe_load((ROOT / "config" / "prometheus" / "prometheus.yml").read_text(encoding="utf-8"))
        config["global"] = {"scrape_interval": "500ms", "evaluation_interval": "500ms"}
        (job,) = config["scrape_configs"]
        # The demo's metrics are open, and a key that is not valid is refused all the same.
        del job["authorization"]
        job["static_configs"] = [{"targets": [target]}]
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
        self._log = folder / "prometheus.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    program("prometheus"),
                    f"--config.file={folder / 'prometheus.yml'}",
                    f"--storage.tsdb.path={folder / 'data'}",
                    f"--web.listen-address=127.0.0.1:{self._port}",
                ],
                stdout=log,
                stderr=log,
            )

    def query(self, expr: str) -> list[float]:
        """The values of an instant query, those that are numbers."""
        query = urllib.parse.urlencode({"query": expr})
        with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/api/v1/query?{query}", timeout=10) as answer:
            found: Any = json.loads(answer.read())
        assert found["status"] == "success", (expr, found)
        values = [float(series["value"][1]) for series in found["data"]["result"]]
        return [value for value in values if not math.isnan(value)]

    def ready(self) -> bool:
        assert self._process.poll() is None, self._log.read_text(encoding="utf-8")
        try:
            return bool(self.query('up{job="cadencia"} == 1'))
        except OSError:
            return False

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(timeout=10)


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    folder = tmp_path_factory.mktemp("dashboards")
    program("prometheus")
    options = ("--agents", "20", "--contacts", "3000", "--profile", "fast", "--json", "--dir", str(folder / "state"))
    demo = Program(folder, "demo", "--minutes", "5", *options)
    server: Prometheus | None = None
    try:
        path = folder / "state" / "demo.json"
        demo.wait_for(path.exists, "demo.json")
        details = json.loads(path.read_text(encoding="utf-8"))
        server = Prometheus(folder, urlsplit(details["metrics_url"]).netloc)
        client = OutsideClient(details["redis_url"])
        client.write("dnc", {"id": "d1", "op": "add", "phone": "+34699000003", "scope": "*", "reason": "asked"})
        # People of one household: while one of them is called, the gate refuses the others.
        household = [{"id": f"home-{n}", "phones": ["+34699000004"], "priority": 1_000} for n in range(8)]
        client.write("contacts", {"campaign": details["campaign"], "contacts": household})
        client.wait("dnc.applied", phone="+34699000003")
        client.close()
        demo.wait_for(server.ready, "a scrape")
        for expr in SLOW:
            demo.wait_for(partial(server.query, expr), expr)
        yield server
        demo.end(signal.SIGINT, timeout_s=PATIENCE_S)
    finally:
        if server is not None:
            server.stop()
        demo.clear_away()


def test_every_panel_of_every_board_and_no_alarm_in_a_demo(prometheus: Prometheus) -> None:
    """All in one: a worker that takes over half of the tests would start a demo of its own for them."""
    boards = sorted(BOARDS.glob("*.json"))
    assert boards
    empty, shown = [], []
    for board in boards:
        for title, expr in queries_of(board):
            # What is excused must make sense all the same; if it shows something, it belongs among the tested ones.
            data = prometheus.query(expr)
            if title in NOTHING_IN_A_DEMO:
                shown += [(board.stem, title)] if data else []
            elif not data:
                empty.append((board.stem, title, expr))
    # A single scrape that a busy machine has missed hides everything until the next one.
    for stem, title, expr in empty:
        wait_for(partial(prometheus.query, expr), f"{title} of {stem}: {expr}")
    assert shown == []
    wait_for(lambda: prometheus.query("cadencia_gate_open == 1"), "an open gate")
    assert prometheus.query('ALERTS{alertstate="firing"}') == []


def test_nothing_is_excused_that_is_not_there() -> None:
    titles = {title for path in BOARDS.glob("*.json") for title, _ in queries_of(path)}
    assert set(NOTHING_IN_A_DEMO) <= titles
