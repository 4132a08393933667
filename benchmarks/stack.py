"""The whole stack against the embedded exchange: calls per second, CPU per call, event-loop lag.

    .venv/bin/python benchmarks/stack.py --agents 120 --seconds 30 --rate 200
    .venv/bin/python benchmarks/stack.py --agents 300 --seconds 30 --rate 1000     # as fast as it goes

The node (engine, gate client, AMI, results, SQL writer, metrics) is one process on one core; the exchange and
Valkey are processes of their own. `--rate` is the trunk's limit in calls per second. Ratios are against
the exchange's own CPU in the same run, which does as much AMI as the node and nothing else.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import secrets
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from dialer.campaigns import parse_campaign
from dialer.core.campaign import CampaignState
from dialer.core.contact import Contact
from dialer.core.events import CampaignConfigured, CampaignOrdered
from dialer.core.ids import CampaignId, ContactId, Phone
from dialer.core.notices import AnyNotice, CallEnded, CallStarted
from dialer.demo import SimulatedDesk
from dialer.runtime import lag
from dialer.runtime.clock import Clock
from dialer.runtime.node import Node
from dialer.settings import Api, Asterisk, Compliance, Database, Redis, Settings, Trunk
from dialer.simulation import OPEN_RULES
from dialer.simulation.people import SimulatedAgents, seats
from dialer.simulation.profiles import profile_named
from dialer.simulation.world import World
from dialer.storage.campaigns import Campaigns

ROOT = Path(__file__).resolve().parents[1]
CAMPAIGN = CampaignId("bench")


class Counts:
    """Counts calls."""

    def __init__(self) -> None:
        self.started = 0
        self.outcomes: Counter[str] = Counter()

    def apply(self, notice: AnyNotice) -> None:
        if isinstance(notice, CallStarted):
            self.started += 1
        elif isinstance(notice, CallEnded):
            self.outcomes[notice.attempt.outcome] += 1


def cpu_s(pid: int) -> float:
    """User and system seconds of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss_mb(pid: int) -> float:
    """Resident memory."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


async def fill(node: Node, count: int) -> None:
    """Contacts straight into the hopper: the list import has a benchmark of its own."""
    for start in range(0, count, 1_000):
        batch = [
            Contact(campaign=CAMPAIGN, id=ContactId(f"c{i}"), phones=(Phone(f"+34{600_000_000 + i}"),))
            for i in range(start, min(start + 1_000, count))
        ]
        await node.desk.take(batch, node.clock.now())


async def measure(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    secret = secrets.token_urlsafe(12)
    exchange = await asyncio.create_subprocess_exec(
        *(
            sys.executable,
            "-m",
            "dialer.simulation.exchange",
            "--profile",
            arguments.profile,
            "--print-port",
            "--until-eof",
        ),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "CADENCIA_EXCHANGE_SECRET": secret},
        cwd=ROOT,
    )
    assert exchange.stdout is not None
    port = int(await exchange.stdout.readline())
    world = World(profile_named(arguments.profile), 1)
    clock, counts = Clock(), Counts()
    desk = SimulatedDesk(clock)
    settings = Settings(
        node="bench",
        data_dir=str(folder),
        database=Database(url=f"sqlite:///{folder / 'bench.db'}"),
        redis=Redis(url="embedded"),
        api=Api(port=0),
        compliance=Compliance(rules=str(OPEN_RULES)),
        asterisk=(
            Asterisk(
                name="exchange",
                port=port,
                secret=secret,
                trunks=(
                    Trunk(name="carrier", dial="PJSIP/{number}@carrier", max_channels=20_000,
                          max_calls_per_second=arguments.rate),
                ),
            ),
        ),
    )  # fmt: skip
    lags: list[float] = []
    try:
        async with Node(settings, clock=clock, projections=(counts, desk)) as node:
            desk.node = node
            watching = asyncio.ensure_future(lag.watch(lags.append))
            campaign = parse_campaign(
                {"id": CAMPAIGN, "method": "ratio", "ratio": 20.0, "max_lines": 20_000, "max_lines_per_agent": 100,
                 "max_attempts": 1}
            )  # fmt: skip
            await Campaigns(node.database).create(campaign, clock.now())
            await node.control.submit(CampaignConfigured(at=clock.now(), campaign=campaign))
            await node.gatekeeper.wait_open()
            await fill(node, arguments.contacts)
            people = SimulatedAgents(desk, world, seats(arguments.agents), (CAMPAIGN,))
            working = asyncio.ensure_future(people.run())
            await asyncio.sleep(2.0)
            await node.control.submit(CampaignOrdered(at=clock.now(), campaign=CAMPAIGN, state=CampaignState.RUNNING))
            await asyncio.sleep(arguments.warmup)
            assert node.embedded is not None
            pids = {"node": os.getpid(), "exchange": exchange.pid, "valkey": node.embedded.pid or 0}
            before, began, started = {n: cpu_s(p) for n, p in pids.items()}, time.monotonic(), counts.started
            lags.clear()
            await asyncio.sleep(arguments.seconds)
            seconds, calls = time.monotonic() - began, counts.started - started
            spent = {n: cpu_s(p) - before[n] for n, p in pids.items()}
            worst = sorted(lags)
            result = {
                "agents": arguments.agents,
                "calls_per_s": round(calls / seconds, 1),
                "in_flight": len(node.dispatcher.engine.floor.calls),
                "outcomes": dict(counts.outcomes),
                "lag_p50_ms": round(1_000 * worst[len(worst) // 2], 2),
                "lag_p99_ms": round(1_000 * worst[int(len(worst) * 0.99)], 2),
                "lag_max_ms": round(1_000 * worst[-1], 1),
                "cpu_share": {n: round(s / seconds, 3) for n, s in spent.items()},
                "cpu_ms_per_call": {n: round(1_000 * s / max(1, calls), 3) for n, s in spent.items()},
                "node_against_exchange": round(spent["node"] / max(1e-9, spent["exchange"]), 2),
                "outbox": len(node.outbox),
                "node_rss_mb": round(rss_mb(os.getpid()), 1),
            }
            for task in (working, watching):
                task.cancel()
            await asyncio.gather(working, watching, return_exceptions=True)
        return result
    finally:
        assert exchange.stdin is not None
        exchange.stdin.close()
        await exchange.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agents", type=int, default=100)
    parser.add_argument("--contacts", type=int, default=100_000)
    parser.add_argument("--rate", type=float, default=200.0)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--warmup", type=float, default=5.0)
    parser.add_argument("--profile", default="benchmark")
    parser.add_argument("--core", type=int, default=None, help="pin the node to this core")
    parser.add_argument("--profiler", type=Path, help="write a cProfile of the node here")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cadencia-stack-") as name:
        if arguments.core is not None:
            os.sched_setaffinity(0, {arguments.core})
        if arguments.profiler:
            import cProfile

            profiler = cProfile.Profile()
            profiler.enable()
        result = asyncio.run(measure(arguments, Path(name)))
        if arguments.profiler:
            profiler.disable()
            profiler.dump_stats(arguments.profiler)
    print("| what | figure |\n| --- | --- |")
    for key, value in result.items():
        print(f"| {key} | {value} |")
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
