"""Pushes of contacts, by REST and by Redis, beside the bare servers taking the same bytes in the same run.

    python -m benchmarks.push [--contacts 20000] [--repeat 3] [--json FILE]

A push counts when its contact is on record and in the hopper: by REST that is the answer, by Redis the result
`contact.accepted`. The bare web server is the same framework with a handler that decodes each contact and answers a
verdict for it; the bare Redis takes the same messages by XADD. Servers are processes of their own; everything shares
the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import uvicorn
from litestar import Litestar, Request, post
from redis.asyncio import Redis

from dialer.intake.record import RawContact
from dialer.queues.embedded import EmbeddedServer
from dialer.simulation import OPEN_RULES

ROOT = Path(__file__).resolve().parents[1]
AT_ONCE = 1_000
SINGLE = 500
LISTENERS = 4


def rows(count: int, run: int) -> list[bytes]:
    """Contacts as a CRM sends them; other ones in each run."""
    return [
        json.dumps(
            {
                "id": f"crm-{run}-{i}",
                "phones": [f"+346{run:02d}{i:06d}"],
                "name": f"Person number {i}",
                "fields": {"debt": i * 1.5, "reference": f"A-{i}"},
            }
        ).encode()
        for i in range(count)
    ]


# ---- the bare web server

_CONTACT = msgspec.json.Decoder(RawContact)


@post("/contacts", status_code=200)
async def bare(request: Request[Any, Any, Any]) -> dict[str, Any]:
    """Decode each line, answer a verdict for it."""
    found = [_CONTACT.decode(line) for line in (await request.body()).split(b"\n")]
    return {"accepted": len(found), "items": [{"line": n, "status": "accepted"} for n, _ in enumerate(found, start=1)]}


def serve_bare() -> None:
    """The bare server, until it is ended."""
    config = uvicorn.Config(Litestar([bare], logging_config=None), log_level="error", lifespan="off")
    # Not uvicorn's own socket, on which small answers wait for acknowledgements.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.bind(("127.0.0.1", 0))
    print(listening.getsockname()[1], flush=True)
    asyncio.run(uvicorn.Server(config).serve(sockets=[listening]))


# ---- rates


async def timed(count: int, work: Callable[[], Awaitable[None]]) -> float:
    """Of `count` things, how many a second."""
    began = time.perf_counter()
    await work()
    return count / (time.perf_counter() - began)


async def posted(http: aiohttp.ClientSession, url: str, bodies: list[bytes], kind: str) -> None:
    """Send bodies, four at once."""
    waiting = list(reversed(bodies))

    async def send() -> None:
        while waiting:
            async with http.post(url, data=waiting.pop(), headers={"Content-Type": kind}) as answer:
                body = await answer.json()
                if answer.status != 200 or body["accepted"] == 0:
                    raise SystemExit(f"{url} answered {answer.status}: {body}")

    await asyncio.gather(*(send() for _ in range(LISTENERS)))


async def accepted(client: Redis, after: str, count: int) -> None:
    """Wait for so many results ``contact.accepted``."""
    while count:
        answer: Any = await client.xread({"cadencia:results": after}, count=5_000, block=1_000)
        for entry, fields in answer[0][1] if answer else ():
            after = entry
            count -= b'"contact.accepted"' in fields[b"data"]


async def measure(
    node: dict[str, str], bare_url: str, redis_url: str, bare_redis_url: str, count: int, run: int
) -> dict[str, float]:
    """All rates of one run."""
    found: dict[str, float] = {}
    lines = rows(count, run)
    bodies = [b"\n".join(lines[at : at + AT_ONCE]) for at in range(0, count, AT_ONCE)]
    single = rows(SINGLE, run + 30)
    ours = f"{node['api_url']}/api/v1/campaigns/bench/contacts"
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {node['api_key']}"}) as http:
        ndjson, one = "application/x-ndjson", "application/json"
        found["rest_bulk_bare"] = await timed(count, lambda: posted(http, bare_url, list(bodies), ndjson))
        found["rest_bulk"] = await timed(count, lambda: posted(http, ours, list(bodies), ndjson))
        found["rest_single_bare"] = await timed(SINGLE, lambda: posted(http, bare_url, list(single), one))
        found["rest_single"] = await timed(SINGLE, lambda: posted(http, ours, list(single), one))
    lines = rows(count, run + 60)
    messages = [
        b'{"campaign": "bench", "contacts": [' + b",".join(lines[at : at + AT_ONCE]) + b"]}"
        for at in range(0, count, AT_ONCE)
    ]
    client, empty = Redis.from_url(redis_url), Redis.from_url(bare_redis_url)
    newest: Any = await client.xrevrange("cadencia:results", count=1)
    after = newest[0][0] if newest else "0-0"

    async def add(to: Redis) -> None:
        for message in messages:
            await to.xadd("cadencia:contacts", {"data": message})

    async def through() -> None:
        await asyncio.gather(add(client), accepted(client, after, count))

    found["redis_bare"] = await timed(count, lambda: add(empty))
    found["redis"] = await timed(count, through)
    await empty.flushall()
    await client.aclose()
    await empty.aclose()
    return found


async def run_all(arguments: argparse.Namespace, folder: Path) -> list[dict[str, float]]:
    """Start the servers and measure."""
    config = folder / "cadencia.toml"
    redis, other = EmbeddedServer(folder / "redis"), EmbeddedServer(folder / "bare")
    redis.start()
    other.start()
    config.write_text(
        f'node = "bench"\ndata_dir = "{folder}"\n[database]\nurl = "sqlite:///{folder}/bench.db"\n'
        f'[redis]\nurl = "{redis.url}"\n[api]\nport = 0\n[compliance]\nrules = "{OPEN_RULES}"\n[log]\nlevel = "error"\n'
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CADENCIA_")}
    serve = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "dialer.cli", "serve", "--config", str(config)), cwd=ROOT, env=environment
    )
    plain = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.push", "--bare"), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert plain.stdout is not None
        bare_url = f"http://127.0.0.1:{int(await plain.stdout.readline())}/contacts"
        while not (folder / "node.json").exists():
            if serve.returncode is not None:
                raise SystemExit("cadencia serve has ended")
            await asyncio.sleep(0.05)
        node: dict[str, str] = json.loads((folder / "node.json").read_text())
        headers = {"Authorization": f"Bearer {node['api_key']}"}
        async with (
            aiohttp.ClientSession(headers=headers) as http,
            http.post(f"{node['api_url']}/api/v1/campaigns", json={"id": "bench"}) as answer,
        ):
            if answer.status != 201:
                raise SystemExit(await answer.text())
        return [
            await measure(node, bare_url, redis.url, other.url, arguments.contacts, run)
            for run in range(1, arguments.repeat + 1)
        ]
    finally:
        for process in (serve, plain):
            if process.returncode is None:
                process.terminate()
                await process.wait()
        redis.stop()
        other.stop()


def main() -> None:
    """Measure, print one table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--contacts", type=int, default=20_000)
    parser.add_argument("--repeat", type=int, default=3, help="runs, of which the median counts")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--bare", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.bare:
        serve_bare()
        return
    with tempfile.TemporaryDirectory(prefix="cadencia-bench-") as folder:
        runs = asyncio.run(run_all(arguments, Path(folder)))
    found = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
    print(f"{'contacts a second':24}{'ours':>12}{'bare':>12}{'ours/bare':>12}")
    for name in ("rest_bulk", "rest_single", "redis"):
        ours, plain = found[name], found[f"{name}_bare"]
        print(f"{name:24}{ours:12,.0f}{plain:12,.0f}{ours / plain:12.2f}")
    if arguments.json:
        report = {
            "benchmark": "push",
            "contacts": arguments.contacts,
            "machine": platform.machine(),
            "python": sys.version.split()[0],
            "results": found,
        }
        arguments.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
