"""How late the event loop is: the one figure that says whether this process keeps up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

_EVERY_S = 0.1


async def watch(observe: Callable[[float], None]) -> None:
    """Tell `observe` every 100 ms by how many seconds the loop was late, until cancelled."""
    loop = asyncio.get_running_loop()
    due = loop.time() + _EVERY_S
    while True:
        await asyncio.sleep(max(0.0, due - loop.time()))
        late = loop.time() - due
        observe(max(0.0, late))
        due = max(due + _EVERY_S, loop.time())
