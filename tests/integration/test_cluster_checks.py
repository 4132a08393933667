"""What the doctor finds about several nodes: addresses that lead nowhere or to the wrong one, clocks that differ."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiohttp import web

from dialer import settings
from dialer.projections.live import LiveView
from dialer.queues.connection import AsyncRedis
from dialer.queues.embedded import EmbeddedServer
from dialer.queues.keys import Keys
from dialer.runtime.cluster_checks import cluster_findings, look_at
from dialer.runtime.finding import Finding
from dialer.runtime.neighbours import Neighbours
from dialer.runtime.pictures import Neighbour
from dialer.storage.database import Database
from dialer.storage.shared_keys import NODES, SharedKeys
from dialer.testing import ManualClock

KEY = b"k" * 32
NOW = 1_800_000_000.0


def node(name: str, address: str, *, machine: str = "", ahead_s: float | None = 0.0) -> Neighbour:
    """What one says of itself."""
    return Neighbour(node=name, boot="b", address=address, until=NOW, machine=machine, clock_ahead_s=ahead_s)


@pytest.mark.parametrize(
    ("nodes", "wrong"),
    [
        ([node("n1", "http://10.0.0.1:8080"), node("n2", "http://10.0.0.2:8080")], []),
        ([node("n1", "http://10.0.0.1:8080"), node("n2", "")], ["n2 does not say where it is reached"]),
        ([node("n1", "")], []),
        (
            [node("n1", "http://10.0.0.1:8080"), node("n2", "http://10.0.0.1:8080")],
            ["n1 and n2 both", "n2 and n1 both"],
        ),
        (
            [node("n1", "http://127.0.0.1:80", machine="a"), node("n2", "http://10.0.0.2:80", machine="b")],
            ["n1 says that it is reached at http://127.0.0.1:80, where n2"],
        ),
        (
            [node("n1", "http://[::1]:80", machine="a"), node("n2", "http://localhost:81", machine="b")],
            ["n1 says", "n2 says"],
        ),
        # On one machine nodes may well speak over the loopback, and an old one does not say where it is.
        ([node("n1", "http://127.0.0.1:80", machine="a"), node("n2", "http://127.0.0.1:81", machine="a")], []),
        ([node("n1", "http://127.0.0.1:80", machine="a"), node("n2", "http://127.0.0.1:81")], []),
        (
            [
                node("n1", "http://10.0.0.1:80", ahead_s=-1.5),
                node("n2", "http://10.0.0.2:80", ahead_s=None),
                node("n3", "http://10.0.0.3:80", ahead_s=30.0),
            ],
            ["the clock of n3 is 31.5 s ahead of that of n1"],
        ),
    ],
)
def test_what_nodes_say_of_themselves(nodes: list[Neighbour], wrong: list[str]) -> None:
    found = look_at(nodes, {})
    bad = [finding for finding in found if not finding.ok]
    assert len(bad) == len(wrong), found
    for finding, begins in zip(bad, wrong, strict=True):
        assert finding.says.startswith(begins)
        assert finding.mend
    assert found, "whatever is looked at is said"


async def doctor(redis_url: str, sqlite_url: str, **cluster: str) -> list[Finding]:
    """What it says at n1."""
    return await cluster_findings(
        settings.Settings(
            node="n1",
            redis=settings.Redis(url=redis_url),
            database=settings.Database(url=sqlite_url),
            cluster=settings.Cluster(**cluster),  # type: ignore[arg-type]  # texts alone
        )
    )


async def test_each_address_is_tried_and_strangers_are_not(
    valkey: AsyncRedis, valkey_server: EmbeddedServer, sqlite_url: str, tmp_path: Path
) -> None:
    def there(name: str, address: str, key: bytes = KEY) -> Neighbours:
        return Neighbours(
            node=name,
            boot="b1",
            address=address,
            redis=valkey,
            keys=Keys(),
            key=key,
            live=LiveView(),
            servers=list,
            room_for=1,
            policy="here",
            now=ManualClock(NOW).now,
        )

    asked: list[str] = []

    async def healthz(request: web.Request) -> web.Response:
        asked.append(request.host)
        return web.json_response({"status": "alive"})

    app = web.Application()
    app.router.add_get("/healthz", healthz)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    (url,) = (f"http://127.0.0.1:{address[1]}" for address in runner.addresses)
    database = Database(sqlite_url)
    try:
        assert await doctor(valkey_server.url, sqlite_url) == [], "there is no key yet"
        assert await SharedKeys(database).get(NODES, KEY, NOW) == KEY
        assert await doctor(valkey_server.url, sqlite_url) == [], "nobody lives"
        await there("n1", url).beat()
        await valkey.hset(Keys()["neighbours"], "evil b1", b"x" * 200)
        assert await doctor(valkey_server.url, sqlite_url) == [], "alone: nobody need reach it"
        (alone,) = await doctor(valkey_server.url, sqlite_url, address=url)
        assert (alone.ok, asked) == (True, [url.removeprefix("http://")])
        await there("n2", "http://127.0.0.1:9").beat()
        (gone,) = await doctor(valkey_server.url, sqlite_url)
        assert (gone.ok, gone.says) == (False, "n2 is not reached at http://127.0.0.1:9: ClientConnectorError")
        (unread,) = [
            f for f in await doctor(valkey_server.url, sqlite_url, ca_file=str(tmp_path / "none")) if "n1" in f.says
        ]
        assert "cluster.ca_file cannot be read" in unread.says
    finally:
        await database.close()
        await runner.cleanup()
