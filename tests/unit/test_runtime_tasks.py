"""Tasks end when they are told to, also those that do not hear it the first time."""

from __future__ import annotations

import asyncio

import pytest

from dialer.runtime.tasks import Tasks, cancel_all
from tests.patience import PATIENCE_S


async def deaf(times: int) -> None:
    """Swallows so many cancellations, as `asyncio.wait_for` of Python 3.11 may."""
    while True:
        try:
            await asyncio.sleep(3_600)
        except asyncio.CancelledError:
            if times == 0:
                raise
            times -= 1


async def test_a_swallowed_cancellation_is_repeated() -> None:
    async with asyncio.timeout(PATIENCE_S):
        async with Tasks() as tasks:
            task = tasks.start("deaf", deaf(2))
            await asyncio.sleep(0)
        assert task.cancelled()


async def test_cancelling_all_waits_for_all_and_keeps_their_errors() -> None:
    async def fails() -> None:
        raise ValueError("of its own")

    async with asyncio.timeout(PATIENCE_S):
        tasks = [asyncio.ensure_future(deaf(1)), asyncio.ensure_future(fails())]
        await asyncio.sleep(0)
        await cancel_all(tasks)
    assert tasks[0].cancelled()
    with pytest.raises(ValueError, match="of its own"):
        await tasks[1]


async def test_the_death_of_a_task_is_told_with_its_name() -> None:
    async def dies() -> None:
        raise ValueError("broken")

    async with Tasks() as tasks:
        tasks.start("the frail one", dies())
        with pytest.raises(ValueError, match="broken") as died:
            await tasks.failure()
        assert any("the frail one" in note for note in died.value.__notes__)


async def test_whoever_has_tasks_of_its_own_leaves_none_behind() -> None:
    """However often it is told again while they do not hear."""
    own: list[asyncio.Task[None]] = []

    async def has_some() -> None:
        async with Tasks() as tasks:
            own.extend(tasks.start(f"deaf {times}", deaf(times)) for times in (1, 3))
            await asyncio.sleep(3_600)

    async with asyncio.timeout(PATIENCE_S):
        outer = asyncio.ensure_future(has_some())
        await asyncio.sleep(0)
        await cancel_all([outer])
    assert outer.cancelled()
    assert [task.cancelled() for task in own] == [True, True]
