"""A list into the record and the hopper, against the bare bulk insert of the same rows into SQLite.

    python benchmarks/import_list.py [--rows 1000000] [--json result.json] [--without-hopper]

Prints rows a second of both, in one run, and how long after the start the first contact could be dialed. "whole" is
everything that an import does: reading and decoding CSV in one process; validating, E.164, duplicates there; SQL with
its upsert and removals in another; the hopper (Redis, by the embedded server) in a third.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import random
import sqlite3
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dialer.core.ids import CampaignId, NodeName
from dialer.intake.importer import Hopper, Importer, ImportOrder
from dialer.queues.embedded import EmbeddedServer
from dialer.queues.port import AsyncRecords, Offered, PackedOffer, Record
from dialer.queues.redis_queues import RedisQueues
from dialer.storage.contact_rows import COLUMNS
from dialer.storage.contacts import Contacts
from dialer.storage.database import Database
from dialer.storage.lists import Lists
from dialer.storage.schema import migrate

WINTER = CampaignId("winter")


class NoRecord:
    """The record of a new installation."""

    def __aiter__(self) -> AsyncRecords:
        return self

    async def __anext__(self) -> Record:
        raise StopAsyncIteration


class Watch:
    """A hopper that notes when it had its first contacts."""

    def __init__(self, hopper: Hopper | None) -> None:
        self._hopper = hopper
        self.first_at = 0.0

    async def offer_packed(self, offers: Sequence[PackedOffer]) -> Counter[Offered]:
        answers = Counter[Offered]() if self._hopper is None else await self._hopper.offer_packed(offers)
        self.first_at = self.first_at or time.monotonic()
        return answers


def write_list(path: Path, rows: int) -> None:
    """A list as a CRM exports it: a key, a name, one or two numbers, some data; 1 in 500 rows cannot be used."""
    draw = random.Random(7)
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write("id,name,phone,phone2,priority,city,debt\n")
        for i in range(rows):
            phone = "unknown" if i % 500 == 499 else f"+34{600_000_000 + i}"
            second = f"91{1_000_000 + i % 9_000_000:07}" if i % 4 == 0 else ""
            file.write(f"crm-{i},María García {i},{phone},{second},{i % 10},Madrid,{draw.random() * 900:.2f}\n")


def bare_insert(folder: Path, source: Path) -> float:
    """Rows a second of `executemany` alone, of the very rows that the import has stored, in an equal empty table."""
    with sqlite3.connect(source) as connection:
        (made,) = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'contacts'").fetchone()
        rows = connection.execute(f"SELECT {', '.join(COLUMNS)} FROM contacts").fetchall()
    connection.close()
    target = sqlite3.connect(folder / "bare.db", isolation_level=None)
    target.execute("PRAGMA page_size = 8192")
    target.execute("PRAGMA journal_mode = WAL")
    target.execute("PRAGMA synchronous = FULL")
    target.execute(made)
    started = time.monotonic()
    target.execute("BEGIN IMMEDIATE")
    target.executemany(f"INSERT INTO contacts ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})", rows)
    target.execute("COMMIT")
    seconds = time.monotonic() - started
    target.close()
    return len(rows) / seconds


async def whole_import(folder: Path, path: Path, url: str | None) -> dict[str, Any]:
    database = Database(f"sqlite:///{folder}/record.db")
    await migrate(database)
    queues: RedisQueues | None = None
    if url is not None:
        queues = RedisQueues.from_url(url, node=NodeName("bench"), strict_gate=False)
        if not await queues.prepare():
            await queues.rebuild(NoRecord())
    watch = Watch(queues)
    started = time.monotonic()
    result = await Importer(Contacts(database), Lists(database), watch, time.time).run(
        ImportOrder(list_id="bench", campaign=WINTER, path=path)
    )
    seconds = time.monotonic() - started
    if queues is not None:
        assert (await queues.depth(WINTER)).ready == result.counts.accepted
        await queues.close()
    await database.close()
    return {
        "rows": result.counts.read,
        "accepted": result.counts.accepted,
        "rejected": result.counts.rejected,
        "seconds": round(seconds, 3),
        "rows_per_s": round(result.counts.read / seconds),
        "first_contact_s": round(watch.first_at - started, 3),
    }


def machine() -> dict[str, Any]:
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return {
        "commit": commit.stdout.strip(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--without-hopper", action="store_true", help="leave out Redis")
    options = parser.parse_args()
    figures: dict[str, Any] = {"machine": machine()}
    with tempfile.TemporaryDirectory(prefix="cadencia-bench-") as name:
        folder = Path(name)
        path = folder / "list.csv"
        write_list(path, options.rows)
        if options.without_hopper:
            figures["whole"] = asyncio.run(whole_import(folder, path, None))
        else:
            with EmbeddedServer(folder / "redis", fsync="everysec") as server:
                figures["whole"] = asyncio.run(whole_import(folder, path, server.url))
        figures["bare_rows_per_s"] = round(bare_insert(folder, folder / "record.db"))
    whole = figures["whole"]
    figures["ratio"] = round(whole["rows_per_s"] / figures["bare_rows_per_s"], 3)
    print(f"{'':28}{'rows/s':>12}{'seconds':>10}")
    print(f"{'bare executemany (SQLite)':28}{figures['bare_rows_per_s']:>12,}")
    print(f"{'whole import':28}{whole['rows_per_s']:>12,}{whole['seconds']:>10.1f}")
    print(f"ratio {figures['ratio']:.2f} (wanted: 0.25 or more); first contact after {whole['first_contact_s']:.2f} s")
    print(f"{whole['accepted']:,} accepted, {whole['rejected']:,} rejected; load before: {figures['machine']}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
