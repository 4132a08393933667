"""Faults on demand: what a client of the exchange sees of each."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable

import pytest

from dialer.ami import actions as ami
from dialer.simulation.exchange import Exchange
from dialer.simulation.profiles import FAST
from dialer.simulation.world import Fate, Reaction, World
from tests.exchange_client import RawClient
from tests.patience import PATIENCE_S

CUSTOMER = "34600000001"
SECRET = "s3cret"


@pytest.fixture
async def exchange() -> AsyncIterator[Exchange]:
    fate = Fate(reaction=Reaction.PERSON, ring_s=0.01, talk_s=30.0, patience_s=30.0)
    async with Exchange(World(FAST, 1, scripted={CUSTOMER: fate}), secret=SECRET) as running:
        yield running


async def eventually(condition: Callable[[], bool], timeout_s: float = PATIENCE_S) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110  # polling is the point
            await asyncio.sleep(0.005)


async def test_dropped_sessions_leave_the_calls(exchange: Exchange) -> None:
    async with RawClient(exchange.port) as client, RawClient(exchange.port, events="off") as other:
        await client.call(CUSTOMER, "call-1")
        await client.event("OriginateResponse")
        exchange.drop()
        await asyncio.wait_for(asyncio.gather(client.closed.wait(), other.closed.wait()), PATIENCE_S)
    async with RawClient(exchange.port) as again:
        await again.action(ami.core_show_channels())
        assert (await again.event("CoreShowChannel")).get("Uniqueid") == "call-1"


async def test_a_stalled_exchange_accepts_and_is_silent(exchange: Exchange) -> None:
    async with RawClient(exchange.port) as client:
        await client.call(CUSTOMER, "call-1")
        exchange.stall()
        late = await RawClient(exchange.port).connect()
        client.send(ami.ping(), "p-1")
        await eventually(lambda: exchange.sessions == 2)
        await asyncio.sleep(0.1)  # what was on its way has arrived
        said = len(client.received)
        await asyncio.sleep(0.1)
        assert late.received == b""
        assert len(client.received) == said
        exchange.resume()
        await client.wait(lambda m: m.action_id == "p-1")
        await client.event("OriginateResponse", Uniqueid="call-1")
        await eventually(lambda: late.received.startswith(b"Asterisk Call Manager"))
        await late.close()


async def test_cut_in_the_middle_of_an_event(exchange: Exchange) -> None:
    async with RawClient(exchange.port) as client, RawClient(exchange.port, events="off") as other:
        exchange.cut()
        await other.call(CUSTOMER, "call-1")
        await asyncio.wait_for(client.closed.wait(), PATIENCE_S)
        tail = bytes(client.received).rpartition(b"\r\n\r\n")[2]
        assert tail.startswith(b"Event: ")
    async with RawClient(exchange.port) as again:
        await again.action(ami.hangup("call-1"))
        await again.event("Hangup", Uniqueid="call-1")


async def test_every_second_event_twice(exchange: Exchange) -> None:
    exchange.faults.duplicate_every = 2
    async with RawClient(exchange.port) as client:
        await client.call(CUSTOMER, "call-1")
        await eventually(lambda: len([m for m in client.messages if m.event]) >= 6)
        counts = Counter(m.pairs for m in client.messages if m.event)
        assert sorted(set(counts.values())) == [1, 2]


async def test_late_events_keep_their_order(exchange: Exchange) -> None:
    exchange.faults.delay_s = 0.2
    async with RawClient(exchange.port) as client:
        loop = asyncio.get_running_loop()
        before = loop.time()
        await client.call(CUSTOMER, "call-1")
        await client.event("Newchannel")
        assert loop.time() - before >= 0.2
        await client.event("OriginateResponse")
        stamps = [float(m.get("Timestamp", "0")) for m in client.messages if m.event]
        assert stamps == sorted(stamps)


async def test_events_out_of_order_are_all_there(exchange: Exchange) -> None:
    exchange.faults.reorder_s = 0.2
    async with RawClient(exchange.port) as client:
        for number in range(5):
            await client.call(CUSTOMER, f"call-{number}")
        await eventually(lambda: len(client.events("OriginateResponse")) == 5 and len(client.events("Newstate")) == 10)
        stamps = [float(m.get("Timestamp", "0")) for m in client.messages if m.event]
        assert stamps != sorted(stamps)


async def test_refused_and_failing_originates(exchange: Exchange) -> None:
    async with RawClient(exchange.port) as client:
        exchange.faults.refuse_originates = "Originate failed"
        response = await client.call(CUSTOMER, "call-1")
        assert (response.response, response.get("Message")) == ("Error", "Originate failed")
        exchange.faults.refuse_originates = ""
        exchange.faults.fail_originates = True
        await client.call(CUSTOMER, "call-2")
        assert (await client.event("OriginateResponse")).get("Uniqueid") == "call-2"
        assert not client.events("Newchannel")
        exchange.faults.fail_originates = False
        await client.call(CUSTOMER, "call-3")
        await client.event("Newchannel", Uniqueid="call-3")
    assert [record.call for record in exchange.dialed] == ["call-3"]


@pytest.mark.parametrize("down_s", [0.0, 0.1])
async def test_a_restart_forgets_the_calls_and_keeps_the_port(exchange: Exchange, down_s: float) -> None:
    port = exchange.port
    async with RawClient(port) as client:
        await client.call(CUSTOMER, "call-1")
        await client.event("OriginateResponse")
        await exchange.restart(down_s)
        assert client.closed.is_set()
        assert not client.events("Hangup")
    assert exchange.port == port
    async with RawClient(port) as again:
        done = again.send(ami.core_show_channels())
        complete = await again.wait(lambda m: m.event == "CoreShowChannelsComplete" and m.action_id == done)
        assert complete.get("ListItems") == "0"
    assert exchange.log[0].ended_by == "crash"


async def test_a_customer_who_is_made_to_lay_down(exchange: Exchange) -> None:
    async with RawClient(exchange.port) as client:
        await client.call(CUSTOMER, "call-1")
        await client.event("OriginateResponse")
        assert exchange.hang_up_customer("call-1")
        await client.event("HangupRequest", Uniqueid="call-1")
        await client.event("Hangup", Uniqueid="call-1")
        assert not exchange.hang_up_customer("call-1")


async def test_a_client_that_never_reads_is_cut_off(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dialer.simulation.exchange.MAX_UNREAD_BYTES", 100_000)
    reader, writer = await asyncio.open_connection("127.0.0.1", exchange.port, limit=1024)
    writer.write(b"Action: Login\r\nUsername: cadencia\r\nSecret: s3cret\r\n\r\n")
    await eventually(lambda: exchange.sessions == 1)
    async with RawClient(exchange.port, events="off") as other:
        number = 0
        async with asyncio.timeout(PATIENCE_S):
            while exchange.sessions == 2:
                for _ in range(200):
                    number += 1
                    other.send(
                        ami.originate(
                            f"PJSIP/{CUSTOMER}@carrier",
                            context="cadencia-wait",
                            exten="s",
                            channel_id=f"flood-{number}",
                            timeout_s=5.0,
                        )
                    )
                await asyncio.sleep(0.05)
        assert (await other.action(ami.ping())).get("Ping") == "Pong"
    writer.transport.abort()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
    assert isinstance(reader, asyncio.StreamReader)
