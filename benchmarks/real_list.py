"""The main job on a real Asterisk: a list through `cadencia serve`, compared call by call with what the carrier did.

    scripts/asterisk-lab up
    .venv/bin/python benchmarks/real_list.py --contacts 1000 --agents 20

Everything goes through the command, as an operator would do it: settings file, `campaign create`, `list load`,
`agents sign-in`, `campaign start`. Prints one table (outcome against the carrier's own log) and writes JSON.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.stack import cpu_s
from dialer.cli.client import Api
from dialer.simulation import OPEN_RULES
from scripts.lab import ledger, plan, servers
from scripts.lab.layout import DEFAULT_PORT_BASE, Layout, default_directory

ROOT = Path(__file__).resolve().parents[1]
CADENCIA = (sys.executable, "-m", "dialer.cli")
#: What must come of each kind of callee; a person may also hang up before an agent comes, or find none in time.
PEOPLE = frozenset({"connected", "abandoned", "hung_up"})
EXPECTED: dict[plan.Kind, frozenset[str]] = {
    plan.Kind.ANSWER: PEOPLE,
    plan.Kind.EARLY_MEDIA: PEOPLE,
    plan.Kind.BUSY: frozenset({"busy"}),
    plan.Kind.RINGS_ON: frozenset({"no_answer"}),
    plan.Kind.INVALID: frozenset({"invalid"}),
    plan.Kind.CONGESTION: frozenset({"congestion"}),
    plan.Kind.DECLINE: frozenset({"rejected"}),
    plan.Kind.UNAVAILABLE: frozenset({"no_answer"}),
    plan.Kind.SILENT: frozenset({"congestion"}),
}


def expected(callee: plan.Callee, *, detection: bool) -> frozenset[str]:
    """Outcomes that are right for a callee."""
    if callee.kind is not plan.Kind.AUDIO:
        return EXPECTED[callee.kind]
    # A machine that is not detected talks with an agent, who will say so; detection is a guess, not a fact.
    return PEOPLE | {"machine"} if detection and callee.machine else PEOPLE


class NodeApi(Api):
    """The API of a node that we started."""

    pid: int

    @classmethod
    def find(cls, config: Path, pid: int) -> NodeApi:
        """Connect by the node's own file."""
        api = cls.connect(config, None, None)
        assert isinstance(api, cls)
        api.pid = pid
        return api


@dataclass(slots=True)
class Report:
    """What happened."""

    contacts: int
    seconds: float
    #: (kind of callee, outcome) -> calls.
    table: Counter[tuple[str, str]] = field(default_factory=Counter)
    wrong: list[dict[str, Any]] = field(default_factory=list)
    #: Contacts that the carrier never saw, or saw more than once.
    undialed: list[str] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    waits_s: list[float] = field(default_factory=list)


