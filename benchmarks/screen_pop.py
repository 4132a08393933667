"""From a customer's answer to the screen-pop event in the CRM's hands: a whole node, an exchange, an HTTP subscriber.

    python -m benchmarks.screen_pop [--calls 500] [--agents 40] [--json FILE]

The subscriber is `dialer.client` in a process of its own, as a CRM would listen by server-sent events. Latency runs
from the moment of the answer, as the exchange told it, to the moment when the subscriber has the event parsed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import secrets
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from dialer.campaigns import parse_campaign
from dialer.client import AsyncClient
from dialer.core.campaign import CampaignState
from dialer.core.contact import Contact
from dialer.core.events import CampaignConfigured, CampaignOrdered
from dialer.core.ids import CallId, CampaignId, ContactId, Phone
from dialer.core.notices import AnyNotice, CallConnected, CallWasAnswered
from dialer.demo import SimulatedDesk
from dialer.runtime.clock import Clock
from dialer.runtime.node import Node
from dialer.settings import Api, Asterisk, Compliance, Database, Redis, Settings, Trunk
from dialer.simulation import OPEN_RULES
from dialer.simulation.exchange import Exchange
from dialer.simulation.people import SimulatedAgents, seats
from dialer.simulation.profiles import FAST
from dialer.simulation.world import Reaction, World
from dialer.storage.campaigns import Campaigns
from dialer.storage.keys import Keys

ROOT = Path(__file__).resolve().parents[1]
CAMPAIGN = CampaignId("bench")
WANTED_MS = 200.0


class Moments:
    """When each call was answered, and when it had its agent."""

    def __init__(self) -> None:
        self.answered: dict[CallId, float] = {}
        self.connected: dict[CallId, float] = {}

    def apply(self, notice: AnyNotice) -> None:
        """Take them down."""
        if isinstance(notice, CallWasAnswered):
            self.answered[notice.call] = notice.at
        elif isinstance(notice, CallConnected):
            self.connected[notice.call] = notice.at


async def listen(url: str, key: str, count: int) -> None:
    """Print one line for each event: the call, and when it was there."""
    async with AsyncClient(url, key) as client:
        print("listening", flush=True)
        seen = 0
        async for event in client.events(types="agent.screen_pop"):
            print(event.data["call"], repr(time.time()), flush=True)
            seen += 1
            if seen == count:
                return


async def measure(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Make the calls; latencies in milliseconds."""
    secret = secrets.token_urlsafe(12)
    world = World(replace(FAST, name="people", mix={Reaction.PERSON: 1.0}), 1)
    clock, moments = Clock(), Moments()
    desk = SimulatedDesk(clock)
    async with Exchange(world, secret=secret, clock=clock.now) as exchange:
        settings = Settings(
            node="bench",
            data_dir=str(folder),
            database=Database(url=f"sqlite:///{folder / 'bench.db'}"),
            redis=Redis(url="embedded"),
            api=Api(port=0),
            compliance=Compliance(rules=str(OPEN_RULES)),
            asterisk=(Asterisk(name="x", port=exchange.port, secret=secret, trunks=(Trunk(name="carrier"),)),),
        )
        async with Node(settings, clock=clock, projections=(desk, moments)) as node:
            desk.node = node
            campaign = parse_campaign(
                {"id": CAMPAIGN, "method": "progressive", "screen_pop": "https://crm.example/contacts/{id}"}
            )
            await Campaigns(node.database).create(campaign, clock.now())
            await node.control.submit(CampaignConfigured(at=clock.now(), campaign=campaign))
            _, key = await Keys(node.database).create("crm", "bench", now=clock.now())
            await node.gatekeeper.wait_open()
            await node.desk.take(
                [
                    Contact(campaign=CAMPAIGN, id=ContactId(f"c{i}"), phones=(Phone(f"+34{600_000_000 + i}"),))
                    for i in range(min(1_000, arguments.calls + 100))
                ],
                clock.now(),
            )
            reader = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "benchmarks.screen_pop", "--listen", node.api_url, "--key", key),
                *("--calls", str(arguments.calls)),
                stdout=asyncio.subprocess.PIPE,
                cwd=ROOT,
            )
            assert reader.stdout is not None
            await reader.stdout.readline()
            while not len(node.results):  # noqa: ASYNC110 - a list of listeners has no event
                await asyncio.sleep(0.01)
            people = SimulatedAgents(desk, world, seats(arguments.agents), (CAMPAIGN,))
            working = asyncio.create_task(people.run())
            await node.control.submit(CampaignOrdered(at=clock.now(), campaign=CAMPAIGN, state=CampaignState.RUNNING))
            told = (await reader.stdout.read()).decode().split("\n")
            await reader.wait()
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
    events = {CallId(call): float(at) for call, at in (line.split() for line in told if line)}
    from_answer = [(at - moments.answered[call]) * 1_000 for call, at in events.items()]
    from_agent = [(at - moments.connected[call]) * 1_000 for call, at in events.items()]
    return {
        "calls": len(events),
        "from_answer_p50_ms": statistics.median(from_answer),
        "from_answer_p99_ms": statistics.quantiles(from_answer, n=100)[98],
        "from_answer_max_ms": max(from_answer),
        "from_agent_p50_ms": statistics.median(from_agent),
        "from_agent_p99_ms": statistics.quantiles(from_agent, n=100)[98],
    }


def main() -> None:
    """Measure, print one table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=500, help="at most 900")
    parser.add_argument("--agents", type=int, default=40)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--listen", metavar="URL", help=argparse.SUPPRESS)
    parser.add_argument("--key", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.listen:
        asyncio.run(listen(arguments.listen, arguments.key, arguments.calls))
        return
    with tempfile.TemporaryDirectory(prefix="cadencia-bench-") as folder:
        found = asyncio.run(measure(arguments, Path(folder)))
    print(f"{'':22}{'p50 ms':>10}{'p99 ms':>10}{'max ms':>10}{'wanted':>10}")
    print(
        f"{'answer to event':22}{found['from_answer_p50_ms']:10.1f}{found['from_answer_p99_ms']:10.1f}"
        f"{found['from_answer_max_ms']:10.1f}{WANTED_MS:10.0f}"
    )
    print(f"{'agent to event':22}{found['from_agent_p50_ms']:10.1f}{found['from_agent_p99_ms']:10.1f}")
    if arguments.json:
        report = {
            "benchmark": "screen_pop",
            "machine": platform.machine(),
            "python": sys.version.split()[0],
            "agents": arguments.agents,
            "results": found,
        }
        arguments.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
