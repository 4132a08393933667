"""The small parts of the shell: outbox, owned tasks, clock, results feed, signals."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Mapping, Sequence
from typing import Any, cast

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from dialer.core.ids import NodeName
from dialer.errors import QueueError
from dialer.queues.memory import MemoryQueues
from dialer.queues.memory_server import MemoryServer
from dialer.queues.port import Publish, Write
from dialer.runtime import outbox as outbox_module
from dialer.runtime import results_feed
from dialer.runtime.clock import Clock
from dialer.runtime.node import Node
from dialer.runtime.outbox import Outbox
from dialer.runtime.signals import stop_on_signals, until_stopped
from dialer.runtime.tasks import Tasks
from tests.patience import PATIENCE_S
from tests.runtime_floor import eventually

# ---- outbox


class Slow(MemoryQueues):
    """Queues that keep batches, refuse some, and write when told to."""

    def __init__(self) -> None:
        super().__init__(MemoryServer(time.time), node=NodeName("n1"))
        self.batches: list[list[int]] = []
        self.refusals = 0
        self.go = asyncio.Event()
        self.go.set()

    async def write(self, writes: Sequence[Write]) -> None:
        await self.go.wait()
        if self.refusals:
            self.refusals -= 1
            raise QueueError("away")
        self.batches.append([cast("int", w.result["n"]) for w in writes if isinstance(w, Publish)])

    @property
    def written(self) -> list[int]:
        return [n for batch in self.batches for n in batch]


def publishes(*numbers: int) -> list[Write]:
    return [Publish(result={"n": n}) for n in numbers]


async def test_writes_keep_their_order_in_batches_and_over_refusals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_module, "_RETRY_S", 0.001)
    monkeypatch.setattr(outbox_module, "_BATCH", 7)
    queues = Slow()
    queues.refusals = 3
    outbox = Outbox(queues)
    async with Tasks() as tasks:
        tasks.start("outbox", outbox.run())
        outbox.put(publishes(*range(10)))
        outbox.put([])
        outbox.put(publishes(*range(10, 30)))
        assert await outbox.flush(PATIENCE_S)
        assert queues.written == list(range(30))
        assert max(len(batch) for batch in queues.batches) == 7
        assert len(outbox) == 0


async def test_what_is_put_during_a_write_is_written_behind_it() -> None:
    queues = Slow()
    queues.go.clear()
    outbox = Outbox(queues)
    async with Tasks() as tasks:
        tasks.start("outbox", outbox.run())
        outbox.put(publishes(1))
        await asyncio.sleep(0)
        outbox.put(publishes(2))
        queues.go.set()
        assert await outbox.flush(PATIENCE_S)
    assert queues.written == [1, 2]


async def test_full_says_so_and_loses_nothing() -> None:
    queues = Slow()
    queues.go.clear()
    outbox = Outbox(queues, soft_limit=3)
    outbox.put(publishes(1, 2))
    assert not outbox.full
    outbox.put(publishes(3, 4))
    assert outbox.full
    async with Tasks() as tasks:
        tasks.start("outbox", outbox.run())
        assert not await outbox.flush(0.01)
        queues.go.set()
        assert await outbox.flush(PATIENCE_S)
    assert not outbox.full
    assert queues.written == [1, 2, 3, 4]


async def test_a_write_that_was_cut_off_is_still_waiting() -> None:
    queues = Slow()
    queues.go.clear()
    outbox = Outbox(queues)
    async with Tasks() as tasks:
        tasks.start("outbox", outbox.run())
        outbox.put(publishes(1))
        await asyncio.sleep(0)
    assert len(outbox) == 1


# ---- tasks


async def test_the_death_of_a_task_comes_out_with_its_name_and_the_first_one_wins() -> None:
    async def die(text: str, after: int) -> None:
        for _ in range(after):
            await asyncio.sleep(0)
        raise ValueError(text)

    async with Tasks() as tasks:
        tasks.start("switch", die("first", 1))
        tasks.start("outbox", die("second", 3))
        async with asyncio.timeout(PATIENCE_S):
            with pytest.raises(ValueError, match="first") as raised:
                await tasks.failure()
        assert raised.value.__notes__ == ["in the task 'switch'"]


async def test_tasks_that_end_by_themselves_are_no_failure_and_stop_cancels_the_rest() -> None:
    cancelled: list[str] = []

    async def work(name: str) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(name)
            raise

    async def nothing() -> None:
        return

    tasks = Tasks()
    async with tasks:
        done = tasks.start("short", nothing())
        for name in ("a", "b"):
            tasks.start(name, work(name))
        await done
        await asyncio.sleep(0)
    assert sorted(cancelled) == ["a", "b"]
    assert not tasks._tasks
    with pytest.raises(asyncio.CancelledError):
        await tasks.failure()


async def test_a_task_that_fails_while_it_is_being_stopped_holds_up_nobody() -> None:
    async def stubborn() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise OSError("while closing")

    async with Tasks() as tasks:
        tasks.start("stubborn", stubborn())
        await asyncio.sleep(0)


# ---- clock


def test_time_never_goes_back_and_a_jump_is_told_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    wall, mono = 1_000.0, 50.0
    monkeypatch.setattr(time, "time", lambda: wall)
    monkeypatch.setattr(time, "monotonic", lambda: mono)
    clock = Clock()
    seen = []
    for jump, passed in ((0.0, 1.0), (-3600.0, 2.0), (7200.0, 0.0), (-1.0, 0.5)):
        wall += jump + passed
        mono += passed
        seen.append(clock.now())
    assert seen == [1_001.0, 1_003.0, 1_003.0, 1_003.5]
    assert clock.drift_s() == pytest.approx(3_599.0)


# ---- results feed


class Feed:
    """A Redis that answers XREAD from a script, and then with nothing."""

    def __init__(self, answers: list[object]) -> None:
        self.answers = answers
        self.asked: list[object] = []

    async def xrevrange(self, _stream: str, *, count: int) -> list[tuple[bytes, dict[bytes, bytes]]]:
        """The newest entry."""
        assert count == 1
        return [(b"0-9", {b"data": b"{}"})]

    async def xread(self, streams: Mapping[str, object], **_: object) -> object:
        self.asked.append(streams["results"])
        if not self.answers:
            await asyncio.Event().wait()
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


class Listeners:
    """Some people, or nobody, who listen to results."""

    def __init__(self, count: int = 1) -> None:
        self.heard: list[Mapping[str, object]] = []
        self.ids: list[str] = []
        self.began: list[str] = []
        self.ended = 0
        self._count = count
        self._came = asyncio.Event()
        self.come(count)

    def come(self, count: int) -> None:
        """So many listen from now on."""
        self._count = count
        if count:
            self._came.set()
        else:
            self._came.clear()

    def __len__(self) -> int:
        return self._count

    async def listened(self) -> None:
        """Wait for the first."""
        await self._came.wait()

    def begin(self, position: str) -> None:
        """Hear where it begins."""
        self.began.append(position)

    def end(self) -> None:
        """Hear that it ends."""
        self.ended += 1

    def publish(self, result: Mapping[str, object], id: str) -> None:
        """Hear a result."""
        self.heard.append(result)
        self.ids.append(id)


async def test_results_are_read_only_while_somebody_listens_and_from_that_moment_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(results_feed, "EVERY_S", 0.002)
    entries = [(b"10-0", {b"data": b'{"type": "call.started"}'})]
    redis = Feed([[(b"results", entries)], *([None] * 1_000)])
    audience = Listeners(0)
    async with Tasks() as tasks:
        tasks.start("results", results_feed.follow(cast("Redis", redis), "results", audience))
        for _ in range(10):
            await asyncio.sleep(0)
        assert not redis.asked, "nobody listens"
        audience.come(1)
        await eventually(lambda: audience.heard)
        audience.come(0)
        await asyncio.sleep(0.02)
        asked = len(redis.asked)
        await asyncio.sleep(0.02)
        assert len(redis.asked) == asked, "nobody listens any more"
        audience.come(2)
        await eventually(lambda: len(redis.asked) > asked)
    assert redis.asked[0] == redis.asked[asked] == b"0-9", "each time from the newest entry on"
    assert (audience.ended, len(audience.began)) == (2, 2)


async def test_results_are_followed_over_an_outage_and_past_what_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results_feed, "_RETRY_S", 0.001)
    entries = [
        (b"1-0", {b"data": b'{"type": "call.started"}'}),
        (b"2-0", {b"other": b"x"}),
        (b"3-0", {b"data": b"not json"}),
        (b"4-0", {b"data": b"[1]"}),
        (b"5-0", None),
        (b"6-0", {b"data": b'{"type": "call.ended"}'}),
    ]
    redis = Feed([None, [(b"results", entries[:4])], RedisConnectionError("gone"), [(b"results", entries[4:])]])
    audience = Listeners()
    async with Tasks() as tasks:
        tasks.start("results", results_feed.follow(cast("Redis", redis), "results", audience))
        await eventually(lambda: len(redis.asked) == 5)
    assert [result["type"] for result in audience.heard] == ["call.started", "call.ended"]
    assert (audience.began, audience.ids) == (["0-9"], ["1-0", "6-0"])
    assert redis.asked == [b"0-9", b"0-9", b"4-0", b"4-0", b"6-0"], (
        "begins behind what was there, and goes on from there"
    )


# ---- signals


class Part:
    """As much of a node as the signals know."""

    def __init__(self) -> None:
        self.error: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def failure(self) -> None:
        await asyncio.shield(self.error)


@pytest.mark.parametrize("name", [signal.SIGINT, signal.SIGTERM])
async def test_the_first_signal_asks_and_the_second_is_not_ours(name: signal.Signals) -> None:
    before = signal.getsignal(name)
    stop = stop_on_signals()
    try:
        os.kill(os.getpid(), name)
        await asyncio.wait_for(stop.wait(), PATIENCE_S)
        loop: Any = asyncio.get_running_loop()
        assert name not in loop._signal_handlers, "the next one ends the process"
    finally:
        signal.signal(name, before)


async def test_waiting_ends_with_the_stop_the_time_or_the_death_of_a_part() -> None:
    part = Part()
    node = cast("Node", part)
    stop = asyncio.Event()
    await until_stopped(node, stop, timeout_s=0.01)
    stop.set()
    await asyncio.wait_for(until_stopped(node, stop), PATIENCE_S)
    part.error.set_exception(OSError("switch died"))
    stop.clear()
    with pytest.raises(ExceptionGroup) as raised:
        await asyncio.wait_for(until_stopped(node, stop), PATIENCE_S)
    assert raised.group_contains(OSError, match="switch died")
