"""Ctrl-C and SIGTERM: the first asks for an orderly stop, the second ends the process."""

from __future__ import annotations

import asyncio
import contextlib
import signal

from dialer.runtime.node import Node

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def stop_on_signals() -> asyncio.Event:
    """An event that Ctrl-C and SIGTERM set."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def ask() -> None:
        for name in _SIGNALS:
            loop.remove_signal_handler(name)
        stop.set()

    for name in _SIGNALS:
        loop.add_signal_handler(name, ask)
    return stop


async def until_stopped(node: Node, stop: asyncio.Event, timeout_s: float | None = None) -> None:
    """Wait for `stop`, for `timeout_s`, or for the death of a part of the node, which is raised."""
    async with asyncio.TaskGroup() as group:
        failure = group.create_task(node.failure(), name="watch the node")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await stop.wait()
        failure.cancel()
