"""How far a queue of writes has come: nobody is let go before theirs are written, nobody waits for those of others."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from dialer.runtime.written import Written


@given(st.lists(st.sampled_from(["put", "write", "wait", "give up"]), max_size=40))
def test_whoever_waits_is_let_go_when_all_that_was_put_before_is_written(steps: list[str]) -> None:
    async def play() -> None:
        progress, put, written = Written(), 0, 0
        waiting: list[tuple[int, asyncio.Task[None]]] = []
        for step in steps:
            match step:
                case "put":
                    progress.put(1)
                    put += 1
                case "write" if written < put:
                    progress.wrote(1)
                    written += 1
                case "wait":
                    waiting.append((put, asyncio.create_task(progress.wait())))
                case "give up" if waiting:
                    waiting.pop()[1].cancel()
                case _:
                    pass
            for _ in range(3):
                await asyncio.sleep(0)
            assert [task.done() for _, task in waiting] == [needed <= written for needed, _ in waiting]
        progress.wrote(put - written)
        await asyncio.gather(*(task for _, task in waiting))

    asyncio.run(play())
