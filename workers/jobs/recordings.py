"""Finished recordings: into the store, and out of it when their time is over (see `dialer.recordings.mover`)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Final

from dialer.core.ids import ServerName
from dialer.recordings.mover import Mover
from dialer.recordings.sealing import key_of
from dialer.recordings.store import open_store
from dialer.runtime.clock import Clock
from dialer.settings import Settings
from dialer.storage.attempts import Attempts
from dialer.storage.audit import Audit
from dialer.storage.opening import open_database
from dialer.storage.recordings import Recordings
from workers.settings import load_settings

#: Well within the job's own time: a recording of an hour is moved in seconds.
_BUDGET_S: Final = 300.0
_LEASE_S: Final = 1_200.0


def move_due() -> dict[str, object]:
    """Move what is due, until nothing is; how many were stored, put off and given up as missing.

    Raises:
        StorageError: the database is out of reach; what was claimed is due again when its lease has run out.
        ConfigError: the store of the settings cannot be used.
    """
    return asyncio.run(_move(load_settings()))


def expire() -> dict[str, int]:
    """Delete what is out of time, and look through Asterisk's folders for what a crash left; how many of each.

    Raises:
        StorageError: the database is out of reach.
        StoreError: the store is.
    """
    return asyncio.run(_expire(load_settings()))


async def _move(settings: Settings) -> dict[str, object]:
    async with _mover(settings) as mover:
        return asdict(await mover.move_due(budget_s=_BUDGET_S, lease_s=_LEASE_S))


async def _expire(settings: Settings) -> dict[str, int]:
    async with _mover(settings) as mover:
        tidied = await mover.tidy()
        return {"deleted": await mover.expire(), "tidied": tidied}


@asynccontextmanager
async def _mover(settings: Settings) -> AsyncIterator[Mover]:
    wanted = settings.recordings
    store = open_store(wanted, Path(settings.data_dir))
    database = open_database(settings)
    try:
        yield Mover(
            Recordings(database),
            store,
            {ServerName(server.name): Path(server.recordings) for server in settings.asterisk if server.recordings},
            key=key_of(wanted.encryption_key) if wanted.encryption_key else None,
            retention_s=wanted.retention_days * 86_400.0,
            now=Clock().now,
            audit=Audit(database),
            attempt=Attempts(database).get,
        )
    finally:
        await database.close()
