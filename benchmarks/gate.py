"""The gate against a bare EVALSHA that pops as many members of a sorted set: same server, same client, same batch.

    python -m benchmarks.gate [--contacts 100000] [--batch 50] [--json FILE]

Prints one table. "strict" holds back other clients' writes (docs/adr/0004); each reservation's contacts are really
reserved: drained, checked against do-not-call lists of 100,000 numbers, made live; nothing is given back in between.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import shutil
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from dialer.core.contact import Contact
from dialer.core.ids import CallId, CampaignId, ContactId, NodeName, Phone
from dialer.queues.connection import AsyncRedis, connect
from dialer.queues.embedded import EmbeddedServer
from dialer.queues.pausing import PausingConnection
from dialer.queues.port import AsyncRecords, Record
from dialer.queues.redis_queues import RedisQueues

CAMPAIGN = CampaignId("winter")
POP = "return redis.call('ZPOPMIN', KEYS[1], ARGV[1])"


def contact(i: int) -> Contact:
    """A contact as CRMs push them: a name, two numbers, five fields."""
    return Contact(
        campaign=CAMPAIGN,
        id=ContactId(f"crm-{i:07d}"),
        phones=(Phone(f"+346{i:08d}"), Phone(f"+349{i:08d}")),
        name="María García Fernández",
        timezone="Europe/Madrid",
        fields={
            "debt": "1234.50",
            "product": "loan",
            "city": "Valencia",
            "due": "2030-01-31",
            "note": "calls back at 4",
        },
    )


async def _pages(listed: int) -> AsyncIterator[Record]:
    phones = [("*", Phone(f"+345{i * 97 % 10**8:08d}"), None) for i in range(listed)]
    for i in range(0, listed, 5_000):
        yield Record(do_not_call=phones[i : i + 5_000])


async def _used(client: AsyncRedis) -> int:
    info = await client.info("memory")
    return int(info["used_memory"])


async def bare(client: AsyncRedis, members: int, batch: int) -> float:
    """Members a second that a bare script pops."""
    for i in range(0, members, 1_000):
        await client.zadd("bare", {f"crm-{k:07d}": k for k in range(i, i + 1_000)})
    sha = await client.script_load(POP)
    connection = await client.connection_pool.get_connection()  # type: ignore[no-untyped-call]  # redis-py
    begin = time.perf_counter()
    for _ in range(members // batch):
        await connection.send_packed_command(connection.pack_command("EVALSHA", sha, 1, "bare", batch))
        assert len(await connection.read_response()) == 2 * batch
    took = time.perf_counter() - begin
    await client.connection_pool.release(connection)
    return members / took


async def gate(queues: RedisQueues, contacts: int, batch: int, first: int) -> float:
    """Contacts a second through the port, permits made."""
    done, n = 0, first
    begin = time.perf_counter()
    while done < contacts:
        calls = [CallId(f"node1-k3j2h1-{n + k}") for k in range(batch)]
        n += batch
        async with queues.reserve(CAMPAIGN, calls, time.time()) as reservation:
            assert len(reservation.granted.permits) == batch, reservation
        done += batch
    return contacts / (time.perf_counter() - begin)


async def script_only(queues: RedisQueues, client: AsyncRedis, contacts: int, batch: int) -> float:
    """Contacts a second through the bare script, without pause and without making permits."""
    connection = PausingConnection(client, queues.keys["turn"])
    generation = await client.hget(queues.keys["gate"], "generation")
    script = queues._scripts["gate"]
    begin = time.perf_counter()
    for n in range(contacts // batch):
        calls = [f"node1-x-{n}-{k}" for k in range(batch)]
        await connection.run(
            script, (generation, "node1#1", CAMPAIGN, time.time(), "", 10**9, 500, 30, batch, "\n".join(calls))
        )
    took = time.perf_counter() - begin
    await connection.close()
    return contacts / took


async def measure(contacts: int, batch: int, home: Path) -> dict[str, Any]:
    """All figures of one run, on one server."""
    with EmbeddedServer(home, fsync="everysec") as server:
        client = connect(server.url)
        await client.flushall()
        share = contacts // 3 // batch * batch
        figures: dict[str, Any] = {"contacts": contacts, "batch": batch}
        rates = [await bare(client, share // 1_000 * 1_000, batch)]
        strict = RedisQueues(client, node=NodeName("node1"))
        pages: AsyncRecords = _pages(100_000)
        await strict.rebuild(pages)
        loose = RedisQueues(connect(server.url), node=NodeName("node1"), strict_gate=False)
        assert await loose.prepare()
        before = await _used(client)
        begin = time.perf_counter()
        for i in range(0, contacts, 1_000):
            await strict.offer([contact(k) for k in range(i, i + 1_000)])
        figures["offer_per_s"] = contacts / (time.perf_counter() - begin)
        figures["bytes_per_contact"] = (await _used(client) - before) / contacts
        figures["script_per_s"] = await script_only(strict, client, share, batch)
        figures["plain_per_s"] = await gate(loose, share, batch, 0)
        figures["strict_per_s"] = await gate(strict, share, batch, contacts)
        rates.append(await bare(client, share // 1_000 * 1_000, batch))
        figures["bare_per_s"] = sum(rates) / 2
        await loose.close()
        await strict.close()
    for name in ("script", "plain", "strict"):
        figures[f"{name}_ratio"] = figures[f"{name}_per_s"] / figures["bare_per_s"]
    return figures


def main() -> None:
    """Measure, print, and write JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--contacts", type=int, default=60_000)
    parser.add_argument("--batch", type=int, default=50)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="cadencia-bench-"))
    try:
        figures = asyncio.run(measure(options.contacts, options.batch, home))
    finally:
        shutil.rmtree(home, ignore_errors=True)
    print(f"batch of {options.batch}, {options.contacts} contacts")
    print(f"{'bare EVALSHA ZPOPMIN':34}{figures['bare_per_s']:>12,.0f} /s")
    for name, text in (
        ("script", "gate's script alone"),
        ("plain", "gate through the port"),
        ("strict", "gate through the port, strict"),
    ):
        print(f"{text:34}{figures[f'{name}_per_s']:>12,.0f} /s   ratio {figures[f'{name}_ratio']:.2f}   (target 0.25)")
    print(f"{'offer (upsert into the hopper)':34}{figures['offer_per_s']:>12,.0f} /s")
    print(f"{'Redis per waiting contact':34}{figures['bytes_per_contact']:>12,.0f} bytes   (target 1024)")
    if options.json is not None:
        figures |= {"python": platform.python_version(), "machine": platform.machine(), "cores": os.cpu_count()}
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