@contextmanager
def node(folder: Path, layout: Layout, *, cps: float, channels: int = 200) -> Iterator[tuple[Path, NodeApi]]:
    """`cadencia serve` on the lab's Asterisk."""
    config = folder / "cadencia.toml"
    config.write_text(
        f"""
node = "lab"
data_dir = "{folder / "data"}"
[database]
url = "sqlite:///{folder / "cadencia.db"}"
[compliance]
rules = "{OPEN_RULES}"
[api]
port = 0
[[asterisk]]
name = "pbx"
port = {layout.ami_port}
secret = "file:{layout.secret_file}"
[[asterisk.trunks]]
name = "carrier"
dial = "PJSIP/{{number}}@carrier"
max_channels = {channels}
max_calls_per_second = {cps}
""",
        encoding="utf-8",
    )
    log = (folder / "serve.log").open("wb")
    process = subprocess.Popen([*CADENCIA, "serve", "--config", str(config)], stdout=log, stderr=log, cwd=ROOT)
    try:
        deadline = time.monotonic() + 30
        while not (folder / "data" / "node.json").exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"cadencia serve did not come up:\n{(folder / 'serve.log').read_text()}")
            time.sleep(0.1)
        yield config, NodeApi.find(config, process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        finally:
            log.close()


def command(config: Path, *arguments: str) -> None:
    """Run one `cadencia` command."""
    done = subprocess.run(
        [*CADENCIA, *arguments, "--config", str(config)], capture_output=True, text=True, check=False, cwd=ROOT
    )
    if done.returncode:
        raise RuntimeError(f"cadencia {' '.join(arguments)}: {done.stderr}")


def write_list(path: Path, callees: list[plan.Callee]) -> None:
    """The list as a CRM would export it."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "nombre", "teléfono", "importe"])
        for position, callee in enumerate(callees):
            writer.writerow([f"crm-{position}", f"Persona {position}", callee.e164, position % 97])


def run(
    *,
    contacts: int,
    agents: int,
    layout: Layout,
    callees: list[plan.Callee] | None = None,
    method: str = "predictive",
    detection: bool = False,
    cps: float = 30.0,
    limit_s: float = 1_800.0,
    first_serial: int = 0,
) -> Report:
    """Dial a list and compare."""
    callees = callees or list(plan.mixed(contacts, first_serial=first_serial))
    with tempfile.TemporaryDirectory(prefix="cadencia-real-") as name:
        folder = Path(name)
        write_list(folder / "list.csv", callees)
        settings = folder / "campaign.toml"
        settings.write_text(
            f'method = "{method}"\nring_timeout_s = 15.0\nwrapup_limit_s = 1.0\nmax_attempts = 1\n'
            + ("[machine_detection]\n" if detection else ""),
            encoding="utf-8",
        )
        since = time.time()
        with node(folder, layout, cps=cps) as (config, api):
            command(config, "campaign", "create", "real", "--file", str(settings))
            command(config, "list", "load", "real", str(folder / "list.csv"))
            for number in range(1, agents + 1):
                agent = f"agent{number:02d}"
                command(config, "agents", "sign-in", agent, "--phone", agent, "--campaign", "real")
            parts = {"dialer": api.pid, "asterisk": servers.status(layout)["parts"]["dialer"]}
            begun, before = time.monotonic(), {part: cpu_s(pid) for part, pid in parts.items()}
            command(config, "campaign", "start", "real")
            ended = _wait(api, len(callees), limit_s)
            seconds = time.monotonic() - begun
            spent = {part: cpu_s(pid) - before[part] for part, pid in parts.items()}
            live = api.get("/live")["campaigns"][0]
            command(config, "campaign", "stop", "real")
        report = _compare(callees, ended, ledger.read(layout, since=since), seconds, live, detection=detection)
    report.summary["cpu_ms_per_call"] = {part: round(1_000 * cpu / len(ended), 1) for part, cpu in spent.items()}
    report.summary["dialer_against_asterisk"] = round(spent["dialer"] / spent["asterisk"], 2)
    return report


def _wait(api: Api, contacts: int, limit_s: float) -> list[dict[str, Any]]:
    deadline = time.monotonic() + limit_s
    while True:
        live = api.get("/live")["campaigns"][0]
        ended = sum(live["today"]["outcomes"].values())
        if ended >= contacts or time.monotonic() > deadline:
            break
        time.sleep(0.5)
    calls: list[dict[str, Any]] = []
    while len(calls) < ended:
        calls, cursor = [], None
        while True:
            page = api.get("/calls", campaign="real", cursor=cursor, limit=500)
            calls += page["items"]
            cursor = page["next_cursor"]
            if not cursor:
                break
        if time.monotonic() > deadline + 10:
            break
        time.sleep(0.2)
    return calls


def _compare(
    callees: list[plan.Callee],
    calls: list[dict[str, Any]],
    carrier: list[ledger.CarrierCall],
    seconds: float,
    live: dict[str, Any],
    *,
    detection: bool,
) -> Report:
    report = Report(contacts=len(callees), seconds=seconds)
    by_phone = {call["phone"]: call for call in calls}
    seen = Counter(call.number for call in carrier)
    for callee in callees:
        call = by_phone.get(callee.e164)
        times = seen[callee.number]
        if times == 0 or call is None:
            report.undialed.append(callee.e164)
            continue
        if times > 1:
            report.repeated.append(callee.e164)
        kind = f"audio: {callee.persona}" if callee.persona else str(callee.kind)
        report.table[kind, call["outcome"]] += 1
        if call["outcome"] not in expected(callee, detection=detection):
            report.wrong.append({"phone": callee.e164, "kind": kind, "outcome": call["outcome"], "why": call["reason"]})
        if call["outcome"] == "connected":
            report.waits_s.append(call["wait_s"])
    outcomes = Counter(call["outcome"] for call in calls)
    answered = sum(outcomes[name] for name in PEOPLE)
    report.summary = {
        "dialed": len(calls),
        "live_answers": answered,
        "abandoned": outcomes["abandoned"],
        "abandonment": outcomes["abandoned"] / answered if answered else 0.0,
        "occupancy": live["occupancy_hour"],
        "outcomes": dict(outcomes.most_common()),
    }
    return report


def print_table(report: Report) -> None:
    """The table of the README."""
    outcomes = [name for name, _ in Counter({o: 0 for _, o in report.table}).items()]
    outcomes = sorted(set(outcomes), key=lambda name: -sum(n for (_, o), n in report.table.items() if o == name))
    print("| the carrier | calls | " + " | ".join(outcomes) + " |")
    print("| --- | --- |" + " --- |" * len(outcomes))
    for kind in sorted({kind for kind, _ in report.table}):
        counts = [report.table[kind, outcome] for outcome in outcomes]
        print(f"| {kind} | {sum(counts)} | " + " | ".join(str(count) if count else "" for count in counts) + " |")
    waits = sorted(report.waits_s)
    if waits:
        print(f"\nanswer to agent: median {1000 * waits[len(waits) // 2]:.1f} ms, "
              f"p95 {1000 * waits[int(len(waits) * 0.95)]:.1f} ms, max {1000 * waits[-1]:.1f} ms")  # fmt: skip
    print(f"{report.seconds:.0f} s; wrong outcomes {len(report.wrong)}, never dialed {len(report.undialed)}, "
          f"dialed twice {len(report.repeated)}; {json.dumps(report.summary)}")  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--contacts", type=int, default=1_000)
    parser.add_argument("--agents", type=int, default=20)
    parser.add_argument("--method", default="predictive")
    parser.add_argument("--detection", action="store_true", help="detect answering machines")
    parser.add_argument("--cps", type=float, default=30.0)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    directory = Path(os.environ.get("CADENCIA_LAB_DIR", default_directory())).absolute()
    layout = Layout(directory, int(os.environ.get("CADENCIA_LAB_PORT_BASE", DEFAULT_PORT_BASE)))
    report = run(
        contacts=arguments.contacts,
        agents=arguments.agents,
        layout=layout,
        method=arguments.method,
        detection=arguments.detection,
        cps=arguments.cps,
    )
    print_table(report)
    for wrong in report.wrong[:20]:
        print(wrong)
    if arguments.json:
        table = {f"{kind} → {outcome}": count for (kind, outcome), count in sorted(report.table.items())}
        arguments.json.write_text(
            json.dumps({"summary": report.summary, "seconds": report.seconds, "table": table, "wrong": report.wrong})
        )
    return 1 if report.wrong or report.undialed or report.repeated else 0


if __name__ == "__main__":
    sys.exit(main())
