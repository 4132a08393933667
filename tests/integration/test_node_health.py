"""`/readyz` of a node: each part that it lacks is named with the reason, and the others are still looked at."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

import pytest

from dialer.core.ids import ServerName
from dialer.core.saying import NOTHING, Saying
from dialer.queues.connection import AsyncRedis, connect
from dialer.runtime.api_ports import NodeHealth
from dialer.storage.database import Database
from dialer.storage.stream_consumer import ConsumerStatus
from dialer.switch.port import ServerStatus

WELL = ConsumerStatus(written=5, set_aside=0, waiting=0, trouble=None, trouble_since=None)
BEHIND = ConsumerStatus(written=5, set_aside=0, waiting=3, trouble="disk full", trouble_since=1.0)


@dataclass
class Gate:
    """As much of the gatekeeper as health asks for."""

    is_open: bool = True
    told: Saying = NOTHING


@dataclass
class Servers:
    """As much of the switch as health asks for."""

    lost: str = ""

    def status(self) -> dict[ServerName, ServerStatus]:
        """Two servers, one of which may be lost."""
        return {
            ServerName(name): ServerStatus(
                server=ServerName(name),
                connected=name != self.lost,
                version="22",
                problem="login refused" if name == self.lost else "",
                reconnects=0,
                round_trip_s=0.001,
            )
            for name in ("a1", "a2")
        }


@dataclass
class Consumer:
    """As much of a stream's reader as health asks for."""

    status: ConsumerStatus = WELL


async def lacks(database: Database, client: AsyncRedis, **parts: Any) -> dict[str, str]:
    """Parts that are not well, with the reason."""
    health = NodeHealth(
        database=database,
        client=client,
        gatekeeper=cast("Any", parts.get("gate", Gate())),
        switch=cast("Any", parts.get("switch", Servers())),
        consumers=MappingProxyType({"attempts": cast("Any", parts.get("consumer", Consumer()))}),
    )
    checks = await health.checks()
    assert [check.name for check in checks] == [
        *("redis", "database", "gate", "record of attempts", "asterisk a1", "asterisk a2")
    ]
    return {check.name: check.problem for check in checks if not check.ok}


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """What counts here is who is named: whoever is asked may take as long as a busy machine needs."""
    monkeypatch.setattr("dialer.runtime.api_ports._CHECK_TIMEOUT_S", 30.0)


@pytest.fixture
async def record(sqlite_url: str) -> Any:
    """A database with all tables."""
    database = Database(sqlite_url)
    yield database
    await database.close()


async def test_all_is_well(record: Database, valkey: AsyncRedis) -> None:
    assert await lacks(record, valkey) == {}


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({"gate": Gate(is_open=False, told=Saying("loading the record"))}, {"gate": "loading the record"}),
        ({"switch": Servers(lost="a2")}, {"asterisk a2": "login refused"}),
        ({"consumer": Consumer(BEHIND)}, {"record of attempts": "disk full"}),
    ],
)
async def test_each_part_is_named(
    record: Database, valkey: AsyncRedis, parts: dict[str, Any], expected: dict[str, str]
) -> None:
    assert await lacks(record, valkey, **parts) == expected


async def test_redis_and_database_that_are_away(tmp_path: Path) -> None:
    database, client = Database(f"sqlite:///{tmp_path}/nowhere/c.db"), connect("redis://127.0.0.1:1", name="test")
    try:
        found = await lacks(database, client)
    finally:
        await client.aclose()
        await database.close()
    assert set(found) == {"redis", "database"}
    assert all(found.values())


async def test_tables_of_another_version_name_the_cure(tmp_path: Path, valkey: AsyncRedis) -> None:
    database = Database(f"sqlite:///{tmp_path}/c.db")
    try:
        assert (await lacks(database, valkey))["database"].endswith("cadencia db upgrade")
    finally:
        await database.close()


async def test_who_says_nothing_is_not_waited_for(
    record: Database, valkey: AsyncRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr("dialer.runtime.api_ports._CHECK_TIMEOUT_S", 0.05)
    monkeypatch.setattr(valkey, "ping", nothing)
    monkeypatch.setattr("dialer.runtime.api_ports.version", nothing)
    assert await lacks(record, valkey) == {"redis": "no answer in time", "database": "no answer in time"}
