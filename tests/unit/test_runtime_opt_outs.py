"""Objections by key through dispatcher and writer: on the stream before the goodbye, whatever Redis does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from dialer.core import events as ev
from dialer.core import notices as ntc
from dialer.core.commands import Originate, PlayMessage, SayGoodbye
from dialer.core.ids import AgentId, CallId, Phone
from dialer.errors import QueueError
from dialer.queues.removals import parse_do_not_call
from dialer.queues.results import notice_result
from dialer.runtime.opt_outs import OptOutWriter
from tests.patience import PATIENCE_S
from tests.runtime_floor import CAMPAIGN, PBX, RuntimeFloor, eventually


class Stream:
    """Takes entries when it is let."""

    def __init__(self) -> None:
        self.written: list[Mapping[str, object]] = []
        self.refusals = 0
        self.open = asyncio.Event()
        self.open.set()

    async def do_not_call(self, messages: Sequence[Mapping[str, object]]) -> None:
        await self.open.wait()
        if self.refusals:
            self.refusals -= 1
            raise QueueError("Redis is out of reach")
        self.written.extend(messages)


@asynccontextmanager
async def listening() -> AsyncIterator[tuple[RuntimeFloor, Stream, CallId]]:
    """A person who hears the message, and the writer at work."""
    floor, stream = RuntimeFloor(), Stream()
    writer = OptOutWriter(stream, floor.dispatcher.do_not_call, floor.dispatcher.feed, floor.clock.now)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(writer.run()), group.create_task(floor.switch.run())]
        tasks += [group.create_task(floor.gatekeeper.run()), group.create_task(floor.gatekeeper.serve_permits())]
        await floor.gatekeeper.wait_open()
        await floor.offer(1)
        connected = ev.ServerConnected(at=floor.clock.now(), server=PBX, calls=frozenset(), agents=frozenset())
        floor.switch.connect("pbx")
        floor.dispatcher.feed(connected)
        floor.work("anna")
        await eventually(lambda: floor.switch.of(Originate), "an originate")
        call = floor.switch.of(Originate)[0].permit.call
        floor.dispatcher.feed(ev.AgentPauseAsked(at=floor.clock.now(), agent=AgentId("anna"), code="lunch"))
        # Answered long ago: nobody waits two seconds here.
        floor.dispatcher.feed(ev.CallAnswered(at=floor.clock.now(), call=call))
        floor.engine.floor.calls[call].answered_at = floor.clock.now() - 3.0
        floor.engine.floor.timers.set(("abandon", call), floor.clock.now())
        floor.dispatcher.feed(ev.HopperSeen(at=floor.clock.now(), campaign=CAMPAIGN, ready=0))
        await eventually(lambda: floor.switch.of(PlayMessage), "the message")
        yield floor, stream, call
        for task in tasks:
            task.cancel()
    floor.dispatcher.close()


def press(floor: RuntimeFloor, call: CallId) -> None:
    floor.dispatcher.feed(ev.CustomerOptedOut(at=floor.clock.now(), call=call, key="9"))


async def test_the_goodbye_comes_after_the_write_has_returned() -> None:
    async with listening() as (floor, stream, call):
        stream.open.clear()
        press(floor, call)
        await asyncio.sleep(0.05)
        assert not floor.switch.of(SayGoodbye)
        stream.open.set()
        await eventually(lambda: floor.switch.of(SayGoodbye), "the goodbye")
        (message,) = stream.written
        phone = floor.switch.of(Originate)[0].permit.phone
        assert message == {
            "id": f"opt-out-{call}",
            "op": "add",
            "phone": phone,
            "scope": "*",
            "reason": "opt-out by key",
            "source": "key",
            "by": f"call {call}",
        }


async def test_a_write_that_fails_is_tried_again() -> None:
    async with listening() as (floor, stream, call):
        stream.refusals = 2
        press(floor, call)
        await eventually(lambda: floor.switch.of(SayGoodbye), "the goodbye")
        assert len(stream.written) == 1


async def test_all_that_waits_is_written_before_a_stop() -> None:
    async with listening() as (floor, stream, call):
        writer = OptOutWriter(stream, floor.dispatcher.do_not_call, floor.dispatcher.feed, floor.clock.now)
        assert await writer.flush(PATIENCE_S)
        stream.open.clear()
        press(floor, call)
        assert not await writer.flush(0.05)
        stream.open.set()
        assert await writer.flush(PATIENCE_S)
        assert len(stream.written) == 1


async def test_too_many_objections_lose_no_call() -> None:
    async with listening() as (floor, stream, call):
        stream.open.clear()
        floor.dispatcher.do_not_call = asyncio.Queue(maxsize=1)
        floor.dispatcher.do_not_call.put_nowait(None)  # type: ignore[arg-type]  # never read: its writer has the other
        press(floor, call)
        floor.hang_up(call)
        await eventually(lambda: call not in floor.engine.floor.calls, "the end of the call")
        assert [type(n) for n in floor.notices.seen].count(ntc.CallEnded) == 1
        stream.open.set()


def test_what_the_crm_learns() -> None:
    notice = ntc.CallOptedOut(
        at=0.0,
        call=CallId("n1-b-1"),
        campaign=CAMPAIGN,
        contact="crm-1",  # type: ignore[arg-type]
        phone=Phone("+34600111222"),
        scope="*",
        by="key",
    )
    result = notice_result(notice)
    assert (result["type"], result["scope"], result["by"], result["call"]) == ("call.opted_out", "*", "key", "n1-b-1")
    assert "agent" not in result


def test_the_entry_is_one_that_the_stream_takes() -> None:
    entry = parse_do_not_call(
        b'{"id": "opt-out-n1-b-1", "op": "add", "phone": "+34600111222", "scope": "*", "reason": "x", "source": "key"}'
    )
    assert (entry.ref, entry.add, entry.scope, entry.phone) == ("opt-out-n1-b-1", True, "*", "+34600111222")
