"""A Redis that has lost its memory, loaded from SQL: seconds and memory for millions of do-not-call numbers.

    .venv/bin/python -m benchmarks.rebuild [--numbers 10000000] [--postgres URL | embedded] [--json FILE]

The numbers are scattered over the mobiles of one country, as in a list that has grown for years. The time is that of
`RedisQueues.rebuild` alone, from the first page of the record to the open gate: reading SQL, and the server's scripts.
Bytes are the server's `used_memory`. It is done twice, since nobody may notice a rebuild that comes on top of what is
there already; then some numbers on the list and beside it are asked for at the gate.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import asyncpg  # type: ignore[import-untyped]  # it has none

from benchmarks.import_list import postgres
from dialer.core.contact import Contact
from dialer.core.ids import CallId, CampaignId, ContactId, NodeName, Phone
from dialer.queues.connection import AsyncRedis, connect
from dialer.queues.embedded import EmbeddedServer
from dialer.queues.port import Offered
from dialer.queues.redis_queues import RedisQueues
from dialer.storage.database import Database
from dialer.storage.record import RecordPages
from dialer.storage.schema import migrate

CAMPAIGN: Final = CampaignId("winter")
#: +34 6 and +34 7 with eight digits each.
_BEGIN: Final = 34_600_000_000
_RANGE: Final = 200_000_000
_COLUMNS: Final = ("scope", "phone", "reason", "source", "expires_at", "at", "position", "active", "who")
_TARGET_S: Final = 60.0


def numbers(count: int) -> Iterator[int]:
    """`count` digits in order, as evenly as they go."""
    return (_BEGIN + i * _RANGE // count for i in range(count))


def rows(count: int) -> Iterator[tuple[object, ...]]:
    """The entries as the table has them."""
    return (("*", f"+{n}", "", "import", None, 1.7e9, "1-1", True, "") for n in numbers(count))


async def fill(database: Database, url: str, count: int) -> None:
    """Put the entries on record, past everything that is not the database."""
    if database.path is not None:
        with sqlite3.connect(database.path) as connection:
            connection.executemany(
                f"INSERT INTO do_not_call ({', '.join(_COLUMNS)}) VALUES (?,?,?,?,?,?,?,?,?)", rows(count)
            )
        connection.close()
        return
    server = await asyncpg.connect(url)
    await server.copy_records_to_table("do_not_call", records=rows(count), columns=_COLUMNS)
    await server.execute("ANALYZE do_not_call")
    await server.close()


async def used(client: AsyncRedis) -> int:
    """Bytes that the server has in use."""
    info = await client.info("memory")
    return int(info["used_memory"])


def cpu_s(pid: int | None) -> float:
    """User and system seconds of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def check(queues: RedisQueues, count: int) -> None:
    """Nobody on the list can be loaded; whoever stands beside it is called."""
    step = _RANGE // count
    listed, free = [], []
    for i in range(0, count, max(1, count // 100)):
        number = _BEGIN + i * _RANGE // count
        listed.append(Contact(campaign=CAMPAIGN, id=ContactId(f"on{i}"), phones=(Phone(f"+{number}"),)))
        if step > 1:
            free.append(Contact(campaign=CAMPAIGN, id=ContactId(f"off{i}"), phones=(Phone(f"+{number + 1}"),)))
    assert set(await queues.offer(listed)) == {Offered.DO_NOT_CALL}
    assert set(await queues.offer(free)) <= {Offered.ADDED}
    calls = [CallId(f"k{i}") for i in range(len(free) + 10)]
    async with queues.reserve(CAMPAIGN, calls, time.time()) as reservation:
        assert {permit.contact for permit in reservation.granted.permits} == {contact.id for contact in free}


async def measure(url: str, count: int, home: Path) -> dict[str, Any]:
    """All figures of one run."""
    database = Database(url)
    await migrate(database)
    began = time.perf_counter()
    await fill(database, url, count)
    figures: dict[str, Any] = {"numbers": count, "database": database.dialect, "fill_s": time.perf_counter() - began}
    with EmbeddedServer(home / "redis") as server:
        client = connect(server.url)
        queues = RedisQueues(connect(server.url), node=NodeName("n1"))
        before = await used(client)
        for name in ("", "again_"):
            began, ours, theirs = time.perf_counter(), time.process_time(), cpu_s(server.pid)
            await queues.rebuild(RecordPages(database, time.time()))
            figures[f"{name}rebuild_s"] = time.perf_counter() - began
            figures[f"{name}own_cpu_s"] = time.process_time() - ours
            figures[f"{name}valkey_cpu_s"] = cpu_s(server.pid) - theirs
            figures[f"{name}bytes_per_number"] = (await used(client) - before) / count
        assert int(await client.hget("cadencia:dnc-counts", "*") or 0) == count
        await check(queues, count)
        await queues.close()
        await client.aclose()
    await database.close()
    return figures


def main() -> None:
    """Measure, print, and write JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--numbers", type=int, default=10_000_000)
    parser.add_argument("--postgres", metavar="URL", help='an empty database; "embedded" starts a server')
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cadencia-rebuild-") as name, ExitStack() as stack:
        home = Path(name)
        url = f"sqlite:///{home / 'record.db'}"
        if options.postgres:
            url = stack.enter_context(postgres(options.postgres, home))
        figures = asyncio.run(measure(url, options.numbers, home))
    print(f"| what | figure (wanted: {_TARGET_S:.0f} s for 10,000,000) |\n| --- | --- |")
    for what, figure in figures.items():
        print(f"| {what} | {f'{figure:,.2f}' if isinstance(figure, float) else figure} |")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
