"""An originate that was given up with its connection does not come to the server any more, however late."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest

from dialer.core.events import ServerConnected, ServerLost
from dialer.runtime.event_loop import loop_factory
from dialer.switch.port import HandOver
from tests.switch_rig import ScriptedServer, running, settings_for

#: Several times what the server's end takes in.
HANDED_OVER = 80


async def heard_after_a_stall(driver: str) -> list[str]:
    """Calls of which a server hears that did not read until its connections had been given up."""
    server = ScriptedServer()
    server.takes_in_bytes = 2_048
    patience = {"ping_every_s": 0.2, "action_timeout_s": 1.0, "write_limit_bytes": 1_000_000}
    async with server, running(settings_for(driver, server.port, ami=patience)) as rig:
        await rig.until(lambda: rig.status.connected, "the connection")
        server.stall()
        readers = [thread for thread in threading.enumerate() if thread.name == "pyst2-read"]
        # An answer would end the connection from our side at once, whatever is still on its way.
        server.mute = {"Originate", "Ping"}
        calls = [f"n-{number}" for number in range(HANDED_OVER)]
        assert {rig.originate(call) for call in calls} == {HandOver.HANDED_OVER}
        await rig.wait(ServerLost)
        # Of pyst2's sockets it is its own thread that lets go, as soon as it has a turn.
        await rig.until(lambda: not any(thread.is_alive() for thread in readers), "the end of the threads")
        server.go_on()
        await rig.until(lambda: server.stalled_are_over, "the ends of the stalled connections")
        await rig.wait(ServerConnected, count=2)
        return [message.get("ChannelId", "") for message in server.actions if message.action == "Originate"]


@pytest.mark.parametrize(("driver", "loop"), [("native", loop_factory()), ("native", None), ("pyst2", None)])
def test_what_the_network_had_not_taken_is_never_dialed(
    driver: str, loop: Callable[[], asyncio.AbstractEventLoop] | None
) -> None:
    with asyncio.Runner(loop_factory=loop) as runner:
        heard = runner.run(heard_after_a_stall(driver))
    # What was in the server's own memory it may read, as it reads any call that begins late.
    assert heard == [f"n-{number}" for number in range(len(heard))]
    assert len(heard) < HANDED_OVER / 2
