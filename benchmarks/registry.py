"""Look-ups in a do-not-call registry file against SISMEMBER over a socket; building, opening and sharing one.

    python -m benchmarks.registry [--numbers 10000000] [--lookups 200000] [--file FILE] [--folder DIR] [--json FILE]

Numbers are drawn from one country's plan (ten digits after +1), so that about as many are repeated as chance wants, and
written as text in no order; the registry is built from that text as `cadencia registry build` does. Half of the numbers
looked up are listed. SISMEMBER asks an embedded Valkey over its unix socket, one at a time and in pipelines of a
hundred, for a set of 1,000,000 of the same numbers (its time does not depend on how many there are). Times are CPU time
of this process where they say so, since the machine may be shared; the look-up of one number by itself is also timed by
the clock for its percentiles. Shared memory is read from /proc of two processes that have all pages of the file mapped.
`--file` measures a registry file that is there already, and builds none. 250,000,000 numbers need 6 GB of disk.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

import numpy as np

from dialer.compliance.registry import Consulted, Edition, Registries
from dialer.compliance.registry_build import BuildOrder, BuildProgress, build_registry
from dialer.compliance.registry_file import RegistryFile
from dialer.compliance.registry_store import RegistryStore
from dialer.core.ids import CampaignId, Phone
from dialer.queues.connection import connect
from dialer.queues.embedded import EmbeddedServer
from dialer.settings import Registry

_FIRST: Final = 12_000_000_000
_END: Final = 19_999_999_999
_TEXT_AT_ONCE: Final = 2_000_000
_IN_SET: Final = 1_000_000
_PIPELINE: Final = 100


def write_text(path: Path, numbers: int) -> None:
    """`numbers` lines such as +12125551234, in no order."""
    rng = np.random.default_rng(7)
    with path.open("wb") as file:
        for at in range(0, numbers, _TEXT_AT_ONCE):
            values = rng.integers(_FIRST, _END, min(_TEXT_AT_ONCE, numbers - at), dtype=np.uint64)
            lines = np.full((len(values), 13), ord("\n"), np.uint8)
            lines[:, 0] = ord("+")
            for place in range(11, 0, -1):
                lines[:, place] = values % 10 + ord("0")
                values //= 10
            file.write(lines.data)


def build(numbers: int, folder: Path) -> tuple[Path, dict[str, Any]]:
    """Build a registry; its file, and what it cost."""
    text = folder / "source.txt"
    write_text(text, numbers)
    stages: dict[str, float] = {}
    last = (time.perf_counter(), time.process_time())

    def tell(progress: BuildProgress) -> None:
        stages.setdefault(progress.stage, time.process_time())

    store = RegistryStore(folder / "registries")
    order = BuildOrder(registry="bench", path=text, source_date=datetime.now(UTC).date())
    try:
        report = build_registry(store, order, time.time, tell)
    finally:
        text.unlink()
    cost = {
        "build_s": time.perf_counter() - last[0],
        "build_cpu_s": time.process_time() - last[1],
        "build_lines": report.lines,
        "build_peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    return store.path_of("bench", report.header.version), cost


def to_look_up(file: RegistryFile, count: int) -> list[int]:
    """Numbers of the same country, the half of them listed, shuffled."""
    rng = np.random.default_rng(11)
    listed: list[int] = []
    while len(listed) < count // 2:
        drawn = rng.integers(_FIRST, _END, 20 * count // 2).tolist()
        listed += [n for n, found in zip(drawn, file.contains_many(drawn), strict=True) if found]
    asked = np.array(listed[: count // 2] + rng.integers(_FIRST, _END, count - count // 2).tolist())
    rng.shuffle(asked)
    return [int(number) for number in asked]


def cpu_us(work: Callable[[], object], each: int) -> float:
    """Microseconds of CPU for one of `each`; the median of five runs."""
    took = []
    for _ in range(5):
        began = time.process_time()
        work()
        took.append((time.process_time() - began) / each * 1e6)
    return statistics.median(took)


def look_ups(file: RegistryFile, asked: Sequence[int]) -> dict[str, float]:
    """What look-ups cost: of the bare file, of a whole check, and in batches of a thousand."""
    registries = Registries(
        [Registry(name="bench", max_age_days=31)],
        {
            "bench": Edition(
                consulted=Consulted(registry="bench", version=file.version, source_date=file.header.source_date),
                numbers=file,
                count=len(file),
            )
        },
    )
    winter, now = CampaignId("winter"), time.time()
    phones = [Phone(f"+{number}") for number in asked]
    each_us = []
    for number in asked:
        began = time.perf_counter_ns()
        _ = number in file
        each_us.append((time.perf_counter_ns() - began) / 1e3)
    overhead_us = []
    for _ in asked:
        began = time.perf_counter_ns()
        overhead_us.append((time.perf_counter_ns() - began) / 1e3)
    percentiles = statistics.quantiles(each_us, n=100)
    check = cpu_us(lambda: [registries.check(phone, winter, now) for phone in phones], len(phones))
    batches = [phones[at : at + 1_000] for at in range(0, len(phones), 1_000)]
    return {
        "lookup_cpu_us": cpu_us(lambda: [number in file for number in asked], len(asked)),
        "lookup_p50_us": percentiles[49] - statistics.median(overhead_us),
        "lookup_p99_us": percentiles[98] - statistics.median(overhead_us),
        "check_cpu_us": check,
        "check_1000_cpu_us": cpu_us(
            lambda: [registries.check_many(batch, winter, now) for batch in batches], len(phones)
        ),
        "lookup_many_cpu_us": cpu_us(lambda: file.contains_many(asked), len(asked)),
    }


async def sismember(asked: Sequence[int]) -> dict[str, float]:
    """The same question to a server over its unix socket: clock and CPU of this process, in microseconds."""
    asked = asked[:20_000]
    with tempfile.TemporaryDirectory(prefix="cadencia-bench-") as home:
        server = EmbeddedServer(Path(home), fsync="no", persistent=False)
        with server:
            client = connect(server.url, name="bench")
            rng = np.random.default_rng(7)
            for _ in range(_IN_SET // 10_000):
                await client.sadd("listed", *rng.integers(_FIRST, _END, 10_000).tolist())
            wall, cpu = time.perf_counter(), time.process_time()
            each_us = []
            for number in asked:
                began = time.perf_counter_ns()
                await client.sismember("listed", str(number))
                each_us.append((time.perf_counter_ns() - began) / 1e3)
            alone_us = (time.perf_counter() - wall) / len(asked) * 1e6
            alone_cpu_us = (time.process_time() - cpu) / len(asked) * 1e6
            wall = time.perf_counter()
            for at in range(0, len(asked), _PIPELINE):
                async with client.pipeline(transaction=False) as pipeline:
                    for number in asked[at : at + _PIPELINE]:
                        pipeline.sismember("listed", str(number))
                    await pipeline.execute()
            piped_us = (time.perf_counter() - wall) / len(asked) * 1e6
            await client.aclose()
    percentiles = statistics.quantiles(each_us, n=100)
    return {
        "sismember_us": alone_us,
        "sismember_cpu_us": alone_cpu_us,
        "sismember_p50_us": percentiles[49],
        "sismember_p99_us": percentiles[98],
        "sismember_piped_us": piped_us,
    }


def _hold(path: str, pipe: Connection) -> None:
    file = RegistryFile(Path(path))
    file.verify()
    pipe.send("ready")
    pipe.recv()
    sizes = {"Rss": 0, "Pss": 0}
    ours = False
    for line in Path("/proc/self/smaps").read_text(encoding="ascii", errors="replace").splitlines():
        if "-" in line.split(" ", 1)[0]:
            ours = line.endswith(path)
        elif ours and (key := line.split(":")[0]) in sizes:
            sizes[key] += int(line.split()[1])
    pipe.send(sizes)
    pipe.recv()


def shared(path: Path) -> dict[str, float]:
    """What two processes that both have the whole file mapped take of memory for it, in MB."""
    context = multiprocessing.get_context("spawn")
    held = []
    for _ in range(2):
        ours, theirs = context.Pipe()
        process = context.Process(target=_hold, args=(str(path), theirs))
        process.start()
        held.append((process, ours))
    try:
        for _, pipe in held:
            pipe.recv()
        sizes = []
        for _, pipe in held:
            pipe.send("tell")
            sizes.append(pipe.recv())
    finally:
        for process, pipe in held:
            pipe.send("end")
            process.join()
    return {
        "rss_each_mb": sizes[0]["Rss"] / 1024,
        "pss_both_mb": sum(size["Pss"] for size in sizes) / 1024,
        "file_mb": path.stat().st_size / 2**20,
    }


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--numbers", type=int, default=10_000_000)
    parser.add_argument("--lookups", type=int, default=200_000)
    parser.add_argument("--file", type=Path)
    parser.add_argument("--folder", type=Path, help="where to build; default: a temporary folder")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cadencia-registry-", dir=given.folder) as folder:
        found: dict[str, Any] = {}
        path = given.file
        if path is None:
            path, found = build(given.numbers, Path(folder))
        began = time.perf_counter()
        file = RegistryFile(path)
        found["open_ms"] = (time.perf_counter() - began) * 1e3
        began = time.perf_counter()
        file.verify()
        found["verify_s"] = time.perf_counter() - began
        found["numbers"] = len(file)
        found["bytes_per_number"] = path.stat().st_size / len(file)
        asked = to_look_up(file, given.lookups)
        found |= look_ups(file, asked)
        found |= asyncio.run(sismember(asked))
        found["lookups_per_s"] = 1e6 / found["lookup_cpu_us"]
        found["times_sismember"] = found["sismember_us"] / found["lookup_cpu_us"]
        found["times_sismember_p50"] = found["sismember_p50_us"] / found["lookup_p50_us"]
        del file  # a third process that shares the pages would take its part of them
        found |= shared(path)
    print("| what | value |\n| --- | --- |")
    for key, value in found.items():
        print(f"| {key} | {f'{value:,}' if isinstance(value, int) else f'{value:,.2f}'} |")
    if given.json is not None:
        given.json.write_text(json.dumps(found, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
