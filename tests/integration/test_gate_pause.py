"""A node that is so slow that its pause has run out and another has reserved before it reads its own answer."""

from __future__ import annotations

from dialer.queues.connection import AsyncRedis
from dialer.queues.pausing import PausingConnection

TURN = "cadencia:gate:turn"
#: As the gate does it, but the answer tells of a turn that is over already.
OVERTAKEN = f"return {{0, redis.call('INCR', '{TURN}') - 1}}"
IN_TURN = f"return {{0, redis.call('INCR', '{TURN}')}}"


async def test_whoever_was_overtaken_reserves_again(valkey: AsyncRedis) -> None:
    overtaken, in_turn = [await valkey.script_load(text) for text in (OVERTAKEN, IN_TURN)]
    gate = PausingConnection(valkey, TURN)
    try:
        assert (await gate.run_and_pause(overtaken, (), 10))[1] == 0
        await gate.unpause()  # leaves the other node's pause alone
        assert int(await valkey.incr(TURN)) == 2  # the other node, again
        assert (await gate.run_and_pause(in_turn, (), 10))[1] == 3
        await gate.unpause()
        assert int(await valkey.incr(TURN)) == 4
        assert (await gate.run_and_pause(in_turn, (), 10))[1] == 5
        await gate.unpause()
    finally:
        await gate.close()
