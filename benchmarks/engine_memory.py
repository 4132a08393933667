"""Engine memory per waiting contact: a node with 10,000 contacts in its hopper against one with a million.

    .venv/bin/python benchmarks/engine_memory.py --contacts 1000000

The node (engine, gate client, live view) keeps nothing for a contact that waits: contacts wait in Redis. Two figures:
what Python holds by tracemalloc, and the resident memory of the process, each after the same number of reservations
through the gate from a hopper of either size. Another process fills the hopper, so that what parsing leaves behind is
not counted.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from benchmarks.stack import CAMPAIGN, rss_mb
from dialer.campaigns import parse_campaign
from dialer.core.campaign import CampaignState
from dialer.core.contact import Contact
from dialer.core.engine import Engine
from dialer.core.events import CampaignConfigured, CampaignOrdered
from dialer.core.floor import Server
from dialer.core.ids import CallId, ContactId, NodeName, Phone, ServerName, TrunkName
from dialer.core.trunks import TrunkLimits
from dialer.projections.live import LiveView
from dialer.queues.embedded import EmbeddedServer
from dialer.queues.port import Record, Release
from dialer.queues.redis_queues import RedisQueues

ROOT = Path(__file__).resolve().parents[1]
_RESERVATIONS = 50
_BATCH = 50


async def _nothing() -> AsyncIterator[Record]:
    yield Record()


async def fill(url: str, count: int) -> None:
    """Put contacts into the hopper."""
    queues = RedisQueues.from_url(url, node=NodeName("filler"))
    if not await queues.prepare():
        await queues.rebuild(_nothing())
    for start in range(0, count, 1_000):
        await queues.offer(
            [
                Contact(campaign=CAMPAIGN, id=ContactId(f"c{i}"), phones=(Phone(f"+34{600_000_000 + i}"),))
                for i in range(start, min(start + 1_000, count))
            ]
        )
    await queues.close()


async def reserve(url: str, trace: bool) -> dict[str, Any]:
    """One node's memory, after reservations from a hopper of any size."""
    queues = RedisQueues.from_url(url, node=NodeName("bench"))
    assert await queues.prepare(), "the hopper must have been filled before"
    engine = Engine(
        node=NodeName("bench"),
        servers=[Server(name=ServerName("pbx"))],
        trunks=[
            TrunkLimits(
                server=ServerName("pbx"), name=TrunkName("carrier"), max_channels=100, max_calls_per_second=100.0
            )
        ],
    )
    live = LiveView()
    campaign = parse_campaign({"id": CAMPAIGN, "method": "predictive"})
    live.configure(campaign)
    engine.handle(CampaignConfigured(at=time.time(), campaign=campaign))
    engine.handle(CampaignOrdered(at=time.time(), campaign=CAMPAIGN, state=CampaignState.RUNNING))
    if trace:
        tracemalloc.start()
    ready = 0
    for turn in range(_RESERVATIONS):
        calls = [CallId(f"bench-{turn:05d}-{i:05d}") for i in range(_BATCH)]
        async with queues.reserve(CAMPAIGN, calls, time.time()) as reservation:
            granted = reservation.granted
        ready = granted.ready
        assert len(granted.permits) == _BATCH
        engine.handle(granted)  # nobody is signed in: each permit goes back as it came
        for notice in engine.wake(time.time()):
            assert notice is not None
        live.hopper(CAMPAIGN, ready=granted.ready, later=granted.later)
        await queues.write([Release(permit=permit) for permit in granted.permits])
    gc.collect()
    held = tracemalloc.get_traced_memory()[0] if trace else 0
    depth = await queues.depth(CAMPAIGN)
    await queues.close()
    return {"ready": depth.ready, "told": ready, "held_bytes": held, "rss_bytes": rss_mb(os.getpid()) * 1e6}


def _run(*arguments: str) -> str:
    command = [sys.executable, "-m", "benchmarks.engine_memory", *arguments]
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


def measure(few: int, many: int) -> list[dict[str, Any]]:
    """A row for each size of the hopper."""
    rows = []
    for count in (few, many):
        with tempfile.TemporaryDirectory(prefix="cadencia-memory-") as name:
            server = EmbeddedServer(Path(name))
            server.start()
            try:
                _run("--fill", server.url, "--contacts", str(count))
                traced = json.loads(_run("--node", server.url, "--trace"))
                plain = json.loads(_run("--node", server.url))
            finally:
                server.stop()
        assert traced["ready"] == count, f"{traced['ready']} of {count} contacts wait"
        rows.append({"waiting": count, "held_kb": traced["held_bytes"] / 1e3, "rss_mb": plain["rss_bytes"] / 1e6})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--contacts", type=int, default=1_000_000)
    parser.add_argument("--fill", metavar="URL", help=argparse.SUPPRESS)
    parser.add_argument("--node", metavar="URL", help=argparse.SUPPRESS)
    parser.add_argument("--trace", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if arguments.fill:
        asyncio.run(fill(arguments.fill, arguments.contacts))
        return
    if arguments.node:
        print(json.dumps(asyncio.run(reserve(arguments.node, arguments.trace))))
        return
    few, many = measure(10_000, arguments.contacts)
    more = many["waiting"] - few["waiting"]
    result = {
        "held_bytes_per_contact": round(1e3 * (many["held_kb"] - few["held_kb"]) / more, 4),
        "rss_bytes_per_contact": round(1e6 * (many["rss_mb"] - few["rss_mb"]) / more, 3),
    }
    print("| waiting | held by Python, kB | resident, MB |\n| --- | --- | --- |")
    for row in (few, many):
        print(f"| {row['waiting']:,} | {row['held_kb']:.1f} | {row['rss_mb']:.2f} |")
    print(f"\nbytes per waiting contact: {result}")
    if arguments.json:
        arguments.json.write_text(json.dumps({"rows": [few, many], **result}, indent=2))


if __name__ == "__main__":
    main()
