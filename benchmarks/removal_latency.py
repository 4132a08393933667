"""From the write of a removal or do-not-call entry to the hang-up of the call that it names, on the embedded stack.

    .venv/bin/python -m benchmarks.removal_latency [--removals 1000] [--rate 20] [--lines 60] [--json FILE]

One `cadencia serve` on a Valkey of its own keeps so many phones ringing on the embedded exchange; a CRM names one of
them after the other, in all forms in turn. The clock runs from the moment before the write until the exchange has read
the Hangup action; "from the answer" begins when the CRM had its acknowledgement. The exchange and the CRM are one
process, so both moments are of one clock.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import sys
import tempfile
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.hammer import Plan, settings
from benchmarks.hammer_crm import CAMPAIGN, FORMS, digits, form, message, place_of
from benchmarks.processes import ServeProcess
from dialer.campaigns import parse_campaign
from dialer.core.campaign import CampaignState
from dialer.queues.connection import connect
from dialer.queues.embedded import EmbeddedServer
from dialer.simulation.channels import Channel
from dialer.simulation.exchange import Exchange
from dialer.simulation.profiles import NOBODY
from dialer.simulation.world import Reaction, World
from dialer.storage import schema
from dialer.storage.campaigns import Campaigns
from dialer.storage.database import Database

TARGET_S: Final = 0.050
#: Who is named has been ringing so long at least.
_RINGS_S: Final = 0.2
_RATIO: Final = 20
_PATIENCE_S: Final = 5.0
#: All of them ring until the dialer gives up.
RINGING: Final = replace(NOBODY, name="ringing", mix={Reaction.NO_ANSWER: 1.0})


async def ringing(exchange: Exchange, but_not: set[str]) -> Channel:
    """The customer's channel that has been ringing longest, of those that nobody has named."""
    while True:
        now = exchange.clock()
        for record in exchange.log:
            if not record.is_agent and record.call not in but_not and record.ended_at is None:
                channel = exchange.switchboard.find(record.call)
                if channel is not None and now - record.at > _RINGS_S:
                    return channel
        await asyncio.sleep(0.005)


async def name_them(exchange: Exchange, url: str, removals: int, rate: float) -> dict[str, list[float]]:
    """Withdraw ringing calls; seconds from write and acknowledgement to hang-up, by form."""
    client = connect(url, name="crm")
    named: set[str] = set()
    waits: dict[str, list[float]] = {name: [] for name in ("write", "answer", *FORMS)}
    loop = asyncio.get_running_loop()
    due = loop.time()
    while len(waits["write"]) < removals:
        due = max(due + 1 / rate, loop.time())
        await asyncio.sleep(due - loop.time())
        channel = await ringing(exchange, named)
        named.add(channel.uniqueid)
        record = next(record for record in exchange.log if record.call == channel.uniqueid)
        n = place_of(int(record.number))
        stream, said = message(n)
        written = exchange.clock()
        await client.xadd(f"cadencia:{stream}", {"data": json.dumps(said)})
        answered = exchange.clock()
        until = loop.time() + _PATIENCE_S
        while record.ended_at is None:
            if loop.time() > until:
                raise RuntimeError(f"nobody hung up after {said}")
            await asyncio.sleep(0.0005)
        if record.ended_by != "dialer":
            continue
        waits["write"].append(record.ended_at - written)
        waits["answer"].append(max(0.0, record.ended_at - answered))
        waits[form(n)].append(record.ended_at - written)
    await client.aclose()
    return waits


async def prepare(url: str) -> None:
    """The campaign, running."""
    database = Database(url)
    await schema.migrate(database)
    campaign = parse_campaign(
        {"id": CAMPAIGN, "method": "ratio", "ratio": _RATIO, "max_lines": 10_000, "max_lines_per_agent": 100}
    )
    await Campaigns(database).create(campaign, time.time(), CampaignState.RUNNING)
    await database.close()


async def measure(removals: int, rate: float, lines: int, folder: Path) -> dict[str, Any]:
    """All figures of one run."""
    secret, url = secrets.token_urlsafe(12), f"sqlite:///{folder / 'record.db'}"
    await prepare(url)
    plan = Plan(entries=removals * 40, agents=max(1, lines // _RATIO))
    with EmbeddedServer(folder / "redis") as server:
        async with Exchange(World(RINGING, seed=1), secret=secret) as exchange:
            text = settings(plan, database=url, server=server, port=exchange.port, secret=secret)
            node = ServeProcess(folder, "n1", text)
            try:
                node.start()
                client = connect(server.url, name="list")
                for start in range(0, plan.entries, 1_000):
                    contacts = [{"id": f"c{n}", "phones": [f"+{digits(n)}"]} for n in range(start, start + 1_000)]
                    said = json.dumps({"campaign": CAMPAIGN, "contacts": contacts})
                    await client.xadd("cadencia:contacts", {"data": said})
                await client.aclose()
                await asyncio.to_thread(node.wait_up)
                await asyncio.to_thread(node.sign_in, plan.agents, CAMPAIGN)
                waits = await name_them(exchange, server.url, removals, rate)
            finally:
                await asyncio.to_thread(node.stop)
            outcomes = Counter(record.ended_by for record in exchange.log if not record.is_agent)
    figures: dict[str, Any] = {"removals": removals, "calls": sum(outcomes.values())}
    for name in ("write", "answer", *FORMS):
        values = np.array(waits[name] or [np.nan])
        key = {"write": "from the write", "answer": "from the answer"}.get(name, name)
        figures[key] = {f"p{p}_ms": round(1_000 * float(np.percentile(values, p)), 2) for p in (50, 99, 100)}
    return figures


def main() -> int:
    """Measure, print, and write JSON where asked; 1 where the 99th percentile is above the target."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--removals", type=int, default=1_000)
    parser.add_argument("--rate", type=float, default=20.0, help="removals a second")
    parser.add_argument("--lines", type=int, default=60, help="phones that ring at once")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cadencia-latency-") as name:
        figures = asyncio.run(measure(options.removals, options.rate, options.lines, Path(name)))
    print(f"{figures['removals']} ringing calls withdrawn (target: p99 {1_000 * TARGET_S:.0f} ms)")
    print("| what | p50 | p99 | longest |\n| --- | --- | --- | --- |")
    for what, values in figures.items():
        if isinstance(values, dict):
            print(f"| {what} | {' | '.join(f'{value} ms' for value in values.values())} |")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2))
    return int(figures["from the write"]["p99_ms"] > 1_000 * TARGET_S)


if __name__ == "__main__":
    sys.exit(main())
