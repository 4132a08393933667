"""The fail-over drill: a promoted replica dials nobody before the record has been loaded, whatever it lacks."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from dialer.core.ids import NodeName
from dialer.errors import ConfigError, GateNotReady, QueueError
from dialer.queues.connection import connect, connect_blocking
from dialer.queues.port import Offered, Record, Release
from dialer.queues.redis_queues import RedisQueues
from dialer.queues.sentinel import SentinelAddress, is_sentinel, read_address
from tests.certificates import Authority
from tests.e2e.floor import until
from tests.queue_worlds import NOW, WINTER, Caller, Pages, contact, granted
from tests.sentinel import Cluster, cluster

__all__ = ["cluster"]


@pytest.fixture
async def queues(cluster: Cluster) -> AsyncIterator[RedisQueues]:
    """A node that has loaded an empty record and three contacts."""
    made = RedisQueues.from_url(cluster.url, node=NodeName("n1"))
    if not await made.prepare():
        await made.rebuild(Pages())
    assert await made.offer([contact(1), contact(2), contact(3)]) == [Offered.ADDED] * 3
    yield made
    await made.close()


async def outcome(queues: RedisQueues, caller: Caller) -> str:
    """What a node gets that wants to dial: whom, or why nobody."""
    try:
        return ",".join(granted(await caller()))
    except GateNotReady:
        return "not ready"
    except QueueError:
        return "out of reach"


async def load(queues: RedisQueues, removed: str = "") -> None:
    """Load the record, as the gatekeeper does: again and again. The new master is never taken for one that has it."""

    proved: list[bool] = []

    async def loaded() -> bool:
        try:
            proved.append(await queues.prepare())
            if not proved[-1]:
                await queues.rebuild(Pages(*([Record(removed=[(WINTER, removed)])] if removed else [])))
        except QueueError:
            return False
        return True

    await until(loaded, "the record is loaded")
    assert not proved[0]


async def test_a_killed_master_is_replaced_and_nobody_is_dialed_until_the_record_is_loaded(
    cluster: Cluster, queues: RedisQueues
) -> None:
    caller = Caller(queues)
    assert granted(await caller(1)) == ["c1"]
    await until(cluster.in_step, "the replica has it all")
    cluster.signal(cluster.ports[0], signal.SIGKILL)
    said: set[str] = set()

    async def refused_by_the_new_one() -> bool:
        said.add(await outcome(queues, caller))
        return "not ready" in said

    await until(refused_by_the_new_one, "the new master is reached")
    assert said <= {"out of reach", "not ready"}, "nobody was dialed"
    # It has every write, and yet nobody can prove that. Meanwhile the CRM withdrew one of them, which is on record.
    await load(queues, removed="c2")
    assert granted(await caller()) == ["c3"]


async def test_jobs_and_commands_find_the_master_as_well(cluster: Cluster) -> None:
    blocking = connect_blocking(cluster.url, protocol=2)
    assert await asyncio.to_thread(blocking.ping)
    blocking.close()


async def test_a_replica_that_lacks_acknowledged_writes_dials_nobody_from_them(
    cluster: Cluster, queues: RedisQueues
) -> None:
    caller = Caller(queues)
    await until(cluster.in_step, "the replica has it all")
    # It hangs while the master goes on acknowledging: a reservation, and a removal.
    cluster.signal(cluster.ports[1], signal.SIGSTOP)
    reservation = await caller(1)
    assert granted(reservation) == ["c1"]
    await queues.write([Release(permit=permit) for permit in reservation.granted.permits])
    async with connect(cluster.url) as client:
        await client.xadd(queues.keys["removals"], {"data": b'{"id": "m1", "campaign": "winter", "contact": "c1"}'})
    cluster.signal(cluster.ports[0], signal.SIGKILL)
    cluster.signal(cluster.ports[1], signal.SIGCONT)
    await until(lambda: cluster.promoted(cluster.ports[1]), "the replica is promoted")

    assert await outcome(queues, caller) in {"out of reach", "not ready"}
    # The record has read the removal from the master before it died.
    await load(queues, removed="c1")
    assert granted(await caller()) == ["c2", "c3"]


async def test_a_master_that_hung_and_was_replaced_is_left_by_the_next_heartbeat(
    cluster: Cluster, queues: RedisQueues
) -> None:
    caller = Caller(queues)
    assert granted(await caller(1)) == ["c1"], "its connection to the gate stays open"
    await until(cluster.in_step, "the replica has it all")
    cluster.signal(cluster.ports[0], signal.SIGSTOP)
    await until(lambda: cluster.promoted(cluster.ports[1]), "the replica is promoted")
    cluster.signal(cluster.ports[0], signal.SIGCONT)

    async def beat() -> bool:
        try:
            await queues.heartbeat(NOW, 5.0)
        except QueueError:
            return False
        return True

    # Without a heartbeat a node permits nothing (`dialer.runtime.gatekeeper`).
    await until(beat, "a heartbeat reaches a master")
    assert await outcome(queues, caller) == "not ready", "the new one, and not the old one that answers again"
    await load(queues)
    assert granted(await caller()) == ["c2", "c3"]


async def test_by_tls_the_drill_is_the_same_and_strangers_are_not_believed(tmp_path: Path) -> None:
    ours, other = Authority(tmp_path, "Ours"), Authority(tmp_path, "Another")
    home = tmp_path / "servers"
    home.mkdir()
    cluster = Cluster(home, tls=ours.vouch("127.0.0.1"))
    async with AsyncExitStack() as stack:
        for front in cluster.fronts:
            await stack.enter_async_context(front)
        stack.callback(cluster.stop)
        await cluster.start()
        unseen = sum(front.with_tls for front in cluster.fronts)
        assert unseen == 0, "the servers among themselves"
        for url in (cluster.url, f"{cluster.url}?ssl_ca_certs={other.file}"):
            stranger = RedisQueues.from_url(url, node=NodeName("n9"))
            with pytest.raises(QueueError):
                await stranger.prepare()
            await stranger.close()
        url = f"{cluster.url}?ssl_ca_certs={ours.file}"
        blocking = connect_blocking(url, protocol=2)
        assert await asyncio.to_thread(blocking.ping)
        blocking.close()
        # What they say among themselves goes on; what is ours is counted from here.
        queues = RedisQueues.from_url(url, node=NodeName("n1"))
        stack.push_async_callback(queues.close)
        if not await queues.prepare():
            await queues.rebuild(Pages())
        await queues.offer([contact(1), contact(2), contact(3)])
        caller = Caller(queues)
        assert granted(await caller(1)) == ["c1"]
        await until(cluster.in_step, "the replica has it all")
        assert cluster.fronts[1].with_tls == 0, "nobody asks the replica"
        cluster.signal(cluster.ports[0], signal.SIGKILL)

        async def refused_by_the_new_one() -> bool:
            return await outcome(queues, caller) == "not ready"

        await until(refused_by_the_new_one, "the new master is reached")
        assert cluster.fronts[1].with_tls > 0
        await load(queues, removed="c2")
        assert granted(await caller()) == ["c3"]


def test_the_url_says_where_the_sentinels_are_and_whom_to_ask_for() -> None:
    url = "rediss+sentinel://ana:p%40ss@h1,[::1]:26380/calls/3?ssl_ca_certs=/ca.pem&sentinel_password=s"
    assert is_sentinel(url)
    assert read_address(url) == SentinelAddress(
        hosts=(("h1", 26379), ("::1", 26380)),
        service="calls",
        tls=True,
        master={"ssl": True, "ssl_ca_certs": "/ca.pem", "username": "ana", "password": "p@ss", "db": 3},
        sentinels={"ssl": True, "ssl_ca_certs": "/ca.pem", "password": "s"},
    )
    assert read_address("redis+sentinel://:pw@h1/m").master == {"password": "pw", "db": 0}
    assert not is_sentinel("redis://h1/m")


@pytest.mark.parametrize(
    "url",
    [
        "redis+sentinel://",
        "redis+sentinel:///m",
        "redis+sentinel://h1",
        "redis+sentinel://h1,/m",
        "redis+sentinel://h1:0/m",
        "redis+sentinel://h1:99999/m",
        "redis+sentinel://h 1/m",
        "redis+sentinel://h1/m/x",
        "redis+sentinel://h1/m?decode_responses=1",
        "redis+sentinel://h1/m?ssl_ca_certs=/ca.pem",
        "redis+sentinel://:hunter2@h1:x/m",
    ],
)
def test_a_url_that_cannot_be_understood_is_refused_without_its_password(url: str) -> None:
    for make in (connect, connect_blocking):
        with pytest.raises(ConfigError) as caught:
            make(url)
        assert "hunter2" not in str(caught.value)
