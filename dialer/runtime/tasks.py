"""Background tasks that somebody owns: named, watched, and cancelled together.

The death of a task is an event, never silence: the first that fails ends the run with its error.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, Self

_CANCEL_AGAIN_S = 0.2


async def cancel_all(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks and wait until all have ended, however; their errors stay with them.

    Raises:
        asyncio.CancelledError: cancelled itself meanwhile, when all have ended: nobody is left running behind it.
    """
    left = set(tasks)
    impatient: asyncio.CancelledError | None = None
    while left:
        for task in left:
            task.cancel()
        # Again and again: Python 3.11's `wait_for`, which the Redis client writes through, swallows a cancellation
        # that comes together with the end of what it waits for.
        try:
            _, left = await asyncio.wait(left, timeout=_CANCEL_AGAIN_S)
        except asyncio.CancelledError as error:
            impatient = error
            left = {task for task in left if not task.done()}
    if impatient is not None:
        raise impatient


class Tasks:
    """A group of tasks that live until `stop`, unlike a `TaskGroup`, which waits for them to end by themselves."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._failed: asyncio.Future[None] | None = None

    async def __aenter__(self) -> Self:
        self._failed = asyncio.get_running_loop().create_future()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def start(self, name: str, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run `work` until it ends or `stop`."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    async def failure(self) -> None:
        """Wait until a task fails, and raise its error."""
        assert self._failed is not None, "enter the context first"
        await asyncio.shield(self._failed)

    async def stop(self) -> None:
        """Cancel all, in no order, and wait for them."""
        await cancel_all(self._tasks)
        if self._failed is not None and not self._failed.done():
            self._failed.cancel()
        elif self._failed is not None and not self._failed.cancelled():
            self._failed.exception()  # has been seen, or somebody stopped for another reason

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if task.cancelled() or task.exception() is None:
            return
        if self._failed is not None and not self._failed.done():
            error = task.exception()
            assert error is not None
            error.add_note(f"in the task {task.get_name()!r}")
            self._failed.set_exception(error)
